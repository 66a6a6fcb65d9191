"""What would move the level of a stored entity: its last assessment with changes to inputs that a person can change.

Anyone who knows where a threshold lies can tell customers how to stay below it. So investigators see as much of it as
their view of a breakdown shows: the factors that fired, their inputs, and in which direction these would have to
change. The existence of another factor cannot be inferred from an omission either: for a change that does not help,
they only see that it is not among the changes shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.compiler.value_types import vocabulary
from fivefold.risk.engine.explain.breakdown import Explanation
from fivefold.risk.engine.program import program_for
from fivefold.risk.governance.beside import Beside
from fivefold.risk.governance.what_if.answers import InputChange, SmallestChange, WhatIf, what_if
from fivefold.risk.governance.what_if.hold import HeldBy, LevelHold
from fivefold.risk.governance.what_if.search import ChangedAssessment, WantedDirection
from fivefold.risk.language.expressions import input_key
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels import levels
from fivefold.store.levels.overrides import is_of_override, live_override_id
from fivefold.store.rulesets.rulesets import active_versions
from fivefold.store.tables.levels import Assessment
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.levels.content.breakdowns import inputs_of
from fivefold.usecases.levels.content.inputs import inputs_frame, override_of, previous_of
from fivefold.usecases.levels.explain import gave_something, numbers_seen, visible_value
from fivefold.usecases.levels.read import Freshness, LevelView, read_level
from fivefold.usecases.levels.replay import list_versions_used
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context

NOT_SHOWN = "not shown"
"""The reason for a factor without an answer, for readers who may not know more."""


@schema("WhatIfInput")
@dataclass(frozen=True, kw_only=True)
class ChangeShown:
    """An input that would be changed.

    Attributes:
        factors: the titles of its factors.
        name: the input in plain words.
        now: its value.
        towards: lower, higher, known (it was unknown) or other.
        then: the necessary value, in its own unit; None for readers who may not see thresholds.
    """

    factors: tuple[str, ...]
    name: str
    now: str
    towards: str
    then: str | None


@schema("WhatIfCase")
@dataclass(frozen=True, kw_only=True)
class CaseShown:
    """A factor whose case would change: to which one, in words, and with which effect."""

    factor: str
    case_before: str
    effect_before: str
    case_after: str
    effect_after: str


@schema("WhatIfAnswer")
@dataclass(frozen=True, kw_only=True)
class AnswerShown:
    """A smallest change that moves the level: of one factor, or of two.

    Attributes:
        level: the rules' level then.
        held_until_us: until then the cooldown, or an unknown floor, holds the level all the same; None where nothing
            does, or that moment is over.
        score: the total then; None for readers who may not see thresholds.
        cases: the factors whose case changes; None likewise.
    """

    changes: tuple[ChangeShown, ...]
    level: str
    held_until_us: Annotated[Moment | None, shown_as("held_until")]
    score: str | None
    cases: tuple[CaseShown, ...] | None


@schema("WhatIfFactor")
@dataclass(frozen=True)
class FactorShown:
    """A factor of which no single change moves the level, and why: a reason as in `FactorWithout`.

    Readers who may not see thresholds see the factors without a visible change of this kind, with the reason *not
    shown* unless a person cannot change it, or a visible pair has it.
    """

    factor: str
    why: str
    gives: bool


@schema("WhatIfHold")
@dataclass(frozen=True)
class HoldShown:
    """What holds a level beneath something else, and until when; `until` is None where no end is known.

    `by` rules: what they say once a floor that is part of their level has ended.
    """

    by: HeldBy
    level: str
    until_us: Annotated[Moment | None, shown_as("until")]


@schema("WhatIf")
@dataclass(frozen=True, kw_only=True)
class WhatIfShown:
    """The changes that would move a level.

    Attributes:
        assessment: the assessment that is varied, such as 12.3.
        as_of_us: its moment.
        direction: down or up.
        level: the rules' level, beneath cooldown and override; None if they gave none in full.
        level_in_force: what holds, as the customer's page says it.
        held_by: what holds it beside the rules, which may give the same level; None where nothing does.
        held_until_us: until then; None where no end is known.
        held_beneath: what would hold without that, each above the next.
        status: of the assessment, which says why they gave none.
        failures: what stood in the way, each with its place; empty for readers who may not see thresholds.
        wished: the requested level; None if there is none in that direction.
        beyond: levels beyond it are good enough too, and there are some.
        overridden: an override was in force, above the rules' level.
        without: the other factors.
        answers_not_shown: the number of answers about factors that gave nothing, which not everybody may know: their
            inputs would change, or they would begin to give something.
        pairs_left_out: the number of pairs of changes that were not tried; None for readers who may not see thresholds,
            as the pairs are of all factors.
    """

    assessment: str
    as_of_us: Annotated[Moment, shown_as("as_of")]
    direction: str
    level: str | None
    level_in_force: str | None
    held_by: HeldBy | None
    held_until_us: Annotated[Moment | None, shown_as("held_until")]
    held_beneath: tuple[HoldShown, ...]
    status: str
    failures: tuple[str, ...]
    wished: str | None
    beyond: bool
    overridden: bool
    answers: tuple[AnswerShown, ...]
    without: tuple[FactorShown, ...]
    answers_not_shown: int
    pairs_left_out: int | None


def read_what_if(
    context: Context,
    type_name: str,
    external_id: str,
    direction: WantedDirection = WantedDirection.DOWN,
    level: str | None = None,
    *,
    with_thresholds: bool,
) -> WhatIfShown | None:
    """Find what would move an entity's level, from its last assessment as it was recorded; nothing is stored.

    None if there is no assessment, no ruleset took part in it, or it was erased. NotFoundError if there is no such
    entity, ConfigError if there is no such level.
    """
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        standing = levels.current_level(session, entity.id)
        row = (
            None
            if standing is None
            else levels.assessment_of(session, context.organisation_id, entity.id, standing.number)
        )
        subject = None if row is None else subject_of_assessment(session, row)
        if subject is None or row is None or row.version_id is None:
            return None
        subject = replace(subject, beside=_beside(session, row.version_id))
        live = is_of_override(standing, session.scalar(select(live_override_id(entity.id, context.now()))))
    names = subject.program.ruleset.levels
    if level is not None and level not in names:
        raise ConfigError(f"there is no level {level!r}; there are {', '.join(names)}{perhaps(level, names)}")
    result = what_if(subject, direction, None if level is None else names.index(level) + 1)
    standing_now = read_level(context, type_name, external_id, Freshness.STORED)
    now = context.now()
    result = replace(
        result,
        holds=_holds_now(result.holds, standing_now, now, override_is_live=live),
        answers=tuple(
            replace(one, held_until=None) if one.held_until is not None and one.held_until <= now else one
            for one in result.answers
        ),
    )
    view = _View(subject, result.now, with_thresholds=with_thresholds)
    return view.of(f"{row.entity_id}.{row.number}", standing_now.level, result)


def _holds_now(
    holds: Sequence[LevelHold], standing: LevelView, now: int, *, override_is_live: bool
) -> tuple[LevelHold, ...]:
    """Return what holds a level now, each above the next.

    An override may have ended since, and so may holds that end with time. An ended override is named last, beneath a
    floor that is above it, until the level is computed without it. A level whose last assessment was incomplete has no
    known day on which it moves down.
    """
    names, ended = [one.by for one in holds], tuple[LevelHold, ...]()
    if "override" in names and not override_is_live:
        place = names.index("override")
        if standing.level != standing.rules_level:
            holds, ended = holds[:place], (replace(holds[place], by="ended override", until=None),)
        else:
            holds = holds[place + 1 :]
    dated = [one if one.by == "override" or standing.is_in_full else replace(one, until=None) for one in holds]
    present = list(dict.fromkeys(one.at(now) for one in dated))  # a floor may be both above and beneath an override
    return (*present[:1], *(one for one in present[1:] if not one.has_ended), *ended)


def subject_of_assessment(session: Session, row: Assessment) -> ChangedAssessment | None:
    """Return the inputs of an assessment, ready to be changed; None if no ruleset took part, or they were erased."""
    inputs = inputs_of(session, row)
    if inputs is None or row.breakdown is None or row.version_id is None:
        return None
    analysed = analyse_canonical(session.get_one(RulesetVersion, row.version_id).canonical)
    entity = str(row.entity_id)
    versions = list_versions_used(session, row.organisation_id, inputs["lists"])
    return ChangedAssessment(
        program_for(analysed, versions, inputs["base"]),
        versions,
        inputs["base"],
        inputs_frame(inputs, row.as_of_us, entity),
        previous_of(inputs["previous"], entity),
        override_of(inputs["override"], entity),
    )


def _beside(session: Session, version_id: int) -> Beside:
    """Find the active rulesets that are tried before a version's family and after it; all precede one that is off."""
    version = session.get_one(RulesetVersion, version_id)
    type_id = session.get_one(Family, version.family_id).type_id
    active = active_versions(session, version.organisation_id, type_id)
    families = [each.family_id for each in active]
    place = families.index(version.family_id) if version.family_id in families else len(families)
    rulesets = [analyse_canonical(each.canonical) for each in active]
    return Beside(tuple(rulesets[:place]), tuple(rulesets[place + 1 :]))


