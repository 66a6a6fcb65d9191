import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.charts.steps import waterfall_steps
from fivefold.charts.text.numbers import plain
from fivefold.charts.text.waterfall import ADDS, GUIDE, TAKES, WHOLE, waterfall_text
from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.features.indicators import CATALOGUE

sizes = st.lists(st.one_of(st.just(0.0), st.floats(-3, 3)), max_size=20)
names = st.text(max_size=90)


def contribution(points: float, sentence: str) -> Contribution:
    return Contribution("name", "family", 12345.678, "EUR per day", points, sentence, sentence)


@given(st.floats(-2, 8), sizes, names, st.integers(1, 200))
def test_no_line_is_too_wide_and_all_are_there(base: float, points: list[float], name: str, width: int) -> None:
    breakdown = Breakdown(base, tuple(contribution(size, name) for size in points))
    lines = waterfall_text(breakdown, width_columns=width).splitlines()
    assert max(map(len, lines)) <= max(width, 72)
    assert (
        len([line for line in lines if re.search(r" [+-]?[\d,]+(\.\d\d)?  ", line)])
        >= len(waterfall_steps(breakdown)) + 2
    )


def test_it_shows_every_top_indicator_the_rest_and_the_total(breakdown: Breakdown) -> None:
    text = waterfall_text(breakdown, most=5)
    for step in waterfall_steps(breakdown, 5):
        words = (re.escape(part) for part in (step.label, step.seen, f"{step.points:+.2f}") if part)
        assert re.search(f"^{' +'.join(words)} ", text, re.MULTILINE)
    assert re.search(r"^starting point +3\.02 ", text, re.MULTILINE)
    assert re.search(rf"^score +{breakdown.total:.2f} ", text, re.MULTILINE)


def test_bars_stand_where_their_points_are() -> None:
    breakdown = Breakdown(2.0, (contribution(2.0, "up"), contribution(-1.0, "down"), contribution(0.0, "still")))
    lines = waterfall_text(breakdown, width_columns=80).splitlines()
    scale = lines[0]
    one, two, three, four = (scale.index(number) for number in "1234")
    start, up, down, still, _, total = lines[1:7]
    assert (start.index(WHOLE), start.rindex(WHOLE)) == (one, two - 1)
    assert (up.index(ADDS), up.rindex(ADDS)) == (two, four - 1)
    assert (down.index(TAKES), down.rindex(TAKES)) == (three, four - 1)
    assert ADDS not in still
    assert TAKES not in still
    assert (total.index(WHOLE), total.rindex(WHOLE)) == (one, three - 1)
    assert [place for place, sign in enumerate(still) if sign == GUIDE] == [one, two, three, four, scale.index("5")]


@pytest.mark.parametrize(("points", "sign"), [(0.001, ADDS), (-0.001, TAKES)])
def test_the_smallest_effect_shows(points: float, sign: str) -> None:
    for base in (1.0, 3.0, 5.0):
        line = waterfall_text(Breakdown(base, (contribution(points, "tiny"),))).splitlines()[2]
        assert line.count(sign) == 1


def test_points_stand_below_each_other(breakdown: Breakdown) -> None:
    lines = waterfall_text(breakdown).splitlines()
    end = lines[0].index("points") + len("points")
    rows = [line for line in lines[1:-2] if not line.startswith("─")]
    assert len(rows) == 15
    assert all(re.fullmatch(r"[+-]?\d\.\d\d", line[:end].split()[-1]) for line in rows)
    assert all(line[end] == " " for line in rows)


def test_a_long_label_continues_below_and_nothing_of_it_is_lost() -> None:
    sentence = "Share of transactions that failed, for whatever reason, within the last 365 days"
    lines = waterfall_text(Breakdown(3.0, (contribution(0.5, sentence),)), width_columns=80).splitlines()
    label = lines[2].split("  ")[0], *(line.split("  ")[0] for line in lines[3:5])
    assert " ".join(label).startswith("Share of transactions that failed, for whatever")
    assert "…" not in "".join(lines[2:5]).replace("EUR per…", "").replace("EUR…", "")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_every_indicator_s_label_is_whole_on_one_line(width: int) -> None:
    for made in CATALOGUE.indicators:
        part = Contribution(made.name, made.family, 1.0, "EUR", 0.5, made.meaning, made.label, "123,456.78 EUR")
        assert (
            waterfall_text(Breakdown(3.0, (part,)), width_columns=width).splitlines()[2].startswith(made.label + "  ")
        )


@given(st.floats(-1e15, 1e15))
def test_a_number_is_never_cut(value: float) -> None:
    part = Contribution("flow", "volume", value, "EUR per day and per customer", 0.5, "Flow", "Flow")
    line = waterfall_text(Breakdown(3.0, (part,)), width_columns=60).splitlines()[2]
    assert f" {plain(value)} " in line


def test_it_has_no_control_codes() -> None:
    text = waterfall_text(Breakdown(3.0, (contribution(0.5, "red \x1b[31m alert"),)))
    assert text.replace("\n", "").isprintable()


def test_enormous_points_widen_the_lines_rather_than_fail() -> None:
    text = waterfall_text(Breakdown(-1e12, (contribution(3.5e12, "Enormous"),)), width_columns=60)
    assert "+3,500,000,000,000 " in text
