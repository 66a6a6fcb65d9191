"""Figures by groups of customers."""

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.features.histories import Histories
from fivefold.features.schema import CATEGORY, CREATED, CURRENCY
from fivefold.training.judging.groups import (
    LEAST_CUSTOMERS,
    OTHERS,
    TENURES,
    Trait,
    group_table,
    main_currency,
    traits_of,
)

EVERYBODY = np.array(["low", "medium", "high", "top"])


def histories(rows: list[list[tuple[int, int]]], **changed: Any) -> Histories:
    """Customers with rows of a day and a currency each."""
    flat = [row for customer in rows for row in customer]
    nothing = np.zeros(len(flat))
    of = {
        "user_ids": pa.array([f"u{number}" for number in range(len(rows))]),
        "offsets": np.cumsum([0, *map(len, rows)]),
        "time": np.array([day * DAY_US for day, _ in flat], dtype=np.int64),
        "amount": nothing,
        "balance": nothing,
        "kind": nothing.astype(np.int8),
        "currency": np.array([currency for _, currency in flat], dtype=np.int16),
        "category": nothing.astype(np.int8),
        "created": nothing.astype(np.int64),
        "base": "EUR",
    }
    return Histories(**{**of, **changed})


def test_the_currency_of_most_rows_by_then_counts() -> None:
    part = histories([[(1, 0), (2, 2), (3, 2)], [(1, 1), (9, 2), (9, 2)], [(1, 2), (2, 0)]])
    assert main_currency(part, 5 * DAY_US).tolist() == [2, 1, 0]
    assert main_currency(part, 1 * DAY_US).tolist() == [0, 1, 2]


def test_what_the_data_lack_groups_nobody() -> None:
    column = {
        "first_event_age": np.array([10.0, 400.0]),
        "account_age": np.array([90.0, np.nan]),
        "channel_web": np.array([1.0, np.nan]),
    }
    rows, known = [[(1, 0)], [(1, 1)], [(9, 1)]], np.array([True, True, False])
    full = traits_of(histories(rows), 5 * DAY_US, known, column, ("CHF", "EUR"))
    assert {by: [trait.names[code] for code in trait.codes] for by, trait in full.items()} == {
        "tenure": [TENURES[1], TENURES[2]],
        "channel": ["WEB", "unknown"],
        "currency": ["CHF", "EUR"],
    }
    bare = histories(rows, absent=(CATEGORY, CREATED, CURRENCY))
    less = traits_of(bare, 5 * DAY_US, known, column, ("CHF", "EUR"))
    assert {by: [trait.names[code] for code in trait.codes] for by, trait in less.items()} == {
        "tenure": [TENURES[0], TENURES[2]]
    }


def test_a_group_that_is_predicted_badly_is_seen_though_all_together_is_right() -> None:
    codes = np.repeat([0, 1, 2], [50, 40, LEAST_CUSTOMERS - 1])
    predicted = np.select([codes == 0, codes == 1], [20.0, 5.0], 0.0)
    realised = np.select([codes == 0, codes == 1], [10.0, 17.5], 0.0)
    assert predicted.sum() == realised.sum() + 0.0
    segments = np.where(codes == 0, "top", "low")
    table = group_table({"channel": Trait(("a", "b", "c", "d"), codes)}, predicted, realised, segments)
    assert table.select("by", "group", "customers", "off_by_percent", "top_percent").rows() == [
        ("channel", "a", 50, pytest.approx(100.0), 100.0),
        ("channel", "b", 40, pytest.approx(-71.43, abs=0.01), 0.0),
        ("channel", OTHERS, LEAST_CUSTOMERS - 1, None, None),
    ]


def test_of_too_few_customers_nothing_is_given_but_their_number() -> None:
    """One person's money would be the mean of a group of one."""
    codes = np.repeat([0, 1, 2], [40, 1, LEAST_CUSTOMERS - 1])
    money, segments = np.where(codes == 1, 1234.5, 1.0), np.where(codes == 1, "top", "low")
    traits = {"currency": Trait(("EUR", "SEK", "USD"), codes), "channel": Trait(("a", "b"), np.minimum(codes, 1))}
    table = group_table(traits, money, money, segments)
    enough = table.row(1, named=True)
    assert (enough["group"], enough["customers"], enough["realised_mean"] > 1) == (OTHERS, LEAST_CUSTOMERS, True)
    codes[-1] = 0
    traits = {"currency": Trait(("EUR", "SEK", "USD"), codes)}
    few = group_table(traits, money, money, segments).row(1, named=True)
    assert (few.pop("by"), few.pop("group"), few.pop("customers")) == ("currency", OTHERS, LEAST_CUSTOMERS - 1)
    assert set(few.values()) == {None}


def test_where_all_are_alike_nothing_is_compared() -> None:
    ones = np.ones(40)
    table = group_table({"tenure": Trait(TENURES, np.full(40, 3))}, ones, ones, np.full(40, "low"))
    assert table.is_empty()
    assert table.columns[:3] == ["by", "group", "customers"]


def test_every_customer_is_in_one_group_of_each_trait() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 6, 300)  # each of them is of some fifty
    money = random.exponential(size=300)
    table = group_table({"x": Trait(tuple("abcdef"), codes)}, money, money, random.choice(EVERYBODY, 300))
    assert table["customers"].sum() == 300
    assert float((table["customers"] * table["realised_mean"]).sum()) == pytest.approx(money.sum())
    shares = table.select(pl.sum_horizontal(f"{name}_percent" for name in EVERYBODY)).to_series()
    assert shares.to_list() == [pytest.approx(100.0)] * table.height
