"""Traces: what happened to a job from its request on, for whoever collects OpenTelemetry.

Nothing of OpenTelemetry is loaded until `begin`. A trace comes with a request, as W3C's
`traceparent`, and goes on with the job's message; what nobody traces leaves no span.
"""

import hashlib
import threading
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from barbeque_py.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Facts = Mapping[str, object]

_tracer: "_Tracer | None" = None


def begin(endpoint: str, service: str, version: str) -> None:
    """Send spans from now on to this address of OTLP over HTTP, in the name of the service.

    What waits is sent when the process ends. Raises `ConfigurationError` where OpenTelemetry is
    not installed.
    """
    global _tracer  # noqa: PLW0603 - one process has one trace of what it does
    try:
        _tracer = _Tracer(endpoint, service, version)
    except ImportError as error:
        raise ConfigurationError(
            "BARBEQUE_TRACES is set, and OpenTelemetry is not installed: install "
            f"barbeque-py[tracing] ({error})"
        ) from None


def on() -> bool:
    """Tell whether this process traces."""
    return _tracer is not None


def start(name: str, parent: str | None, facts: Facts, *, kind: str) -> "Started":
    """Begin a span below the parent; without one it begins a trace."""
    assert _tracer is not None, "asked for only where `on` says so"
    return Started(_tracer.span(name, parent, kind, facts))


def record(  # noqa: PLR0913 - what a span has
    name: str,
    parent: str | None,
    span: tuple[datetime, datetime],
    facts: Facts,
    *,
    kind: str = "internal",
    own: str | None = None,
    failed: bool = False,
) -> None:
    """Record a span that is over, with when it began and ended.

    `own` is its traceparent, where that was told before. Does nothing where this process does not
    trace, or nobody traces the job.
    """
    if _tracer is None or parent is None:
        return
    began, ended = span
    recorded = _tracer.span(name, parent, kind, facts, began=began, own=own)
    _close(recorded, failed=failed, ended=ended)


def of_attempt(traceparent: str, attempt: str) -> str:
    """Return what the attempt's job is told as its parent: the same whoever starts it."""
    version, trace, _, flags = traceparent.split("-")
    return f"{version}-{trace}-{hashlib.sha256(attempt.encode()).hexdigest()[:16]}-{flags}"


class Started:
    """A span that goes on; as a context it ends with the block, failed if that raises."""

    def __init__(self, span: "Span") -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """What its children are told."""
        found = self._span.get_span_context()
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        _close(self._span, failed=kind is not None)


class _Tracer:
    """OpenTelemetry, loaded."""

    def __init__(self, endpoint: str, service: str, version: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

        wanted = self._wanted = threading.local()

        class Ids(RandomIdGenerator):
            """Gives a span the id that was told before it began."""

            def generate_span_id(self) -> int:
                own = getattr(wanted, "own", None)
                return super().generate_span_id() if own is None else int(own.split("-")[2], 16)

        resource = Resource.create({"service.name": service, "service.version": version})
        self.provider: TracerProvider = TracerProvider(resource=resource, id_generator=Ids())
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer: Tracer = self.provider.get_tracer("barbeque_py", version)

    def span(
        self,
        name: str,
        parent: str | None,
        kind: str,
        facts: Facts,
        *,
        began: datetime | None = None,
        own: str | None = None,
    ) -> "Span":
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        self._wanted.own = own
        try:
            return self._tracer.start_span(
                name,
                context=_context_of(parent),
                kind=SpanKind[kind.upper()],
                attributes={f"barbeque.{key}": str(value) for key, value in facts.items()},
                start_time=None if began is None else _nanoseconds(began),
            )
        finally:
            self._wanted.own = None


def _context_of(traceparent: str | None) -> "Context":
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import (  # noqa: PLC0415
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    if traceparent is None:
        return Context()
    _, trace, span, flags = traceparent.split("-")
    above = SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)))  # noqa: FBT003 - from elsewhere
    return set_span_in_context(NonRecordingSpan(above), Context())


def _close(span: "Span", *, failed: bool, ended: datetime | None = None) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

    if failed:
        span.set_status(Status(StatusCode.ERROR))
    span.end(None if ended is None else _nanoseconds(ended))


def _nanoseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000) * 1000
