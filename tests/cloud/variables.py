"""Variables that a task definition names but does not hold: secrets, and files in S3."""

import json

from tests.cloud.moto_calls import Moto
from tests.cloud.service import AwsFault, Json

_START = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
    "retrieval failed: "
)


def fetch_secrets(moto: Moto, secrets: list[Json], region: str) -> dict[str, str]:
    """Return the secrets by their variables' names; raises `AwsFault` with the stoppedReason."""
    return {each["name"]: _fetch(moto, each["valueFrom"], region) for each in secrets}


def fetch_files(moto: Moto, files: list[Json], region: str) -> dict[str, str]:
    """Return the variables of env files; raises `AwsFault` with the stoppedReason."""
    found: dict[str, str] = {}
    for each in files:
        bucket, _, key = each["value"].rpartition(":::")[2].partition("/")
        try:
            text = moto.get_object(bucket, key, region=region).decode()
        except AwsFault as fault:
            raise AwsFault(
                "ResourceInitializationError",
                "ResourceInitializationError: failed to download env files: file download command: "
                f"non empty error stream: unable to download {each['value']}: {fault.message}",
            ) from fault
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                found[name] = value
    return found


def _fetch(moto: Moto, source: str, region: str) -> str:
    try:
        if ":secretsmanager:" in source:
            return _of_secrets_manager(moto, source)
        return _of_parameter_store(moto, source, region)
    except AwsFault as fault:
        kind = "asm" if ":secretsmanager:" in source else "ssm"
        raise AwsFault(
            "ResourceInitializationError",
            f"{_START}unable to retrieve secret from {kind}: service call has been retried 1 "
            f"time(s): {fault.code}: {fault.message}",
        ) from fault


def _of_secrets_manager(moto: Moto, source: str) -> str:
    """Read `arn:...:secret:name[:key[:stage[:version]]]`."""
    words = source.split(":")
    key, stage, version = (*words[7:], "", "", "")[:3]
    request = {"SecretId": ":".join(words[:7])}
    if stage:
        request["VersionStage"] = stage
    if version:
        request["VersionId"] = version
    answer = moto.ask("secretsmanager", "GetSecretValue", request, region=words[3])
    text = str(answer["SecretString"])
    if not key:
        return text
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError) as error:
        raise AwsFault("InvalidParameter", f"the secret has no key {key}") from error


def _of_parameter_store(moto: Moto, source: str, region: str) -> str:
    name = source
    if source.startswith("arn:"):
        region, name = source.split(":")[3], source.partition(":parameter")[2]
        if name.count("/") == 1:
            name = name[1:]
    request = {"Name": name, "WithDecryption": True}
    return str(moto.ask("ssm", "GetParameter", request, region=region)["Parameter"]["Value"])
