"""What a version predicts of a portfolio is kept once a week, as of one moment, for each organisation alone."""

from dataclasses import replace

import pytest
from polars.exceptions import PanicException
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.features.histories import Histories
from fivefold.models.value_model import ValueModel
from fivefold.store.erasure.erase import erase
from fivefold.store.monitoring import predictions as store
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.predictions import Prediction, PredictionDay
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.monitoring.realised import keep
from fivefold.usecases.portfolio.values import read_value_alone
from tests.usecases.monitoring.realised.living import CUSTOMERS, HORIZON_DAYS, MODEL, WHOLE, Living, Shelf, living


@pytest.fixture
def bank(engine: Engine) -> Living:
    return living(engine, Shelf())


def test_it_is_what_the_model_says_of_everybody_at_one_moment(bank: Living) -> None:
    assert bank.keep()
    (day,) = bank.days()
    assert (day.predicted, day.valued, day.as_of_us, day.model_version) == (CUSTOMERS, CUSTOMERS, bank.now, 1)
    assert (day.horizon_ends_us, day.judged_us) == (bank.now + HORIZON_DAYS * DAY_US, None)
    kept = bank.predictions()
    for name in bank.customers[:3]:
        shown = read_value_alone(bank.context, "customer", name, valuer=bank.valuer)
        assert shown is not None
        assert kept[bank.id_of(name)].expected_value == pytest.approx(shown.expected_value, rel=1e-12)
        assert kept[bank.id_of(name)].segment == shown.segment
        assert kept[bank.id_of(name)].expected_value_low == shown.expected_value_low


def test_it_asks_anew_where_what_is_shown_is_from_long_ago(bank: Living) -> None:
    bank.wait(60)
    assert bank.keep()
    shown = read_value_alone(bank.context, "customer", "c39", valuer=bank.valuer)
    assert shown is not None
    assert bank.predictions()[bank.id_of("c39")].expected_value < shown.expected_value


def test_once_a_week_and_of_each_version_from_its_first_day(bank: Living) -> None:
    assert [bank.keep(), bank.keep()] == [True, False]
    bank.wait(6)
    assert not bank.keep()
    bank.serve(2)
    assert [bank.keep(), bank.keep()] == [True, False]
    bank.serve(1)
    bank.wait(1)
    assert [bank.keep(), bank.keep()] == [True, False]
    assert [day.model_version for day in bank.days()] == [1, 2, 1]


@pytest.mark.postgresql
def test_without_a_model_or_values_there_is_nothing_to_keep(bank: Living) -> None:
    bank.valuer, valuer = None, bank.valuer
    assert not bank.keep()
    empty = Living(bank.engine, bank.shelf, "empty", customers=0)
    bank.valuer = valuer
    assert bank.keep()
    assert not bank.keep()
    assert empty.days() == []


def test_organisations_are_apart(bank: Living) -> None:
    other = Living(bank.engine, bank.shelf, "other", customers=3)
    assert [bank.keep(), bank.keep(), bank.keep()] == [True, True, False]
    assert [len(each.predictions()) for each in (bank, other)] == [CUSTOMERS, 3]
    assert set(other.predictions()) == {other.id_of(name) for name in other.customers}


def test_who_has_a_payment_without_a_rate_is_predicted_until_it_counts(bank: Living) -> None:
    lag = {**bank.valuer.model.definition, "settlement_lag_days": 14}  # type: ignore[union-attr]  # one serves
    bank.valuer = EntityScorer(replace(bank.valuer.model, definition=lag), MODEL, 2)  # type: ignore[union-attr]  # one serves
    bank.pay(1, "c1", transaction_currency="KPW", **WHOLE)
    bank.settle()
    for days, predicted in ((0, CUSTOMERS), (14, CUSTOMERS - 1)):
        bank.wait(days)
        assert bank.keep()
        assert len(bank.predictions(len(bank.days()) - 1)) == predicted


