"""What is known of an entity, as people read it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fivefold.domain.paging import Page, Part
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest import facts, links, ownerships
from fivefold.store.ingest.entities import entity_named, type_named
from fivefold.store.ingest.ownerships import RelatedEntity
from fivefold.store.tables.entities import Correction, Entity, Link, Record, Tag, Transaction
from fivefold.store.tables.levels import Standing
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import require_known
from fivefold.usecases.shared.transaction_columns import SENT_AS

MOST_SHARING = 10
MOST_RELATED = 1000
"""The most owners, and the most owned entities, that are listed with an entity."""


@schema("Related")
@dataclass(frozen=True, kw_only=True)
class RelatedLine:
    """An entity that owns another, or did, or is owned by it, and where it stands.

    Without `since` all facts before `until` count for the owner.

    Attributes:
        from_us: None where all facts before `until_us` count for the owner.
        until_us: None where there is no end.
        level: the name of its level; None if it has none.
        status: the status of its latest assessment; None if it was never assessed.
        failing: whether the last attempt to compute its level failed.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    from_us: Annotated[Moment | None, shown_as("since")]
    until_us: Annotated[Moment | None, shown_as("until")]
    level: str | None
    status: str | None
    failing: bool


@dataclass(frozen=True, kw_only=True)
class EntityShown:
    """An entity and its attributes.

    Attributes:
        owners: the entities that own it or did, up to `MOST_RELATED`.
        owns: the entities that it owns or did, up to as many.
        attributes: the latest; empty once they were erased.
        known_us: since when the attributes are as they are.
        erased_us: when its personal data were erased.
    """

    entity_type: str
    external_id: str
    owners: tuple[RelatedLine, ...]
    owns: tuple[RelatedLine, ...]
    attributes: Mapping[str, Any]
    created_us: int
    known_us: int | None
    erased_us: int | None


@dataclass(frozen=True)
class EntityLine:
    """An entity as it is listed.

    Attributes:
        id: its number, after which the next page begins.
        level: the name of its level; None if it has none.
        status: the status of its latest assessment; None if it was never assessed.
    """

    id: int
    external_id: str
    level: str | None
    status: str | None


@schema("Tag")
@dataclass(frozen=True, kw_only=True)
class TagLine:
    """A tag that an entity has, or had.

    Attributes:
        set_reason: why it was set, if a reason was given.
        set_proposed_by: who proposed, for that reason, what `set_by` approved; None if it was not proposed.
        ended_by: who set its present end; None if it still has the end with which it was set.
        end_reason: why the end was set, if a reason was given.
        end_proposed_by: who proposed, for that reason, what `ended_by` approved; None if it was not proposed.
        goes_on: whether another row of the same tag begins by that end, so that the entity has the tag beyond it.
    """

    tag: str
    from_us: Annotated[Moment, shown_as("since")]
    until_us: Annotated[Moment | None, shown_as("until")]
    set_by: str
    set_reason: str | None
    set_proposed_by: str | None
    ended_by: str | None
    end_reason: str | None
    end_proposed_by: str | None
    goes_on: bool


@schema("Screening")
@dataclass(frozen=True)
class ScreeningLine:
    """What an entity was screened for."""

    screening: str
    found: bool
    at_us: Annotated[Moment, shown_as("at")]
    recorded_us: Annotated[Moment, shown_as("recorded_at")]


@schema("Link")
@dataclass(frozen=True, kw_only=True)
class LinkLine:
    """A link from or to an entity: to another one, to something that is shared, or to nothing.

    Attributes:
        link: its type, as the type of entity declares it.
        way: `to` another entity, `from` another one, `shared`, or `none` where it is known that there is none.
        other: the identifier of the entity at the other end; None if there is none.
        thing: what is shared; None if nothing is.
        sharing: the first other entities that share the thing now or later, up to `MOST_SHARING`.
        from_us: its start; None if it has none.
        until_us: its end; None if it has none.
    """

    link: Annotated[str, shown_as("type")]
    way: Literal["to", "from", "shared", "none"]
    other: str | None
    thing: str | None
    sharing: tuple[str, ...]
    from_us: Annotated[Moment | None, shown_as("since")]
    until_us: Annotated[Moment | None, shown_as("until")]
    set_by: str


