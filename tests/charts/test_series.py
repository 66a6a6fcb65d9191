"""A figure over time: what was not measured is a gap, everything lies in the plot."""

from hypothesis import given
from hypothesis import strategies as st

from fivefold.charts.series import (
    PLOT_HEIGHT,
    PLOT_WIDTH,
    SeriesFigure,
    series_plot,
)

NUMBERS = st.none() | st.floats(-2.0, 2.0)
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
