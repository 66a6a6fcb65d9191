"""Measures how well numbers rank confirmed entities above others: AUC, Gini and intervals; ties count as halves.

All input is arrays: a ruleset's totals, one input column alone, or any model's scores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.text import count_text
from fivefold.features.histories import Floats, Integers

Numbers = Floats | Integers
Marks = npt.NDArray[np.bool_]

RESAMPLES = 1_000
"""Number of bootstrap samples: each end of a 95 % interval is then based on 25 samples."""

CONFIDENCE = 0.95

_CELLS_AT_ONCE = 8_000_000
"""Numbers in memory at once while resampling: a million entities need little more memory than a thousand."""

_CELL_COSTS = 10
"""Drawing the count of a cell takes about as long as drawing this number of entities one by one."""


@dataclass(frozen=True)
class ConfidenceInterval:
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
        auc: the chance that a confirmed entity has a higher score than another one; ties count as halves.
        gini: 2 × AUC − 1.
    """

    entities: int
    confirmed: int
    auc: ConfidenceInterval
    gini: ConfidenceInterval


@dataclass(frozen=True)
class Paired:
    """A comparison of two scores of the same entities.

    Attributes:
        first: the Gini of the first score.
        second: the Gini of the second.
        difference: first − second, with the interval of the difference itself: both are resampled together.
        share_above: the share of resamples in which the first was above the second; equal ones count as halves.
        p_value: the two-sided chance of a difference as far from 0, if there were none; at least 2 ÷ (resamples + 1).
    """

    first: float
    second: float
    difference: ConfidenceInterval
    share_above: float
    p_value: float


def auc(score: Numbers, confirmed: Marks) -> float:
    """Return the area under the ROC curve by ranks; ties count as halves.

    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve" (1982).

    Raises:
        NotEnoughDataError: all are confirmed, or none is, or a score is not a number.

    >>> auc(np.array([1, 2, 2, 3]), np.array([False, False, True, True]))
    0.875
    """
    codes = _codes(score, confirmed)
    hits = np.bincount(codes, weights=confirmed)
    others = np.bincount(codes, weights=~confirmed)
    below = np.cumsum(others) - others
    return float((hits * (below + others / 2)).sum() / (hits.sum() * others.sum()))


def gini(score: Numbers, confirmed: Marks) -> float:
    """Return 2 × AUC − 1: 0 is chance, 1 is perfect.

    >>> gini(np.array([1, 2, 2, 3]), np.array([False, False, True, True]))
    0.75
    """
    return 2 * auc(score, confirmed) - 1


def rank(score: Numbers, confirmed: Marks, seed: int = 0, resamples: int = RESAMPLES) -> Ranking:
    """Measure a ranking, with percentile bootstrap intervals.

    Confirmed entities and the others are drawn separately, each as many as there are (Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993). For scores that separate both perfectly, no resample differs.

    Args:
        score: n scores, higher is riskier.
        confirmed: n marks.
        seed: the seed of the draws.
        resamples: the number of resamples.
    """
    resampled = _aucs([score], confirmed, seed, resamples)[0]
    estimate = auc(score, confirmed)
    return Ranking(
        len(score),
        int(confirmed.sum()),
        ranking_interval(estimate, resampled),
        ranking_interval(2 * estimate - 1, 2 * resampled - 1),
    )


def compare_rankings(
    first: Numbers, second: Numbers, confirmed: Marks, seed: int = 0, resamples: int = RESAMPLES
) -> Paired:
    """Compare the Gini of two scores of the same n entities, resampling both together."""
    return compare_all(first, [second], confirmed, seed, resamples)[0]


def compare_all(
    first: Numbers, others: Sequence[Numbers], confirmed: Marks, seed: int = 0, resamples: int = RESAMPLES
) -> list[Paired]:
    """Compare the Gini of one score with each of several, in the same resamples."""
    resampled = 2 * _aucs([first, *others], confirmed, seed, resamples) - 1
    own = gini(first, confirmed)
    pairs = []
    for other, sample in zip(others, resampled[1:], strict=True):
        theirs, differences = gini(other, confirmed), resampled[0] - sample
        above = float((np.sign(differences) + 1).mean() / 2)
        p_value = min(1.0, 2 * (min(above, 1 - above) * resamples + 1) / (resamples + 1))
        pairs.append(Paired(own, theirs, ranking_interval(own - theirs, differences), above, p_value))
    return pairs


def ranking_interval(estimate: float, resampled: Floats) -> ConfidenceInterval:
    """Return an estimate with the percentile interval of its resamples."""
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return ConfidenceInterval(float(estimate), float(low), float(high))


def share(hits: int, of: int) -> ConfidenceInterval | None:
    """Return a share with its Wilson score interval; None if *of* is 0.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).

    >>> share(8, 10).estimate
    0.8
    """
    if not of:
        return None
    ends = stats.binomtest(hits, of).proportion_ci(CONFIDENCE, method="wilson")
    return ConfidenceInterval(hits / of, float(ends.low), float(ends.high))


