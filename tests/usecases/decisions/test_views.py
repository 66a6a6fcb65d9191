"""What investigators see of a decision: what held, and no condition, threshold or rule that did not."""

import json
from dataclasses import asdict

import pytest
from sqlalchemy import Engine, update

from fivefold.domain.errors import NotFoundError
from fivefold.store.tables.events import Decision
from fivefold.usecases.decisions.read import view_decision
from fivefold.usecases.levels.explain import ValueSeen
from fivefold.usecases.shared.context import Context
from tests.store.audits import forged
from tests.usecases.decisions.deciding import CASH, CASH_OF_HIGH, WORTH, Desk, cash, opened

SUM = {"sum": "amount", "where": {"field": "operation", "equals": "secret word"}, "over": "77 days"}
HIDDEN = {"id": "hidden", "when": {"all": [{"level": "rules", "equals": "low"}, {**SUM, "at_least": 98765}]}}


def test_of_rules_that_held_values_are_seen_and_conditions_are_not(desk: Desk) -> None:
    suppressed = {**CASH_OF_HIGH, "id": "but", "unless": {**SUM, "below": 54321}}
    desk.publish({**HIDDEN, "title": "Nobody knows", "action": "block"}, suppressed, CASH_OF_HIGH, WORTH)
    made = desk.decide(given=cash(-1234.5))
    seen = view_decision(Context(desk.bank.engine, desk.ana), made.number)
    assert seen is not None
    assert [(rule.title, rule.outcome, rule.action) for rule in seen.rules] == [
        ("R1", "suppressed", None),
        ("R2", "held", "block"),
        ("R3", "unknown", None),
    ]
    assert seen.rules[1].values == (
        ValueSeen("level", "high"),
        ValueSeen("operation of the transaction", "cash"),
        ValueSeen("amount of the transaction", "1,234.50 EUR"),
    )
    assert seen.rules[0].values[-1] == ValueSeen("sum of amount in 77 days, of what the rule counts", "0.00 EUR")
    assert seen.rules[2].values == (ValueSeen("value score", "unknown (the value itself says why)"),)
    assert seen.level["level"] == "high"
    assert seen.transaction["amount"] == "-1234.5"
    whole = json.dumps(asdict(seen))
    for hidden in ("secret", "1,000", "1000", "98765", "54321", "Nobody knows", "at least"):
        assert hidden not in whole, hidden


def test_a_value_is_not_shown_rounded_across_a_threshold(desk: Desk) -> None:
    desk.value("ada", 3.9999999999)
    desk.publish({"when": {"value": "score", "below": 4}, "action": "note"})
    seen = view_decision(Context(desk.bank.engine, desk.ana), desk.decide().number)
    assert seen is not None
    assert seen.rules[0].values == (ValueSeen("value score", "3.9999999999"),)


def test_of_an_erased_one_nothing_is_seen(desk: Desk) -> None:
    desk.publish(CASH)
    made = desk.decide()
    with forged(desk.bank.engine) as connection:
        connection.execute(update(Decision).values(inputs=None, answer=None))
    assert view_decision(Context(desk.bank.engine, desk.ana), made.number) is None


def test_that_of_another_organisation_is_not_there(desk: Desk, engine: Engine) -> None:
    desk.publish(CASH)
    made = desk.decide()
    with pytest.raises(NotFoundError, match=f"there is no decision {made.number}"):
        view_decision(Context(engine, opened(engine, "other").ana), made.number)
