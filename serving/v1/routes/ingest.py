"""Entities, and the facts about them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from fivefold.serving.v1.errors import TakenRows
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import EntityName, Label, MomentGiven, ReasonIfAny, RequestModel, ResponseModel, Text
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.ingest import entities as ingest_entities
from fivefold.usecases.ingest import links
from fivefold.usecases.ingest import transactions as ingest_transactions
from fivefold.usecases.ingest.facts import RecordGiven
from fivefold.usecases.ingest.together import PostedTransactions, add_transactions_together
from fivefold.usecases.shared.entity_checks import EntityRow, OwnerGiven
from fivefold.usecases.shared.row_results import MOST_REFUSED, AcceptedRows, accept_valid_rows

Rows = Annotated[list[dict[str, Any]], Field(min_length=1)]


class Owner(RequestModel):
    """The owner of an entity: facts about an account count for its owner."""

    type: Text
    external_id: EntityName


class OwnerOfSeveral(Owner):
    """One of several owners, from a moment until before another. Facts of that time count for it.

    Without `from` from the first fact on, or from now on where it left before; without `until` there is no end.
    """

    from_: MomentGiven | None = Field(default=None, alias="from")
    until: MomentGiven | None = None


class EntityGiven(RequestModel):
    """What is known of an entity. Attributes that are not given stay; null takes one away.

    `owner` is the only owner, and replaces the one before. `owners` are all present and past owners; a present owner
    that is missing leaves now. Send one of both, or neither: then the owners stay.
    """

    attributes: dict[str, Any] = Field(default_factory=dict)
    owner: Owner | None = None
    owners: list[OwnerOfSeveral] | None = None


class EntityOfMany(EntityGiven):
    """One of several entities."""

    external_id: EntityName


class Taken(ResponseModel):
    """How many were new, changed, or known already."""

    new: int
    changed: int
    same: int


class RowsTaken(TakenRows, Taken):
    """How many were new, changed, or known already; and the problems of the refused rows."""


class TransactionsTaken(TakenRows):
    """How many were new, changed their state, and had been taken before.

    `corrections` counts those that were new, reversals among them. Of all, `without_rate` are in a currency without a
    rate: they count, and their money is unknown in the base.
    """

    new: int
    changed: int
    repeated: int
    corrections: int
    without_rate: int


class HowToTake(RequestModel):
    """Whether nothing is taken where anything is wrong; rows that are right are taken otherwise."""

    atomic: bool = False


class TypeOfTransactions(HowToTake):
    """Whose the transactions are, and whether nothing is taken where anything is wrong."""

    type: Text = "customer"


class TagGiven(RequestModel):
    """Until when a tag holds; without an end where none is given. `reason` where a level would fall."""

    until: MomentGiven | None = None
    reason: ReasonIfAny = ""


class Why(RequestModel):
    """Why: needed where a level would fall, as another person approves it then."""

    reason: ReasonIfAny = ""


class WhyTagEnds(Why):
    """Why, and which tag was looked at: where it is left out, that is not checked.

    `reason` is needed where a level would fall, as another person approves it then. `expected_since` is the tag's
    `since`, as it may have been set anew.
    """

    expected_since: MomentGiven | None = None


class ScreeningGiven(RequestModel):
    """What an entity was screened for, and whether anything was found; the moment is now by default.

    `reason` where a level would fall.
    """

    screening: Label
    found: bool
    at: MomentGiven | None = None
    reason: ReasonIfAny = ""


class CaseGiven(RequestModel):
    """Where a case or an alert stands; sent again, it is changed. An outcome is known from the end on.

    `reason` where a level would fall. With `only_new` one whose number is taken is refused: 409.
    """

    opened_at: MomentGiven
    closed_at: MomentGiven | None = None
    outcome: Text | None = None
    status: Text | None = None
    fields: dict[str, Any] = Field(default_factory=dict)
    reason: ReasonIfAny = ""
    only_new: bool = False


def put_entity(context: RequestContext, type_: Text, external_id: Text, body: EntityGiven) -> Taken:
    """Add an entity, or change its attributes or its owner."""
    return Taken.of(ingest_entities.put_entities(context, type_, [_row(external_id, body)]))


def put_entities(
    context: RequestContext, type_: Text, query: HowToTake, body: Annotated[list[EntityOfMany], Field(min_length=1)]
) -> RowsTaken:
    """Add or change several entities: those that can be taken; with `atomic` all of them, or none."""
    rows = [_row(entity.external_id, entity) for entity in body]
    take = partial(ingest_entities.put_entities, context, type_)
    return RowsTaken.in_part(accept_valid_rows(rows, take, atomic=query.atomic))


def _row(external_id: str, entity: EntityGiven) -> EntityRow:
    owner = None if entity.owner is None else (entity.owner.type, entity.owner.external_id)
    owners = None
    if entity.owners is not None:
        owners = [OwnerGiven(one.type, one.external_id, one.from_, one.until) for one in entity.owners]
    return EntityRow(external_id, entity.attributes, owner, owners)


class LinkGiven(RequestModel):
    """That an entity is linked to another one of its type or to something that it shares, as the type declares `type`.

    Without `to` it is known that there is no such link. Without `valid_from` it is the latest that is known of the two,
    or else has no beginning. With a `valid_until` it ends then.
    """

    type: Text
    from_: Text = Field(alias="from")
    to: Text | None = None
    valid_from: MomentGiven | None = None
    valid_until: MomentGiven | None = None


def put_links(
    context: RequestContext, type_: Text, query: HowToTake, body: Annotated[list[LinkGiven], Field(min_length=1)]
) -> RowsTaken:
    """Link entities of a type, or say when links begin or end; what is sent again is known."""
    rows = [links.LinkRow(each.from_, each.type, each.to, each.valid_from, each.valid_until) for each in body]
    take = partial(links.put_links, context, type_)
    return RowsTaken.in_part(accept_valid_rows(rows, take, atomic=query.atomic))


def post_transactions(context: RequestContext, query: TypeOfTransactions, body: Rows) -> TransactionsTaken:
    """Take transactions of entities that are there, each once, whatever is sent again.

    The fields are those of /v4/scoring, with a `transaction_id`, which says what is the same one; `user_id` is the
    entity's identifier. A row that `corrects` or `reverses` a transaction has a `transaction_id` of its own, a
    `correction_reason`, perhaps `correction_known_at`, and of a correction the fields that are right; the transaction
    stays as it is, and counts so from then on.

    Rows that cannot be taken are named in `errors`, and the others are stored: 207. Where every row is refused, or more
    than 1,000, it is 422 and nothing is stored; with `atomic` that is so where any is refused.
    """

    def take(rows: Sequence[Mapping[str, Any]]) -> ingest_transactions.TransactionCounts:
        most_named = MOST_REFUSED + 1
        return ingest_transactions.add_transactions(context, rows, query.type, most_named=most_named)

    return TransactionsTaken.in_part(accept_valid_rows(body, take, atomic=query.atomic))


def post_transactions_together(
    calls: Sequence[tuple[RequestContext, Mapping[str, Any]]],
) -> list[TransactionsTaken | None]:
    """Carry out several calls of `post_transactions` of one organisation; None for one to be carried out alone."""
    posted = [
        PostedTransactions(context.actor, arguments["query"].type, arguments["body"]) for context, arguments in calls
    ]
    counts = add_transactions_together(calls[0][0], posted)
    return [None if each is None else TransactionsTaken.in_part(AcceptedRows(each)) for each in counts]


def set_tag(context: RequestContext, type_: Text, external_id: Text, tag: Text, body: TagGiven) -> ProposalLine | None:
    """Set a tag on an entity, or give it another end; proposed where a level would fall.

    One that the entity has with that end already stays as it is, with who set it and why, so a call may be repeated.
    """
    of = (context, type_, external_id)
    return facts.request_tag(*of, tag, until_us=body.until, reason=body.reason).proposal


def end_tag(
    context: RequestContext, type_: Text, external_id: Text, tag: Text, query: WhyTagEnds
) -> ProposalLine | None:
    """Take a tag off an entity; proposed where a level would fall."""
    of = (context, type_, external_id, tag)
    return facts.request_tag_end(*of, reason=query.reason, expected_from_us=query.expected_since).proposal


def add_screening(context: RequestContext, type_: Text, external_id: Text, body: ScreeningGiven) -> ProposalLine | None:
    """Note that an entity was screened, and whether anything was found; proposed where a hit is cleared by it."""
    of = (context, type_, external_id)
    return facts.request_screening(
        *of, body.screening, has_match=body.found, at_us=body.at, reason=body.reason
    ).proposal


def put_case(
    context: RequestContext, type_: Text, external_id: Text, number: Text, body: CaseGiven
) -> ProposalLine | None:
    """Open, change or close a case about an entity; proposed where a level would fall."""
    record = _record(number, body)
    return facts.request_record(
        context, type_, external_id, "case", record, reason=body.reason, only_new=body.only_new
    ).proposal


def put_alert(
    context: RequestContext, type_: Text, external_id: Text, number: Text, body: CaseGiven
) -> ProposalLine | None:
    """Open, change or close an alert about an entity; proposed where a level would fall."""
    record = _record(number, body)
    return facts.request_record(
        context, type_, external_id, "alert", record, reason=body.reason, only_new=body.only_new
    ).proposal


def _record(number: str, case: CaseGiven) -> RecordGiven:
    return RecordGiven(
        external_id=number,
        opened_us=case.opened_at,
        closed_us=case.closed_at,
        outcome=case.outcome,
        status=case.status,
        fields=case.fields,
    )
