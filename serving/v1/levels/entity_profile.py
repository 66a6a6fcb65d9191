"""Entities and their facts, for people."""

from typing import Any

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.levels.levels import LevelForPeople, LevelForPublishers, level_for
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import Moment, MomentGiven, ResponseModel, Text
from fivefold.usecases.levels import entity_profile as facts
from fivefold.usecases.levels import read as levels
from fivefold.usecases.levels.entity_profile import EntityLine


class EntityNamed(ResponseModel):
    """An entity by its type and its identifier."""

    type: str = Field(validation_alias="entity_type")
    external_id: str


class Related(EntityNamed):
    """An entity that owns another, or did, or is owned by it, and where it stands.

    Without `since` all facts before `until` count for the owner.
    """

    since: Moment | None = Field(validation_alias="from_us")
    until: Moment | None = Field(validation_alias="until_us")
    level: str | None
    status: str | None


class Profile(EntityNamed):
    """An entity: its attributes, who owns it or did, what it owns or did, and where it stands."""

    owners: list[Related]
    owns: list[Related]
    attributes: dict[str, Any]
    created_at: Moment
    known_at: Moment | None
    erased_at: Moment | None
    risk: LevelForPeople | LevelForPublishers


class PageOfEntities(PageQuery):
    """Which entities: of one level or of all."""

    level: Text | None = None


class Tag(ResponseModel):
    """A tag that an entity has, or had."""

    tag: str
    since: Moment = Field(validation_alias="from_us")
    until: Moment | None = Field(validation_alias="until_us")
    set_by: str


class Screening(ResponseModel):
    """What an entity was screened for."""

    screening: str
    found: bool
    at: Moment = Field(validation_alias="at_us")
    recorded_at: Moment = Field(validation_alias="recorded_us")


class Case(ResponseModel):
    """A case or an alert."""

    number: str
    opened_at: Moment = Field(validation_alias="opened_us")
    closed_at: Moment | None = Field(validation_alias="closed_us")
    outcome: str | None
    status: str | None
    fields: dict[str, Any]


class PageOfTransactions(PageQuery):
    """Which transactions: from `since` until before `until`."""

    since: MomentGiven | None = None
    until: MomentGiven | None = None


class Correction(ResponseModel):
    """A later correction of a transaction; `changes` has the corrected values by column, as they are sent."""

    number: str
    kind: str
    known_at: Moment = Field(validation_alias="known_us")
    recorded_at: Moment = Field(validation_alias="recorded_us")
    reason: str
    set_by: str
    changes: dict[str, Any]


class Transaction(EntityNamed):
    """A transaction as it was sent, in its own currency: a deposit is positive. What was corrected stands beside it.

    `type` and `external_id` name its entity: this one, or one that it owned then.
    """

    transaction_id: str
    at: Moment = Field(validation_alias="at_us")
    amount: float
    currency: str
    state: str | None
    balance: float | None
    category: str | None
    recorded_at: Moment = Field(validation_alias="recorded_us")
    fields: dict[str, Any]
    corrections: list[Correction]


def view_entity(context: RequestContext, type_: Text, external_id: Text) -> Profile:
    """Show an entity with its level, computed for the view where anything happened since, or an hour passed."""
    entity = facts.read_entity(context, type_, external_id)
    viewed = levels.read_level_of_profile(context, type_, external_id, valuer=context.valuer)
    return Profile.model_validate(
        {
            "entity_type": type_,
            "external_id": external_id,
            "owners": [Related.of(line) for line in entity.owners],
            "owns": [Related.of(line) for line in entity.owns],
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


def list_tags(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[Tag]:
    """List the tags that an entity has or had, the newest first."""
    return facts.list_tags(context, type_, external_id, query.part).map(Tag.of)


def list_screenings(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[Screening]:
    """List an entity's screenings, those that were made last first."""
    return facts.list_screenings(context, type_, external_id, query.part).map(Screening.of)


def list_cases(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[Case]:
    """List the cases about an entity, those that were opened last first."""
    return facts.list_records(context, type_, external_id, "case", query.part).map(Case.of)


def list_alerts(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[Case]:
    """List the alerts about an entity, those that were opened last first."""
    return facts.list_records(context, type_, external_id, "alert", query.part).map(Case.of)


def list_transactions(
    context: RequestContext, type_: Text, external_id: Text, query: PageOfTransactions
) -> Page[Transaction]:
    """List the transactions that an entity's level reads, the latest first: its own, and of what it owned then."""
    period = {"since_us": query.since, "until_us": query.until}
    page = facts.list_transactions(context, type_, external_id, query.part, **period)
    return page.map(Transaction.of)
