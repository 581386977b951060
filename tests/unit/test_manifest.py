"""The apply file: what it says is read exactly, what is wrong is told at once and by line."""

import json
import time
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from barbeque_py import strict_json
from barbeque_py.apps import App, JobDefinition, Queue, Subscription
from barbeque_py.backoff import RetryPolicy
from barbeque_py.manifest import (
    Manifest,
    ManifestError,
    dump,
    json_schema,
    parse,
    unknown_queues,
)
from barbeque_py.schedules import CatchUp, Overlap, Schedule

DOCS = Path(__file__).parents[2] / "docs"

WHOLE = """
apps:
  - name: media
    image: barbeque-example-media:latest
    description: Makes films
    process: {path: [bin, /opt/bin]}
    env: {LANG: C}
    mask: ['token=\\w+']
    notify: {slack: "#media", email: [media-team@example.com], webhook: "https://example.com/x"}
    jobs:
      - name: Thumbnail
        command: thumbnail --size '10 x 10'
        queue: slow
        timeout: 15m
        grace: 5
        cpu: 512
        memory: 1024
        retry: {limit: 2, base_delay: 1s, max_delay: 1h, jitter: false}
        concurrency: 20
        priority: -5
        env: {A: "1"}
        at_most_once: true
        message_file: true
        capabilities: [CAP_NET_ADMIN]
        network: none
        pids: 64
        schedules:
          - name: nightly
            cron: 30 2 * * MON-FRI
            timezone: Europe/Berlin
            message: {sizes: [64, 128], note: null}
            queue: slow
            overlap: wait
            catch_up: all
            catch_up_limit: 7
          - {name: often, cron: "* * * * *"}
queues:
  - name: default
    concurrency: 100
subscriptions:
  - topic: arn:aws:sns:eu-west-1:123456789012:uploads
    app: media
    job: Thumbnail
"""

TOPIC = "arn:aws:sns:eu-west-1:123456789012:uploads"
JOB = "apps:\n  - name: a\n    image: i\n    jobs:\n      - name: j\n        command: [c]\n"
TIMED = JOB + "        schedules: [{name: n, cron: '* * * * *'"
APP = "apps:\n  - name: a\n    image: i\n"


def problems(text: str, *, base: Path | None = None) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        parse(text, base=base)
    return str(caught.value).splitlines()


def test_every_key_says_what_it_says() -> None:
    assert parse(WHOLE, base=Path("/srv/media")) == Manifest(
        apps=(
            App(
                "media",
                "barbeque-example-media:latest",
                description="Makes films",
                env={"LANG": "C"},
                process_path=("/srv/media/bin", "/opt/bin"),
                mask=("token=\\w+",),
                notify={
                    "slack": "#media",
                    "email": ["media-team@example.com"],
                    "webhook": "https://example.com/x",
                },
            ),
        ),
        jobs=(
            JobDefinition(
                "media",
                "Thumbnail",
                ("thumbnail", "--size", "10 x 10"),
                queue="slow",
                timeout=timedelta(minutes=15),
                grace=timedelta(seconds=5),
                cpu=512,
                memory=1024,
                retry=RetryPolicy(2, timedelta(seconds=1), timedelta(hours=1), jitter=False),
                concurrency=20,
                priority=-5,
                env={"A": "1"},
                at_most_once=True,
                message_file=True,
                capabilities=("NET_ADMIN",),
                network="none",
                pids=64,
            ),
        ),
        queues=(Queue("default", 100),),
        subscriptions=(Subscription(TOPIC, "default", "media", "Thumbnail"),),
        schedules=(
            Schedule(
                "media",
                "Thumbnail",
                "nightly",
                "30 2 * * MON-FRI",
                "Europe/Berlin",
                '{"sizes":[64,128],"note":null}',
                "slow",
                Overlap.WAIT,
                CatchUp.ALL,
                7,
            ),
            Schedule("media", "Thumbnail", "often", "* * * * *"),
        ),
    )


