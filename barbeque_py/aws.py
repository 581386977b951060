"""AWS: clients that fail fast, and what their errors mean in words.

Only this module imports boto3; the adapters call the clients it opens. Credentials and endpoints
are found as every AWS program finds them (`AWS_PROFILE`, `AWS_ENDPOINT_URL`,
`AWS_ENDPOINT_URL_SQS` and so on). The Region is told: boto3 does not read `AWS_REGION` itself.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.httpsession import get_cert_path
from botocore.loaders import create_loader
from botocore.session import get_session

from barbeque_py.errors import ConfigurationError, OutsideError

FAILURES = (exceptions.BotoCoreError, exceptions.ClientError)
"""What a call of a client raises."""

_CONNECT_PATIENCE = 3.0
_ANSWER_PATIENCE = 10.0
_TRIES = 3

_THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_THROTTLE_WORDS = ("rate exceeded", "too many concurrent", "throttl", "too many requests")

_STRANGER = "the credentials are not known to AWS: check AWS_PROFILE or AWS_ACCESS_KEY_ID"
_EXPIRED = "the credentials have expired: renew them"
_CURES = {
    "AccessDenied": "the role may not do this: allow it in its policy",
    "AccessDeniedException": "the role may not do this: allow it in its policy",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidAccessKeyId": _STRANGER,
    "InvalidClientTokenId": _STRANGER,
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it by NTP",
    "SignatureDoesNotMatch": "the secret access key is wrong, or this machine's clock is",
    "UnrecognizedClientException": _STRANGER,
}
_NO_CREDENTIALS = (
    "no AWS credentials were found: run under a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID"
)

_opening = threading.Lock()
_models = create_loader()


def open_client(
    service: str,
    *,
    region: str | None = None,
    connections: int = 20,
    patience: float = _ANSWER_PATIENCE,
    tries: int = _TRIES,
) -> Any:
    """Return a client of the service, safe to use from many threads.

    A call waits `patience` seconds for an answer and is made up to `tries` times. Without `region`
    boto3 looks for one. Raises `ConfigurationError` when there is none, or none of that name.
    """
    config = Config(
        connect_timeout=_CONNECT_PATIENCE,
        read_timeout=patience,
        max_pool_connections=connections,
        retries={"total_max_attempts": tries, "mode": "standard"},
        region_name=region,
        # Servers that only resemble S3 do not know the checksums that come behind a body.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with _opening:  # a session is not safe while it makes a client
        try:
            return _new_session().client(service, config=config)
        except exceptions.NoRegionError:
            raise ConfigurationError(
                "no AWS Region is set: set AWS_REGION, or write region= into the setting's URL"
            ) from None
        except (exceptions.ProfileNotFound, ValueError) as error:
            raise ConfigurationError(
                f"{error}: check AWS_REGION, AWS_PROFILE and AWS_ENDPOINT_URL"
            ) from None


def _new_session() -> boto3.session.Session:
    """Return a session that finds its credentials anew, but reads no model of AWS twice."""
    core = get_session()
    core.register_component("data_loader", _models)
    return boto3.session.Session(botocore_session=core)


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials as they are now."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller must know who signs and sends requests to a service by itself."""

    endpoint: str
    region: str
    certificates: str | None
    """A file of those that are trusted; None trusts what the machine trusts."""
    keys: Callable[[], Keys]
    """Returns the credentials, renewed when they are about to expire; raises `FAILURES`."""


def access_of(client: Any) -> Access | None:
    """Return how the client reaches its service, None where only boto3 knows the way.

    That is through a proxy, without checking certificates, unsigned, or signed in another way.
    """
    try:
        credentials = client._request_signer._credentials  # noqa: SLF001 - told nowhere else
        verify = client._endpoint.http_session._verify  # noqa: SLF001 - told nowhere else
        signed = client.meta.config.signature_version
    except AttributeError:
        return None
    endpoint = str(client.meta.endpoint_url)
    if credentials is None or signed != "v4" or not verify or _has_proxy(client, endpoint):
        return None

    def keys() -> Keys:
        now = credentials.get_frozen_credentials()
        return Keys(now.access_key, now.secret_key, now.token)

    return Access(endpoint, str(client.meta.region_name), get_cert_path(verify), keys)


def _has_proxy(client: Any, endpoint: str) -> bool:
    target = urlsplit(endpoint)
    if client.meta.config.proxies:
        return True
    return target.scheme in getproxies() and not proxy_bypass(target.hostname or "")


def refusal(operation: str, *, status: int, code: str, message: str) -> Exception:
    """Return the error that a client raises when AWS says no."""
    error = {"Code": code, "Message": message}
    metadata = {"HTTPStatusCode": status}
    return exceptions.ClientError(  # type: ignore[no-any-return]
        {"Error": error, "ResponseMetadata": metadata}, operation
    )


def unreached(endpoint: str, error: BaseException) -> Exception:
    """Return the error that a client raises when AWS did not answer."""
    if isinstance(error, TimeoutError):
        return exceptions.ReadTimeoutError(endpoint_url=endpoint, error=error)  # type: ignore[no-any-return]
    return exceptions.EndpointConnectionError(endpoint_url=endpoint, error=error)  # type: ignore[no-any-return]


@contextmanager
def calling(doing: str, raised: type[OutsideError]) -> Iterator[None]:
    """Turn what a client raises into `raised`, with one sentence of fault and cure.

    `doing` begins the sentence, as in "receiving from the queue Barbeque-default".
    """
    try:
        yield
    except FAILURES as error:
        raise raised(f"{doing} failed: {explain(error)}") from error


def code_of(error: BaseException) -> str:
    """Return AWS's code of the error, empty when AWS did not answer."""
    if isinstance(error, exceptions.ClientError):
        return str(error.response.get("Error", {}).get("Code", "")).rpartition("#")[2]
    return ""


def message_of(error: BaseException) -> str:
    """Return AWS's own words, or the SDK's when AWS did not answer."""
    if isinstance(error, exceptions.ClientError):
        return str(error.response.get("Error", {}).get("Message", "")) or code_of(error)
    return str(error)


def is_throttle(error: BaseException) -> bool:
    """Tell whether AWS said "not so fast", also where that hides in another exception."""
    if not isinstance(error, exceptions.ClientError):
        return False
    words = message_of(error).lower()
    return code_of(error) in _THROTTLES or any(each in words for each in _THROTTLE_WORDS)


def is_definite(error: BaseException) -> bool:
    """Tell whether AWS said no, so that nothing was done; False when that is not known."""
    if isinstance(error, exceptions.ParamValidationError):
        return True  # the SDK said it for AWS: nothing was sent
    if not isinstance(error, exceptions.ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return 400 <= status < 500 and not is_throttle(error)  # noqa: PLR2004 - HTTP's classes


def lacks_credentials(error: BaseException) -> bool:
    """Tell whether the SDK has nothing to ask with."""
    return isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError)


def explain(error: BaseException) -> str:
    """Return AWS's words with the cure where we know one; no secret is in them."""
    if lacks_credentials(error):
        return _NO_CREDENTIALS
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return f"{error} Is the network up, and the Region right?"
    code = code_of(error)
    words = f"{code}: {message_of(error)}" if code else message_of(error)
    return f"{words} ({_CURES[code]})" if code in _CURES else words
