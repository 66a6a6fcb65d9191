"""The value in the same batch as the level: computed before it, kept whenever it says something else, read by rules."""

import json
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.domain.clock import DAY_US, day_text, from_microseconds, to_microseconds
from fivefold.domain.money import ecb_rates
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.reading.sources import read_histories
from fivefold.models.scoring.histories import Scoring, score_histories
from fivefold.models.value_model import ValueModel
from fivefold.store.levels.assessment_queue import BULK, Reason
from fivefold.store.levels.future_rows import count_future_rows
from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.facts import add_screening
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.read import Freshness, read_level
from fivefold.usecases.levels.value_scores import EntityScorer, read_value
from fivefold.usecases.portfolio.values import read_value_alone
from fivefold.usecases.shared.entity_checks import OwnerGiven
from tests.models.making import converting_model, interval_table, model_of_amounts, model_of_own
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.decisions.deciding import Desk

VALUED = {"input": {"value": "score"}, "cases": [{"when": {"at_least": 1}, "points": 40}], "on_unknown": {"points": 70}}
WHOLE = {"user_balance": 500.0, "user_created": "2025-01-01", "user_category": "WEB"}


@cache
def with_intervals() -> ValueModel:
    return converting_model(intervals=interval_table())


@pytest.fixture(scope="module")
def model() -> ValueModel:
    return with_intervals()


@filled_once
def with_customers(engine: Engine) -> Bank:
    made = Bank(engine)
    made.valuer = EntityScorer(with_intervals(), "fivefold-value", 3)
    made.activate(banks.document({"valued": VALUED}))
    for name in ("known", "holes", "still"):
        made.put(name)
    made.pay(1, "known", **WHOLE)
    made.pay(2, "known", transaction_amount=-40.0, transaction_date="2026-10-01", **WHOLE)
    made.pay(3, "holes", **WHOLE)
    made.pay(4, "holes")
    made.settle()
    made.valuer = None  # it would be copied as well
    return made


@pytest.fixture
def bank(engine: Engine, model: ValueModel) -> Bank:
    """A customer of whom the model knows enough, one of whom it does not, and one who never moved any money."""
    bank = with_customers(engine)
    bank.valuer = EntityScorer(model, "fivefold-value", 3)
    return bank


def scores(bank: Bank, name: str = "known") -> list[ValueScore]:
    with Session(bank.engine) as session:
        wanted = select(ValueScore).where(ValueScore.entity_id == bank.id_of(name)).order_by(ValueScore.as_of_us)
        return list(session.scalars(wanted))


def directly(bank: Bank, model: ValueModel) -> dict[str, Any]:
    """What the model says of the very same transactions, read as a file's would be."""
    rows: list[dict[str, Any]] = [
        {"user_id": "known", "transaction_currency": "EUR", "transaction_amount": amount, "transaction_date": moment}
        for amount, moment in ((2000.0, from_microseconds(banks.platforms.NOW).isoformat()), (-40.0, "2026-10-01"))
    ]
    histories = read_histories([{**row, **WHOLE} for row in rows], model.rates)
    return score_histories(model, histories, Scoring(bank.now)).table.row(0, named=True)


def test_it_is_what_the_model_says_of_the_same_transactions(bank: Bank, model: ValueModel) -> None:
    (kept,) = scores(bank)
    said = directly(bank, model)
    assert (kept.score, kept.segment, kept.expected_value) == (said["score"], said["category"], said["expected_value"])
    assert (kept.model, kept.model_version, kept.fingerprint) == ("fivefold-value", 3, model.fingerprint)
    assert kept.interval_level_percent == 80
    for name in ("expected_value_low", "expected_value_high"):
        assert getattr(kept, name) == said[name]
    assert kept.expected_value_low <= kept.expected_value < kept.expected_value_high


def test_rules_read_it_in_the_same_batch_and_do_not_know_what_it_does_not_know(bank: Bank) -> None:
    assert (bank.level("known"), bank.level("holes"), bank.level("still")) == (2, 3, 3)


