"""A bank of which a row of every table that the audit log binds is there: ended, changed, asked for."""

from dataclasses import replace

from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.store.accounts.plans import read_plans
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.organisations import add_member, end_membership, set_roles
from fivefold.usecases.accounts.token_requests import (
    TokenSpecification,
    approve_token,
    refuse_token,
    request_token,
    revoke_token,
)
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.backtests import BACKTESTS, cancel_backtest, request_backtest
from fivefold.usecases.changes.proposals import approve_proposal, refuse_proposal
from fivefold.usecases.decisions.policies import propose_policy
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.ingest.bulk_facts import RecordRow, ScreeningRow, TagRow, add_screenings, put_records, put_tags
from fivefold.usecases.ingest.entities import put_entities, put_owners
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.ingest.ownerships import OwnersRow
from fivefold.usecases.recourse.challenges import open_challenge
from fivefold.usecases.recourse.settlement import Settlement, settle_challenge
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow, OwnerGiven
from fivefold.usecases.shared.jobs import run_next_job
from fivefold.usecases.webhooks.endpoints import (
    add_endpoint,
    change_kinds,
    remove_endpoint,
    rotate_secret,
    set_enabled,
)
from tests.store.audits import bind_unnamed
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import decided
from tests.usecases.decisions.deciding import CASH, WORTH, Desk, document
from tests.usecases.flows.documents import INQUIRED, INQUIRY, acting, flow_document
from tests.usecases.groups.grouped import HIGH, Circle

WHY = "it is not the same person"


def fill(engine: Engine) -> Bank:
    """Customers of whom everything is known, singly and by files; some of it ended, changed, or asked for."""
    made = Bank(engine)
    made.add_type("account", {}, {})
    version = made.activate(banks.document({"watch": banks.WATCH}))
    decided(made, version)
    define_type(made.context, "customer", {}, links={"household": "shared"})
    rows = [EntityRow(name, {"country": "NO"}) for name in "abcd"]
    put_entities(made.context, "customer", rows)
    made.put("a", country="SE")
    made.put("x", ("customer", "a"), "account")
    put_owners(made.context, "account", [OwnersRow(0, "x", (OwnerGiven("customer", "b"),))])
    send_files(made, "abc")
    put_links(made.context, "customer", [LinkRow(name, "household", "H1") for name in "abc"])
    made.settle()
    made.wait(days=1)
    by_hand(made, "a")
    made.wait(days=1)
    of = (made.context, "customer")
    end_tag(*of, "a", "vip")
    send_files(made, "ab", closed=True)
    put_links(made.context, "customer", [LinkRow(name, "household", "H1", None, made.now) for name in "ab"])
    put_owners(
        made.context,
        "account",
        [OwnersRow(0, "x", (OwnerGiven("customer", "b", None, made.now),))],
    )
    proposals(made)
    challenges(made)
    policies(made)
    groups(made)
    people(made)
    changes_that_are_tested(made)
    runs(made)
    bind_unnamed(engine)
    return made


def send_files(bank: Bank, names: str, *, closed: bool = False) -> None:
    """Send tags, screenings and cases of some customers, as files are."""
    of, begin = (bank.context, "customer"), banks.platforms.NOW - DAY_US
    end = bank.now if closed else None
    put_tags(*of, [TagRow(name, "known", begin, end) for name in names])
    add_screenings(*of, [ScreeningRow(name, "media", closed, bank.now - 5) for name in names])
    given = {name: RecordGiven(external_id=f"case of {name}", opened_us=begin, closed_us=end) for name in names}
    put_records(*of, [RecordRow(name, given[name]) for name in names], "case")


def by_hand(bank: Bank, name: str) -> None:
    """Set a tag twice, screen, and open, change and close an alert."""
    of = (bank.context, "customer", name)
    set_tag(*of, "vip")
    bank.wait(microseconds=5)
    set_tag(*of, "vip", until_us=bank.now + 9 * DAY_US)
    add_screening(*of, "pep", has_match=True)
    opened = RecordGiven(external_id=f"alert of {name}", opened_us=bank.now)
    for alert in (
        opened,
        replace(opened, status="seen"),
        replace(opened, closed_us=bank.now, outcome="none", status="seen"),
    ):
        put_record(*of, "alert", alert)


