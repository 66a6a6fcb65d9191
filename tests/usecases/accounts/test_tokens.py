"""Tokens: shown once, kept as a hash, ended at once; charged exactly, however many come together."""

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import sleep, time_ns
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain import clock as machine_clock
from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.store.accounts.organisation import lock_deciding, lock_organisation, settings_row
from fivefold.store.accounts.plans import Plan, read_plans
from fivefold.store.accounts.tokens import Allowance, Charge, usage_in
from fivefold.store.audit import log as audit
from fivefold.store.audit.log import entries
from fivefold.store.sql.clocks import database_now_us
from fivefold.store.sql.database import open_database, reading, upgrade, writing
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.store.tables.accounts import Base, Member, Token
from fivefold.store.tables.audit import AuditEntry, AuditHead, AuditValues
from fivefold.usecases.accounts.credentials import (
    Credential,
    charge_all,
    find_credential,
    hash_of,
    month_of,
    note_use,
)
from fivefold.usecases.accounts.organisations import actor_in_new, add_member, end_membership, set_roles
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.accounts.tokens import create_token, list_tokens, revoke_token
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.shared.context import Context
from tests.store import databases

PLANS = read_plans(None)
MONTH = "2026-11"
PLENTY = Allowance(10**9, 10**9)


def add(engine: Engine, plan: str = "unlimited", **fields: Any) -> tuple[int, str]:
    return create_token(engine, PLANS, plan=plan, **fields)


def everything_stored(engine: Engine) -> str:
    with engine.connect() as connection:
        return repr([connection.execute(select(table)).all() for table in Base.metadata.sorted_tables])


def used(engine: Engine, token_id: int, month: str = MONTH) -> tuple[int, int]:
    with Session(engine) as session:
        found = usage_in(session, month).get(token_id)
        return (found.calls, found.users) if found else (0, 0)


def test_a_token_is_256_bits_and_never_the_same(engine: Engine) -> None:
    made = [add(engine)[1] for _ in range(3)]
    assert len(set(made)) == 3
    assert all(len(urlsafe_b64decode(secret + "=")) == 32 for secret in made)


def test_only_the_hash_of_a_token_is_stored(engine: Engine) -> None:
    number, secret = add(engine, organisation="acme", label="the app")
    revoke_token(engine, number)
    stored = everything_stored(engine)
    assert secret not in stored
    assert secret[:12] not in stored
    assert sha256(secret.encode()).hexdigest() in stored
    assert secret not in repr(list_tokens(engine, MONTH))


def test_a_token_is_in_no_byte_of_the_sqlite_files(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        _, secret = add(engine)
        assert find_credential(engine, secret)
        files = list(tmp_path.iterdir())
        assert {file.suffix for file in files} >= {".db", ".db-wal"}
        found = b"".join(file.read_bytes() for file in files)
    found += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert sha256(secret.encode()).hexdigest().encode() in found
    for trace in (secret.encode(), urlsafe_b64decode(secret + "="), secret.encode()[:12]):
        assert trace not in found


def test_a_token_is_found_by_its_secret_alone(engine: Engine) -> None:
    number, secret = add(engine, plan="standard")
    found = find_credential(engine, secret)
    assert found == Credential(
        token_id=number, role="app", plan="standard", expires_us=None, organisation_id=1, member_id=None
    )
    for other in ("", secret[:-1], secret + " ", secret.swapcase(), hash_of(secret), "\x00", "x" * 100_000, "Ł\udcff"):
        assert find_credential(engine, other) is None


def test_app_is_the_role_of_a_token_unless_it_is_told_otherwise(engine: Engine) -> None:
    found = find_credential(engine, add(engine)[1])
    assert found is not None
    assert found.role == "app"
    with pytest.raises(
        ConfigError,
        match="role is 'owner'; it must be one of app, commercial, investigator, approver, publisher, admin",
    ):
        add(engine, role="owner")


def test_a_token_changes_nothing_over_mcp_unless_it_is_told_so_and_the_audit_log_says_it(engine: Engine) -> None:
    numbers = {}
    for may in (False, True):
        number, secret = add(engine, mcp_changes=may)
        found = find_credential(engine, secret)
        assert found is not None
        assert found.mcp_changes is may
        numbers[number] = may
    assert {line.id: line.mcp_changes for line in list_tokens(engine, MONTH)} == numbers
    with Session(engine) as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "token.created")).all()
        told = {int(entry.subject_id or 0): json.loads(entry.details)["mcp_changes"] for entry in entries}
    assert told == numbers


