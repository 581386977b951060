"""What is masked, and what is not."""

import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barbeque_py.masks import check_pattern, compile_masks, secret_values


def masked(text: str, *, values: tuple[str, ...] = (), patterns: tuple[str, ...] = ()) -> str:
    mask = compile_masks(values, patterns)
    return mask(text.encode()).decode() if mask else text


def test_nothing_to_mask_is_no_mask() -> None:
    assert compile_masks([], []) is None
    assert compile_masks(["short", ""], []) is None


def test_a_value_becomes_stars_wherever_it_stands() -> None:
    assert masked("a=hunter2, b=hunter2hunter2", values=("hunter2",)) == "a=***, b=******"


def test_the_longer_of_two_values_goes_first() -> None:
    assert masked("hunter2-and-more", values=("hunter2", "hunter2-and-more")) == "***"


@given(st.text(st.characters(codec="utf-8"), min_size=6).filter(lambda text: len(text.strip()) > 5))
def test_a_value_is_found_as_it_is_in_json_and_in_a_url(value: str) -> None:
    if len(value.splitlines()) > 1 or value != value.strip():
        return
    for form in (value, json.dumps(value)[1:-1], quote_plus(value)):
        assert masked(f"<{form}>", values=(value,)) == "<***>"


def test_each_line_of_a_value_is_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n"
    assert masked("MIIEvQIBADANBg", values=(key,)) == "***"
    assert masked("kqhkiG9w0BAQEF", values=(key,)) == "***"
    assert masked(json.dumps({"key": key.strip()}), values=(key,)) == '{"key": "***"}'


def test_patterns_speak_of_characters_and_spare_other_bytes() -> None:
    mask = compile_masks([], [r"gr[üä]n", r"\b\d{4}-\d{4}\b"])
    assert mask is not None
    assert mask("das grün 1234-5678".encode() + b"\xff") == b"das *** ***\xff"


def test_a_mask_spares_lines_only_when_certain() -> None:
    literal, pattern = compile_masks(["hunter2"], []), compile_masks([], ["x"])
    assert literal is not None
    assert pattern is not None
    assert literal.spares(b"nothing\nhere")
    assert not literal.spares(b"my\nhunter2")
    assert not pattern.spares(b"nothing")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "not a regular expression: missing"),
        ("a*", "matches the empty text"),
        ("", "matches the empty text"),
        ("[[a]", "not a regular expression: Possible nested set"),
        ("a" * 1001, "longer than 1,000"),
    ],
)
def test_a_pattern_that_can_not_serve_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "DB_PASSWORD", "MYSQL_PWD", "client_secret", "GITHUB_TOKEN", "apiKey"),
        *("AWS_SECRET_ACCESS_KEY", "SSH_PRIVATE_KEY", "API_KEY", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("dbPassword", "SLACK-TOKEN", "API_KEY_2"),
    ],
)
def test_a_variable_is_secret_by_a_word_of_its_name(name: str) -> None:
    assert secret_values({name: "value"}) == ["value"]


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "PWD", "OLDPWD", "HOME", "TOKENIZER", "MAX_TOKENS", "KEY", "KEYBOARD"),
        *("SECRETARY", "DB_PASSWORD_FILE", "SECRET_ARN", "BARBEQUE_MESSAGE"),
    ],
)
def test_other_variables_are_not(name: str) -> None:
    assert secret_values({name: "value"}) == []


def test_a_password_within_a_url_is_secret_under_any_name() -> None:
    environment = {"DATABASE_URL": "mysql://app:p%40ss-word@db/app", "SITE": "https://example.com/"}
    assert secret_values(environment) == ["p%40ss-word", "p@ss-word"]
    assert secret_values({"ODD": "http://[broken", "ALSO": "http://user@host"}) == []
