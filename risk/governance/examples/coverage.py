"""The cases of which examples expect something: a case is tested only where an expectation depends on it."""

from collections.abc import Iterator, Sequence

import polars as pl

from fivefold.risk.engine.assessments import COMPUTED, Assessments, Status
from fivefold.risk.engine.explain.breakdown import Explanation
from fivefold.risk.engine.explain.outcomes import RuleOutcome
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.language.ruleset import Expectation, Ruleset


def expected_cases(
    ruleset: Ruleset, assessments: Assessments, explained: Sequence[Explanation]
) -> Iterator[tuple[str, int]]:
    """Give rule and number of each case of which an example expects something.

    It does where it names the case, or the rule's floor; where it names the total, to which the case gives points; and
    where it names the level, which would be another one without the case.

    Args:
        ruleset: with its examples.
        assessments: their assessments.
        explained: the same, explained.
    """
    expected_levels: list[tuple[int, RuleOutcome]] = []
    for number, (example, explanation) in enumerate(zip(ruleset.examples, explained, strict=True)):
        for outcome in explanation.rules:
            if not isinstance(outcome.case, int):
                continue
            if _is_named(example.expect, outcome):
                yield outcome.rule, outcome.case
            elif example.expect.level is not None and explanation.status == Status.ASSESSED:
                expected_levels.append((number, outcome))
    for (number, outcome), without in zip(
        expected_levels, _levels_without(assessments, explained, expected_levels), strict=True
    ):
        computed = assessments.outcomes[COMPUTED][number]
        stands = explained[number].rules_level == ruleset.levels[computed - 1]  # not one that the cooldown holds
        if stands and without != computed and isinstance(outcome.case, int):
            yield outcome.rule, outcome.case


def _is_named(expect: Expectation, outcome: RuleOutcome) -> bool:
    if expect.cases.get(outcome.rule) == outcome.case:
        return True
    if expect.floor_by == outcome.rule and outcome.floor:
        return True
    return expect.total is not None and bool(outcome.points)


def _levels_without(
    assessments: Assessments, explained: Sequence[Explanation], expected_levels: Sequence[tuple[int, RuleOutcome]]
) -> list[int | None]:
    """Give the level that each of some examples would come to without what one case gives."""
    total, levels = assessments.program.total, ("", *assessments.program.ruleset.levels)
    totals = [
        assessments.outcomes[TOTAL][number] - int(outcome.points * total.scale) for number, outcome in expected_levels
    ]
    floors = [
        max((levels.index(other.floor) for other in explained[number].rules if other.rule != outcome.rule), default=0)
        for number, outcome in expected_levels
    ]
    frame = pl.DataFrame({"total": totals, "floor": floors}, schema={"total": pl.Int64, "floor": pl.Int8})
    return frame.select(pl.max_horizontal(total.level(pl.col("total")), "floor")).to_series().to_list()
