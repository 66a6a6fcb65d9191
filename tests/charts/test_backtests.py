"""Pictures of backtests: bars of levels, and the matrix of moves."""

import polars as pl
import pytest

from fivefold.charts.backtests import levels, migration
from fivefold.charts.style import INK, PAPER
from tests.charts.drawn import words

GROUPS = ["low", "high", "(failed)"]
TABLE = pl.DataFrame({"before": ["low", "low", "high"], "after": ["low", "high", "<low>"], "entities": [1900, 100, 7]})


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


def test_cells_hold_their_numbers_and_places_stand_in_order() -> None:
    said = words(migration(TABLE, ["low", "high"], ["low", "<low>", "high"]))
    assert {"1,900", "100", "7"} <= set(said)
    assert [text for text in said if text in {"low", "<low>", "high"}] == ["low", "<low>", "high", "low", "high"]


def test_numbers_can_be_read_on_their_ground() -> None:
    (rows,) = (
        each for each in migration(TABLE, ["low", "high"], ["low", "<low>", "high"]).to_dict()["datasets"].values()
    )
    assert [(row["words"], row["ink"], row["shade"]) for row in rows] == [
        ("1,900", PAPER, "#0d79b6"),
        ("100", INK, "#f2f8fb"),
        ("7", PAPER, "#0072b2"),
    ]