def test_money_in_another_currency_than_the_rules_is_unknown_to_them_and_they_say_both(
    engine: Engine, model: ValueModel
) -> None:
    """Another champion is of another base: the same number would be of other money."""
    worth = {"input": {"value": "expected_value"}, "cases": [{"when": {"at_least": 0}, "points": 10}]}
    bank = Bank(engine)
    dollars = replace(model, rates=ecb_rates("USD", date(2024, 1, 1)))
    bank.activate(banks.document({"worth": {**worth, "on_unknown": {"points": 70}}}))
    for number, valuer in enumerate((model, dollars)):
        name = valuer.currency
        bank.valuer = EntityScorer(valuer, "fivefold-value", 3)
        bank.put(name)
        bank.pay(number, name, **WHOLE)
        bank.settle()
    assert (bank.level("EUR"), bank.level("USD")) == (1, 3)
    (outcome,) = json.loads(bank.breakdown("USD"))["rules"]
    why = "unknown, as the value model gives it in USD, and rules read money in EUR"
    assert outcome["seen"] == f"value expected value is {why}"
    assert [kept.currency for kept in scores(bank, "USD")] == ["USD"], "it is kept as it is"


def test_a_value_that_falls_by_time_alone_is_seen_after_the_interval_and_not_before(
    engine: Engine, model: ValueModel
) -> None:
    """The score falls below 2.5 once the deposit is 90 days old; nothing but the interval makes the customer due."""
    fallen = {"input": {"value": "score"}, "cases": [{"when": {"below": 2.5}, "points": 70}]}
    bank = Bank(engine)
    bank.valuer = EntityScorer(model, "fivefold-value", 3)
    bank.activate(banks.document({"fallen": fallen}, max_recompute_interval="120 days"))
    bank.put("known")
    bank.pay(1, "known", **WHOLE)
    bank.pay(2, "known", transaction_amount=-40.0, transaction_date="2026-10-01", **WHOLE)
    bank.settle()
    begin = bank.now
    assert (bank.level("known"), bank.next_us("known")) == (1, begin + 120 * DAY_US)
    assert Reason(bank.mark_of("known").reasons) == Reason.INTERVAL
    bank.now = begin + 120 * DAY_US - 1
    assert bank.settle() == 0
    bank.now += 1
    assert bank.settle() == 1
    assert bank.level("known") == 3
    assert [kept.score for kept in scores(bank)] == [pytest.approx(2.907, abs=0.001), pytest.approx(2.429, abs=0.001)]


def test_that_there_is_no_value_is_kept_of_whoever_has_transactions(bank: Bank, model: ValueModel) -> None:
    (kept,) = scores(bank, "holes")
    assert (kept.score, kept.segment, kept.expected_value) == (None, None, None)
    assert (kept.currency, kept.model, kept.model_version) == ("EUR", "fivefold-value", 3)
    assert kept.fingerprint == model.fingerprint
    assert scores(bank, "still") == []


LAG_DAYS = 14


def lagging(model: ValueModel) -> ValueModel:
    """The same model, which counts a row from so many days after its date on."""
    return replace(model, definition={**model.definition, "settlement_lag_days": LAG_DAYS})


@pytest.mark.postgresql
@pytest.mark.parametrize("with_ruleset", [True, False])
def test_a_payment_counts_by_itself_once_its_lag_has_passed(
    engine: Engine, model: ValueModel, *, with_ruleset: bool
) -> None:
    """Two payments, an hour apart: neither counts at first, and each counts from its own day on, as in a file."""
    bank = Bank(engine)
    bank.valuer = EntityScorer(lagging(model), "fivefold-value", 3)
    if with_ruleset:
        bank.activate(banks.document({"valued": VALUED}, max_recompute_interval="180 days"))
    bank.put("known")
    bank.pay(2, "known", transaction_amount=-40.0, transaction_date="2026-10-01", **WHOLE)
    begin = bank.now
    bank.pay(1, "known", **WHOLE)
    bank.wait(1 / 24)
    bank.pay(4, "known", transaction_amount=9000.0, **{**WHOLE, "user_balance": 9500.0})
    bank.settle()
    first, *_ = scores(bank)
    assert bank.next_us("known") == begin + LAG_DAYS * DAY_US
    assert Reason(bank.mark_of("known").reasons) == Reason.SETTLED
    assert bank.mark_of("known").priority == BULK, "a whole portfolio may have paid at one midnight"
    with Session(engine) as session:
        assert count_future_rows(session, bank.now) == [], "no clock was ahead"
    bank.now = begin + LAG_DAYS * DAY_US - 1
    assert bank.settle() == 0
    bank.now += 1
    assert bank.settle() == 1
    said = directly(bank, lagging(model))
    assert first.score != said["score"]
    assert scores(bank)[-1].score == said["score"]
    assert bank.next_us("known") == begin + LAG_DAYS * DAY_US + DAY_US // 24, "of the second payment"
    bank.wait(1 / 24)
    assert bank.settle() == 1
    assert len(scores(bank)) == 3
    assert bank.standing("known").source == "rules"
    assert bank.next_us("known") == (bank.now + 180 * DAY_US if with_ruleset else None), "none is kept out any more"