@schema("Case")
@dataclass(frozen=True, kw_only=True)
class RecordLine:
    """A case or an alert."""

    number: str
    opened_us: Annotated[Moment, shown_as("opened_at")]
    closed_us: Annotated[Moment | None, shown_as("closed_at")]
    outcome: str | None
    status: str | None
    fields: Mapping[str, Any]


@schema("Correction")
@dataclass(frozen=True, kw_only=True)
class CorrectionLine:
    """A later correction of a transaction; `changes` has the corrected values by column, as they are sent.

    Attributes:
        number: the number of the correction.
        kind: correction or reversal.
        set_by: who sent it.
        changes: the corrected values, by the names of columns as they are sent; moments in microseconds.
    """

    number: str
    kind: str
    known_us: Annotated[Moment, shown_as("known_at")]
    recorded_us: Annotated[Moment, shown_as("recorded_at")]
    reason: str
    set_by: str
    changes: Mapping[str, Any]


@schema("Transaction")
@dataclass(frozen=True, kw_only=True)
class TransactionLine:
    """A transaction as it was sent, in its own currency: a deposit is positive. What was corrected stands beside it.

    `type` and `external_id` name its entity: this one, or one that it owned then.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    transaction_id: str
    at_us: Annotated[Moment, shown_as("at")]
    amount: float
    currency: str
    state: str | None
    balance: float | None
    category: str | None
    recorded_us: Annotated[Moment, shown_as("recorded_at")]
    fields: Mapping[str, Any]
    corrections: tuple[CorrectionLine, ...]

    @property
    def is_reversed(self) -> bool:
        """Whether its latest correction is a reversal, so that it does not count."""
        return bool(self.corrections) and self.corrections[-1].kind == "reversal"

    @property
    def counted_amount(self) -> tuple[float, str]:
        """The amount and the currency after all corrections; they count unless it is reversed."""
        changes = {name: value for each in self.corrections for name, value in each.changes.items()}
        return changes.get(SENT_AS["amount"], self.amount), changes.get(SENT_AS["currency"], self.currency)


def read_entity(context: Context, type_name: str, external_id: str) -> EntityShown:
    """Return an entity to show; NotFoundError if the organisation has none of that type and name."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        latest = facts.attributes_of(session, entity.id)
        names = (None, *levels_of(session, context.organisation_id))
        return EntityShown(
            entity_type=type_name,
            external_id=external_id,
            owners=tuple(_related(one, names) for one in ownerships.owners_of(session, entity.id, MOST_RELATED)),
            owns=tuple(_related(one, names) for one in ownerships.owned_by(session, entity.id, MOST_RELATED)),
            attributes={} if latest is None else json.loads(latest.content),
            created_us=entity.created_us,
            known_us=None if latest is None else latest.known_us,
            erased_us=entity.erased_us,
        )


def _related(related: RelatedEntity, names: Sequence[str | None]) -> RelatedLine:
    standing = related.standing
    return row_as(
        RelatedLine,
        related,
        level=None if standing is None else names[standing.level or 0],
        status=None if standing is None else standing.status,
    )


def list_entities(context: Context, type_name: str, part: Part, level: str | None = None) -> Page[EntityLine]:
    """List entities of a type, of one level or of all, in the order in which they were added.

    NotFoundError if the type does not exist; ConfigError if the level does not.
    """
    with context.reading() as session:
        kind = type_named(session, context.organisation_id, type_name)
        names = list(levels_of(session, context.organisation_id))
        require_known("level", [level], names)
        number = None if level is None else names.index(level) + 1
        rows = facts.entities_of_type(session, context.organisation_id, kind.id, part, number)
        return rows.map(lambda pair: _entity(*pair, names))


def _entity(entity: Entity, standing: Standing | None, names: Sequence[str]) -> EntityLine:
    level = None if standing is None or standing.level is None else names[standing.level - 1]
    return EntityLine(entity.id, entity.external_id, level, None if standing is None else standing.status)


