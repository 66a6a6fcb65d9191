"""Onboarding, risk, monitoring and the score are one engine: one worker carries their flows out, in one form."""

import json

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import EntityType
from fivefold.usecases.flows.asked_files import flow_text
from fivefold.usecases.flows.runs.outcomes import ENGINE
from fivefold.usecases.flows.runs.replay import replay_record
from fivefold.usecases.ingest.facts import add_screening
from tests.usecases import banks
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.live.valued import give_value
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
