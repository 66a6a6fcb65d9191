"""The target against a slow reference in exact fractions, read from the words of the design alone."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.features.histories import Histories
from fivefold.features.reading.sources import read_histories
from fivefold.features.schema import DEPOSIT, WITHDRAWAL
from fivefold.training.config import ValueSettings
from fivefold.training.target import _sums as compiled_sums
from fivefold.training.target import floor_at_zero, realised_values, window_sums
from tests.depth import examples
from tests.features.oracle.strategies import AS_OFS, RATES, Row, iso, ledgers, row

Events = list[tuple[int, Fraction, Fraction, int]]


def events_of(histories: Histories, customer: int) -> Events:
    first, last = histories.offsets[customer : customer + 2].tolist()
    columns = (histories.time, histories.amount, histories.balance, histories.kind)
    rows = zip(*(column[first:last].tolist() for column in columns), strict=True)
    return [(time, Fraction(amount), Fraction(balance), kind) for time, amount, balance, kind in rows]


def balance_at(events: Events, moment: int) -> Fraction:
    """The balance after the last event up to a moment; 0 before the first."""
    return next((balance for time, _, balance, _ in reversed(events) if time <= moment), Fraction(0))


def worth(events: Events, start: int, days: int, value: ValueSettings) -> Fraction:
    """Fees on what was moved in (start, start + days], and the margin on the mean positive balance over that time."""
    stop = start + days * DAY_US
    inside = [event for event in events if start < event[0] <= stop]
    deposits = sum((amount for _, amount, _, kind in inside if kind == DEPOSIT), Fraction(0))
    withdrawals = sum((-amount for _, amount, _, kind in inside if kind == WITHDRAWAL), Fraction(0))
    moments = sorted({start, stop, *(time for time, *_ in inside)})
    held = sum(
        ((later - now) * max(balance_at(events, now), Fraction(0)) for now, later in pairwise(moments)),
        Fraction(0),
    )
    mean_balance = held / (stop - start)
    fees = Fraction(value.deposit_fee) * deposits + Fraction(value.withdrawal_fee) * withdrawals
    return fees + Fraction(value.yearly_margin) * Fraction(days, 365) * mean_balance


def size(events: Events) -> float:
    return float(sum((abs(amount) + abs(balance) for _, amount, balance, _ in events), Fraction(1)))


values = st.builds(
    ValueSettings,
    deposit_fee=st.floats(-1, 1),
    withdrawal_fee=st.floats(-1, 1),
    yearly_margin=st.floats(-1, 1),
)


@pytest.mark.parametrize("as_of", AS_OFS)
@settings(max_examples=examples(40))
@given(data=st.data(), days=st.integers(1, 400), value=values)
def test_a_customer_is_worth_what_the_words_say(
    as_of: int, data: st.DataObject, days: int, value: ValueSettings
) -> None:
    histories = read_histories(data.draw(ledgers(as_of)), RATES)
    starts = np.array([as_of - days * DAY_US, as_of - 30 * DAY_US, as_of], dtype=np.int64)
    found = realised_values(histories, starts, days, value)
    assert found.shape == (histories.customers, 3)
    for customer in range(histories.customers):
        events = events_of(histories, customer)
        for place, start in enumerate(starts.tolist()):
            wanted = float(worth(events, start, days, value))
            assert found[customer, place] == pytest.approx(wanted, rel=1e-9, abs=1e-12 * size(events))


@settings(max_examples=examples(40))
@given(ledgers(AS_OFS[0]), st.integers(1, 400), st.lists(st.integers(-400, 400), min_size=1, max_size=4))
def test_interpreted_and_compiled_give_the_same_bits(rows: list[Row], days: int, offsets: list[int]) -> None:
    histories = read_histories(rows, RATES)
    starts = np.array([AS_OFS[0] + offset * DAY_US for offset in offsets], dtype=np.int64)
    results = []
    for run in (window_sums, compiled_sums()):
        sums = np.full((histories.customers, len(starts), 3), np.nan)
        columns = (histories.offsets, histories.time, histories.amount, histories.balance, histories.kind)
        run(*columns, starts, days * DAY_US, sums)
        results.append(sums.tobytes())
    assert results[0] == results[1]


@settings(max_examples=examples(40))
@given(ledgers(AS_OFS[0]), st.integers(1, 200))
def test_persistence_is_the_same_value_one_horizon_earlier(rows: list[Row], days: int) -> None:
    histories, value = read_histories(rows, RATES), ValueSettings()
    test = AS_OFS[0]
    windows = np.array([test, test - days * DAY_US], dtype=np.int64)
    both = realised_values(histories, windows, days, value)
    until_test = read_histories([one for one in rows if one["transaction_date"] <= iso(test)], RATES)
    earlier = realised_values(until_test, windows[1:], days, value)
    ids = histories.user_ids.to_pylist()
    for place, user in enumerate(until_test.user_ids.to_pylist()):
        assert earlier[place, 0] == both[ids.index(user), 1]


@settings(max_examples=examples(40))
@given(ledgers(AS_OFS[0]), st.integers(1, 200))
def test_rows_after_the_window_change_nothing(rows: list[Row], days: int) -> None:
    start = AS_OFS[0] - 60 * DAY_US
    kept = [one for one in rows if one["transaction_date"] <= iso(start + days * DAY_US)]
    values_of = []
    for some in (rows, kept):
        histories = read_histories(some, RATES)
        found = realised_values(histories, np.array([start]), days, ValueSettings())[:, 0]
        values_of.append(dict(zip(histories.user_ids.to_pylist(), found.tolist(), strict=True)))
    whole, cut = values_of
    assert {user: whole[user] for user in cut} == cut
    assert all(value == 0 for user, value in whole.items() if user not in cut)


START = AS_OFS[0]
ONLY_DEPOSITS = ValueSettings(deposit_fee=1, withdrawal_fee=0, yearly_margin=0)
ONLY_WITHDRAWALS = ValueSettings(deposit_fee=0, withdrawal_fee=1, yearly_margin=0)
ONLY_BALANCE = ValueSettings(deposit_fee=0, withdrawal_fee=0, yearly_margin=365)
"""A margin of 365 a year is 1 a day."""


def at(days: float, amount: float, balance: float, state: str = "SUCCEEDED") -> Row:
    moment = iso(START + round(days * DAY_US))
    return row(transaction_date=moment, transaction_amount=amount, user_balance=balance, transaction_state=state)


def value_of(rows: list[Row], value: ValueSettings, days: int = 10) -> float:
    (found,) = realised_values(read_histories(rows, RATES), np.array([START]), days, value)[:, 0]
    return float(found)


def test_an_event_at_the_start_moves_nothing_but_its_balance_is_carried_in() -> None:
    rows = [at(0, 100, 100)]
    assert value_of(rows, ONLY_DEPOSITS) == 0
    assert value_of(rows, ONLY_BALANCE) == pytest.approx(10 * 100)


def test_an_event_at_the_end_counts_but_its_balance_was_held_for_no_time() -> None:
    rows = [at(10, 100, 100)]
    assert value_of(rows, ONLY_DEPOSITS) == 100
    assert value_of(rows, ONLY_BALANCE) == 0


def test_an_event_after_the_end_does_not_count() -> None:
    assert value_of([at(10 + 1e-9, 100, 100)], ONLY_DEPOSITS) == 0


def test_before_the_first_row_the_balance_is_0() -> None:
    assert value_of([at(4, 100, 100)], ONLY_BALANCE) == pytest.approx(6 * 100)


def test_the_last_balance_before_the_start_is_carried_in() -> None:
    rows = [at(-400, 5, 999), at(-3, 5, 50), at(6, 5, 20)]
    assert value_of(rows, ONLY_BALANCE) == pytest.approx(6 * 50 + 4 * 20)


def test_of_rows_at_one_moment_the_last_one_s_balance_holds() -> None:
    rows = [{**at(-1, 10, 10), "transaction_id": "1"}, {**at(-1, 30, 40), "transaction_id": "2"}]
    assert value_of(rows, ONLY_BALANCE) == pytest.approx(10 * 40)


def test_a_balance_below_0_counts_as_0() -> None:
    assert value_of([at(-1, -5, -50), at(5, 100, 30)], ONLY_BALANCE) == pytest.approx(5 * 30)


@pytest.mark.parametrize("state", ["PENDING", "FAILED", "REJECTED", "CANCELLED", "EXPIRED", "REVERSED"])
def test_rows_that_are_not_settled_move_nothing_but_tell_the_balance(state: str) -> None:
    rows = [at(-1, 10, 10), at(4, 500, 60, state), at(5, -500, 70, state)]
    assert value_of(rows, ONLY_DEPOSITS) == 0
    assert value_of(rows, ONLY_WITHDRAWALS) == 0
    assert value_of(rows, ONLY_BALANCE) == pytest.approx(4 * 10 + 1 * 60 + 5 * 70)


def test_withdrawals_count_by_their_size() -> None:
    assert value_of([at(1, -30, 0), at(2, -12, 0, "COMPLETED"), at(3, 5, 5)], ONLY_WITHDRAWALS) == 42


def test_a_refund_costs_and_the_value_is_not_floored_here() -> None:
    value = ValueSettings(deposit_fee=0.5, withdrawal_fee=-1, yearly_margin=0)
    assert value_of([at(1, 20, 20), at(2, -50, 0)], value) == pytest.approx(10 - 50)


def test_money_in_another_currency_is_converted() -> None:
    rows = [{**at(1, 100, 100), "transaction_currency": "USD"}]
    assert value_of(rows, ONLY_DEPOSITS) == pytest.approx(93.41)
    assert value_of(rows, ONLY_BALANCE) == pytest.approx(9 * 93.41)


def test_a_year_s_margin_on_a_balance_that_never_moves() -> None:
    value = ValueSettings(deposit_fee=0, withdrawal_fee=0, yearly_margin=0.02)
    assert value_of([at(-1, 1000, 1000)], value, days=365) == pytest.approx(20)


def test_each_start_has_its_own_window() -> None:
    histories = read_histories([at(1, 10, 10), at(8, 5, 15)], RATES)
    starts = np.array([START - 10 * DAY_US, START, START + 5 * DAY_US])
    found = realised_values(histories, starts, 5, ONLY_DEPOSITS)
    assert found.tolist() == [[0.0, 10.0, 5.0]]


def test_nobody_is_worth_nothing() -> None:
    assert realised_values(read_histories([], RATES), np.array([START]), 5, ValueSettings()).shape == (0, 1)


def test_values_below_0_are_raised_to_0() -> None:
    assert floor_at_zero(np.array([-3.5, 0.0, 2.5])).tolist() == [0.0, 0.0, 2.5]
