"""Pairs of items: each comes once, and no fewer can be said to have moved."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from fivefold.risk.governance.diff.alignment import Pair, align

names = st.lists(st.sampled_from("abcdef"), max_size=7)


@given(names, names, st.booleans())
def test_every_item_is_in_one_pair(before: list[str], after: list[str], by_place: bool) -> None:
    pairs = align(before, after, by_place=by_place)
    assert [pair.after for pair in pairs if pair.after is not None] == list(range(len(after)))
    assert sorted(pair.before for pair in pairs if pair.before is not None) == list(range(len(before)))
    assert all(pair.before is not None and pair.after is not None for pair in pairs if pair.moved)


@given(st.permutations("abcdef"), st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_as_few_as_possible_have_moved(order: list[str], left: set[str], right: set[str]) -> None:
    before, after = [name for name in "abcdef" if name in left], [name for name in order if name in right]
    common = [before.index(name) for name in after if name in left]
    rising = max(
        len(part)
        for size in range(len(common) + 1)
        for part in combinations(common, size)
        if list(part) == sorted(part)
    )
    moved = sum(pair.moved for pair in align(before, after))
    assert moved == len(common) - rising


def test_what_stands_between_the_same_neighbours_is_the_same_item() -> None:
    pairs = align(["a", "x", "b"], ["a", "y", "z", "b"], by_place=True)
    assert pairs == [Pair(0, 0), Pair(1, 1), Pair(None, 2), Pair(2, 3)]
    assert align(["x", "a"], ["a", "y"], by_place=True) == [Pair(1, 0), Pair(None, 1), Pair(0, None)]
