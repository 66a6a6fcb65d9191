"""Tokens that two administrators make: neither of them has the whole secret, and nobody else's organisation has any."""

import json

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.accounts.plans import read_plans
from fivefold.usecases.accounts.credentials import find_credential
from fivefold.usecases.accounts.organisations import actor_in_new, add_member, end_membership, read_member, set_roles
from fivefold.usecases.accounts.token_requests import (
    HalfOfSecret,
    TokenSpecification,
    approve_token,
    list_requests,
    list_tokens,
    refuse_token,
    request_token,
    revoke_token,
)
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.audit.search import list_entries
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.audits import findings_of

PLANS = read_plans(None)
FOR_IDA = TokenSpecification(role="investigator", plan="standard", member_id=3, label="her notebook")


@pytest.fixture
def admins(engine: Engine) -> tuple[Context, Context]:
    """Two administrators, the members 1 and 2; ida, who investigates, is the third."""
    operator = Context(engine, actor_in_new(engine, "bank", "cli:test"))
    for name, role in (("ana", "admin"), ("bob", "admin"), ("ida", "investigator")):
        add_member(operator, name, [role])
    return tuple(Context(engine, Actor(operator.organisation_id, f"member:{number}")) for number in (1, 2))  # type: ignore[return-value]  # two


def both(first: HalfOfSecret, second: HalfOfSecret) -> str:
    return f"{first.half}.{second.half}"


@pytest.mark.postgresql
def test_both_halves_together_are_the_token_and_no_half_is(engine: Engine, admins: tuple[Context, Context]) -> None:
    ana, bob = admins
    first = request_token(ana, PLANS, FOR_IDA)
    assert (first.request.state, first.request.member, first.request.asked_by) == ("asked", "ida", "member:1")
    assert find_credential(engine, first.half) is None
    second = approve_token(bob, PLANS, first.request.id)
    assert (second.request.state, second.request.decided_by) == ("made", "member:2")
    credential = find_credential(engine, both(first, second))
    assert credential is not None
    assert (credential.token_id, credential.role, credential.member_id) == (second.request.token_id, "investigator", 3)
    halves = (first.half, second.half, f"{second.half}.{first.half}", f"{first.half}{second.half}", f".{second.half}")
    assert [half for half in halves if find_credential(engine, half)] == []
    (token,) = list_tokens(ana)
    assert (token.member, token.label, token.state, token.expires_us, token.calls) == (
        "ida",
        "her notebook",
        "live",
        None,
        0,
    )


def test_the_other_administrator_sees_and_approves_that_an_agent_may_change_things(
    engine: Engine, admins: tuple[Context, Context]
) -> None:
    """What is approved is what was asked for; a token without the mark cannot be given it later."""
    ana, bob = admins
    for may in (True, False):
        wanted = TokenSpecification(role="investigator", plan="standard", member_id=3, mcp_changes=may)
        first = request_token(ana, PLANS, wanted)
        (waiting,) = list_requests(bob, "asked")
        assert waiting.mcp_changes is may
        credential = find_credential(engine, both(first, approve_token(bob, PLANS, first.request.id)))
        assert credential is not None
        assert credential.mcp_changes is may
        told = {entry.action: entry.details["mcp_changes"] for entry in reversed(list(list_entries(ana, Part(2))))}
        assert told == {"token.asked": may, "token.created": may}
    assert [token.mcp_changes for token in list_tokens(ana)] == [False, True]


def test_one_administrator_alone_makes_no_token(engine: Engine, admins: tuple[Context, Context]) -> None:
    ana, bob = admins
    asked = request_token(ana, PLANS, FOR_IDA)
    with pytest.raises(ConflictError, match="member:1 requested it, so another administrator approves it"):
        approve_token(ana, PLANS, asked.request.id)
    for nobody in ("cli:root", "token:4"):
        context = Context(engine, Actor(ana.organisation_id, nobody))
        with pytest.raises(ConflictError, match="is not a member"):
            request_token(context, PLANS, FOR_IDA)
        with pytest.raises(ConflictError, match="is not a member"):
            approve_token(context, PLANS, asked.request.id)
    assert list_tokens(bob) == []


def test_what_was_decided_or_lay_about_too_long_is_not_made(admins: tuple[Context, Context]) -> None:
    ana, bob = admins
    refused = request_token(ana, PLANS, FOR_IDA).request.id
    assert refuse_token(ana, refused).state == "refused"
    made = request_token(ana, PLANS, FOR_IDA).request.id
    approve_token(bob, PLANS, made)
    for number, state in ((refused, "refused"), (made, "made")):
        for decide in (lambda n: approve_token(bob, PLANS, n), lambda n: refuse_token(bob, n)):
            with pytest.raises(ConflictError, match=f"request {number} was decided already: {state}"):
                decide(number)
    old = request_token(ana, PLANS, FOR_IDA).request
    with pytest.raises(ConflictError, match=f"request {old.id} is older than 7 days"):
        approve_token(bob.at(old.asked_us + 7 * DAY_US), PLANS, old.id)
    approve_token(bob.at(old.asked_us + 7 * DAY_US - 1), PLANS, old.id)
    assert [line.state for line in list_requests(ana)] == ["made", "made", "refused"]
    assert [line.id for line in list_requests(ana, "refused")] == [refused]
    with pytest.raises(ConfigError, match="there is no state 'lost'"):
        list_requests(ana, "lost")


