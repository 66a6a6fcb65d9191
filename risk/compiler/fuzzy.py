"""Nearly the same text: names as people write them, compared by rapidfuzz."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
from anyascii import anyascii
from rapidfuzz import distance, fuzz, process

Test = Callable[[pl.Expr], pl.Expr]


def folded(text: str) -> str:
    """Bring a name to one form: no case, no accents, Latin letters, no punctuation, words in alphabetical order.

    Normalisation takes accents off é but leaves letters such as ł and ø alone: these are transliterated. An
    apostrophe is no end of a word: O'Brien is OBrien, and the one in Ol'ga stands for a letter that Latin lacks.

    >>> folded("Wałęsa, Lech"), folded("SØREN  Kierkegaard"), folded("Ольга")
    ('lech walesa', 'kierkegaard soren', 'olga')
    """
    plain = anyascii(unicodedata.normalize("NFKC", text)).casefold().replace("'", "")
    return " ".join(sorted("".join(sign if sign.isalnum() else " " for sign in plain).split()))


def _jaro_winkler(first: str, second: str, *, score_cutoff: float | None = None) -> float:
    return 100 * distance.JaroWinkler.similarity(first, second, score_cutoff=(score_cutoff or 0) / 100)


_SCORERS: dict[str, Any] = {
    "ratio": fuzz.ratio,
    "token_set": fuzz.token_set_ratio,
    "partial": fuzz.partial_ratio,
    "jaro_winkler": _jaro_winkler,
}


_ROUNDING = 1e-6
"""What scores in floats may lack of the whole number that they come to: 33 letters of 100 score 32.99999999999999."""

_PREFILTER = 0.5
"""How far below the cut-off candidates are still looked at; rapidfuzz drops some that reach it by a hair."""


def likeness(first: str, second: str, scorer: str) -> float:
    """Tell how alike two texts are, 0 to 100; texts without a letter or digit are like nothing.

    >>> likeness("Lech Wałęsa", "walesa lech", "ratio")
    100.0
    """
    pair = folded(first), folded(second)
    return float(_SCORERS[scorer](*pair)) if all(pair) else 0.0


def nearly(targets: Sequence[str], scorer: str, at_least: int) -> Test:
    """Make the test whether a text column is at least so like one of *targets*; null stays null.

    Every different text is compared once.
    """
    folded_targets = [target for target in map(folded, targets) if target]

    def test(column: pl.Series) -> pl.Series:
        texts = column.unique().drop_nulls()
        is_near = [_is_near(folded(text), folded_targets, scorer, at_least) for text in texts]
        hits = column.is_in(texts.filter(pl.Series(is_near, dtype=pl.Boolean)).implode())
        return hits.alias(column.name)

    return lambda column: column.map_batches(test, return_dtype=pl.Boolean)


def _is_near(text: str, targets: Sequence[str], scorer: str, at_least: int) -> bool:
    if not text or not targets:
        return False
    best = process.extractOne(
        text, targets, scorer=_SCORERS[scorer], processor=None, score_cutoff=at_least - _PREFILTER
    )
    return best is not None and best[1] >= at_least - _ROUNDING