def proposals(bank: Bank) -> None:
    """Three are approved, refused and withdrawn; one waits."""
    other = Actor(bank.of, "member:2")
    for name, decide in (("a", approve_proposal), ("b", refuse_proposal), ("c", None), ("d", None)):
        of = (bank.context, "customer", name, "watch")
        set_tag(*of)
        bank.settle()
        bank.wait(days=20)
        asked = facts.request_tag_end(*of, reason=WHY).proposal
        assert asked is not None
        if decide is not None:
            decide(Context(bank.engine, other).at(bank.now), asked.id, "seen")
        elif name == "c":
            refuse_proposal(bank.context, asked.id, "no more")


def policies(bank: Bank) -> None:
    """One version is retired by the next, which decides; a third one waits."""
    desk = Desk(bank)
    for rule in (CASH, WORTH):
        desk.publish(rule)
    document_of_third = document([CASH, WORTH])
    propose_policy(Context(bank.engine, desk.ana).at(bank.now), document_of_third, WHY, WHY)


def groups(bank: Bank) -> None:
    """One version of a group is retired by the next; a third one waits."""
    circle = Circle(bank)
    for condition in (HIGH, {"level": "in_force", "at_least": "medium"}):
        circle.publish(condition)
    circle.propose({"level": "in_force", "equals": "low"})


def people(bank: Bank) -> None:
    """One of three leaves; of their tokens one is half asked for, one made by two, one revoked, one expired."""
    of, plans = bank.context, read_plans(None)
    for name, roles in (("ana", ["admin", "publisher"]), ("ben", ["admin"]), ("ida", ["approver", "investigator"])):
        add_member(of, name, roles)
    two = [Context(bank.engine, Actor(bank.of, f"member:{number}")) for number in (1, 2)]
    for_ida = TokenSpecification(role="investigator", plan="standard", member_id=3, label="hers")
    approve_token(two[1], plans, request_token(two[0], plans, for_ida).request.id)
    refuse_token(two[1], request_token(two[0], plans, for_ida).request.id)
    request_token(two[0], plans, for_ida)
    for role, member in (("app", ""), ("publisher", "ana"), ("approver", "ida")):
        made = create_token(bank.engine, plans, plan="standard", role=role, organisation="bank", member=member)
    revoke_token(two[0], made[0] - 2)
    create_token(bank.engine, plans, plan="standard", organisation="bank", expires_days=1)
    set_roles(of, 1, ["admin"])
    end_membership(of, 3)
    add_member(of, "ida", ["investigator"])
    endpoint = add_endpoint(of, "https://hooks.example/a", kinds=["level.reached"]).endpoint_id
    change_kinds(of, endpoint, [])
    rotate_secret(of, endpoint)
    set_enabled(of, endpoint, enabled=False)
    remove_endpoint(of, add_endpoint(of, "https://hooks.example/b").endpoint_id)


def changes_that_are_tested(bank: Bank) -> None:
    """A backtest is done, one is cancelled, one waits."""
    of = bank.context.at(bank.now)
    request_backtest(of, "retail", 1)
    assert run_next_job(bank.engine, BACKTESTS, bank.now)
    cancel_backtest(of, request_backtest(of, "retail", 1).id, WHY)
    request_backtest(of, "retail", 1)


def challenges(bank: Bank) -> None:
    """Two are settled."""
    settlement = Settlement(outcome="confirmed", reason=WHY)
    for name in "ab":
        standing = bank.standing(name)
        assert standing.number > 1
        made = open_challenge(bank.context, f"{standing.entity_id}.{standing.number}", WHY)
        settle_challenge(Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now), made.id, settlement)


def runs(bank: Bank) -> None:
    """A flow asks a person about two customers; what it then did is taken back."""
    examples = [{**each, "name": f"again {each['name']}"} for each in INQUIRED]
    acting(Desk(bank), flow_document(steps=[INQUIRY], examples=examples))
    person = Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now)
    for name in "ab":
        called = call_flow(bank.context.at(bank.now), "care", "customer", name, run_key="k")
        answered = answer_run(person, Role.INVESTIGATOR, called.number, "nay", WHY)
        (action,) = answered.taken
        take_back_action(person, Role.INVESTIGATOR, action.number, WHY)
