"""Export of the present data of one customer; every export is recorded in the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.ingest.entities import entity_named
from fivefold.usecases.levels import entity_profile, read
from fivefold.usecases.levels.entity_profile import ScreeningLine, TagLine
from fivefold.usecases.levels.explain import FiredRule, read_reasons
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.levels.value_scores import EntityScorer, read_value
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

MOST_ROWS = Part(100)
"""The most tags and screenings, the latest ones."""


@dataclass(frozen=True, kw_only=True)
class ExportedValue:
    """A customer's value, over this many days; `superseded_by`: the serving version, if it is another one."""

    score: float | None
    segment: str | None
    expected_value: float | None
    currency: str
    horizon_days: int | None
    model: str
    model_version: int
    superseded_by: int | None
    as_of_us: Annotated[Moment, shown_as("as_of")]


@dataclass(frozen=True, kw_only=True)
class CustomerExport:
    """A customer as stored: the level with its sentence and factors, the value, attributes, tags and screenings.

    Attributes:
        exported_by: the name of the person who exported it.
        sentence: the arithmetic of the level in one line; empty if there is no assessment.
        assessment: its number, such as 12.3, with its permanent `address`.
        overridden: an override is in force above `rules_level`.
        factors: the rules that fired.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    exported_us: Annotated[Moment, shown_as("exported_at")]
    exported_by: str
    level: str | None
    rules_level: str | None
    status: str
    since_us: Annotated[Moment | None, shown_as("since")]
    overridden: bool
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
) -> CustomerExport:
    """Gather a customer as stored, and record who exported it in which form; nothing is computed again.

    *site*, such as https://risk.example, begins the address of the assessment.

    NotFoundError if there is no such customer, or its personal data were erased.
    """
    of, now = (context, type_name, external_id), context.now()
    profile = entity_profile.read_entity(*of)
    if profile.erased_us is not None:
        raise NotFoundError(f"the personal data of {type_name} {external_id!r} were erased")
    level = read.read_level(*of, Freshness.STORED)
    reasons = None if level.assessment is None else read_reasons(context, level.assessment)
    export = CustomerExport(
        entity_type=type_name,
        external_id=external_id,
        exported_us=now,
        exported_by=by,
        level=level.level,
        rules_level=level.rules_level,
        status=level.status,
        since_us=level.since_us,
        overridden=level.override is not None,
        sentence="" if reasons is None else reasons.line,
        assessment=level.assessment,
        address=None if level.assessment is None else f"{site}/console/assessments/{level.assessment}",
        factors=() if reasons is None else reasons.rules,
        value=_value(of, valuer),
        attributes=profile.attributes,
        tags=tuple(entity_profile.list_tags(*of, MOST_ROWS)),
        screenings=tuple(entity_profile.list_screenings(*of, MOST_ROWS)),
    )
    with context.writing() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id, stays=True)
        details = {"form": form, "assessment": level.assessment}
        context.record(session, "customer.exported", ("entity", entity.id), details=details)
    return export


def _value(of: tuple[Context, str, str], valuer: EntityScorer | None) -> ExportedValue | None:
    """The stored value of the customer; None if there is none."""
    value = read_value(*of, valuer=valuer)
    if value is None:
        return None
    return ExportedValue(
        score=value.score,
        segment=value.segment,
        expected_value=value.expected_value,
        currency=value.currency,
        horizon_days=value.horizon_days,
        model=value.model,
        model_version=value.model_version,
        superseded_by=value.superseded_by,
        as_of_us=value.as_of_us,
    )
