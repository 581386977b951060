"""SES, as moto answers for it: what it takes, and what an operator can mend."""

import pytest

from barbeque_py.errors import Undelivered
from barbeque_py.notifiers.email import EmailNotifier
from barbeque_py.notifiers.ses import SesPost
from barbeque_py.setting_channels import Sender
from tests.cloud.rig import REGION, CloudProcess
from tests.notices.samples import a_notice


def test_ses_takes_a_message_once_the_sender_is_verified(
    cloud: CloudProcess, aws_environment: dict[str, str]
) -> None:
    notifier = EmailNotifier(SesPost(region=REGION), Sender("jobs@example.com", "Barbeque"))
    with pytest.raises(Undelivered, match="verify the domain") as raised:
        notifier.deliver(a_notice())
    assert raised.value.whole
    cloud.client("sesv2").create_email_identity(EmailIdentity="jobs@example.com")
    assert "SES took it as" in notifier.deliver(a_notice()).answer


def test_an_ses_that_is_away_is_tried_again(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:9")
    notifier = EmailNotifier(SesPost(region=REGION), Sender("jobs@example.com"))
    with pytest.raises(Undelivered) as raised:
        notifier.deliver(a_notice())
    assert raised.value.whole
