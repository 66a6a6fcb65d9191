"""Learns points from log-odds, on half of the customers: a ridge over cases that keeps their signs and order.

Outcomes of 0 points, and outcomes that few entities got, are not learnt. Every other outcome keeps the sign of its
points and its place in the order of its rule; outcomes with equal points keep equal points. Cross-validation among the
learning entities chooses the strength of the penalty, and whether it is on the points of a case or on its step over the
next weaker one. Sources: of points from log-odds Siddiqi, "Credit Risk Scorecards"
(2006); of bounded steps Tutz and Leitenstorfer, "Generalized smooth monotonic regression" (2007); of the choice of the
penalty Breiman and others, "Classification and Regression Trees" (1984), section 3.4.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import linalg, optimize, special

from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.text import count_text
from fivefold.features.histories import Floats, Integers
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.governance.points.outcomes import (
    Ladder,
    Slot,
    added_points,
    ladders,
    slots_of,
    written_points,
)
from fivefold.risk.governance.validate.labels import match_labels
from fivefold.risk.governance.validate.ranking import Marks
from fivefold.risk.governance.validate.run import ValidationOptions
from fivefold.risk.language.quantities import POINT_UNITS

PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Strengths of the ridge, per entity. The strongest with a cross-validated loss within one standard error of the least
is chosen."""

FOLDS = 5

LEAST_GOT = 10
"""An outcome that fewer learning entities got keeps its points: its odds would rest on a handful."""

CASES, STEPS = "cases", "steps"
"""The subject of the penalty: the points of every case, or its step over the next weaker one."""

MOST_STEPS = 5_000
"""Most steps of the minimiser: far more than it needs."""

_LEAST_SPREAD = 1e-6
"""Least spread of the learnt margins: below it nothing was learnt."""


@dataclass(frozen=True)
class LearntPoints:
    """Points learnt from confirmed cases.

    Attributes:
        points: whole points of every outcome that has points other than 0, in the present order.
        learnt: the outcomes that were learnt; the others keep their points, or were moved by their neighbours.
        penalty: the chosen strength.
        held_back: what the penalty is on, cases or steps.
        doubling: the number of points that double the odds of being confirmed.
    """

    points: dict[Slot, int]
    learnt: frozenset[Slot]
    penalty: float
    held_back: str
    doubling: float


@dataclass(frozen=True)
class _Problem:
    """The minimisation problem: u distinct rows of a design, k steps on its ladders, f folds.

    Attributes:
        design: u x k.
        hits: f x u, the number of confirmed entities with each row.
        others: the same for entities that are not confirmed.
        signs: the signs of the k steps.
        cases: k x k, the points of each case by the steps.
    """

    design: Floats
    hits: Floats
    others: Floats
    signs: Sequence[int]
    cases: Floats


def learn_points(
    assessments: Assessments, sample: Marks, confirmed: Marks, seed: int, *, doubling: float | None = None
) -> LearntPoints:
    """Learn points.

    Args:
        assessments: the assessments of n entities by the ruleset whose cases are kept.
        sample: n marks of the learning entities, all of them assessed in full.
        confirmed: n marks; only those of the sample are read.
        seed: the seed of the folds, which are drawn by the entities' ids, so their order does not matter.
        doubling: the number of points that double the odds; by default such that totals spread as they do now.

    Raises:
        NotEnoughDataError: no outcome that enough entities got is confirmed more often in the direction of its points.
    """
    slots = {rule: got[sample] for rule, got in slots_of(assessments).items()}
    marks = confirmed[sample]
    every = ladders(assessments.program)
    used = [frequent for ladder in every if (frequent := _often_got(ladder, slots[ladder.rule])).rungs]
    written = written_points(assessments.program)
    if not used:
        raise NotEnoughDataError(
            f"no case of {assessments.program.ruleset.name} with points was given to {LEAST_GOT} of those who are "
            "learnt from; there is nothing to learn"
        )
    problem = _problem(used, slots, marks, _folds(assessments.outcomes.filter(sample)[ENTITY].to_list(), marks, seed))
    penalty, form = _chosen(problem)
    weights = _learnt(problem, problem.hits.sum(axis=0), problem.others.sum(axis=0), penalty, form)[1:]
    size = (
        _points_of_one(assessments, problem, weights, used, slots, written)
        if doubling is None
        else doubling / np.log(2)
    )
    values = [int(np.rint(value * size)) for value in problem.cases @ weights]
    rungs = [(ladder, rung) for ladder in used for rung in ladder.rungs]
    learnt = {(ladder.rule, slot): value for (ladder, rung), value in zip(rungs, values, strict=True) for slot in rung}
    points = {slot: value for ladder in every for slot, value in _in_order(ladder, learnt, written).items()}
    return LearntPoints(points, frozenset(learnt), penalty, form, float(size * np.log(2)))


