"""Sessions of the console: they begin with a member's token, and end in every way that they must."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from time import time_ns

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain import clock
from fivefold.domain.clock import DAY_US, HOUR_US, SECOND_US, now_microseconds
from fivefold.domain.errors import ConflictError, IdentityError
from fivefold.domain.settings import OpenIdSettings
from fivefold.store.accounts.plans import read_plans
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.accounts import ConsoleSession
from fivefold.usecases.accounts import sessions
from fivefold.usecases.accounts.openid import Identity
from fivefold.usecases.accounts.organisations import actor_in_new, add_member, end_membership, set_roles
from fivefold.usecases.accounts.sessions import (
    find_session,
    sign_in,
    sign_in_by_identity,
    sign_out,
    sign_out_everywhere,
    take_role,
)
from fivefold.usecases.accounts.tokens import create_token, revoke_token
from fivefold.usecases.shared import context as shared_context
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store import databases

PLANS = read_plans(None)
MINUTE_US = 60 * SECOND_US


@pytest.fixture
def member(engine: Engine) -> tuple[Context, int, int, str]:
    """A member with a token: the operator's context, the member, the token's number and its secret."""
    operator = Context(engine, actor_in_new(engine, "bank", "cli:test"))
    number = add_member(operator, "ida", ["investigator", "approver"]).id
    token, secret = create_token(
        engine, PLANS, plan="unlimited", role="investigator", organisation="bank", member="ida"
    )
    return operator, number, token, secret


Member = tuple[Context, int, int, str]


def signed_in(engine: Engine, secret: str) -> str:
    begun = sign_in(engine, secret)
    assert begun is not None
    assert begun[1].member == "ida"
    return begun[0]


@pytest.mark.postgresql
def test_a_session_knows_its_member_and_its_role(engine: Engine, now: list[int], member: Member) -> None:
    cookie = signed_in(engine, member[3])
    known = find_session(engine, cookie)
    assert known is not None
    assert (known.member, known.organisation, known.credential.role) == ("ida", "bank", "investigator")
    assert known.credential.actor.name == f"member:{member[1]}"
    assert find_session(engine, member[3]) is None
    assert sign_in(engine, cookie) is None


def test_it_ends_after_half_an_hour_without_use_and_is_not_revived(
    engine: Engine, now: list[int], member: Member
) -> None:
    cookie = signed_in(engine, member[3])
    start = now[0]
    for minutes in (29, 58, 87):
        now[0] = start + minutes * MINUTE_US
        assert find_session(engine, cookie)
    now[0] += 30 * MINUTE_US
    assert find_session(engine, cookie) is None
    now[0] -= 5 * MINUTE_US
    assert find_session(engine, cookie) is None


def test_it_ends_after_twelve_hours_however_much_it_is_used(engine: Engine, now: list[int], member: Member) -> None:
    cookie, start = signed_in(engine, member[3]), now[0]
    for minutes in range(20, 12 * 60, 20):
        now[0] = start + minutes * MINUTE_US
        assert find_session(engine, cookie)
    now[0] = start + 12 * HOUR_US
    assert find_session(engine, cookie) is None


def test_a_clock_that_was_ahead_gives_no_longer_session(engine: Engine, now: list[int], member: Member) -> None:
    now[0] += 2 * DAY_US
    cookie = signed_in(engine, member[3])
    now[0] -= 2 * DAY_US
    assert find_session(engine, cookie) is None
    now[0] += 2 * DAY_US
    assert find_session(engine, cookie) is None


def test_a_session_that_ends_between_both_looks_is_not_in_force_and_ends_once(
    engine: Engine, now: list[int], member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look takes the session for too old; the second one has the right time, by which it would hold."""
    cookie, start = signed_in(engine, member[3]), now[0]
    begun = find_session(engine, cookie)
    assert begun is not None

    def write_after_signing_out(engine: Engine) -> AbstractContextManager[Session]:
        now[0] = start + MINUTE_US
        sign_out(Context(engine, begun.credential.actor), begun.id)
        now[0] += MINUTE_US
        return writing(engine)

    monkeypatch.setattr(sessions, "writing", write_after_signing_out)
    now[0] = start + HOUR_US
    assert find_session(engine, cookie) is None
    with reading(engine) as session:
        assert session.get_one(ConsoleSession, begun.id).ended_us == start + MINUTE_US


def revoke(operator: Context, _: int, token: int) -> None:
    revoke_token(operator.engine, token)


def leave(operator: Context, number: int, _: int) -> None:
    end_membership(operator, number)


def lose_the_role(operator: Context, number: int, _: int) -> None:
    set_roles(operator, number, ["approver"])


