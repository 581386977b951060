"""Definitions: edited with a look at the difference, never over somebody else's, kept, restored."""

from dataclasses import replace

import httpx

from barbeque_py.apply import Applying, Wish
from barbeque_py.apps import App
from barbeque_py.identity import EVERYBODY
from barbeque_py.release import release
from barbeque_py.store import Tx, apps, audit, editions
from barbeque_py.yaml_tree import read_yaml
from tests.console.rigs import Place

JOB = "/jobs/media/Encode"
WAS = "command:\n- run\n"


def job(place: Place, name: str = "Encode") -> tuple[tuple[str, ...], float, dict[str, str]]:
    found = place.store.read(lambda tx: apps.get_job(tx, "media", name))
    assert found is not None
    return found.command, found.timeout.total_seconds(), found.env


def kept(place: Place, name: str = "Encode", app: str = "media") -> list[tuple[str, str | None]]:
    found = place.store.read(lambda tx: editions.history(tx, app, name))
    return [(each.made_with, each.text) for each in found]


def apply(place: Place, text: str) -> None:
    """Apply the file as the API does."""
    applying = Applying(place.store, place.parts.sources, None, None)
    applying.make(Wish(replace(EVERYBODY, name="ann"), read_yaml(text)))


def test_a_job_is_edited_after_a_look_at_the_difference_and_brought_back(
    place: Place, browser: httpx.Client
) -> None:
    page = browser.get(f"{JOB}/edit").text
    assert "command:\n- run\n" in page
    form = {"text": "command: [run, --fast]\r\ntimeout: 90s\r\n", "base": WAS, "note": "hurry"}
    looked = browser.post(f"{JOB}/edit", data=form | {"step": "look"}).text
    for said in ("<ins>+ - --fast</ins>", "<ins>+ timeout: 90s</ins>", "hurry"):
        assert said in looked, said
    assert job(place)[0] == ("run",), "a look changes nothing"
    again = browser.post(f"{JOB}/edit", data=form | {"step": "edit"}).text
    assert "command: [run, --fast]" in again
    saved = browser.post(f"{JOB}/edit", data=form | {"step": "save"})
    assert saved.headers["location"] == f"{JOB}?notice=defined"
    assert job(place)[:2] == (("run", "--fast"), 90)
    now = "command:\n- run\n- --fast\ntimeout: 90s\n"
    assert kept(place) == [("console", now), ("", WAS)], "and what was there before"
    [row] = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(app="media"), most=1))
    assert (row.action, row.subject) == ("job.change", "job:media/Encode")
    shown = browser.get(f"{JOB}/definition?from=1&to=2").text
    assert "<ins>+ timeout: 90s</ins>" in shown
    assert "hurry" in shown
    back = browser.get(f"{JOB}/edit?edition=1").text
    assert "as in edition 1" in back
    restored = browser.post(f"{JOB}/edit", data={"text": WAS, "base": now, "step": "save"})
    assert restored.status_code == 303
    assert job(place)[:2] == (("run",), 3600)
    assert browser.get(f"{JOB}/edit?edition=9").status_code == 404


def test_who_comes_second_sees_what_the_first_has_changed(
    place: Place, browser: httpx.Client
) -> None:
    first = {"text": "command: [first]\n", "base": WAS, "step": "save"}
    second = {"text": "command: [run]\nmemory: 1024\n", "base": WAS, "step": "save"}
    assert browser.post(f"{JOB}/edit", data=first).status_code == 303
    for step in ("save", "look"):
        late = browser.post(f"{JOB}/edit", data=second | {"step": step})
        assert late.status_code == 409
        for said in ("<ins>+ - first</ins>", "<ins>+ memory: 1024</ins>", "has changed it since"):
            assert said in late.text, said
    assert job(place)[0] == ("first",)
    both = {"text": "command: [first]\nmemory: 1024\n", "base": "command:\n- first\n"}
    assert browser.post(f"{JOB}/edit", data=both | {"step": "save"}).status_code == 303
    assert browser.post(f"{JOB}/remove", data={"typed": "Encode"}).status_code == 303
    gone = browser.post(f"{JOB}/edit", data=both | {"step": "save"})
    assert gone.status_code == 409
    assert "somebody has removed it" in gone.text