def test_a_view_and_a_correction_keep_the_moment_at_which_a_payment_counts(engine: Engine, model: ValueModel) -> None:
    bank = Bank(engine)
    bank.valuer = EntityScorer(lagging(model), "fivefold-value", 3)
    bank.put("known")
    begin = bank.now
    bank.pay(1, "known", **WHOLE)
    bank.settle()
    assert [kept.score for kept in scores(bank)] == [None]
    bank.wait(2)
    read_level(bank.context, "customer", "known", Freshness.REFRESH)
    assert bank.settle() == 1
    assert bank.next_us("known") == begin + LAG_DAYS * DAY_US
    correction = {"transaction_id": "c-1", "corrects": "t1", "transaction_amount": 90.0, "correction_reason": "Typed."}
    add_transactions(bank.context, [correction], "customer")
    assert bank.settle() == 1
    assert bank.next_us("known") == begin + LAG_DAYS * DAY_US
    bank.now = begin + LAG_DAYS * DAY_US
    assert bank.settle() == 1
    row = {"user_id": "known", "transaction_currency": "EUR", "transaction_amount": 90.0, **WHOLE}
    moment = from_microseconds(begin).isoformat()
    histories = read_histories([{**row, "transaction_date": moment}], model.rates)
    said = score_histories(lagging(model), histories, Scoring(bank.now)).table.row(0, named=True)
    assert [kept.score for kept in scores(bank)] == [None, said["score"]]


def test_a_lag_adds_no_more_than_one_look_for_each_moment_of_payments(engine: Engine, model: ValueModel) -> None:
    """Thirty payments on thirty days, two of them at once: a look for each arrival, and one for each moment later."""
    counted = {}
    for lag, valued_by in (("without", model), ("with", lagging(model))):
        bank = Bank(engine, lag)
        bank.valuer = EntityScorer(valued_by, "fivefold-value", 3)
        bank.put("known")
        looks = bank.settle()
        for day in range(80):
            if day < 30:
                bank.pay(day, "known", **WHOLE)
            if day == 29:
                bank.pay(day + 1, "known", **WHOLE)
            looks += bank.settle()
            bank.wait(1)
        counted[lag] = looks
    assert counted == {"without": 31, "with": 31 + 14}, "on 16 days one look served a new payment and an old one"


@pytest.mark.parametrize("name", ["known", "holes"])
def test_the_same_again_is_not_kept_again(bank: Bank, name: str) -> None:
    bank.wait(microseconds=1)
    bank.mark(name)
    bank.settle()
    assert (bank.standing(name).assessed_us, len(bank.assessments(name))) == (bank.now, 1)
    assert len(scores(bank, name)) == 1


@pytest.mark.parametrize("name", ["known", "holes"])
def test_the_same_is_kept_again_of_another_model_with_the_same_version(
    bank: Bank, model: ValueModel, name: str
) -> None:
    bank.wait(1)
    bank.valuer = EntityScorer(model, "another", 3)
    bank.mark(name)
    bank.settle()
    assert [kept.model for kept in scores(bank, name)] == ["fivefold-value", "another"]


