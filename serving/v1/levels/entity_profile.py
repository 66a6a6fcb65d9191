"""An entity for people: its facts, its timeline, and its transactions by day."""

from typing import Any

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.levels.levels import LevelForPeople, LevelForPublishers, level_for
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import DayGiven, MomentGiven, Names, RequestModel, ResponseModel, Text
from fivefold.store.levels.timeline import Clock
from fivefold.usecases.levels import entity_profile as facts
from fivefold.usecases.levels import read as levels
from fivefold.usecases.levels.entity_profile import (
    EntityLine,
    LinkLine,
    RecordLine,
    RelatedLine,
    ScreeningLine,
    TagLine,
    TransactionLine,
)
from fivefold.usecases.portfolio import timeline
from fivefold.usecases.portfolio.timeline import TimelineEvent
from fivefold.usecases.portfolio.transaction_days import TransactionDay, list_days
from fivefold.usecases.shared.api_fields import Moment


class EntityNamed(ResponseModel):
    """An entity by its type and its identifier."""

    type: str = Field(validation_alias="entity_type")
    external_id: str


class Profile(EntityNamed):
    """An entity: its attributes, who owns it or did, what it owns or did, and where it stands."""

    owners: tuple[RelatedLine, ...]
    owns: tuple[RelatedLine, ...]
    attributes: dict[str, Any]
    created_at: Moment
    known_at: Moment | None
    erased_at: Moment | None
    risk: LevelForPeople | LevelForPublishers


class PageOfEntities(PageQuery):
    """Which entities: of one level or of all."""

    level: Text | None = None


class PageOfTransactions(PageQuery):
    """Which transactions: from `since` until before `until`."""

    since: MomentGiven | None = None
    until: MomentGiven | None = None


def view_entity(context: RequestContext, type_: Text, external_id: Text) -> Profile:
    """Show an entity with its level, computed for the view where anything happened since, or an hour passed."""
    entity = facts.read_entity(context, type_, external_id)
    viewed = levels.read_level_of_profile(context, type_, external_id, valuer=context.valuer)
    return Profile.model_validate(
        {
            "entity_type": type_,
            "external_id": external_id,
            "owners": entity.owners,
            "owns": entity.owns,
            "attributes": entity.attributes,
            "created_at": entity.created_us,
            "known_at": entity.known_us,
            "erased_at": entity.erased_us,
            "risk": level_for(context, viewed),
        }
    )


def list_entities(context: RequestContext, type_: Text, query: PageOfEntities) -> Page[EntityLine]:
    """List entities of a type and where they stand, in the order in which they were added."""
    return facts.list_entities(context, type_, query.part, query.level)


def list_tags(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[TagLine]:
    """List the tags that an entity has or had, the newest first."""
    return facts.list_tags(context, type_, external_id, query.part)


def list_screenings(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[ScreeningLine]:
    """List an entity's screenings, those that were made last first."""
    return facts.list_screenings(context, type_, external_id, query.part)


def list_links(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[LinkLine]:
    """List the links from and to an entity, those that ended and those to come among them, the newest first."""
    return facts.list_links(context, type_, external_id, query.part)


def list_cases(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[RecordLine]:
    """List the cases about an entity, those that were opened last first."""
    return facts.list_records(context, type_, external_id, "case", query.part)


def list_alerts(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[RecordLine]:
    """List the alerts about an entity, those that were opened last first."""
    return facts.list_records(context, type_, external_id, "alert", query.part)


def list_transactions(
    context: RequestContext, type_: Text, external_id: Text, query: PageOfTransactions
) -> Page[TransactionLine]:
    """List the transactions that an entity's level reads, the latest first: its own, and of what it owned then."""
    period = {"since_us": query.since, "until_us": query.until}
    return facts.list_transactions(context, type_, external_id, query.part, **period)


class PageOfEvents(PageQuery):
    """Which events, by which clock.

    `kind`: kinds of events, or the groups facts, levels, scores, overrides, decisions and people. `clock`: `known`
    orders by when it was known here, `happened` by when it happened.
    """

    kind: Names = ()
    clock: Clock = Clock.KNOWN


def list_events(context: RequestContext, type_: Text, external_id: Text, query: PageOfEvents) -> Page[TimelineEvent]:
    """List what happened about an entity, the latest first; `kind=attributes` is the history of its attributes."""
    return timeline.list_events(context, type_, external_id, query.part, kinds=query.kind, clock=query.clock)


class RangeOfDays(RequestModel):
    """Whole days in UTC, from `since` until before `until`; by default the last 90 days."""

    since: DayGiven | None = None
    until: DayGiven | None = None


def list_transaction_days(
    context: RequestContext, type_: Text, external_id: Text, query: RangeOfDays
) -> list[TransactionDay]:
    """List sums of an entity's transactions by day, those of what it owned then included, with the balance."""
    return list_days(context, type_, external_id, query.since, query.until)
