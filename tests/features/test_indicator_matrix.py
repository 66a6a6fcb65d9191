"""The guards of the engine: the same bits for one and for many, compiled and interpreted, now and in hindsight."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.features import indicator_matrix as matrix
from fivefold.features.catalogue.kernel import Walk
from fivefold.features.histories import Histories, Integers
from fivefold.features.indicator_matrix import Snapshots, catalogue, indicator_matrix, snapshots, warm
from fivefold.features.indicators import CATALOGUE
from fivefold.features.reading.sources import read_histories
from tests.depth import examples
from tests.features.oracle.events import microseconds
from tests.features.oracle.strategies import AS_OFS, RATES, Row, iso, ledgers, row
from tests.features.oracle.walks import bounds_checked, interpreted

AS_OF = AS_OFS[1]
MOMENTS = np.array([AS_OF - 365 * DAY_US, AS_OF - 30 * DAY_US - 1, AS_OF, AS_OF, AS_OF + 90 * DAY_US])
INTERPRETED = interpreted(CATALOGUE)
WALKS = ["uncompiled", pytest.param("checked", marks=pytest.mark.full)]
"""Builds of the same indicators beside the one that is used; the checked one takes long to compile."""


@pytest.fixture
def compiled() -> Walk:
    return warm()


@pytest.fixture
def uncompiled() -> Walk:
    return INTERPRETED


@pytest.fixture(scope="module")
def checked() -> Walk:
    """The build that raises IndexError on a read out of bounds."""
    return bounds_checked(CATALOGUE)


def bits(values: np.ndarray) -> list[int]:
    return values.view(np.int64).ravel().tolist()


def same(one: Snapshots, other: Snapshots) -> bool:
    return bits(one.values) == bits(other.values) and one.row_counts.tolist() == other.row_counts.tolist()


def bits_by_user(ledger: list[Row], as_of: int = AS_OF) -> dict[str, list[int]]:
    histories = read_histories(ledger, RATES)
    values, _ = indicator_matrix(histories, as_of)
    return {user: bits(found) for user, found in zip(histories.user_ids.to_pylist(), values, strict=True)}


@given(ledgers(AS_OF))
def test_compiled_is_interpreted_bitwise(ledger: list[Row]) -> None:
    histories = read_histories(ledger, RATES)
    assert same(snapshots(histories, MOMENTS), snapshots(histories, MOMENTS, INTERPRETED))


@pytest.mark.full
@given(ledger=ledgers(AS_OF))
def test_the_bounds_checked_build_passes_and_is_equal_bitwise(checked: Walk, ledger: list[Row]) -> None:
    histories = read_histories(ledger, RATES)
    assert same(snapshots(histories, MOMENTS), snapshots(histories, MOMENTS, checked))


@given(ledgers(AS_OF))
def test_one_customer_is_the_batch_bitwise(ledger: list[Row]) -> None:
    batch = bits_by_user(ledger)
    for user in batch:
        assert bits_by_user([taken for taken in ledger if taken["user_id"] == user]) == {user: batch[user]}


@given(ledgers(AS_OF))
def test_one_customer_selected_from_the_batch_is_the_batch_bitwise(ledger: list[Row]) -> None:
    histories = read_histories(ledger, RATES)
    whole = snapshots(histories, MOMENTS)
    for c in range(histories.customers):
        part = snapshots(histories.select(c, c + 1), MOMENTS)
        assert same(part, Snapshots(whole.values[c : c + 1], whole.row_counts[c : c + 1]))


@given(ledgers(AS_OF))
def test_many_moments_in_one_pass_are_each_alone_bitwise(ledger: list[Row]) -> None:
    histories = read_histories(ledger, RATES)
    whole = snapshots(histories, MOMENTS)
    for s, moment in enumerate(MOMENTS.tolist()):
        values, seen = indicator_matrix(histories, moment)
        assert bits(values) == bits(np.ascontiguousarray(whole.values[:, s]))
        assert seen.tolist() == whole.row_counts[:, s].tolist()


@given(
    st.booleans().flatmap(lambda identified: ledgers(AS_OF, identified=identified)), st.randoms(use_true_random=False)
)
def test_shuffled_rows_give_the_same_bits(ledger: list[Row], chance: random.Random) -> None:
    shuffled = chance.sample(ledger, len(ledger))
    assert bits_by_user(shuffled) == bits_by_user(ledger)


@given(ledgers(AS_OF, identified=False, max_rows=8), st.randoms(use_true_random=False))
def test_shuffled_ties_give_the_same_bits(ledger: list[Row], chance: random.Random) -> None:
    """Everything at one moment: only what the rows say can order them."""
    tied = [{**taken, "user_id": "ann", "transaction_date": iso(AS_OF)} for taken in ledger]
    assert bits_by_user(chance.sample(tied, len(tied))) == bits_by_user(tied)


@given(ledgers(AS_OF), st.data())
def test_exact_repeats_of_a_transaction_change_nothing(ledger: list[Row], data: st.DataObject) -> None:
    known = [taken for taken in ledger if taken.get("transaction_id") is not None]
    again = data.draw(st.lists(st.sampled_from(known), max_size=10)) if known else []
    assert bits_by_user(data.draw(st.permutations(ledger + again))) == bits_by_user(ledger)


@given(ledgers(AS_OF))
def test_rows_after_as_of_cannot_be_seen(ledger: list[Row]) -> None:
    """Not masked but physically deleted: with compiled slices a read past the end would find the next row."""
    past = [taken for taken in ledger if microseconds(taken["transaction_date"]) <= AS_OF]
    batch = bits_by_user(ledger)
    alone = bits_by_user(past)
    empty = bits(np.array([made.empty for made in CATALOGUE.indicators]))
    assert batch == {user: alone.get(user, empty) for user in batch}


@given(ledgers(AS_OF, identified=False), ledgers(AS_OF, identified=False))
def test_whatever_comes_after_as_of_changes_nothing(ledger: list[Row], other: list[Row]) -> None:
    future = [{**taken, "transaction_date": iso(AS_OF + 1 + i)} for i, taken in enumerate(other)]
    batch = bits_by_user(ledger)
    assert {user: found for user, found in bits_by_user(ledger + future).items() if user in batch} == batch


@given(ledgers(AS_OF), st.sampled_from((1e15, -1e15, 1e-9)))
def test_extreme_money_stays_equal_bitwise(ledger: list[Row], money: float) -> None:
    extreme = [
        {**taken, "user_balance": money * (-1) ** i, "transaction_amount": money} for i, taken in enumerate(ledger)
    ]
    histories = read_histories(extreme, RATES)
    assert same(snapshots(histories, MOMENTS), snapshots(histories, MOMENTS, INTERPRETED))


@pytest.mark.parametrize("walk", WALKS)
def test_the_whole_range_of_time_is_equal_bitwise(walk: str, request: pytest.FixtureRequest) -> None:
    ledger = [row(transaction_date=when) for when in ("1900-01-01", "1969-12-31T23:59:59.999999", "9999-12-31")]
    histories = read_histories(ledger, RATES)
    moments = np.array([microseconds(when) for when in ("1900-01-01", "1970-01-01", "2024-02-29", "9999-12-31")])
    taken = snapshots(histories, moments)
    assert taken.row_counts.tolist() == [[1, 2, 2, 3]]
    assert same(taken, snapshots(histories, moments, request.getfixturevalue(walk)))


@pytest.mark.parametrize("walk", ["compiled", *WALKS])
def test_no_customer_at_all_gives_an_empty_matrix(walk: str, request: pytest.FixtureRequest) -> None:
    taken = snapshots(read_histories([], RATES), MOMENTS, request.getfixturevalue(walk))
    assert taken.values.shape == (0, len(MOMENTS), len(CATALOGUE.indicators))
    assert taken.row_counts.shape == (0, len(MOMENTS))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_no_as_of_at_all_gives_an_empty_matrix(count: int) -> None:
    taken = snapshots(read_histories([row()] * count, RATES), np.empty(0, dtype=np.int64))
    assert taken.values.shape[1] == 0


def many_customers(customers: int) -> Histories:
    chance = random.Random(5)
    ledger = [
        row(user_id=f"u{c}", transaction_date=iso(AS_OF - chance.randrange(400 * DAY_US)), user_balance=float(c))
        for c in range(customers)
        for _ in range(1 + c % 3)
    ]
    return read_histories(ledger, RATES)


@pytest.mark.parametrize("processors", [1, 2, 7])
def test_threads_give_the_same_bits(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    histories = many_customers(50)
    alone = snapshots(histories, MOMENTS)
    monkeypatch.setattr(matrix, "_CUSTOMERS_A_THREAD", 3)
    monkeypatch.setattr(matrix.os, "cpu_count", lambda: processors)
    assert len(matrix._shares(histories)) == processors + 1
    assert same(snapshots(histories, MOMENTS), alone)


def test_one_customer_with_nearly_all_rows_still_shares_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = [row(user_id="big", transaction_date=iso(AS_OF - i * DAY_US)) for i in range(100)]
    histories = read_histories([*ledger, row(user_id="small"), row(user_id="last")], RATES)
    alone = snapshots(histories, MOMENTS)
    monkeypatch.setattr(matrix, "_CUSTOMERS_A_THREAD", 1)
    monkeypatch.setattr(matrix.os, "cpu_count", lambda: 4)
    assert same(snapshots(histories, MOMENTS), alone)


def test_what_goes_wrong_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arrays: Integers) -> None:
        raise ZeroDivisionError("in a thread")

    monkeypatch.setattr(matrix, "_CUSTOMERS_A_THREAD", 3)
    monkeypatch.setattr(matrix.os, "cpu_count", lambda: 2)
    with pytest.raises(ZeroDivisionError, match="in a thread"):
        snapshots(many_customers(50), MOMENTS, broken)


def test_the_arrays_of_the_caller_may_be_writable_or_not() -> None:
    """One signature: a second compilation inside a request would take seconds."""
    histories = many_customers(5)
    alone = snapshots(histories, MOMENTS)
    for writable in (True, False):
        arrays = {name: np.array(getattr(histories, name)) for name in ("time", "amount", "balance", "offsets")}
        for array in arrays.values():
            array.setflags(write=writable)
        assert same(snapshots(replace(histories, **arrays), MOMENTS), alone)
    assert len(warm().signatures) == 1


def test_it_is_compiled_once_in_a_process() -> None:
    assert warm() is warm()
    assert catalogue() is CATALOGUE


# The edges of (as-of - window, as-of].


def column(name: str, ledger: list[Row], as_of: int = AS_OF) -> float:
    values, _ = indicator_matrix(read_histories(ledger, RATES), as_of)
    return float(values[0, CATALOGUE.names.index(name)])


def test_an_event_at_exactly_as_of_counts() -> None:
    ledger = [row(transaction_date=iso(AS_OF)), row(transaction_date=iso(AS_OF + 1))]
    assert column("deposit_count_all", ledger) == 1.0
    assert column("deposit_count_90d", ledger) == 1.0
    assert column("event_recency", ledger) == 0.0


@pytest.mark.parametrize("window_days", [30, 90, 365])
def test_an_event_at_exactly_the_beginning_of_the_window_does_not_count(window_days: int) -> None:
    opens = AS_OF - window_days * DAY_US
    ledger = [row(transaction_date=iso(opens + off)) for off in (-1, 0, 1)]
    assert column(f"deposit_sum_{window_days}d", ledger) == 20.5


def test_a_bare_date_is_its_midnight_utc() -> None:
    midnight = microseconds("2024-06-30T00:00:00+00:00")
    assert column("event_recency", [row(transaction_date="2024-06-30")], midnight) == 0.0
    assert column("deposit_count_all", [row(transaction_date="2024-06-30")], midnight - 1) == 0.0


def test_a_zone_moves_an_event_over_the_edge() -> None:
    midnight = microseconds("2024-06-30")
    inside = [row(transaction_date=when) for when in ("2024-06-30T02:00:00+02:00", "2024-06-29T19:00:00-05:00")]
    outside = [row(transaction_date=when) for when in ("2024-06-30T02:00:01+02:00", "2024-06-29T19:00:00.000001-05:00")]
    assert column("deposit_count_all", inside + outside, midnight) == 2.0


def test_the_earliest_creation_and_the_latest_category_up_to_as_of_hold() -> None:
    ledger = [
        row(user_created="2022-05-05", user_category="WEB", transaction_date=iso(AS_OF - 2)),
        row(user_created="2021-01-01", user_category="API", transaction_date=iso(AS_OF - 1)),
        row(user_created="2022-01-01", user_category="WEB", transaction_date=iso(AS_OF)),
        row(user_created="1999-01-01", user_category="API", transaction_date=iso(AS_OF + 1)),
    ]
    assert column("account_age", ledger) == (AS_OF - microseconds("2021-01-01")) / DAY_US
    assert column("channel_web", ledger) == 1.0
    assert column("channel_web", ledger, AS_OF - 1) == 0.0
    assert column("account_age", ledger, AS_OF + 1) == (AS_OF + 1 - microseconds("1999-01-01")) / DAY_US


@settings(max_examples=examples(25))
@given(ledgers(AS_OF, max_rows=40))
def test_every_customer_is_a_row_and_every_row_is_seen(ledger: list[Row]) -> None:
    histories = read_histories(ledger, RATES)
    values, seen = indicator_matrix(histories, 1 << 62)
    assert values.shape == (len({taken["user_id"] for taken in ledger}), len(CATALOGUE.indicators))
    assert seen.sum() == len(ledger) == histories.rows
