"""Likeness of names, measured by rapidfuzz: whether one of many targets is similar enough to a text.

Most targets share too few letters with a text to be similar to it. The number of letters, and the words, in common
bound the similarity of two texts from above. So the letters are counted for all targets at once, in bytes; the bound
is computed for the targets that have enough, and rapidfuzz scores the few that are left.
The answer is the same as if rapidfuzz had scored every target.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from anyascii import anyascii
from numpy.typing import NDArray
from polars import thread_pool_size
from rapidfuzz import distance, fuzz, process

ROUNDING: Final = 1e-6
"""The error of scores in floats: 33 letters of 100 score 32.99999999999999."""
PREFILTER: Final = 0.5
"""The margin below the cut-off in which candidates are kept; rapidfuzz drops some that just reach it."""
FEW: Final = 64
"""Up to this many targets, comparing all of them is faster than counting what they share with a text."""
_FIRST: Final = 8
"""How many of the most promising candidates are compared first: mostly one of them is near, if any is."""
_MOST_LETTERS: Final = 255
"""Longest text that is counted, as letters are counted in bytes; longer ones are compared with everything."""
_MOST_KEPT: Final = 2
"""Rows of counts are cached up to this one: few letters of a name occur more often."""
_OFTEN: Final = 64
"""A pair that more than one in this many texts has is kept as a row, which takes little more than its places."""
_LETTERS: Final = 128
"""The letters of ASCII, in which folded texts are."""
_PREFIX: Final = 4
"""Letters of the prefix for which Jaro-Winkler adds to the score, a tenth of what is missing for each."""

_PART: Final = 16
"""Names in one piece of a thread's work: some milliseconds, so that no thread waits long for the last."""
_ROWS_KEPT: Final = 64
"""Most cached rows of letters that are enough; a row has a byte for each target."""

Scores = NDArray[np.float64]
Places = NDArray[np.int64]


