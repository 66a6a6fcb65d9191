"""The lines that two texts differ by."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.console.rulesets.text import line_changes
from fivefold.usecases.portfolio_files.bundled import bundled_text


@pytest.mark.parametrize("lines", [1, 40, 4_000])
def test_the_lines_that_differ_are_told_at_once_however_many_they_are(lines: int) -> None:
    before = "\n".join(["first", *(f"a{number % 7}" for number in range(lines)), "last"])
    after = "\n".join(["first", *(f"b{number % 5}" for number in range(lines)), "last"])
    changes = line_changes(before, after)
    assert sum(change.sign == "-" for change in changes) == sum(change.sign == "+" for change in changes) == lines
    assert line_changes(before, before) == ()
    (added,) = [change for change in line_changes(before, f"{before}\nmore") if change.sign == "+"]
    assert added.content == "more"


def test_two_changes_far_apart_in_a_long_ruleset_are_these_two_alone() -> None:
    before = bundled_text("fatf-retail")
    after = before.replace("cooldown: 30 days", "cooldown: 31 days") + "# the end\n"
    changed = [(change.sign, change.content) for change in line_changes(before, after) if change.sign.strip()]
    assert changed == [("-", "cooldown: 30 days"), ("+", "cooldown: 31 days"), ("+", "# the end")]


def test_one_line_stands_on_either_side_of_a_place_that_differs() -> None:
    before, after = ["a", "b", "c", "d", "e", "f", "g", "h"], ["a", "b", "c", "D", "e", "f", "g", "h", "i"]
    changes = line_changes("\n".join(before), "\n".join(after))
    assert [change.sign + change.content for change in changes] == ["", " c", "-d", "+D", " e", "", " h", "+i"]


short_texts = st.lists(st.sampled_from(["", "a", "b", "c", "d"]), min_size=1, max_size=12)


@given(olds=short_texts, news=short_texts)
def test_lines_that_are_gone_and_new_ones_make_the_other_text_and_stand_beside_what_stays(
    olds: list[str], news: list[str]
) -> None:
    changes = line_changes("\n".join(olds), "\n".join(news))
    gone, new = ([change.content for change in changes if change.sign == sign] for sign in "-+")
    assert Counter(olds) - Counter(gone) + Counter(new) == Counter(news)
    runs = "".join(change.sign or "/" for change in changes).split("/")[1:]
    assert all(len(run.strip()) > 0 and len(run) - len(run.lstrip()) <= 1 and "   " not in run for run in runs)
