"""The curve of capture."""

from fivefold.charts.capture import CHANCE, PERFECT, capture
from tests.charts.drawn import words

CURVE = [(0.0, 0.0), (0.1, 0.5), (1.0, 1.0)]


def test_the_ranking_stands_between_chance_and_the_best() -> None:
    chart = capture("total of <x>", CURVE, 0.2)
    assert [text for text in words(chart) if text in {"total of <x>", PERFECT, CHANCE}] == [
        "total of <x>",
        PERFECT,
        CHANCE,
    ]
    (rows,) = chart.to_dict()["datasets"].values()
    drawn = {
        name: [(row["entities"], row["confirmed"]) for row in rows if row["name"] == name] for name in (PERFECT, CHANCE)
    }
    assert drawn == {PERFECT: [(0.0, 0.0), (0.2, 1.0), (1.0, 1.0)], CHANCE: [(0.0, 0.0), (1.0, 1.0)]}
    assert [(row["entities"], row["confirmed"]) for row in rows if row["name"] == "total of <x>"] == CURVE
