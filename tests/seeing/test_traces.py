"""One enqueue is one trace, from the request to the notice; and what a process writes beside it."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.flows.place import PATIENCE, Place, alone
from tests.receiver import Received, Receiver, Reply
from tests.waiting import wait_until

__all__ = ["alone"]

TRACE, ABOVE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
JOB = """
import os
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(os.environ["TO"])))
above = TraceContextTextMapPropagator().extract({"traceparent": os.environ["TRACEPARENT"]})
with provider.get_tracer("job").start_as_current_span("the job's own", context=above):
    print("traced")
"""
FILE = """
apps:
  - name: shop
    image: none
    notify: {{slack: "#shop", hears: [success]}}
    jobs:
      - name: Traced
        command: ["{python}", "{script}"]
        env: {{TO: "{to}/v1/traces"}}
queues: [{{name: default}}]
"""
SECRET = "c4nary-of-the-database"
FAILING = """
import logging
import sentry_sdk
from barbeque_py.cli.observing import observe
from barbeque_py.settings import Settings
settings = Settings.from_environment()
observe(settings, "worker")
attempt = "01a21e9c-6621-7ae8-831d-37dd9c1adf5d-2"
try:
    raise ValueError(f"no way into {settings.database}")
except ValueError:
    logging.getLogger("barbeque.test").exception("attempt %s failed", attempt)
sentry_sdk.flush(60)
"""


class Collector:
    """What takes spans by OTLP, and Slack's messages beside it."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.services: set[str] = set()
        self.server = Receiver(self._answer)
        self.url = self.server.url

    def _answer(self, received: Received) -> Reply:
        if received.path != "/v1/traces":
            body = b'{"ok": true, "channel": "C1", "ts": "1.0"}'
            return Reply(body=body, headers={"content-type": "application/json"})
        body = received.body
        if received.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for found in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in found.resource.attributes}
            self.services.add(named["service.name"])
            for scope in found.scope_spans:
                self.spans |= {span.name: span for span in scope.spans}
        return Reply(headers={"content-type": "application/x-protobuf"})


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.server.close()


def test_one_enqueue_is_one_trace_with_the_job_s_own_span_in_it(
    alone: Place, collector: Collector
) -> None:
    folder = alone.home.parent
    (folder / "job.py").write_text(JOB)
    (folder / "barbeque.yaml").write_text(
        FILE.format(python=sys.executable, script=folder / "job.py", to=collector.url)
    )
    alone.more |= {
        "BARBEQUE_TRACES": collector.url,
        "BARBEQUE_SLACK": "xoxb-1-nobody-of-ours",
        "BARBEQUE_SLACK_API": collector.url,
        "BARBEQUE_LOG_FORMAT": "json",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    alone.up()
    alone.say("apply", "-f", "barbeque.yaml")
    job = {"application": "shop", "job": "Traced", "queue": "default", "message": {}}
    above = {"traceparent": f"00-{TRACE}-{ABOVE}-01"}
    asked = httpx.post(f"{alone.url}/v2/job_executions", json=job, headers=above)
    assert asked.status_code == 201
    names = {
        "POST /v2/job_executions": None,
        "send default": "POST /v2/job_executions",
        "receive default": "send default",
        "attempt 1": "send default",
        "launch shop/Traced": "attempt 1",
        "the job's own": "attempt 1",
        "seal the log": "attempt 1",
        "notify by slack": "send default",
    }
    wait_until(lambda: names.keys() <= collector.spans.keys(), "every span is there")
    spans = collector.spans
    assert {spans[name].trace_id.hex() for name in names} == {TRACE}
    for name, parent in names.items():
        wanted = ABOVE if parent is None else spans[parent].span_id.hex()
        assert spans[name].parent_span_id.hex() == wanted, name
        assert spans[name].status.code == Status.STATUS_CODE_UNSET, name
        assert spans[name].start_time_unix_nano <= spans[name].end_time_unix_nano, name
    assert collector.services >= {"barbeque-api", "barbeque-worker"}
    alone.down()
    lines = [each for each in alone.output.read_text().splitlines() if each.startswith("{")]
    assert any(json.loads(each)["logger"].startswith("barbeque_worker") for each in lines)


def test_a_line_of_json_has_its_ids_and_sentry_is_told_no_secret(tmp_path: Path) -> None:
    with Receiver(lambda _: Reply(body=b"{}")) as server:
        environment = {
            "PATH": "/usr/bin:/bin",
            "BARBEQUE_HOME": str(tmp_path),
            "BARBEQUE_DATABASE": f"mysql://me:{SECRET}@db.example.com/barbeque",
            "BARBEQUE_LOG_FORMAT": "json",
            "BARBEQUE_SENTRY": f"http://c4nary@127.0.0.1:{server.server_port}/1",
        }
        ended = subprocess.run(
            [sys.executable, "-c", FAILING],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        told = [gzip.decompress(each.body).decode() for each in server.received]
    (line,) = (json.loads(each) for each in ended.stderr.splitlines() if each.startswith("{"))
    message_id = "01a21e9c-6621-7ae8-831d-37dd9c1adf5d"
    assert (line["message_id"], line["attempt_id"]) == (message_id, f"{message_id}-2")
    assert (line["level"], line["message"]) == ("error", f"attempt {message_id}-2 failed")
    assert "ValueError" in line["error"]
    (event,) = (each for each in told if "ValueError" in each)
    assert "no way into mysql" in event
    assert "***" in event
    assert SECRET not in event
    assert "breadcrumbs" not in event


def test_without_the_settings_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys, barbeque_py.cli.observing as found, barbeque_py.settings as s\n"
        "import barbeque_worker.main, barbeque_api.app\n"
        "found.observe(s.Settings.from_environment({}), 'api')\n"
        "print([each for each in sys.modules if each.startswith(('opentelemetry.sdk', "
        "'opentelemetry.exporter', 'sentry_sdk'))])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert ended.stdout == "[]\n"