def test_the_commercial_role_is_told_the_day_of_a_value_and_not_the_hour(bank: Bank) -> None:
    """Neither by the moment nor by an indicator: the same value, said at other hours of one day, is the same answer."""
    bank.wait(1)
    day_us = bank.now - bank.now % DAY_US
    told, exact = [], []
    for hour in (0, 1, 13.37, 23.999):
        with Session(bank.engine) as session, session.begin():
            said = {ValueScore.as_of_us: day_us + int(hour * DAY_US / 24)}
            session.query(ValueScore).where(ValueScore.entity_id == bank.id_of("known")).update(said)
        told.append(read_value_alone(bank.context, "customer", "known", valuer=bank.valuer))
        exact.append(read_value(bank.context, "customer", "known", valuer=bank.valuer))
    assert all(each is not None and each.breakdown is not None for each in (*told, *exact))
    assert len({each.breakdown for each in exact if each}) == 4
    assert len({(each.as_of_us, each.breakdown) for each in told if each}) == 1
    assert told[0] is not None
    assert told[0].breakdown is not None
    parts = {part.name: part for part in told[0].breakdown.contributions}
    assert (parts["event_recency"].value, parts["event_recency"].seen) == (1.0, "1.0 days")
    assert parts["withdrawal_recency"].value == (day_us - to_microseconds(date(2026, 10, 1))) / DAY_US
    assert (parts["deposit_decayed_15d"].value, parts["deposit_decayed_15d"].seen) == (None, "")
    assert parts["deposit_decayed_15d"].sentence.startswith("Settled deposits fading by half every 15 days, summed")
    assert "EUR" not in parts["deposit_decayed_15d"].sentence
    assert parts["deposit_sum_90d"].value == 2000.0


def without_balance(bank: Bank) -> None:
    """One transaction without a balance: from now on the model says nothing of them."""
    bank.wait(1)
    bank.pay(5, "known")
    bank.settle()


def test_a_value_that_is_lost_is_unknown_to_rules_with_a_model_and_without(bank: Bank) -> None:
    without_balance(bank)
    assert [kept.score is None for kept in scores(bank)] == [False, True]
    assert bank.level("known") == 3
    bank.wait(60)  # long after the cooldown
    bank.valuer = None
    bank.mark("known")
    bank.settle()
    assert bank.level("known") == 3


def test_a_model_of_amounts_has_a_value_of_those_too_whose_balance_nobody_said(bank: Bank, model: ValueModel) -> None:
    bank.wait(1)
    bank.valuer = EntityScorer(replace(model_of_amounts(), rates=model.rates), "fivefold-value", 4)
    for name in ("known", "holes"):
        bank.mark(name)
    bank.settle()
    assert [kept.score is None for kept in scores(bank, "holes")] == [True, False]
    assert [kept.score is None for kept in scores(bank, "known")] == [False, False]
    bank.wait(11)  # a level goes down after the cooldown
    bank.settle()
    assert bank.level("holes") == 2


def test_why_there_is_no_value_names_the_field_and_the_row(bank: Bank) -> None:
    with capture_logs() as logs:
        bank.mark("holes")
        bank.settle()
    number, moment = bank.id_of("holes"), day_text(banks.platforms.NOW)
    assert [line["why"] for line in logs if line["event"] == "no value"] == [
        f"{name} is missing in rows of 1 customer, such as that of '{number}' at {moment}"
        for name in ("user_balance", "user_category", "user_created")
    ]


def test_a_payment_without_a_rate_takes_the_value_away_once_it_counts(engine: Engine, model: ValueModel) -> None:
    bank = Bank(engine)
    bank.valuer = EntityScorer(lagging(model), "fivefold-value", 3)
    bank.put("known")
    bank.pay(1, "known", **WHOLE)
    bank.wait(LAG_DAYS)
    bank.settle()
    bank.pay(2, "known", **{**WHOLE, "transaction_currency": "KPW"})
    bank.settle()
    before = read_value(bank.context, "customer", "known", valuer=bank.valuer, over_year=True)
    assert before is not None
    assert (before.unexplained, before.breakdown is None) == ("", False)
    bank.wait(LAG_DAYS, microseconds=-1)
    assert bank.settle() == 0
    bank.wait(0, microseconds=1)
    assert bank.settle() == 1
    after = read_value(bank.context, "customer", "known", valuer=bank.valuer)
    assert after is not None
    why = "The model has no exchange rate for KPW, the currency of a transaction."
    assert (after.score, after.unexplained) == (None, why)