def test_a_short_file_has_the_defaults_of_the_words() -> None:
    manifest = parse(JOB, base=None)
    assert manifest == Manifest((App("a", "i"),), (JobDefinition("a", "j", ("c",)),))


def test_anchors_and_merges_are_written_out() -> None:
    text = JOB + "        retry: &r {limit: 1}\n      - {name: k, command: d, retry: *r}\n"
    text += "queues:\n  - &q {name: x, concurrency: 3}\n  - {<<: *q, name: y}\n"
    manifest = parse(text, base=None)
    assert [job.retry.limit for job in manifest.jobs] == [1, 1]
    assert manifest.queues == (Queue("x", 3), Queue("y", 3))


def test_every_fault_is_told_at_once_in_the_order_of_the_file() -> None:
    text = JOB + (
        "        tiemout: 15m\n"
        "        cpu: lots\n"
        "        env: {A: 1, B: no}\n"
        "      - name: j\n"
        "queues: [{name: q}, {name: q}]\n"
        "quueues: []\n"
    )
    assert problems(text) == [
        'line 7: apps[0].jobs[0].tiemout: unknown key; did you mean "timeout"?',
        "line 8: apps[0].jobs[0].cpu: the text 'lots' stands where a whole number is needed",
        "line 9: apps[0].jobs[0].env.A: 1 is not a text; put it in quotes",
        (
            "line 9: apps[0].jobs[0].env.B: a switch (true, false, yes, no, on, off) "
            "is not a text; put it in quotes"
        ),
        (
            "line 10: apps[0].jobs[1]: this job has no command; "
            "write one, or a callback in its place"
        ),
        "line 10: apps[0].jobs[1].name: 'j' is also the name of the one in line 5",
        "line 11: queues[1].name: 'q' is also the name of the one in line 11",
        'line 12: quueues: unknown key; did you mean "queues"?',
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("command: ''", "jobs[0].command: this key stands twice"),
        ("timeout: 0s", "1s to 30d"),
        ("timeout: 31d", "1s to 30d"),
        ("timeout: soon", "'soon' is not a duration"),
        ("timeout: true", "true is not a duration"),
        ("timeout: .nan", "not a finite number"),
        ("timeout: [1]", "a list is not a duration"),
        ("grace: 2h", "0s to 1h"),
        ("cpu: 0", "0 is too low; at least 1"),
        ("cpu: 196609", "too high; at most 196608"),
        ("cpu: 1.5", "1.5 stands where a whole number is needed"),
        ("cpu: true", "true stands where a whole number is needed"),
        ("cpu: '256'", "the text '256' stands where a whole number is needed"),
        ("cpu: 99999999999999999999", "more than 64 bits"),
        ("cpu: " + "1" * 5000, "is not a number"),
        ("memory: 5", "at least 6"),
        ("pids: 0", "at least 1"),
        ("concurrency: 0", "at least 1"),
        ("priority: 101", "at most 100"),
        ("priority: -101", "at least -100"),
        ("queue: 'a b'", "a queue's name"),
        ("queue:", "nothing stands where a text is needed"),
        ("network: bridg", "one of 'bridge', 'none' or 'host'"),
        ("at_most_once: 1", "true or false"),
        ("capabilities: [ALL]", "not a Linux capability"),
        ("capabilities: [KILL, CAP_KILL]", "stands twice"),
        ("capabilities: KILL", "where a list is needed"),
        ("env: [A=1]", "where a mapping is needed"),
        ("env: {A: }", "jobs[0].env.A: nothing stands"),
        ("env: {A: 1.5}", "1.5 is not a text; put it in quotes"),
        ("env: {1A: x}", "not a variable's name"),
        ("env: {BARBEQUE_MESSAGE: x}", "what every job is given"),
        ("env: {on: x}", "the key 'on' is not a text; quote it"),
        ("env: {? [a] : x}", "not a text; quote it"),
        ('env: {A: "\\0"}', "jobs[0].env.A: the text holds NUL"),
        ('env: {A: "\\ud800"}', "half a surrogate pair"),
        ('env: {"\\ud800": x}', "half a surrogate pair"),
        ("retry: {limit: 101}", "jobs[0].retry.limit: 101 is too high"),
        ("retry: {limit: -1}", "at least 0"),
        ("retry: {base_delay: 2h, max_delay: 1h}", "max_delay is shorter than base_delay"),
        ("retry: {delay: 1}", 'retry.delay: unknown key; did you mean "max_delay"?'),
        ("retry: 5", "5 stands where a mapping is needed"),
        ("zzzzzzz: 5", "unknown key; known here: name, command"),
    ],
)
def test_a_wrong_line_of_a_job_is_named(line: str, words: str) -> None:
    (problem,) = problems(JOB + f"        {line}\n")
    assert problem.startswith("line 7: apps[0].jobs[0]")
    assert words in problem
    assert len(problem) < 400


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("[]", "the command is empty"),
        ("''", "the command is empty"),
        ("['', a]", "the command is empty"),
        ('"it\'s"', "can't be split into words"),
        ("[sleep, 5]", "command[1]: 5 is not a text; put it in quotes"),
        ("{a: b}", "where a list is needed"),
        ("5", "where a list is needed"),
    ],
)
def test_a_wrong_command_is_named(command: str, words: str) -> None:
    (problem,) = problems(APP + f"    jobs: [{{name: j, command: {command}}}]\n")
    assert words in problem


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mask: ['(']", "mask[0]: '(' is not a regular expression"),
        ("mask: ['x*']", "matches the empty text"),
        ("notify: {email: [me]}", "notify.email[0]: 'me' is not an email address"),
        ("notify: {email: me@example.com}", "where a list is needed"),
        ("notify: {webhook: 'ftp://x'}", "of the form https://host/path"),
        ("notify: {slak: x}", 'unknown key; did you mean "slack"?'),
        ("process: {path: bin}", "where a list is needed"),
        ("process: {path: [bin]}", "process.path[0]: a relative path needs the file's directory"),
        ("process: {path: ['']}", "the text is empty"),
        ("description: 5", "put it in quotes"),
        ("jobs: {a: b}", "where a list is needed"),
        ("jobs: [5]", "jobs[0]: 5 stands where a mapping is needed"),
    ],
)
def test_a_wrong_line_of_an_app_is_named(line: str, words: str) -> None:
    (problem,) = problems(APP + f"    {line}\n")
    assert problem.startswith("line 4: apps[0].")
    assert words in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("just text", "line 1: the text 'just text' stands where a mapping is needed"),
        ("[1]", "line 1: a list stands"),
        ("a: b: c", "line 1: not YAML"),
        ("apps:\n\t- x", "line 2: not YAML"),
        ("apps: []\n---\napps: []", "line 2: not YAML"),
        ("apps: [*x]", "undefined alias"),
        ("apps: \0", "line 1: the character U+0000"),
        ("\napps: \ud800", "line 2: the character U+D800"),
        ('apps: "\\U00110000"', "not YAML"),
        ("apps: !!python/object/apply:os.system [ls]", "the tag !!python/object/apply:os.system"),
        ("apps: !!python/name:os.system x", "the tag !!python/name:os.system"),
        ("apps: !!set {a}", "the tag !!set"),
        ("apps: !!binary aGk=", "the tag !!binary"),
        ("apps: !mine x", "the tag !mine"),
        ("apps: !!int x", "not a number"),
        ("apps: &a [*a]", "leads into itself"),
        ("apps: &a {<<: *a}", "leads into itself"),
        ("apps: {<<: 5}", "<< takes"),
        ("apps: []\napps: []", "line 2: apps: this key stands twice"),
        ("[" * 100_000, "nested deeper than 32"),
        ("- " * 2_000, "nested deeper than 32"),
        ("x" * 600_000, "longer than 512 KiB"),
        (APP.replace("image: i", "image: -i"), "line 3: apps[0].image: '-i' is not an image"),
        (APP.replace("name: a", "name: a b"), "line 2: apps[0].name: 'a b' is not a name"),
        (APP + "  - name: a\n    image: i\n", "line 4: apps[1].name: 'a' is also the name"),
        ("queues: [{name: q, concurrency: -1}]", "at least 1"),
        ("queues: [{}]", "queues[0].name: this key is missing"),
        ("subscriptions: [{topic: uploads, app: a, job: j}]", "not an SNS topic's ARN"),
        (f"{JOB}        schedules: [{{cron: x}}]", "schedules[0].name: this key is missing"),
        (f"{JOB}        schedules: [{{name: n, cron: '60 * * * *'}}]", "no such minute"),
        (f"{JOB}        schedules: [{{name: n, cron: '@daily'}}]", "not five fields"),
        (f"{JOB}        schedules: [{{name: n, cron: 5}}]", "5 is not a text"),
        (f"{TIMED}, timezone: Mars}}]", "not a time zone"),
        (f"{TIMED}, timezone: localtime}}]", "not a time zone"),
        (f"{TIMED}, message: null}}]", "a message is not null"),
        (f"{TIMED}, message: {'x' * 17_000}}}]", "longer than 16,384 characters"),
        (f"{TIMED}, overlap: never}}]", "'never' is not one of"),
        (f"{TIMED}, catch_up: some}}]", "'some' is not one of"),
        (f"{TIMED}, catch_up_limit: 1001}}]", "too high; at most 1000"),
        (f"{TIMED}, zone: UTC}}]", "unknown key"),
        (f"{TIMED}}}, {{name: n, cron: '* * * * *'}}]", "also the name of the one in line"),
        (f"subscriptions: [{{topic: '{TOPIC}', job: j}}]", "subscriptions[0].app: this key is"),
        (
            f"subscriptions:\n- &s {{topic: '{TOPIC}', app: a, job: j}}\n- {{<<: *s, job: k}}",
            "subscriptions[1].topic: the queue default hears this topic in line 2 already",
        ),
    ],
)
def test_a_wrong_file_is_named(text: str, words: str) -> None:
    assert any(words in problem for problem in problems(text))


