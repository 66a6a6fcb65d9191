"""Indicators and the value by parts: those of one process, also where a part alone would take a column for missing."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from fivefold.domain.errors import FivefoldError
from fivefold.usecases.portfolio_files.assess import assess_files
from fivefold.usecases.portfolio_files.bundled import load_ruleset
from fivefold.usecases.portfolio_files.by_parts import rows as by_rows
from tests.depth import some
from tests.models.making import model_of_amounts, value_model
from tests.usecases.portfolio_files.by_parts.conftest import AS_OF, PEOPLE, World
from tests.usecases.portfolio_files.by_parts.test_assess import assert_explained, assert_same, split_of

VALUES = (
    PEOPLE.replace("ruleset: people", "ruleset: companies")
    + """
  - id: balance
    title: Balance
    category: customer features
    input: {indicator: balance_mean_90d}
    cases: [{when: {at_least: 1000}, points: 5}]
  - id: age
    title: Age of the account
    category: customer features
    input: {indicator: account_age}
    cases: [{when: {at_least: 200}, points: 7}]
  - id: worth
    title: Worth
    category: customer features
    input: {value: score}
    cases: [{when: {at_least: 3}, points: 11}]
"""
)


@pytest.fixture
def valued(world: World) -> World:
    """The same portfolio, whose ruleset `companies` is for people and reads indicators and the value."""
    (world.folder / "companies.yaml").write_text(VALUES)
    return world


def lacking(column: str, keeps: Callable[[pl.Expr], pl.Expr]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Take a column away from the customers who do not keep it."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.when(keeps(pl.col("user_id"))).then(pl.col(column)).alias(column))

    return change


@pytest.mark.parametrize("size", some([7, 1, 1000], 3))
def test_they_are_those_of_one_process(size: int, valued: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_rows, "ROWS_A_SLICE", 333)
    alone = assert_same(valued, ["companies"], size, load_model=value_model)
    worth = [line for line in alone.breakdown_lines() if '"worth"' in line]
    assert sum('"points":"11"' in line or '"points":11' in line for line in worth) > 3, worth[0]


def test_one_entity_is_explained_by_itself(valued: World) -> None:
    """Whether a column has no value at all is known of everybody's rows, not of one entity's."""
    others = pl.col("user_id") != pl.read_parquet(valued.folder / "entities.parquet")["entity_id"][0]
    valued.change("transactions", lacking("user_balance", lambda _: others))
    assert_explained(valued, ["companies"], load_model=value_model)


def test_the_ruleset_that_ships_and_reads_indicators_is_assessed_by_parts(world: World) -> None:
    people = pl.col("entity_id").str.len_chars() % 2 == 0
    world.change(
        "entities",
        lambda entities: entities.with_columns(
            declared_turnover=pl.col("expected_turnover").cast(pl.Float64),
            declared_purposes=pl.lit("salary"),
            occupation=pl.when(people).then(pl.lit("notary")).otherwise(pl.lit("baker")),
            funds_verified=people,
            last_review=pl.date(2024, 6, 1),
        ),
    )
    world.change(
        "transactions",
        lambda rows: rows.with_columns(
            purpose=pl.lit("salary"), counterparty_country=pl.when(pl.col("operation") == "cash").then(pl.lit("IR"))
        ),
    )
    alone = assert_same(world, ["fatf-retail"], 7)
    rules = [line.partition('"relationship"')[2][:600] for line in alone.breakdown_lines()]
    assert len({text for text in rules if text}) > 3, rules


@pytest.mark.parametrize("size", some([7, 1, 1000], 3))
@pytest.mark.parametrize("column", some(["user_balance", "user_category", "user_created", "transaction_currency"], 2))
def test_a_column_that_a_part_lacks_altogether_is_not_a_missing_one(column: str, size: int, valued: World) -> None:
    """Two customers have it: every other part of one customer has no value of it."""
    named = pl.read_parquet(valued.folder / "entities.parquet").filter(kind="person")["entity_id"].to_list()
    valued.change("transactions", lacking(column, lambda user: user.is_in(named[:2])))
    assert_same(valued, ["companies"], size, load_model=value_model)
    gaps = [each for each in valued.warnings if f"{column} is missing in rows of" in each]
    assert len(gaps) == (0 if column == "transaction_currency" else 2), valued.warnings


@pytest.mark.parametrize("size", some([1, 1000], 2))
@pytest.mark.parametrize("keeps", [lambda user: user == "nobody", lambda user: user == "user_000001"])
def test_a_column_without_any_value_is_a_missing_one_by_parts_too(keeps: Any, size: int, valued: World) -> None:
    """Also where its only values are those of customers who are not in the portfolio, or of later rows."""
    valued.change("transactions", lacking("user_balance", keeps))
    assert_same(valued, ["companies"], size, load_model=model_of_amounts)


@pytest.mark.parametrize("size", some([7, 1], 2))
def test_rows_after_the_moment_fill_no_column(size: int, valued: World) -> None:
    later = pl.col("transaction_date") > pl.from_epoch(pl.lit(AS_OF - 40 * 86_400_000_000), "us")

    def only_later(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.when(later).then(pl.col("user_balance")).alias("user_balance"))

    valued.change("transactions", only_later)
    at = AS_OF - 41 * 86_400_000_000
    assert_same(valued, ["companies"], size, load_model=model_of_amounts, as_of=at)


@pytest.mark.parametrize("size", some([7, 1, 1000], 3))
def test_bad_rows_and_repeats_are_of_their_customers_alone(size: int, valued: World) -> None:
    people = pl.read_parquet(valued.folder / "entities.parquet").filter(kind="person")["entity_id"]
    named = [name for name in people if name.startswith("user")]

    def spoil(rows: pl.DataFrame) -> pl.DataFrame:
        bad = pl.col("user_id").is_in(named[2:4]) & pl.col("user_id").is_first_distinct()
        spoilt = rows.with_columns(
            pl.when(bad).then(float("nan")).otherwise(pl.col("transaction_amount")).alias("transaction_amount")
        )
        of_one = spoilt.filter(user_id=named[5]).head(1)
        return pl.concat([spoilt, rows.head(9), of_one.with_columns(pl.col("transaction_amount") + 1)])

    valued.change("transactions", spoil)
    alone = assert_same(valued, ["companies"], size, load_model=value_model)
    failures = alone.failures()
    assert {named[2], named[3], named[5]} <= set(failures["entity_id"])


def test_a_column_that_the_value_side_needs_is_named_before_workers_start(valued: World) -> None:
    words = {"sum: amount": "count: transactions", ", where: {field: operation, equals: cash}": ""}
    text = VALUES
    for before, after in words.items():
        text = text.replace(before, after)
    (valued.folder / "companies.yaml").write_text(text)
    valued.change("transactions", lambda rows: rows.rename({"transaction_amount": "amount"}))
    texts = [load_ruleset(str(valued.folder / "companies.yaml"))]
    with pytest.raises(FivefoldError) as alone:
        assess_files(texts, valued.files(load_model=value_model), AS_OF)
    with pytest.raises(FivefoldError) as split:
        split_of(valued, ["companies"], valued.files(load_model=value_model))
    assert str(split.value) == str(alone.value)
    assert "no column transaction_amount" in str(alone.value) or "no transaction_amount" in str(alone.value)
