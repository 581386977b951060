"""Exports: what there is, as the file that makes it; applied, it changes nothing."""

from dataclasses import replace

import httpx
from hypothesis import HealthCheck, given, settings

from barbeque_py.apps import JobDefinition, Queue, Subscription
from barbeque_py.manifest import Manifest, dump, parse
from barbeque_py.store import apps, subscriptions
from tests.api.served import Running, error_code
from tests.unit.test_manifest import manifests

YAML = {"content-type": "application/yaml"}


def applied(api: Running, text: str) -> httpx.Response:
    answer = api.client.post("/v2/apply", content=text.encode(), headers=YAML)
    assert answer.status_code == 200, answer.text
    return answer


def whole(manifest: Manifest) -> Manifest:
    """Return it with every queue that it names, and without topics, which need SQS."""
    named = {queue.name for queue in manifest.queues}
    missing = {job.queue for job in manifest.jobs}
    missing |= {each.queue for each in manifest.schedules if each.queue is not None}
    missing -= named
    queues = (*manifest.queues, *(Queue(name) for name in sorted(missing)))
    return replace(manifest, queues=queues, subscriptions=())


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(manifest=manifests())
def test_what_is_exported_and_applied_changes_nothing(
    small_api: Running, manifest: Manifest
) -> None:
    applied(small_api, dump(whole(manifest)))
    exported = small_api.get("/v2/export")
    assert exported.headers["content-type"].startswith("application/yaml")
    changes = applied(small_api, exported.text).json()["changes"]
    assert {each["change"] for each in changes} == {"unchanged"}
    there = parse(exported.text, base=None)
    assert all(app in there.apps for app in manifest.apps)
    assert all(job in there.jobs for job in manifest.jobs)
    assert all(each in there.schedules for each in manifest.schedules)
    assert small_api.get("/v2/export").text == exported.text


def test_an_export_of_some_apps_has_their_queues_only(api: Running) -> None:
    job = JobDefinition("other", "Echo", ("echo",), queue="slow")
    applied(api, "apps: [{name: other, image: other}]")
    api.store.write(lambda tx: apps.put_job(tx, job))
    found = parse(api.get("/v2/export", params={"app": "other"}).text, base=None)
    assert [app.name for app in found.apps] == ["other"]
    assert found.jobs == (job,)
    assert found.queues == (Queue("slow", 2),)
    both = parse(api.get("/v2/export?app=other&app=media").text, base=None)
    assert [app.name for app in both.apps] == ["media", "other"]


def test_an_export_of_an_unknown_app_is_404(small_api: Running) -> None:
    answer = small_api.get("/v2/export", params={"app": "nothing"})
    assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def test_an_export_names_the_topics_that_queues_hear(small_api: Running) -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:uploads"
    wanted = Subscription(topic, "default", "media", "Thumbnail")
    small_api.store.write(lambda tx: subscriptions.put(tx, wanted))
    assert parse(small_api.get("/v2/export").text, base=None).subscriptions == (wanted,)
