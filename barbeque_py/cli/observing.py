"""What a process tells of itself while it runs: its log, traces, and errors to Sentry."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from barbeque_py import tracing
from barbeque_py.cli.own_log import set_up_logging
from barbeque_py.errors import ConfigurationError
from barbeque_py.masks import Mask, compile_masks, secret_values
from barbeque_py.settings import Settings

_UNSAID = ("request", "user", "breadcrumbs", "server_name", "modules")
"""What of an event of Sentry's may hold what people sent."""


def observe(settings: Settings, process: str, *, requests: bool = True) -> None:
    """Write the log as the settings say, and begin to trace and to report errors, where they do.

    Without `requests` those that went well are left out. Raises `ConfigurationError`.
    """
    set_up_logging(form=settings.log_format, requests=requests)
    if settings.traces is not None:
        tracing.begin(settings.traces, f"barbeque-{process}", version("barbeque-py"))
    if settings.sentry is not None:
        _report_errors(settings, settings.sentry, process)


def secrets_of(settings: Settings) -> list[str]:
    """Return every secret value among the settings."""
    mail = settings.mail.password if settings.mail else ""
    slack = (settings.slack.token, settings.slack.webhook) if settings.slack else ()
    said = (settings.token, settings.oidc_secret, settings.proxy_secret, settings.sentry)
    urls = secret_values({"database": settings.database})
    return [each for each in (*said, mail, *slack, *urls) if each]


def _report_errors(settings: Settings, dsn: str, process: str) -> None:
    try:
        import sentry_sdk
    except ImportError as error:
        raise ConfigurationError(
            "BARBEQUE_SENTRY is set, and sentry-sdk is not installed: install barbeque-py[sentry] "
            f"({error})"
        ) from None
    mask = compile_masks(secrets_of(settings), ())
    sentry_sdk.init(
        dsn=dsn,
        release=version("barbeque-py"),
        environment=settings.environment.name if settings.environment else None,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_enabling_integrations=False,
        before_send=lambda event, _: _scrubbed(event, mask),
    )
    sentry_sdk.set_tag("process", process)


def _scrubbed(event: Any, mask: Mask | None) -> Any:
    """Return the event without what people sent, and with no secret of ours."""
    kept = {name: each for name, each in event.items() if name not in _UNSAID}
    return kept if mask is None else _masked(kept, mask)


def _masked(value: Any, mask: Mask) -> Any:
    match value:
        case str():
            return mask(value.encode(errors="replace")).decode(errors="replace")
        case Mapping():
            return {key: _masked(each, mask) for key, each in value.items()}
        case list() | tuple():
            return [_masked(each, mask) for each in value]
    return value
