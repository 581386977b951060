"""`/v2/notices`: what people were told, how each delivery went, and telling them again."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, read_text, shown
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py.acts import own_notice, resend_notice, send_test_notices
from barbeque_py.addresses import A_SLACK, AN_EMAIL, EMAIL, SLACK, hide
from barbeque_py.errors import NoAddress, UnknownApp
from barbeque_py.identity import Scope
from barbeque_py.notices import Audience, Channel, Event, NoticeState
from barbeque_py.store import Tx, notices
from barbeque_py.store.notices import Delivery, Kept
from barbeque_py.tell_again import Address

_PATH = "/v2/notices"
_FORMS = {Channel.EMAIL: (EMAIL, AN_EMAIL), Channel.SLACK: (SLACK, A_SLACK)}


class NoticeFacts(TypedDict):
    """A notice to those who may see it; a target that may be a secret is cut."""

    id: str
    number: int
    app: str
    job: str | None
    message_id: str | None
    event: Event
    audience: Audience
    channel: Channel
    target: str | None
    state: NoticeState
    reason: str | None
    tries: int
    made_at: Instant
    done_at: Instant | None


class DeliveryFacts(TypedDict):
    """One time that a notice was sent."""

    at: Instant
    seconds: float
    outcome: str
    request: str | None
    answer: str | None


class NoticeWithDeliveries(NoticeFacts):
    """A notice and each time that it was sent."""

    deliveries: list[DeliveryFacts]


class NoticePage(TypedDict):
    """Notices; `next` is the `before` of the page that follows."""

    notices: list[NoticeFacts]
    next: int | None


class TestNotices(TypedDict):
    """The ids of the tests that are sent."""

    notices: list[str]


class Notices:
    """Shows notices, sends them again, and sends tests."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        reading: dict[str, Any] = {"methods": ["GET"], "dependencies": [needs(Scope.READ)]}
        asking: dict[str, Any] = {"methods": ["POST"], "dependencies": [needs(Scope.DEPLOY)]}
        router.add_api_route(_PATH, self.newest, responses=answers(404), **reading)
        router.add_api_route(
            f"{_PATH}/test",
            self.test,
            status_code=202,
            openapi_extra=schemas.body(schemas.TEST_NOTICE),
            responses=answers(404, 409),
            **asking,
        )
        router.add_api_route(f"{_PATH}/{{notice_id}}", self.get, **reading)
        router.add_api_route(
            f"{_PATH}/{{notice_id}}/resend",
            self.resend,
            status_code=202,
            responses=answers(409),
            **asking,
        )

    def newest(
        self,
        request: Request,
        app: str | None = None,
        state: NoticeState | None = None,
        before: Annotated[int | None, Query(ge=1, le=(1 << 63) - 1)] = None,
        limit: Annotated[int, Query(ge=1, le=notices.MOST)] = 50,
    ) -> Answer[NoticePage]:
        """List notices, the newest first; `next` is the `before` of the page that follows."""
        who = caller_of(request)
        if app is not None and not who.may(Scope.READ, app):
            raise UnknownApp(f"no app is called {shown(app)}")
        wanted = who.app if app is None else app
        found = self._parts.store.read(
            lambda tx: notices.newest(tx, app=wanted, state=state, before=before, most=limit)
        )
        following = found[-1].id if len(found) == limit else None
        return answer({"notices": list(map(facts_of, found)), "next": following})

    def get(self, request: Request, notice_id: str) -> Answer[NoticeWithDeliveries]:
        """Show one notice and each time that it was sent."""
        who = caller_of(request)

        def find(tx: Tx) -> tuple[Kept, list[Delivery]]:
            kept = own_notice(tx, who, Scope.READ, notice_id)
            return kept, notices.deliveries_of(tx, kept.id)

        kept, sent = self._parts.store.read(find)
        may_read = who.may(Scope.LOGS, kept.app)
        told = [_delivery(each, may_read=may_read) for each in sent]
        return answer({**facts_of(kept), "deliveries": told})

    def resend(self, request: Request, notice_id: str) -> Answer[NoticeFacts]:
        """Send the notice again, at once and under its id; 409 for one without an address."""
        who = caller_of(request)
        try:
            kept = self._parts.store.write(lambda tx: resend_notice(tx, who, notice_id))
        except NoAddress as error:
            raise refusal(409, str(error)) from None
        self._parts.bell.ring()
        return answer(facts_of(kept), status=202)

    async def test(self, request: Request) -> Answer[TestNotices]:
        """Send a test to one address, or to all that the app, or its job, names."""
        said = await read_object(
            request, self._parts.max_body, known=("app", "job", "channel", "target")
        )
        app = read_text(said, "app")
        if app is None:
            raise refusal(400, "app is missing")
        who, job, addresses = caller_of(request), read_text(said, "job"), _address(said)

        def send(tx: Tx) -> list[str]:
            return send_test_notices(tx, who, app, job, addresses)

        try:
            made = await run_in_threadpool(self._parts.store.write, send)
        except NoAddress as error:
            raise refusal(409, str(error)) from None
        self._parts.bell.ring()
        return answer({"notices": made}, status=202)


def facts_of(kept: Kept) -> NoticeFacts:
    """Return what a notice is to those who may see it; a target that may be a secret is cut."""
    return {
        "id": kept.notice_id,
        "number": kept.id,
        "app": kept.app,
        "job": kept.job or None,
        "message_id": kept.facts["occasion"]["message_id"] or None,
        "event": kept.event,
        "audience": kept.audience,
        "channel": kept.channel,
        "target": hide(kept.target) or None,
        "state": kept.state,
        "reason": kept.reason,
        "tries": kept.tries,
        "made_at": written(kept.made_at),
        "done_at": written(kept.done_at),
    }


def _delivery(delivery: Delivery, *, may_read: bool) -> DeliveryFacts:
    """Return what came of it; what was sent has lines of a log in it, for who may read logs."""
    return {
        "at": written(delivery.at),
        "seconds": round(delivery.seconds, 3),
        "outcome": delivery.outcome,
        "request": delivery.request if may_read else None,
        "answer": delivery.answer,
    }


def _address(said: dict[str, Any]) -> list[Address]:
    """Read one address of a test, none where none is named."""
    channel, target = read_text(said, "channel"), read_text(said, "target")
    if channel is None and target is None:
        return []
    if channel not in _FORMS or target is None:
        raise refusal(400, "channel is email or slack, and target the address there")
    form, meaning = _FORMS[Channel(channel)]
    if form.fullmatch(target) is None:
        raise refusal(400, f"target: {shown(target)} is not {meaning}")
    return [(Channel(channel), target)]
