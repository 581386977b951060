"""What somebody asks for: done if it is theirs, and written into the audit trail with it."""

from collections.abc import Sequence
from datetime import timedelta

from barbeque_py.addresses import hide
from barbeque_py.cancel import ANY_APP, Cancelled, cancel
from barbeque_py.enqueue import Request
from barbeque_py.errors import (
    Forbidden,
    NoDeadMessage,
    UnknownApp,
    UnknownExecution,
    UnknownJob,
    UnknownNotice,
    UnknownSchedule,
    UnknownWorker,
)
from barbeque_py.fire import extra_run
from barbeque_py.identity import Identity, Scope
from barbeque_py.retry import NewMessage, retry
from barbeque_py.store import Tx, apps, audit, dead, notices, schedules, workers
from barbeque_py.store import executions as rows
from barbeque_py.store.executions import Execution
from barbeque_py.store.notices import Kept
from barbeque_py.store.schedules import Scheduled
from barbeque_py.suspend import Rest, resume, suspend
from barbeque_py.tag import Tagging, tag
from barbeque_py.tell_again import Address, send_again, send_test


def own_execution(tx: Tx, who: Identity, scope: Scope, message_id: str) -> Execution:
    """Return the execution, for one who may do that with it.

    Raises `UnknownExecution`, of another app's execution too.
    """
    found = rows.by_message_id(tx, message_id)
    if found is None or found.tombstone or not who.may(scope, found.app):
        raise UnknownExecution(f"no worker has seen an execution {message_id}")
    return found


def retry_execution(  # noqa: PLR0913 - what may be asked of a retry
    tx: Tx,
    who: Identity,
    message_id: str,
    *,
    retry_id: str,
    delay: timedelta = timedelta(0),
    current_image: bool = False,
    message: NewMessage | None = None,
) -> None:
    """Give the execution another round; raises what `retry` raises."""
    found = own_execution(tx, who, Scope.ENQUEUE, message_id)
    retry(
        tx,
        message_id,
        retry_id=retry_id,
        delay=delay,
        current_image=current_image,
        message=message,
    )
    after = {
        "retry_id": retry_id,
        "delay": delay.total_seconds(),
        "current_image": current_image,
        "another_message": message is not None,
    }
    subject = f"execution:{found.message_id}"
    before = {"state": found.state, "round": found.round}
    audit.record(tx, who, "execution.retry", subject, app=found.app, before=before, after=after)


def cancel_execution(
    tx: Tx, who: Identity, message_id: str, *, app: str = ANY_APP, force: bool = False
) -> Cancelled:
    """Cancel the execution, also one that no worker has seen; `app` is whose it is said to be.

    Raises `UnknownExecution` for another app's, `Forbidden` where only an admin may use `force`.
    """
    if force and not who.may(Scope.ADMIN):
        raise Forbidden("killing a job without its grace needs the scope admin")
    if app is ANY_APP and who.app is not None:
        app = who.app
    found = rows.by_message_id(tx, message_id)
    strange = found is not None and ANY_APP not in (app, found.app) and app != found.app
    if strange or not who.may(Scope.ENQUEUE, app or None):
        raise UnknownExecution(f"the app {app} has no execution {message_id}")
    outcome = cancel(tx, message_id, app=app, force=force)
    if outcome is not Cancelled.TOO_LATE:
        subject = f"execution:{message_id if found is None else found.message_id}"
        owner = (app if found is None else found.app) or None
        before = None if found is None else {"state": found.state}
        after = {"outcome": outcome}
        action = "execution.kill" if force else "execution.cancel"
        audit.record(tx, who, action, subject, app=owner, before=before, after=after)
    return outcome


def tag_execution(tx: Tx, who: Identity, message_id: str, tagging: Tagging) -> bool:
    """Change the execution's tags; False when it has them so already.

    Raises `UnknownExecution`, also for another app's, and `BadTags`.
    """
    found = own_execution(tx, who, Scope.ENQUEUE, message_id)
    before, after = tag(tx, message_id, tagging)
    if before == after:
        return False
    subject = f"execution:{found.message_id}"
    audit.record(tx, who, "execution.tag", subject, app=found.app, before=before, after=after)
    return True


