"""Rows in order take one pass, and mean what they mean to the general readers; anything else is left to these."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.errors import FileFormatError, InvalidDataError
from fivefold.features import schema as c
from fivefold.features.histories import Histories, Stateless
from fivefold.features.reading.fast_columns import StringColumn
from fivefold.features.reading.layout import in_order, order_loops
from fivefold.features.reading.validate import TransactionReader
from tests.depth import examples
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row
from tests.features.reading.test_fast_columns import texts
from tests.features.reading.test_tables import arrow, dictionaries, grouped, with_times

MICROSECONDS = pa.timestamp("us")
KEPT = ("general", "compiled", "interpreted")
BAD: list[tuple[str, Any]] = [
    (c.USER_ID, None),
    (c.USER_ID, ""),
    (c.STATE, "DONE"),
    (c.CURRENCY, "XXX"),
    (c.CURRENCY, None),
    (c.CATEGORY, "APP"),
    (c.BALANCE, float("nan")),
    (c.BALANCE, None),
    (c.AMOUNT, 1.1e15),
    (c.AMOUNT, float("-inf")),
    (c.DATE, "1899-12-31T23:59:59"),
    (c.DATE, None),
    (c.CREATED, None),
]


@contextmanager
def readers(which: str) -> Iterator[None]:
    """Read by the general readers alone, or by the pass over rows in order first, compiled or interpreted."""
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):  # hashes overflow on purpose
        if which == "general":
            patch.setattr(TransactionReader, "_in_order", lambda *_: None)
        elif which == "interpreted":
            patch.setattr(in_order, "_loops", lambda: order_loops)
        yield


def outcome(table: pa.Table, reader: TransactionReader) -> Histories | str:
    try:
        return reader.histories(table)
    except InvalidDataError as error:
        return f"{error}{error.every}{error.count}"
    except FileFormatError as error:
        return str(error)


def agreed(table: pa.Table, reader: TransactionReader) -> Histories | str:
    """Give what a reader makes of a table, which is the same in each way."""
    found = {}
    for which in KEPT:
        with readers(which):
            found[which] = outcome(table, reader)
    general = found["general"]
    for which in KEPT[1:]:
        if isinstance(general, str):
            assert found[which] == general
        else:
            other = found[which]
            assert isinstance(other, Histories)
            assert same(general, other)
            assert general.absent == other.absent
            assert repr(general.unknown_from) == repr(other.unknown_from)
            assert general.stateless == other.stateless
    return general


def in_one_pass(table: pa.Table, **changes: Any) -> bool:
    """Tell whether rows need no general reader."""
    return TransactionReader(RATES, completes=True, **changes)._in_order(table) is not None


def columns_typed(rows: list[Row], kind: pa.DataType = MICROSECONDS) -> pa.Table:
    """Rows as a file of Parquet has them: words in dictionaries, typed moments."""
    table = with_times(rows, kind)
    for name in (c.USER_ID, c.STATE, c.CURRENCY, c.CATEGORY):
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table


def in_chunks(table: pa.Table, cuts: list[int]) -> pa.Table:
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < table.num_rows}), table.num_rows]
    return pa.concat_tables([table.slice(first, last - first) for first, last in pairwise(bounds)])


def by_time(rows: list[Row]) -> list[Row]:
    firsts = {taken["user_id"]: place for place, taken in reversed(list(enumerate(rows)))}
    return sorted(rows, key=lambda taken: (firsts[taken["user_id"]], taken["transaction_date"]))


ORDERS = {"by time": by_time, "grouped": grouped, "as they come": list}


@settings(max_examples=examples(75))
@given(
    ledger=ledgers(AS_OFS[0]),
    order=st.sampled_from([*ORDERS]),
    again=st.lists(st.integers(0, 24), max_size=2),
    bad=st.lists(st.tuples(st.integers(0, 24), st.sampled_from(BAD)), max_size=2),
    cuts=st.lists(st.integers(1, 24), max_size=2),
    kind=st.sampled_from([pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), None]),
    absent=st.sampled_from([(), (c.BALANCE,), (c.CURRENCY, c.CREATED), c.ABSENT]),
    lacks=st.sets(st.sampled_from([*c.ABSENT, *c.OPTIONAL]), max_size=3),
    limits=st.sampled_from([{}, {"latest": AS_OFS[0]}, {"created_slack_us": DAY_US}]),
)
def test_in_order_is_as_the_general_readers_have_it(
    ledger: list[Row],
    order: str,
    again: list[int],
    bad: list[tuple[int, tuple[str, Any]]],
    cuts: list[int],
    kind: pa.DataType | None,
    absent: tuple[str, ...],
    lacks: set[str],
    limits: dict[str, int],
) -> None:
    rows = [dict(taken) for taken in [*ledger, row()]]
    rows = ORDERS[order]([*rows, *(rows[place % len(rows)] for place in again)])
    rows = [dict(taken) for taken in rows]
    for place, (field, value) in bad:
        rows[place % len(rows)][field] = value
    table = dictionaries(rows) if kind is None else columns_typed(rows, kind)
    table = in_chunks(table.drop_columns([*lacks]), cuts)
    agreed(table, TransactionReader(RATES, source="rows.parquet", completes=True, absent=absent or None, **limits))


def test_rows_in_order_take_one_pass() -> None:
    """Otherwise the tests above would compare the general readers with themselves."""
    rows = by_time([row(user_id=user, transaction_date=f"2024-06-{day:02}") for day in range(1, 9) for user in "ab"])
    identified = [taken | {"transaction_id": str(place % 3)} for place, taken in enumerate(rows[:3])]
    assert in_one_pass(columns_typed(rows))
    assert in_one_pass(columns_typed(rows, pa.timestamp("ns")))
    assert in_one_pass(arrow(rows).set_column(0, c.USER_ID, arrow(rows)[c.USER_ID].dictionary_encode()))
    assert in_one_pass(in_chunks(columns_typed(rows), [8]))
    assert in_one_pass(columns_typed(identified))
    assert in_one_pass(columns_typed(rows).drop_columns([*c.ABSENT, *c.OPTIONAL]))
    assert in_one_pass(columns_typed([row(user_balance=1.0), row(user_balance=3.0), row(user_balance=2.0)]))


A_PLACE = columns_typed([row(user_id="a"), row(user_id="b")])


@pytest.mark.parametrize(
    ("rows", "limits"),
    [
        ([row(user_id=user) for user in "aba"], {}),
        ([row(transaction_date="2024-06-02"), row(transaction_date="2024-06-01")], {}),
        ([row(transaction_id="t"), row(transaction_id="t")], {}),
        ([row(user_balance=float(place % 7)) for place in range(order_loops.MOST_TIED + 1)], {}),
        ([row(user_created="2024-06-03")], {"created_slack_us": DAY_US}),
        ([row()], {"latest": 0}),
        ([row()], {"nullable": True}),
        *(([row(), row() | {field: value}], {}) for field, value in BAD),
    ],
)
def test_other_rows_are_left_to_the_general_readers(rows: list[Row], limits: dict[str, Any]) -> None:
    table = columns_typed(rows)
    assert not in_one_pass(table, **limits)
    agreed(table, TransactionReader(RATES, completes=True, **limits))


@pytest.mark.parametrize("users", ["aa", "aaaaab", "abbbbb", "abbbcc", "aaaaaabbbbbbcccccc"])
@pytest.mark.parametrize("cuts", [[1], [3], [1, 2, 3, 4], [2, 4, 5], [6, 12]])
def test_customers_that_are_cut_by_a_chunk_are_in_order_too(users: str, cuts: list[int]) -> None:
    rows = [row(user_id=user, user_balance=float(place)) for place, user in enumerate(users)]
    table = in_chunks(columns_typed(rows), cuts)
    assert in_one_pass(table)
    histories = agreed(table, TransactionReader(RATES))
    assert isinstance(histories, Histories)
    assert histories.user_ids.to_pylist() == [*dict.fromkeys(users)]


def test_only_the_rows_of_customers_that_are_cut_are_copied() -> None:
    rows = [row(user_id=user) for user in "aabbbbccdd"]
    table = in_chunks(columns_typed(rows), [4, 8])
    batches = in_order.customer_batches(table)
    assert [batch[c.USER_ID].to_pylist() for batch in batches] == [["a"] * 2, ["b"] * 4, ["c"] * 2, ["d"] * 2]
    assert batches[1][c.USER_ID].dictionary.to_pylist() == ["b"]
    assert [batch[c.AMOUNT].buffers()[1].address for batch in (batches[0], *batches[2:])] == [
        chunk.buffers()[1].address for chunk in table[c.AMOUNT].chunks
    ]
    whole = in_chunks(columns_typed(rows), [2, 6])
    assert in_order.customer_batches(whole) == whole.to_batches()


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.int64()])
def test_places_of_any_width_are_read(kind: pa.DataType) -> None:
    """127 words and a missing one need a place more than 8 bits have."""
    rows = [row(user_id=f"u{place}", transaction_state=None if place % 2 else "FAILED") for place in range(128)]
    table = columns_typed(rows)
    words = pa.array(["FAILED", *(f"W{place}" for place in range(126)), "COMPLETED"])
    places = pa.array([None if place % 2 else 0 for place in range(128)], kind)
    state = pa.DictionaryArray.from_arrays(places, words)
    agreed(table.set_column(table.column_names.index(c.STATE), c.STATE, state), TransactionReader(RATES))
    users = pa.DictionaryArray.from_arrays(pa.array(range(128), kind), pa.array(table[c.USER_ID].to_pylist()))
    agreed(table.set_column(0, c.USER_ID, users), TransactionReader(RATES))


@pytest.mark.parametrize("place", [-1, 3, 127])
@pytest.mark.parametrize("name", [c.USER_ID, c.STATE, c.CURRENCY, c.CATEGORY])
def test_a_place_outside_its_dictionary_is_not_looked_at(name: str, place: int) -> None:
    """A damaged file can hold one: compiled loops would read and write the memory there."""
    words = {c.USER_ID: ["a", "b"], c.STATE: ["FAILED", ""], c.CURRENCY: ["EUR", "USD"], c.CATEGORY: ["API", "WEB"]}
    places = pa.array([0, place], pa.int32())
    damaged = pa.DictionaryArray.from_arrays(places, pa.array(words[name]), safe=False)
    assert not in_one_pass(A_PLACE.set_column(A_PLACE.column_names.index(name), name, damaged))


@pytest.mark.parametrize("lacking", [None, ""])
def test_rows_without_a_state_are_counted_from_the_first_on(lacking: str | None) -> None:
    moments = ("2024-02-01", "2024-03-01", "2024-03-02")
    states = ("PENDING", lacking, lacking)
    rows = [
        row(user_id=user, transaction_date=day, transaction_state=state)
        for user in "ab"
        for day, state in zip(moments, states, strict=True)
    ]
    read = agreed(columns_typed(rows), TransactionReader(RATES))
    assert isinstance(read, Histories)
    assert in_one_pass(columns_typed(rows))
    march = parse_moment("2024-03-01") // DAY_US
    assert read.stateless == Stateless({march: 2, march + 1: 2})


def test_ties_that_are_many_are_in_order_too() -> None:
    rows = [row(user_balance=float(place)) for place in range(3 * order_loops.MOST_TIED)]
    assert in_one_pass(columns_typed(rows))
    agreed(columns_typed(rows), TransactionReader(RATES))


IDS = st.text(st.sampled_from("ab9é日𝄞"), max_size=30)


@settings(max_examples=examples(100))
@given(st.lists(st.lists(st.none() | IDS, max_size=12), max_size=4), st.integers(0, 2**64 - 1))
@example([["a" * 7, "a" * 8, "a" * 9, "a" * 16, "a" * 17], ["a" * 8]], 0)
@example([[f"{'é' * 9}{place}" for place in range(12)] * 2], 1)
def test_identifiers_that_a_customer_has_twice_are_found(customers: list[list[str | None]], seed: int) -> None:
    identifiers = [identifier for each in customers for identifier in each]
    begins = np.cumsum([0, *map(len, customers)])
    wanted = all(len({one for one in each if one}) == sum(bool(one) for one in each) for each in customers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_order, "_SEED", seed)
        for which in KEPT[1:]:
            with readers(which):
                assert in_order._differ(begins, column_of(identifiers)) == wanted


def column_of(identifiers: list[str | None]) -> StringColumn:
    return texts(identifiers) if identifiers else in_order._NO_TEXTS


@settings(max_examples=examples(60))
@given(st.lists(st.none() | IDS, min_size=1, max_size=9, unique=True), st.permutations(range(9)))
def test_ties_order_by_identifiers_as_ever(identifiers: list[str | None], order: list[int]) -> None:
    rows = [row(transaction_id=one, user_balance=float(place)) for place, one in zip(order, identifiers, strict=False)]
    table = columns_typed(rows)
    agreed(table, TransactionReader(RATES))
    assert in_one_pass(table) == (len({bool(one) for one in identifiers}) == 1), "not ties of which some have one"


@given(st.lists(st.integers(-1, 3), max_size=9))
def test_changes(places: list[int]) -> None:
    given_ = np.array(places, dtype=np.int32)
    found = [module.count_changes(given_) for module in (order_loops, in_order._loops())]
    assert found == [int(np.count_nonzero(np.diff(given_)))] * 2


def test_empty_rows_are_no_customers() -> None:
    assert agreed(arrow([]), TransactionReader(RATES)).rows == 0  # type: ignore[union-attr]  # it is no error