def _codes(score: Numbers, confirmed: Marks) -> Integers:
    """Replace scores by ordinal numbers that keep every AUC, with as few distinct numbers as possible.

    Neighbouring scores need not be distinguished if only confirmed entities, or only others, have them.
    """
    if confirmed.all() or not confirmed.any():
        raise NotEnoughDataError(
            f"{int(confirmed.sum())} of {len(confirmed)} are confirmed; a ranking needs both kinds"
        )
    if score.dtype.kind == "f" and np.isnan(score).any():
        raise NotEnoughDataError("some scores are not numbers; leave these entities out, and count them")
    _, place = np.unique(score, return_inverse=True)
    hits = np.bincount(place, weights=confirmed) > 0
    others = np.bincount(place, weights=~confirmed) > 0
    pure = np.where(hits & others, 0, np.where(hits, 1, 2))
    begins = np.ones(len(pure), dtype=bool)
    begins[1:] = (pure[1:] != pure[:-1]) | (pure[1:] == 0)
    codes: Integers = (np.cumsum(begins) - 1)[place]
    return codes


def _aucs(scores: Sequence[Numbers], confirmed: Marks, seed: int, resamples: int) -> Floats:
    """Return the AUC of m scores in each resample: m × resamples, with the same entities drawn for all scores."""
    codes = np.column_stack([_codes(score, confirmed) for score in scores])
    random = np.random.default_rng(seed)
    hits, others = (np.unique(codes[side], axis=0, return_inverse=True) for side in (confirmed, ~confirmed))
    levels = [_by_code(others[0][:, number], int(codes[:, number].max())) for number in range(len(scores))]
    parts = []
    for drawn_hits, drawn_others in _draws(random, hits[1].ravel(), others[1].ravel(), resamples):
        pairs = drawn_hits.sum(axis=0) * drawn_others.sum(axis=0)
        above = [
            (drawn_hits * _below(level @ drawn_others)[hits[0][:, number]]).sum(axis=0)
            for number, level in enumerate(levels)
        ]
        parts.append(np.stack(above) / pairs)
    return np.concatenate(parts, axis=1)


def _by_code(codes: Integers, last: int) -> Any:
    """Return the matrix that sums counts of cells by their code."""
    places = (codes, np.arange(len(codes)))
    return sparse.csr_array((np.ones(len(codes)), places), shape=(last + 1, len(codes)))


def _below(level: Floats) -> Floats:
    """Count what is below each code, and half of what is in it: codes × resamples."""
    return np.cumsum(level, axis=0) - level / 2


def _draws(
    random: np.random.Generator, hits: Integers, others: Integers, resamples: int
) -> Iterator[tuple[Floats, Floats]]:
    """Yield how often each cell of equal entities is drawn, cells × resamples, separately for both kinds, in parts.

    Args:
        random: the generator of the draws.
        hits: the cell of each confirmed entity.
        others: the cell of each other entity.
        resamples: the number of resamples.
    """
    sizes = [np.bincount(side) for side in (hits, others)]
    at_once = max(1, _CELLS_AT_ONCE // sum(map(len, sizes)))
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        first, second = (
            _cell_counts(random, side, size, count) for side, size in zip((hits, others), sizes, strict=True)
        )
        yield first, second


def _cell_counts(random: np.random.Generator, cells: Integers, sizes: Integers, count: int) -> Floats:
    """Draw as many entities as there are, *count* times, and count them by cell: one by one, or cell by cell."""
    if len(sizes) * _CELL_COSTS < len(cells):
        return np.ascontiguousarray(random.multinomial(len(cells), sizes / len(cells), size=count).T, dtype=np.float64)
    counts = np.empty((len(sizes), count))
    for number in range(count):
        counts[:, number] = np.bincount(cells[random.integers(len(cells), size=len(cells))], minlength=len(sizes))
    return counts


@dataclass(frozen=True, kw_only=True)
class AnotherRuleset:
    """A comparison with the ranking of the same entities by another ruleset.

    Attributes:
        ruleset: its name.
        entities: how many both assess in full.
        confirmed: how many of these are confirmed.
        paired: the comparison on these; None if it cannot be measured.
        because: the reason why it cannot; empty if it can.
    """

    ruleset: str
    entities: int
    confirmed: int
    paired: Paired | None
    because: str


def beside_another(
    ruleset: str, scores: tuple[Numbers, Numbers], confirmed: Marks, seed: int, resamples: int
) -> AnotherRuleset:
    """Compare two scores of the entities that both rulesets assess in full; *ruleset* is the name of the other."""
    entities, hits = len(confirmed), int(confirmed.sum())
    measurable = 0 < hits < entities
    because = (
        f"it and {ruleset} assess {count_text(entities, 'entity', 'entities')} in full, {hits:,} of them confirmed; "
        "a ranking needs both kinds"
    )
    return AnotherRuleset(
        ruleset=ruleset,
        entities=entities,
        confirmed=hits,
        paired=compare_rankings(*scores, confirmed, seed, resamples) if measurable else None,
        because="" if measurable else because,
    )
