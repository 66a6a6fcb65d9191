"""Where the value of a customer cannot be computed, everything that reads the stored value fails, and says why."""

import json
from dataclasses import replace
from functools import cache

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.domain.money import ecb_rates
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.models.value_model import ValueModel
from fivefold.risk.facts.portfolio import NOT_READ
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.rulesets.rulesets import family_named
from fivefold.store.tables.entities import ValueScore
from fivefold.store.tables.levels import Champion
from fivefold.usecases.levels.portfolio import read_parts
from fivefold.usecases.levels.value_scores import NO_MODEL, EntityScorer, read_value
from fivefold.usecases.portfolio.timeline import list_events
from fivefold.usecases.rulesets.run_backtest import run_backtest, setting_of
from tests.models.making import model_of_own
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.decisions.deciding import Desk

WHOLE = {"user_balance": 500.0, "user_created": "2025-01-01", "user_category": "WEB"}
OWN = """
from fivefold.features.own_indicators import indicator

@indicator('twelve', label='Twelve', unit='flag', empty=0.0, family='volume')
def twelve(amount):
    'Twelve.'
    for i in range(len(amount)):
        if amount[i] == 12345.0:
            raise ValueError('twelve')
    return 0.0
"""
FAULT = "bank.py: indicator twelve ended with ValueError"
FAILED = f"Version 3 of fivefold-value could not compute what it reads of this customer: {FAULT}."
VALUED = banks.document(
    {"valued": {"input": {"value": "score"}, "cases": [{"when": {"at_least": 1}, "points": 0, "floor": "medium"}]}}
)


@cache
def model() -> ValueModel:
    made = model_of_own(OwnIndicators("bank.py", OWN))
    return replace(made, rates=ecb_rates("EUR", from_microseconds(banks.platforms.NOW).date()))


@filled_once
def with_failure(engine: Engine) -> Bank:
    bank = Bank(engine)
    bank.valuer = EntityScorer(model(), "fivefold-value", 3)
    bank.activate(VALUED)
    bank.put("a")
    bank.pay(1, **WHOLE)
    bank.settle()
    bank.wait(1)
    bank.pay(2, transaction_amount=12345.0, **WHOLE)
    bank.settle()
    bank.valuer = None  # it would be copied as well
    return bank


@pytest.fixture
def bank(engine: Engine) -> Bank:
    """A customer who stands at the floor of its value, which can be computed no more."""
    bank = with_failure(engine)
    bank.valuer = EntityScorer(model(), "fivefold-value", 3)
    return bank


def stored(bank: Bank) -> list[tuple[bool, str | None]]:
    with Session(bank.engine) as session:
        rows = session.scalars(select(ValueScore).order_by(ValueScore.as_of_us))
        return [(row.score is not None, row.failure) for row in rows]


def test_the_reason_is_stored_once_and_shown_whether_or_not_the_model_is_loaded(bank: Bank) -> None:
    bank.wait(400)
    bank.settle()
    assert stored(bank) == [(True, None), (False, FAULT)]
    for valuer in (bank.valuer, None):
        shown = read_value(bank.context, "customer", "a", valuer=valuer)
        assert shown is not None
        assert shown.unexplained == FAILED
    assert [event.reason for event in list_events(bank.context, "customer", "a", kinds=["scores"])] == [FAULT, "medium"]


@pytest.mark.parametrize(("serves", "by"), [(4, "version 4"), (3, "the model that has this number now")])
def test_a_failure_speaks_for_the_version_that_failed_and_names_the_one_that_will_compute_anew(
    bank: Bank, serves: int, by: str
) -> None:
    with Session(bank.engine) as session, session.begin():
        session.add(Champion(model="fivefold-value", model_version=serves, since_us=bank.now, content_hash="f" * 64))
    shown = read_value(bank.context, "customer", "a", valuer=None)
    assert shown is not None
    assert shown.unexplained == f"{FAILED} The value will be computed anew with {by}."


def test_a_worker_without_a_model_does_not_let_the_floor_go(bank: Bank) -> None:
    bank.valuer = None
    bank.wait(400)
    bank.put("a", country="IR")
    bank.settle()
    assert (bank.level(), bank.assessments()[-1].status) == (2, "failed")
    assert json.loads(bank.breakdown())["failures"] == [f"Valued: value score: {FAULT}"]


def test_a_payment_without_a_model_leaves_the_failure_and_so_the_floor(bank: Bank) -> None:
    """The value would have become unknown, which lets a floor go, while nobody knew it any better than before."""
    bank.valuer = None
    bank.wait(400)
    bank.pay(3, **WHOLE)
    bank.settle()
    assert stored(bank) == [(True, None), (False, FAULT), (False, FAULT)]
    shown = read_value(bank.context, "customer", "a", valuer=None)
    assert shown is not None
    assert (shown.model_version, shown.unexplained) == (0, f"{NO_MODEL} Before that it could not be computed: {FAULT}.")
    bank.wait(400)
    bank.put("a", country="IR")
    bank.settle()
    assert (bank.level(), bank.assessments()[-1].status) == (2, "failed")
    assert json.loads(bank.breakdown())["failures"] == [f"Valued: value score: {FAULT}"]


def test_a_backtest_counts_the_customer_as_failed(bank: Bank) -> None:
    with Session(bank.engine) as session:
        setting = setting_of(
            session, family_named(session, bank.of, "retail"), read_ruleset(VALUED).canonical, bank.now
        )
    draft = json.loads(run_backtest(bank.engine, setting, lambda *_: None))["backtest"]["draft"]
    assert draft["failures"] == [{"entity": str(bank.id_of("a")), "problem": f"value score: {FAULT}", "rule": "valued"}]


def test_a_decision_names_the_reason(bank: Bank) -> None:
    desk = Desk(bank)
    desk.publish({"when": {"value": "score", "at_least": 1}, "action": "note", "on_unknown": "review"})
    made = desk.decide("a")
    assert made.answer is not None
    assert (made.action, made.answer["value"]) == ("review", None)
    assert made.answer["rules"][0]["seen"] == f"value score cannot be read: {FAULT}"


def test_a_replay_reads_what_could_not_be_computed_at_its_moment(bank: Bank) -> None:
    with Session(bank.engine) as session:
        whose = (bank.of, 1, [bank.id_of("a")])
        now, before = (
            read_parts(session, *whose, {"values"}, at, lists={}, known_by_us=at).values
            for at in (bank.now, bank.now - 1)
        )
    assert now is not None
    assert before is not None
    assert now[NOT_READ].to_list() == [FAULT]
    assert NOT_READ not in before.columns
