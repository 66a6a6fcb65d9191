import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.charts.text.numbers import one_line, plain, signed_points, value_text, wrapped_lines
from fivefold.domain.breakdown import Contribution


@pytest.mark.parametrize(
    ("number", "words"),
    [(0.0, "0"), (-3.0, "-3"), (999.994, "999.99"), (1e6, "1,000,000"), (2.5e13, "2.5e+13"), (1e-9, "1e-09")],
)
def test_a_number_has_the_decimals_that_its_size_deserves(number: float, words: str) -> None:
    assert plain(number) == words


@given(st.floats(-1e9, 1e9), st.integers(0, 4))
def test_signed_points_read_back_and_have_a_sign_unless_they_are_nothing(points: float, decimals: int) -> None:
    words = signed_points(points, decimals)
    assert float(words.replace(",", "")) == pytest.approx(points, abs=0.5 * 10**-decimals + 1e-6)
    assert (words[0] in "+-") == (float(words.replace(",", "")) != 0)


@given(st.text(max_size=60).map(one_line), st.integers(2, 60))
def test_broken_text_fits_and_loses_nothing_that_has_room(text: str, width: int) -> None:
    lines = wrapped_lines(text, width, 100)
    assert max(map(len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    short = wrapped_lines(text, width, 2)
    assert len(short) <= 2
    assert max(map(len, short)) <= width
    assert short == lines or short[-1].endswith("…")


@given(st.text())
def test_one_line_can_be_printed_and_changes_no_more(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert one_line(line) == line


def test_a_value_from_outside_cannot_reach_the_terminal() -> None:
    assert value_text(Contribution("tag", "tags", "\x1b[2J\nVIP", "", 1.0, "", "")) == "[2J VIP"


def test_an_infinite_value_is_undefined() -> None:
    assert value_text(Contribution("ratio", "trend", float("inf"), "", 1.0, "", "")) == "undefined"
