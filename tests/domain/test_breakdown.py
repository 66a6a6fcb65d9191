"""A total that is its base plus its contributions."""

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.breakdown import Breakdown, Contribution

points = st.floats(-1e6, 1e6)
parts = st.builds(
    Contribution,
    st.text("abc", min_size=1),
    st.sampled_from("xyz"),
    st.none() | st.floats(),
    st.just(""),
    points,
    st.just(""),
)
breakdowns = st.builds(Breakdown, points, st.lists(parts, max_size=80).map(tuple))


@given(breakdowns)
def test_the_total_is_the_exact_sum_rounded_once(breakdown: Breakdown) -> None:
    assert breakdown.total == fsum([breakdown.base, *(part.points for part in breakdown.contributions)])


@given(breakdowns)
def test_families_add_up_to_the_total_and_come_largest_first(breakdown: Breakdown) -> None:
    families = breakdown.families()
    assert breakdown.base + fsum(families.values()) == pytest.approx(breakdown.total, abs=1e-6)
    assert set(families) == {part.family for part in breakdown.contributions}
    assert [abs(found) for found in families.values()] == sorted(
        (abs(found) for found in families.values()), reverse=True
    )


@given(breakdowns, st.randoms(use_true_random=False))
def test_largest_first_does_not_depend_on_the_order_given(breakdown: Breakdown, chance: object) -> None:
    shuffled = list(breakdown.contributions)
    chance.shuffle(shuffled)
    effects = [(abs(part.points), part.name) for part in breakdown.largest_first()]
    again = Breakdown(breakdown.base, tuple(shuffled))
    assert [(abs(part.points), part.name) for part in again.largest_first()] == effects
    assert effects == sorted(effects, key=lambda effect: (-effect[0], effect[1]))
    assert again.total == breakdown.total


def test_without_contributions_the_base_is_the_total() -> None:
    assert Breakdown(2.5, ()).total == 2.5
    assert Breakdown(2.5, ()).families() == {}


def test_a_notebook_shows_every_contribution_as_text() -> None:
    known = Contribution("sum", "volume", 120.0, "EUR", 0.5, "", label="<b>deposits</b>")
    unknown = Contribution("gap", "rhythm", None, "days", -0.25, "")
    shown = Breakdown(2.0, (unknown, known))._repr_html_()
    assert "<caption>2.25 = 2 and 2 contributions</caption>" in shown
    assert "<td>&lt;b&gt;deposits&lt;/b&gt;</td><td>volume</td><td>120 EUR</td><td>+0.5</td>" in shown
    assert shown.index("deposits") < shown.index("<td>unknown</td><td>-0.25</td>")


def test_a_notebook_writes_a_score_as_its_picture_does_and_never_across_a_cut_point() -> None:
    raised = Contribution("sum", "volume", 120.0, "EUR", 1.1998, "")
    shown = Breakdown(2.7999, (raised,), cut_points=(2.0, 3.0, 4.0))._repr_html_()
    assert "<caption>3.99 = 2.80 and 1 contribution</caption>" in shown
