"""Which SNS topics queues hear, the jobs their messages start, and what SNS says of it."""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console.executions import READ
from barbeque_console.forms import Form, require_typed
from barbeque_console.pages import NOTICES, Pages, redirect
from barbeque_console.parts import Shown
from barbeque_console.refusals import Nowhere
from barbeque_console.rights import Router, asker, chosen_app, jobs_seen, needs, theirs, visitor_of
from barbeque_console.tongue import gettext as _
from barbeque_console.visitor import Visitor
from barbeque_py.apps import TOPIC, Subscription
from barbeque_py.errors import RequestError
from barbeque_py.identity import Scope
from barbeque_py.store import apps
from barbeque_py.store import subscriptions as rows
from barbeque_py.store.subscriptions import Subscribed
from barbeque_py.subscriptions import UnknownSubscription, subscribe, unsubscribe


class SubscriptionPages:
    """Shows, makes and removes subscriptions."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        path, remove = "/subscriptions", "/subscriptions/{subscription:number}/remove"
        one = needs(Scope.DEPLOY, of=subscription_app)
        router.add_api_route(path, self.show_list, methods=READ, **needs(Scope.READ, of=chosen_app))
        router.add_api_route(
            path, self.subscribe, methods=["POST"], **needs(Scope.DEPLOY, of=theirs)
        )
        router.add_api_route(remove, self.ask_remove, methods=READ, **one)
        router.add_api_route(remove, self.remove, methods=["POST"], **one)
        return router

    def show_list(self, request: Request) -> Response:
        """Show every subscription, or those of one app."""
        app = request.query_params.get("app") or None
        now, found, queues, jobs = self._parts.store.read(
            lambda tx: (
                tx.now,
                [each for each in rows.everything(tx) if app in (None, each.app)],
                apps.queue_names(tx),
                jobs_seen(tx, request),
            )
        )
        person = visitor_of(request).person
        return self._pages.render(
            request.scope,
            "subscriptions.html",
            now=now,
            found=found,
            queues=queues,
            jobs=[each for each in jobs if person.may(Scope.DEPLOY, each[0])],
            topics=self._parts.topics is not None,
            notice=NOTICES.get(request.query_params.get("notice", "")),
        )

    def subscribe(self, request: Request, form: Form) -> Response:
        """Let a queue hear a topic, whose messages start the job from now on."""
        topic, queue = form.get("topic", "").strip(), form.get("queue", "")
        app, _slash, job = form.get("job", "").partition("/")
        if TOPIC.fullmatch(topic) is None:
            raise HTTPException(422, "Nothing was changed: that is not the ARN of an SNS topic.")
        who = visitor_of(request).person.on(app)
        try:
            subscribe(
                self._parts.store, self._parts.topics, who, Subscription(topic, queue, app, job)
            )
        except RequestError as error:
            raise HTTPException(409, _("Nothing was changed: %s.") % error) from None
        return redirect(request.scope, f"/subscriptions?app={app}&notice=subscribed")

    def ask_remove(self, request: Request, subscription: int) -> Response:
        """Ask before the queue hears the topic no more."""
        found = self._find(subscription)
        return self._pages.confirm(
            request.scope,
            title=_("Remove the subscription"),
            question=_("Messages of %(topic)s start %(job)s no more. What has begun goes on.")
            % {"topic": found.topic, "job": f"{found.app}/{found.job}"},
            answer=_("Remove it"),
            action=f"/subscriptions/{subscription}/remove",
            typed=_name(found),
            cancel="/subscriptions",
        )

    def remove(self, request: Request, subscription: int, form: Form) -> Response:
        """Let the queue hear the topic no more; done again while SNS could not be told."""
        require_typed(form, _name(self._find(subscription)))
        try:
            unsubscribe(self._parts.store, self._parts.topics, asker(request), subscription)
        except UnknownSubscription:
            raise Nowhere from None
        except RequestError as error:
            raise HTTPException(409, _("Nothing was changed: %s.") % error) from None
        return redirect(request.scope, "/subscriptions?notice=unsubscribed")

    def _find(self, number: int) -> Subscribed:
        found = self._parts.store.read(lambda tx: rows.get(tx, number))
        if found is None:
            raise Nowhere
        return found


def subscription_app(request: Request, visitor: Visitor, scope: Scope) -> str | None:
    """Return the app of the subscription that the path names."""
    number = int(request.path_params["subscription"])
    found = visitor.store.read(lambda tx: rows.get(tx, number))
    if found is None or not visitor.person.may(scope, found.app):
        raise Nowhere
    return found.app


def _name(found: Subscribed) -> str:
    return found.topic.rpartition(":")[2]
