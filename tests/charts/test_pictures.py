"""Each picture is drawn, and says what it must."""

import math
import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import altair as alt
import polars as pl
import pytest

from fivefold.charts.evaluation import calibration, lift, segments
from fivefold.charts.render import png, svg
from fivefold.charts.series import POINTS_DRAWN
from fivefold.charts.steps import waterfall_steps
from fivefold.charts.style import NEGATIVE, POSITIVE, SEGMENT_COLOURS
from fivefold.charts.text.numbers import MINUS
from fivefold.charts.waterfall import waterfall
from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.domain.segments import SEGMENTS
from tests.depth import some

Drawing = Callable[[pytest.FixtureRequest], alt.TopLevelMixin]
DRAWINGS: dict[str, Drawing] = {
    "waterfall": lambda request: waterfall(request.getfixturevalue("breakdown"), title="Why 17"),
    "calibration": lambda request: calibration(request.getfixturevalue("deciles"), "EUR"),
    "lift": lambda request: lift(request.getfixturevalue("curves")),
    "segments": lambda request: segments(request.getfixturevalue("segment_table"), "EUR", "2024-06-30"),
}


def words(chart: alt.TopLevelMixin) -> list[str]:
    """All text of a picture, in the order of drawing."""
    return [text for node in ET.fromstring(svg(chart)).iter() if (text := (node.text or "").strip())]


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_is_well_formed_and_says_what_it_is(name: str, request: pytest.FixtureRequest) -> None:
    chart = DRAWINGS[name](request)
    title = chart.to_dict()["title"]["text"]
    assert title in words(chart)
    assert chart.to_dict()["description"] == title


@pytest.mark.parametrize("name", some([*DRAWINGS], 3))
def test_a_picture_is_a_png_for_a_page(name: str, request: pytest.FixtureRequest) -> None:
    content = png(DRAWINGS[name](request))
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    assert 800 < width < 2400
    assert 500 < height < 1600


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_needs_nothing_from_outside(name: str, request: pytest.FixtureRequest) -> None:
    assert not re.search(r'(href|src)="http|@import|url\(http', svg(DRAWINGS[name](request)))


def test_waterfall_shows_labels_values_and_points(breakdown: Breakdown) -> None:
    said = words(waterfall(breakdown, title="Why 17", most=5))
    for step in waterfall_steps(breakdown, 5):
        assert step.label in said
        assert f"{step.points:+.2f}".replace("-", MINUS) in said
    for text in ("48,210 EUR", f"{MINUS}12.50 EUR", "API", "undefined", "10 others", "starting point", "score"):
        assert text in said
    assert {"3.02", f"{breakdown.total:.2f}", "score (1 to 5)"} <= set(said)


def test_a_long_title_or_name_does_not_widen_the_waterfall(breakdown: Breakdown) -> None:
    """A customer's id may have 255 signs; the picture is as wide as its labels and bars."""

    def width(title: str) -> int:
        return int.from_bytes(png(waterfall(breakdown, title=title))[16:20])

    long = (
        "Customer {} as of 2026-11-21: score 4.36, high, worth 1,234.56 EUR in 90 days, more than 84 % of the customers"
    )
    said = waterfall(breakdown, title=long.format("W" * 255)).to_dict()
    assert " ".join(said["title"]["text"]).endswith("84 % of the customers")
    assert width(long.format("W" * 255)) < 1.05 * width("Why 17")
    assert width(long.format("a b")) < 1.05 * width("Why 17")


def test_waterfall_bars_have_the_colour_of_their_sign(breakdown: Breakdown) -> None:
    drawn = svg(waterfall(breakdown, title="Why 17", most=5))
    assert POSITIVE in drawn
    assert NEGATIVE in drawn


def test_waterfall_keeps_rows_of_the_same_label_apart() -> None:
    parts = tuple(
        Contribution("same", "f", 1.0, "", points, "The same words", "The same words") for points in (0.5, 0.5, -0.25)
    )
    assert words(waterfall(Breakdown(3.0, parts), title="Ties")).count("The same words") == 3


def test_waterfall_breaks_a_long_label_at_its_words() -> None:
    part = Contribution(
        "a", "f", 1.0, "", 0.5, "", "Settled deposits fading by half every 45 days, summed over all history"
    )
    said = words(waterfall(Breakdown(3.0, (part,)), title="Long"))
    assert {"Settled deposits fading by half every 45", "days, summed over all history"} <= set(said)


def test_waterfall_without_contributions_is_base_and_total() -> None:
    said = words(waterfall(Breakdown(2.5, ()), title="Nothing known"))
    assert {"Nothing known", "starting point", "score"} <= set(said)


def test_waterfall_escapes_what_comes_from_outside() -> None:
    part = Contribution("tag", "tags", "<script>\x00\x1b", "", 0.5, "A & B <b>", "A & B <b>")
    said = words(waterfall(Breakdown(3.0, (part,)), title="Customer <17>\x07 & others"))
    assert {"Customer <17> & others", "A & B <b>", "<script>"} <= set(said)