def test_who_reads_a_value_that_is_lost_reads_why(bank: Bank) -> None:
    without_balance(bank)
    day = from_microseconds(bank.now).date()
    lacking = ", ".join(f"{name} from {day} on" for name in ("user_balance", "user_category", "user_created"))
    shown = read_value(bank.context, "customer", "known", valuer=bank.valuer)
    assert shown is not None
    assert (shown.score, shown.unexplained) == (None, f"The model reads what transactions lack: {lacking}.")


def test_who_reads_no_value_reads_which_currency_is_not_known(bank: Bank) -> None:
    bank.wait(1)
    bank.pay(6, "known", **{**WHOLE, "transaction_currency": "KPW"})
    bank.settle()
    shown = read_value(bank.context, "customer", "known", valuer=bank.valuer)
    assert shown is not None
    why = "The model has no exchange rate for KPW, the currency of a transaction."
    assert (shown.score, shown.unexplained) == (None, why)
    alone = read_value_alone(bank.context, "customer", "known", valuer=bank.valuer)
    assert alone is not None
    assert alone.unexplained == "The model gives no value by what it reads of this customer."


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


FLOOR_BY_VALUE = {"input": {"value": "score"}, "cases": [{"when": {"at_least": 1}, "points": 0, "floor": "medium"}]}


def test_nothing_lowers_the_level_of_whom_an_own_indicator_fails_and_nobody_else_waits(
    engine: Engine, model: ValueModel
) -> None:
    made = model_of_own(OwnIndicators("bank.py", OWN))
    bank = Bank(engine)
    bank.valuer = EntityScorer(replace(made, rates=model.rates), "fivefold-value", 3)
    bank.activate(banks.document({"valued": FLOOR_BY_VALUE, "screened": {"cases": banks.SCREENED["cases"]}}))
    names = [f"c{number}" for number in range(5)]
    for number, name in enumerate(names):
        bank.put(name)
        bank.pay(number, name, **WHOLE)
    bank.settle()
    assert [bank.level(name) for name in names] == [2] * 5
    bank.wait(1)
    for number, name in enumerate(names):
        bank.pay(10 + number, name, transaction_amount=12345.0 if name == "c2" else 50.0, **WHOLE)
    with capture_logs() as logs:
        bank.settle()
    fault = "bank.py: indicator twelve ended with ValueError"
    assert [(line["why"], line["entities"]) for line in logs if line["event"] == "no value"] == [(fault, 1)]
    assert [scores(bank, name)[-1].score is None for name in names] == [False, False, True, False, False]
    bank.wait(400)  # beyond the cooldown, and the floor's own time
    bank.settle()
    assert [bank.level(name) for name in names] == [2] * 5
    assert [bank.assessments(name)[-1].status for name in names] == [*["assessed"] * 2, "failed", *["assessed"] * 2]
    assert json.loads(bank.breakdown("c2"))["failures"] == [f"Valued: value score: {fault}"]
    shown = read_value(bank.context, "customer", "c2", valuer=bank.valuer)
    assert shown is not None
    why = f"Version 3 of fivefold-value could not compute what it reads of this customer: {fault}."
    assert (shown.score, shown.unexplained) == (None, why)
    add_screening(bank.context, "customer", "c2", "sanctions", has_match=True)
    bank.settle()
    assert bank.level("c2") == 3, "a rule that asks nothing of the value still raises the level"


def test_a_score_is_explained_where_an_own_indicator_fails_at_moments_before_it(
    engine: Engine, model: ValueModel
) -> None:
    text = OWN.replace("== 12345.0:", "== 12345.0 and len(amount) == 1:")
    bank = Bank(engine)
    bank.valuer = EntityScorer(replace(model_of_own(OwnIndicators("bank.py", text)), rates=model.rates), "value", 3)
    bank.put("known")
    bank.pay(1, "known", **WHOLE)
    bank.pay(2, "known", transaction_amount=12345.0, transaction_date="2026-03-01", **WHOLE)
    bank.settle()
    shown = read_value(bank.context, "customer", "known", valuer=bank.valuer, over_year=True)
    assert shown is not None
    assert shown.breakdown is not None
    assert shown.indicators is not None
    assert shown.indicators.moments_us == (shown.as_of_us,)


