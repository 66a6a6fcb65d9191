"""A statement for the person concerned: which data, the effect of each, and the effect of other values.

It is made from the stored record alone. A rule that is not disclosable leaves no trace: if a ruleset has one, none of
its statements has a level, a total or points, whatever the data of the person, so nothing can be inferred by
subtraction. An earlier floor that still holds may come from any ruleset that ever decided on the type: if one of them
has such a rule, the level is left out where a floor could hold, whether or not one does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Literal

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.errors import ConflictError
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.compiler.value_types import inputs_of_rule
from fivefold.risk.engine.assessments import Status
from fivefold.risk.engine.explain.describe import numbers_compared, pairs_compared
from fivefold.risk.engine.explain.personal import PersonalWording
from fivefold.risk.engine.explain.personal_values import PersonalInput, describe_for_person
from fivefold.risk.engine.explain.rules import RuleOutcome
from fivefold.risk.governance.disclosure import is_disclosable, is_whole
from fivefold.risk.governance.what_if.answers import explained, option_words
from fivefold.risk.governance.what_if.search import (
    ChangedAssessment,
    floor_from_before,
    level_of_any_floor,
    level_said,
)
from fivefold.risk.governance.what_if.variations import variations
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.quantities import decimal_text, point_units
from fivefold.risk.language.ruleset import Rule
from fivefold.store.accounts.lists import list_titles
from fivefold.store.ingest.entities import entity_named
from fivefold.store.rulesets.activations import contents_that_decided
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import Assessment
from fivefold.usecases.levels.content.breakdowns import gone_text
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.recourse.what_if import subject_of_assessment
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

Effect = Literal["raises the risk", "lowers the risk", "has no effect", "not known"]

PRINCIPLES = (
    "Each factor below looks at data about you by rules that are the same for every customer.",
    "It raises the risk, lowers it, or has no effect; together they decide how closely we look at the relationship.",
    "This statement says nothing of whether other checks were made, nor of what they found.",
    "You may contest it: a person then looks at the data and at the outcome again.",
)
"""The same words for everybody, so that they reveal nothing."""
Form = Literal["json", "pdf"]


@dataclass(frozen=True)
class DataStated:
    """Data that were known of the person."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class VariationStated:
    """The effect of another value of one kind of data, with everything else unchanged."""

    name: str
    value: str
    effect: Effect
    points: str | None
    level: str | None


@dataclass(frozen=True, kw_only=True)
class FactorStated:
    """A factor.

    Attributes:
        why: the rationale of the factor; None if the ruleset has none.
        points: exact, if every deciding rule may be disclosed; otherwise None.
        at_least: the lowest level that it allows, likewise.
    """

    title: str
    category: str
    why: str | None
    data: tuple[DataStated, ...]
    effect: Effect
    points: str | None
    at_least: str | None
    variations: tuple[VariationStated, ...]


