"""Bars of levels."""

import polars as pl
import pytest

from fivefold.charts.levels import levels
from tests.charts.drawn import words

GROUPS = ["low", "high", "(failed)"]


@pytest.fixture
def table() -> pl.DataFrame:
    sides = {"in force": [700, 300, 0], "draft <b>": [640, 350, 10]}
    rows = [(group, name, count) for name, counts in sides.items() for group, count in zip(GROUPS, counts, strict=True)]
    return pl.DataFrame(rows, schema=["group", "series", "entities"], orient="row")


def test_every_bar_has_its_share(table: pl.DataFrame) -> None:
    said = words(levels(table))
    assert {"70.0 %", "30.0 %", "0", "64.0 %", "35.0 %", "1.0 %", "in force", "draft <b>"} <= set(said)
    assert [text for text in said if text in GROUPS] == GROUPS
    assert any(text.startswith("1,000 entities") for text in said)


def test_nobody_can_be_drawn(table: pl.DataFrame) -> None:
    assert "low" in words(levels(table.with_columns(entities=pl.lit(0))))


def test_what_is_nearly_nothing_is_not_written_as_nothing(table: pl.DataFrame) -> None:
    rare = table.with_columns(entities=pl.when(pl.col("entities") == 10).then(1).otherwise(pl.col("entities") * 10))
    assert {"<0.1 %", "0"} <= set(words(levels(rare)))


def test_the_series_of_the_legend_stand_below_each_other_and_bars_have_room(table: pl.DataFrame) -> None:
    many = pl.concat([table, table.with_columns(group=pl.col("group") + " more")])
    chart = levels(many).to_dict()
    assert chart["width"] >= 6 * 3 * 40
    assert chart["layer"][0]["encoding"]["color"]["legend"]["columns"] == 1
