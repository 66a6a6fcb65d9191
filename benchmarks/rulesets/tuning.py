"""Points from log-odds: a ruleset's shape is kept, its points and thresholds are learnt on the tuning half alone.

The procedure is the product's, `fivefold rules propose-points`: every rule keeps its input, its cases and their order.
What is fixed here is the shape that it begins with, so that no split begins with the points of another, the size of a
point, and the shares of the levels.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from fivefold.domain.errors import NotEnoughDataError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import FLOOR, TOTAL, compile_ruleset
from fivefold.risk.governance.points.draft import with_new_numbers
from fivefold.risk.governance.points.learning import learn_points
from fivefold.risk.governance.points.outcomes import changed_ruleset, with_cuts, with_points
from fivefold.risk.governance.thresholds.cuts import nearest_cuts, present_cuts
from fivefold.risk.governance.validate.ranking import Marks
from fivefold.risk.language.quantities import POINT_UNITS
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Outcome, Rule, Ruleset

DOUBLES_ODDS = 20
"""So many points double the odds of being confirmed."""

POINTS_A_CASE = 2
"""What a case gives more than the next weaker one in the shape: few points, as cases that hardly anyone gets keep
theirs."""

SHARES_BELOW = np.cumsum((0.65, 0.225, 0.09))
"""Shares of the portfolio below the upper levels: the middles of what the governance guide asks, in four levels."""


def shape_of(ruleset: Ruleset) -> Ruleset:
    """Forget the points of a ruleset but for their side of 0, which is that of each rule's first case.

    The strongest case is the first; what is unknown gives nothing.
    """

    def plain(rule: Rule) -> Rule:
        sign = 1 if (rule.cases[0].points or 0) >= 0 else -1
        sizes = range(len(rule.cases), 0, -1)
        cases = tuple(
            case.model_copy(update={"points": Decimal(sign * POINTS_A_CASE * size)})
            for case, size in zip(rule.cases, sizes, strict=True)
        )
        unknown = None if rule.on_unknown is None else Outcome(points=Decimal(0))
        return rule.model_copy(update={"cases": cases, "on_unknown": unknown})

    return changed_ruleset(ruleset, rules=tuple(map(plain, ruleset.rules)))


def tune(assessments: Assessments, is_learnt: Marks, confirmed: Marks, seed: int) -> Ruleset:
    """Learn points and thresholds.

    Args:
        assessments: of n entities by the ruleset whose shape is kept.
        is_learnt: n marks: who may be learnt from.
        confirmed: n marks; only those of `is_learnt` are read.
        seed: of the folds.

    Returns:
        The ruleset with new points and thresholds; everything else is as before.
    """
    program = assessments.program
    learnt = learn_points(assessments, is_learnt, confirmed, seed, doubling=DOUBLES_ODDS)
    tuned = with_points(program.ruleset, program, learnt.points)
    outcomes = assess_inputs(compile_ruleset(AnalysedRuleset(tuned), {}, assessments.base), assessments.inputs).filter(
        is_learnt
    )
    totals = (outcomes[TOTAL] // (program.total.scale // POINT_UNITS)).to_numpy()
    present = present_cuts(tuned).units
    try:
        cuts = nearest_cuts(totals, outcomes[FLOOR].to_numpy(), SHARES_BELOW, present, tuned.levels)
    except NotEnoughDataError:  # one rule alone, some of whose cases came to the same: its totals are what is asked for
        return tuned
    return with_cuts(tuned, [units for units, _ in cuts])


def without(ruleset: Ruleset, rules: Sequence[str]) -> Ruleset:
    """Take rules out; the points of the others stay until they are tuned again."""
    return changed_ruleset(ruleset, rules=tuple(rule for rule in ruleset.rules if rule.id not in rules))


def only(ruleset: Ruleset, rules: Sequence[str]) -> Ruleset:
    """Keep some rules alone."""
    return without(ruleset, [rule.id for rule in ruleset.rules if rule.id not in rules])


def written(text: str, tuned: Ruleset) -> str:
    """Put tuned points and thresholds into the text of the ruleset whose shape they have; its comments stay.

    Raises:
        ConfigError: the text is not of that ruleset.
    """
    return with_new_numbers(text, compile_ruleset(AnalysedRuleset(read_ruleset(text)), {}, "EUR"), tuned, {})
