"""Names: brought to one form, and compared with many others as if each of them had been asked."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import enumerate as enumerate_threads

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fivefold.risk.compiler import likeness
from fivefold.risk.compiler.likeness import SCORERS, Targets, folded
from tests.depth import some
from tests.risk.compiler import kleene

letters = st.text(st.sampled_from("abcdeé ł-'"), max_size=12)
words = st.sampled_from(["anna", "ann", "de", "la", "cruz", "ivanova", "o'neil", "al", "ali", "a", "maria", "smith"])
names = st.one_of(
    letters,
    st.lists(words, min_size=1, max_size=5).map(" ".join),
    st.text(st.sampled_from("ab "), min_size=1, max_size=40),
    st.text(max_size=20),
)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("José", "jose"),
        ("Jose\u0301", "jose"),
        ("Wałęsa, Lech", "lech walesa"),
        ("Kierkegaard Søren", "kierkegaard soren"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("Đorđe", "dorde"),
        ("İstanbul", "istanbul"),
        ("Þór", "thor"),
        ("ﬁne", "fine"),
        ("O'Brien", "obrien"),
        ("O\u2019Brien", "obrien"),
        ("Jean-Pierre", "jean pierre"),
        ("Ольга Иванова", "ivanova olga"),
        ("毛泽东", "maozedong"),
        ("北京", "beijing"),
        ("김정은", "gimjeongeun"),
        ("A.B.  &  Co", "a b co"),
        ("", ""),
        ("...", ""),
    ],
)
def test_names_have_one_form(text: str, form: str) -> None:
    assert folded(text) == form


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing(text: str) -> None:
    once = folded(text)
    assert folded(once) == once
    assert once.isascii()
    assert folded(text.upper().lower()) == folded(text.lower().upper().lower())


@given(letters, st.randoms())
def test_the_order_of_words_and_their_case_do_not_matter(text: str, random: object) -> None:
    words = text.split()
    random.shuffle(words)  # type: ignore[attr-defined]  # it is a random.Random
    assert folded(" ".join(words)) == folded(text.upper()) == folded(text)


@st.composite
def edited(draw: st.DrawFn, name: str) -> str:
    """Change, take away or add a few letters of a name."""
    signs = list(name)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(signs)))
        signs[at : at + draw(st.integers(0, 2))] = draw(st.sampled_from(["", "a", "n", " "]))
    return "".join(signs)


@given(
    name=names,
    others=st.lists(names, max_size=5),
    scorer=st.sampled_from(sorted(SCORERS)),
    data=st.data(),
    few=st.integers(0, 2),
    often=st.sampled_from([0, 2, 64]),
)
def test_one_of_many_is_near_as_if_each_had_been_asked(
    name: str, others: list[str], scorer: str, data: st.DataObject, few: int, often: int
) -> None:
    """However many are compared first, and whichever pairs of letters are kept as rows."""
    targets = [*others, data.draw(edited(name))]
    best = max(kleene.likeness(name, target, scorer) for target in targets)
    steps = {1, 100, *(min(max(round(best) + step, 1), 100) for step in (-1, 0, 1))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likeness, "FEW", few)
        patch.setattr(likeness, "_FIRST", few // 2)
        patch.setattr(likeness, "_OFTEN", often)
        near = Targets(targets, scorer)
        for at_least in steps:
            assert near.has_near(name, at_least) is (best >= at_least - 1e-6), (at_least, best)


@given(name=names, data=st.data(), scorer=st.sampled_from(sorted(SCORERS)))
def test_no_text_is_more_like_another_than_what_they_have_in_common_allows(
    name: str, data: st.DataObject, scorer: str
) -> None:
    other = data.draw(st.one_of(edited(name), names))
    one, two = folded(name), folded(other)
    if one and two:
        if SCORERS[scorer].by_words:
            one, two = (" ".join(sorted(set(text.split()))) for text in (one, two))
        like = kleene.likeness(name, other, scorer)
        for least in (min(0.5, like), like - 0.5, like - 1e-6):
            common = likeness.Shared([two]).common(one, least, SCORERS[scorer])
            assert common.places.tolist() == [0]
            assert SCORERS[scorer].most(common)[0] >= like - 1e-6


@pytest.mark.parametrize("scorer", sorted(SCORERS))
@given(length=st.sampled_from(some([254, 70_000, 255, 256, 300], 2)))
@example(length=255)
def test_long_names_are_compared_as_well(scorer: str, length: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likeness, "FEW", 0)
        patch.setattr(likeness, "_FIRST", 0)
        near = Targets(["b" * 5, "a" * length], scorer)
        assert near.has_near("a" * length, 100)
        assert near.has_near("bbbbb", 100)
        assert not near.has_near("c" * length, 1)


def test_few_of_many_targets_are_left_to_compare() -> None:
    random = Random(1)
    syllables = [first + second for first in "mnrlkgbd" for second in ("a", "i", "an", "en", "or")]
    targets = ["".join(random.choices(syllables, k=4)) for _ in range(2_000)]
    for scorer in SCORERS:
        near = Targets(targets, scorer)
        left = [sum(map(len, near._candidates(folded(name), 89.5))) for name in targets[:50]]
        assert sum(left) / len(left) < 100, scorer
        assert all(near.has_near(name, 100) for name in targets[:50])


@pytest.mark.parametrize("threads", [1, 2, 5])
@given(data=st.data(), scorer=st.sampled_from(sorted(SCORERS)))
def test_many_names_are_told_as_one_by_one_however_many_threads_there_are(
    threads: int, data: st.DataObject, scorer: str
) -> None:
    targets = data.draw(st.lists(names, min_size=1, max_size=8))
    asked = data.draw(st.lists(st.one_of(names, edited(targets[0])), max_size=20))
    at_least = data.draw(st.integers(1, 100))
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(threads) as pool:
        patch.setattr(likeness, "FEW", 0)
        patch.setattr(likeness, "_FIRST", 0)
        patch.setattr(likeness, "_PART", 3)
        expected = [Targets(targets, scorer).has_near(name, at_least) for name in asked]
        near = Targets(targets, scorer)
        assert near.have_near(asked, at_least, pool) == near.have_near(asked, at_least) == expected


def test_only_so_many_threads_compare_names_as_polars_has() -> None:
    near = Targets([f"{number:05}" for number in range(200)], "ratio")
    before = {thread for thread in enumerate_threads() if thread.name.startswith("names")}
    asked = [f"{number:05}" for number in range(0, 4_000, 10)]
    found = near.have_near(asked, 100)
    working = {thread for thread in enumerate_threads() if thread.name.startswith("names")}
    assert found == [number < 200 for number in range(0, 4_000, 10)]
    assert len(before | working) <= pl.thread_pool_size()