@pytest.mark.parametrize(
    "level", ["{0}: &{0} [{1}]\n", "{0}: &{0} {{{1}}}\n"], ids=["aliases", "merges"]
)
def test_a_bomb_of_aliases_is_refused_in_a_moment(level: str) -> None:
    alias = "*{}" if "[" in level else "<<: *{}"
    text = "n0: &n0 {x: 1}\n"
    for number in range(1, 12):
        inner = ", ".join([alias.format(f"n{number - 1}")] * 9)
        text += level.format(f"n{number}", inner)
    start = time.monotonic()
    assert "aliases (*) are written out" in problems(text)[0]
    assert time.monotonic() - start < 60


def test_a_fault_has_line_column_and_path_for_machines() -> None:
    with pytest.raises(ManifestError) as caught:
        parse(JOB + "        tiemout: 5\n", base=None)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.path) == (7, 9, "apps[0].jobs[0].tiemout")


def test_a_file_of_thousands_of_faults_has_a_readable_message() -> None:
    lines = problems("queues:\n" + "  - {name: q}\n" * 200)
    assert len(lines) == 51
    assert lines[-1] == "and 149 more"


def test_a_jobs_queue_may_be_elsewhere_and_is_told() -> None:
    manifest = parse(WHOLE, base=Path("/srv"))
    assert [job.name for job in unknown_queues(manifest, ["fast"])] == ["Thumbnail"]
    assert unknown_queues(manifest, ["slow"]) == ()


