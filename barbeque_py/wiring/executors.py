"""Opens what runs attempts, or finds out which that is."""

from collections.abc import Callable
from dataclasses import replace

from barbeque_py.ecs_url import EcsUrl
from barbeque_py.environment import inherited
from barbeque_py.errors import ConfigurationError
from barbeque_py.executor import Executor
from barbeque_py.executors.docker import DockerExecutor
from barbeque_py.executors.engine import Engine, engine_answers
from barbeque_py.executors.process import ProcessExecutor
from barbeque_py.logstore import LogStore
from barbeque_py.registries.asking import Registries
from barbeque_py.setting_urls import ExecutorUrl, read_executor
from barbeque_py.settings import Settings
from barbeque_py.store import Store, apps
from barbeque_py.tickets import JobUrls

DOCKER_SOCKET = "/var/run/docker.sock"
"""Where the Docker engine listens when no `socket` is set."""

_ENGINE_PATIENCE = 5.0


def open_executor(
    url: ExecutorUrl | EcsUrl,
    settings: Settings,
    store: Store,
    logs: LogStore,
    *,
    installation: str,
) -> tuple[Executor, Callable[[], None]]:
    """Return the executor, and what closes it; no engine is asked anything yet."""
    if isinstance(url, EcsUrl):
        return _open_ecs(url, settings, store, logs, installation)
    if url.kind == "docker":
        docker = DockerExecutor(
            installation=installation,
            socket=socket_of(url),
            slots=url.slots,
            urls=_job_urls(settings, store),
        )
        return docker, docker.close
    process = ProcessExecutor(
        home=settings.home,
        installation=installation,
        slots=url.slots,
        environment=inherited(),
        urls=_job_urls(settings, store),
    )
    return process, lambda: None


def _job_urls(settings: Settings, store: Store) -> JobUrls | None:
    if settings.job_url is None:
        return None
    return JobUrls(settings.job_url, store.read(apps.installation_secret))


def _open_ecs(
    url: EcsUrl, settings: Settings, store: Store, logs: LogStore, installation: str
) -> tuple[Executor, Callable[[], None]]:
    from barbeque_py.executors.ecs import EcsExecutor  # noqa: PLC0415
    from barbeque_py.executors.ecs_definition import Bucket  # noqa: PLC0415

    place, registries = settings.logs, Registries()
    executor = EcsExecutor(
        store,
        replace(url, region=url.region or settings.aws_region),
        installation=installation,
        urls=_job_urls(settings, store),
        bucket=Bucket(place.bucket, place.prefix, logs) if place.kind == "s3" else None,
        registry=registries,
    )

    def close() -> None:
        executor.close()
        registries.close()

    return executor, close


def choose_executor(store: Store, settings: Settings) -> ExecutorUrl | EcsUrl:
    """Return the executor that is set, else the one that was chosen when the database was made.

    Raises `ConfigurationError` when there is neither.
    """
    if settings.executor is not None:
        return settings.executor
    stored = store.read(apps.stored_executor)
    if stored is None:
        raise ConfigurationError(
            "BARBEQUE_EXECUTOR is not set, and `barbeque up` has never chosen one for this "
            "database: set it to docker: or process:"
        )
    return read_executor(stored)


def settle_executor(store: Store, settings: Settings) -> tuple[ExecutorUrl | EcsUrl, str]:
    """Choose as `choose_executor`; where nothing was chosen yet, ask the engine, and keep it.

    Returns the executor and a sentence for people that tells which, and why.
    """
    if settings.executor is not None:
        return settings.executor, f"{_named(settings.executor)}, as BARBEQUE_EXECUTOR says"
    stored = store.read(apps.stored_executor)
    if stored is not None:
        url = read_executor(stored)
        return url, f"{_named(url)}, as when this database was made (BARBEQUE_EXECUTOR changes it)"
    answers = engine_answers(DOCKER_SOCKET)
    url = ExecutorUrl("docker" if answers else "process")
    store.write(lambda tx: apps.store_executor(tx, f"{url.kind}:"))
    return url, f"{_named(url)}, because {'an' if answers else 'no Docker'} engine " + (
        "answers" if answers else f"answers at {DOCKER_SOCKET} (BARBEQUE_EXECUTOR changes it)"
    )


def _named(url: ExecutorUrl | EcsUrl) -> str:
    if isinstance(url, EcsUrl):
        return f"as tasks of the ECS cluster {url.cluster}"
    return "in Docker containers" if url.kind == "docker" else "as processes of this machine"


def socket_of(url: ExecutorUrl) -> str:
    """Return the path of the Docker engine's socket."""
    return str(url.socket or DOCKER_SOCKET)


def engine_version(url: ExecutorUrl) -> str:
    """Return the Docker engine's version. Raises `ExecutorUnavailable`."""
    engine = Engine(socket_of(url), _ENGINE_PATIENCE)
    try:
        return str(engine.call("GET", "/version").json()["Version"])
    finally:
        engine.close()
