"""Opens what tells people, one notifier a channel."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from barbeque_py.errors import ConfigurationError
from barbeque_py.notices import Channel, Notice
from barbeque_py.notifier import Notifier, Receipt
from barbeque_py.outbound import Outbound
from barbeque_py.setting_channels import MailUrl
from barbeque_py.settings import Settings
from barbeque_py.store import Store

if TYPE_CHECKING:
    from barbeque_py.notifiers.email import Post


def open_notifiers(settings: Settings) -> dict[Channel, Notifier]:
    """Return what tells people over each channel that is set up; touches nothing yet.

    Raises `ConfigurationError`.
    """
    slack = _WhenNeeded(lambda: _open_slack(settings))
    found: dict[Channel, Notifier] = {Channel.SLACK: slack}
    if settings.mail is not None:
        found[Channel.EMAIL] = _open_email(settings.mail, settings)
    return found


class _WhenNeeded:
    """A notifier that its first notice opens: slack-sdk takes longer to load than all of ours."""

    def __init__(self, open_: Callable[[], Notifier]) -> None:
        self._open = open_
        self._opened: Notifier | None = None
        self._guard = Lock()

    def deliver(self, notice: Notice) -> Receipt:
        """Deliver the notice as the notifier does."""
        with self._guard:
            opened = self._opened = self._opened or self._open()
        return opened.deliver(notice)


def _open_slack(settings: Settings) -> Notifier:
    from barbeque_py.notifiers.slack import SlackNotifier  # noqa: PLC0415

    return SlackNotifier(settings.slack, settings.slack_api, host_url=settings.host_url)


def open_webhooks(store: Store, outbound: Outbound, settings: Settings) -> Notifier:
    """Return what sends webhooks."""
    from barbeque_py.notifiers.webhook import WebhookNotifier  # noqa: PLC0415

    return WebhookNotifier(store, outbound, host_url=settings.host_url)


def _open_email(url: MailUrl, settings: Settings) -> Notifier:
    from barbeque_py.notifiers.email import EmailNotifier  # noqa: PLC0415

    if settings.mail_from is None:
        raise ConfigurationError(
            "BARBEQUE_MAIL_FROM is not set, and BARBEQUE_MAIL is: say in whose name email is sent, "
            "as in Barbeque <jobs@example.com>"
        )
    return EmailNotifier(_open_post(url, settings), settings.mail_from, host_url=settings.host_url)


def _open_post(url: MailUrl, settings: Settings) -> "Post":
    if url.kind == "ses":
        from barbeque_py.notifiers.ses import SesPost  # noqa: PLC0415

        return SesPost(region=url.region or settings.aws_region)
    from barbeque_py.notifiers.email import SmtpPost  # noqa: PLC0415

    return SmtpPost(url)
