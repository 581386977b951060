"""The forms a setting's text may have, each read by one function.

Every reader raises `ValueError` with the cure; those of secrets leave the text out of it.
"""

import difflib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from barbeque_py.addresses import AN_EMAIL, EMAIL, SLACK_WEBHOOK
from barbeque_py.apps import QUEUE_NAME
from barbeque_py.durations import format_duration, parse_duration
from barbeque_py.ecs_url import EcsUrl, read_ecs_url
from barbeque_py.roles import Rule, read_grants
from barbeque_py.targets import Network

SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2}
MOST_SLOTS = 10_000
SHORTEST_SECRET = 32
"""Characters of the secret that a proxy shows."""
_WAYS = ("link", "users", "oidc", "proxy")
_LAST_PORT = 65_535

_HTTP_FLAGS = re.IGNORECASE | re.ASCII
_HTTP = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?(/[^?#@\s]*)?", _HTTP_FLAGS)
_MYSQL = re.compile(
    r"mysql(?:\+pymysql)?://(?P<login>[^:/?#@\s]+(?::[^:/?#@\s]*)?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/?#@\s]*)(?P<port>:\d{1,5})?/[^/?#@\s]+(?P<query>\?[^#\s]*)?"
)
_ADDRESS = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+):(\d{1,5})", _HTTP_FLAGS)
_REGISTRY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]*(:\d{1,5})?(/[a-z0-9._-]+)*", re.ASCII)
_SIZE = re.compile(r"(\d{1,12})\s?(B|KiB|MiB)?", re.ASCII)
_SECRET_PARAMETER = re.compile(
    r"((?:password|passwd|passphrase|secret|token)=)[^&]*", re.IGNORECASE
)
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,10}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY_PREFIX = re.compile(r"(?!.*//)[A-Za-z0-9!_.'()/-]{1,200}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_MAIL = re.compile(
    r"((?P<user>[^:/?#@\s]+):(?P<password>[^:/?#@\s]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>\d{1,5}))?/?",
    re.ASCII,
)
_BOT_TOKEN = re.compile(r"xoxb-[A-Za-z0-9-]{10,250}")
_MAIL_PORTS = {"smtps": 465, "starttls": 587, "smtp": 25}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_INSTALLATION = re.compile(r"[a-z0-9]{6}")


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


@dataclass(frozen=True, slots=True)
class EnvironmentName:
    """What the console calls this installation on every page, and in which colour."""

    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    """A name or an IP address, without brackets."""
    port: int


@dataclass(frozen=True, slots=True, repr=False)
class MailUrl:
    """What takes email."""

    kind: str
    """`smtps` and `starttls` (both encrypted), `smtp` (not), or `ses`."""
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    region: str | None = None
    """Of SES; None is what the AWS settings say."""


@dataclass(frozen=True, slots=True)
class Sender:
    """In whose name email is sent."""

    address: str
    """Also where what can't be delivered comes back."""
    name: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class SlackAccess:
    """What lets us post to Slack: a bot's token, or an incoming webhook."""

    token: str = ""
    webhook: str = ""


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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, None when none is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


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
    given = _parameters(rest.removeprefix("?"), ("prefix", "region") if kind == "sqs" else ())
    prefix = given.get("prefix", "Barbeque-")
    if _PREFIX.fullmatch(prefix) is None:
        raise ValueError("the prefix has up to 10 of A-Z a-z 0-9 _ - (SQS's names end at 80)")
    return BrokerUrl(kind, prefix, _region(given))


def _region(given: dict[str, str]) -> str | None:
    region = given.get("region")
    if region is not None and _REGION.fullmatch(region) is None:
        raise ValueError("a region is written as in eu-west-1")
    return region


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
    given = _parameters(rest.removeprefix("?"), known)
    return ExecutorUrl(
        kind,
        slots=_slots(given["slots"]) if "slots" in given else None,
        socket=_absolute(given["socket"]) if "socket" in given else None,
    )


def _parameters(text: str, known: tuple[str, ...]) -> dict[str, str]:
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
    given = _parameters(query, ("region",))
    if not place.startswith("//") or _BUCKET.fullmatch(bucket) is None:
        raise ValueError(
            "write s3://BUCKET or s3://BUCKET/PREFIX, with ?region=eu-west-1 if needed"
        )
    prefix = prefix.strip("/")
    if prefix and _KEY_PREFIX.fullmatch(prefix) is None:
        raise ValueError("the prefix has A-Z a-z 0-9 ! - _ . ' ( ) and / between its parts")
    return LogsUrl("s3", bucket=bucket, prefix=prefix, region=_region(given))


