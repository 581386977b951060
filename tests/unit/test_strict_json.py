"""JSON from outside: plain values pass unchanged, everything ambiguous is refused by name."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from barbeque_py import strict_json
from barbeque_py.strict_json import (
    CharacterError,
    DepthError,
    DuplicateKeyError,
    EncodingError,
    KeyCountError,
    MalformedError,
    NumberError,
    StrictJsonError,
)

SAFE_TEXT = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | SAFE_TEXT,
    lambda inner: some.lists(inner) | some.dictionaries(SAFE_TEXT, inner),
    max_leaves=20,
)

REFUSED = [
    (b"", MalformedError, "line 1, column 1"),
    (b'{"a":1,}', MalformedError, "line 1, column 8"),
    (b'{\n  "a": tru\n}', MalformedError, "line 2, column 8"),
    (b'{"a":1} x', MalformedError, "line 1, column 9"),
    (b'"tab\tinside"', MalformedError, "line 1"),
    (b"[01]", MalformedError, "line 1"),
    ('{"a":1}'.encode("utf-16"), EncodingError, "UTF-16"),
    ('{"a":1}'.encode("utf-16-le"), EncodingError, "UTF-16"),
    ('{"a":1}'.encode("utf-16-be"), EncodingError, "UTF-16"),
    ('{"a":1}'.encode("utf-32-le"), EncodingError, "UTF-32"),
    (b"\xef\xbb\xbf{}", EncodingError, "byte order mark"),
    (b'{"a":"\xff"}', EncodingError, "byte 6"),
    (b'"\xed\xa0\x80"', EncodingError, "byte 1"),
    (b'{"a":"raw \0"}', EncodingError, "NUL"),
    (b'{"a":[1,NaN]}', NumberError, "$.a[1]: NaN"),
    (b"Infinity", NumberError, "$: Infinity"),
    (b"[-Infinity]", NumberError, "$[0]: -Infinity"),
    (b'{"a":{"b":1e400}}', NumberError, "$.a.b: 1e400"),
    (b"[-1E999]", NumberError, "-1E999"),
    (b"1" * 5000, NumberError, "digits"),
    (b"-" + b"1" * 6000, NumberError, "digits"),
    (b'{"a":"x\\u0000y"}', CharacterError, "$.a: the text"),
    (b'{"a\\u0000":1}', CharacterError, "a key"),
    (b'["\\ud83d"]', CharacterError, "$[0]"),
    (b'{"\\uDFFF":1}', CharacterError, "a key"),
    (b'{"a":{"b":1,"c":2,"b":3}}', DuplicateKeyError, '$.a: the key "b"'),
    (b'{"a":1,"\\u0061":2}', DuplicateKeyError, 'the key "a"'),
    (b"[" * 65 + b"]" * 65, DepthError, "64"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, DepthError, "64"),
    (b"[" * 100_000, DepthError, "64"),
    (b'{"a":' * 100_000, DepthError, "64"),
    (b"[" * 100_000 + b"]" * 100_000, DepthError, "64"),
    (b"{" + b",".join(b'"%d":1' % n for n in range(10_001)) + b"}", KeyCountError, "10,000"),
]


@pytest.mark.parametrize(("body", "error", "words"), REFUSED)
def test_a_hostile_body_is_refused_with_the_fault_and_the_place(
    body: bytes, error: type[StrictJsonError], words: str
) -> None:
    with pytest.raises(error) as caught:
        strict_json.loads(body)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b' {"a": [1, 2.5, true, null]} ', {"a": [1, 2.5, True, None]}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\u0000 \\\\ud800"', "\\u0000 \\ud800"),
        (b'"[[[[{{{{\\"[["', '[[[[{{{{"[['),
        (b"[" * 64 + b"]" * 64, json.loads("[" * 64 + "]" * 64)),
        (b"[" + b"[[]]," * 5000 + b"1]", json.loads("[" + "[[]]," * 5000 + "1]")),
        (json.dumps({"a": "[" * 500 + ":" * 20_000}).encode(), {"a": "[" * 500 + ":" * 20_000}),
        (b"1" * 400, int("1" * 400)),
        (b"-0.0", -0.0),
    ],
)
def test_plain_json_is_taken_as_it_is(body: bytes, value: object) -> None:
    assert strict_json.loads(body) == value


@given(VALUES)
def test_what_is_written_is_read_back_the_same_and_is_ascii(value: object) -> None:
    text = strict_json.dumps(value)
    assert text.isascii()
    assert strict_json.loads(text.encode()) == value
    assert strict_json.dumps(strict_json.loads(text.encode())) == text


@given(some.binary(max_size=60) | some.text(max_size=60).map(str.encode))
def test_no_body_raises_anything_but_a_strict_json_error(body: bytes) -> None:
    try:
        value = strict_json.loads(body)
    except StrictJsonError:
        return
    assert value == json.loads(body)


@given(VALUES, some.integers(1, 6))
def test_depth_is_counted_as_a_person_would(value: object, limit: int) -> None:
    def depth(part: object) -> int:
        match part:
            case dict():
                return 1 + max((depth(each) for each in part.values()), default=0)
            case list():
                return 1 + max((depth(each) for each in part), default=0)
        return 0

    body = strict_json.dumps(value).encode()
    if depth(value) <= limit:
        assert strict_json.loads(body, max_depth=limit) == value
    else:
        with pytest.raises(DepthError):
            strict_json.loads(body, max_depth=limit)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_048_576,
        b'"' + b'\\"' * 500_000 + b"[" * 100,
        b"[" + b"[]," * 300_000 + b"1]",
        (b"[" * 60 + b"]" * 60) * 8_000,
    ],
)
def test_a_megabyte_of_brackets_is_judged_in_a_moment(body: bytes) -> None:
    start = time.monotonic()
    with contextlib.suppress(StrictJsonError):
        strict_json.loads(body)
    assert time.monotonic() - start < 30


def test_keys_keep_their_order_and_numbers_their_digits() -> None:
    body = b'{"z":1,"a":0.1,"m":12345678901234567890123}'
    assert strict_json.dumps(strict_json.loads(body)).encode() == body


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nothing_is_written_that_would_be_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        strict_json.dumps([value])
