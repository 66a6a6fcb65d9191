"""Nearly the same text: folding, cut-offs, and rapidfuzz's own numbers."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import distance, fuzz

from fivefold.risk.compiler.fuzzy import folded, likeness, nearly

SCORERS = ("ratio", "token_set", "partial", "jaro_winkler")
letters = st.text(st.sampled_from("abcdeé ł-'"), max_size=12)


def near(text: str | None, targets: list[str], scorer: str, at_least: int) -> bool | None:
    frame = pl.DataFrame({"it": [text]}, schema={"it": pl.String})
    return frame.select(nearly(targets, scorer, at_least)(pl.col("it"))).item()  # type: ignore[no-any-return]  # a truth


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


@given(letters, letters, st.sampled_from(SCORERS))
def test_likeness_is_rapidfuzzs_own(left: str, right: str, scorer: str) -> None:
    one, other = folded(left), folded(right)
    wanted = {
        "ratio": fuzz.ratio(one, other),
        "token_set": fuzz.token_set_ratio(one, other),
        "partial": fuzz.partial_ratio(one, other),
        "jaro_winkler": 100 * distance.JaroWinkler.similarity(one, other),
    }[scorer]
    assert likeness(left, right, scorer) == pytest.approx(wanted if one and other else 0, abs=1e-9)


@given(letters, st.lists(letters, min_size=1, max_size=3), st.sampled_from(SCORERS), st.data())
def test_a_text_is_near_from_its_cut_off_on(text: str, targets: list[str], scorer: str, data: st.DataObject) -> None:
    best = max(likeness(text, target, scorer) for target in targets)
    at_least = data.draw(
        st.sampled_from(sorted({1, 100, *(min(max(round(best) + step, 1), 100) for step in (-1, 0, 1))}))
    )
    assert near(text, targets, scorer, at_least) is (best >= at_least - 1e-6)


@pytest.mark.parametrize("same", range(1, 100))
def test_a_cut_off_that_is_met_exactly_is_met(same: int) -> None:
    """In floats 33 letters of 100 score 32.99999999999999."""
    left, right = "a" * same + "b" * (100 - same), "a" * same + "c" * (100 - same)
    assert near(left, [right], "ratio", same)
    assert not near(left, [right], "ratio", same + 1)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(("text", "expected"), [(None, None), ("", False), ("...", False), ("Lech Wałęsa", True)])
def test_unknown_text_stays_unknown_and_empty_text_is_like_nothing(
    scorer: str, text: str | None, expected: bool | None
) -> None:
    assert near(text, ["...", "walesa lech"], scorer, 100) is expected
    assert near(text, [], scorer, 1) is (None if text is None else False)
    assert near(text, ["..."], scorer, 1) is (None if text is None else False)


@pytest.mark.parametrize(
    ("scorer", "left", "right", "at_least"),
    [
        ("ratio", "Jon Smith", "John Smith", 90),
        ("token_set", "Bank of Cyprus Public Company", "Bank of Cyprus", 100),
        ("partial", "Rosneft", "Rosneft Trading", 100),
        ("jaro_winkler", "Martha", "Marhta", 96),
    ],
)
def test_each_scorer_sees_what_it_is_for(scorer: str, left: str, right: str, at_least: int) -> None:
    assert near(left, [right], scorer, at_least)
    assert not near("Somebody else", [right], scorer, 90)
