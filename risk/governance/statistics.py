"""How well numbers rank confirmed entities above the others: AUC, Gini and intervals, ties counted as halves.

Everything is arrays in, numbers out: a ruleset's totals, one input column alone, or any model's scores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from domain.errors import NotEnoughData
from features.histories import Floats, Integers

Numbers = Floats | Integers
Marks = npt.NDArray[np.bool_]

RESAMPLES = 1_000
"""Bootstrap samples: the ends of a 95 % interval then rest on 25 samples each."""

CONFIDENCE = 0.95

_CELLS_AT_ONCE = 8_000_000
"""Numbers held at once while resampling, so that a million entities need no more memory than a thousand."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval that it was found to lie in at `CONFIDENCE`."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """How well one score ranks.

    Attributes:
        entities: how many were ranked.
        confirmed: how many of them are confirmed.
        auc: the chance that a confirmed entity scores above another one; ties count as halves.
        gini: 2 × AUC − 1.
    """

    entities: int
    confirmed: int
    auc: Interval
    gini: Interval


@dataclass(frozen=True)
class Paired:
    """How two scores of the same entities compare.

    Attributes:
        first: Gini of the first score.
        second: Gini of the second.
        difference: first − second, with the interval of the difference itself: both are resampled together.
        share_above: share of resamples in which the first was above the second; equal ones count as halves.
    """

    first: float
    second: float
    difference: Interval
    share_above: float


def auc(score: Numbers, confirmed: Marks) -> float:
    """Area under the ROC curve by ranks, ties counted as halves.

    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve" (1982).

    Raises:
        NotEnoughData: all are confirmed, or none is, or a score is not a number.

    >>> auc(np.array([1, 2, 2, 3]), np.array([False, False, True, True]))
    0.875
    """
    codes = _codes(score, confirmed)
    hits = np.bincount(codes, weights=confirmed)
    others = np.bincount(codes, weights=~confirmed)
    below = np.cumsum(others) - others
    return float((hits * (below + others / 2)).sum() / (hits.sum() * others.sum()))


def gini(score: Numbers, confirmed: Marks) -> float:
    """2 × AUC − 1; 0 is chance, 1 is perfect.

    >>> gini(np.array([1, 2, 2, 3]), np.array([False, False, True, True]))
    0.75
    """
    return 2 * auc(score, confirmed) - 1


def rank(score: Numbers, confirmed: Marks, seed: int = 0, resamples: int = RESAMPLES) -> Ranking:
    """Measure a ranking, with percentile bootstrap intervals.

    Confirmed entities and the others are drawn apart, each as many as there are (Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993). Scores that separate both perfectly leave the bootstrap nothing to vary.

    Args:
        score: n scores, higher is riskier.
        confirmed: n marks.
        seed: of the draws.
        resamples: how many.
    """
    drawn = _aucs([score], confirmed, seed, resamples)[0]
    estimate = auc(score, confirmed)
    return Ranking(
        len(score), int(confirmed.sum()), interval(estimate, drawn), interval(2 * estimate - 1, 2 * drawn - 1)
    )


def compare(first: Numbers, second: Numbers, confirmed: Marks, seed: int = 0, resamples: int = RESAMPLES) -> Paired:
    """Compare the Gini of two scores of the same n entities, resampling both together."""
    return compare_all(first, [second], confirmed, seed, resamples)[0]


def compare_all(
    first: Numbers, others: Sequence[Numbers], confirmed: Marks, seed: int = 0, resamples: int = RESAMPLES
) -> list[Paired]:
    """Compare the Gini of one score with each of several, in the same resamples."""
    drawn = 2 * _aucs([first, *others], confirmed, seed, resamples) - 1
    own = gini(first, confirmed)
    made = []
    for other, sample in zip(others, drawn[1:], strict=True):
        theirs, differences = gini(other, confirmed), drawn[0] - sample
        above = float((np.sign(differences) + 1).mean() / 2)
        made.append(Paired(own, theirs, interval(own - theirs, differences), above))
    return made


def interval(estimate: float, drawn: Floats) -> Interval:
    """Give an estimate with the interval between the percentiles of its resamples."""
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(estimate), float(low), float(high))


def share(hits: int, of: int) -> Interval | None:
    """Give a share with its Wilson score interval; None where there is nothing to share.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).

    >>> share(8, 10).estimate
    0.8
    """
    if not of:
        return None
    ends = stats.binomtest(hits, of).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(hits / of, float(ends.low), float(ends.high))


def _codes(score: Numbers, confirmed: Marks) -> Integers:
    """Number the scores in order so that every AUC stays the same, with as few numbers as possible.

    Neighbouring scores that only confirmed entities have, or only the others, need not be told apart.
    """
    if confirmed.all() or not confirmed.any():
        raise NotEnoughData(f"{int(confirmed.sum())} of {len(confirmed)} are confirmed; a ranking needs both kinds")
    if score.dtype.kind == "f" and np.isnan(score).any():
        raise NotEnoughData("some scores are no numbers; leave these entities out, and count them")
    _, place = np.unique(score, return_inverse=True)
    hits = np.bincount(place, weights=confirmed) > 0
    others = np.bincount(place, weights=~confirmed) > 0
    pure = np.where(hits & others, 0, np.where(hits, 1, 2))
    begins = np.ones(len(pure), dtype=bool)
    begins[1:] = (pure[1:] != pure[:-1]) | (pure[1:] == 0)
    codes: Integers = (np.cumsum(begins) - 1)[place]
    return codes


def _aucs(scores: Sequence[Numbers], confirmed: Marks, seed: int, resamples: int) -> Floats:
    """Draw the AUC of m scores so many times: m × resamples, the same entities drawn for all."""
    codes = np.column_stack([_codes(score, confirmed) for score in scores])
    random = np.random.default_rng(seed)
    hits, others = (np.unique(codes[side], axis=0, return_counts=True) for side in (confirmed, ~confirmed))
    made = [
        _area(code, hits[0][:, number], drawn_hits, others[0][:, number], drawn_others)
        for drawn_hits, drawn_others in _draws(random, hits[1], others[1], resamples)
        for number, code in enumerate(codes.max(axis=0))
    ]
    chunks = [np.stack(made[start : start + len(scores)]) for start in range(0, len(made), len(scores))]
    return np.concatenate(chunks, axis=1)


def _draws(
    random: np.random.Generator, hits: Integers, others: Integers, resamples: int
) -> Iterator[tuple[Integers, Integers]]:
    """Draw how often each cell of equal entities comes in each resample, both kinds apart, in parts."""
    at_once = max(1, _CELLS_AT_ONCE // (len(hits) + len(others)))
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        yield tuple(random.multinomial(int(side.sum()), side / side.sum(), size=count) for side in (hits, others))  # type: ignore[misc]  # two of them


def _area(last: int, hit_codes: Integers, hits: Integers, other_codes: Integers, others: Integers) -> Floats:
    """Give the AUC of each resample: rows of counts by cell, whose codes go from 0 to *last*."""
    level = _summed(other_codes, others, last)
    below = np.cumsum(level, axis=1) - level / 2
    above: Floats = (hits * below[:, hit_codes]).sum(axis=1)
    return above / (hits.sum(axis=1) * others.sum(axis=1))


def _summed(codes: Integers, counts: Integers, last: int) -> Floats:
    """Sum the columns of *counts* that have the same code: rows × (last + 1)."""
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    made = np.zeros((len(counts), last + 1))
    made[:, present] = np.add.reduceat(counts[:, order], starts, axis=1)
    return made