def test_a_value_that_is_lost_is_none_to_decisions(bank: Bank) -> None:
    desk = Desk(bank)
    desk.publish({"when": {"value": "score", "at_least": 1}, "action": "note"})
    assert desk.decide("known").action == "note"
    without_balance(bank)
    made = desk.decide("known")
    assert made.answer is not None
    assert (made.action, made.answer["value"], desk.rows()[-1].value_as_of_us) == ("allow", None, None)


def test_a_value_is_lost_with_what_was_no_longer_owned(engine: Engine, model: ValueModel) -> None:
    bank = Bank(engine)
    bank.valuer = EntityScorer(model, "fivefold-value", 3)
    bank.add_type("account", {}, {"operation": "text"})
    for name in ("known", "other"):
        bank.put(name)
    bank.put("account", ("customer", "known"), "account")
    bank.pay(1, "account", "account", **WHOLE)
    bank.settle()
    bank.wait(1)
    bank.put("account", ("customer", "other"), "account")
    bank.settle()
    assert [kept.score is None for kept in scores(bank)] == [False], "it was paid in when it was owned"
    left_before = OwnerGiven("customer", "known", until_us=bank.now - 2 * DAY_US)
    bank.put("account", kind="account", owners=[left_before, OwnerGiven("customer", "other")])
    bank.settle()
    assert [kept.score is None for kept in scores(bank)] == [False, True]
    shown = read_value(bank.context, "customer", "known", valuer=bank.valuer)
    assert shown is not None
    assert shown.unexplained == "No transaction of the customer counts by then."
    assert [kept.score is None for kept in scores(bank, "other")] == [False]


def test_a_value_that_was_lost_comes_back(bank: Bank) -> None:
    bank.add_type("account", {}, {"operation": "text"})
    bank.put("account", kind="account")
    bank.pay(5, "account", "account")
    bank.wait(1)
    bank.put("account", ("customer", "known"), "account")
    bank.settle()
    bank.wait(1)
    left_before = OwnerGiven("customer", "known", until_us=bank.now - 3 * DAY_US)
    bank.put("account", kind="account", owners=[left_before, OwnerGiven("customer", "still")])
    bank.settle()
    assert [kept.score is None for kept in scores(bank)] == [False, True, False]
    bank.wait(11)  # a level goes down after the cooldown
    bank.settle()
    assert bank.level("known") == 2


def test_another_figure_is_kept_and_so_is_another_version(bank: Bank, model: ValueModel) -> None:
    bank.wait(1)
    bank.pay(5, "known", transaction_amount=90_000.0, **{**WHOLE, "user_balance": 90_000.0})
    bank.settle()
    assert len(scores(bank)) == 2
    bank.wait(1)
    bank.valuer = EntityScorer(model, "fivefold-value", 4)
    bank.mark("known")
    bank.settle()
    assert [kept.model_version for kept in scores(bank)] == [3, 3, 4]


def test_without_a_model_what_it_said_last_is_read(bank: Bank) -> None:
    bank.valuer = None
    bank.mark("known")
    bank.settle()
    assert bank.level("known") == 2


@pytest.mark.parametrize("has_model", [True, False])
def test_erasing_what_a_customer_owned_ends_the_value_that_rested_on_it(
    bank: Bank, tmp_path: Path, has_model: bool
) -> None:
    bank.add_type("account", {}, {"operation": "text"})
    bank.put("heir")
    bank.put("account", ("customer", "heir"), "account")
    bank.pay(5, "account", "account", **WHOLE)
    bank.settle()
    bank.wait(1_900)  # records are kept for 1,826 days
    bank.settle()
    assert scores(bank, "heir")[-1].score is not None
    bank.wait(1)
    bank.valuer = bank.valuer if has_model else None
    erase_entity(bank.context, "account", "account", tmp_path / "erasures.jsonl")
    bank.settle()
    assert scores(bank, "heir")[-1].score is None