def test_what_cannot_be_is_refused_when_it_is_asked_for_and_again_when_it_is_made(
    admins: tuple[Context, Context],
) -> None:
    ana, bob = admins
    for wanted, message in (
        (TokenSpecification(role="approver", plan="standard", member_id=3), "does not have the role approver"),
        (TokenSpecification(role="app", plan="standard", member_id=3), "belongs to a program"),
        (TokenSpecification(role="investigator", plan="standard"), "belongs to a member"),
        (TokenSpecification(role="king", plan="standard"), "role is 'king'"),
        (TokenSpecification(role="app", plan="gold"), "there is no plan 'gold'"),
        (TokenSpecification(role="app", plan="trial", expires_days=0), "expires_days is 0"),
        (TokenSpecification(role="app", plan="trial", label="x" * 201), "label has 201 characters"),
    ):
        with pytest.raises(ConfigError, match=message):
            request_token(ana, PLANS, wanted)
    with pytest.raises(NotFoundError, match="there is no member 99"):
        request_token(ana, PLANS, TokenSpecification(role="investigator", plan="trial", member_id=99))
    asked = request_token(ana, PLANS, FOR_IDA).request.id
    set_roles(ana, 3, ["approver"])
    with pytest.raises(ConfigError, match="does not have the role investigator"):
        approve_token(bob, PLANS, asked)
    end_membership(ana, 3)
    with pytest.raises(ConfigError, match="there is no member 'ida'"):
        approve_token(bob, PLANS, asked)
    with pytest.raises(ConfigError, match="there is no plan 'standard'"):
        approve_token(bob, {}, asked)


@pytest.mark.postgresql
def test_a_programs_token_ends_as_its_plan_says_and_a_revoked_one_at_once(
    engine: Engine, admins: tuple[Context, Context]
) -> None:
    ana, bob = admins
    first = request_token(ana, PLANS, TokenSpecification(role="app", plan="trial", label="till"))
    second = approve_token(bob, PLANS, first.request.id)
    (token,) = list_tokens(ana)
    assert token.expires_us == token.created_us + 14 * DAY_US
    assert find_credential(engine, both(first, second)) is not None
    with pytest.raises(ConflictError, match=f"token {token.id} is another one now"):  # as after a restore
        revoke_token(bob, token.id, token.created_us + 1)
    assert list_tokens(ana)[0].state != "revoked"
    revoke_token(bob, token.id, token.created_us)
    assert find_credential(engine, both(first, second)) is None
    revoke_token(bob, token.id)
    assert [entry.action for entry in list_entries(ana, Part())].count("token.revoked") == 1
    assert list_tokens(ana)[0].state == "revoked"


def test_another_organisation_sees_and_decides_nothing(engine: Engine, admins: tuple[Context, Context]) -> None:
    ana, _ = admins
    asked = request_token(ana, PLANS, FOR_IDA).request.id
    token, _ = create_token(engine, PLANS, plan="trial", organisation="bank")
    stranger = Context(engine, Actor(actor_in_new(engine, "other", "cli:test").organisation_id, "member:9"))
    for call in (
        lambda: approve_token(stranger, PLANS, asked),
        lambda: refuse_token(stranger, asked),
        lambda: revoke_token(stranger, token),
        lambda: read_member(stranger, 1),
        lambda: request_token(stranger, PLANS, FOR_IDA),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert (list_tokens(stranger), list_requests(stranger)) == ([], [])
    assert [line.id for line in list_tokens(ana, part=Part(1))] == [token]


def test_no_half_is_stored_and_the_log_says_who_asked_and_who_approved(
    engine: Engine, admins: tuple[Context, Context]
) -> None:
    ana, bob = admins
    first = request_token(ana, PLANS, FOR_IDA)
    second = approve_token(bob, PLANS, first.request.id)
    with engine.connect() as connection:
        for table in ("tokens", "token_requests", "audit_entries", "audit_values"):
            rows = str(connection.exec_driver_sql(f"SELECT * FROM {table}").all())
            assert first.half not in rows
            assert second.half not in rows
    made, asked, *_ = list_entries(ana, Part(2))
    assert (asked.action, asked.actor, made.action, made.actor) == (
        "token.asked",
        "member:1",
        "token.created",
        "member:2",
    )
    assert json.loads(json.dumps(made.details))["asked_by"] == "member:1"
    assert findings_of(engine) == []


@pytest.mark.postgresql
def test_roles_that_somebody_changed_meanwhile_are_not_overwritten(admins: tuple[Context, Context]) -> None:
    ana, bob = admins
    set_roles(bob, 3, ["approver"], expected_roles=["investigator"])
    with pytest.raises(ConflictError, match="another person changed the roles of ida: they are approver now"):
        set_roles(ana, 3, ["publisher"], expected_roles=["investigator"])
    assert read_member(ana, 3).roles == ("approver",)