def test_an_admins_token_that_is_older_than_members_goes_on(engine: Engine) -> None:
    number, secret = add(engine)
    with Session(engine) as session, session.begin():
        session.get_one(Token, number).role = "admin"
    found = find_credential(engine, secret)
    assert found == Credential(
        token_id=number, role="admin", plan="unlimited", expires_us=None, organisation_id=1, member_id=None
    )
    assert found.actor.name == f"token:{number}"


def test_an_unknown_plan_lists_the_plans_and_makes_nothing(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="there is no plan 'gold'; plans are trial, standard, unlimited"):
        add(engine, plan="gold", organisation="new")
    assert list_tokens(engine, MONTH) == []
    assert "new" not in everything_stored(engine)


@pytest.mark.parametrize(
    ("plan", "explicit", "days"),
    [("trial", None, 14), ("trial", 3, 3), ("standard", None, None), ("standard", 400, 400), ("trial", 36_500, 36_500)],
)
def test_a_token_ends_with_its_plan_or_as_it_is_told(
    engine: Engine, now: list[int], plan: str, explicit: int | None, days: int | None
) -> None:
    _, secret = add(engine, plan=plan, expires_days=explicit)
    found = find_credential(engine, secret)
    assert found is not None
    assert found.expires_us == (None if days is None else now[0] + days * DAY_US)
    now[0] += (days or 100_000) * DAY_US - 1
    assert find_credential(engine, secret) == found
    now[0] += 1
    assert (find_credential(engine, secret) is None) is (days is not None), "at its last moment it has ended"


@pytest.mark.parametrize("days", [0, -1, 36_501, 10**12])
def test_days_that_are_none_are_refused(engine: Engine, days: int) -> None:
    with pytest.raises(ConfigError, match=f"expires_days is {days}; it must be from 1 to 36500"):
        add(engine, expires_days=days)


@pytest.mark.parametrize("field", ["organisation", "label"])
def test_names_that_no_column_holds_are_refused(engine: Engine, field: str) -> None:
    add(engine, **{field: "é" * 200})
    with pytest.raises(ConfigError, match=f"{field} has 201 characters; at most 200 are allowed"):
        add(engine, **{field: "x" * 201})


def test_organisations_share_a_name_and_tokens_do_not_share_anything(engine: Engine) -> None:
    made = [add(engine, organisation=name)[0] for name in ("one", "two", "one")]
    lines = list_tokens(engine, MONTH)
    assert [(line.id, line.organisation) for line in lines] == list(zip(made, ("one", "two", "one"), strict=True))


def test_a_revoked_token_is_not_found_any_more_and_revoking_can_be_repeated(engine: Engine, now: list[int]) -> None:
    number, secret = add(engine)
    other = add(engine)[1]
    revoke_token(engine, number)
    with Session(engine) as session:
        first = session.get_one(Token, number).revoked_us
    now[0] += DAY_US
    revoke_token(engine, number)
    with Session(engine) as session:
        assert session.get_one(Token, number).revoked_us == first == now[0] - DAY_US
    assert find_credential(engine, secret) is None
    assert find_credential(engine, other) is not None
    with pytest.raises(ConfigError, match="there is no token 99; `fivefold tokens list` shows them"):
        revoke_token(engine, 99)


