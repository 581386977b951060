"""What a test may turn on the ECS simulator, by its control verb `configure`."""

from dataclasses import asdict, dataclass, field, fields

from tests.cloud.service import AwsFault, Json


@dataclass(slots=True)
class Knobs:
    """The knobs; `seconds` are real seconds, `p` a probability from 0 to 1."""

    runner: str = "docker"
    """docker, process or fake; for tasks started from now on."""
    network: str = "host"
    """The Docker network of containers."""
    cpu_limits: bool = False
    """Docker: hold a task to its CPU units, as Fargate does; off, tests are faster."""
    provision_seconds: float = 0.02
    deprovision_seconds: float = 0.02
    stop_timeout: float = 30.0
    """Seconds from SIGTERM to SIGKILL where the definition does not say."""
    stopped_life: float = 3600.0
    """Seconds for which a stopped task can be described."""
    appear_seconds: float = 0.0
    """Seconds before a new task can be described, listed or stopped: eventual consistency."""

    token_life: float = 3600.0
    """Seconds a clientToken lives on after its last task has stopped."""
    token_longest: float = 86400.0
    """Seconds after which every clientToken is dead."""

    buckets: bool = False
    scale: float = 1.0
    """Factor on the rates and bursts of all buckets."""
    hidden_throttle: float = 0.0
    """p that RunTask is throttled in the guise of a ClientException."""
    registration_races: bool = False
    """Refuse RegisterTaskDefinition while another one for the family is under way."""

    blocked: bool = False
    capacity: float = 0.0
    """p that a task can't be placed."""
    no_capacity_for: Json | list[Json] = field(default_factory=list)
    """Sizes that can't be placed: {cpu, memory, provider, until}; all tasks at least that big."""
    failed_starts: float = 0.0
    """p that a task stops before it starts."""
    failed_start_reason: str = (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        "retrieval failed: unable to retrieve ecr registry auth: service call has been retried 3 "
        "time(s): RequestError: send request failed"
    )
    interrupt_code: str = "SpotInterruption"
    """stopCode of `interrupt`; TerminationNotice is the other one seen."""

    awslogs: bool = True
    """Write the lines of containers with the driver awslogs to CloudWatch Logs."""
    flush_seconds: float = 0.2
    late_lines: Json = field(default_factory=dict)
    """{p, seconds}: p that a container's last lines come so long after its task has STOPPED."""

    event_queue: str | list[str] = ""
    """Name of the SQS queue, or of several, that the rule sends events to; none without."""
    event_statuses: list[str] = field(default_factory=lambda: ["RUNNING", "STOPPED"])
    events_lost: float = 0.0
    events_doubled: float = 0.0
    events_shuffled: float = 0.0
    """Seconds within which an event is delayed at random."""

    def turn(self, request: Json) -> None:
        """Set the knobs named; raises `AwsFault` for one that is not there."""
        known = {each.name for each in fields(self)}
        for name, value in request.items():
            if name not in known:
                raise AwsFault("InvalidParameterException", f"There is no knob {name}")
            setattr(self, name, value)

    def show(self) -> Json:
        """Return all knobs as they stand."""
        return asdict(self)
