"""What the API is made of: live parts and the settings it follows; wiring puts them together."""

from dataclasses import dataclass, field
from pathlib import Path

from barbeque_py.broker import Broker, Queues
from barbeque_py.logstore import LogStore
from barbeque_py.release import Sources
from barbeque_py.store import Store
from barbeque_py.subscriptions import Topics
from barbeque_py.wake import Bell
from barbeque_py.watched import Watching


@dataclass(frozen=True, slots=True)
class Served:
    """One API's parts, and the settings it follows."""

    store: Store
    broker: Broker
    logs: LogStore
    bell: Bell
    home: Path
    """Where the snapshot of names is kept: BARBEQUE_HOME."""
    queues: Queues | None = None
    """Makes queues; None where the database carries messages and needs none."""
    topics: Topics | None = None
    """Lets queues hear SNS; None where messages don't come by SQS."""
    watching: Watching | None = None
    """Shows logs that nobody ships while their tasks run; None where there are none."""
    sources: Sources = field(default_factory=Sources)
    """Where images may come from, and who knows what their tags mean."""
    default_queue: str = "default"
    verify_enqueued_jobs: bool = False
    host_url: str | None = None
    """The console's address as people reach it, without a slash at its end."""
    max_body: int = 1024 * 1024
    """Bytes of a request's body."""
    ask_for_tokens: bool = False
    """Whether each request must show one; else everybody may do everything."""
    rate_limit: int = 0
    """How many requests a second each token may make; 0 is any number."""
    allowed_hosts: frozenset[str] | None = None
    """Host names, without port, that requests may name; None takes any."""