@dataclass(frozen=True)
class Disclosure:
    """What is given to the person concerned."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content, which the audit log stores."""
        return sha256(canonical_json(asdict(self)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Statement(Disclosure):
    """The statement given to the person concerned.

    Attributes:
        level: of the points and the floors, if every deciding rule may be disclosed; otherwise None. None too where a
            floor from before may raise it, and a rule that ever decided on the type may not be disclosed.
        total: of the points, if every deciding rule may be disclosed; otherwise None.
        held_floor: a lowest level from an earlier assessment, which holds as it is not known whether the data call for
            it now, where it is above what the factors give; None where it is not, or the level is None.
    """

    assessment: str
    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    as_of_us: Annotated[Moment, shown_as("as_of")]
    principles: tuple[str, ...]
    level: str | None
    total: str | None
    held_floor: str | None
    factors: tuple[FactorStated, ...]


def give_statement(context: Context, assessment: str, form: Form) -> Statement:
    """Make the statement of an assessment, such as 12.3, and record that it was given.

    Raises:
        NotFoundError: there is no such assessment.
        ConflictError: its inputs were erased or removed, or no ruleset took part in it.
    """
    with context.reading() as session:
        row = find_assessment(session, context.actor, assessment)
        entity = session.get_one(Entity, row.entity_id)
        of = session.get_one(EntityType, entity.type_id).name, entity.external_id
        floors = all(is_whole(analyse_canonical(each)) for each in contents_that_decided(session, entity.type_id))
        subject = subject_of_assessment(session, row)
        if subject is None:
            raise _no_statement(session, row, assessment)
        moments = {name: version.since for name, version in subject.versions.items()}
        lists = list_titles(session, row.organisation_id, moments)
    statement = _statement(_Basis.of(subject, lists, floors=floors), assessment, *of, row.as_of_us)
    with context.writing() as session:
        entity = entity_named(session, context.organisation_id, *of, alone=True)  # so nothing is removed meanwhile
        row = find_assessment(session, context.actor, assessment)
        if row.breakdown is None:
            raise _no_statement(session, row, assessment)
        details = {"assessment": assessment, "form": form, "sha256": statement.sha256}
        context.record(session, "statement.given", ("entity", entity.id), details=details)
    return statement


def _no_statement(session: Session, row: Assessment, assessment: str) -> ConflictError:
    """Return the error that explains why no statement of an assessment can be given."""
    why = "no ruleset decided" if row.breakdown is not None else f"it {gone_text(session, row)}"
    return ConflictError(f"there can be no statement of assessment {assessment}: {why}")


@dataclass(frozen=True, kw_only=True)
class _Basis:
    """The basis of a statement.

    Attributes:
        wording: what the words for the person depend on: the titles of lists are those of the versions that were used.
        subject: the assessment; with any possible earlier floor if those that hold are not stated.
        whole: whether every deciding rule may be disclosed.
        floors: whether every rule that ever decided may be, so that earlier floors are stated.
    """

    subject: ChangedAssessment
    wording: PersonalWording
    whole: bool
    floors: bool

    @classmethod
    def of(cls, subject: ChangedAssessment, lists: Mapping[str, str], *, floors: bool) -> "_Basis":
        """Build the basis from an assessment and the titles of its lists; earlier floors only if they are stated."""
        whole = is_whole(subject.program.analysed)
        wording = PersonalWording(subject.base, lists)
        return cls(subject=subject if floors else subject.with_any_floor(), wording=wording, whole=whole, floors=floors)

    def levels(self, outcomes: pl.DataFrame) -> list[int | None]:
        """Return the levels of outcomes, each None if it is not stated."""
        return level_said(outcomes) if self.floors else level_of_any_floor(outcomes)

    def floors_from_before(self, outcomes: pl.DataFrame) -> list[int | None]:
        """Return the floors that raise levels, each None if none does, or it is not stated."""
        return floor_from_before(outcomes) if self.floors else [None] * len(outcomes)


def _statement(basis: _Basis, assessment: str, entity_type: str, external_id: str, as_of_us: int) -> Statement:
    """Make the statement; level, total and points only if every deciding rule may be disclosed."""
    subject = basis.subject
    analysed = subject.program.analysed
    inputs, outcomes = subject.assessed([()])
    now = next(explained(subject, inputs, outcomes))
    in_full = basis.whole and now.status == Status.ASSESSED

    def name_of(numbers: list[int | None]) -> str | None:
        (number,) = numbers
        return analysed.ruleset.levels[number - 1] if in_full and number is not None else None

    return Statement(
        assessment=assessment,
        entity_type=entity_type,
        external_id=external_id,
        as_of_us=as_of_us,
        principles=PRINCIPLES,
        level=name_of(basis.levels(outcomes)),
        total=now.score if in_full else None,
        held_floor=name_of(basis.floors_from_before(outcomes)),
        factors=tuple(
            _factor(basis, rule, outcome)
            for rule, outcome in zip(analysed.ruleset.rules, now.rules, strict=True)
            if is_disclosable(rule, analysed)
        ),
    )


def _factor(basis: _Basis, rule: Rule, outcome: RuleOutcome) -> FactorStated:
    """Describe a disclosable factor with its data, its effect and its variations."""
    subject = basis.subject
    cuts, pairs = numbers_compared(rule), pairs_compared(rule)
    inputs = describe_for_person(inputs_of_rule(rule), subject.program.analysed.names, basis.wording, cuts, pairs)
    signal = None if rule.decay is None else rule.decay.signal
    looked_at = {input_key(each) for each in inputs_of_rule(rule) if each is not signal}
    row = subject.inputs.row(0, named=True)
    return FactorStated(
        title=rule.title,
        category=rule.category,
        why=rule.rationale,
        data=tuple(DataStated(each.name, each.known_words(row)) for key, each in inputs.items() if key in looked_at),
        effect=_effect(rule, outcome, whole=basis.whole),
        points=decimal_text(outcome.points) if basis.whole else None,
        at_least=(outcome.floor or None) if basis.whole else None,
        variations=tuple(_variations(basis, rule, outcome, inputs)),
    )


def _effect(rule: Rule, outcome: RuleOutcome, *, whole: bool) -> Effect:
    """Return the effect of a factor; a weighted one, which always scores, counts from its least points.

    Without a weight it gives no points, and if the weights could not be chosen its effect is unknown. Neither is
    stated unless all may be disclosed: hidden rules may choose the weights.
    """
    unknown = outcome.case in {"unknown", "failed"} or (whole and not outcome.case_outcome.is_weighed)
    if unknown and not outcome.points and not outcome.floor:
        return "not known"
    points = outcome.points
    if outcome.factor is not None:
        case_points = [each.points for each in (*rule.cases, rule.otherwise) if each.points is not None]
        points = Decimal(point_units(outcome.factor[0]) - min(map(point_units, case_points)))
        if whole and not outcome.factor[1]:
            points = Decimal(0)
    if points > 0 or outcome.floor:
        return "raises the risk"
    return "lowers the risk" if points < 0 else "has no effect"


def _variations(
    basis: _Basis, rule: Rule, outcome: RuleOutcome, inputs: Mapping[str, PersonalInput]
) -> Iterator[VariationStated]:
    """Yield, on each side of each value, the nearest one that changes the factor's own outcome."""

    def effect_of(each: RuleOutcome) -> tuple[object, ...]:
        effect = _effect(rule, each, whole=basis.whole)
        return (effect, each.points, each.floor) if basis.whole else (effect,)

    yielded = set[tuple[str, str]]()
    for one in variations(basis.subject, rule, basis.levels):
        key, side = input_key(one.options.changeable.rule_input), one.option.side
        if effect_of(one.outcome) != effect_of(outcome) and (key, side) not in yielded:
            yielded.add((key, side))
            yield VariationStated(
                name=inputs[key].name,
                value=option_words(one.options, one.option, inputs[key].value),
                effect=_effect(rule, one.outcome, whole=basis.whole),
                points=decimal_text(one.outcome.points) if basis.whole else None,
                level=one.level if basis.whole else None,
            )
