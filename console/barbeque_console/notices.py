"""What people were told: each try with its answer, how each address fares, telling them again."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from fastapi import Request
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.events import TOPICS
from barbeque_console.executions import READ
from barbeque_console.forms import Form, require_typed
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.paging import ROWS, read_number, stretch
from barbeque_console.parts import Shown
from barbeque_console.refusals import Nowhere
from barbeque_console.rights import (
    Router,
    asker,
    chosen_app,
    jobs_seen,
    needs,
    theirs,
    visitor_of,
)
from barbeque_console.tongue import gettext as _
from barbeque_console.visitor import Visitor
from barbeque_py.acts import resend_notice, send_test_notices
from barbeque_py.addresses import EMAIL, SLACK
from barbeque_py.errors import NoAddress, UnknownApp, UnknownNotice
from barbeque_py.identity import Scope
from barbeque_py.notices import Channel, Event, NoticeState
from barbeque_py.store import Tx, channels, notices
from barbeque_py.store.notices import Kept
from barbeque_py.store.pages import Page

_ONCE_MORE = (NoticeState.DELIVERED, NoticeState.REFUSED, NoticeState.GIVEN_UP)
"""What can be sent again; of the others one waits already, and some have no address."""
_FAILED = (NoticeState.REFUSED, NoticeState.GIVEN_UP)
_TYPED_ABOVE = 100

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which notices a page is about."""

    app: str | None = None
    state: NoticeState | None = None
    channel: Channel | None = None
    event: Event | None = None

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What narrows them, by its name."""
        found = ((name, getattr(self, name)) for name in self.__slots__)
        return [(name, str(value)) for name, value in found if value is not None]

    @property
    def query(self) -> str:
        """The same in an address."""
        return urlencode(self.facts)

    def newest(self, tx: Tx, before: int | None, most: int) -> list[Kept]:
        """Return those notices, the newest first."""
        return notices.newest(
            tx,
            app=self.app,
            state=self.state,
            channel=self.channel,
            event=self.event,
            before=before,
            most=most,
        )


class NoticePages:
    """Shows notices, sends them again, and tests whether people can be told."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        listed = needs(Scope.READ, of=chosen_app)
        sending = needs(Scope.DEPLOY, of=chosen_app)
        again = "/notices/resend"
        router.add_api_route("/notices", self.show_list, methods=READ, **listed)
        router.add_api_route(again, self.ask_resend, methods=READ, **sending)
        router.add_api_route(again, self.resend_all, methods=["POST"], **sending)
        router.add_api_route(
            "/notices/test", self.test, methods=["POST"], **needs(Scope.DEPLOY, of=theirs)
        )
        one = "/notices/{notice_id}"
        seen, sent = needs(Scope.READ, of=notice_app), needs(Scope.DEPLOY, of=notice_app)
        router.add_api_route(one, self.show, methods=READ, **seen)
        router.add_api_route(f"{one}/resend", self.resend, methods=["POST"], **sent)
        return router

    def show_list(self, request: Request) -> Response:
        """Show notices, and how each address fares."""
        wanted = read_wanted(request.query_params)
        before = read_number(request.query_params.get("before"))
        now, found, health, jobs = self._parts.store.read(
            lambda tx: (
                tx.now,
                stretch(
                    lambda number, most: _page(tx, wanted, number, most),
                    None,
                    before=before,
                    after=None,
                    kept=wanted.facts,
                ),
                channels.read(tx, app=wanted.app),
                jobs_seen(tx, request),
            )
        )
        return self._pages.render(
            request.scope,
            "notices.html",
            now=now,
            found=found,
            health=health,
            apps=sorted({app for app, _job in jobs}),
            wanted=wanted,
            states=[*NoticeState],
            channels=[*Channel],
            events=[*Event],
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def show(self, request: Request, notice_id: str) -> Response:
        """Show one notice and each try to send it."""
        now, kept, tries = self._parts.store.read(
            lambda tx: (tx.now, found := _find(tx, notice_id), notices.deliveries_of(tx, found.id))
        )
        return self._pages.render(
            request.scope,
            "notice.html",
            now=now,
            kept=kept,
            message_id=kept.facts["occasion"]["message_id"],
            tries=tries,
            again=kept.state in _ONCE_MORE,
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def resend(self, request: Request, notice_id: str) -> Response:
        """Send one notice again."""
        who = asker(request)
        self._act(lambda tx: resend_notice(tx, who, notice_id))
        return redirect(request.scope, f"/notices/{notice_id}?notice=resent")

    def ask_resend(self, request: Request) -> Response:
        """Ask before all that match are sent again: it says how many."""
        wanted = read_wanted(request.query_params)
        found = len(self._parts.store.read(lambda tx: _matching(tx, wanted)))
        return self._pages.confirm(
            request.scope,
            title=_("Send notices again"),
            question=_(
                "%(n)s that were not delivered match and would be sent again, each under its id: "
                "the newest %(most)s at once. Nothing is sent before you say so."
            )
            % {"n": found, "most": notices.MOST},
            answer=_("Send %(n)s again") % {"n": found},
            action=f"/notices/resend?{wanted.query}&expected={found}",
            typed=str(found) if found > _TYPED_ABOVE else None,
            cancel=f"/notices?{wanted.query}",
        )

    def resend_all(self, request: Request, form: Form) -> Response:
        """Send all that match again, if they are as many as was said."""
        wanted, who = read_wanted(request.query_params), asker(request)
        expected = read_number(request.query_params.get("expected"))
        if expected is not None and expected > _TYPED_ABOVE:
            require_typed(form, str(expected))

        def send(tx: Tx) -> None:
            found = _matching(tx, wanted)
            if len(found) != expected:
                sentence = _("%(now)s match by now, not %(counted)s: look again.")
                raise HTTPException(409, sentence % {"now": len(found), "counted": expected})
            for each in found:
                resend_notice(tx, who, each.notice_id)

        self._act(send)
        return redirect(request.scope, f"/notices?notice=resent-all&{wanted.query}")

    def test(self, request: Request, form: Form) -> Response:
        """Send a test to one address, or to all that the app names."""
        app, target = form.get("app", ""), form.get("target", "").strip()
        person = visitor_of(request).person
        if not person.may(Scope.DEPLOY, app):
            raise UnknownApp("There is no such app.")
        who, addresses = person.on(app), [_address(target)] if target else []
        self._act(lambda tx: send_test_notices(tx, who, app, None, addresses))
        return redirect(request.scope, f"/notices?{urlencode({'app': app, 'notice': 'tested'})}")

    def _act(self, act: Callable[[Tx], object]) -> None:
        try:
            self._parts.store.write(act)
        except NoAddress as error:
            raise HTTPException(409, _("Nothing was sent: %s.") % error) from None
        self._parts.bell.ring()


def read_wanted(query: QueryParams) -> Wanted:
    """Read which notices are meant; a word that means nothing narrows nothing."""
    return Wanted(
        app=query.get("app") or None,
        state=_word(NoticeState, query.get("state")),
        channel=_word(Channel, query.get("channel")),
        event=_word(Event, query.get("event")),
    )


def _word(kind: type[Word], said: str | None) -> Word | None:
    return kind(said) if said is not None and said in [*kind] else None


def notice_app(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return the app of the notice that the path names."""
    notice_id = str(request.path_params["notice_id"])
    found = visitor.store.read(lambda tx: notices.get(tx, notice_id))
    if found is None or not visitor.person.may(scope, found.app):
        raise Nowhere
    return found.app


def _find(tx: Tx, notice_id: str) -> Kept:
    found = notices.get(tx, notice_id)
    if found is None:
        raise UnknownNotice("There is no such notice, or it is past its retention.")
    return found


def _page(tx: Tx, wanted: Wanted, before: int | None, most: int) -> Page[Kept]:
    found = wanted.newest(tx, before, most + 1)
    return Page(found[:most], found[most - 1].id if len(found) > most else None)


def _matching(tx: Tx, wanted: Wanted) -> list[Kept]:
    """Return the newest of those that match and were not delivered."""
    states = [wanted.state] if wanted.state else list(_FAILED)
    found: list[Kept] = []
    for state in states:
        if state in _FAILED:
            narrowed = Wanted(wanted.app, state, wanted.channel, wanted.event)
            found += narrowed.newest(tx, None, notices.MOST)
    return sorted(found, key=lambda each: each.id, reverse=True)[: notices.MOST]


def _address(target: str) -> tuple[Channel, str]:
    if EMAIL.fullmatch(target):
        return Channel.EMAIL, target
    if SLACK.fullmatch(target):
        return Channel.SLACK, target
    raise HTTPException(422, "Nothing was sent: that is neither an email address nor a channel.")


def _stamp(tx: Tx, app: str) -> str:
    newest = notices.newest(tx, app=app or None, most=ROWS)
    health = channels.read(tx, app=app or None)
    return repr(([(each.id, each.state, each.tries) for each in newest], health))


TOPICS["notices"] = _stamp