@pytest.mark.parametrize("how", ["revoked", "role lost", "left", "expired"])
def test_what_a_member_changes_is_refused_where_their_token_ended_since_it_was_looked_up(
    engine: Engine, now: list[int], how: str
) -> None:
    """They waited for others who wrote, or left a question of the terminal open: nothing is written in their name."""
    operator = Context(engine, actor_in_new(engine, "default", "cli:ana"))
    zoe = add_member(operator, "zoe", ["admin", "publisher"])
    add_member(operator, "max", ["admin"])
    secrets = [add(engine, role="admin", member="zoe", expires_days=days)[1] for days in (2, None)]
    acting, other = (Context(engine, find_credential(engine, secret).actor) for secret in secrets)  # type: ignore[union-attr]  # both are there
    assert acting.actor == other.actor
    add_member(acting, "ana", ["approver"])
    if how == "revoked":
        revoke_token(engine, 1)
    elif how == "role lost":
        set_roles(acting, zoe.id, ["publisher"])
    elif how == "left":
        end_membership(operator, zoe.id)
    else:
        now[0] += 2 * DAY_US
    with pytest.raises(
        ConflictError, match=r"^the token by which member:1 acts has ended, so nothing was changed; act by another one$"
    ):
        add_member(acting, "ben", ["approver"])
    if how in {"revoked", "expired"}:
        add_member(other, "ben", ["approver"])


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("lock", [lock_organisation, lock_deciding, partial(settings_row, locked=True), None])
def test_who_waits_for_a_lock_while_their_token_ends_changes_nothing(
    engine: Engine, lock: Callable[[Session, int], object] | None
) -> None:
    """Such as an approver who loses the role while another approval is written; also who waits to be recorded alone."""
    operator = Context(engine, actor_in_new(engine, "default", "cli:ana"))
    add_member(operator, "zoe", ["publisher"])
    choose_levels(operator, ["low", "medium", "high"])
    number, secret = add(engine, role="publisher", member="zoe")
    acting = Context(engine, find_credential(engine, secret).actor)  # type: ignore[union-attr]  # it is there

    def act(context: Context, session: Session) -> None:
        if lock is not None:
            lock(session, context.organisation_id)
        context.record(session, "something.changed", ("member", 1))

    def wait() -> None:
        with acting.writing() as session:
            act(acting, session)

    wait()
    with ThreadPoolExecutor(1) as pool:
        with operator.writing() as session:
            act(operator, session)
            session.execute(update(Token).where(Token.id == number).values(revoked_us=operator.now()))
            waiting = pool.submit(wait)
            while not databases.waits_for_a_lock(engine) and not waiting.done():
                sleep(0.002)
        with pytest.raises(ConflictError, match="the token by which member:1 acts has ended"):
            waiting.result()


@pytest.mark.parametrize("kind", ["postgresql"])
def test_of_two_who_end_each_others_membership_at_the_same_moment_one_remains(engine: Engine) -> None:
    operator = Context(engine, actor_in_new(engine, "default", "cli:ana"))
    members = [add_member(operator, name, ["admin"]).id for name in ("zoe", "max")]
    secrets = [add(engine, role="admin", member=name)[1] for name in ("zoe", "max")]
    acting = [Context(engine, find_credential(engine, secret).actor) for secret in secrets]  # type: ignore[union-attr]  # both are there
    with ThreadPoolExecutor(1) as pool:
        with acting[0].writing() as session:
            end_membership(replace(acting[0], transaction=session), members[1])
            waiting = pool.submit(end_membership, acting[1], members[0])
            while not databases.waits_for_a_lock(engine) and not waiting.done():
                sleep(0.002)
        with pytest.raises(ConflictError, match="the token by which member:2 acts has ended"):
            waiting.result()


