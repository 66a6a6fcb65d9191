"""Several flows in one engine: one worker carries them out in one form, in any order to the same end."""

import json

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import EntityType
from fivefold.usecases.flows.asked_files import flow_text
from fivefold.usecases.flows.runs.answering import take_back_action
from fivefold.usecases.flows.runs.outcomes import ENGINE, replay_record
from fivefold.usecases.flows.runs.reading import entity_actions
from fivefold.usecases.ingest.facts import add_screening
from fivefold.usecases.shared.actors import Role
from tests.usecases import banks
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.live.valued import give_value
from tests.usecases.flows.runs.test_calls import STATUSES, WHY, events_of, person
from tests.usecases.platforms import FIELDS

TRIGGERS = {
    "onboarding": "[{on: field, fields: [country]}]",
    "escalation": "",
    "payment": "[{on: transaction}]",
    "limits": "[{on: segment}, {on: level}]",
}
"""What each of the flows that ship listens to here; the escalation has triggers of its own."""


@pytest.mark.postgresql
def test_onboarding_risk_monitoring_and_the_score_run_by_one_engine(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer comes, is screened, rises and pays: each event runs its flow, and one worker carries them all on."""
    bank = FlowBank(engine, "")
    give_value(bank, monkeypatch)
    with Session(engine) as session, session.begin():
        session.scalars(select(EntityType)).one().fields = {**FIELDS, "document_number": "text"}
    bank.activate(banks.document({"country": banks.COUNTRY}, name="fatf-retail"))
    for name, triggers in TRIGGERS.items():
        text = flow_text(name)
        bank.add_flow(text.replace("\nactions:", f"\ntriggers: {triggers}\nactions:", 1) if triggers else text)
    bank.put("ada", country="NO")
    add_screening(bank.context, "customer", "ada", "sanctions", has_match=True)
    bank.settle()
    bank.work()
    bank.wait(1)
    bank.put("ada", country="IR")
    bank.pay(1, "ada", transaction_amount=4000.0)
    bank.settle()
    bank.work()
    runs = bank.runs()
    flows = dict(enumerate(TRIGGERS, 1))
    began = {(flows[run.flow_id], run.cause.partition(":")[0]) for run in runs}
    assert began == {
        ("onboarding", "field"),
        ("escalation", "level"),
        ("payment", "transaction"),
        ("limits", "level"),
        ("limits", "segment"),
    }
    for run in runs:
        assert run.state in {"ended", "waiting"}, (flows[run.flow_id], run.error)
        assert json.loads(run.answer or "{}")["engine"] == ENGINE
        assert replay_record(bank.context, f"f:{run.id}").same
    assert ("limited-closely", "set-high-risk-limit") in {
        (run.stopped_at, action.action) for run in runs for action in bank.actions() if action.run_id == run.id
    }, "the score and the level control a limit"


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
    take_back_action(person(bank), Role.INVESTIGATOR, blocked, WHY)
    assert stands(bank) == ("flagged", {"daily": 5_000}), "of another kind, what the flow did stays"
    bank.post(2, 150, "a")
    bank.work()
    assert stands(bank) == ("flagged", {"daily": 10_000}), "its next run was milder"
    bank.post(3, 300, "a")
    bank.work()
    assert stands(bank) == ("blocked", {"daily": 5_000})