def _often_got(ladder: Ladder, got: Integers) -> Ladder:
    often = tuple(rung for rung in ladder.rungs if np.isin(got, rung).sum() >= LEAST_GOT)
    return Ladder(ladder.rule, ladder.sign, often)


def _folds(entities: Sequence[str], confirmed: Marks, seed: int) -> Integers:
    """Assign every entity to a fold, the confirmed and the others separately."""
    order, folds = np.argsort(np.array(entities)), np.zeros(len(entities), dtype=np.int64)
    random = np.random.default_rng(seed)
    for side in (True, False):
        places = order[confirmed[order] == side]
        folds[random.permutation(places)] = np.arange(len(places)) % FOLDS
    return folds


def _problem(used: Sequence[Ladder], slots: Mapping[str, Integers], confirmed: Marks, folds: Integers) -> _Problem:
    """Make the design: a column for each rung, 1 where an entity is on it or on a stronger one."""
    columns = [
        np.isin(slots[ladder.rule], [slot for rung in ladder.rungs[number:] for slot in rung])
        for ladder in used
        for number in range(len(ladder.rungs))
    ]
    rows, place = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    hits, others = (
        np.array([np.bincount(place[(folds == fold) & side], minlength=len(rows)) for fold in range(FOLDS)])
        for side in (confirmed, ~confirmed)
    )
    signs = [ladder.sign for ladder in used for _ in ladder.rungs]
    steps = linalg.block_diag(*(np.tri(len(ladder.rungs)) for ladder in used))
    return _Problem(rows.astype(np.float64), hits.astype(np.float64), others.astype(np.float64), signs, steps)


def _chosen(problem: _Problem) -> tuple[float, str]:
    """Choose the strongest penalty within one standard error of the best, in the best penalty's form."""
    best: tuple[float, float, str] | None = None
    for form in (CASES, STEPS):
        losses = np.array([[_left_out(problem, fold, penalty, form) for fold in range(FOLDS)] for penalty in PENALTIES])
        means, errors = losses.mean(axis=1), losses.std(axis=1, ddof=1) / FOLDS**0.5
        least = int(means.argmin())
        within = [size for size, mean in zip(PENALTIES, means, strict=True) if mean <= means[least] + errors[least]]
        if best is None or means[least] < best[0]:
            best = float(means[least]), max(within), form
    assert best is not None
    return best[1], best[2]


def _left_out(problem: _Problem, fold: int, penalty: float, form: str) -> float:
    """Return the loss on a fold of the weights learnt on the others."""
    hits, others = (np.delete(side, fold, axis=0).sum(axis=0) for side in (problem.hits, problem.others))
    weights = _learnt(problem, hits, others, penalty, form)
    return _loss(weights, problem.design, problem.hits[fold], problem.others[fold], np.zeros_like(problem.cases))[0]


def _learnt(problem: _Problem, hits: Floats, others: Floats, penalty: float, form: str) -> Floats:
    """Minimise the penalised loss: the intercept first, then a weight for each step."""
    held_back = problem.cases.T @ problem.cases if form == CASES else np.eye(len(problem.cases))
    bounds = [(None, None), *((0, None) if sign > 0 else (None, 0) for sign in problem.signs)]
    optimum = optimize.minimize(
        _loss,
        np.zeros(len(bounds)),
        args=(problem.design, hits, others, penalty * held_back),
        jac=True,
        bounds=bounds,
        method="TNC",  # L-BFGS-B gives the same points, but waits for threads when it adds a few numbers
        options={"maxfun": MOST_STEPS},
    )
    weights: Floats = optimum.x
    return weights


def _loss(weights: Floats, design: Floats, hits: Floats, others: Floats, ridge: Floats) -> tuple[float, Floats]:
    """Return the mean logistic loss with its gradient; the intercept is not penalised."""
    count, margin = hits.sum() + others.sum(), weights[0] + design @ weights[1:]
    pull = ridge @ weights[1:]
    loss = (hits @ np.logaddexp(0, -margin) + others @ np.logaddexp(0, margin)) / count + weights[1:] @ pull / 2
    slope = ((hits + others) * special.expit(margin) - hits) / count
    return float(loss), np.concatenate([[slope.sum()], design.T @ slope + pull])


def _points_of_one(
    assessments: Assessments,
    problem: _Problem,
    weights: Floats,
    used: Sequence[Ladder],
    slots: Mapping[str, Integers],
    written: Mapping[Slot, int],
) -> float:
    """Return the points of one unit of log-odds, so that the learnt outcomes spread totals as before."""
    counts = (problem.hits + problem.others).sum(axis=0)
    margin = problem.design @ weights
    mean = counts @ margin / counts.sum()
    spread = float((counts @ (margin - mean) ** 2 / counts.sum()) ** 0.5)
    if spread < _LEAST_SPREAD:
        raise NotEnoughDataError(
            f"no case of {assessments.program.ruleset.name} is confirmed more often, or less, in the direction of its "
            "points; points that rank cannot be learnt from these labels"
        )
    own = {(ladder.rule, slot): written[ladder.rule, slot] for ladder in used for rung in ladder.rungs for slot in rung}
    return float(added_points(slots, own).std() / POINT_UNITS / spread)