def test_of_a_large_portfolio_a_sample_and_the_same_customers_again(
    bank: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep, "MOST_CUSTOMERS", 10)
    bank.keep()
    bank.wait(7)
    bank.keep()
    first, second = set(bank.predictions(0)), set(bank.predictions(1))
    assert first == second
    assert 8 <= len(first) <= 12
    assert bank.days()[0].valued == CUSTOMERS


def test_who_was_erased_while_it_was_computed_is_not_kept(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = keep._predicted

    def erased_meanwhile(engine: Engine, *of: object) -> object:
        rows = computed(engine, *of)  # type: ignore[arg-type]  # as it is called
        with Session(engine) as session, session.begin():
            erase(session, [session.get_one(Entity, bank.id_of("c1"))], bank.now)
        return rows

    one = bank.id_of("c1")
    monkeypatch.setattr(keep, "_predicted", erased_meanwhile)
    bank.keep()
    assert one not in bank.predictions()
    assert bank.days()[0].predicted == CUSTOMERS - 1


@pytest.mark.postgresql
def test_erasure_takes_predictions_along(bank: Living) -> None:
    bank.keep()
    one = bank.id_of("c1")
    with Session(bank.engine) as session, session.begin():
        erase(session, [session.get_one(Entity, one)], bank.now)
    with Session(bank.engine) as session:
        assert session.scalar(select(Prediction).where(Prediction.entity_id == one)) is None
    assert len(bank.predictions()) == CUSTOMERS - 1


def test_erasing_what_a_customer_owned_takes_the_customers_prediction_along(bank: Living) -> None:
    """It was of more than the customer has left: what comes would seem too little."""
    bank.put("purse", owner=("customer", "c1"))
    bank.keep()
    assert bank.id_of("c1") in bank.predictions()
    with Session(bank.engine) as session, session.begin():
        erase(session, [session.get_one(Entity, bank.id_of("purse"))], bank.now)
    assert set(bank.predictions()) == {bank.id_of(name) for name in bank.customers if name != "c1"}


@pytest.mark.postgresql
def test_a_worker_that_is_killed_leaves_nothing_and_of_two_the_first_one_stays(
    bank: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "store_predictions", killed)
        with pytest.raises(KeyboardInterrupt):
            bank.keep()
    assert bank.days() == []
    with monkeypatch.context() as patch:  # another one has looked before this one stored
        found = store.valued_types
        patch.setattr(store, "valued_types", lambda session, *of: found(session, *of[:2], 0, 0, of[-1]))
        assert bank.keep()
        kept = bank.predictions()
        bank.now += 1
        assert bank.keep()
    assert len(bank.days()) == 1
    assert bank.predictions().keys() == kept.keys()


def test_what_a_clock_ahead_kept_is_removed(bank: Living) -> None:
    bank.keep()
    with Session(bank.engine) as session, session.begin():
        ahead = bank.now + 3_000 * DAY_US
        session.execute(update(PredictionDay).values(as_of_us=ahead, day=ahead // DAY_US))
    assert bank.keep()
    assert [day.as_of_us for day in bank.days()] == [bank.now]


@pytest.mark.parametrize("error", [ZeroDivisionError, PanicException])
def test_an_organisation_that_fails_stops_no_other(
    bank: Living, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    other = Living(bank.engine, bank.shelf, "other", customers=3)
    known = keep.known_values

    def broken(model: ValueModel, histories: Histories, now_us: int) -> object:
        if histories.customers == CUSTOMERS:
            raise error
        return known(model, histories, now_us)

    monkeypatch.setattr(keep, "known_values", broken)
    assert bank.keep()
    assert [len(bank.days()), len(other.days())] == [0, 1]
    with pytest.raises(error):
        bank.keep()


def test_of_whom_the_model_can_say_nothing_no_day_is_kept(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "_predicted", lambda *_: [])
    assert not bank.keep()
    assert bank.days() == []