def test_the_schema_for_editors_is_the_one_in_docs() -> None:
    text = (DOCS / "apply.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == json_schema()


def test_a_job_without_its_app_is_not_written() -> None:
    with pytest.raises(ValueError, match="of the app gone"):
        dump(Manifest(jobs=(JobDefinition("gone", "j", ("c",)),)))


NAMES = some.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,12}", fullmatch=True)
QUEUES = some.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
TEXTS = some.text(
    some.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0"), max_size=20
)
ENVS = some.dictionaries(
    some.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True), TEXTS, max_size=3
)
DELAYS = some.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1))
LIMITS = some.none() | some.integers(1, 100_000)
POLICIES = some.builds(
    RetryPolicy,
    limit=some.integers(0, 100),
    base_delay=DELAYS,
    max_delay=some.none() | DELAYS.map(lambda delay: delay + timedelta(days=1)),
    jitter=some.booleans(),
)
JOBS = some.builds(
    JobDefinition,
    app=some.just(""),
    name=NAMES,
    command=some.lists(TEXTS, max_size=3).map(lambda words: ("run", *words)),
    queue=QUEUES,
    timeout=some.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=30)),
    grace=some.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=1)),
    cpu=some.integers(1, 196_608),
    memory=some.integers(6, 16_777_216),
    retry=POLICIES,
    concurrency=LIMITS,
    priority=some.integers(-100, 100),
    env=ENVS,
    at_most_once=some.booleans(),
    message_file=some.booleans(),
    capabilities=some.sampled_from([(), ("KILL",), ("NET_ADMIN", "CHOWN")]),
    network=some.sampled_from(["bridge", "none", "host"]),
    pids=some.integers(1, 4_194_304),
)
APPS = some.builds(
    App,
    name=NAMES,
    image=some.sampled_from(["i", "r.example.com:5000/a/b:tag", "a@sha256:" + "0" * 64]),
    description=TEXTS,
    env=ENVS,
    process_path=some.sampled_from([(), ("/bin", "/usr/local/bin")]),
    mask=some.sampled_from([(), ("a+", "[0-9]{3}")]),
    notify=some.sampled_from([{}, {"slack": "#x"}, {"email": ["a@b"], "webhook": "https://x"}]),
)