def folded(text: str) -> str:
    """Normalise a name: no case, no accents, Latin letters, no punctuation, words in alphabetical order.

    Unicode's normal form does not reduce letters such as ł and ø: they are transliterated. An
    apostrophe does not end a word: O'Brien is OBrien, and the one in Ol'ga stands for a letter that Latin lacks.

    >>> folded("Wałęsa, Lech"), folded("SØREN  Kierkegaard"), folded("Ольга")
    ('lech walesa', 'kierkegaard soren', 'olga')
    """
    plain = anyascii(unicodedata.normalize("NFKC", text)).casefold().replace("'", "")
    return " ".join(sorted("".join(sign if sign.isalnum() else " " for sign in plain).split()))


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A measure of likeness.

    Attributes:
        similarity: rapidfuzz's function of two texts.
        whole: its score for equal texts.
        most: the upper bound, from 0 to 100, of the similarity of many texts to one, by what they have in common.
        enough: the number of common letters that a text of each length needs for *most* to reach a score.
        by_words: a repeated word counts once, and one common word may be enough.
        by_prefix: the same first letter raises *most*.
        by_pairs: pairs of letters must be in common as well.
    """

    similarity: Any
    whole: float
    most: "Callable[[Common], Scores]"
    enough: "Callable[[Scores, int, float], Scores]"
    by_words: bool = False
    by_prefix: bool = False
    by_pairs: bool = False


@cache
def _shared_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_pool_size(), "names")


class Targets:
    """Names that others are compared with, by one scorer.

    Args:
        names: the names as written; one without a letter or digit is near nothing.
        scorer: one of `SCORERS`.
    """

    def __init__(self, names: Sequence[str], scorer: str) -> None:
        self._texts = sorted({text for text in map(folded, names) if text})
        self._scorer = SCORERS[scorer]

    def has_near(self, name: str, at_least: float) -> bool:
        """Check whether the score of one of them and a name, from 0 to 100, is *at_least* or more."""
        text = folded(name)
        candidates = self._candidates(text, at_least - PREFILTER) if text else ()
        return any(self._is_any_near(text, some, at_least) for some in candidates)

    def have_near(self, names: Sequence[str], at_least: float, pool: Executor | None = None) -> list[bool]:
        """Check each of many names as `has_near` does, in threads.

        Args:
            names: the names.
            at_least: the least score, from 0 to 100.
            pool: the threads; by default those that all calls of this process share, as many as Polars has
                (`POLARS_MAX_THREADS`, or one for each processor).
        """
        if len(names) <= _PART or len(self._texts) <= FEW or (pool is None and thread_pool_size() == 1):
            return [self.has_near(name, at_least) for name in names]
        parts = [names[begin : begin + _PART] for begin in range(1, len(names), _PART)]
        results = [self.has_near(names[0], at_least)]  # fills the caches that all threads read before they begin
        for part in (pool or _shared_pool()).map(lambda part: [self.has_near(name, at_least) for name in part], parts):
            results += part
        return results

    def _is_any_near(self, text: str, candidates: Sequence[str], at_least: float) -> bool:
        unit, similarity = self._scorer.whole / 100, self._scorer.similarity
        cut = (at_least - PREFILTER) * unit
        if len(candidates) > FEW:  # takes as long, and lets other threads run meanwhile
            likenesses = process.cdist([text], candidates, scorer=similarity, score_cutoff=cut, dtype=np.float64)
            best = float(likenesses.max())
        else:
            one = process.extractOne(text, candidates, scorer=similarity, score_cutoff=cut)
            best = 0.0 if one is None else one[1]
        return best >= (at_least - ROUNDING) * unit

    def _candidates(self, text: str, least: float) -> Iterator[Sequence[str]]:
        """Yield the targets that may score *least*, and perhaps others, in parts: first those that may score the most.

        One near target is enough, and is mostly among the first.
        """
        if len(self._texts) <= FEW:
            yield self._texts
            return
        if self._scorer.by_words:
            text = _each_word_once(text)
        if not _is_countable(text):
            yield self._texts
            return
        common = self._shared.common(text, least - ROUNDING, self._scorer)
        most = self._scorer.most(common)
        may = self._shared.uncounted[common.places] | (most >= least - ROUNDING)
        places, most = common.places[may], most[may]
        if len(places) > FEW:
            places = places[np.argpartition(-most, (_FIRST, FEW))]
            for begin, end in ((0, _FIRST), (_FIRST, FEW)):
                yield [self._texts[place] for place in places[begin:end]]
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
    """The letters, pairs of letters and words that many texts have in common with one.

    Attributes:
        lengths: the lengths of the texts.
        uncounted: whether each text is too long to be counted.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.lengths = np.array([len(text) for text in texts], dtype=np.float64)
        self.uncounted = np.array([not _is_countable(text) for text in texts])
        self._texts = ["" if skip else text for text, skip in zip(texts, self.uncounted, strict=True)]
        self._up_to: dict[tuple[int, int], NDArray[np.uint8]] = {}
        self._rows_enough: dict[tuple[int, float, bool], NDArray[np.uint8]] = {}

    def common(self, text: str, least: float, scorer: Scorer) -> "Common":
        """Find the texts that have enough in common with one to score *least*, from 0 to 100, and perhaps others."""
        letters = self._in_common(self._counts, Counter(text.encode("ascii")))
        may = letters >= self._enough(len(text), least, scorer)
        if scorer.by_words:
            for word in text.split():
                may[self._words.get(word, _NOWHERE[0])] = True
        if scorer.by_prefix:
            same = self._beginning_with.get(ord(text[0]), _NOWHERE[0])
            may[same] |= letters[same] >= self._enough(len(text), _before_prefix(least), scorer)[same]
        pairs = self._pairs_in_common(text) if scorer.by_pairs else letters
        if scorer.by_pairs:
            may &= pairs >= self._enough(len(text), least, scorer, pairs=True)
        places = np.flatnonzero(may)
        return Common(
            shared=self,
            text=text,
            places=places,
            letters=letters[places].astype(np.float64),
            pairs=pairs[places].astype(np.float64),
            lengths=self.lengths[places],
        )

    def _enough(self, length: int, least: float, scorer: Scorer, *, pairs: bool = False) -> NDArray[np.uint8]:
        """Return how many common letters, or pairs, each text needs beside one of a length; 0 for uncounted texts.

        Rows are cached, as names have few different lengths.
        """
        row = self._rows_enough.get((length, least, pairs))
        if row is None:
            enough = np.ceil(scorer.enough(self.lengths, length, least) - ROUNDING)
            if pairs:
                enough = 2 * enough - np.minimum(self.lengths, length) - 1
            row = np.where(self.uncounted, 0, np.clip(enough, 0, _MOST_LETTERS)).astype(np.uint8)
            if len(self._rows_enough) < _ROWS_KEPT:
                self._rows_enough[length, least, pairs] = row
        return row

    def _pairs_in_common(self, text: str) -> NDArray[np.uint8]:
        """Count the pairs of adjacent letters that each text has in common with one, as often as both do."""
        pairs = Counter(pairwise(text.encode("ascii")))
        written = {pair[0] * _LETTERS + pair[1]: count for pair, count in pairs.items()}
        common = self._in_common(self._often, {pair: count for pair, count in written.items() if pair in self._often})
        for pair in written.keys() & self._pairs.keys():
            places, counts = self._pairs[pair]
            common[places] += np.minimum(counts, np.uint8(written[pair]))
        return common

    def _in_common(self, counts: Any, written: Mapping[int, int]) -> NDArray[np.uint8]:
        """Add up the counts of some codes in each text, each at most its count in one: the sum fits in a byte.

        Rows limited to a small count are cached, as limiting one takes as long as adding twenty. Codes of letters and
        of pairs differ.
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
        """Return the length of the words that each text has in common with one, joined by spaces; 0 for none."""
        length = np.zeros(len(self._texts))
        for word in text.split():
            length[self._words.get(word, _NOWHERE[0])] += len(word) + 1
        return np.maximum(length - 1, 0.0)

    def prefixes(self, text: str, places: Places) -> Scores:
        """Count the letters, up to `_PREFIX`, of the prefix that some texts have in common with one."""
        same, count = np.ones(len(places), np.bool_), np.zeros(len(places))
        for letters, letter in zip(self._beginnings, text.encode("ascii"), strict=False):
            same &= letters[places] == letter
            count += same
        return count

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
    def _places_of_pairs(self) -> dict[int, tuple[Places, NDArray[np.uint8]]]:
        """The places of the texts that have each pair, and how often each has it."""
        codes, places = self._codes
        inside = places[:-1] == places[1:]
        pairs = (codes[:-1] * _LETTERS + codes[1:])[inside]
        keys, counts = np.unique(pairs * len(self._texts) + places[:-1][inside], return_counts=True)
        pair, place = np.divmod(keys, len(self._texts))
        begins = np.flatnonzero(np.diff(pair, prepend=-1))
        ends = [*begins[1:].tolist(), len(pair)]
        parts = zip(pair[begins].tolist(), begins.tolist(), ends, strict=False)  # one end without a pair
        return {code: (place[begin:end], counts[begin:end].astype(np.uint8)) for code, begin, end in parts}

    @cached_property
    def _pairs(self) -> dict[int, tuple[Places, NDArray[np.uint8]]]:
        """The pairs that few texts have."""
        return {
            code: occurrences
            for code, occurrences in self._places_of_pairs.items()
            if not self._is_often(occurrences[0])
        }

    @cached_property
    def _often(self) -> dict[int, NDArray[np.uint8]]:
        """How often each text has each pair that many have: adding a whole row is faster than adding at its places."""
        rows = {}
        for code, (places, counts) in self._places_of_pairs.items():
            if self._is_often(places):
                rows[code] = np.zeros(len(self._texts), np.uint8)
                rows[code][places] = counts
        return rows

    def _is_often(self, places: NDArray[np.int64]) -> bool:
        return len(places) * _OFTEN > len(self._texts)

    @cached_property
    def _words(self) -> dict[str, Places]:
        words: dict[str, list[int]] = {}
        for place, text in enumerate(self._texts):
            for word in text.split():
                words.setdefault(word, []).append(place)
        return {word: np.array(places) for word, places in words.items()}

    @cached_property
    def _beginning_with(self) -> dict[int, Places]:
        """The places of the texts that begin with each letter."""
        first = self._beginnings[0]
        return {letter: np.flatnonzero(first == letter) for letter in np.unique(first).tolist()}

    @cached_property
    def _beginnings(self) -> NDArray[np.uint8]:
        """The first letters of every text, 0 where it is shorter; one row for each position."""
        together = "".join(text[:_PREFIX].ljust(_PREFIX, "\0") for text in self._texts)
        return np.frombuffer(together.encode("ascii"), np.uint8).reshape(-1, _PREFIX).T.copy()


_NOWHERE: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True, kw_only=True)
class Common:
    """What some of many texts have in common with one; arrays of one length.

    Attributes:
        shared: the many texts.
        text: the one text.
        places: the places of some among the many.
        letters: the number of letters in common, each as often as both have it; 0 for uncounted texts.
        pairs: the same of pairs of adjacent letters, if the scorer uses them; otherwise as `letters`.
        lengths: the lengths of these texts.
    """

    shared: Shared
    text: str
    places: Places
    letters: Scores
    pairs: Scores
    lengths: Scores


def _ratio(common: Common) -> Scores:
    """Bound `ratio`: twice the letters that both have in the same order, over the letters of both."""
    return 200 * common.letters / (common.lengths + len(common.text))


def _ratio_enough(lengths: Scores, length: int, least: float) -> Scores:
    return least * (lengths + length) / 200


def _token_set(common: Common) -> Scores:
    """Bound `token_set`, the best of three: all words of both, and the common words beside all those of either."""
    words = common.shared.words(common.text)[common.places]
    beside = 200 * words / (words + np.minimum(common.lengths, len(common.text)))
    return np.maximum(_ratio(common), beside)


def _partial(common: Common) -> Scores:
    """Bound `partial`: the shorter text beside the most similar part of the longer one.

    If L of the shorter text's m letters are in a part of n letters, the score is 2 L / (m + n). L is at most n, and at
    most the letters in common. Each letter that the part lacks breaks two adjacent pairs, each extra letter in the part
    breaks one: with B pairs in common L is at most (B + m + 1 + n) / 3 (the lemma of q-grams, Ukkonen 1992). Both
    bounds are highest where the part has nothing else, n = L.
    """
    shorter = np.minimum(common.lengths, len(common.text))
    most: Scores = np.minimum(common.letters, (common.pairs + shorter + 1) / 2)
    return 200 * most / (shorter + most)


def _partial_enough(lengths: Scores, length: int, least: float) -> Scores:
    return least * np.minimum(lengths, length) / (200 - least)


def _jaro_winkler(common: Common) -> Scores:
    """Bound `jaro_winkler`: a third each of the letters found in one, in the other, and in order; then the prefix."""
    letters, length = common.letters, len(common.text)
    jaro: Scores = np.where(letters > 0, (letters / length + letters / np.maximum(common.lengths, 1) + 1) / 3, 0.0)
    return 100 * (jaro + 0.1 * common.shared.prefixes(common.text, common.places) * (1 - jaro))


def _jaro_enough(lengths: Scores, length: int, least: float) -> Scores:
    """Return the letters that texts with another first letter need; the others need fewer (`_before_prefix`)."""
    return (3 * least / 100 - 1) * length * lengths / (length + lengths)


def _before_prefix(least: float) -> float:
    """Return the Jaro score that is needed, from 0 to 100, if the whole prefix is the same."""
    return (least - 10 * _PREFIX) / (1 - 0.1 * _PREFIX)


SCORERS: Final[Mapping[str, Scorer]] = {
    "ratio": Scorer(similarity=fuzz.ratio, whole=100, most=_ratio, enough=_ratio_enough),
    "token_set": Scorer(
        similarity=fuzz.token_set_ratio, whole=100, most=_token_set, enough=_ratio_enough, by_words=True
    ),
    "partial": Scorer(similarity=fuzz.partial_ratio, whole=100, most=_partial, enough=_partial_enough, by_pairs=True),
    "jaro_winkler": Scorer(
        similarity=distance.JaroWinkler.similarity, whole=1, most=_jaro_winkler, enough=_jaro_enough, by_prefix=True
    ),
}