def read_mail(text: str) -> MailUrl:
    """Read what takes email; the text is a secret and in no error."""
    kind, mark, rest = text.partition("://")
    if text.partition(":")[0] == "ses":
        query = text.removeprefix("ses:")
        if query and not query.startswith("?"):
            raise ValueError("write ses: or ses:?region=eu-west-1")
        return MailUrl("ses", region=_region(_parameters(query.removeprefix("?"), ("region",))))
    form = _MAIL.fullmatch(rest)
    if kind not in _MAIL_PORTS or not mark or form is None:
        raise ValueError(
            "write smtps://USER:PASSWORD@HOST:465, starttls://USER:PASSWORD@HOST:587, smtp://HOST "
            "or ses:, with characters such as @ : / # ? % in the password percent-encoded"
        )
    port = int(form["port"] or _MAIL_PORTS[kind])
    if not 1 <= port <= _LAST_PORT:
        raise ValueError("a port is a number from 1 to 65535")
    host, user = form["host"].strip("[]"), unquote(form["user"] or "")
    if kind == "smtp" and user and host not in _LOOPBACK:
        raise ValueError("a password is never sent in the clear: write smtps:// or starttls://")
    return MailUrl(kind, host, port, user, unquote(form["password"] or ""))


def read_slack(text: str) -> SlackAccess:
    """Read a bot's token or an incoming webhook; the text is a secret and in no error."""
    if _BOT_TOKEN.fullmatch(text):
        return SlackAccess(token=text)
    local = _HTTP.fullmatch(text) and (urlsplit(text).hostname or "") in _LOOPBACK
    if local or SLACK_WEBHOOK.fullmatch(text):
        return SlackAccess(webhook=text)
    raise ValueError(
        "write a bot's token, which begins with xoxb-, or an incoming webhook's address, "
        "https://hooks.slack.com/services/..."
    )


def read_sender(text: str) -> Sender:
    """Read in whose name email is sent: an address, or `Name <address>`."""
    name, bracket, rest = text.partition("<")
    address = rest.removesuffix(">") if bracket else text
    named = bracket and rest.endswith(">") and not set('",;:<>@\\') & set(name)
    if (bracket and not named) or EMAIL.fullmatch(address) is None:
        raise ValueError("write ADDRESS or NAME <ADDRESS>, as in Barbeque <jobs@example.com>")
    return Sender(address, name.strip() if bracket else "")


def read_emails(text: str) -> tuple[str, ...]:
    """Read email addresses, joined by commas."""
    found = tuple(each.strip() for each in text.split(","))
    for each in found:
        if EMAIL.fullmatch(each) is None:
            raise ValueError(f"{each[:60]!r} is not {AN_EMAIL}; more than one are joined by commas")
    return found


def read_queue(text: str) -> str:
    """Read a queue's name."""
    if QUEUE_NAME.fullmatch(text) is None:
        raise ValueError("a queue's name has up to 70 of A-Z a-z 0-9 _ -")
    return text


def read_switch(text: str) -> bool:
    """Read on (1, true, yes) or off (0, false, no)."""
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise ValueError("write 1, true or yes for on; 0, false, no or nothing for off")
    return known[text.lower()]


_COLOURS = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "gray")
_LONGEST_NAME = 24


def read_environment(text: str) -> EnvironmentName:
    """Read NAME or NAME:COLOUR; production is red, what else has no colour is blue."""
    name, _, colour = text.partition(":")
    usual = "red" if name.lower().startswith("prod") else "blue"
    colour = colour or usual
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or colour not in _COLOURS:
        raise ValueError(
            f"write a name of at most {_LONGEST_NAME} characters, and behind a colon, if you "
            f"like, a colour: {', '.join(_COLOURS)}"
        )
    return EnvironmentName(name, colour)


def read_http_url(text: str) -> str:
    """Read the address of an HTTP service; a slash at its end is dropped."""
    if _HTTP.fullmatch(text) is None:
        raise ValueError(
            "write http://HOST:PORT or https://HOST, without user name, password, ? or #"
        )
    return text.rstrip("/")


def read_address(text: str) -> Address:
    """Read where to listen."""
    form = _ADDRESS.fullmatch(text)
    if form is None or not 1 <= int(form[2]) <= _LAST_PORT:
        raise ValueError("write HOST:PORT, as in 10.0.3.7:3004, 0.0.0.0:3004 or [::]:3004")
    return Address(form[1].strip("[]"), int(form[2]))


def read_log_format(text: str) -> str:
    """Read how log lines are written."""
    if text.lower() not in ("text", "json"):
        raise ValueError("write text or json")
    return text.lower()


