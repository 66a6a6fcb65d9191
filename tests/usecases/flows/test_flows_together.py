"""Several flows about one customer by one cause: whichever acts first, what stands is the same."""

import pytest
from sqlalchemy import Engine

from fivefold.usecases.flows.runs.answering import take_back_action
from fivefold.usecases.flows.runs.reading import entity_actions
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.test_calls import STATUSES, WHY, events_of, person

LISTENING = STATUSES.replace("actions:", "triggers: [{on: transaction}]\nactions:", 1)
MILD = LISTENING.replace("flow: statuses", "flow: mild")
STRICT = LISTENING.replace("flow: statuses", "flow: strict").replace("above: 1000", "above: 200")
"""It blocks, and sets the lower limit, by what MILD flags."""


def stands(bank: FlowBank) -> tuple[str | None, dict[str, int]]:
    standing = entity_actions(bank.context, "customer", "a")
    return standing.status, {each.limit: each.amount_minor for each in standing.limits}


@pytest.mark.postgresql
@pytest.mark.parametrize("order", [(STRICT, MILD), (MILD, STRICT)])
def test_the_more_severe_one_stands_for_each_kind_in_any_order(engine: Engine, order: tuple[str, ...]) -> None:
    bank = FlowBank(engine)
    for each in order:
        bank.add_flow(each)
    bank.post(1, 500, "a")
    bank.work()
    assert len({run.cause for run in bank.runs()}) == 1, "both ran by one cause"
    assert sorted(each.content["status"] for each in bank.actions() if each.kind == "status") == ["blocked", "flagged"]
    assert stands(bank) == ("blocked", {"daily": 5_000})
    last = [each for each in events_of(bank) if each["kind"] == "status"][-1]
    assert last["stands"]["status"] == "blocked", "whoever hears of the last one hears what stands"


@pytest.mark.parametrize("order", [(STRICT, MILD), (MILD, STRICT)])
def test_what_one_flow_did_ends_by_its_own_next_run_and_by_a_person_alone(
    engine: Engine, order: tuple[str, ...]
) -> None:
    bank = FlowBank(engine)
    for each in order:
        bank.add_flow(each)
    bank.post(1, 500, "a")
    bank.work()
    (blocked,) = [each.id for each in bank.actions() if each.content.get("status") == "blocked"]
    take_back_action(person(bank), blocked, WHY)
    assert stands(bank) == ("flagged", {"daily": 5_000}), "of another kind, what the flow did stays"
    bank.post(2, 150, "a")
    bank.work()
    assert stands(bank) == ("flagged", {"daily": 10_000}), "its next run was milder"
    bank.post(3, 300, "a")
    bank.work()
    assert stands(bank) == ("blocked", {"daily": 5_000})
