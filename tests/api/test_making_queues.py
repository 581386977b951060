"""With SQS, applying a file makes the queues that it names before anything is stored."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.store import Store, apps
from tests.api.served import Running, error_code, parts_of, serving
from tests.cloud.rig import CloudProcess

YAML = {"content-type": "application/yaml"}
FILE = """
apps:
  - name: media
    image: media:1
    jobs: [{name: Encode, command: [encode], queue: encodes}]
queues: [{name: default}, {name: encodes}]
"""


class Fleet:
    """An API whose queues are of SQS, under a prefix of their own."""

    def __init__(self, api: Running, cloud: CloudProcess, prefix: str) -> None:
        self.api = api
        self.prefix = prefix
        self._sqs = cloud.client("sqs")

    def apply(self, text: str = FILE, **params: Any) -> Any:
        return self.api.client.post("/v2/apply", content=text, headers=YAML, params=params)

    @property
    def made(self) -> set[str]:
        """What our queues are called in SQS, without the prefix."""
        found = self._sqs.list_queues(QueueNamePrefix=self.prefix).get("QueueUrls", [])
        return {url.rpartition("/")[2].removeprefix(self.prefix) for url in found}

    @property
    def stored(self) -> set[str]:
        return set(self.api.store.read(apps.queue_names))

    def drop(self, queue: str) -> None:
        url = self._sqs.get_queue_url(QueueName=self.prefix + queue)["QueueUrl"]
        self._sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def fleet(
    sqlite_store: Store, tmp_path: Path, calm_cloud: CloudProcess, aws_environment: dict[str, str]
) -> Iterator[Fleet]:
    prefix = f"M{uuid.uuid4().hex[:8]}-"
    with ExitStack() as opened:
        broker = opened.enter_context(closing(SqsBroker(prefix)))
        queues = opened.enter_context(closing(SqsQueues(prefix, installation="abc123")))
        parts = parts_of(sqlite_store, tmp_path)
        api = opened.enter_context(serving(parts, broker=broker, queues=queues))
        yield Fleet(api, calm_cloud, prefix)


def test_apply_makes_each_queue_and_its_dead_letter_queue(fleet: Fleet) -> None:
    assert fleet.apply().status_code == 200
    assert fleet.made == {"default", "default-dead", "encodes", "encodes-dead"}
    assert fleet.stored == {"default", "encodes"}


def test_queues_tell_how_many_messages_sqs_has(fleet: Fleet) -> None:
    assert fleet.apply().status_code == 200
    for delay in (0, 0, 60):
        job = {"application": "media", "job": "Encode", "message": {}} | {"delay_seconds": delay}
        assert fleet.api.post("/v2/job_executions", job).status_code == 201
    told = {each["name"]: each["messages"] for each in fleet.api.get("/v2/queues").json()["queues"]}
    assert told == {"default": 3, "encodes": 0}


def test_applying_again_makes_a_queue_that_somebody_deleted(fleet: Fleet) -> None:
    fleet.apply()
    fleet.drop("encodes")
    fleet.drop("encodes-dead")
    answer = fleet.apply()
    assert {each["change"] for each in answer.json()["changes"]} == {"unchanged"}
    assert fleet.made >= {"encodes", "encodes-dead"}


def test_a_queue_that_only_a_job_names_is_made_too(fleet: Fleet) -> None:
    fleet.apply()
    fleet.drop("encodes")
    assert fleet.apply(FILE.replace(", {name: encodes}", "")).status_code == 200
    assert "encodes" in fleet.made


def test_a_dry_run_makes_no_queue(fleet: Fleet) -> None:
    assert fleet.apply(dry_run=1).status_code == 200
    assert fleet.made == set()


def test_a_faulty_file_makes_no_queue(fleet: Fleet) -> None:
    assert fleet.apply(FILE.replace("queue: encodes", "queue: encods")).status_code == 422
    assert fleet.made == set()


def test_a_missing_permission_is_named_and_nothing_is_stored(
    fleet: Fleet, calm_cloud: CloudProcess
) -> None:
    calm_cloud.faults(sqs={"deny": ["CreateQueue"]})
    answer = fleet.apply()
    assert (answer.status_code, error_code(answer)) == (409, "conflict")
    assert "nothing was stored" in answer.json()["message"]
    assert "sqs:CreateQueue" in answer.json()["message"]
    assert "allow it in its policy" in answer.json()["message"]
    assert fleet.stored == set()
    calm_cloud.calm()
    assert fleet.apply().status_code == 200


def test_a_queue_of_another_installation_is_left_alone(fleet: Fleet) -> None:
    with closing(SqsQueues(fleet.prefix, installation="other1")) as others:
        others.ensure_queue("encodes")
    answer = fleet.apply()
    assert answer.status_code == 409
    assert "belongs to the installation other1" in answer.json()["message"]
    assert fleet.stored == set()


def test_while_sqs_is_away_nothing_is_stored_and_the_same_request_repairs_it(
    fleet: Fleet, calm_cloud: CloudProcess
) -> None:
    calm_cloud.faults(sqs={"down": True})
    assert fleet.apply().status_code == 503
    assert fleet.stored == set()
    calm_cloud.calm()
    assert fleet.apply().status_code == 200
    assert fleet.stored == {"default", "encodes"}


def test_a_name_that_sqs_cannot_have_is_refused(fleet: Fleet) -> None:
    answer = fleet.apply("queues: [{name: done-dead}]")
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert "can't end in -dead" in answer.json()["message"]
