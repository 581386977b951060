"""What apps and the command line speak to a barbeque_py with: its HTTP API, as Python calls."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from barbeque_py import calls
from barbeque_py.asking import Asking
from barbeque_py.calling import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Server
from barbeque_py.calls import Call, Tries
from barbeque_py.calls import given as _given
from barbeque_py.calls import part as _part
from barbeque_py.faults import Conflict, Faulty, NotFound, Refused, Unreachable

__all__ = ["Client", "Conflict", "Faulty", "NotFound", "Refused", "Unreachable"]

T = TypeVar("T")

_NOTICES = "/v2/notices"


class Client(Asking):
    """Speaks to the API at `url`; safe for threads, and keeps its connections until `close`.

    Without a URL it is BARBEQUE_URL's with BARBEQUE_TOKEN, else the local one. `timeout` is how
    long one request may take; `retries` how often it is made again where that can do no harm.
    Every call raises what `faults` lists. What is not for apps answers the API's JSON, as it
    stands in docs/api.md.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: timedelta = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
        retries: int = DEFAULT_RETRIES,
    ) -> None:
        self._server = Server(url, token, timeout=timeout, headers=headers)
        self.url = self._server.url
        self._retries = retries
        self._http = httpx.Client(**self._server.connection)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def waiting(self, message_id: str) -> dict[str, Any]:
        """Return why the execution does not run, in `waiting`; also of an id nobody has seen."""
        return self._dict("GET", f"{calls.of_execution(message_id)}/waiting")

    def executions(self, **wanted: Any) -> dict[str, Any]:
        """Return the newest executions, narrowed by what the API's list takes, `tag` as a list.

        `job_executions` lists them, `next` is what to give as `before` to go on, None at the end.
        """
        return self._dict("GET", calls.EXECUTIONS, params=_given(wanted))

    def bulk(self, action: str, wanted: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Cancel, retry or delete those that are wanted; `dry_run` counts, `expected` guards.

        Where `finished_at` is None there is more to do: `go_on` does it.
        """
        said = {name: value for name, value in more.items() if value is not None}
        body = {"action": action, "filter": dict(wanted)} | said
        return self._dict("POST", f"{calls.EXECUTIONS}/bulk", json=body)

    def go_on(self, number: int) -> dict[str, Any]:
        """Go on with a bulk change, for some seconds, and tell how far it has come."""
        return self._dict("POST", f"{calls.EXECUTIONS}/bulk/{number}")

    def log(self, message_id: str, *, wait: timedelta = timedelta(0), **wanted: Any) -> Any:
        """Return a page of an attempt's log, waiting up to `wait` for it to have something new.

        `attempt` is a number (default: the newest), `first` a line's number or, negative, how many
        from the end, `count` how many lines, `stream` is out or err. The answer has `lines`, and
        in `next` the `first` to go on with; `sealed` and `total` tell when there are no more.
        """
        return self.ask(calls.log(message_id, wait=wait, **wanted))

    def apply(
        self,
        text: str,
        *,
        base: str | None = None,
        planned: str | None = None,
        **flags: bool,
    ) -> dict[str, Any]:
        """Make apps, jobs and queues as the YAML text says, all or nothing.

        The answer has `changes`, and in `unfinished` what SNS could not be told yet. Paths in the
        text are relative to `base`, an absolute directory. A text with faults raises `Refused`
        with its `problems`. `flags` are `prune`, `dry_run` and `diff`, as docs/api.md says; with
        `planned`, the `state` of such an answer, it is refused (409) if something has changed.
        """
        params = _given({"base": base, "planned": planned}) | {
            name: "1" for name, on in flags.items() if on
        }
        return self._dict(
            "POST",
            "/v2/apply",
            content=text.encode(),
            params=params,
            headers={"Content-Type": "application/yaml"},
        )

    def export(self, *apps: str) -> str:
        """Return the apply file of what there is, or of these apps, as YAML."""
        asked = {"app": list(apps)} if apps else {}
        return self.ask(Call("GET", "/v2/export", str, params=asked, as_text=True))

    def apps(self) -> list[dict[str, Any]]:
        """Return every app with its jobs."""
        return list(self._dict("GET", "/v2/apps")["apps"])

    def release(self, app: str, image: str, *, note: str | None = None) -> dict[str, Any]:
        """Make the image the app's newest revision; the answer tells its number."""
        wanted = {"image": image, "note": note}
        body = {name: value for name, value in wanted.items() if value is not None}
        return self._dict("POST", f"/v2/apps/{_part(app)}/revisions", json=body)

    def roll_back(
        self,
        app: str,
        *,
        to: int | None = None,
        current: int | None = None,
        note: str | None = None,
    ) -> dict[str, Any]:
        """Bring back revision `to` of the app, or the one before, as its newest revision.

        With `current` it is refused (409) unless that is the app's current revision.
        """
        wanted = {"to": to, "current": current, "note": note}
        body = {name: value for name, value in wanted.items() if value is not None}
        return self._dict("POST", f"/v2/apps/{_part(app)}/rollback", json=body)

    def outcomes(
        self, app: str, number: int, *, limit: int = 100, newest: bool = False
    ) -> dict[str, Any]:
        """Return how the first executions on the revision fared, or the newest."""
        path = f"/v2/apps/{_part(app)}/revisions/{number}/outcomes"
        flag = {"newest": "1"} if newest else {}
        return self._dict("GET", path, params={"limit": str(limit)} | flag)

    def revisions(self, app: str, **wanted: Any) -> dict[str, Any]:
        """Return the app's newest revisions; `before` and `limit` narrow, as `next` tells."""
        return self._dict("GET", f"/v2/apps/{_part(app)}/revisions", params=_given(wanted))

    def signing_secrets(self, app: str) -> list[dict[str, Any]]:
        """Return the secrets that sign what the app is sent, the newest first."""
        return list(self._dict("GET", f"/v2/apps/{_part(app)}/signing_secrets")["signing_secrets"])

    def rotate_signing_secret(self, app: str, *, overlap: str = "1d") -> list[dict[str, Any]]:
        """Make a new secret for the app; the one before signs beside it for `overlap`."""
        path = f"/v2/apps/{_part(app)}/signing_secrets"
        return list(self._dict("POST", path, json={"overlap": overlap})["signing_secrets"])

    def queues(self) -> list[dict[str, Any]]:
        """Return every queue with what waits and runs."""
        return list(self._dict("GET", "/v2/queues")["queues"])

    def pause(self, queue: str, reason: str | None = None, *, lasts: str | None = None) -> Any:
        """Start nothing more from the queue, which still takes in; `lasts` is as in `2h`."""
        body = _given({"reason": reason, "lasts": lasts})
        return self._call("POST", f"/v2/queues/{_part(queue)}/pause", json=body)

    def resume(self, queue: str) -> Any:
        """Start from the queue again."""
        return self._call("POST", f"/v2/queues/{_part(queue)}/resume")

    def workers(self) -> dict[str, Any]:
        """Return who is at work, the slots of each place, and what is held back there."""
        return self._dict("GET", "/v2/workers")

    def drain(self, worker: str) -> dict[str, Any]:
        """Let the worker take nothing new; it finishes what it has."""
        return self._dict("POST", f"/v2/workers/{_part(worker)}/drain")

    def undrain(self, worker: str) -> dict[str, Any]:
        """Let the worker take again."""
        return self._dict("POST", f"/v2/workers/{_part(worker)}/undrain")

    def schedules(self, app: str | None = None) -> list[dict[str, Any]]:
        """Return what runs by the clock, each with its next times."""
        found = self._dict("GET", "/v2/schedules", params=_given({"app": app}))
        return list(found["schedules"])

    def suspend_schedule(
        self,
        app: str,
        job: str,
        name: str,
        reason: str | None = None,
        *,
        lasts: str | None = None,
    ) -> dict[str, Any]:
        """Let the schedule start nothing until it is resumed, or for as long as `lasts` says."""
        body = _given({"reason": reason, "lasts": lasts})
        return self._dict("POST", f"{_schedule(app, job, name)}/suspend", json=body)

    def resume_schedule(self, app: str, job: str, name: str) -> dict[str, Any]:
        """Let the schedule start its job again; what passed meanwhile is not caught up."""
        return self._dict("POST", f"{_schedule(app, job, name)}/resume")

    def run_schedule(self, app: str, job: str, name: str) -> dict[str, Any]:
        """Run the schedule's job once now; the answer has its `message_id`."""
        return self._dict("POST", f"{_schedule(app, job, name)}/run")

    def subscriptions(self) -> list[dict[str, Any]]:
        """Return the SNS topics that queues hear, and the jobs their messages start."""
        return list(self._dict("GET", "/v2/subscriptions")["subscriptions"])

    def subscribe(
        self, topic: str, app: str, job: str, *, queue: str | None = None
    ) -> dict[str, Any]:
        """Let a queue hear the topic: its messages start the job; a `fault` asks to try again."""
        wanted = {"topic": topic, "queue": queue, "app": app, "job": job}
        body = {name: value for name, value in wanted.items() if value is not None}
        return self._dict("POST", "/v2/subscriptions", json=body)

    def unsubscribe(self, number: int) -> dict[str, Any]:
        """Let the queue hear the topic no more; an answer with content asks to try again."""
        return self._dict("DELETE", f"/v2/subscriptions/{number}")

    def stats(self, **wanted: Any) -> dict[str, Any]:
        """Return how jobs fared by the hour or day; `app`, `job`, `range` narrow."""
        return self._dict("GET", "/v2/stats", params=_given(wanted))

    def failures(self, **wanted: Any) -> dict[str, Any]:
        """Return what failed, grouped; `app`, `job`, `state`, `limit` narrow."""
        return self._dict("GET", "/v2/failures", params=_given(wanted))

    def audit(self, **wanted: Any) -> dict[str, Any]:
        """Return the newest changes that were asked for; `audit` lists them, `next` goes on.

        `app`, `subject`, `actor`, `action`, `before`, `limit` narrow.
        """
        return self._dict("GET", "/v2/audit", params=_given(wanted))

    def dead_messages(self, **wanted: Any) -> dict[str, Any]:
        """Return the newest messages that can't become executions; `before`, `limit` narrow."""
        return self._dict("GET", "/v2/dead_messages", params=_given(wanted))

    def send_dead_message(self, number: int, body: str | None = None) -> Any:
        """Send a dead message again, with another body where one is given."""
        changed = {} if body is None else {"body": body}
        return self._call("POST", f"/v2/dead_messages/{number}/send", json=changed)

    def drop_dead_message(self, number: int) -> None:
        """Forget a dead message for good."""
        self._call("DELETE", f"/v2/dead_messages/{number}")

    def put_user(self, app: str, user_id: str, **known: Any) -> dict[str, Any]:
        """Keep where the app's user is told: `emails`, `slack`, `locale`, `time_zone`, `hears`."""
        return self._dict("PUT", _user(app, user_id), json=known)

    def user(self, app: str, user_id: str) -> dict[str, Any]:
        """Return where the app's user is told of what."""
        return self._dict("GET", _user(app, user_id))

    def remove_user(self, app: str, user_id: str) -> None:
        """Forget the app's user."""
        self._call("DELETE", _user(app, user_id))

    def notices(self, **wanted: Any) -> dict[str, Any]:
        """Return the newest notices; `app`, `state`, `before`, `limit` narrow."""
        return self._dict("GET", _NOTICES, params=_given(wanted))

    def notice(self, notice_id: str) -> dict[str, Any]:
        """Return one notice with each time that it was sent."""
        return self._dict("GET", f"{_NOTICES}/{_part(notice_id)}")

    def resend_notice(self, notice_id: str) -> dict[str, Any]:
        """Send the notice again, at once and under its id."""
        return self._dict("POST", f"{_NOTICES}/{_part(notice_id)}/resend")

    def test_notices(self, app: str, **wanted: str | None) -> list[str]:
        """Send a test to `channel` and `target`, or to all that the app or its `job` names.

        Returns the ids of the notices.
        """
        said = {name: value for name, value in wanted.items() if value is not None}
        return list(self._dict("POST", f"{_NOTICES}/test", json={"app": app, **said})["notices"])

    def ready(self) -> None:
        """Return when the server can do its work; it raises the reason when it can't."""
        self._call("GET", "/readyz")

    def ask(self, call: Call[T]) -> T:
        """Make the call, again where that may help, and return what it reads."""
        tries = Tries(call, self._retries)
        while True:
            try:
                response = self._http.request(**self._server.request(call))
            except self._server.faults as error:
                pause = self._server.after_silence(tries, error)
            else:
                wait = self._server.after_answer(tries, response)
                if wait is None:
                    return self._server.read(call, response)
                pause = wait
            self.sleep(pause)

    def _dict(self, method: str, path: str, **rest: Any) -> dict[str, Any]:
        return self.ask(Call(method, path, dict, repeatable=method == "GET", **rest))

    def _call(self, method: str, path: str, **rest: Any) -> Any:
        return self.ask(Call(method, path, calls.as_is, repeatable=method == "GET", **rest))


def _user(app: str, user_id: str) -> str:
    return f"/v2/apps/{_part(app)}/users/{_part(user_id)}"


def _schedule(app: str, job: str, name: str) -> str:
    return f"/v2/schedules/{_part(app)}/{_part(job)}/{_part(name)}"
