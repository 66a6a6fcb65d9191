"""The position of an assessment's score on its ruleset's scale, and the floor that raised the level above that."""

from dataclasses import dataclass

from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.engine.assessments import Status
from fivefold.risk.language.ruleset import PointsScore, Score, WeightedScore
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.content.breakdowns import breakdown_of
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class ScoreScale:
    """A score among the levels of its ruleset.

    Attributes:
        score: the displayed total of the points.
        score_level: the level of the score alone.
        floor: the level that a floor raised it to; None if no floor did.
        floor_rule: the title of the rule that has the floor.
        floor_unknown: whether the rule has the floor because its input was not known.
        begins: the scores at which the levels above the lowest begin; empty if they are not shown, and if a ruleset
            names ranges instead.
    """

    score: str
    score_level: str
    floor: str | None
    floor_rule: str | None
    begins: tuple[str, ...]
    floor_unknown: bool = False


def read_scale(context: Context, assessment: str, *, with_thresholds: bool) -> ScoreScale | None:
    """Return the stored scale of an assessment, such as 12.3; None if no score gave a level.

    Thresholds are only for people who may read rulesets. NotFoundError if the organisation has no such assessment.
    """
    with context.reading() as session:
        row = find_assessment(session, context.actor, assessment)
        if row.version_id is None:
            return None
        breakdown = breakdown_of(session, row)
        if breakdown is None or breakdown["status"] != Status.ASSESSED:
            return None
        ruleset = analyse_canonical(session.get_one(RulesetVersion, row.version_id).canonical).ruleset
    score_level, floor = breakdown["score_level"], breakdown["floor"]
    is_raised = bool(floor) and ruleset.level_number(floor) > ruleset.level_number(score_level)
    raising = next(rule for rule in breakdown["rules"] if rule["floor"] == floor) if is_raised else None
    return ScoreScale(
        score=breakdown["score"],
        score_level=score_level,
        floor=floor if is_raised else None,
        floor_rule=None if raising is None else raising["title"],
        begins=_thresholds(ruleset.score) if with_thresholds else (),
        floor_unknown=raising is not None and raising["case"] == "unknown",
    )


def _thresholds(score: Score) -> tuple[str, ...]:
    match score:
        case PointsScore(points=points):
            return tuple(f"{each:f}" for each in points.thresholds)
        case WeightedScore(weighted=weighted):
            return tuple(f"{each:f}" for each in weighted.bands)
        case _:
            return ()
