"""What the console is made of: live parts; wiring puts them together."""

from dataclasses import dataclass, field
from datetime import timedelta

from barbeque_py.broker import Broker, Queues
from barbeque_py.entrance import Entrance
from barbeque_py.logstore import LogStore
from barbeque_py.release import Sources
from barbeque_py.setting_values import EnvironmentName
from barbeque_py.store import Store
from barbeque_py.subscriptions import Topics
from barbeque_py.wake import Bell
from barbeque_py.watched import Watching


@dataclass(frozen=True, slots=True)
class Shown:
    """What one console shows and acts on."""

    store: Store
    broker: Broker
    logs: LogStore
    bell: Bell
    watching: Watching | None = None
    """Shows logs that nobody ships while their tasks run; None where there are none."""
    queues: Queues | None = None
    """Makes queues; None where the database carries messages and needs none."""
    topics: Topics | None = None
    """Lets queues hear SNS; None where messages don't come by SQS."""
    sources: Sources = field(default_factory=Sources)
    """Where images may come from, and who knows what their tags mean."""
    entrance: Entrance | None = None
    """How people come in; without it nobody is asked, which is for loopback only."""
    with_api: bool = False
    """Whether the API is served at the same address, with its pages."""
    read_only: bool = False
    """Whether nothing may be changed here."""
    logs_url: str = ""
    """Where the log store is, if people may read it there: `s3://BUCKET/PREFIX`."""
    keep_logs: timedelta | None = None
    """How long logs are kept after the end of their execution."""
    host_url: str | None = None
    """The console's address as people reach it, when a proxy gives it another one."""
    allowed_hosts: frozenset[str] | None = None
    """Host names, without port, that requests may name; None takes any."""
    environment: EnvironmentName | None = None
    """What every page calls this installation; None: nothing."""