SCHEDULES = some.builds(
    Schedule,
    app=some.just(""),
    job=some.just(""),
    name=NAMES,
    cron=some.sampled_from(["* * * * *", "*/5 0 L * *", "0 3 29 2 MON#2"]),
    timezone=some.sampled_from(["UTC", "Asia/Tokyo"]),
    message=some.one_of(TEXTS, some.booleans(), ENVS, some.lists(TEXTS)).map(strict_json.dumps),
    queue=some.none() | QUEUES,
    overlap=some.sampled_from(Overlap),
    catch_up=some.sampled_from(CatchUp),
    catch_up_limit=some.integers(1, 1000),
)
TOPICS = some.sampled_from([TOPIC, f"{TOPIC}.fifo"])
PAIR = attrgetter("queue", "topic")


@some.composite
def manifests(draw: some.DrawFn) -> Manifest:
    apps = draw(some.lists(APPS, max_size=3, unique_by=lambda app: app.name))
    jobs = [
        replace(job, app=app.name)
        for app in apps
        for job in draw(some.lists(JOBS, max_size=2, unique_by=lambda job: job.name))
    ]
    queues = draw(
        some.lists(some.builds(Queue, QUEUES, LIMITS), max_size=3, unique_by=lambda q: q.name)
    )
    timed = [
        replace(each, app=job.app, job=job.name)
        for job in jobs
        for each in draw(some.lists(SCHEDULES, max_size=2, unique_by=lambda each: each.name))
    ]
    topics = draw(
        some.lists(
            some.builds(Subscription, TOPICS, QUEUES, NAMES, NAMES), max_size=2, unique_by=PAIR
        )
    )
    return Manifest(tuple(apps), tuple(jobs), tuple(queues), tuple(topics), tuple(timed))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifests())
def test_a_manifest_survives_being_written(manifest: Manifest) -> None:
    assert parse(dump(manifest), base=None) == manifest


@given(some.text(max_size=60) | some.text("[]{}:,-&*!?|>'\"#%@ \nab1<", max_size=60))
def test_no_text_raises_anything_but_a_manifest_error(text: str) -> None:
    try:
        parse(text, base=None)
    except ManifestError as error:
        assert error.problems  # noqa: PT017 - most texts are refused, some are not
