"""The settings: environment in, one frozen value out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path

from barbeque_py import environment as process
from barbeque_py import setting_addresses as addresses
from barbeque_py import setting_channels as channels
from barbeque_py import setting_entrance as entrance
from barbeque_py import setting_urls as urls
from barbeque_py import setting_values as values
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.env_file import read_env_file
from barbeque_py.roles import Rule
from barbeque_py.setting_variables import Variable, hide, read_all, setting, warn_of, warn_of_aws
from barbeque_py.targets import Allowed, Network, read_allowed


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What the operator decided; `from_environment` makes it."""

    home: Path = setting(
        "BARBEQUE_HOME",
        "./.barbeque",
        "The directory that holds what the defaults below keep; made absolute at start.",
        example="/var/lib/barbeque",
        read=urls.read_home,
    )
    database: str = setting(
        "BARBEQUE_DATABASE",
        "sqlite:///{home}/barbeque.db",
        "The database; `mysql://` is read as `mysql+pymysql://`.",
        example="mysql+pymysql://barbeque:PASSWORD@db.example.com:3306/barbeque",
        read=urls.read_database,
        show=urls.redact_url,
    )
    broker: urls.BrokerUrl = setting(
        "BARBEQUE_BROKER",
        "database:",
        "What carries messages: `database:`, queue tables in the same database, or `sqs:` with "
        "`prefix` (what its queues' names begin with, `Barbeque-`) and `region`.",
        example="sqs:?prefix=Barbeque-&region=eu-west-1",
        read=urls.read_broker,
    )
    executor: urls.ExecutorUrl | EcsUrl | None = setting(
        "BARBEQUE_EXECUTOR",
        "",
        "What runs attempts: `docker:`, `process:` or `ecs:CLUSTER`; `slots` is how many at once "
        "(default: the CPU count, on ECS no limit), `socket` the Docker engine's; [the parameters "
        "of `ecs:`](ecs.md). Unset: `docker:` if an engine answers when `up` first makes the "
        "database, else `process:`.",
        example="docker:?slots=8",
        read=urls.read_executor,
    )
    logs: urls.LogsUrl = setting(
        "BARBEQUE_LOGS",
        "directory:{home}/logs",
        "Where the logs of attempts are kept: `directory:PATH`, or `s3://BUCKET/PREFIX` with "
        "`region` where the AWS settings don't say it.",
        example="s3://example-barbeque/logs",
        read=urls.read_logs,
    )
    default_queue: str = setting(
        "BARBEQUE_DEFAULT_QUEUE",
        "default",
        "The queue of requests that name none.",
        example="default",
        read=values.read_queue,
    )
    worker_queue: str | None = setting(
        "BARBEQUE_QUEUE",
        "",
        "The one queue that `worker` takes from; unset: all of them. `worker --queue NAME` wins.",
        example="encodes",
        read=values.read_queue,
    )
    verify_enqueued_jobs: bool = setting(
        "BARBEQUE_VERIFY_ENQUEUED_JOBS",
        "0",
        "Whether an enqueue request for a job that is not defined is refused.",
        example="1",
        read=values.read_switch,
    )
    host_url: str | None = setting(
        "BARBEQUE_HOST",
        "",
        "The console's address as people reach it; `html_url` and notices begin with it.",
        example="https://barbeque.example.com",
        read=addresses.read_http_url,
    )
    environment: values.EnvironmentName | None = setting(
        "BARBEQUE_ENVIRONMENT",
        "",
        "What the console calls this installation on every page: a name, and behind a colon its "
        "colour, `red` for production and else `blue` unless you say so.",
        example="staging:orange",
        read=values.read_environment,
    )
    job_url: str | None = setting(
        "BARBEQUE_JOB_URL",
        "",
        "The API's address as jobs reach it, on ECS: where they fetch their message.",
        example="http://barbeque.internal:3003",
        read=addresses.read_http_url,
    )
    job_listen: addresses.Address | None = setting(
        "BARBEQUE_JOB_LISTEN",
        "",
        "An address of their own for the routes that jobs use, which `api` and `up` then serve "
        "beside the API's; nothing else answers there, and each job is known by its own token. "
        "Unset: they are at the API's address.",
        example="0.0.0.0:3004",
        read=addresses.read_address,
    )
    worker_listen: addresses.Address | None = setting(
        "BARBEQUE_WORKER_LISTEN",
        "",
        "Where `worker` answers `/metrics`, `/livez` and `/readyz`, whoever asks: let your own "
        "network alone reach it. Unset: nowhere. The API answers the same at [its own "
        "address](observability.md).",
        example="127.0.0.1:9464",
        read=addresses.read_address,
    )
    webhook_allow: Allowed | None = setting(
        "BARBEQUE_WEBHOOK_ALLOW",
        "",
        "Hosts (`*.` for all below a name) and networks of your own that webhooks and callbacks "
        "may reach, by http and at any port, too. Unset: public addresses alone, by https at "
        "port 443.",
        example="hooks.internal, 10.20.0.0/16",
        read=read_allowed,
    )
    url: str = setting(
        "BARBEQUE_URL",
        "http://127.0.0.1:3003",
        "The API that the command line speaks to.",
        example="https://barbeque.example.com",
        read=addresses.read_http_url,
    )
    token: str | None = setting(
        "BARBEQUE_TOKEN",
        "",
        "The token that the command line shows to the API; never printed.",
        example="bq_x1y2z3x1y2z3_...",
        read=entrance.read_token,
        show=hide,
    )
    auth: bool = setting(
        "BARBEQUE_AUTH",
        "none",
        "Whom the API answers: `none` asks nobody who he is and listens on loopback only; with "
        "`tokens` each request needs [one](tokens.md).",
        example="tokens",
        read=entrance.read_auth,
    )
    login: frozenset[str] = setting(
        "BARBEQUE_LOGIN",
        "link",
        "How people come into the [console](console-login.md): `link` is one that this machine "
        "prints, good once and on loopback only; `users` have a password; `oidc` and `proxy` let "
        "others vouch for them; more than one are joined by commas. `none` asks nobody, on "
        "loopback only.",
        example="users,oidc",
        read=entrance.read_login,
    )
    roles: tuple[Rule, ...] | None = setting(
        "BARBEQUE_ROLES",
        "",
        "What people get for whom a provider or a proxy vouches, by their address, the end of it, "
        "or a group: `WHOM=ROLE`, joined by commas; a role to one app is `ROLE@APP`.",
        example="group:ops=admin, @example.com=viewer, ann@example.com=deployer@media",
        read=entrance.read_roles,
    )
    oidc: str | None = setting(
        "BARBEQUE_OIDC",
        "",
        "The issuer of BARBEQUE_LOGIN's `oidc`, as its discovery document names it.",
        example="https://accounts.example.com",
        read=entrance.read_issuer,
    )
    oidc_client: str | None = setting(
        "BARBEQUE_OIDC_CLIENT",
        "",
        "What the issuer calls this console. There, `BARBEQUE_HOST/login/oidc/callback` is where "
        "people are sent back to.",
        example="barbeque",
        read=str.strip,
    )
    oidc_secret: str | None = setting(
        "BARBEQUE_OIDC_SECRET",
        "",
        "What the console shows the issuer; never printed.",
        example="as the issuer shows it",
        read=entrance.read_token,
        show=hide,
    )
    proxies: tuple[Network, ...] | None = setting(
        "BARBEQUE_PROXIES",
        "",
        "Networks of reverse proxies of your own: what they say in `X-Forwarded-For` and "
        "`X-Forwarded-Proto` is believed, and with BARBEQUE_LOGIN's `proxy` whom they vouch for. "
        "Unset: a proxy on this machine is believed about the former.",
        example="10.0.0.0/24, 10.0.7.9",
        read=entrance.read_networks,
    )
    proxy_secret: str | None = setting(
        "BARBEQUE_PROXY_SECRET",
        "",
        "What the proxy shows in `X-Barbeque-Proxy-Secret` when it vouches for somebody in "
        "`X-Forwarded-Email` and `X-Forwarded-Groups`; never printed.",
        example="at least 32 random characters",
        read=entrance.read_proxy_secret,
        show=hide,
    )
    read_only: bool = setting(
        "BARBEQUE_READ_ONLY",
        "0",
        "Whether the console only shows things: everybody may look at what is theirs, nobody may "
        "change anything there.",
        example="1",
        read=values.read_switch,
    )
    rate_limit: int = setting(
        "BARBEQUE_RATE_LIMIT",
        "100",
        "How many requests a second each token may make of one API process, and twice as many at "
        "once; above it the answer is 429. `0`: any number.",
        example="500",
        read=values.read_rate,
    )
    max_body: int = setting(
        "BARBEQUE_MAX_BODY",
        "1MiB",
        "The largest body of a request that the API takes, 1KiB to 16MiB.",
        example="512KiB",
        read=values.read_body_limit,
    )
    installation: str | None = setting(
        "BARBEQUE_INSTALLATION",
        "",
        "This installation's name, six of `a-z0-9`, taken by the first `migrate` and then fixed; "
        "unset: made there.",
        example="prod01",
        read=values.read_installation,
    )
    retention: timedelta = setting(
        "BARBEQUE_RETENTION",
        "90d",
        "How long executions and logs are kept after their end, at least 45d.",
        example="180d",
        read=values.read_retention,
    )
    lease: timedelta = setting(
        "BARBEQUE_LEASE",
        "90s",
        "How long a worker's claim on an attempt lasts unrenewed, 2s to 1h; for tests and special "
        "needs: a dead worker's attempts wait this long.",
        example="90s",
        read=values.read_lease,
    )
    database_maintenance: bool = setting(
        "BARBEQUE_DATABASE_MAINTENANCE",
        "0",
        "Barbeque's switch for enqueueing without its database; accepted, not needed any more.",
        example="0",
        read=values.read_switch,
    )
    docker_registry: str | None = setting(
        "BARBEQUE_DOCKER_REGISTRY",
        "",
        "The registry of images that name none.",
        example="registry.example.com:5000",
        read=values.read_registry,
    )
    registries: tuple[str, ...] | None = setting(
        "BARBEQUE_REGISTRIES",
        "",
        "Where images may come from, separated by commas: registries, or registries with folders. "
        "`docker.io` is that of names without one. Unset: anywhere.",
        example="123456789012.dkr.ecr.eu-west-1.amazonaws.com,docker.io/library",
        read=values.read_registries,
    )
    mail: channels.MailUrl | None = setting(
        "BARBEQUE_MAIL",
        "",
        "What takes email: `smtps://USER:PASSWORD@HOST:465`, `starttls://USER:PASSWORD@HOST:587`, "
        "`smtp://HOST` (not encrypted, so without a password) or `ses:` (with `region`). Never "
        "shown with its password. Unset: no email is sent.",
        example="smtps://barbeque:PASSWORD@mail.example.com",
        read=channels.read_mail,
        show=urls.redact_url,
    )
    mail_from: channels.Sender | None = setting(
        "BARBEQUE_MAIL_FROM",
        "",
        "In whose name email is sent, and where bounces go; needed beside BARBEQUE_MAIL.",
        example="Barbeque <jobs@example.com>",
        read=channels.read_sender,
    )
    slack: channels.SlackAccess | None = setting(
        "BARBEQUE_SLACK",
        "",
        "What posts to Slack: a bot's token with the scope `chat:write`, or an incoming webhook's "
        "address, which needs no bot but knows no threads and, today, one channel only. Never "
        "printed. Unset: nothing is posted.",
        example="xoxb-... as Slack shows it",
        read=channels.read_slack,
        show=hide,
    )
    slack_api: str = setting(
        "BARBEQUE_SLACK_API",
        "https://slack.com/api",
        "Where Slack's API is; another one for GovSlack.",
        example="https://slack-gov.com/api",
        read=addresses.read_http_url,
    )
    admin_email: tuple[str, ...] | None = setting(
        "BARBEQUE_ADMIN_EMAIL",
        "",
        "Who is told, beside the people a job names, of every job that has failed for good; "
        "addresses joined by commas.",
        example="operations@example.com",
        read=channels.read_emails,
    )
    log_format: str = setting(
        "BARBEQUE_LOG_FORMAT",
        "text",
        "How a process writes its own log: `text`, or `json`, one object a line.",
        example="json",
        read=values.read_log_format,
    )
    traces: str | None = setting(
        "BARBEQUE_TRACES",
        "",
        "What collects [traces](observability.md#traces): its address for OTLP over HTTP. Needs "
        "`barbeque-py[tracing]`. Unset: nothing is traced.",
        example="http://collector.internal:4318",
        read=addresses.read_http_url,
    )
    sentry: str | None = setting(
        "BARBEQUE_SENTRY",
        "",
        "The DSN of what collects [errors](observability.md#errors) as Sentry does; never printed. "
        "Needs `barbeque-py[sentry]`. Unset: errors are in the log alone.",
        example="https://KEY@sentry.example.com/1",
        read=addresses.read_dsn,
        show=hide,
    )
    aws_region: str | None = setting(
        "AWS_REGION",
        "",
        "The Region of what BARBEQUE_BROKER, BARBEQUE_EXECUTOR and BARBEQUE_LOGS name in AWS, "
        "unless a `region=` there says another. Unset: `AWS_DEFAULT_REGION`, else the profile's.",
        example="eu-west-1",
        read=str.strip,
        instead="AWS_DEFAULT_REGION",
    )
    shown: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Each variable's text in force, fit to be shown."""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """Sentences about variables that look like settings and are none."""

    @classmethod
    def from_environment(
        cls,
        mapping: Mapping[str, str] | None = None,
        *,
        env_file: Path | None = None,
        login: Path | None = None,
    ) -> "Settings":
        """Read the settings; what is unset or empty has the laptop's default.

        The environment wins over the file, and both over what `login` kept, whose token is for its
        own URL only. Raises `ConfigurationError` naming the variable, its
        value unless that is a secret, and the cure.
        """
        of_file = {} if env_file is None else read_env_file(env_file)
        given = of_file | (process.inherited() if mapping is None else dict(mapping))
        if login is not None and not given.get("BARBEQUE_URL"):
            given = process.read_login(login) | {name: text for name, text in given.items() if text}
        warnings = warn_of(VARIABLES, given) + warn_of_aws(VARIABLES, of_file)
        return cls(**read_all(VARIABLES, given), warnings=warnings)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={text!r}' for name, text in self.shown)})"


VARIABLES: dict[str, Variable] = {
    each.name: each.metadata["variable"] for each in fields(Settings) if each.metadata
}
"""By the name of their field."""
