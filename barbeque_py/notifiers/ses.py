"""Amazon SES, which takes messages in place of a mail server."""

from email.message import EmailMessage

from barbeque_py import aws
from barbeque_py.errors import NoticeRefused, Undelivered
from barbeque_py.notifier import TIMEOUT


class SesPost:
    """Hands messages to Amazon SES."""

    def __init__(self, *, region: str | None = None) -> None:
        self._client = aws.open_client("sesv2", region=region, patience=TIMEOUT, tries=1)

    def send(self, message: EmailMessage, sender: str, recipient: str) -> str:
        """Hand the message over; SES has an address of its own for bounces, and tells of them."""
        try:
            answer = self._client.send_email(
                FromEmailAddress=str(message["From"]),
                Destination={"ToAddresses": [recipient]},
                FeedbackForwardingEmailAddress=sender,
                Content={"Raw": {"Data": message.as_bytes()}},
            )
        except aws.FAILURES as error:
            raise _ses_fault(error, recipient) from error
        return f"SES took it as {answer['MessageId']}"


_UNVERIFIED = ("not verified", "authority to send")
_ADDRESS_FAULTS = frozenset({"MessageRejected", "BadRequestException"})
"""SES's definite answers to one message; others are about the account, which can be mended."""


def _ses_fault(error: Exception, recipient: str) -> Exception:
    answer = f"SES refuses the message to {recipient}: {aws.explain(error)}"
    if any(words in aws.message_of(error) for words in _UNVERIFIED):
        cure = "verify the domain of BARBEQUE_MAIL_FROM in SES, and leave its sandbox"
        return Undelivered(f"{answer}: {cure}", whole=True)
    if aws.code_of(error) in _ADDRESS_FAULTS:
        return NoticeRefused(answer)
    return Undelivered(answer, whole=True)
