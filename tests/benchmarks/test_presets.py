"""The table of docs/value-presets.md: what the chosen preset is short of, as the page defines it."""

import polars as pl
import pytest

from benchmarks.value.presets import summary

NAMES = ("standard", "small-trees", "recent")


def lines(window: str, chosen: str, figures: tuple[tuple[float, float], ...]) -> list[dict[str, object]]:
    """Figures of each preset on a window: Gini and capture."""
    rest = {"set": "shop", "window": window, "calibration": 0.1, "origins": 3, "choosing_seconds": 1.0, "seconds": 1.0}
    return [
        {**rest, "preset": name, "chosen": name == chosen, "gini": gini, "capture": capture}
        for name, (gini, capture) in zip(NAMES, figures, strict=True)
    ]


def test_the_chosen_preset_is_held_against_the_one_preset_with_the_best_mark() -> None:
    """Not against the best Gini of one preset and the best capture of another."""
    found = [
        *lines("a", "standard", ((0.500, 0.400), (0.510, 0.300), (0.4975, 0.408))),
        *lines("b", "recent", ((0.500, 0.400), (0.500, 0.400), (0.498, 0.396))),
        *lines("c", "small-trees", ((0.5, 0.4), (0.5, 0.4), (0.3, 0.4))),
    ]
    table = summary(pl.DataFrame(found))
    assert table["window"].to_list() == ["a", "b", "c"]
    assert table["preset"].to_list() == ["standard", "recent", "small-trees"]
    assert table["best"].to_list() == ["recent", "standard", "standard"], "the simpler of equals"
    assert table["gini_short"].to_list() == pytest.approx([-0.0025, 0.002, 0.0])
    assert table["capture_short"].to_list() == pytest.approx([0.008, 0.004, 0.0])
    assert table["reached"].to_list() == [False, True, True]
    assert table["default_gini"].to_list() == [0.5, 0.5, 0.5]
