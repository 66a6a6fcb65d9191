"""Differences between two assessments of an entity, from their stored results: nothing is computed again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.language.quantities import decimal_text
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.recourse.challenges import override_of
from fivefold.store.rulesets.rulesets import rulesets_of_versions
from fivefold.store.tables.levels import Assessment, OverrideRow
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.content.breakdowns import breakdown_of, inputs_of
from fivefold.usecases.levels.explain import FiredRule, fired_rules, inputs_with_names
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.portfolio.current_levels import DecidedBy
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

ADDED, GONE, CHANGED, FAILED, COMPUTED = "added", "gone", "changed", "failed", "computed"
BEGAN, ENDED = "began", "ended"


@dataclass(frozen=True, kw_only=True)
class AssessmentCompared:
    """One of two assessments; `score` is null if no ruleset decided, or it was erased."""

    assessment: str
    at_us: Annotated[Moment, shown_as("at")]
    level: str | None
    rules_level: str | None
    status: str
    source: str
    score: str | None
    decided_by: DecidedBy | None


@dataclass(frozen=True, kw_only=True)
class FactorChange:
    """A rule that contributed to one of two assessments, or differently to both, or could be computed in one alone.

    `change`: added, gone, changed, failed or computed. `points`: how many more points it added, exact. `earlier` and
    `later` are its contributions; null for none. `problem`: why a failed one could not be computed in the later one,
    though it could in the earlier one; why a computed one could not be in the earlier one, though it is in the later
    one; null for the others.
    """

    title: str
    change: str
    points: str
    earlier: FiredRule | None
    later: FiredRule | None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class AssessmentDifference:
    """The difference between an assessment of an entity and a later one.

    `points`: by how much the later total is higher, exact. `factors` add up to it, the largest first; `unchanged` is
    the number of factors that are equal in both. All three are null if one of the two was erased. `override`: one
    began, ended or changed, as it has another level or end; null where none did, and where that is not known any more.
    """

    earlier: AssessmentCompared
    later: AssessmentCompared
    points: str | None
    factors: tuple[FactorChange, ...] | None
    unchanged: int | None
    override: str | None


@dataclass(frozen=True, kw_only=True)
class _Read:
    """The stored result of an assessment.

    Attributes:
        total: the exact total; None if it was erased.
        fired: the rules that fired, by the number of the ruleset's family and the id of the rule.
        failed: the title of each rule that could not be computed, and why, by the same key.
        computed: the keys of all rules that could be computed.
        override: the level and the end of the override in force; None if there was none.
        is_whole: whether its inputs are still stored.
    """

    shown: AssessmentCompared
    total: Decimal | None
    fired: Mapping[tuple[int, str], FiredRule] = field(default_factory=dict)
    failed: Mapping[tuple[int, str], tuple[str, str]] = field(default_factory=dict)
    computed: frozenset[tuple[int, str]] = frozenset()
    override: Sequence[int | None] | None
    is_whole: bool


def compare_assessments(context: Context, later: str, earlier: str | None = None) -> AssessmentDifference:
    """Compare an assessment, such as 12.3, with an earlier one of the same entity, by default the previous one.

    NotFoundError if there is no such assessment, or no previous one; ConfigError if they are of different entities, or
    the earlier one is not earlier.
    """
    with context.reading() as session:
        second = find_assessment(session, context.actor, later)
        if earlier is None and second.number == 1:
            raise NotFoundError(f"{later} is the first assessment of its entity, so there is none before it")
        before = f"{second.entity_id}.{second.number - 1}" if earlier is None else earlier
        first = find_assessment(session, context.actor, before)
        if first.entity_id != second.entity_id:
            raise ConfigError(f"{before} and {later} are assessments of different entities")
        if first.number >= second.number:
            raise ConfigError(f"{before} is not earlier than {later}")
        names = (None, *levels_of(session, context.organisation_id))
        return _difference(*(_read(session, row, names) for row in (first, second)))


def _read(session: Session, row: Assessment, names: tuple[str | None, ...]) -> _Read:
    """Read the stored result of an assessment."""
    breakdown = breakdown_of(session, row)
    version = None if row.version_id is None else session.get_one(RulesetVersion, row.version_id)
    ruleset = None if version is None else rulesets_of_versions(session, [version.id])[version.id]
    summary = AssessmentCompared(
        assessment=f"{row.entity_id}.{row.number}",
        at_us=row.as_of_us,
        level=names[row.level or 0],
        rules_level=names[row.rules_level or 0],
        status=row.status,
        source=row.source,
        score=None if breakdown is None or version is None else row.score,
        decided_by=None if ruleset is None else DecidedBy(name=ruleset[0], version=ruleset[1]),
    )
    recorded_inputs = inputs_of(session, row)
    is_whole = recorded_inputs is not None
    if version is None:  # without a ruleset only an override is read
        number = override_of(session, row) if is_whole else None
        by_hand = None if number is None else session.get_one(OverrideRow, number)
        set_level = None if by_hand is None else [by_hand.level, by_hand.until_us]
        total = None if breakdown is None else Decimal(0)
        return _Read(shown=summary, total=total, override=set_level, is_whole=is_whole)
    override = None if recorded_inputs is None else _in_force(recorded_inputs["override"], row.as_of_us)
    if breakdown is None:
        return _Read(shown=summary, total=None, override=override, is_whole=is_whole)
    failed = _failed(breakdown, version)
    return _Read(
        shown=summary,
        total=Decimal(breakdown["total"]),
        fired=_fired(session, recorded_inputs, breakdown, version),
        failed=failed,
        computed=frozenset((version.family_id, each["rule"]) for each in breakdown["rules"]) - failed.keys(),
        override=override,
        is_whole=is_whole,
    )


def _in_force(override: Sequence[int | None] | None, as_of_us: int) -> Sequence[int | None] | None:
    """Return a recorded override, its level and end; None if it had ended."""
    return None if override is None or (override[1] is not None and override[1] <= as_of_us) else override


def _fired(
    session: Session,
    recorded_inputs: Mapping[str, Any] | None,
    breakdown: Mapping[str, Any],
    version: RulesetVersion,
) -> dict[tuple[int, str], FiredRule]:
    analysed = analyse_canonical(version.canonical)
    named = None if recorded_inputs is None else inputs_with_names(session, recorded_inputs, analysed)
    fired = fired_rules(breakdown, analysed.ruleset, named)
    return {(version.family_id, rule): each for rule, each in fired.items()}


def _failed(breakdown: Mapping[str, Any], version: RulesetVersion) -> dict[tuple[int, str], tuple[str, str]]:
    return {
        (version.family_id, each["rule"]): (each["title"], " and ".join(each["errors"]))
        for each in breakdown["rules"]
        if each["case"] == "failed"
    }


def _difference(first: _Read, second: _Read) -> AssessmentDifference:
    """Compare two results factor by factor, the largest change first."""
    override = _override_change(first, second) if first.is_whole and second.is_whole else None
    if first.total is None or second.total is None:
        return AssessmentDifference(
            earlier=first.shown, later=second.shown, points=None, factors=None, unchanged=None, override=override
        )
    problems = {key: (FAILED, *of) for key, of in second.failed.items() if key in first.computed}
    problems |= {key: (COMPUTED, *of) for key, of in first.failed.items() if key in second.computed}
    pairs = {
        key: (first.fired.get(key), second.fired.get(key))
        for key in dict.fromkeys((*first.fired, *second.fired, *problems))
    }
    changes = [
        _change(*pair, problems.get(key)) for key, pair in pairs.items() if pair[0] != pair[1] or key in problems
    ]
    changes.sort(key=lambda change: (-abs(Decimal(change.points)), change.title))
    return AssessmentDifference(
        earlier=first.shown,
        later=second.shown,
        points=decimal_text(second.total - first.total),
        factors=tuple(changes),
        unchanged=len(pairs) - len(changes),
        override=override,
    )


def _override_change(first: _Read, second: _Read) -> str | None:
    if first.override == second.override:
        return None
    return BEGAN if first.override is None else ENDED if second.override is None else CHANGED


def _change(
    earlier: FiredRule | None, later: FiredRule | None, computed_once: tuple[str, str, str] | None
) -> FactorChange:
    """Describe the change of one factor.

    *computed_once* is set for a factor that only one of the two could compute: the change, the title, and the reason.
    """
    points = [Decimal(0) if each is None else Decimal(each.points) for each in (earlier, later)]
    present = later or earlier
    change = ADDED if earlier is None else GONE if later is None else CHANGED
    usual = (change, "" if present is None else present.title, None)
    change, title, problem = computed_once or usual
    return FactorChange(
        title=title,
        change=change,
        points=decimal_text(points[1] - points[0]),
        earlier=earlier,
        later=later,
        problem=problem,
    )