@pytest.mark.postgresql
@pytest.mark.parametrize("end", [revoke, leave, lose_the_role])
def test_it_ends_at_once_with_what_it_stands_on(
    engine: Engine, now: list[int], member: Member, end: Callable[[Context, int, int], None]
) -> None:
    operator, number, token, secret = member
    cookie = signed_in(engine, secret)
    end(operator, number, token)
    assert find_session(engine, cookie) is None
    assert sign_in(engine, secret) is None


def test_signing_out_ends_one_and_everywhere_ends_all_and_both_are_recorded_once(
    engine: Engine, now: list[int], member: Member
) -> None:
    first, second, third = (signed_in(engine, member[3]) for _ in range(3))
    known = find_session(engine, first)
    assert known is not None
    context = Context(engine, known.credential.actor)
    sign_out(context, known.id)
    sign_out(context, known.id)
    assert [find_session(engine, each) is None for each in (first, second, third)] == [True, False, False]
    sign_out_everywhere(context, member[1])
    assert [find_session(engine, each) is None for each in (first, second, third)] == [True, True, True]
    with engine.connect() as connection:
        done = connection.exec_driver_sql("SELECT action FROM audit_entries ORDER BY action").scalars().all()
    assert [action for action in done if action.startswith("console.")] == [
        *["console.signed_in"] * 3,
        *["console.signed_out"] * 3,
    ]


def test_the_secret_is_stored_nowhere(engine: Engine, now: list[int], member: Member) -> None:
    cookie = signed_in(engine, member[3])
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM console_sessions").all()
    assert len(rows) == 1
    assert cookie not in str(rows)
    assert member[3] not in str(rows)


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("ahead_us", [40 * MINUTE_US, -40 * MINUTE_US])
def test_a_server_whose_clock_is_off_ends_no_session_early(
    engine: Engine, member: Member, ahead_us: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = signed_in(engine, member[3])
    with (
        databases.opened(engine.url.render_as_string(hide_password=False), 7200) as of_other_server,
        monkeypatch.context() as off,
    ):
        off.setattr(clock, "time_ns", lambda: time_ns() + 1_000 * ahead_us)
        assert find_session(of_other_server, cookie) is not None
    assert find_session(engine, cookie) is not None


@pytest.mark.postgresql
@pytest.mark.parametrize("by_an_administrator", ["membership", "roles"])
def test_an_operator_whose_clock_was_ahead_has_not_the_last_word_about_a_member(
    engine: Engine, by_an_administrator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last entry of the audit log is the one with the highest number, whatever the moment says."""
    operator = Context(engine, actor_in_new(engine, "bank", "cli:test"))
    with monkeypatch.context() as ahead:
        ahead.setattr(shared_context, "now_microseconds", lambda: now_microseconds() + DAY_US)
        number, admin = (
            add_member(operator, name, ["admin"]).id for name in ("nora@bank.example", "anna@bank.example")
        )
    anna = Context(engine, Actor(operator.organisation_id, f"member:{admin}"))
    settings = OpenIdSettings("https://provider.example", "id", "secret", "bank")
    account = Identity("99", "nora@bank.example")
    if by_an_administrator == "membership":
        end_membership(anna, number)
        add_member(anna, "nora@bank.example", ["admin", "approver"])
    else:
        set_roles(anna, number, ["admin", "approver"])
    with pytest.raises(IdentityError, match="by this account yet"):
        sign_in_by_identity(engine, settings, account)
    end_membership(operator, number)
    add_member(operator, "nora@bank.example", ["approver"])
    assert sign_in_by_identity(engine, settings, account)[1].credential.role == "approver"


@pytest.mark.parametrize("ended_by", ["leaving", "signing out", "revocation", "loss of its role"])
def test_a_session_that_has_ended_takes_no_role_that_holds_when_the_member_comes_back(
    engine: Engine, ended_by: str
) -> None:
    """The page found the session in force; it ended before the role was taken."""
    operator = Context(engine, actor_in_new(engine, "bank", "cli:test"))
    number = add_member(operator, "nora@bank.example", ["investigator", "approver"]).id
    settings = OpenIdSettings("https://provider.example", "id", "secret", "bank")
    cookie, begun = sign_in_by_identity(engine, settings, Identity("99", "nora@bank.example"))
    nora = Context(engine, begun.credential.actor)
    if ended_by == "leaving":
        end_membership(operator, number)
    elif ended_by == "signing out":
        sign_out(nora, begun.id)
    elif ended_by == "revocation":
        revoke_token(engine, begun.credential.token_id)
    else:
        set_roles(operator, number, ["approver"])
    with pytest.raises(ConflictError, match=r"this session ended meanwhile|the token .* has ended"):
        take_role(nora, begun.id, "approver")
    if ended_by == "leaving":
        add_member(operator, "nora@bank.example", ["approver"])
    assert find_session(engine, cookie) is None