def drain_worker(tx: Tx, who: Identity, name: str, *, draining: bool) -> None:
    """Let the worker take nothing new, or take again. Raises `UnknownWorker`."""
    found = workers.named(tx, name)
    if found is None:
        raise UnknownWorker(f"no worker, or more than one, is called {name[:80]!r}")
    if (found.drained_at is not None) is draining:
        return
    workers.set_drained(tx, found.id, drained=draining)
    action = "worker.drain" if draining else "worker.undrain"
    before, after = {"drained": not draining}, {"drained": draining}
    audit.record(tx, who, action, f"worker:{found.id}", before=before, after=after)


def drop_dead_message(tx: Tx, who: Identity, number: int) -> None:
    """Forget the dead message. Raises `NoDeadMessage`, of another app's too."""
    found = dead.get(tx, number)
    if found is None or not who.may_touch(Scope.ENQUEUE, found.app) or not dead.drop(tx, number):
        raise NoDeadMessage(f"there is no dead message {number}")
    subject, before = f"dead_message:{number}", dead.facts(found)
    audit.record(tx, who, "dead_message.drop", subject, app=found.app, before=before)


def own_notice(tx: Tx, who: Identity, scope: Scope, notice_id: str, *, lock: bool = False) -> Kept:
    """Return the notice. Raises `UnknownNotice`, of another app's too."""
    kept = notices.get(tx, notice_id, lock=lock)
    if kept is None or not who.may(scope, kept.app):
        raise UnknownNotice(f"there is no notice {notice_id[:60]!r}")
    return kept


def resend_notice(tx: Tx, who: Identity, notice_id: str) -> Kept:
    """Send the notice again, at once and under its id. Raises `UnknownNotice` and `NoAddress`."""
    kept = own_notice(tx, who, Scope.DEPLOY, notice_id, lock=True)
    send_again(tx, kept)
    about = {"notice": notice_id, "target": hide(kept.target)}
    audit.record(tx, who, "notice.resend", f"app:{kept.app}", after=about)
    return own_notice(tx, who, Scope.DEPLOY, notice_id)


def send_test_notices(
    tx: Tx, who: Identity, app: str, job: str | None, addresses: Sequence[Address]
) -> list[str]:
    """Send a test, and return the notices' ids. Raises `UnknownApp` and `NoAddress`."""
    if not who.may(Scope.DEPLOY, app) or apps.get_app(tx, app) is None:
        raise UnknownApp(f"no app is called {app[:60]!r}")
    made = send_test(tx, app, job, addresses)
    audit.record(tx, who, "notice.test", f"app:{app}", after={"notices": made})
    return made


def suspend_schedule(tx: Tx, who: Identity, key: tuple[str, str, str], rest: Rest) -> Scheduled:
    """Let the schedule rest, and return it. Raises `UnknownSchedule`."""
    return suspend(tx, who, _own_schedule(tx, who, Scope.DEPLOY, key), rest)


def resume_schedule(tx: Tx, who: Identity, key: tuple[str, str, str]) -> Scheduled:
    """Let the schedule go on, and return it. Raises `UnknownSchedule`."""
    return resume(tx, who, _own_schedule(tx, who, Scope.DEPLOY, key))


def run_schedule(tx: Tx, who: Identity, key: tuple[str, str, str]) -> Request:
    """Return what to enqueue for a run out of turn. Raises `UnknownSchedule` and `UnknownJob`."""
    found = _own_schedule(tx, who, Scope.ENQUEUE, key)
    job = apps.get_job(tx, *key[:2])
    if job is None:
        raise UnknownJob(f"the app {key[0]} defines no job {key[1]}")
    request = extra_run(found.schedule, found.schedule.queue or job.queue)
    after = {"message_id": request.job.message_id}
    audit.record(tx, who, "schedule.run", f"schedule:{'/'.join(key)}", after=after)
    return request


def _own_schedule(tx: Tx, who: Identity, scope: Scope, key: tuple[str, str, str]) -> Scheduled:
    found = schedules.get(tx, *key, lock=True) if who.may(scope, key[0]) else None
    if found is None:
        raise UnknownSchedule(f"no schedule is called {'/'.join(key)[:100]}")
    return found
