"""What `barbeque check` says about telling people; it sends a test where it is asked to."""

from barbeque_py.addresses import EMAIL, SLACK
from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.finding import NOTE, OK, Finding
from barbeque_py.ids import new_message_id
from barbeque_py.notices import Audience, Channel, Event, Notice, Occasion, notice_id
from barbeque_py.settings import Settings
from barbeque_py.wiring.notifiers import open_notifiers

_ABOUT = "barbeque"
_SETTINGS = {Channel.EMAIL: "BARBEQUE_MAIL", Channel.SLACK: "BARBEQUE_SLACK"}


def look_at_notices(settings: Settings) -> Finding:
    """Say over which channels people are told; raises `ConfigurationError`."""
    open_notifiers(settings)
    there = {Channel.EMAIL: settings.mail is not None, Channel.SLACK: settings.slack is not None}
    said = [f"{way} by {_SETTINGS[way]}" for way, is_set in there.items() if is_set]
    missing = [f"{_SETTINGS[way]} for {way}" for way, is_set in there.items() if not is_set]
    if missing:
        told = f"people are told over {' and '.join(said)}" if said else "people are told nothing"
        return Finding(NOTE, "notices", f"{told}; set {' and '.join(missing)}")
    tested = "; --tell ADDRESS sends a test"
    return Finding(OK, "notices", f"people are told over {' and '.join(said)}{tested}")


def send_test(settings: Settings, address: str) -> Finding:
    """Send a test to the address; raises what the notifier raises."""
    channel = _channel_of(address)
    notifier = open_notifiers(settings).get(channel)
    if notifier is None:
        raise Failure(f"no {channel} is sent from here: set {_SETTINGS[channel]}")
    occasion = Occasion(Event.TEST, _ABOUT, "", new_message_id())
    name = notice_id(occasion, channel, address)
    told = Occasion(Event.TEST, _ABOUT, "", "")
    receipt = notifier.deliver(Notice(name, channel, address, Audience.ADMINS, told))
    return Finding(OK, "notices", f"{channel} to {address} was taken: {receipt.answer}")


def _channel_of(address: str) -> Channel:
    if EMAIL.fullmatch(address):
        return Channel.EMAIL
    if SLACK.fullmatch(address):
        return Channel.SLACK
    raise Failure(f"--tell {address!r}: write ann@example.com or '#channel'", Code.USAGE)
