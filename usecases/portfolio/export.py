"""Export of the present data of one customer; every export is recorded in the audit log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.ingest.entities import entity_named, number_of_entity
from fivefold.usecases.levels import entity_profile, read
from fivefold.usecases.levels.entity_profile import ScreeningLine, TagLine
from fivefold.usecases.levels.explain import FiredRule, read_reasons
from fivefold.usecases.levels.overrides import OverrideLine, read_override
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.levels.value_scores import EntityScorer, read_value
from fivefold.usecases.shared.api_fields import Moment, row_as, shown_as
from fivefold.usecases.shared.context import Context

MOST_ROWS = Part(100)
"""The most tags, and screenings, in an export: the latest."""


@dataclass(frozen=True, kw_only=True)
class ExportedValue:
    """A customer's value over `horizon_days`; `superseded_by`: the serving version, if it is another one.

    Attributes:
        expected_value_low, expected_value_high: the interval in which it is expected to lie, as in `ValueView`.
        unexplained: why there is no score, or why it cannot be explained; empty where it can be.
    """

    score: float | None
    segment: str | None
    expected_value: float | None
    expected_value_low: float | None
    expected_value_high: float | None
    interval_level_percent: int | None
    currency: str
    horizon_days: int | None
    model: str
    model_version: int
    superseded_by: int | None
    as_of_us: Annotated[Moment, shown_as("as_of")]
    unexplained: str


@dataclass(frozen=True, kw_only=True)
class ExportedChallenge:
    """A challenge of an assessment, in the words of the person concerned; `overdue`: its due date has passed."""

    id: int
    assessment: str
    words: str
    received_us: Annotated[Moment, shown_as("received_at")]
    due_us: Annotated[Moment, shown_as("due_at")]
    overdue: bool


@dataclass(frozen=True, kw_only=True)
class CustomerExport:
    """A customer as stored: the level with its sentence and factors, the value, attributes, tags and screenings.

    Attributes:
        exported_by: the name of the person who exported it.
        open_challenges: the open challenges, by due date.
        sentence: the arithmetic of the level in one line; empty if there is no assessment.
        assessment: the number of the assessment, such as 12.3, with its permanent `address`.
        assessed_us: when it was made; `ruleset` and `ruleset_version` name the version that decided.
        may_move_down_us, stale_rates_days, kept_by, refreshing: as in `LevelView`.
        failing: whether the last attempt to compute the level failed.
        overridden: whether an override replaces `rules_level`.
        override: the override that gave the level, with people's names; its state shows whether it has ended since.
        factors: the rules that fired.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    exported_us: Annotated[Moment, shown_as("exported_at")]
    exported_by: str
    open_challenges: tuple[ExportedChallenge, ...]
    level: str | None
    rules_level: str | None
    status: str
    since_us: Annotated[Moment | None, shown_as("since")]
    may_move_down_us: Annotated[Moment | None, shown_as("may_move_down_on")]
    refreshing: bool
    failing: bool
    assessed_us: Annotated[Moment | None, shown_as("assessed_at")]
    ruleset: str | None
    ruleset_version: int | None
    kept_by: tuple[str, ...]
    stale_rates_days: int | None
    overridden: bool
    override: OverrideLine | None
    sentence: str
    assessment: str | None
    address: str | None
    factors: tuple[FiredRule, ...]
    value: ExportedValue | None
    attributes: Mapping[str, Any]
    tags: tuple[TagLine, ...]
    screenings: tuple[ScreeningLine, ...]


def export_customer(
    context: Context,
    type_name: str,
    external_id: str,
    *,
    by: str,
    form: Literal["json", "pdf"],
    valuer: EntityScorer | None = None,
    site: str = "",
    person: Callable[[str], str] = str,
    open_challenges: Callable[[], tuple[ExportedChallenge, ...]] = tuple,
) -> CustomerExport:
    """Return a customer's stored data, and record who exported them in which form; nothing is computed again.

    *site*, such as https://risk.example, begins the address of the assessment. *person* returns the name of an actor,
    such as member:3. *open_challenges* reads the customer's open challenges, once its number is known.

    NotFoundError if there is no such customer, or its personal data were erased, also while they were read.
    """
    of, now = (context, type_name, external_id), context.now()
    with context.reading() as session:
        number = entity_named(session, context.organisation_id, type_name, external_id).id
    profile = entity_profile.read_entity(*of)
    if profile.erased_us is not None:
        raise NotFoundError(f"the personal data of {type_name} {external_id!r} were erased")
    level = read.read_level(*of, Freshness.STORED)
    reasons = None if level.assessment is None else read_reasons(context, level.assessment)
    ruleset, version = level.ruleset or (None, None)
    export = row_as(
        CustomerExport,
        level,
        exported_us=now,
        exported_by=by,
        open_challenges=open_challenges(),
        failing=level.problem is not None,
        ruleset=ruleset,
        ruleset_version=version,
        overridden=level.override is not None,
        override=None if level.override is None else _override(context, level.override.id, person),
        sentence="" if reasons is None else reasons.line,
        address=None if level.assessment is None else f"{site}/console/assessments/{level.assessment}",
        factors=() if reasons is None else reasons.rules,
        value=_value(of, valuer),
        attributes=profile.attributes,
        tags=tuple(entity_profile.list_tags(*of, MOST_ROWS)),
        screenings=tuple(entity_profile.list_screenings(*of, MOST_ROWS)),
    )
    with context.writing() as session:
        if number_of_entity(session, context.organisation_id, type_name, external_id) != number:
            raise NotFoundError(f"{type_name} {external_id!r} is another one than when its export began; export again")
        details = {"form": form, "assessment": level.assessment}
        context.record(session, "customer.exported", ("entity", number), details=details)
    return export


def _override(context: Context, number: int, person: Callable[[str], str]) -> OverrideLine:
    """Read an override, with the names of the people who requested, decided and ended it."""
    line = read_override(context, number)
    return replace(
        line,
        requested_by=person(line.requested_by),
        decided_by=None if line.decided_by is None else person(line.decided_by),
        revoked_by=None if line.revoked_by is None else person(line.revoked_by),
    )


def _value(of: tuple[Context, str, str], valuer: EntityScorer | None) -> ExportedValue | None:
    """Return the stored value of the customer; None if there is none."""
    value = read_value(*of, valuer=valuer)
    if value is None:
        return None
    return row_as(ExportedValue, value)
