"""A figure over time: what was not measured is a gap, everything lies in the plot."""

from hypothesis import given
from hypothesis import strategies as st

from fivefold.charts.series import (
    COLUMNS_HEIGHT,
    COLUMNS_WIDTH,
    PLOT_HEIGHT,
    PLOT_WIDTH,
    SeriesFigure,
    series_plot,
    share_columns,
)

NUMBERS = st.none() | st.floats(-2.0, 2.0)
COUNTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=6)
FIGURES = st.builds(SeriesFigure, label=st.text(), value=NUMBERS, low=NUMBERS, high=NUMBERS, limit=NUMBERS)


@given(st.lists(FIGURES, max_size=12))
def test_everything_lies_in_the_plot_from_left_to_right(figures: list[SeriesFigure]) -> None:
    plot = series_plot(figures, (0.0, 1.0))
    assert [place.label for place in plot.places] == [figure.label for figure in figures]
    assert all(0 <= place.x <= PLOT_WIDTH for place in plot.places)
    assert [place.x for place in plot.places] == sorted(place.x for place in plot.places)
    for figure, place in zip(figures, plot.places, strict=True):
        for value, y in ((figure.value, place.y), (figure.low, place.low_y), (figure.limit, place.limit_y)):
            assert (value is None) == (y is None)
            assert y is None or -1e-9 <= y <= PLOT_HEIGHT + 1e-9
            same = [tick for at, tick in plot.ticks if y is not None and abs(at - y) < 1e-9]
            assert all(abs(tick - (value or 0.0)) < 1e-6 for tick in same)


def test_a_gap_is_not_crossed_by_a_line() -> None:
    figures = [SeriesFigure(label="", value=value, limit=0.5) for value in (0.1, 0.2, None, 0.4)]
    plot = series_plot(figures, (0.0, 1.0))
    assert [(x1, x2) for x1, _, x2, _ in plot.lines] == [(42.5, 127.5)]
    assert len(plot.limits) == 3
    assert plot.places[0].y is not None
    assert abs(plot.places[0].y - 108.0) < 1e-9


@given(st.lists(COUNTS, max_size=60))
def test_parts_fill_their_column_from_the_bottom_up(rows: list[list[int]]) -> None:
    columns = share_columns(rows)
    assert len(columns) == len(rows)
    edges = [edge for column in columns for edge in (column.x, column.x + column.width)]
    assert edges == sorted(edges)
    assert all(-1e-9 <= edge <= COLUMNS_WIDTH + 1e-9 for edge in edges)
    for counts, column in zip(rows, columns, strict=True):
        assert [part.place for part in column.parts] == [place for place, count in enumerate(counts) if count]
        bottom = COLUMNS_HEIGHT
        for part in column.parts:
            assert abs(part.y + part.height - bottom) < 1e-6
            assert abs(part.height * sum(counts) - COLUMNS_HEIGHT * counts[part.place]) < 1e-3 * sum(counts)
            bottom = part.y
        assert not column.parts or abs(bottom) < 1e-6
