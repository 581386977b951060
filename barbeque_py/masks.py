"""What must not be kept in a log: known secret values and configured patterns become `***`."""

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote, urlsplit

STARS = b"***"
SHORTEST_SECRET = 6
"""Characters; a shorter value would be found in text that has nothing to do with it."""
LONGEST_PATTERN = 1_000

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASSWORDS?|PASSWD|PASSPHRASE|SECRETS?|TOKEN|CREDENTIALS?|APIKEY|AUTHORIZATION"
    r"|(?:PRIVATE|API|ACCESS|SIGNING|ENCRYPTION|MASTER|ACCOUNT|SSH|LICENSE|AUTH)_KEY)(?:_|$)"
    r"|_PWD$"
)
_POINTER = re.compile(r"_(?:FILE|PATH|DIR|NAME|ARN)$")
"""Ends names whose values only say where a secret is."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Masks the text of one line, when called with it."""

    secrets: tuple[bytes, ...]
    expressions: tuple[re.Pattern[str], ...]

    def __call__(self, text: bytes) -> bytes:
        """Return the text with stars in place of what must not be kept."""
        for secret in self.secrets:
            text = text.replace(secret, STARS)
        return _substitute(self.expressions, text) if self.expressions else text

    def spares(self, lines: bytes) -> bool:
        """Tell whether it is certain that none of these many lines would change: a quick look."""
        return not self.expressions and not any(secret in lines for secret in self.secrets)


def compile_masks(values: Iterable[str], patterns: Iterable[str]) -> Mask | None:
    """Return what masks one line's text, None when there is nothing to mask.

    Values shorter than `SHORTEST_SECRET` are left out; of a value of several lines each line is
    masked. Raises `ValueError` for a pattern that `check_pattern` refuses.
    """
    secrets = sorted({form for value in values for form in _forms(value)}, key=_longest_first)
    expressions = tuple(check_pattern(pattern) for pattern in patterns)
    return Mask(tuple(secrets), expressions) if secrets or expressions else None


def check_pattern(text: str) -> re.Pattern[str]:
    """Return the regular expression compiled; raises `ValueError` with the reason it can't serve.

    Refused are expressions that match the empty text, for they would put stars everywhere.
    """
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"the pattern is longer than {LONGEST_PATTERN:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expression = re.compile(text)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
    if expression.search("") is not None:
        raise ValueError(f"{text!r} matches the empty text, so it would mask everything")
    return expression


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables that are secret by their names, and passwords within URLs."""
    found: list[str] = []
    for name, value in environment.items():
        if _is_secret_name(name):
            found.append(value)
        found += _url_passwords(value)
    return list(dict.fromkeys(value for value in found if value))


def _is_secret_name(name: str) -> bool:
    words = "_".join(_WORD.findall(name)).upper()
    return bool(_SECRET_NAME.search(words)) and not _POINTER.search(words)


def _url_passwords(value: str) -> list[str]:
    """Return the password of a URL such as a database's, as written there and as it is typed."""
    if "://" not in value:
        return []
    try:
        password = urlsplit(value).password
    except ValueError:
        return []
    return [password, unquote(password)] if password else []


def _forms(value: str) -> Iterable[bytes]:
    """Yield how the value may stand in a line: as it is, in JSON and in a URL."""
    for text in {value, *value.splitlines()}:
        stripped = text.strip()
        if len(stripped) < SHORTEST_SECRET:
            continue
        plain, ascii_only = json.dumps(stripped, ensure_ascii=False), json.dumps(stripped)
        forms = {stripped, plain[1:-1], ascii_only[1:-1], plain[1:-1].replace("/", "\\/")}
        forms |= {quote(stripped, "", errors="replace"), quote_plus(stripped, errors="replace")}
        encoded = (form.encode(errors="surrogateescape") for form in forms)
        yield from (form for form in encoded if b"\n" not in form)


def _longest_first(secret: bytes) -> tuple[int, bytes]:
    return -len(secret), secret


def _substitute(expressions: Iterable[re.Pattern[str]], text: bytes) -> bytes:
    """Apply the expressions to characters, keeping bytes that are not UTF-8 as they are."""
    characters = text.decode(errors="surrogateescape")
    for expression in expressions:
        characters = expression.sub(STARS.decode(), characters)
    return characters.encode(errors="surrogateescape")
