"""One customer run through a version or a draft: where it would come to and why, as a run would; nothing is done."""

import json

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConflictError, InvalidRulesetError, NotFoundError
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.replays.one import FlowTried, try_flow_draft, try_flow_version
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.usecases.flows.flowing import LARGE, FlowBank

pytestmark = pytest.mark.postgresql

STORED = ("flow_runs", "flow_steps", "flow_actions", "flow_replays", "audit_entries", "tags", "deliveries")


def tried(bank: FlowBank, transaction: str | None, version: int = 1, customer: str = "a") -> FlowTried:
    """Run a customer through a version, which changes nothing."""
    before = [bank.count(table) for table in STORED]
    found = try_flow_version(bank.context, "large", version, customer, transaction)
    assert [bank.count(table) for table in STORED] == before
    return found


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
    assert tried(bank, "t1", 1, "b").not_asked is None, "that is not a transaction of b"


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
    save_flow_draft(bank.context, LARGE.replace("to: flag}", "to: nowhere}"), 1)
    with pytest.raises(ConflictError, match="there is no step nowhere"):
        try_flow_draft(bank.context, "large", "a", "t1")
    save_flow_draft(bank.context, LARGE.replace("steps:", "stages:"), 2)
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
