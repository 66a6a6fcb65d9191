"""One customer run through a version or a draft: where it would come to and why, as a run would; nothing is done."""

import json
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConflictError, InvalidRulesetError, NotFoundError
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.replays.one import FlowTried, Supposed, try_flow_draft, try_flow_version
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import LARGE, FlowBank

STORED = ("flow_runs", "flow_steps", "flow_actions", "flow_replays", "audit_entries", "tags", "deliveries")


def tried(
    bank: FlowBank,
    transaction: str | None,
    version: int = 1,
    customer: str = "a",
    *,
    flow: str = "large",
    **supposed: Any,
) -> FlowTried:
    """Run a customer through a version, which changes nothing."""
    before = [bank.count(table) for table in STORED]
    found = try_flow_version(bank.context, flow, version, customer, transaction, Supposed(**supposed))
    assert [bank.count(table) for table in STORED] == before
    return found


@pytest.mark.postgresql
@pytest.mark.parametrize("amount", [5, 500, 5000])
def test_a_customer_comes_to_what_a_run_comes_to(engine: Engine, amount: float) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, amount)
    found = tried(bank, "t1")
    bank.work()
    (run,) = bank.runs()
    stored = json.loads(run.answer or "")
    assert {name: stored[name] for name in ("status", "at", "line", "steps", "actions")} == json.loads(
        json.dumps({name: found.why[name] for name in ("status", "at", "line", "steps", "actions")})
    )
    assert (found.flow, found.version, found.entity_type, found.external_id) == ("large", 1, "customer", "a")
    assert (found.answered, found.not_asked) == ((), "ask" if amount == 5000 else None)