def test_who_made_and_who_revoked_a_token_is_recorded(engine: Engine, now: list[int]) -> None:
    number, _ = add(engine, plan="trial", organisation="acme", label="Zoë's phone", actor="cli:ana")
    revoke_token(engine, number, actor="token:5")
    revoke_token(engine, number, actor="token:6")
    with Session(engine) as session:
        made, revoked = entries(session, 1)
        assert (made.actor, made.action, made.subject_kind, made.subject_id) == (
            "cli:ana",
            "token.created",
            "token",
            str(number),
        )
        said = {"expires_us": now[0] + 14 * DAY_US, "mcp_changes": False, "plan": "trial", "role": "app"}
        assert json.loads(made.details) == said
        assert (revoked.actor, revoked.action, revoked.subject_id) == ("token:5", "token.revoked", str(number))
        first, second = session.scalars(select(AuditValues).order_by(AuditValues.number))
        assert first.before is None
        (added, ended) = (json.loads(each.after or "") for each in (first, second))
        assert [[*each.pop("rows")["tokens"]] for each in (added, ended)] == [[str(number)]] * 2
        assert added == {"label": "Zoë's phone", "organisation": "acme", **said}
        assert (second.before, ended) == ('{"revoked_us":null}', {"revoked_us": now[0]})
    assert verify(engine, print).entries == 2


class Breaks:
    """A statement during which the connection is lost."""

    @property
    def __clause_element__(self) -> None:
        raise ConnectionError


def test_a_token_without_a_record_is_neither_made_nor_revoked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    number, secret = add(engine)
    before = everything_stored(engine)

    def fails(*_: Any) -> None:
        raise ConnectionError

    for place in ("hash_of_entry", "_ADD_ENTRIES"):  # before the head is locked, and after
        with monkeypatch.context() as patch:
            patch.setattr(audit, place, fails if place == "hash_of_entry" else Breaks())
            with pytest.raises(ConnectionError):
                add(engine, organisation="new")
            with pytest.raises(ConnectionError):
                revoke_token(engine, number)
    assert everything_stored(engine) == before
    assert find_credential(engine, secret)


