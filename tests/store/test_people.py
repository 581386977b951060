"""People of the console: who they are, how they come in, and what keeps guessers out."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from barbeque_py import members
from barbeque_py.apps import App
from barbeque_py.errors import RequestError, UnknownApp, UnknownUser
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.members import MemberExists
from barbeque_py.passwords import digest, is_outdated, is_right
from barbeque_py.roles import ADMIN, Grant, Person, Role, Rule, read_grants, write_grants
from barbeque_py.store import Store, apps, audit, sessions, tables, users
from barbeque_py.store.audit import Wanted
from barbeque_py.visits import (
    Browser,
    NotLetIn,
    TooManyTries,
    Visit,
    Vouched,
    follow_link,
    leave,
    log_in,
    resume,
    vouched,
    welcome,
)

HERE = Browser("198.51.100.7", "a browser")
GOOD = "correct horse battery"
VIEWER = frozenset({Grant(Role.VIEWER)})


def add(store: Store, email: str = "ann@example.com", roles: str = "viewer") -> int:
    """Make a member with the password `GOOD`; return their number."""
    grants = read_grants(roles.split())
    kept = digest(GOOD)

    def make(tx: Any) -> int:
        user = members.add(tx, EVERYBODY, email, grants)
        members.set_password(tx, EVERYBODY, user.id, kept)
        return user.id

    return store.write(make)


def visit(store: Store, key: str) -> Visit | None:
    return store.read(lambda tx: resume(tx, key, HERE.origin))


def known(store: Store, key: str) -> Visit:
    found = visit(store, key)
    assert found is not None
    return found


def test_roles_become_scopes_app_by_app() -> None:
    ann = Person("ann", read_grants(["viewer", "operator@media", "logs:read@shop"]))
    assert ann.may(Scope.READ)
    assert ann.may(Scope.ENQUEUE, "media")
    assert not ann.may(Scope.ENQUEUE)
    assert not ann.may(Scope.ENQUEUE, "shop")
    assert ann.may(Scope.LOGS, "shop")
    assert not ann.may(Scope.LOGS, "other")
    assert ann.apps(Scope.READ) is None
    assert ann.apps(Scope.LOGS) == frozenset({"media", "shop"})
    assert ann.on("media").app == "media"
    assert ann.on("media").may(Scope.ENQUEUE, "media")
    assert not ann.on("media").may(Scope.ENQUEUE, "shop")
    assert ann.on(None).scopes == {Scope.READ}
    assert Person("root", ADMIN).on("media").app is None
    assert write_grants(ann.grants) == "viewer logs:read@shop operator@media"
    for wrong in ("boss", "viewer@", "admin@media", "viewer@a b"):
        with pytest.raises(ValueError, match=r"role|app"):
            read_grants([wrong])


def test_a_member_logs_in_is_known_and_leaves(store: Store) -> None:
    number = add(store, roles="operator")
    key = log_in(store, " Ann@Example.com ", GOOD, HERE)
    found = known(store, key)
    assert found.person.name == "ann@example.com"
    assert found.person.may(Scope.ENQUEUE)
    digests = store.read(
        lambda tx: tx.execute(select(tables.people.sessions.c.digest)).scalars().all()
    )
    assert key not in digests
    again = log_in(store, "ann@example.com", GOOD, Browser(HERE.origin, "", former=key))
    assert visit(store, key) is None, "the session of before goes on"
    other = log_in(store, "ann@example.com", GOOD, HERE)
    store.write(lambda tx: leave(tx, known(store, again)))
    assert visit(store, again) is None
    third = log_in(store, "ann@example.com", GOOD, HERE)
    store.write(lambda tx: leave(tx, known(store, third), everywhere=True))
    assert visit(store, other) is None
    assert visit(store, third) is None
    done = store.read(lambda tx: audit.newest(tx, Wanted(actor="ann@example.com")))
    assert [each.action for each in done][:2] == ["session.end", "session.begin"]
    assert {each.origin for each in done} == {HERE.origin}
    user = store.read(lambda tx: users.get(tx, number))
    assert user
    assert user.last_login_at is not None


def test_a_session_ends_by_itself_and_with_its_owner(store: Store) -> None:
    number = add(store)
    key = log_in(store, "ann@example.com", GOOD, HERE)
    store.shift = timedelta(hours=7)
    digest_ = known(store, key).session.digest
    store.write(lambda tx: sessions.see(tx, digest_))
    store.shift = timedelta(hours=14)
    assert visit(store, key) is not None
    store.shift = timedelta(hours=16)
    assert visit(store, key) is None, "idle for over 8 hours"
    store.shift = timedelta(days=7)
    store.write(lambda tx: sessions.see(tx, digest_))
    assert visit(store, key) is None, "older than 7 days"
    fresh = log_in(store, "ann@example.com", GOOD, HERE)
    left = store.read(
        lambda tx: tx.execute(select(tables.people.sessions.c.digest)).scalars().all()
    )
    assert left == [members.digest_of(fresh)], "what is over is not forgotten"
    store.write(lambda tx: members.set_roles(tx, EVERYBODY, number, read_grants(["deployer"])))
    assert known(store, fresh).person.may(Scope.DEPLOY), "new roles wait for the next login"
    store.write(lambda tx: members.set_disabled(tx, EVERYBODY, number, disabled=True))
    assert visit(store, fresh) is None
    with pytest.raises(NotLetIn, match="is wrong"):
        log_in(store, "ann@example.com", GOOD, HERE)
    store.write(lambda tx: members.set_disabled(tx, EVERYBODY, number, disabled=False))
    assert visit(store, fresh) is None
    last = log_in(store, "ann@example.com", GOOD, HERE)
    other = log_in(store, "ann@example.com", GOOD, HERE)
    kept = digest("another good one")
    own = members.digest_of(last)
    store.write(lambda tx: members.set_password(tx, EVERYBODY, number, kept, but=own))
    assert visit(store, other) is None
    assert visit(store, last) is not None


def test_guessers_are_slowed_down_by_account_and_by_address(store: Store) -> None:
    add(store)
    for _ in range(5):
        with pytest.raises(NotLetIn, match="is wrong"):
            log_in(store, "ann@example.com", "wrong", HERE)
    with pytest.raises(TooManyTries, match="15 min"):
        log_in(store, "ann@example.com", GOOD, HERE)
    store.shift = timedelta(minutes=16)
    assert log_in(store, "ann@example.com", GOOD, HERE)
    for _ in range(4):
        with pytest.raises(NotLetIn):
            log_in(store, "ann@example.com", "wrong", HERE)
    assert log_in(store, "ann@example.com", GOOD, HERE), "four may fail"
    with pytest.raises(NotLetIn, match="is wrong"):
        log_in(store, "ann@example.com", "wrong", HERE)
    rows = store.read(lambda tx: tx.execute(select(tables.people.login_failures)).all())
    assert not any("ann" in row.scope for row in rows), "addresses that were typed are kept"
    origin = next(row.scope for row in rows if row.scope.startswith("origin"))
    store.write(
        lambda tx: tx.execute(
            tables.people.login_failures.update()
            .where(tables.people.login_failures.c.scope == origin)
            .values(tries=50)
        )
    )
    with pytest.raises(TooManyTries):
        log_in(store, "eve@example.com", "wrong", HERE)
    with pytest.raises(NotLetIn, match="is wrong"):
        log_in(store, "eve@example.com", "wrong", Browser("203.0.113.9", ""))


def test_a_link_is_good_once_and_not_for_long(store: Store) -> None:
    number = add(store)
    first = store.write(lambda tx: members.invite(tx, EVERYBODY, number))
    second = store.write(lambda tx: members.invite(tx, EVERYBODY, number))
    with pytest.raises(NotLetIn, match="used already"):
        store.write(lambda tx: follow_link(tx, first, HERE))
    key = store.write(lambda tx: follow_link(tx, second, HERE))
    assert known(store, key).person.name == "ann@example.com"
    with pytest.raises(NotLetIn):
        store.write(lambda tx: follow_link(tx, second, HERE))
    own = store.write(lambda tx: members.let_in(tx, EVERYBODY))
    key = store.write(lambda tx: follow_link(tx, own, HERE))
    assert known(store, key).person.may(Scope.ADMIN)
    store.write(lambda tx: leave(tx, known(store, key), everywhere=True))
    assert visit(store, key) is None
    late = store.write(lambda tx: members.let_in(tx, EVERYBODY))
    store.shift = timedelta(minutes=15)
    with pytest.raises(NotLetIn):
        store.write(lambda tx: follow_link(tx, late, HERE))


def test_a_provider_vouches_and_rules_give_roles(store: Store) -> None:
    operator = Grant(Role.OPERATOR)
    rules = (
        Rule("@example.com", Grant(Role.VIEWER)),
        Rule("group:ops", operator),
        Rule("ceo@example.com", Grant(Role.ADMIN)),
    )
    key = store.write(
        lambda tx: welcome(tx, Vouched("Bob@Example.com", ["ops"], "Bob"), rules, HERE)
    )
    assert known(store, key).person.grants == {Grant(Role.VIEWER), operator}
    user = store.read(lambda tx: users.by_email(tx, "bob@example.com"))
    assert user
    assert user.grants == frozenset(), "roles of a group are kept as the member's own"
    for stranger in ("eve@evil.example", "x@notexample.com", "ceo@example.com.evil.example"):
        with pytest.raises(NotLetIn, match="no role"):
            store.write(lambda tx, whom=stranger: welcome(tx, Vouched(whom), rules, HERE))  # type: ignore[misc]
    assert store.read(lambda tx: users.by_email(tx, "eve@evil.example")) is None
    store.write(lambda tx: members.set_disabled(tx, EVERYBODY, user.id, disabled=True))
    with pytest.raises(NotLetIn, match="disabled"):
        store.read(lambda tx: vouched(tx, Vouched("bob@example.com"), rules, HERE.origin))
    found = store.read(lambda tx: vouched(tx, Vouched("ceo@example.com"), rules, "here"))
    assert found.grants == {Grant(Role.VIEWER), Grant(Role.ADMIN)}


def test_what_is_no_member_is_refused_and_each_change_is_one_row(store: Store) -> None:
    store.write(lambda tx: apps.put_app(tx, App("media", "media:1")))
    number = add(store, roles="operator@media")
    for email, grants, error in (
        ("ann@example.com", VIEWER, MemberExists),
        ("no address", VIEWER, RequestError),
        ("x@example.com", read_grants(["viewer@nothing"]), UnknownApp),
    ):
        with pytest.raises(error):
            store.write(lambda tx, e=email, g=grants: members.add(tx, EVERYBODY, e, g))  # type: ignore[misc]
    with pytest.raises(UnknownUser):
        store.write(lambda tx: members.set_roles(tx, EVERYBODY, 999, VIEWER))
    user = store.read(lambda tx: members.find(tx, "ANN@example.com"))
    for password in ("short", "aaaaaaaaaaaaaa", "ann@example.com", "x" * 201):
        with pytest.raises(RequestError, match="password"):
            members.fit_password(user, password)
    store.write(lambda tx: members.set_roles(tx, EVERYBODY, number, VIEWER))
    store.write(lambda tx: members.set_disabled(tx, EVERYBODY, number, disabled=True))
    with pytest.raises(RequestError, match="disabled"):
        store.write(lambda tx: members.invite(tx, EVERYBODY, number))
    rows = store.read(lambda tx: audit.newest(tx, Wanted(subject="user:ann@example.com")))
    assert [row.action for row in rows] == [
        "user.disable",
        "user.roles",
        "user.password",
        "user.create",
    ]
    assert "argon2" not in str(rows)


def test_what_is_kept_of_a_password_tells_nothing_and_takes_as_long_for_nobody() -> None:
    kept = digest(GOOD)
    assert kept.startswith("$argon2id$")
    assert kept != digest(GOOD)
    assert is_right(kept, GOOD)
    assert not is_right(kept, GOOD + " ")
    assert not is_right(None, "nobody's")
    assert not is_outdated(kept)
    assert is_outdated("$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g")
