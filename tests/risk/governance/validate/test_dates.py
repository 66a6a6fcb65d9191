"""A planted leak: tags that were set when cases were confirmed, without a date, told the label (Gini 0.919, "met")."""

from datetime import date

import polars as pl
import pytest

from fivefold.domain.money import base_only
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.validate.dates import dated_only

RATES = base_only("EUR", date(2024, 1, 1))


def portfolio(**tables: pl.DataFrame) -> Portfolio:
    entities = pl.DataFrame({ENTITY: ["a", "b"], "known_at": [date(2023, 1, 1)] * 2})
    return Portfolio(**{"entities": entities, "rates": RATES, **tables})


def tags(*dates: date | None) -> pl.DataFrame:
    return pl.DataFrame(
        {ENTITY: ["a"] * len(dates), "tag": ["watch"] * len(dates), "from": list(dates)},
        schema_overrides={"from": pl.Date},
    )


def test_undated_tags_are_left_out_and_said() -> None:
    kept, cautions = dated_only(portfolio(tags=tags(date(2023, 5, 1), None, None)))
    assert kept.tags is not None
    assert kept.tags["from"].to_list() == [date(2023, 5, 1)]
    assert cautions == (
        "2 of 3 tags have no date (from) and were left out: nothing shows that they were known at as-of",
    )


def test_without_a_column_of_dates_all_are_undated() -> None:
    found = pl.DataFrame({ENTITY: ["a"], "screening": ["sanctions"], "found": [True]})
    kept, cautions = dated_only(portfolio(screenings=found))
    assert kept.screenings is not None
    assert len(kept.screenings) == 0
    assert kept.screenings.columns == found.columns
    assert cautions[0].startswith("1 of 1 screenings have no date (at) and were left out")


def test_who_says_that_they_were_known_keeps_them_and_is_cautioned() -> None:
    kept, cautions = dated_only(portfolio(tags=tags(None)), undated_known=True)
    assert kept.tags is not None
    assert len(kept.tags) == 1
    assert "were taken as known at as-of, as was asked" in cautions[0]


@pytest.mark.parametrize("known_at", [None, [None, None]])
def test_undated_attributes_are_said(known_at: list[None] | None) -> None:
    entities = pl.DataFrame({ENTITY: ["a", "b"]})
    if known_at is not None:
        entities = entities.with_columns(pl.Series("known_at", known_at, dtype=pl.Date))
    kept, cautions = dated_only(portfolio(entities=entities))
    assert len(kept.entities) == 2
    assert cautions[0].startswith("the attributes of 2 of 2 entities have no date (known_at)")


def test_what_is_dated_is_no_matter() -> None:
    kept, cautions = dated_only(portfolio(tags=tags(date(2023, 5, 1)), screenings=None))
    assert cautions == ()
    assert kept.tags is not None
    assert len(kept.tags) == 1