def _in_order(ladder: Ladder, learnt: Mapping[Slot, int], written: Mapping[Slot, int]) -> dict[Slot, int]:
    """Return the points of all outcomes of a ladder: those not learnt keep theirs, as far as the order allows."""
    learnt_points = [learnt.get((ladder.rule, rung[0])) for rung in ladder.rungs]
    points: dict[Slot, int] = {}
    lowest = 0
    for number, rung in enumerate(ladder.rungs):
        size = learnt_points[number]
        if size is None:
            own = int(np.rint(abs(written[ladder.rule, rung[0]]) / POINT_UNITS))
            above = next((abs(value) for value in learnt_points[number:] if value is not None), own)
            size = min(max(own, lowest), max(above, lowest))
        lowest = abs(size)
        points |= {(ladder.rule, slot): ladder.sign * lowest for slot in rung}
    return points


LEAST_LABELS = 20
"""Fewest confirmed customers, and fewest others, on either side: with fewer, a fifth of them, whose losses choose the
penalty, has less than four."""


class Halves:
    """The learning and the judging entities, drawn by their ids.

    Attributes:
        learning: assessments of n entities, n marks of the learning ones, n marks of the confirmed ones.
        judging: the same for the judging entities. No entity is in both.
    """

    def __init__(
        self, judging: Assessments, learning: Assessments, labels: pl.DataFrame, options: ValidationOptions
    ) -> None:
        later = {"undated_are_later": options.undated_are_later}
        end = options.until
        if learning is not judging:
            end = int(judging.outcomes[AS_OF].min())  # type: ignore[arg-type]  # moments are whole numbers
        marked = match_labels(labels, learning.outcomes, end, **later)
        judged = match_labels(labels, judging.outcomes, options.until, **later)
        ever = _ids(learning, marked.confirmed) | _ids(judging, judged.confirmed | judged.known_before)
        judges = _drawn({*learning.outcomes[ENTITY], *judging.outcomes[ENTITY]}, ever, options.seed)
        self._drawn = (
            (learning, marked, ~_is_in(learning, judges) & marked.judged(learning.outcomes)),
            (judging, judged, _is_in(judging, judges) & judged.judged(judging.outcomes)),
        )
        self.learning, self.judging = (
            (side, sample & _in_full(side), labels.confirmed) for side, labels, sample in self._drawn
        )

    def failed(self) -> tuple[int, int]:
        """Count the drawn entities that could not be assessed in full, and the confirmed among them."""
        lost = [labels.confirmed[sample & ~_in_full(side)] for side, labels, sample in self._drawn]
        return sum(map(len, lost)), int(sum(marks.sum() for marks in lost))

    def refuse_few(self) -> None:
        """Refuse sides with too few of a kind, naming the numbers."""
        counts = [
            (int((sample & marks).sum()), int((sample & ~marks).sum()))
            for _, sample, marks in (self.learning, self.judging)
        ]
        if min(map(min, counts)) >= LEAST_LABELS:
            return
        (hits, others), (judged_hits, judged_others) = counts
        raise NotEnoughDataError(
            f"to learn from there are {count_text(hits, 'confirmed customer')} and {count_text(others, 'other')}, "
            f"to judge by {judged_hits:,} and {judged_others:,}, assessed in full; at least {LEAST_LABELS} of each are "
            f"needed, so {2 * LEAST_LABELS} confirmed and {2 * LEAST_LABELS} others in all"
        )


def _ids(assessments: Assessments, marks: Marks) -> set[str]:
    return set(assessments.outcomes.filter(marks)[ENTITY])


def _is_in(assessments: Assessments, entities: set[str]) -> Marks:
    marks: Marks = assessments.outcomes[ENTITY].is_in(list(entities)).to_numpy()
    return marks


def _in_full(assessments: Assessments) -> Marks:
    marks: Marks = (assessments.outcomes[STATUS] == Status.ASSESSED.value).to_numpy()
    return marks


def _drawn(entities: set[str], confirmed: set[str], seed: int) -> set[str]:
    """Draw half of the confirmed, and half of the others."""
    random = np.random.default_rng(seed)
    drawn: list[str] = []
    for side in (sorted(entities & confirmed), sorted(entities - confirmed)):
        drawn += [side[place] for place in random.permutation(len(side))[: len(side) // 2]]
    return set(drawn)
