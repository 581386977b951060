"""Settings: laptop defaults, every wrong value named with its cure, no secret ever shown."""

from datetime import timedelta
from pathlib import Path

import pytest

from barbeque_py.env_file import read_env_file
from barbeque_py.errors import ConfigurationError
from barbeque_py.setting_addresses import Address
from barbeque_py.setting_urls import BrokerUrl, ExecutorUrl, LogsUrl, redact_url
from barbeque_py.settings import Settings
from barbeque_py.settings_page import configuration_page, describe

DOCS = Path(__file__).parents[2] / "docs"


def read(**variables: str) -> Settings:
    return Settings.from_environment(
        {f"BARBEQUE_{name.upper()}": text for name, text in variables.items()}
    )


def test_nothing_set_is_a_laptop() -> None:
    settings = Settings.from_environment({})
    home = Path.cwd() / ".barbeque"
    assert settings.home == home
    assert settings.database == f"sqlite:///{home}/barbeque.db"
    assert settings.broker == BrokerUrl("database")
    assert settings.executor is None
    assert settings.logs == LogsUrl("directory", home / "logs")
    assert settings.default_queue == "default"
    assert settings.url == "http://127.0.0.1:3003"
    assert (settings.verify_enqueued_jobs, settings.database_maintenance) == (False, False)
    assert (settings.host_url, settings.token, settings.installation) == (None, None, None)
    assert settings.docker_registry is None
    assert settings.max_body == 1024**2
    assert (settings.retention, settings.lease) == (timedelta(days=90), timedelta(seconds=90))
    assert settings.warnings == ()


def test_an_empty_variable_is_an_unset_one() -> None:
    names = [row.variable for row in describe()]
    assert Settings.from_environment(dict.fromkeys(names, "")) == Settings.from_environment({})


