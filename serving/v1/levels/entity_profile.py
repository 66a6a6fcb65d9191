"""What is known of entities, as people read it."""

from typing import Any

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.levels.levels import LevelForPeople, LevelForPublishers, level_for
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import Moment, MomentGiven, Shown, Text
from fivefold.usecases.levels import entity_profile as facts
from fivefold.usecases.levels import read as levels


class EntityNamed(Shown):
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


class PageOfEntities(PageAsked):
    """Which entities: of one level or of all."""

    level: Text | None = None


class EntityLine(Shown):
    """An entity as it is listed."""

    id: int
    external_id: str
    level: str | None
    status: str | None


class Tag(Shown):
    """A tag that an entity has, or had."""

    tag: str
    since: Moment = Field(validation_alias="from_us")
    until: Moment | None = Field(validation_alias="until_us")
    set_by: str


class Screening(Shown):
    """What an entity was screened for."""

    screening: str
    found: bool
    at: Moment = Field(validation_alias="at_us")
    recorded_at: Moment = Field(validation_alias="recorded_us")


class Case(Shown):
    """A case or an alert."""

    number: str
    opened_at: Moment = Field(validation_alias="opened_us")
    closed_at: Moment | None = Field(validation_alias="closed_us")
    outcome: str | None
    status: str | None
    fields: dict[str, Any]


class PageOfTransactions(PageAsked):
    """Which transactions: from `since` until before `until`."""

    since: MomentGiven | None = None
    until: MomentGiven | None = None


class Correction(Shown):
    """What was said of a transaction later; `changes` has what is right, by the names of columns as they are sent."""

    number: str
    kind: str
    known_at: Moment = Field(validation_alias="known_us")
    recorded_at: Moment = Field(validation_alias="recorded_us")
    reason: str
    set_by: str
    changes: dict[str, Any]


class Transaction(EntityNamed):
    """A transaction as it was sent, in its own currency: a deposit is positive. What was corrected stands beside it.

    `type` and `external_id` say whose it is: the entity's own, or of what that owned then.
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


def view_entity(asked: Asked, type_: Text, external_id: Text) -> Profile:
    """Show an entity with its level, computed for the view where anything happened since, or an hour passed."""
    found = facts.read_entity(asked.engine, asked.actor, type_, external_id)
    viewed = levels.read_level_of_profile(asked.engine, asked.actor, type_, external_id, valuer=asked.valuer)
    return Profile.model_validate(
        {
            "entity_type": type_,
            "external_id": external_id,
            "owners": [Related.of(line) for line in found.owners],
            "owns": [Related.of(line) for line in found.owns],
            "attributes": found.attributes,
            "created_at": found.created_us,
            "known_at": found.known_us,
            "erased_at": found.erased_us,
            "risk": level_for(asked, viewed),
        }
    )


def list_entities(asked: Asked, type_: Text, query: PageOfEntities) -> Page[EntityLine]:
    """List entities of a type and where they stand, in the order in which they were added."""
    return facts.list_entities(asked.engine, asked.actor, type_, query.part, query.level).map(EntityLine.of)


def list_tags(asked: Asked, type_: Text, external_id: Text, query: PageAsked) -> Page[Tag]:
    """List the tags that an entity has or had, the newest first."""
    return facts.list_tags(asked.engine, asked.actor, type_, external_id, query.part).map(Tag.of)


def list_screenings(asked: Asked, type_: Text, external_id: Text, query: PageAsked) -> Page[Screening]:
    """List an entity's screenings, those that were made last first."""
    return facts.list_screenings(asked.engine, asked.actor, type_, external_id, query.part).map(Screening.of)


def list_cases(asked: Asked, type_: Text, external_id: Text, query: PageAsked) -> Page[Case]:
    """List the cases about an entity, those that were opened last first."""
    return facts.list_records(asked.engine, asked.actor, type_, external_id, "case", query.part).map(Case.of)


def list_alerts(asked: Asked, type_: Text, external_id: Text, query: PageAsked) -> Page[Case]:
    """List the alerts about an entity, those that were opened last first."""
    return facts.list_records(asked.engine, asked.actor, type_, external_id, "alert", query.part).map(Case.of)


def list_transactions(asked: Asked, type_: Text, external_id: Text, query: PageOfTransactions) -> Page[Transaction]:
    """List the transactions that an entity's level reads, the latest first: its own, and of what it owned then."""
    about = (asked.engine, asked.actor, type_, external_id)
    found = facts.list_transactions(*about, query.part, since_us=query.since, until_us=query.until)
    return found.map(Transaction.of)
