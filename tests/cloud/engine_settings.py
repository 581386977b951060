"""What a container definition says that Docker's engine takes almost as it is."""

from typing import Any

from tests.cloud.runners import Mount
from tests.cloud.service import Json

_MIB = 1024 * 1024


def host_settings(container: Json) -> dict[str, Any]:
    """Return members of the engine's HostConfig: limits, capabilities, tmpfs and the like."""
    linux = container.get("linuxParameters") or {}
    capabilities = linux.get("capabilities") or {}
    settings = {
        "Init": linux.get("initProcessEnabled"),
        "ShmSize": (linux.get("sharedMemorySize") or 0) * _MIB,
        "CapAdd": capabilities.get("add"),
        "CapDrop": capabilities.get("drop"),
        "Privileged": container.get("privileged"),
        "ReadonlyRootfs": container.get("readonlyRootFilesystem"),
        "Tmpfs": {
            each["containerPath"]: ",".join(
                [f"size={each['size']}m", *each.get("mountOptions", [])]
            )
            for each in linux.get("tmpfs") or []
        },
        "Ulimits": [
            {"Name": each["name"], "Soft": each["softLimit"], "Hard": each["hardLimit"]}
            for each in container.get("ulimits") or []
        ],
    }
    return {name: value for name, value in settings.items() if value}


def mounts_of(container: Json, definition: Json) -> tuple[Mount, ...]:
    """Return the mounts; EFS and Docker volumes are empty volumes of the task here."""
    volumes = {each["name"]: each for each in definition.get("volumes") or []}
    return tuple(
        Mount(
            volume=each["sourceVolume"],
            path=each["containerPath"],
            read_only=bool(each.get("readOnly")),
            host=(volumes.get(each["sourceVolume"], {}).get("host") or {}).get("sourcePath") or "",
        )
        for each in container.get("mountPoints") or []
    )