def list_tags(context: Context, type_name: str, external_id: str, part: Part, name: str | None = None) -> Page[TagLine]:
    """List the tags that an entity has or had, all or those of one name, the newest first.

    NotFoundError where there is no such entity.
    """
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        rows = facts.tags_of(session, entity.id, part, name)
        return rows.map(lambda row: _tag_line(*row))


def _tag_line(tag: Tag, goes_on: bool, set_proposed_by: str | None, end_proposed_by: str | None) -> TagLine:
    return row_as(TagLine, tag, set_proposed_by=set_proposed_by, end_proposed_by=end_proposed_by, goes_on=goes_on)


def list_screenings(context: Context, type_name: str, external_id: str, part: Part) -> Page[ScreeningLine]:
    """List an entity's screenings, the latest first; NotFoundError if there is no such entity."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        rows = facts.screenings_of(session, entity.id, part)
        return rows.map(
            lambda screening: ScreeningLine(
                screening.screening, screening.found, screening.at_us, screening.recorded_us
            )
        )


def list_links(context: Context, type_name: str, external_id: str, part: Part) -> Page[LinkLine]:
    """List the links from and to an entity, the newest first; NotFoundError where there is no such entity."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        rows = links.links_of(session, entity.id, part)
        shared = [link.id for link, _ in rows if link.thing is not None]
        names = links.names_sharing(session, shared, MOST_SHARING, context.now())
        return rows.map(lambda row: _link(entity.id, *row, names.get(row[0].id, ())))


def _link(entity_id: int, link: Link, other: str | None, names: Iterable[str]) -> LinkLine:
    way: Literal["to", "from", "shared", "none"] = "none"
    if link.thing is not None:
        way = "shared"
    elif link.other_id is not None:
        way = "to" if link.entity_id == entity_id else "from"
    return LinkLine(
        link=link.link,
        way=way,
        other=other,
        thing=link.thing,
        sharing=tuple(names),
        from_us=link.from_us,
        until_us=link.until_us,
        set_by=link.set_by,
    )


def list_records(
    context: Context, type_name: str, external_id: str, kind: Literal["case", "alert"], part: Part
) -> Page[RecordLine]:
    """List an entity's cases or alerts, the last opened first; NotFoundError if there is no such entity."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        return facts.records_of(session, entity.id, kind, part).map(_record)


def _record(record: Record) -> RecordLine:
    fields = json.loads(record.content) if record.content else {}
    return RecordLine(
        number=record.external_id,
        opened_us=record.opened_us,
        closed_us=record.closed_us,
        outcome=record.outcome,
        status=record.status,
        fields=fields,
    )


def list_transactions(
    context: Context,
    type_name: str,
    external_id: str,
    part: Part,
    *,
    since_us: int | None = None,
    until_us: int | None = None,
) -> Page[TransactionLine]:
    """List the transactions that an entity's level reads, the latest first: its own, and those of what it owned then.

    Only those from *since_us* until before *until_us* are listed. NotFoundError where there is no such entity.
    """
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        rows_query = facts.counted_transactions(entity.id, since_us, until_us)
        page = facts.transactions_of(session, rows_query, part)
        corrections: dict[str, list[CorrectionLine]] = {}
        for each in facts.corrections_of(session, [transaction_id for transaction_id, _, _ in page]):
            corrections.setdefault(each.transaction_id, []).append(_correction(each))
        return page.map(lambda row: _transaction(*row, corrections.get(row[0].transaction_id, ())))


def _correction(correction: Correction) -> CorrectionLine:
    changes = {name: getattr(correction, column) for column, name in SENT_AS.items()}
    changes |= json.loads(correction.content) if correction.content else {}
    return CorrectionLine(
        number=correction.external_id,
        kind=correction.kind,
        known_us=correction.counts_from_us,
        recorded_us=correction.recorded_us,
        reason=correction.reason,
        set_by=correction.actor,
        changes={name: value for name, value in changes.items() if value is not None},
    )


def _transaction(
    row: Transaction, entity_type: str, external_id: str, corrections: Sequence[CorrectionLine]
) -> TransactionLine:
    return row_as(
        TransactionLine,
        row,
        entity_type=entity_type,
        external_id=external_id,
        fields=json.loads(row.content) if row.content else {},
        corrections=tuple(corrections),
    )
