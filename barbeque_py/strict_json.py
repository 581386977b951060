"""JSON from outside, taken strictly: what two readers could understand differently is refused.

StrictJsonError (a ValueError; the message names the fault and where it is)
  EncodingError       not UTF-8
  MalformedError      not JSON
  DepthError          nested too deep
  KeyCountError       too many keys
  DuplicateKeyError   a key twice in one object
  NumberError         NaN, infinite, or too many digits
  CharacterError      NUL or half a surrogate pair in a text
"""

import json
import math
import re
from collections.abc import Iterator

_TEXT = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNSAFE = re.compile("[\0\ud800-\udfff]")
_OPENING = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SHOWN = 60
_CUT = 1024 * 1024
"""Bytes of the largest body that is cut into pieces."""


class StrictJsonError(ValueError):
    """The body is not JSON that we take; the message names the fault and where."""


class EncodingError(StrictJsonError):
    """The body is not UTF-8."""


class MalformedError(StrictJsonError):
    """The body is not JSON."""


class DepthError(StrictJsonError):
    """Arrays and objects are nested too deep."""


class KeyCountError(StrictJsonError):
    """The objects have too many keys."""


class DuplicateKeyError(StrictJsonError):
    """An object has the same key twice."""


class NumberError(StrictJsonError):
    """A number is NaN, infinite, or has too many digits."""


class CharacterError(StrictJsonError):
    """A text holds NUL or half a surrogate pair."""


class _Suspicion(Exception):
    """The fast reading met something to refuse; the slow one finds where."""


class _Pairs(list[tuple[str, object]]):
    """An object as it stands in the body, repeated keys and all."""


class _NotFinite(str):
    """A number that no float holds, as it stands in the body."""

    __slots__ = ()


def loads(body: bytes, *, max_depth: int = 64, max_keys: int = 10_000) -> object:
    """Return the JSON value in the body; raises `StrictJsonError` for all but plain JSON.

    Depth is counted in open brackets, keys over all objects together.
    """
    text = _decode(body)
    measure(body, max_depth=max_depth, max_keys=max_keys)
    try:
        value: object = _FAST.decode(text)
    except _Suspicion:
        raise _first_fault(text) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedError(f"not JSON: {error.msg} at {where}") from None
    except ValueError:
        raise NumberError("a whole number has more digits than can be read (4,300)") from None
    if _SUSPECT_ESCAPE.search(body) is not None:
        for fault in _faults(_SLOW.decode(text), "$"):
            raise fault
    return value


def dumps(value: object) -> str:
    """Write the value as compact JSON in ASCII: keys in their order, numbers exact.

    Raises `ValueError` for NaN and infinity, `TypeError` for what JSON has no form for.
    """
    return _COMPACT.encode(value)


def _decode(body: bytes) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        raise EncodingError("begins with a byte order mark; send JSON as UTF-8 without one")
    if b"\0" in body:
        what = "UTF-16 or UTF-32" if b"\0" in body[:4] else "raw NUL bytes"
        raise EncodingError(f"not UTF-8 text: found {what}; send JSON as UTF-8")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise EncodingError(f"not UTF-8: byte {error.start} is wrong; send JSON as UTF-8") from None


def measure(body: bytes, *, max_depth: int = 64, max_keys: int = 10_000) -> None:
    """Refuse JSON that is too deep or has too many keys, before a parser recurses.

    A body with few brackets costs three scans. Raises `StrictJsonError`.
    """
    deep = body.count(b"[") + body.count(b"{") > max_depth
    many = body.count(b":") > max_keys
    if not (deep or many):
        return
    bare = _without_texts(body)
    if deep and _is_deeper(bare, max_depth):
        raise DepthError(f"nested deeper than {max_depth} levels")
    if many and bare.count(b":") > max_keys:
        raise KeyCountError(f"more than {max_keys:,} keys")


def _without_texts(body: bytes) -> bytes:
    """Return what stands outside texts, as far as the body is JSON.

    To cut at the quotes takes a tenth of the time, and eight bytes a quote.
    """
    if len(body) > _CUT:
        return _TEXT.sub(b"", body)
    if b"\\" in body:  # pairs first: what is left before a quote belongs to it
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(body.split(b'"')[::2])


def _is_deeper(bare: bytes, limit: int) -> bool:
    """Tell whether brackets nest deeper: each pass takes away the innermost pairs."""
    brackets = bare.translate(_OPENING, _NOT_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > limit


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Suspicion
    return value


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Suspicion
    return number


def _refuse(_: str) -> object:
    raise _Suspicion


def _finite_or_text(text: str) -> float | _NotFinite:
    number = float(text)
    return _NotFinite(text) if math.isinf(number) else number


_FAST = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)
_SLOW = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_float=_finite_or_text, parse_constant=_NotFinite
)
_COMPACT = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _first_fault(text: str) -> StrictJsonError:
    try:
        for fault in _faults(_SLOW.decode(text), "$"):
            return fault
    except ValueError:
        pass  # malformed further on as well; either fault is reason enough
    return MalformedError("not JSON: a number or a key is wrong, and the text behind it, too")


def _faults(value: object, path: str) -> Iterator[StrictJsonError]:
    """Yield what is refused in the value, in the order of the body."""
    match value:
        case _NotFinite():
            yield NumberError(f"{path}: {_shown(value)[1:-1]} is not a finite number")
        case str() if _is_unsafe(value):
            yield CharacterError(f"{path}: the text holds NUL or half a surrogate pair")
        case _Pairs():
            yield from _faults_of_object(value, path)
        case list():
            for index, item in enumerate(value):
                yield from _faults(item, f"{path}[{index}]")


def _faults_of_object(pairs: _Pairs, path: str) -> Iterator[StrictJsonError]:
    seen: set[str] = set()
    for key, item in pairs:
        if _is_unsafe(key):
            yield CharacterError(f"{path}: a key holds NUL or half a surrogate pair")
        if key in seen:
            yield DuplicateKeyError(f"{path}: the key {_shown(key)} stands twice in one object")
        seen.add(key)
        yield from _faults(item, f"{path}.{_shown(key)[1:-1]}")


def _is_unsafe(text: str) -> bool:
    return _UNSAFE.search(text) is not None


def _shown(text: str) -> str:
    short = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return json.dumps(str(short))