def test_what_apply_refuses_is_refused_with_the_place_in_what_was_written(
    place: Place, browser: httpx.Client
) -> None:
    for text, line, said in (
        ("command: [run]\ntimeuot: 3\n", 2, "did you mean &#34;timeout&#34;?"),
        ("command: [run]\n\nqueue: nowhere\n", 3, "no queue is called"),
        ("command: [run\n", None, "expected"),
        ("command: [run]\nname: Other\n", 2, "a name can&#39;t be changed"),
        ("- command\n", 1, "a mapping is needed"),
        ("command: [run]\nschedules: [{name: a, cron: '* *'}]\n", 2, "cron"),
    ):
        for step in ("look", "save"):
            form = {"text": text, "base": WAS, "step": step}
            answer = browser.post(f"{JOB}/edit", data=form)
            assert answer.status_code == 422, text
            assert said in answer.text, answer.text
            if line is not None:
                assert f"Line {line}" in answer.text, text
            assert "apps[0]" not in answer.text
    assert job(place)[0] == ("run",)
    app = {"text": "image: other:1\njobs: []\n", "base": "", "step": "save"}
    page = browser.post("/apps/media/edit", data=app).text
    assert "another image is a release" in page
    assert "each job has a definition of its own" in page


def test_an_app_is_edited_and_its_image_stays_what_was_released_meanwhile(
    place: Place, browser: httpx.Client
) -> None:
    assert browser.get("/apps/media/edit").status_code == 200

    def go_on(tx: Tx) -> None:
        release(tx, EVERYBODY, "media", "media:2", pinned=None)

    place.store.write(go_on)
    form = {"text": "description: Pictures\nenv: {A: canary}\n", "base": "", "step": "save"}
    assert browser.post("/apps/media/edit", data=form).status_code == 303
    found = place.store.read(lambda tx: apps.get_app(tx, "media"))
    assert found is not None
    assert (found.image, found.description, found.env) == ("media:2", "Pictures", {"A": "canary"})
    assert len(place.store.read(lambda tx: apps.jobs_of(tx, "media"))) == 3
    rows = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(app="media")))
    assert "canary" not in str(rows)
    assert len(kept(place, "")) == 2


def test_what_a_file_defines_says_that_the_next_apply_overwrites(
    place: Place, browser: httpx.Client
) -> None:
    assert "comes from a file" in browser.get(f"{JOB}/edit").text
    file = "apps: [{name: media, image: 'media:latest', jobs: [{name: Encode, command: [%s]}]}]"
    apply(place, file % "run, -q")
    page = browser.get(f"{JOB}/edit").text
    assert "It was applied from a file by ann" in page
    form = {"text": "command: [mine]\n", "base": "command:\n- run\n- -q\n", "step": "save"}
    assert browser.post(f"{JOB}/edit", data=form).status_code == 303
    assert "overwrites" in browser.get(f"{JOB}/edit").text
    apply(place, file % "run, -q")
    assert [how for how, _ in kept(place)] == ["apply", "console", "apply", ""]
    apply(place, file % "run, -q")
    assert len(kept(place)) == 4, "what changes nothing is no edition"


def test_jobs_and_apps_are_made_and_jobs_removed(place: Place, browser: httpx.Client) -> None:
    new = {"name": "Night", "text": "command: [run]\nschedules: [{name: n, cron: '0 1 * * *'}]\n"}
    look = browser.post("/apps/media/new_job", data=new | {"step": "look"}).text
    assert "<ins>+ command:</ins>" in look
    made = browser.post("/apps/media/new_job", data=new | {"step": "save"})
    assert made.headers["location"] == "/jobs/media/Night?notice=defined"
    assert "overwrites" not in browser.get("/jobs/media/Night/edit").text, "no file made it"
    again = browser.post("/apps/media/new_job", data=new | {"step": "save"})
    assert again.status_code == 409
    assert "There is one of this name already" in again.text
    nameless = browser.post("/apps/media/new_job", data=new | {"name": "-", "step": "save"})
    assert nameless.status_code == 422
    app = {"name": "letters", "text": "image: letters:1\njobs: [{name: Send, command: [send]}]\n"}
    made = browser.post("/new_app", data=app | {"step": "save"})
    assert made.headers["location"] == "/apps/letters?notice=defined"
    assert browser.get("/jobs/letters/Send").status_code == 200
    assert browser.post("/new_app", data=app | {"step": "save"}).status_code == 409
    asked = browser.get("/jobs/media/Night/remove").text
    assert "What it ran stays listed" in asked
    assert browser.post("/jobs/media/Night/remove", data={"typed": "Day"}).status_code == 422
    gone = browser.post("/jobs/media/Night/remove", data={"typed": "Night"})
    assert gone.headers["location"] == "/apps/media?notice=removed"
    assert len(place.store.read(lambda tx: apps.jobs_of(tx, "media"))) == 3
    assert "It was removed" in browser.get("/jobs/media/Night/definition").text
    lost = ("/jobs/media/Nothing/definition", "/jobs/media/Nothing/edit", "/apps/no/new_job")
    for path in lost:
        assert browser.get(path).status_code == 404, path


def test_an_app_that_is_bare_can_be_edited(place: Place, browser: httpx.Client) -> None:
    place.store.write(lambda tx: apps.put_app(tx, App("bare", image="bare:1")))
    form = {"text": "", "base": "", "step": "look"}
    assert "it says what is there already" in browser.post("/apps/bare/edit", data=form).text
