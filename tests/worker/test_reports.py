"""What jobs tell of themselves, with nothing but a shell: seen live, kept with the end."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from barbeque_api.job_routes import create_job_app
from barbeque_api.parts import Served
from barbeque_py.apps import App
from barbeque_py.ids import attempt_id
from barbeque_py.store import apps, reports
from barbeque_py.store.reports import Reported
from tests.api.served import listening
from tests.images import make_test_image
from tests.waiting import wait_until
from tests.worker.office import Office


@pytest.fixture(
    scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)]
)
def office(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    """An installation whose jobs reach an address for jobs, with one worker."""
    image = make_test_image() if request.param == "docker" else ""
    with ExitStack() as open_:
        office = Office(tmp_path_factory.mktemp("office"), f"{request.param}:?slots=4", image=image)
        open_.callback(office.close)
        parts = office.parts
        served = Served(
            store=parts.store,
            broker=parts.broker,
            logs=parts.logs,
            bell=parts.bell,
            home=office.home,
        )
        url, _ = open_.enter_context(listening(create_job_app(served)))
        office.set(BARBEQUE_JOB_URL=url)
        office.work()
        yield office


def told(office: Office, message_id: str) -> Reported | None:
    attempt = attempt_id(message_id, 1)
    return office.store.read(lambda tx: reports.of_attempt(tx, attempt))


def test_files_are_read_while_it_runs_and_the_result_comes_with_the_end(office: Office) -> None:
    script = (
        'echo "1/2 half of it" > "$BARBEQUE_PROGRESS_FILE";'
        "trap 'echo [3] > $BARBEQUE_RESULT_FILE; exit 0' TERM; sleep 60 & wait"
    )
    office.define("job", script, report_files=True)
    message_id = office.enqueue("job")
    seen = wait_until(lambda: told(office, message_id), "progress is seen")
    assert (seen.percent, seen.text, seen.result) == (50, "1/2 half of it", None)
    office.parts.executor.stop(attempt_id(message_id, 1), kill=False)
    wait_until(lambda: (e := office.execution(message_id)) and e.state == "succeeded", "it ended")
    ended = told(office, message_id)
    assert ended is not None
    assert (ended.text, ended.result, ended.fault) == ("1/2 half of it", "[3]", None)


def test_files_of_a_short_job_are_kept_with_its_end(office: Office) -> None:
    script = 'echo 99% > "$BARBEQUE_PROGRESS_FILE"; echo "[1]" > "$BARBEQUE_RESULT_FILE"; exit 1'
    office.define("job", script, report_files=True)
    message_id = office.enqueue("job")
    wait_until(lambda: (each := office.attempts(message_id)) and each[0].finished_at, "it ended")
    ended = told(office, message_id)
    assert ended is not None
    assert (ended.percent, ended.result) == (99, "[1]")


def test_a_shell_with_wget_alone_posts_both(office: Office) -> None:
    script = (
        "wget -q -O - --post-data '42% of it' \"$BARBEQUE_PROGRESS_URL\" &&"
        'wget -q -O - --post-data \'{"pages": 3}\' "$BARBEQUE_RESULT_URL"'
    )
    office.define("job", script.replace("wget", "busybox wget"), network="host")
    message_id = office.enqueue("job")
    assert office.end_of(message_id).state == "succeeded", office.log(message_id)
    ended = told(office, message_id)
    assert ended is not None
    assert (ended.percent, ended.text, ended.result) == (42, "of it", '{"pages":3}')


def test_what_masks_hide_is_not_kept(office: Office) -> None:
    app = App("app", office.image, mask=("card=[0-9]+", '"[{]'))
    office.store.write(lambda tx: apps.put_app(tx, app))
    office.define(
        "job",
        'echo "42% $API_TOKEN" > $BARBEQUE_PROGRESS_FILE;'
        'echo \'{"pay": "card=1234", "of": "\'$API_TOKEN\'"}\' > $BARBEQUE_RESULT_FILE',
        report_files=True,
        env={"API_TOKEN": "s3cr3t-value"},
    )
    office.define("cut", "echo '[\"{\"]' > $BARBEQUE_RESULT_FILE", report_files=True)
    ids = [office.enqueue("job"), office.enqueue("cut")]
    for message_id in ids:
        assert office.end_of(message_id).state == "succeeded"
    masked, cut = (told(office, message_id) for message_id in ids)
    assert masked is not None
    assert (masked.text, masked.result) == ("***", '{"pay":"***","of":"***"}')
    assert cut is not None
    assert cut.result is None
    assert cut.fault == "the result is not kept: a mask of the app cuts through its JSON"


def test_without_being_asked_docker_gives_no_files_and_silence_leaves_no_row(
    office: Office,
) -> None:
    office.define("job", 'echo "<$BARBEQUE_RESULT_FILE>"')
    message_id = office.enqueue("job")
    office.end_of(message_id)
    docker = office.environment["BARBEQUE_EXECUTOR"].startswith("docker")
    assert (office.log(message_id) == "<>\n") is docker
    assert told(office, message_id) is None
