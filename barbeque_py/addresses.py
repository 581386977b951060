"""Where people are told: the forms that addresses may have."""

import re

EMAIL = re.compile(
    r"(?=.{3,254}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*",
    re.ASCII,
)
"""One mailbox without a name: RFC 5321's dot-atom, no quoted local part, no comments."""
AN_EMAIL = "an email address, as in ann@example.com"

SLACK = re.compile(r"#[^\W_A-Z][\w.-]{0,79}|[CDGUW][A-Z0-9]{6,20}")
"""A channel's name with its #, or the id of a channel or a member."""
A_SLACK = 'a Slack channel such as "#media", or an id such as C024BE91L or U024BE7LH'

SLACK_MEMBER = re.compile(r"[UW][A-Z0-9]{6,20}", re.ASCII)
A_SLACK_MEMBER = "a Slack member id such as U024BE7LH"

SLACK_WEBHOOK = re.compile(r"https://hooks\.slack(-gov)?\.com/[A-Za-z0-9/_-]{1,200}", re.ASCII)
"""An incoming webhook of Slack's: whoever knows it may post."""

LOCALES = ("en", "ja")


def hide(target: str) -> str:
    """Return the address fit to be shown: of one of the web, which may be a secret, the host."""
    scheme, mark, rest = target.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}/***" if mark else target