def test_the_process_environment_is_read_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BARBEQUE_DEFAULT_QUEUE", "urgent")
    assert Settings.from_environment().default_queue == "urgent"


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("home", "/srv/bq", "home", Path("/srv/bq")),
        ("home", "bq", "home", Path.cwd() / "bq"),
        ("database", "sqlite:////srv/b.db", "database", "sqlite:////srv/b.db"),
        ("database", "sqlite:///b.db", "database", f"sqlite:///{Path.cwd()}/b.db"),
        ("database", "mysql://u:p%40@h:3306/b", "database", "mysql+pymysql://u:p%40@h:3306/b"),
        ("database", "mysql+pymysql://h/b?charset=x", "database", "mysql+pymysql://h/b?charset=x"),
        ("database", "mysql://u@[::1]:3306/b", "database", "mysql+pymysql://u@[::1]:3306/b"),
        (
            "database",
            "mysql://u@/b?unix_socket=/run/m.sock",
            "database",
            "mysql+pymysql://u@/b?unix_socket=/run/m.sock",
        ),
        ("broker", "database:", "broker", BrokerUrl("database")),
        ("broker", "sqs:", "broker", BrokerUrl("sqs")),
        (
            "broker",
            "sqs:?prefix=a-&region=eu-west-1",
            "broker",
            BrokerUrl("sqs", "a-", "eu-west-1"),
        ),
        ("logs", "s3://box/a/b/", "logs", LogsUrl("s3", bucket="box", prefix="a/b")),
        ("executor", "docker:", "executor", ExecutorUrl("docker")),
        ("executor", "docker:?slots=8", "executor", ExecutorUrl("docker", slots=8)),
        (
            "executor",
            "docker:?socket=/run/d.sock&slots=2",
            "executor",
            ExecutorUrl("docker", slots=2, socket=Path("/run/d.sock")),
        ),
        ("executor", "process:?slots=4", "executor", ExecutorUrl("process", slots=4)),
        ("logs", "directory:/srv/logs", "logs", LogsUrl("directory", Path("/srv/logs"))),
        ("logs", "directory:logs", "logs", LogsUrl("directory", Path.cwd() / "logs")),
        ("verify_enqueued_jobs", "1", "verify_enqueued_jobs", True),
        ("verify_enqueued_jobs", "Yes", "verify_enqueued_jobs", True),
        ("verify_enqueued_jobs", "false", "verify_enqueued_jobs", False),
        ("database_maintenance", "1", "database_maintenance", True),
        ("host", "https://bq.example.com/", "host_url", "https://bq.example.com"),
        ("url", "http://[::1]:3003", "url", "http://[::1]:3003"),
        ("job_listen", "0.0.0.0:3004", "job_listen", Address("0.0.0.0", 3004)),
        ("job_listen", "[::1]:3004", "job_listen", Address("::1", 3004)),
        ("max_body", "512KiB", "max_body", 512 * 1024),
        ("max_body", "16 MiB", "max_body", 16 * 1024**2),
        ("max_body", "1024", "max_body", 1024),
        ("installation", "prod01", "installation", "prod01"),
        ("retention", "45d", "retention", timedelta(days=45)),
        ("lease", "2", "lease", timedelta(seconds=2)),
        (
            "docker_registry",
            "r.example.com:5000/team",
            "docker_registry",
            "r.example.com:5000/team",
        ),
    ],
)
def test_every_form_of_a_value_is_read(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read(**{name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "cure"),
    [
        ("home", "/srv/a?b", "part of a URL"),
        ("home", "/srv/\n", "control characters"),
        ("home", "/srv/\udcff", "not UTF-8"),
        ("database", "postgresql://h/b", "mysql+pymysql://USER"),
        ("database", "sqlite://", "a file"),
        ("database", "sqlite:///:memory:", "a file"),
        ("database", "mysql://h", "mysql+pymysql://USER"),
        ("database", "mysql:///b", "mysql+pymysql://USER"),
        ("broker", "sqs:?prefix=eleven-long", "up to 10"),
        ("broker", "sqs:?region=Ireland", "as in eu-west-1"),
        ("broker", "sqs", "write database: or sqs:"),
        ("broker", "database:?prefix=x", "unknown"),
        ("broker", "redis:", "database:"),
        ("executor", "ecs:", "ecs:CLUSTER"),
        ("executor", "docker", "docker:?slots=8"),
        ("executor", "docker://host", "docker:?slots=8"),
        ("executor", "docker:?slots=0", "from 1 to"),
        ("executor", "docker:?slots=many", "from 1 to"),
        ("executor", "docker:?slot=1", "'slot' is unknown; known: slots, socket"),
        ("executor", "process:?socket=/x", "'socket' is unknown"),
        ("executor", "docker:?slots=1&slots=2", "stands twice"),
        ("executor", "docker:?slots", "NAME=VALUE"),
        ("executor", "docker:?socket=x", "absolute"),
        ("logs", "s3:bucket", "s3://BUCKET"),
        ("logs", "s3://B", "s3://BUCKET"),
        ("logs", "s3://bucket/a//b", "the prefix has"),
        ("logs", "s3://bucket?region=x", "as in eu-west-1"),
        ("logs", "/srv/logs", "directory:/PATH"),
        ("default_queue", "a b", "A-Z"),
        ("verify_enqueued_jobs", "maybe", "1, true or yes"),
        ("host", "bq.example.com", "https://HOST"),
        ("url", "http://user:pw@host", "https://HOST"),
        ("job_listen", "3004", "write HOST:PORT"),
        ("job_listen", "http://localhost:3004", "write HOST:PORT"),
        ("job_listen", "localhost:0", "write HOST:PORT"),
        ("job_listen", "localhost:65536", "write HOST:PORT"),
        ("max_body", "17MiB", "1KiB to 16MiB"),
        ("max_body", "100", "1KiB to 16MiB"),
        ("max_body", "1MB", "1KiB to 16MiB"),
        ("installation", "PROD01", "six characters"),
        ("retention", "44d", "45d to 36500d"),
        ("retention", "long", "ms, s, m, h, d"),
        ("lease", "1s", "2s to 1h"),
        ("docker_registry", "https://r.example.com", "without https://"),
        ("token", "a b", "visible ASCII"),
    ],
)
def test_a_wrong_value_names_the_variable_and_the_cure(name: str, text: str, cure: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(**{name: text})
    assert str(caught.value).startswith(f"BARBEQUE_{name.upper()} is ")
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://bq:CANARY@db.example.com/b",
        "mysql+pymysql://bq:CAN@CANARY@db/b",
        "mysql://bq:CAN/CANARY@db:1/b",
        "mysql://bq:3/CANARY?x@db/b",
        "mysql://bq:CANARY",
        "mysql://bq:1CANARY/b",
        "mysql://bq@db/b?password=CANARY",
        "postgresql://bq:CANARY@db/b",
        "CANARY",
        "bq:CANARY@db",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    assert "CANARY" not in redact_url(url)
    try:
        settings = read(database=url, token="CANARY-TOKEN")
    except ConfigurationError as error:
        shown = str(error)
    else:
        shown = repr(settings) + repr(describe(settings))
    assert "CANARY" not in shown


def test_a_wrong_token_is_never_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(token="CANARY CANARY")
    assert "CANARY" not in str(caught.value)


def test_an_unknown_variable_is_warned_about_with_the_nearest_name() -> None:
    names = ["BARBEQUE_EXECUTER", "BARBEQUE_WORKER_NUM", "BARBEQUE_ZZZZZZ", "OTHER"]
    assert Settings.from_environment(dict.fromkeys(names, "1")).warnings == (
        "BARBEQUE_EXECUTER is not a setting; did you mean BARBEQUE_EXECUTOR?",
        (
            "BARBEQUE_WORKER_NUM is not used any more: "
            "BARBEQUE_EXECUTOR says how much runs at once, as in docker:?slots=8"
        ),
        "BARBEQUE_ZZZZZZ is not a setting",
    )


def test_what_a_job_is_given_is_no_unknown_variable() -> None:
    assert Settings.from_environment({"BARBEQUE_JOB": "x", "BARBEQUE_MESSAGE": "{}"}).warnings == ()


def test_the_region_of_aws_has_two_names_of_which_the_first_wins() -> None:
    both = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}
    assert Settings.from_environment(both).aws_region == "eu-west-1"
    assert Settings.from_environment(both | {"AWS_REGION": ""}).aws_region == "us-east-1"
    assert Settings.from_environment({}).aws_region is None


def test_of_awss_variables_a_file_can_have_the_region_only(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("AWS_REGION=eu-west-1\nAWS_PROFILE=jobs\n", encoding="utf-8")
    settings = Settings.from_environment({}, env_file=file)
    assert settings.aws_region == "eu-west-1"
    assert settings.warnings == ("AWS_PROFILE does nothing in a file: set it in the environment",)


def test_settings_are_described_with_the_values_in_force() -> None:
    rows = {row.variable: row for row in describe(read(lease="5s", token="secret"))}
    assert rows["BARBEQUE_LEASE"].value == "5s"
    assert rows["BARBEQUE_RETENTION"].value == "90d"
    assert rows["BARBEQUE_TOKEN"].value == "***"
    assert rows["BARBEQUE_EXECUTOR"].value is None
    assert all(row.meaning.endswith(".") and row.example for row in rows.values())


def test_the_page_of_settings_is_the_one_in_docs() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert page == configuration_page(), "run: python -m barbeque_py.settings_page"


def test_a_file_of_settings_fills_in_what_the_environment_lacks(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("BARBEQUE_LEASE=5s\nBARBEQUE_DEFAULT_QUEUE=slow\n", encoding="utf-8")
    settings = Settings.from_environment({"BARBEQUE_LEASE": "7s"}, env_file=file)
    assert (settings.lease, settings.default_queue) == (timedelta(seconds=7), "slow")


def test_a_file_of_settings_has_quotes_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text(
        "\ufeff# a comment\n\n"
        "A=plain # comment\r\n"
        "  export B = 'si#ngle \\n' # comment\n"
        'C="dou\\"ble\\n\\\\"\n'
        "D=\nE=a#b=c\nF='' \nG= # nothing\n",
        encoding="utf-8",
    )
    assert read_env_file(file) == {
        "A": "plain",
        "B": "si#ngle \\n",
        "C": 'dou"ble\n\\',
        "D": "",
        "E": "a#b=c",
        "F": "",
        "G": "",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"A=1\nCANARY\n", "line 2 is not NAME=VALUE"),
        (b"1A=CANARY\n", "line 1 is not NAME=VALUE"),
        (b"A='CANARY\n", "line 1: the value of A has no closing quote"),
        (b'A="CANARY" x\n', "line 1: the value of A has no closing quote"),
        (b"A=1\n\nA=CANARY\n", "line 3: A is set a second time"),
        (b"A=\xff", "not UTF-8"),
    ],
)
def test_a_wrong_line_is_named_without_its_value(
    tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(file)
    assert words in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_an_absent_file_of_settings_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent can't be read: No such file"):
        Settings.from_environment({}, env_file=tmp_path / "absent")