def test_it_goes_on_by_an_answer_that_is_kept_where_the_step_asks_the_same(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_flow(LARGE.replace("Is this payment right?", "Is it in order?"), acting=False)
    bank.post(1, 5000)
    bank.work()
    who = Context(engine, Actor(bank.of, "member:2"), lambda: bank.now)
    answer_run(who, Role.INVESTIGATOR, bank.runs()[0].id, "wrong", "Looked at.")
    found = tried(bank, "t1")
    assert (found.why["at"], found.answered, found.not_asked) == ("stop", ("ask",), None)
    assert [each["action"] for each in found.why["actions"]] == ["blocked"]
    other = tried(bank, "t1", 2)
    assert (other.why["at"], other.answered, other.not_asked) == ("ask", (), "ask")


def test_what_is_supposed_counts_before_what_is_kept_and_is_kept_nowhere(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 5000)
    bank.work()
    found = tried(bank, "t1", answers={"ask": "wrong"})
    assert (found.why["at"], found.answered, found.supposed, found.not_asked) == ("stop", (), ("ask",), None)
    assert tried(bank, "t1", answers={"ask": "nobody"}).why["at"] == "flag"
    assert tried(bank, "t1").why["at"] == "ask", "what was supposed is gone"
    who = Context(engine, Actor(bank.of, "member:2"), lambda: bank.now)
    answer_run(who, Role.INVESTIGATOR, bank.runs()[0].id, "wrong", "Looked at.")
    found = tried(bank, "t1", answers={"ask": "right"})
    assert (found.why["at"], found.answered, found.supposed) == ("nothing", (), ("ask",))
    bank.post(2, 5)
    assert tried(bank, "t2", answers={"ask": "right"}).supposed == (), "nobody is asked on that way"


def test_what_is_supposed_to_come_from_outside_is_as_if_it_came(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE.replace("gives: {live: flag}", "gives: {live: flag, capital: money}"))
    bank.post(1, 500)
    assert tried(bank, "t1", flow="asks").not_asked == "register"
    came = tried(bank, "t1", flow="asks", outcomes={"register": {"live": True, "capital": Decimal("10.5")}})
    assert (came.why["at"], came.supposed, came.not_asked) == ("known", ("register",), None)
    asked = came.why["steps"][0]
    assert (asked["source"], asked["gives"]) == ("the request", {"live": "true", "capital": "10.50 EUR"})
    failed = tried(bank, "t1", flow="asks", outcomes={"register": "failed"})
    assert (failed.why["at"], [each["action"] for each in failed.why["actions"]]) == ("unknown", ["look"])


@pytest.mark.parametrize(
    ("supposed", "where"),
    [
        ({"answers": {"size": "right"}}, "answers"),
        ({"answers": {"ask": "maybe"}}, "answers"),
        ({"outcomes": {"ask": "failed"}}, "outcomes"),
        ({"outcomes": {"register": {"live": "yes"}}}, "outcomes"),
        ({"outcomes": {"register": {"alive": True}}}, "outcomes"),
        ({"outcomes": {"register": {"capital": Decimal("0.001")}}}, "outcomes, register"),
    ],
)
def test_what_cannot_be_answered_there_is_refused(engine: Engine, supposed: dict[str, Any], where: str) -> None:
    bank = FlowBank(engine)
    flow = "large" if "ask" in str(supposed) or "size" in str(supposed) else "asks"
    bank.add_flow(LARGE if flow == "large" else ASKS_SOURCE.replace("{live: flag}", "{live: flag, capital: money}"))
    bank.post(1, 5000)
    with pytest.raises(InvalidRulesetError) as error:
        tried(bank, "t1", flow=flow, **supposed)
    assert [each.where for each in error.value.findings] == [where]


def test_a_text_is_tried_that_is_saved_nowhere(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 50)
    found = try_flow_draft(bank.context, "large", "a", "t1", document=LARGE.replace("above: 100}", "above: 10}"))
    assert (found.version, found.why["at"]) == (None, "flag")
    with pytest.raises(InvalidRulesetError, match="here it must be large"):
        try_flow_draft(bank.context, "large", "a", "t1", document=LARGE.replace("flow: large", "flow: other"))
    with pytest.raises(NotFoundError):
        try_flow_draft(bank.context, "large", "a", "t1")


def test_what_is_not_known_fails_as_in_a_run(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    found = tried(bank, None)
    assert (found.why["status"], found.why["at"]) == ("failed", "size")
    assert [each["action"] for each in found.why["actions"]] == ["look"]


def test_a_draft_is_tried_before_it_is_committed(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.post(1, 50)
    save_flow_draft(bank.context, LARGE.replace("above: 100}", "above: 10}"))
    found = try_flow_draft(bank.context, "large", "a", "t1")
    assert (found.version, found.why["at"]) == (None, "flag")
    wrong_example = "examples:\n  - {name: one, given: {unknown: 5}, ends: nothing}\n"
    save_flow_draft(bank.context, f"{LARGE.rstrip()}\n{wrong_example}", 1)
    assert try_flow_draft(bank.context, "large", "a", "t1").why["at"] == "nothing"
    save_flow_draft(bank.context, LARGE.replace("to: flag}", "to: nowhere}"), 2)
    with pytest.raises(ConflictError, match="there is no step nowhere"):
        try_flow_draft(bank.context, "large", "a", "t1")
    save_flow_draft(bank.context, LARGE.replace("steps:", "stages:"), 3)
    with pytest.raises(InvalidRulesetError):
        try_flow_draft(bank.context, "large", "a", "t1")


def test_what_is_not_there_is_named(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    for flow, version, customer in (("none", 1, "a"), ("large", 2, "a"), ("large", 1, "z")):
        with pytest.raises(NotFoundError):
            try_flow_version(bank.context, flow, version, customer)
    with pytest.raises(NotFoundError):
        try_flow_draft(bank.context, "large", "a")
    with pytest.raises(NotFoundError, match="no flow 'none'"):
        try_flow_draft(bank.context, "none", "a", document=LARGE)


@pytest.mark.parametrize(("customer", "number"), [("a", "t2"), ("b", "t1")])
def test_a_transaction_that_the_customer_does_not_have_is_named(engine: Engine, customer: str, number: str) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 50)
    with pytest.raises(NotFoundError, match=f"{customer} has no transaction '{number}'"):
        tried(bank, number, customer=customer)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("levels: [low, medium, high]", "levels: [low, high, medium]", "levels: are low, high, medium; those of"),
        ("levels: [low, medium, high]", "levels: [low, medium, high, severe]", "levels: are"),
        ("entity_type: customer", "entity_type: account", "is about customer; the text is about account"),
    ],
)
def test_a_text_that_does_not_fit_the_organisation_is_run_for_nobody(
    engine: Engine, before: str, after: str, says: str
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_type("account", {}, {})
    bank.post(1, 500)
    with pytest.raises(ConflictError, match=says):
        try_flow_draft(bank.context, "large", "a", "t1", document=LARGE.replace(before, after))


def test_a_text_may_not_call_commercial_what_its_type_does_not(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    words = "purpose: commercial\npurposes: {fields: {country: commercial}}\nfields: {country: country}\n"
    route = LARGE.replace("{transaction: amount, above: 1000}", "{field: country, equals: IR}").replace(
        "- {when: {transaction: amount, above: 100}, to: flag}", "- {when: {field: country, equals: NO}, to: flag}"
    )
    with pytest.raises(ConflictError, match="cannot run now"):
        try_flow_draft(bank.context, "large", "a", "t1", document=words + route)