def test_waterfall_widens_its_axis_where_a_bar_leaves_it() -> None:
    parts = (Contribution("a", "f", 1.0, "", 3.0, "a", "a"), Contribution("b", "f", 1.0, "", -2.0, "b", "b"))
    specification = str(waterfall(Breakdown(3.0, parts), title="Over the top").to_dict())
    assert "'domain': [1.0, 6.0]" in specification


def test_calibration_numbers_each_decile_and_names_the_money(deciles: pl.DataFrame) -> None:
    said = words(calibration(deciles, "CZK"))
    assert {str(decile) for decile in range(1, 11)} <= set(said)
    assert {"Predicted value, mean per customer (CZK)", "Realised value, mean per customer (CZK)"} <= set(said)
    assert any(text.startswith("4,500 customers") for text in said)


@pytest.mark.parametrize("money", some([0.0, 1e-7, 3.0, 2.5e11], 3))
def test_calibration_of_equal_money_can_be_drawn(deciles: pl.DataFrame, money: float) -> None:
    flat = deciles.with_columns(predicted_mean=pl.lit(money), realised_mean=pl.lit(money))
    assert "10" in words(calibration(flat, "EUR"))


def test_calibration_writes_small_money_of_a_long_axis_as_it_is(deciles: pl.DataFrame) -> None:
    long = deciles.with_columns(predicted_mean=pl.Series([0.2, *[1.5] * 8, 240.0]), realised_mean=pl.lit(0.0))
    said = words(calibration(long, "EUR"))
    assert (said.count("0"), said.count("0.3"), said.count("100")) == (2, 2, 2), "once on each axis"


def test_calibration_leaves_out_a_decile_without_a_number(deciles: pl.DataFrame) -> None:
    third = pl.col("decile") == 3
    holes = deciles.with_columns(realised_mean=pl.when(third).then(math.nan).otherwise("realised_mean"))
    said = words(calibration(holes, "EUR"))
    assert any(text.startswith("4,050 customers") for text in said)


def test_lift_names_every_curve_best_first(curves: pl.DataFrame) -> None:
    said = words(lift(curves))
    names = ["perfect", "model", "persistence", "RFM", "random order"]
    assert [text for text in said if text in names] == names


def test_lift_thins_long_curves_but_keeps_their_ends(curves: pl.DataFrame) -> None:
    (rows,) = lift(curves).to_dict()["datasets"].values()
    model = [(row["customer_share"], row["value_share"]) for row in rows if row["name"] == "model"]
    assert len(model) <= POINTS_DRAWN + 2
    assert (model[0], model[-1]) == ((0.0, 0.0), (1.0, 1.0))


def test_lift_gives_rivals_without_a_known_name_a_look_of_their_own() -> None:
    ends = {"customer_share": [0.0, 1.0], "value_share": [0.0, 1.0]}
    many = pl.concat(pl.DataFrame({"name": f"rival {place}", **ends}) for place in range(4))
    encoding = lift(many).to_dict()["encoding"]
    looks = list(
        zip(encoding["color"]["scale"]["range"], map(str, encoding["strokeDash"]["scale"]["range"]), strict=True)
    )
    assert len(set(looks)) == 5


def test_segments_stand_in_their_order_with_their_numbers(segment_table: pl.DataFrame) -> None:
    said = words(segments(segment_table, "CZK", "2024-06-30"))
    assert [text for text in said if text in SEGMENTS] == [*SEGMENTS, *SEGMENTS]
    assert {"4.01", "14.05", "37.81", "12,346", "1 %", "5 %", "13 %", "81 %", "1,300"} <= set(said)
    assert "Mean realised value of a customer (CZK)" in said
    assert any(text.startswith("4,600 customers") for text in said)
    assert any(text.endswith("a place among those known on 2024-06-30.") for text in said)


def test_segments_have_the_colours_of_the_house(segment_table: pl.DataFrame) -> None:
    drawn = svg(segments(segment_table, "EUR", "2024-06-30"))
    assert all(colour in drawn for colour in SEGMENT_COLOURS.values())


def test_an_empty_segment_is_a_gap(segment_table: pl.DataFrame) -> None:
    with_gap = segment_table.filter(pl.col("segment") != "high").with_columns(
        value_mean=pl.when(pl.col("segment") == "low").then(math.nan).otherwise("value_mean")
    )
    said = words(segments(with_gap, "EUR", "2024-06-30"))
    assert [text for text in said if text in SEGMENTS] == [*SEGMENTS, *SEGMENTS]
    assert {"0", "14.05", "12,346"} <= set(said)
    assert "4.01" not in said


def test_segments_without_any_value_can_be_drawn(segment_table: pl.DataFrame) -> None:
    nothing = segment_table.with_columns(value_mean=pl.lit(0.0), value_share=pl.lit(math.nan))
    assert "low" in words(segments(nothing, "EUR", "2024-06-30"))