def read_dsn(text: str) -> str:
    """Read a DSN: an address with a key before the host and a project's number behind it."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.username or not parts.hostname:
        raise ValueError("write a DSN as Sentry shows it, https://KEY@HOST/PROJECT")
    if not parts.path.rpartition("/")[2].isdigit():
        raise ValueError("a DSN ends with its project's number, https://KEY@HOST/PROJECT")
    return text


def read_token(text: str) -> str:
    """Read a token: what fits into an HTTP header."""
    if _TOKEN.fullmatch(text) is None:
        raise ValueError("a token has visible ASCII characters only; copy it again")
    return text


def read_auth(text: str) -> bool:
    """Read whether each request needs a token: `tokens`, or `none`."""
    known = {"tokens": True, "none": False}
    if text.lower() not in known:
        raise ValueError("write tokens, or none (on loopback only)")
    return known[text.lower()]


def read_login(text: str) -> frozenset[str]:
    """Return the ways into the console; none where nobody is asked."""
    named = [each.strip() for each in text.split(",")]
    if named == ["none"]:
        return frozenset()
    strange = [each for each in named if each not in _WAYS]
    if strange:
        raise ValueError(f"write none, or some of {', '.join(_WAYS)}, joined by commas")
    return frozenset(named)


def read_roles(text: str) -> tuple[Rule, ...]:
    """Return who gets which role."""
    return tuple(_read_rule(each.strip()) for each in text.split(","))


def _read_rule(text: str) -> Rule:
    whom, mark, word = (part.strip() for part in text.rpartition("="))
    group = whom.startswith("group:") and len(whom) > len("group:")
    domain = whom.startswith("@") and EMAIL.fullmatch(f"x{whom}")
    if not mark or not (group or domain or EMAIL.fullmatch(whom)):
        raise ValueError(
            "write WHOM=ROLE, joined by commas, where WHOM is an address, @ and a domain, or "
            "group: and a group"
        )
    (grant,) = read_grants([word])
    return Rule(whom if group else whom.lower(), grant)


def read_issuer(text: str) -> str:
    """Return the issuer's URL exactly as it is written: it is compared so."""
    if not _HTTP.fullmatch(text):
        raise ValueError("write a URL, as in https://accounts.example.com")
    if text.lower().startswith("http://") and not _is_here(text):
        raise ValueError("write https://: what the issuer says must not be read by others")
    return text


def _is_here(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def read_networks(text: str) -> tuple[Network, ...]:
    """Return the networks, of which each may be one address."""
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in text.split(","))
    except ValueError:
        raise ValueError("write networks or addresses, as in 10.0.0.0/24, 10.0.7.9") from None


def read_proxy_secret(text: str) -> str:
    """Return what a proxy must show."""
    if len(text) < SHORTEST_SECRET or not _TOKEN.fullmatch(text):
        raise ValueError(f"write at least {SHORTEST_SECRET} random characters without spaces")
    return text


def read_rate(text: str) -> int:
    """Read how many requests a second are let through; 0 is any number."""
    if not text.isdecimal() or len(text) > len("100000"):
        raise ValueError("write a whole number of requests a second, or 0 for no limit")
    return int(text)


def read_body_limit(text: str) -> int:
    """Read a number of bytes from 1 KiB to 16 MiB."""
    form = _SIZE.fullmatch(text)
    count = int(form[1]) * SIZES[form[2] or ""] if form else 0
    if not SIZES["KiB"] <= count <= 16 * SIZES["MiB"]:
        raise ValueError("write 1KiB to 16MiB: a number of bytes, or one with KiB or MiB")
    return count


def read_installation(text: str) -> str:
    """Read an installation's name."""
    if _INSTALLATION.fullmatch(text) is None:
        raise ValueError("an installation has six characters of a-z and 0-9")
    return text


def read_registry(text: str) -> str:
    """Read an image registry's name."""
    if _REGISTRY.fullmatch(text) is None:
        raise ValueError("write HOST, HOST:PORT or HOST/PATH, without https:// and / at the end")
    return text


def read_registries(text: str) -> tuple[str, ...]:
    """Read a list of registries, each with folders where only those are meant."""
    return tuple(read_registry(each.strip()) for each in text.split(","))


def read_retention(text: str) -> timedelta:
    """Read how long executions are kept: 45 days to 100 years."""
    return _between(parse_duration(text), timedelta(days=45), timedelta(days=36_500))


def read_lease(text: str) -> timedelta:
    """Read how long a claim lasts: 2 seconds to 1 hour."""
    return _between(parse_duration(text), timedelta(seconds=2), timedelta(hours=1))


def _between(duration: timedelta, least: timedelta, most: timedelta) -> timedelta:
    if not least <= duration <= most:
        raise ValueError(f"write {format_duration(least)} to {format_duration(most)}")
    return duration