def test_an_audit_log_that_refuses_an_entry_refuses_the_change(engine: Engine) -> None:
    """Such as one whose head was set back: the number is taken already."""
    number, secret = add(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE audit_heads SET number = 0"))
    before = everything_stored(engine)
    with pytest.raises(DBAPIError):
        revoke_token(engine, number)
    with pytest.raises(DBAPIError):
        add(engine)
    assert everything_stored(engine) == before
    assert find_credential(engine, secret)


def test_neither_a_secret_nor_its_hash_is_in_the_audit_log(engine: Engine) -> None:
    number, secret = add(engine, label="the app")
    revoke_token(engine, number)
    with engine.connect() as connection:
        log = repr([connection.execute(select(table)).all() for table in (AuditEntry, AuditValues, AuditHead)])
    assert "the app" in log
    for trace in (secret, secret[:12], hash_of(secret)):
        assert trace not in log


def test_tokens_that_are_made_and_revoked_at_once_are_each_recorded_once(kind: str, tmp_path: Path) -> None:
    url = databases.new_url(kind, tmp_path)
    with databases.opened(url) as engine:
        first = add(engine)[0]
        together = threading.Barrier(4)

        def work(_: int) -> None:
            own = open_database(url)
            together.wait()
            for _ in range(6):
                add(own)
            revoke_token(own, first)
            own.dispose()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        with Session(engine) as session:
            done = [(found.action, found.subject_id) for found in entries(session, 1)]
        assert done.count(("token.revoked", str(first))) == 1
        made = [line.id for line in list_tokens(engine, MONTH)]
        assert sorted(int(of or 0) for what, of in done if what == "token.created") == made
        assert len(made) == 25
        assert verify(engine, print).findings == 0


def test_tokens_are_listed_with_their_states_and_what_they_used(engine: Engine, now: list[int]) -> None:
    made = {name: add(engine, plan="trial", label=name)[0] for name in ("live", "expired", "revoked", "both")}
    charges = [
        Charge(token_id=made["live"], month=month_of(now[0]), users=users, allowance=PLENTY, at_us=now[0] + users)
        for users in (3, 4)
    ]
    assert charge_all(PreparedStatements(engine), charges) == [True, True]
    with Session(engine) as session, session.begin():
        for name in ("expired", "both"):
            session.get_one(Token, made[name]).expires_us = now[0]
    for name in ("revoked", "both"):
        revoke_token(engine, made[name])
    lines = {line.label: line for line in list_tokens(engine, MONTH)}
    assert {name: line.state for name, line in lines.items()} == {
        "live": "live",
        "expired": "expired",
        "revoked": "revoked",
        "both": "revoked",
    }
    live, idle = lines["live"], lines["expired"]
    assert (live.calls, live.users, live.last_used_us) == (2, 7, now[0] + 4)
    assert (live.role, live.plan, live.created_us, live.expires_us) == ("app", "trial", now[0], now[0] + 14 * DAY_US)
    assert (idle.calls, idle.users, idle.last_used_us) == (0, 0, None)
    assert [(line.calls, line.users) for line in list_tokens(engine, "2026-12")] == [(0, 0)] * 4


@given(st.text(st.characters(categories=None)))
def test_any_text_that_a_header_can_hold_has_a_hash(secret: str) -> None:
    """Half a surrogate pair as well: it is no token of ours, and no crash."""
    assert len(hash_of(secret)) == 64
    if secret.isascii() and "." not in secret:  # with a full stop it is two halves
        assert hash_of(secret) == sha256(secret.encode("ascii")).hexdigest()


def test_plans_are_the_operators_own(engine: Engine) -> None:
    mine = {"mine": Plan(rows_per_request=1, calls_per_month=1, users_per_month=1, expires_days=2)}
    number, _ = create_token(engine, mine, plan="mine")
    assert [(line.id, line.plan) for line in list_tokens(engine, MONTH)] == [(number, "mine")]


def test_a_use_is_noted_once_a_day(engine: Engine, now: list[int]) -> None:
    number, _ = add(engine)
    day = now[0] - now[0] % DAY_US
    ahead = day + 9 * DAY_US
    for at, noted in (
        (day, day), (day + DAY_US - 1, day), (day + DAY_US, day + DAY_US), (ahead, ahead), (day + DAY_US, day + DAY_US),
    ):  # fmt: skip
        note_use(engine, number, at)
        assert [line.last_used_us for line in list_tokens(engine, MONTH)] == [noted]


def test_a_persons_token_does_not_end_as_a_trial_does(engine: Engine) -> None:
    add_member(Context(engine, actor_in_new(engine, "default", "cli:test")), "ana", ["admin"])
    plans = read_plans(None)
    for expires, ends in ((None, False), (3, True)):
        _, secret = create_token(engine, plans, plan="trial", role="admin", member="ana", expires_days=expires)
        found = find_credential(engine, secret)
        assert found is not None
        assert (found.expires_us is not None) is ends


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("ahead_us", [7 * DAY_US, -7 * DAY_US])
def test_a_program_that_stored_nothing_yet_has_the_time_of_the_database(
    engine: Engine, ahead_us: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that only reads, and a command that takes the time before it stores what the time is for."""
    _, lasting = create_token(engine, read_plans(None), plan="trial", expires_days=3)
    number, ended = create_token(engine, read_plans(None), plan="trial", expires_days=3)
    operator = Context(engine, actor_in_new(engine, "default", "cli:test"))
    ana = add_member(operator, "ana", ["admin"])
    with writing(engine) as session:
        session.execute(update(Token).where(Token.id == number).values(expires_us=operator.now() - DAY_US))
    address = engine.url.render_as_string(hide_password=False)
    monkeypatch.setattr(machine_clock, "time_ns", lambda: time_ns() + 1_000 * ahead_us)
    with databases.opened(address) as of_service:
        assert find_credential(of_service, lasting) is not None
    with databases.opened(address) as of_service:
        assert find_credential(of_service, ended) is None
    with databases.opened(address, 8 * 86_400) as of_command:
        upgrade(of_command)
        end_membership(Context(of_command, operator.actor), ana.id)
    with reading(engine) as session:
        left_us = session.get_one(Member, ana.id).left_us
        assert left_us is not None
        assert abs(left_us - database_now_us(session)) < DAY_US
