"""Runs of flows: begun by what happens, carried on by any worker, and what they do is done once."""

import json

import pytest
from sqlalchemy import Engine, text

from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank

pytestmark = pytest.mark.postgresql


def test_a_transaction_runs_a_flow_once_and_all_actions_follow(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.pay(1, 500)
    bank.pay(1, 500)
    assert bank.states() == [("transaction:t1", "queued", None)]
    assert bank.work() == 1
    assert bank.states() == [("transaction:t1", "ended", "flag")]
    taken = bank.actions()
    assert [action.action for action in taken] == ["flagged", "note", "open", "tell", "bound"]
    assert taken[-1].content["amount_minor"] == 10_000
    assert bank.count("tags WHERE tag = 'large' AND until_us IS NOT NULL") == 1
    assert bank.count("records WHERE kind = 'case'") == 1
    with engine.connect() as connection:
        events = connection.execute(text("SELECT event_id, body FROM outbox ORDER BY id")).all()
    assert [event.event_id for event in events] == [f"flow-action-{action.id}" for action in taken]
    assert json.loads(events[3].body)["content"] == {"event": "large-payment"}
    bank.pay(1, 500)
    assert bank.work() == 0
    assert len(bank.actions()) == 5


def test_a_small_payment_ends_with_no_action(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.pay(1, 5)
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "nothing")]
    assert not bank.actions()


def test_two_payments_of_one_customer_are_two_runs(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.pay(1, 500)
    bank.pay(2, 5)
    bank.pay(3, 500, "b")
    assert bank.work() == 3
    assert [step for _, _, step in bank.states()] == ["flag", "nothing", "flag"]


def test_nobody_comes_and_the_run_goes_on(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.pay(1, 5000)
    bank.work()
    assert bank.states() == [("transaction:t1", "waiting", "ask")]
    bank.now += 4 * HOUR_US - 1
    assert bank.work() == 0
    bank.now += 1
    assert bank.work() == 1
    assert bank.states() == [("transaction:t1", "ended", "flag")]
    assert bank.count("flow_steps WHERE outcome LIKE '%nobody%'") == 1
