"""Settings that name a part by its URL: the database, the broker, the executor and the log store.

Every reader raises `ValueError` with the cure.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from barbeque_py.ecs_url import EcsUrl, read_ecs_url

MOST_SLOTS = 10_000

_MYSQL = re.compile(
    r"mysql(?:\+pymysql)?://(?P<login>[^:/?#@\s]+(?::[^:/?#@\s]*)?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/?#@\s]*)(?P<port>:\d{1,5})?/[^/?#@\s]+(?P<query>\?[^#\s]*)?"
)

_SECRET_PARAMETER = re.compile(
    r"((?:password|passwd|passphrase|secret|token)=)[^&]*", re.IGNORECASE
)

_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,10}")

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_KEY_PREFIX = re.compile(r"(?!.*//)[A-Za-z0-9!_.'()/-]{1,200}")


@dataclass(frozen=True, slots=True)
class ExecutorUrl:
    """Which executor runs the attempts, and with what."""

    kind: str
    """`docker` or `process`."""
    slots: int | None = None
    """How many attempts may run at once here; None is the CPU count."""
    socket: Path | None = None
    """The Docker engine's socket; None is where the engine puts it."""


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """What carries messages."""

    kind: str
    """`database` or `sqs`."""
    prefix: str = "Barbeque-"
    """What SQS's queue names begin with."""
    region: str | None = None
    """None is what the AWS settings say."""


@dataclass(frozen=True, slots=True)
class LogsUrl:
    """Which log store keeps the logs."""

    kind: str
    """`directory` or `s3`."""
    path: Path = Path()
    """The directory."""
    bucket: str = ""
    prefix: str = ""
    region: str | None = None
    """None is what the AWS settings say."""

    @property
    def url(self) -> str:
        """Return the address of a bucket's folder; nothing of what only this machine reaches."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/") if self.kind == "s3" else ""


def redact_url(url: str) -> str:
    """Return the URL without its password, whatever else is wrong with it.

    All that may belong to a password goes, so more than the password may.
    """
    scheme, mark, rest = _SECRET_PARAMETER.sub(r"\1***", url).partition("://")
    if not mark:
        return "(not shown: not a URL)"
    if scheme == "sqlite":
        return url
    login, at, place = rest.rpartition("@")
    if at:
        return f"{scheme}://{login.partition(':')[0]}:***@{place}"
    host, colon, tail = rest.partition(":")
    if scheme.startswith("mysql") and colon and not re.match(r"\d{1,5}(/|$)", tail):
        return f"{scheme}://{host}:***"
    return url


def read_home(text: str) -> Path:
    """Read a directory, relative to the current one."""
    if "?" in text or "#" in text:
        raise ValueError("the path may not contain ? or #: it becomes part of a URL")
    return Path(text).expanduser().absolute()


def read_database(text: str) -> str:
    """Read a database's URL; a relative SQLite file is made absolute."""
    if text.startswith("sqlite:"):
        return _sqlite(text)
    form = _MYSQL.fullmatch(text)
    if form is None or not (form["host"] or "unix_socket=" in (form["query"] or "")):
        raise ValueError(
            "write sqlite:///PATH or mysql+pymysql://USER:PASSWORD@HOST:PORT/DATABASE, with "
            "characters such as @ : / # ? % in the password percent-encoded (@ is %40)"
        )
    return "mysql+pymysql://" + text.partition("://")[2]


def _sqlite(text: str) -> str:
    path = text.removeprefix("sqlite:///")
    if path in ("", text, ":memory:") or "?" in path or "#" in path:
        raise ValueError(
            "write sqlite:///PATH: a file (a database in memory would end with its process), "
            "without ? or # in its path"
        )
    return f"sqlite:///{Path(path).absolute()}"


def read_broker(text: str) -> BrokerUrl:
    """Read the broker's URL: `database:`, or `sqs:` with its parameters."""
    kind, colon, rest = text.partition(":")
    if kind not in ("database", "sqs") or not colon or (rest and not rest.startswith("?")):
        raise ValueError("write database: or sqs:?prefix=Barbeque-&region=eu-west-1")
    given = read_parameters(rest.removeprefix("?"), ("prefix", "region") if kind == "sqs" else ())
    prefix = given.get("prefix", "Barbeque-")
    if _PREFIX.fullmatch(prefix) is None:
        raise ValueError("the prefix has up to 10 of A-Z a-z 0-9 _ - (SQS's names end at 80)")
    return BrokerUrl(kind, prefix, read_region(given))


def read_executor(text: str) -> ExecutorUrl | EcsUrl:
    """Read the executor's URL with its parameters."""
    kind, colon, rest = text.partition(":")
    if kind == "ecs":
        return read_ecs_url(text)
    if kind not in ("docker", "process") or not colon or (rest and not rest.startswith("?")):
        raise ValueError(
            "write docker:, docker:?slots=8&socket=/path, process:, process:?slots=4, or "
            "ecs:CLUSTER?subnets=...&execution_role=..."
        )
    known = ("slots", "socket") if kind == "docker" else ("slots",)
    given = read_parameters(rest.removeprefix("?"), known)
    return ExecutorUrl(
        kind,
        slots=_slots(given["slots"]) if "slots" in given else None,
        socket=_absolute(given["socket"]) if "socket" in given else None,
    )


def _slots(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,6}", text) is None or not 1 <= int(text) <= MOST_SLOTS:
        raise ValueError(f"slots is a whole number from 1 to {MOST_SLOTS}")
    return int(text)


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError("the socket is an absolute path, as in /var/run/docker.sock")
    return path


def read_logs(text: str) -> LogsUrl:
    """Read the log store's URL: `directory:PATH`, made absolute, or `s3://BUCKET/PREFIX`."""
    kind, _, path = text.partition(":")
    if kind == "s3":
        return _s3(path)
    if kind != "directory" or not path:
        raise ValueError("write directory:/PATH or s3://BUCKET/PREFIX")
    return LogsUrl("directory", Path(path).expanduser().absolute())


def _s3(rest: str) -> LogsUrl:
    place, _, query = rest.partition("?")
    bucket, _, prefix = place.removeprefix("//").partition("/")
    given = read_parameters(query, ("region",))
    if not place.startswith("//") or _BUCKET.fullmatch(bucket) is None:
        raise ValueError(
            "write s3://BUCKET or s3://BUCKET/PREFIX, with ?region=eu-west-1 if needed"
        )
    prefix = prefix.strip("/")
    if prefix and _KEY_PREFIX.fullmatch(prefix) is None:
        raise ValueError("the prefix has A-Z a-z 0-9 ! - _ . ' ( ) and / between its parts")
    return LogsUrl("s3", bucket=bucket, prefix=prefix, region=read_region(given))


def read_region(given: dict[str, str]) -> str | None:
    """Return the Region among the parameters, if there is one."""
    region = given.get("region")
    if region is not None and _REGION.fullmatch(region) is None:
        raise ValueError("a region is written as in eu-west-1")
    return region


def read_parameters(text: str, known: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=VALUE`, joined by `&`, of the known names, each at most once."""
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise ValueError("parameters are NAME=VALUE, joined by &") from None
    for name, value in pairs:
        if name not in known:
            raise ValueError(f"the parameter {name!r} is unknown; known: {', '.join(known)}")
        if name in found:
            raise ValueError(f"the parameter {name!r} stands twice; keep one")
        found[name] = value
    return found