class _View:
    """The part of an answer that a reader may see."""

    def __init__(self, subject: ChangedAssessment, now: Explanation, *, with_thresholds: bool) -> None:
        self._ruleset = subject.program.ruleset
        self._base = subject.base
        self._inputs = subject.inputs.row(0, named=True)
        self._whole = with_thresholds
        fired = [one for one in now.rules if gave_something(one.case, one.points, one.floor)]
        self._fired = {one.rule for one in fired}
        self._rule_numbers = numbers_seen([{"rule": one.rule, "case": one.case} for one in fired], self._ruleset)

    def of(self, assessment: str, level_in_force: str | None, result: WhatIf) -> WhatIfShown:
        """Return the visible part of a result."""
        visible = [answer for answer in result.answers if self._may_see(answer)]
        hold = next(iter(result.holds), None)
        answers = tuple(dict.fromkeys(map(self._answer, visible)))  # without thresholds several are equal
        return WhatIfShown(
            assessment=assessment,
            as_of_us=result.now.as_of,
            direction=result.direction.value,
            level=result.level,
            level_in_force=level_in_force,
            held_by=None if hold is None else hold.by,
            held_until_us=None if hold is None else hold.until,
            held_beneath=tuple(HoldShown(one.by, one.level, one.until) for one in result.holds[1:]),
            status=result.now.status,
            failures=result.now.failures if self._whole else (),
            wished=result.wished,
            beyond=bool(result.beyond),
            overridden=result.overridden,
            answers=answers,
            without=tuple(self._without(result, visible)),
            answers_not_shown=len(result.answers) - len(visible),
            pairs_left_out=result.pairs_left_out if self._whole else None,
        )

    def _may_see(self, answer: SmallestChange) -> bool:
        """Return whether an answer only changes factors that gave something, and makes no other one give something."""
        return self._whole or (
            all(each.rule in self._fired for each in answer.factors)
            and all(
                self._fired.intersection(each.rules) and input_key(each.rule_input) in self._rule_numbers
                for each in answer.changes
            )
        )

    def _answer(self, answer: SmallestChange) -> AnswerShown:
        """Describe an answer; score and cases only with thresholds."""
        cases = tuple(
            CaseShown(
                factor=each.title,
                case_before=each.before.case_outcome.reason,
                effect_before=each.before.case_outcome.effect,
                case_after=each.after.case_outcome.reason,
                effect_after=each.after.case_outcome.effect,
            )
            for each in answer.factors
        )
        return AnswerShown(
            changes=tuple(map(self._change, answer.changes)),
            level=answer.level,
            held_until_us=answer.held_until,
            score=answer.after.score if self._whole else None,
            cases=cases if self._whole else None,
        )

    def _change(self, change: InputChange) -> ChangeShown:
        """Describe a changed input; its new value only with thresholds."""
        cuts = change.cuts if self._whole else self._rule_numbers[input_key(change.rule_input)]
        visible = visible_value(change.rule_input, self._inputs, vocabulary(self._ruleset), self._base, cuts)
        return ChangeShown(
            factors=tuple(title for rule, title in change.rules.items() if self._whole or rule in self._fired),
            name=change.name if self._whole else visible.name,
            now=visible.value,
            towards=change.side.value,
            then=change.then if self._whole else None,
        )

    def _without(self, result: WhatIf, visible: Sequence[SmallestChange]) -> Iterator[FactorShown]:
        """Yield the factors without an answer; without thresholds, nothing may reveal factors that gave nothing."""
        if self._whole:
            yield from (FactorShown(one.title, one.why, one.gives) for one in result.without)
            return
        alone = {_key(answer.changes[0]) for answer in visible if len(answer.changes) == 1}
        paired = {_key(change) for answer in visible if len(answer.changes) > 1 for change in answer.changes}
        fired = [rule for rule in self._ruleset.rules if rule.id in self._fired and result.wished is not None]
        declared = {rule.input and input_key(rule.input) for rule in fired if rule.changeable is not None}
        fixed = {one.rule for one in result.without if not one.is_changeable}
        gives = {one.rule for one in result.now.rules if one.points or one.floor}
        for rule in fired:
            key = None if rule.input is None else input_key(rule.input)
            if key is None or key not in declared or rule.id in fixed:
                yield FactorShown(rule.title, "not changeable", rule.id in gives)
            elif key not in alone:
                yield FactorShown(rule.title, "only with another" if key in paired else NOT_SHOWN, rule.id in gives)


def _key(change: InputChange) -> str:
    return input_key(change.rule_input)
