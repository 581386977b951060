"""Slack: a notice as a message, by a bot's token or by an incoming webhook."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.webhook import WebhookClient

from barbeque_py.errors import NoticeRefused, Undelivered
from barbeque_py.letters import write
from barbeque_py.notices import Event, Notice
from barbeque_py.notifier import TIMEOUT, Receipt
from barbeque_py.setting_channels import SlackAccess
from barbeque_py.slack_form import as_message

_INVITE = "invite the bot into the channel: /invite @NAME in Slack"
_RENEW = "make a new token in Slack and set BARBEQUE_SLACK"
_CURES = {
    "channel_not_found": f"there is no such channel, or it is private: {_INVITE}",
    "channel_is_archived": "the channel is archived: name another one",
    "is_archived": "the channel is archived: name another one",
    "not_in_channel": _INVITE,
    "action_prohibited": "an admin of the workspace forbids it: ask them",
    "restricted_action": "an admin of the workspace forbids it: ask them",
    "no_service": "the incoming webhook was removed: make a new one",
    "no_active_hooks": "the incoming webhook was switched off: make a new one",
    "no_team": "the incoming webhook's workspace is gone: make a new one",
    "user_not_found": "there is no such member: correct the address book",
    "cannot_dm_bot": "a bot can't be written to: name a person",
    "messages_tab_disabled": "switch the bot's messages tab on in its settings (App Home)",
}
"""Slack's errors that would come again."""
_OUR_FAULT = {
    "invalid_auth": _RENEW,
    "not_authed": _RENEW,
    "account_inactive": _RENEW,
    "token_expired": _RENEW,
    "token_revoked": _RENEW,
    "missing_scope": "give the bot the scope chat:write and install it anew",
    "invalid_token": "the incoming webhook is not valid any more: make a new one",
}
"""Slack's errors that an operator can mend, for all notices at once."""
_GONE = ("thread_not_found", "message_not_found")
_PASSING = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error"})
_NOT_SET_UP = "nothing is sent to Slack from here: set BARBEQUE_SLACK"
_OK, _TOO_OFTEN, _BROKEN = 200, 429, 500


class SlackNotifier:
    """Posts notices; those of one execution share a thread where a bot posts them."""

    def __init__(
        self, access: SlackAccess | None, api: str, *, host_url: str | None = None
    ) -> None:
        self._access = access
        self._host_url = host_url
        self._client: WebClient | None = None
        if access is not None and access.token:
            self._client = WebClient(
                access.token, base_url=f"{api}/", timeout=int(TIMEOUT), retry_handlers=[]
            )

    def deliver(self, notice: Notice) -> Receipt:
        """Post the notice."""
        message = as_message(write(notice, self._host_url), notice)
        if "://" in notice.target:
            return _post_to_webhook(notice.target, message)
        if self._access is None:
            raise NoticeRefused(_NOT_SET_UP)
        if self._client is None:
            return _post_to_webhook(self._access.webhook, message | {"channel": notice.target})
        return self._post(self._client, notice, message)

    def _post(self, client: WebClient, notice: Notice, message: Mapping[str, Any]) -> Receipt:
        thread: dict[str, Any] = {}
        if notice.thread is not None:
            ended = notice.occasion.event is Event.FAILED
            thread = {"thread_ts": notice.thread, "reply_broadcast": ended}
        about = {"event_type": "barbeque_notice", "event_payload": {"id": notice.id}}
        try:
            with _faults():
                answer = client.chat_postMessage(
                    channel=notice.target,
                    metadata=about,
                    unfurl_links=False,
                    unfurl_media=False,
                    **message,
                    **thread,
                )
        except _ThreadGone:
            return self._post(client, _without_thread(notice), message)
        place = answer.get("channel") or notice.target
        return Receipt(f"posted to {place} at {answer['ts']}", receipt=str(answer["ts"]))


class _ThreadGone(Exception):
    """Somebody removed the message that the thread hangs on."""


def _without_thread(notice: Notice) -> Notice:
    return replace(notice, thread=None)


def _post_to_webhook(url: str, message: Mapping[str, Any]) -> Receipt:
    client = WebhookClient(url, timeout=int(TIMEOUT), retry_handlers=[])
    with _faults():
        answer = client.send_dict(dict(message))
    said = f"{answer.status_code} {' '.join(answer.body.split())[:200]}"
    if answer.status_code == _OK:
        return Receipt(said)
    raise _fault(answer.status_code, answer.body.strip(), answer.headers)


@contextmanager
def _faults() -> Iterator[None]:
    """Turn what slack-sdk raises into what `Notifier.deliver` does."""
    try:
        yield
    except SlackApiError as error:
        answer = error.response
        code = str(answer.get("error", "")) if hasattr(answer, "get") else ""
        if code in _GONE:
            raise _ThreadGone from error
        raise _fault(answer.status_code, code, answer.headers) from error
    except (OSError, HTTPException, SlackClientError) as error:
        reason = getattr(error, "reason", None) or error
        raise Undelivered(f"Slack can't be reached: {reason}", whole=True) from error


def _fault(status: int, code: str, headers: Mapping[str, Any]) -> Exception:
    """Return the error for what Slack answered."""
    if status == _TOO_OFTEN:
        wait = _seconds(headers)
        return Undelivered(f"Slack wants {wait.seconds} s of rest", retry_after=wait)
    if status >= _BROKEN or code in _PASSING:
        return Undelivered(f"Slack failed: {status} {code[:100]}".strip(), whole=True)
    if code in _OUR_FAULT:
        return Undelivered(f"Slack says {code}: {_OUR_FAULT[code]}", whole=True)
    cure = _CURES.get(code)
    return NoticeRefused(f"Slack says {code[:100]}" + (f": {cure}" if cure else ""))


def _seconds(headers: Mapping[str, Any]) -> timedelta:
    """Read Retry-After, whatever its case and whether it is a list, as slack-sdk has it."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    text = str(said[0] if isinstance(said, list) and said else said)
    return timedelta(seconds=min(int(text), 3600) if text.isdecimal() else 30)
