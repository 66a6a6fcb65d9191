"""Likeness of names, measured by rapidfuzz: whether one of many targets is at least so like a text.

Most targets cannot be like a text, as they share too few letters with it. How like two texts are at most follows from
how many letters, and which words, they have in common; that is computed for all targets at once, and rapidfuzz is asked
of the few that are left. So the answer is rapidfuzz's own, as if it had been asked of every target.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from anyascii import anyascii
from numpy.typing import NDArray
from rapidfuzz import distance, fuzz, process

ROUNDING: Final = 1e-6
"""The error of scores in floats: 33 letters of 100 score 32.99999999999999."""
PREFILTER: Final = 0.5
"""How far below the cut-off candidates are still looked at; rapidfuzz drops some that reach it by a hair."""
FEW: Final = 64
"""So many targets are compared sooner than what they share with a text is counted."""
_MOST_LETTERS: Final = 255
"""Longer texts are compared with everything: letters are counted in bytes."""
_MOST_KEPT: Final = 2
"""Of the letters of a name few are there more often."""
_OFTEN: Final = 64
"""A pair that more than one text of so many has is kept as a row; that is little more to keep than its places."""
_LETTERS: Final = 128
"""Of ASCII, in which folded texts are."""
_PREFIX: Final = 4
"""Letters at the beginning for which Jaro-Winkler gives more, a tenth of what is missing for each."""

Scores = NDArray[np.float64]


def folded(text: str) -> str:
    """Bring a name to one form: no case, no accents, Latin letters, no punctuation, words in alphabetical order.

    Normalisation takes accents off é but leaves letters such as ł and ø alone: these are transliterated. An
    apostrophe is no end of a word: O'Brien is OBrien, and the one in Ol'ga stands for a letter that Latin lacks.

    >>> folded("Wałęsa, Lech"), folded("SØREN  Kierkegaard"), folded("Ольга")
    ('lech walesa', 'kierkegaard soren', 'olga')
    """
    plain = anyascii(unicodedata.normalize("NFKC", text)).casefold().replace("'", "")
    return " ".join(sorted("".join(sign if sign.isalnum() else " " for sign in plain).split()))


@dataclass(frozen=True)
class Scorer:
    """A measure of likeness.

    Attributes:
        similarity: of two texts, by rapidfuzz.
        whole: what it gives for equal texts.
        most: how like each of many texts is to one at most, from 0 to 100, by what they have in common.
        by_words: a word that is there twice counts once.
    """

    similarity: Any
    whole: float
    most: "Callable[[Shared, str], Scores]"
    by_words: bool = False


class Targets:
    """Names that others are compared with, by one scorer.

    Args:
        names: as they were written; those without a letter or digit are like nothing.
        scorer: one of `SCORERS`.
    """

    def __init__(self, names: Sequence[str], scorer: str) -> None:
        self._texts = sorted({text for text in map(folded, names) if text})
        self._scorer = SCORERS[scorer]

    def has_near(self, name: str, at_least: float) -> bool:
        """Tell whether one of them is so like a name, from 0 to 100; exactly *at_least* is enough."""
        text = folded(name)
        candidates = self._candidates(text, at_least - PREFILTER) if text else ()
        return any(self._is_any_near(text, some, at_least) for some in candidates)

    def _is_any_near(self, text: str, candidates: Sequence[str], at_least: float) -> bool:
        unit = self._scorer.whole / 100
        best = process.extractOne(
            text, candidates, scorer=self._scorer.similarity, score_cutoff=(at_least - PREFILTER) * unit
        )
        return best is not None and best[1] >= (at_least - ROUNDING) * unit

    def _candidates(self, text: str, least: float) -> Iterator[Sequence[str]]:
        """Give the targets that may score *least*, and perhaps others, in parts: first those that may score the most.

        One that is near is enough, and is mostly among these.
        """
        if len(self._texts) <= FEW:
            yield self._texts
            return
        if self._scorer.by_words:
            text = _each_word_once(text)
        if not _is_countable(text):
            yield self._texts
            return
        most = self._scorer.most(self._shared, text)
        places = np.flatnonzero(self._shared.uncounted | (most >= least - ROUNDING))
        if len(places) > FEW:
            places = places[np.argpartition(-most[places], FEW)]
            yield [self._texts[place] for place in places[:FEW]]
            places = places[FEW:]
        yield [self._texts[place] for place in places]

    @cached_property
    def _shared(self) -> "Shared":
        return Shared([_each_word_once(text) for text in self._texts] if self._scorer.by_words else self._texts)


def _each_word_once(text: str) -> str:
    return " ".join(sorted(set(text.split())))


def _is_countable(text: str) -> bool:
    return len(text) <= _MOST_LETTERS


class Shared:
    """What many texts have in common with one: letters, pairs of letters, words.

    Attributes:
        lengths: of the texts.
        uncounted: those that are too long to be counted.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.lengths = np.array([len(text) for text in texts], dtype=np.float64)
        self.uncounted = np.array([not _is_countable(text) for text in texts])
        self._texts = ["" if skip else text for text, skip in zip(texts, self.uncounted, strict=True)]
        self._up_to: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def letters(self, text: str) -> Scores:
        """Count the letters that each text has in common with one, each as often as both have it."""
        return self._in_common(self._counts, Counter(text.encode("ascii"))).astype(np.float64)

    def pairs(self, text: str) -> Scores:
        """Count the pairs of letters beside each other, in the same way."""
        pairs = Counter(pairwise(text.encode("ascii")))
        written = {pair[0] * _LETTERS + pair[1]: count for pair, count in pairs.items()}
        common = self._in_common(self._often, {pair: count for pair, count in written.items() if pair in self._often})
        for pair in written.keys() & self._pairs.keys():
            places, counts = self._pairs[pair]
            common[places] += np.minimum(counts, np.uint8(written[pair]))
        return common.astype(np.float64)

    def _in_common(self, counts: Any, written: Mapping[int, int]) -> NDArray[np.uint8]:
        """Add what each text has of something, up to what one has: no more in all than the letters of a text.

        A row up to a small number is kept, as to compare with the number takes as long as to add twenty rows. The code
        of a letter is no pair's.
        """
        common = np.zeros(len(self._texts), np.uint8)
        for code, count in written.items():
            row = self._up_to.get((code, count))
            if row is None:
                row = np.minimum(counts[code], np.uint8(count))
                if count <= _MOST_KEPT:
                    self._up_to[code, count] = row
            common += row
        return common

    def words(self, text: str) -> Scores:
        """Give the length of the words that each text has in common with one, with a space between two; 0 for none."""
        length = np.zeros(len(self._texts))
        for word in text.split():
            length[self._words.get(word, _NOWHERE[0])] += len(word) + 1
        return np.maximum(length - 1, 0.0)

    def prefixes(self, text: str) -> Scores:
        """Count the letters at the beginning that are the same, up to `_PREFIX`."""
        same, count = np.ones(len(self._texts), np.bool_), np.zeros(len(self._texts), np.uint8)
        for letters, letter in zip(self._beginnings, text.encode("ascii"), strict=False):
            same &= letters == letter
            count += same
        return count.astype(np.float64)

    @cached_property
    def _codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every letter of every text, and the place of its text."""
        codes = np.frombuffer("".join(self._texts).encode("ascii"), np.uint8).astype(np.int64)
        return codes, np.repeat(np.arange(len(self._texts)), [len(text) for text in self._texts])

    @cached_property
    def _counts(self) -> NDArray[np.uint8]:
        codes, places = self._codes
        size = len(self._texts)
        return np.bincount(codes * size + places, minlength=_LETTERS * size).reshape(_LETTERS, size).astype(np.uint8)

    @cached_property
    def _places_of_pairs(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Give where each pair is, and how often there."""
        codes, places = self._codes
        inside = places[:-1] == places[1:]
        pairs = (codes[:-1] * _LETTERS + codes[1:])[inside]
        found, counts = np.unique(pairs * len(self._texts) + places[:-1][inside], return_counts=True)
        pair, place = np.divmod(found, len(self._texts))
        begins = np.flatnonzero(np.diff(pair, prepend=-1))
        ends = [*begins[1:].tolist(), len(pair)]
        parts = zip(pair[begins].tolist(), begins.tolist(), ends, strict=False)  # one end without a pair
        return {code: (place[begin:end], counts[begin:end].astype(np.uint8)) for code, begin, end in parts}

    @cached_property
    def _pairs(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """The pairs that few texts have."""
        return {code: found for code, found in self._places_of_pairs.items() if not self._is_often(found[0])}

    @cached_property
    def _often(self) -> dict[int, NDArray[np.uint8]]:
        """How often each text has a pair, of those that many have: a whole row is added sooner than its places."""
        rows = {}
        for code, (places, counts) in self._places_of_pairs.items():
            if self._is_often(places):
                rows[code] = np.zeros(len(self._texts), np.uint8)
                rows[code][places] = counts
        return rows

    def _is_often(self, places: NDArray[np.int64]) -> bool:
        return len(places) * _OFTEN > len(self._texts)

    @cached_property
    def _words(self) -> dict[str, NDArray[np.int64]]:
        words: dict[str, list[int]] = {}
        for place, text in enumerate(self._texts):
            for word in text.split():
                words.setdefault(word, []).append(place)
        return {word: np.array(places) for word, places in words.items()}

    @cached_property
    def _beginnings(self) -> NDArray[np.uint8]:
        """The first letters of every text, 0 where it is shorter; one row for each place."""
        together = "".join(text[:_PREFIX].ljust(_PREFIX, "\0") for text in self._texts)
        return np.frombuffer(together.encode("ascii"), np.uint8).reshape(-1, _PREFIX).T.copy()


_NOWHERE: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def _ratio(shared: Shared, text: str) -> Scores:
    """Twice the letters that both have in the same order, over the letters of both."""
    return 200 * shared.letters(text) / (shared.lengths + len(text))


def _token_set(shared: Shared, text: str) -> Scores:
    """The best of three: all words of both, and the common words beside all those of either."""
    words = shared.words(text)
    beside = 200 * words / (words + np.minimum(shared.lengths, len(text)))
    return np.maximum(_ratio(shared, text), beside)


def _partial(shared: Shared, text: str) -> Scores:
    """The shorter text beside the part of the longer one that is most like it.

    Of m letters, L are in a part of n: the score is 2 L / (m + n). L is at most n, and the letters in common. A letter
    of the shorter one that the part lacks parts two pairs of letters beside each other, one more in the part parts one:
    B pairs in common leave L at most (B + m + 1 + n) / 3 (the lemma of q-grams, Ukkonen 1992). Both are at their best
    where the part has nothing else, n = L.
    """
    shorter = np.minimum(shared.lengths, len(text))
    most: Scores = np.minimum(shared.letters(text), (shared.pairs(text) + shorter + 1) / 2)
    return 200 * most / (shorter + most)


def _jaro_winkler(shared: Shared, text: str) -> Scores:
    """A third each of the letters found in one, in the other, and in order; then more for the same beginning."""
    letters = shared.letters(text)
    jaro: Scores = np.where(letters > 0, (letters / len(text) + letters / np.maximum(shared.lengths, 1) + 1) / 3, 0.0)
    return 100 * (jaro + 0.1 * shared.prefixes(text) * (1 - jaro))


SCORERS: Final[Mapping[str, Scorer]] = {
    "ratio": Scorer(fuzz.ratio, 100, _ratio),
    "token_set": Scorer(fuzz.token_set_ratio, 100, _token_set, by_words=True),
    "partial": Scorer(fuzz.partial_ratio, 100, _partial),
    "jaro_winkler": Scorer(distance.JaroWinkler.similarity, 1, _jaro_winkler),
}
