"""The image: made here, and run as nobody, on a disk that can't be written, without a shell."""

import re
import subprocess
import time

import pytest

from tests.ship.engine import docker, inspect, make_image, running, wait_until_healthy

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

MOST = 250_000_000
NO_SHELL = [f"--volume=/dev/null:/usr/bin/{shell}:ro" for shell in ("sh", "bash", "dash")]
STRICT = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--pids-limit=200",
    "--memory=512m",
    "--network=none",
    *NO_SHELL,
)


@pytest.fixture(scope="module")
def image() -> str:
    return make_image()


def test_the_image_is_small_knows_what_it_is_and_keeps_nothing_of_its_making(image: str) -> None:
    found = inspect(image)
    assert found["Size"] <= MOST
    config = found["Config"]
    assert (config["User"], config["Entrypoint"]) == ("10001:10001", ["barbeque"])
    assert config["StopSignal"] == "SIGTERM"
    labels = config["Labels"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["org.opencontainers.image.version"])
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    made_by = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert "PIP_" not in made_by
    name = docker("create", image).stdout.strip()
    try:
        with subprocess.Popen(["docker", "export", name], stdout=subprocess.PIPE) as packed:
            listed = subprocess.run(
                ["tar", "--list"], stdin=packed.stdout, capture_output=True, text=True, check=True
            ).stdout
    finally:
        docker("rm", "--volumes", name)
    files = listed.splitlines()
    assert [each for each in files if each.startswith("build/") or "ca.crt" in each] == []
    assert not any(each.endswith(("/bin/pip", "/bin/gcc", "/bin/strip")) for each in files)
    assert sum("/barbeque_console/static/" in each for each in files) > 3
    assert sum(each.endswith(".pyc") for each in files) > 1000


def test_it_runs_as_nobody_on_a_disk_that_cannot_be_written_and_ends_when_told(image: str) -> None:
    options = (*STRICT, "--env=BARBEQUE_EXECUTOR=process:", "--health-interval=1s")
    with running(image, options=options) as name:
        wait_until_healthy(name)
        words = docker("exec", name, "id", "--user").stdout
        assert words.strip() == "10001"
        assert docker("exec", name, "touch", "/opt/barbeque/x", check=False).returncode == 1
        told = docker("exec", name, "barbeque", "alive").stdout
        assert told == "port 3003 answers\n"
        assert docker("exec", name, "barbeque", "queues", "--json").stdout == "[]\n"
        began = time.monotonic()
        docker("stop", "--time=60", name)
        assert time.monotonic() - began < 55, "SIGTERM was not heard"
        state = inspect(name)["State"]
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
        said = docker("logs", name)
        assert "barbeque has stopped" in said.stdout
        assert "Traceback" not in said.stderr
        assert docker("diff", name).stdout.splitlines() == []


def test_what_neither_answers_nor_works_is_not_alive(image: str) -> None:
    options = (*STRICT, "--rm", "--init")
    done = docker("run", *options, image, "alive", "--port", "3999", check=False)
    # No database yet: there is nothing that another start would mend.
    assert (done.returncode, done.stdout[:14]) == (0, "a worker waits")
    made = docker("run", *options, image, "migrate", "--json")
    assert '"schema":' in made.stdout
