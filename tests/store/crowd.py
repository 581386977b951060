"""An installation's tables after three months: 200,000 executions, made by the database itself."""

from datetime import timedelta

from sqlalchemy import text

from barbeque_py.store import Store, Tx

COUNT = 200_000
PLACE = "here"
OWNER = "worker-1"

# One in twenty is ready, held or due later by turns, runs, or has failed; the others succeeded.
_STATES = """
    CASE i % 20 WHEN 0 THEN 'queued' WHEN 1 THEN 'queued' WHEN 2 THEN 'running'
        WHEN 3 THEN 'failed' ELSE 'succeeded' END,
    CASE i % 20 WHEN 0 THEN 'ready' WHEN 2 THEN 'active' WHEN 1 THEN
        CASE i % 40 WHEN 1 THEN 'held' ELSE 'scheduled' END ELSE 'done' END
"""
_ID = "substr('00000000' || i, -8) || '-0000-7000-8000-000000000000'"
_EXECUTIONS = f"""
INSERT INTO executions (id, message_id, app, job, queue, message, options, priority_rank, state,
    stage, due_at, held_by, round, counted, counted_before, uncounted, attempts, could_not_start,
    tombstone, sent_at, recorded_at, started_at, finished_at, user_id)
SELECT i, {_ID}, 'app' || (i / 100 % 7), 'job' || (i / 1000 % 5),
    CASE WHEN i % 1000 = 0 THEN 'rare' ELSE 'default' END, '{{}}', '{{}}', i / 40 % 3 - 1,
    {_STATES}, CASE WHEN i % 40 = 21 THEN :future ELSE :now END,
    CASE WHEN i % 40 = 1 THEN 'app:app' || (i / 100 % 7) END,
    1, 0, 0, 0, 1, 0, 0, :now, CASE WHEN i < 100000 THEN :old ELSE :now END, :now,
    CASE WHEN i % 20 > 2 THEN :old END, CASE WHEN i % 4 = 0 THEN 'user' || (i / 100 % 50) END
FROM numbers
"""
_TAGS = """
INSERT INTO tags (app, name, value, execution)
SELECT 'app' || (i / 100 % 7), 'env', 'env' || (i / 10 % 3), i FROM numbers WHERE i % 10 = 0
"""
_ATTEMPTS = f"""
INSERT INTO attempts (id, execution, number, round, state, place, owner, epoch, lease_until,
    scopes, image, revision, launch_number, claimed_at, act_at, checked_at, request)
SELECT {_ID} || '-1', i, 1, 1,
    CASE WHEN i % 20 = 2 THEN 'running' WHEN i % 4000 = 0 THEN 'starting' ELSE 'ended' END,
    '{PLACE}',
    CASE WHEN i % 20 = 2 THEN '' WHEN i % 4000 = 0 THEN '{OWNER}' ELSE 'old-' || (i / 1000) END, 1,
    CASE WHEN i % 20 = 2 THEN :never ELSE :old END,
    '[]', 'image', 1 + i % 2, 1, :now,
    CASE WHEN i % 20000 = 2 THEN :old ELSE :future END,
    CASE WHEN i % 20 = 2 THEN CASE WHEN i % 400 = 2 THEN :old ELSE :now END END, '{{}}'
FROM numbers
"""
_OUTBOX = f"""
INSERT INTO outbox (id, kind, lane, place, subject, dedupe, due_at,
    tries, owner, lease_until, done_at)
SELECT i, 'seal', 'log/' || i, '{PLACE}', i, 'seal:' || i,
    CASE WHEN i % 100 = 0 THEN :old ELSE :future END, 0, '', :old,
    CASE WHEN i % 40 > 0 THEN CASE WHEN i % 40 < 5 THEN :old ELSE :now END END
FROM numbers
"""
_NOTICES = f"""
INSERT INTO notices (id, notice_id, execution, app, job, event, audience, channel, target, facts,
    same, state, tries, made_at, done_at)
SELECT i, {_ID}, i, 'app' || (i / 100 % 7), 'job' || (i / 1000 % 5), 'failed', 'admins', 'email',
    'a@example.com', '{{}}', 'same' || (i % 1000),
    CASE WHEN i % 100 = 0 THEN 'waiting' ELSE 'delivered' END, 1,
    CASE WHEN i < 1000 THEN :old ELSE :now END, CASE WHEN i % 100 > 0 THEN :now END
FROM numbers WHERE i < 100000
"""
_DELIVERIES = """
INSERT INTO deliveries (id, notice, at, seconds, outcome)
SELECT i, i, :now, 1, 'delivered' FROM numbers WHERE i < 20000
"""
_DEAD = f"""
INSERT INTO dead_messages (id, queue, broker_id, message_id, body, reason, sent_at, died_at)
SELECT i, 'default', {_ID}, {_ID}, '{{}}', 'why', :now, CASE WHEN i < 1000 THEN :old ELSE :now END
FROM numbers WHERE i < 20000
"""
_MESSAGES = f"""
INSERT INTO messages (id, queue, body, broker_id, receives, visible_at, sent_at)
SELECT i, CASE WHEN i % 1000 = 0 THEN 'rare' ELSE 'default' END, '{{}}', {_ID}, 0,
    CASE WHEN i % 2 = 0 THEN :future ELSE :now END, :now
FROM numbers WHERE i < 20000
"""
_LIMITS = """
INSERT INTO limits (scope, max, used) SELECT 'key:app1/' || i, 1, i % 2 FROM numbers WHERE i < 20000
"""
_FEW_LIMITS = """
INSERT INTO limits (scope, max, used)
SELECT 'app:app' || i, 5, 2 FROM numbers WHERE i < 7
"""
_RETRIES = f"""
INSERT INTO retries (message_id, execution) SELECT {_ID}, i FROM numbers WHERE i < 20000
"""
_REPORTS = f"""
INSERT INTO reports (attempt, percent) SELECT {_ID} || '-1', 50 FROM numbers WHERE i < 20000
"""
_HOUR = """
    '2010-' || substr('00' || (1 + i / 35 / 24 / 28), -2) || '-'
    || substr('00' || (1 + i / 35 / 24 % 28), -2) || ' ' || substr('00' || (i / 35 % 24), -2)
    || ':' || '00' || ':' || '00.000000'
"""
_ENDINGS = """
INSERT INTO endings (id, execution, number, app, job, state, due_at, ended_at, past)
SELECT i, i, 1, 'app' || (i / 100 % 7), 'job' || (i / 1000 % 5), 'retrying', :now, :now, 0
FROM numbers WHERE i < 20000
"""
_ROLLUPS = f"""
INSERT INTO rollups (name, span, at, succeeded, failed, not_started, cancelled, retried,
    interrupted, waits, runs, cpu_seconds, memory_seconds)
SELECT 'hour/app' || (i % 7) || '/job' || (i / 7 % 5) || '/' || substr({_HOUR}, 1, 10) || 'T'
    || substr({_HOUR}, 12, 2), 'hour', {_HOUR}, 1, 0, 0, 0, 0, 0, '{{}}', '{{}}',
    1, 1
FROM numbers WHERE i < 50000
"""
_UNSORTED = f"""
INSERT INTO unsorted_failures (attempt, look_at, give_up_at)
SELECT {_ID} || '-1', CASE WHEN i % 100 = 0 THEN :old ELSE :future END, :future
FROM numbers WHERE i < 20000
"""
_FAILURES = """
INSERT INTO failures (id, app, job, fingerprint, line, times, users, first_at, last_at, sample,
    state, changed_at)
SELECT i, 'app' || (i / 100 % 7), 'job' || (i / 1000 % 5), i, 'Error', 1, 0, :old,
    CASE WHEN i < 1000 THEN :old ELSE :now END, '1',
    CASE WHEN i % 10 = 0 THEN 'ack' ELSE 'new' END, :now
FROM numbers WHERE i < 20000
"""
_MEMBERS = """
INSERT INTO failure_members (failure, execution)
SELECT 5000 + i % 10, i FROM numbers WHERE i < 100000
"""
_USERS = """
INSERT INTO failure_users (failure, user_id)
SELECT i % 20000, 'user' || i FROM numbers WHERE i < 40000
"""
_FAILURE_HOURS = f"""
INSERT INTO failure_hours (failure, at, times)
SELECT 5000 + i % 35, {_HOUR}, 1 FROM numbers WHERE i < 40000
"""
_MARKS = """
INSERT INTO marks (person, app, job, tag)
SELECT 'person' || (i % 100), 'app', 'job' || i, '' FROM numbers WHERE i < 20000
"""
_ROWS = (
    *(_EXECUTIONS, _TAGS, _ATTEMPTS, _REPORTS, _OUTBOX, _NOTICES, _DELIVERIES),
    *(_DEAD, _MESSAGES, _LIMITS, _FEW_LIMITS, _RETRIES),
    *(_ENDINGS, _ROLLUPS, _UNSORTED, _FAILURES, _MEMBERS, _USERS, _FAILURE_HOURS, _MARKS),
)
_NUMBERS = f"""
WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {COUNT})
"""
_TABLES = (
    "executions, tags, attempts, outbox, notices, deliveries, dead_messages, messages, limits, "
    "reports, retries, endings, rollups, unsorted_failures, failures, failure_members, "
    "failure_users, failure_hours, marks"
)


def gather(store: Store) -> None:
    """Fill the tables; takes some seconds."""
    store.write(_fill)
    if not store.sqlite:  # SQLite plans without statistics: nobody gathers them there
        store.write(lambda tx: tx.execute(text(f"ANALYZE TABLE {_TABLES}")))


def _fill(tx: Tx) -> None:
    now = tx.now.replace(tzinfo=None)
    times = {
        "now": now,
        "old": now - timedelta(days=100),
        "future": now + timedelta(days=1),
        "never": now + timedelta(days=10_000),
    }
    if not tx.sqlite:
        tx.execute(text("SET sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')"))
        tx.execute(text("SET max_recursive_iterations = 1000000"))
    for rows in _ROWS:
        statement = rows.replace("SELECT", f"{_NUMBERS}\nSELECT", 1)
        if not tx.sqlite:
            statement = statement.replace(" / ", " DIV ")
        known = {name: str(value) for name, value in times.items() if f":{name}" in statement}
        tx.execute(text(statement.replace("':", "'\\:")), known)
    if not tx.sqlite:
        tx.execute(text("SET sql_mode = DEFAULT"))
