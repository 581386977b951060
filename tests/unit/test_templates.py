"""An app's own words: what templates may do, and that they can do no harm."""

import time
from typing import Any

import pytest

from barbeque_py.letters import write
from barbeque_py.templates import check_template, render
from tests.notices.samples import a_notice

FACTS: dict[str, Any] = {
    "app": "media",
    "lines": ["a", "b"],
    "tags": {},
    "reason": None,
    "count": 2,
}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ app }} failed", "media failed"),
        ("{% for line in lines %}{{ loop.index }}:{{ line }} {% endfor %}", "1:a 2:b "),
        ("{{ reason or 'for no reason' }}", "for no reason"),
        ("{{ lines | join(', ') | upper }}", "A, B"),
        ("{% if count > 1 %}many{% endif %}{{ nothing }}", "many"),
    ],
)
def test_a_template_shows_facts(template: str, said: str) -> None:
    assert render(template, FACTS) == said


@pytest.mark.parametrize(
    "template",
    [
        "{{",
        "{% for a in lines %}{% for b in lines %}x{% endfor %}{% endfor %}",
        "{% for a in lines %}{% if a %}{% for b in lines %}x{% endfor %}{% endif %}{% endfor %}",
        "{% for a in lines recursive %}{{ loop(lines) }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ app | attr('__class__') }}",
        "{{ app | center(100000) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ app.ljust(1000000000) }}",
        "x" * 10_001,
    ],
)
def test_what_a_template_may_not_is_found_before_it_is_kept(template: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_template(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ app * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ app.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ lines.append('x') }}",
        "{{ 1 / 0 }}",
        "{{ range(1000000000) }}",
        "{{ app.ljust(1000000000) }}",
        "{{ app.missing.deeper }}",
    ],
)
def test_a_template_that_means_harm_fails_at_once(template: str) -> None:
    began = time.monotonic()
    try:
        said = render(template, FACTS)
    except ValueError:
        said = ""
    assert len(said) < 25_000
    assert "object at" not in said
    assert time.monotonic() - began < 20


def test_an_apps_own_words_take_the_place_of_ours() -> None:
    templates = {
        "subject": "[{{ app }}]\n{{ job }} is broken",
        "body": "Ask Ann.\nReally.\n\n{{ lines[-1] }} {{ url }}",
    }
    letter = write(a_notice(templates=templates), "https://b.example.com")
    assert letter.subject == "[media] Encode is broken"
    assert letter.sentences[0] == "Ask Ann.\nReally."
    assert letter.sentences[1].startswith("error: no space left on device https://b.example.com/")
    assert (letter.facts, letter.lines) == ((), ())
    assert len(letter.links) == 2


@pytest.mark.parametrize("broken", ["{{ app.x.y }}", "{{ 1/0 }}"])
def test_words_that_can_not_be_filled_in_are_ours(broken: str) -> None:
    letter = write(a_notice(templates={"body": broken, "subject": "mine"}), None)
    assert letter.subject == "media/Encode failed"
    assert letter.facts
