"""A summary with what came later says what all rows say, of everything that a summary is enough for."""

from typing import Any
from unittest.mock import patch

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.money import ecb_rates
from fivefold.features.indicator_matrix import catalogue
from fivefold.features.stored import stored_histories
from fivefold.risk.facts import look_back
from fivefold.risk.facts.look_back import LARGEST_AMOUNT, OF_ENDS, summary_of, with_summary
from fivefold.risk.facts.value_inputs import indicator_frame
from tests.usecases.platforms import NOW

RATES = ecb_rates("EUR", from_microseconds(NOW).date())
SCHEMA: dict[str, Any] = {
    "entity": pl.Int64,
    "at_us": pl.Int64,
    "transaction_id": pl.String,
    "amount": pl.Float64,
    "currency": pl.String,
    "state": pl.String,
    "balance": pl.Float64,
    "category": pl.String,
    "account_created_us": pl.Int64,
}
ROW = st.tuples(
    st.just(1) | st.just(2),
    (st.integers(-600, 0) | st.sampled_from([-365, -90, -30])).map(lambda days: NOW + days * DAY_US),
    st.sampled_from([-20.0, -3.5, 0.0, 3.5, 20.0]),
    st.sampled_from(["EUR", "EUR", "USD", "XXX"]),
    st.sampled_from([None, None, "PENDING", "FAILED", "SUCCEEDED"]),
    st.sampled_from([1.0, 1.0, -2.0, None]),
    st.sampled_from(["WEB", "API", None]),
    st.sampled_from([NOW - 900 * DAY_US, NOW - 10 * DAY_US, None]),
)
SAME = [one.name for one in catalogue().indicators if one.window_days is not None or one.name in OF_ENDS]


def frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    named = [(entity, at, f"t{number}", *rest) for number, (entity, at, *rest) in enumerate(rows)]
    return pl.DataFrame(named, SCHEMA, orient="row").sort("entity", "at_us", "transaction_id")


def with_later(rows: pl.DataFrame, until_us: int) -> pl.DataFrame:
    """What is read where there is a summary."""
    chosen = rows.join(summary_of(rows, until_us), on=["entity", "transaction_id"], how="semi")
    return pl.concat([chosen, rows.filter(pl.col("at_us") > until_us)]).sort("entity", "at_us", "transaction_id")


def of_groups(rows: pl.DataFrame) -> pl.DataFrame:
    """Everything that aggregates of all time may ask of a group, whatever the rates of the day are."""
    sizes, moments = pl.col("amount").abs(), pl.col("at_us")
    groups = rows.group_by("entity", "state", "currency", pl.col("amount").sign().alias("direction"))
    ends = groups.agg(
        *(pl.max("amount").alias("most"), pl.min("amount").alias("least")),
        *(sizes.max().alias("greatest"), sizes.min().alias("smallest")),
        *(moments.min().alias("first"), moments.max().alias("last")),
    )
    return ends.sort(pl.all())


@given(st.lists(ROW, max_size=30), st.sampled_from([0, -30, -365, -500]))
def test_a_summary_and_what_came_later_stand_for_all(rows: list[tuple[Any, ...]], days: int) -> None:
    """Indicators of windows are the same where the windows opened later: 365 days is the longest."""
    whole, until_us = frame(rows), NOW + days * DAY_US
    some = with_later(whole, until_us)
    assert_frame_equal(of_groups(some), of_groups(whole))
    whole_values, values = (indicator_frame(stored_histories(each, RATES), NOW) for each in (whole, some))
    names = SAME if days <= -365 else [*OF_ENDS]
    assert_frame_equal(values.select("entity_id", *names), whole_values.select("entity_id", *names), check_exact=True)


@given(st.lists(ROW, max_size=30), st.sampled_from([0, -30, -365]), st.booleans(), st.sampled_from([1, 3]))
def test_rows_that_were_read_are_made_fewer(rows: list[tuple[Any, ...]], days: int, needed: bool, most: int) -> None:
    """By the summary that is read where one is stored; nothing of before stays where nothing looks at it.

    Those of an entity with few all stay where anything looks at them.
    """
    until_us = NOW + days * DAY_US
    for whole in (frame(rows), frame([row for row in rows if row[0] == 1])):
        with patch.object(look_back, "FEWEST", most):
            fewer = with_summary(whole, until_us, needed=needed)
        early = whole.filter(pl.col("at_us") <= until_us)
        if not len(early) or len(early) < most:
            assert_frame_equal(fewer, whole)
        elif needed:
            has_many = pl.col("entity").is_in(early.filter(pl.len().over("entity") >= most)["entity"].implode())
            some = with_later(whole.filter(has_many), until_us)
            assert_frame_equal(
                fewer, pl.concat([some, whole.filter(~has_many)]).sort("entity", "at_us", "transaction_id")
            )
        else:
            assert_frame_equal(fewer, whole.filter(pl.col("at_us") > until_us))


def test_of_an_entity_that_has_no_summary_all_rows_stay() -> None:
    """An amount that may not fit once it is converted is named by the first of those."""
    row = (NOW - DAY_US, LARGEST_AMOUNT * 2, "EUR", None, 1.0, "WEB", None)
    many = [(2, NOW - number * DAY_US, 1.0, "EUR", None, 1.0, "WEB", None) for number in range(9)]
    whole = frame([(1, *row), (1, *row), (1, *row), *many])
    with patch.object(look_back, "FEWEST", 2):
        fewer = with_summary(whole, NOW, needed=True)
        assert_frame_equal(with_summary(whole.filter(pl.col("entity") == 1), NOW, needed=True), whole.head(3))
    assert_frame_equal(fewer.filter(pl.col("entity") == 1), whole.head(3))
    assert len(fewer) < len(whole)


def test_of_many_entities_with_few_each_no_summary_is_made() -> None:
    """To choose some of them took a fifteenth of the worker's time in a backfill."""
    row = (NOW - DAY_US, 1.0, "EUR", None, 1.0, "WEB", NOW - 9 * DAY_US)
    whole = frame([(entity, *row) for entity in range(look_back.FEWEST // 10) for _ in range(20)])
    with patch.object(look_back, "summary_of") as chosen:
        assert with_summary(whole, NOW, needed=True) is whole
    chosen.assert_not_called()


@given(st.lists(ROW, max_size=30), st.integers(-600, -1), st.integers(0, 300))
def test_a_summary_is_made_of_an_earlier_one(rows: list[tuple[Any, ...]], days: int, later: int) -> None:
    whole, until_us = frame(rows), NOW + min(days + later, 0) * DAY_US
    again = summary_of(with_later(whole, NOW + days * DAY_US), until_us)
    assert_frame_equal(again, summary_of(whole, until_us))


def test_who_has_an_amount_that_may_not_fit_has_no_summary() -> None:
    large = [(1, NOW, 2 * LARGEST_AMOUNT, "EUR", None, 1.0, "WEB", NOW), (2, NOW, 1.0, "EUR", None, 1.0, "WEB", NOW)]
    assert summary_of(frame(large), NOW)["entity"].to_list() == [2]
