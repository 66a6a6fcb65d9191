"""Two halves of the customers: one is learnt from, the other judges."""

import numpy as np
import polars as pl

from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.text import count_text
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.governance.validate.labels import match_labels
from fivefold.risk.governance.validate.ranking import Marks
from fivefold.risk.governance.validate.run import ValidationOptions

LEAST_LABELS = 20
"""Confirmed customers, and others, on either side: with fewer a fifth of them, whose losses choose the penalty, holds
less than four."""


class Halves:
    """Who is learnt from and who judges, drawn by their ids.

    Attributes:
        learning: assessments of n entities, n marks of who is learnt from, n marks of who is confirmed.
        judging: the same of those who judge. Nobody is in both.
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
        self.learning = learning, ~_is_in(learning, judges) & _in_full(learning, marked.known_before), marked.confirmed
        self.judging = judging, _is_in(judging, judges) & _in_full(judging, judged.known_before), judged.confirmed

    def refuse_few(self) -> None:
        """Refuse sides with too few of a kind, with their numbers."""
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


def _in_full(assessments: Assessments, known_before: Marks) -> Marks:
    marks: Marks = (assessments.outcomes[STATUS] == Status.ASSESSED.value).to_numpy() & ~known_before
    return marks


def _drawn(entities: set[str], confirmed: set[str], seed: int) -> set[str]:
    """Draw half of the confirmed, and half of the others."""
    random = np.random.default_rng(seed)
    drawn: list[str] = []
    for side in (sorted(entities & confirmed), sorted(entities - confirmed)):
        drawn += [side[place] for place in random.permutation(len(side))[: len(side) // 2]]
    return set(drawn)
