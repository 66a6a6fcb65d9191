"""The matrix of moves."""

import polars as pl

from fivefold.charts.migration import migration
from fivefold.charts.style import INK, PAPER
from tests.charts.drawn import words

TABLE = pl.DataFrame({"before": ["low", "low", "high"], "after": ["low", "high", "<low>"], "entities": [1900, 100, 7]})


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
