"""Everything that can go wrong, as one family.

BarbequeError
  RequestError            the caller must change something; nothing was stored
    UnknownQueue
    UnknownWorker
    UnknownSchedule
    UnknownJob
    UnknownExecution
    UnknownApp
    UnknownRevision
    UnknownImage          its registry is sure that there is no such image
    ImageRefused          it comes from where no image may come from
    UnknownToken
    UnknownUser
    NoDeadMessage
    UnknownNotice
    NoAddress             there is nobody to send a notice to
    BadTags               an execution can't have these tags
    UnfitBody             a broker can't carry a message's body
    Outrun                somebody else has changed it since
    Forbidden             whoever asks may not do that
    QueueRefused          the broker can't have the queue
    StillOpen             the execution has not ended, so it can't be retried
    ForbiddenTarget       an address that we don't send anything to
    BadPattern            nothing can be looked for by it
    UnfitBackup           it is damaged, or this version can't read it
    NotEmpty              a backup can't be restored where something is already
  OutsideError            another system failed; trying again may help
    StoreUnavailable
    BrokerUnavailable
    ExecutorUnavailable
      Throttled           the executor was asked too often and did nothing
    LogStoreUnavailable
    Undelivered           a receiver did not take a notice
  NoticeRefused           a receiver said a definite no to a notice
    Unanswered            an address that an app named was sent something, and did not answer
  LaunchRefused           the executor said a definite no: nothing was started
  NoCapacity              the executor said a definite "not now": nothing was started
  NoSuchLog               the log store has no such object
  ConfigurationError      the operator must change something
"""

from datetime import timedelta


class BarbequeError(Exception):
    """Something went wrong in barbeque_py."""


class RequestError(BarbequeError):
    """The request can't be honoured as it stands; the message names the fault."""


class UnknownQueue(RequestError):
    """No queue has this name."""


class UnknownWorker(RequestError):
    """No worker is called so, or more than one."""


class UnknownSchedule(RequestError):
    """No schedule is called so."""


class UnknownJob(RequestError):
    """No such job is defined in this app."""


class UnknownExecution(RequestError):
    """No execution has this id."""


class UnknownApp(RequestError):
    """No app has this name."""


class UnknownRevision(RequestError):
    """The app has no such revision."""


class UnknownImage(RequestError):
    """The registry that the image names has no such image."""


class ImageRefused(RequestError):
    """Images may not come from there, as BARBEQUE_REGISTRIES says."""


class UnknownToken(RequestError):
    """No token has this id."""


class BadPattern(RequestError):
    """What is to be looked for is no regular expression, or too long."""


class UnknownUser(RequestError):
    """Nobody who may use the console has this address or number."""


class Outrun(RequestError):
    """What was to be changed is not as it was said to be: somebody else was first."""


class Forbidden(RequestError):
    """Whoever asks may not do that; nothing was changed."""


class QueueRefused(RequestError):
    """The broker said a definite no to a queue that is to be made; nothing was stored."""


class NoDeadMessage(RequestError):
    """The dead message is gone: it was sent again or dropped."""


class UnknownNotice(RequestError):
    """No notice has this id."""


class NoAddress(RequestError):
    """There is nobody to send the notice to; the message names the cure."""


class BadTags(RequestError):
    """An execution can't have these tags: there are too many, or one is too long."""


class UnfitBody(RequestError, ValueError):
    """The broker can't carry the body: it is empty, too large, or has a forbidden character."""


class StillOpen(RequestError):
    """The execution has not ended yet."""


class ForbiddenTarget(RequestError, ValueError):
    """The address is none that we send anything to; nothing was sent."""


class UnfitBackup(RequestError):
    """The backup is damaged, or of a version that this one can't read; the message says which."""


class NotEmpty(RequestError):
    """There is something already where a backup was to be restored; nothing was changed."""


class OutsideError(BarbequeError):
    """A system outside barbeque_py failed; the same call may succeed later."""


class StoreUnavailable(OutsideError):
    """The database can't be reached, is locked, or lacks our schema."""


class BrokerUnavailable(OutsideError):
    """The broker did not answer; what was sent may or may not be on its queue."""


class ExecutorUnavailable(OutsideError):
    """The executor did not answer; whether it acted is unknown."""


class Throttled(ExecutorUnavailable):
    """The executor was asked too often and did nothing; the same call may succeed later."""


class LogStoreUnavailable(OutsideError):
    """The log store can't be written or read: a full disk, a refused connection."""


class Undelivered(OutsideError):
    """The receiver did not take the notice, or its answer was lost; the same may work later.

    `retry_after` is how long the receiver wants to be left alone. `whole` says that the channel
    itself is at fault, for every receiver. `request` is what was sent, where that is worth keeping.
    """

    def __init__(
        self,
        answer: str,
        *,
        retry_after: timedelta | None = None,
        whole: bool = False,
        request: str | None = None,
    ) -> None:
        super().__init__(answer)
        self.retry_after = retry_after
        self.whole = whole
        self.request = request


class NoticeRefused(BarbequeError):
    """The receiver said a definite no: sending it again as it is would not help.

    The sentence names the cure.
    """

    def __init__(self, answer: str, *, request: str | None = None) -> None:
        super().__init__(answer)
        self.request = request


class Unanswered(OutsideError):
    """An address that an app named gave no answer; `sent` says whether it may have been reached."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class LaunchRefused(BarbequeError):
    """The executor said a definite no: nothing was started and nothing will be.

    `blame_definition` tells whose fault it is: True for what the definition names (no such image,
    no such command), which uses one of the job's attempts; False for the machine's (the network
    broke a pull), which does not.
    """

    def __init__(self, reason: str, *, blame_definition: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.blame_definition = blame_definition


class NoCapacity(BarbequeError):
    """The executor has no room now: nothing was started, and nothing of this call ever will be."""


class NoSuchLog(BarbequeError):
    """The log store has no object under this key."""


class ConfigurationError(BarbequeError):
    """The settings do not describe a system that can run; the message names setting and cure."""
