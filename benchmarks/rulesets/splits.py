"""Repeated splits: tuned on one part of the entities, judged on the other, many times with named seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.histories import Floats, Integers
from fivefold.risk.governance.validate.ranking import (
    RESAMPLES,
    ConfidenceInterval,
    Marks,
    Numbers,
    gini,
    ranking_interval,
)


@dataclass(frozen=True)
class Repeated:
    """What several splits came to.

    Attributes:
        ginis: of the first score on the judged part of each split.
        mean: their mean. The interval is of that mean: every resample draws entities once for all splits, since
            these share them; that scores were tuned on other entities in each split is taken as given.
        others: of the second score; empty where there is none.
        difference: mean of first − second; None where there is no second.
        share_above: share of resamples in which the first was above; equal ones count as halves; None as before.
    """

    ginis: tuple[float, ...]
    mean: ConfidenceInterval
    others: tuple[float, ...] = ()
    difference: ConfidenceInterval | None = None
    share_above: float | None = None


def halves(confirmed: Marks, repeats: int = 10, seed: int = 0) -> list[Marks]:
    """Choose the judged half of the entities so many times: half of the confirmed, and half of the others.

    Args:
        confirmed: n marks.
        repeats: how many splits; the seeds are *seed*, *seed* + 1 and so on.
        seed: of the first.

    Returns:
        Marks of the judged, n each; the others are for tuning.
    """
    parts = []
    for number in range(repeats):
        random = np.random.default_rng(seed + number)
        part = np.zeros(len(confirmed), dtype=bool)
        for side in (confirmed, ~confirmed):
            places = np.flatnonzero(side)
            part[random.permutation(places)[: len(places) // 2]] = True
        parts.append(part)
    return parts


def judge(
    parts: Sequence[Marks],
    scores: Sequence[Numbers],
    confirmed: Marks,
    others: Sequence[Numbers] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Repeated:
    """Measure scores on the judged part of every split, and compare them with others pairwise.

    Args:
        parts: n marks for each split.
        scores: n scores for each split, as tuned on its other part; only the judged are read.
        confirmed: n marks.
        others: n scores for each split to compare with.
        seed: of the resamples.
        resamples: how many.

    Raises:
        NotEnoughDataError: the judged of a split are all confirmed, or none is; or there are no splits.
    """
    if not parts:
        raise NotEnoughDataError("there are no splits to judge")
    ginis, means = _measured(parts, scores, confirmed, seed, resamples)
    mean = ranking_interval(float(np.mean(ginis)), means)
    if others is None:
        return Repeated(ginis, mean)
    theirs, their_drawn = _measured(parts, others, confirmed, seed, resamples)
    differences = means - their_drawn
    difference = ranking_interval(float(np.mean(ginis) - np.mean(theirs)), differences)
    return Repeated(ginis, mean, theirs, difference, float((np.sign(differences) + 1).mean() / 2))


def _measured(
    parts: Sequence[Marks], scores: Sequence[Numbers], confirmed: Marks, seed: int, resamples: int
) -> tuple[tuple[float, ...], Floats]:
    """Give the Gini of each split, and the mean over splits in each resample; equal seeds draw the same entities."""
    ginis = tuple(gini(score[part], confirmed[part]) for part, score in zip(parts, scores, strict=True))
    means = np.zeros(resamples)
    for number, counts in enumerate(_draw_counts(confirmed, seed, resamples)):
        means[number] = np.mean(
            [_gini(score[part], confirmed[part], counts[part]) for part, score in zip(parts, scores, strict=True)]
        )
    return ginis, means


def _draw_counts(confirmed: Marks, seed: int, resamples: int) -> Sequence[Integers]:
    """Draw how often each entity comes in each resample, the confirmed and the others apart."""
    random = np.random.default_rng(seed)
    counts = np.empty((resamples, len(confirmed)), dtype=np.int64)
    for side in (confirmed, ~confirmed):
        size = int(side.sum())
        counts[:, side] = random.multinomial(size, np.full(size, 1 / size), size=resamples)
    return list(counts)


def _gini(score: Numbers, confirmed: Marks, counts: Integers) -> float:
    """Gini where each entity comes so many times."""
    _, place = np.unique(score, return_inverse=True)
    hits = np.bincount(place, weights=counts * confirmed)
    others = np.bincount(place, weights=counts * ~confirmed)
    below = np.cumsum(others) - others / 2
    return float(2 * (hits * below).sum() / (hits.sum() * others.sum()) - 1)
