"""What an attempt is launched as: its image, command, environment and size."""

from barbeque_py import clock, ecs_settings, tracing
from barbeque_py.apps import App, JobDefinition
from barbeque_py.executor import Blueprint, Launch, Preparation
from barbeque_py.ids import attempt_id
from barbeque_py.store.ready import Ready


def blueprint_of(app: App, job: JobDefinition) -> Blueprint:
    """Return what must be ready before an attempt at the job can be launched."""
    if job.callback:
        grace = job.grace.total_seconds()
        return Blueprint(app.name, image="", grace=grace, callback=job.callback)
    return Blueprint(
        app.name,
        app.pinned or app.image,
        grace=job.grace.total_seconds(),
        ecs=ecs_settings.merged(app, job),
        revision=app.revision,
    )


def launch_of(
    execution: Ready,
    app: App,
    job: JobDefinition,
    *,
    number: int,
    prepared: Preparation | None,
) -> Launch:
    """Return what starts the execution's attempt of this number; the same for the same rows."""
    own = execution.options.get("timeout")
    timeout = job.timeout.total_seconds()
    return Launch(
        attempt=attempt_id(execution.message_id, number),
        message_id=execution.message_id,
        number=number,
        app=execution.app,
        job=execution.job,
        image=prepared.image if prepared else app.image,
        command=job.command,
        environment={**app.env, **job.env, **_environment(execution, number)},
        timeout=timeout if own is None else min(timeout, float(own)),
        grace=job.grace.total_seconds(),
        cpu=job.cpu,
        memory=job.memory,
        pids=job.pids,
        capabilities=job.capabilities,
        network=job.network,
        path=app.process_path,
        message_file=job.message_file,
        report_files=job.report_files,
        place=prepared.place if prepared else "",
        details=prepared.details if prepared else {},
        quotas=prepared.quotas if prepared else (),
    )


def _environment(execution: Ready, number: int) -> dict[str, str]:
    """Return what every job is given (DESIGN 5.2), the message apart."""
    given = {
        "BARBEQUE_APP": execution.app,
        "BARBEQUE_ATTEMPT_ID": attempt_id(execution.message_id, number),
        "BARBEQUE_JOB": execution.job,
        "BARBEQUE_MESSAGE_ID": execution.message_id,
        "BARBEQUE_QUEUE_NAME": execution.queue,
        "BARBEQUE_RETRY_COUNT": str(execution.counted_before),
        "BARBEQUE_SENT_TIMESTAMP": str(clock.milliseconds(execution.sent_at)),
    }
    trace = execution.options.get("traceparent")
    if trace is None:
        return given
    if tracing.on():
        trace = tracing.of_attempt(trace, given["BARBEQUE_ATTEMPT_ID"])
    return {**given, "TRACEPARENT": trace}
