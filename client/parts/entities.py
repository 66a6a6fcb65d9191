"""Entities and the facts about them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fivefold.client.answers import Answer, BatchWriteResult, Proposal, RowProblem, WriteResult
from fivefold.client.calls import Call, Moment, Repeat, rows_of
from fivefold.client.connection import Connection, Pages
from fivefold.client.parts.levels import Level


class EntityLine(Answer):
    """An entity in a list."""

    id: int
    external_id: str
    level: str | None
    status: str | None


class EntityMatch(Answer):
    """An entity that a search found, the words that matched, and its level."""

    external_id: str
    name: str
    found_in: str | None
    level: str | None
    status: str | None
    failing: bool
    segment: str | None
    expected_value: float | None
    currency: str | None


class RelatedEntity(Answer):
    """An entity that owns another, or is owned by it."""

    type: str
    external_id: str
    since: datetime | None
    until: datetime | None
    level: str | None
    status: str | None
    failing: bool


class Profile(Answer):
    """An entity: its attributes, owners, owned entities and level."""

    type: str
    external_id: str
    owners: tuple[RelatedEntity, ...]
    owns: tuple[RelatedEntity, ...]
    attributes: dict[str, Any]
    created_at: datetime
    known_at: datetime | None
    erased_at: datetime | None
    risk: Level


class Tag(Answer):
    """A tag that an entity has or had."""

    tag: str
    since: datetime
    until: datetime | None
    set_by: str
    set_reason: str | None = None
    set_proposed_by: str | None = None
    ended_by: str | None = None
    end_reason: str | None = None
    end_proposed_by: str | None = None
    goes_on: bool | None = None


class Correction(Answer):
    """A later correction of a transaction."""

    number: str
    kind: str
    known_at: datetime
    recorded_at: datetime
    reason: str
    set_by: str
    changes: dict[str, Any]


class Transaction(Answer):
    """A transaction as it was sent, in its own currency; a deposit is positive."""

    type: str
    external_id: str
    transaction_id: str
    at: datetime
    amount: float
    currency: str
    state: str | None
    balance: float | None
    category: str | None
    recorded_at: datetime
    fields: dict[str, Any]
    corrections: tuple[Correction, ...]


class TransactionsWriteResult(Answer):
    """The numbers of transactions that were new, changed their state, and were already stored."""

    new: int
    changed: int
    repeated: int
    corrections: int
    without_rate: int
    refused: int
    errors: tuple[RowProblem, ...]


_ENTITY: Final = "/v1/entities/{type}/{external_id}"
LIST: Final[Call[EntityLine]] = Call("GET", "/v1/entities/{type}", EntityLine, query=("level", "limit"), has_pages=True)
SEARCH: Final[Call[EntityMatch]] = Call(
    *("GET", "/v1/search", EntityMatch),
    query=("type", "text", "tag", "level", "segment", "status", "failing", "limit"),
    has_pages=True,
)
GET: Final[Call[Profile]] = Call("GET", _ENTITY, Profile)
PUT: Final[Call[WriteResult]] = Call("PUT", _ENTITY, WriteResult, body=("attributes", "owner"), repeat=Repeat.BY_KEY)
PUT_MANY: Final[Call[BatchWriteResult]] = Call(
    *("POST", "/v1/entities/{type}", BatchWriteResult), query=("atomic",), body=("rows",), repeat=Repeat.BY_KEY
)
TRANSACTIONS: Final[Call[Transaction]] = Call(
    "GET", f"{_ENTITY}/transactions", Transaction, query=("since", "until", "limit"), has_pages=True
)
ADD_TRANSACTIONS: Final[Call[TransactionsWriteResult]] = Call(
    "POST", "/v1/transactions", TransactionsWriteResult, query=("type", "atomic"), body=("rows",)
)
"""Each transaction is stored once, by its `transaction_id`, however often it is sent, so the call needs no key."""
TAGS: Final[Call[Tag]] = Call("GET", f"{_ENTITY}/tags", Tag, query=("limit",), has_pages=True)
SET_TAG: Final[Call[Proposal | None]] = Call(
    *("PUT", f"{_ENTITY}/tags/{{tag}}", Proposal | None), body=("until", "reason"), repeat=Repeat.BY_KEY
)
END_TAG: Final[Call[Proposal | None]] = Call(
    *("DELETE", f"{_ENTITY}/tags/{{tag}}", Proposal | None), query=("reason", "expected_since"), repeat=Repeat.BY_KEY
)
ADD_SCREENING: Final[Call[Proposal | None]] = Call(
    "POST",
    f"{_ENTITY}/screenings",
    Proposal | None,
    body=("screening", "found", "at", "reason"),
    repeat=Repeat.BY_KEY,
)
_FIELDS_OF_RECORDS: Final = ("opened_at", "closed_at", "outcome", "status", "fields", "reason", "only_new")
PUT_CASE: Final[Call[Proposal | None]] = Call(
    "PUT", f"{_ENTITY}/cases/{{number}}", Proposal | None, body=_FIELDS_OF_RECORDS, repeat=Repeat.BY_KEY
)
PUT_ALERT: Final[Call[Proposal | None]] = Call(
    "PUT", f"{_ENTITY}/alerts/{{number}}", Proposal | None, body=_FIELDS_OF_RECORDS, repeat=Repeat.BY_KEY
)


class Entities:
    """Entities: customers, accounts, or any other type of the organisation.

    Writes are carried out once, however often they are sent: the client makes an `Idempotency-Key`, or uses the
    caller's *key*, by which another process can repeat a call within a day.
    """

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
        self._connection = connection

    def list(self, type_: str, *, level: str | None = None, limit: int | None = None) -> Pages[EntityLine]:
        """List the entities of a type in the order in which they were added; *level* limits them to one level."""
        return self._connection.pages(LIST, {"type": type_}, {"level": level}, limit)

    def search(
        self,
        type_: str,
        text: str = "",
        *,
        tag: str | None = None,
        level: Sequence[str] = (),
        segment: Sequence[str] = (),
        status: Sequence[str] = (),
        failing: bool | None = None,
        limit: int | None = None,
    ) -> Pages[EntityMatch]:
        """Find entities by prefixes of words of their identifier, name or other text, by a tag, or by *failing*.

        *failing* selects by that field of a match; None selects both. Words, a tag or *failing* are required.
        """
        query = {"type": type_, "text": text or None, "tag": tag, "failing": failing}
        among = {"level": level, "segment": segment, "status": status}
        return self._connection.pages(SEARCH, None, {**query, **among}, limit)

    def get(self, type_: str, external_id: str) -> Profile:
        """Show an entity with its level, recomputed if there are newer events; NotFoundError if it does not exist."""
        return self._connection.ask(GET, {"type": type_, "external_id": external_id})

    def put(
        self,
        type_: str,
        external_id: str,
        attributes: Mapping[str, object] | None = None,
        *,
        owner: tuple[str, str] | None = None,
        key: str | None = None,
    ) -> WriteResult:
        """Add an entity, or change it. Omitted attributes stay; None removes one.

        Args:
            type_: the type of the entity.
            external_id: the caller's own identifier.
            attributes: the values of attributes, by name.
            owner: type and identifier of the entity that owns it.
            key: the caller's own `Idempotency-Key`.
        """
        body: dict[str, Any] = {"attributes": dict(attributes or {})}
        if owner is not None:
            body["owner"] = {"type": owner[0], "external_id": owner[1]}
        return self._connection.ask(PUT, {"type": type_, "external_id": external_id}, body=body, key=key)

    def put_many(
        self, type_: str, rows: Sequence[Mapping[str, object]], *, atomic: bool = False, key: str | None = None
    ) -> BatchWriteResult:
        """Add or change entities: the valid rows, or with *atomic* all or none.

        The answer's `errors` list the problems of refused rows; if all rows are refused, RefusedDataError is raised.
        """
        return self._connection.ask(PUT_MANY, {"type": type_}, {"atomic": atomic}, rows_of(rows), key)

    def transactions(
        self,
        type_: str,
        external_id: str,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> Pages[Transaction]:
        """List the transactions that an entity's level reads, the latest first."""
        parts = {"type": type_, "external_id": external_id}
        return self._connection.pages(TRANSACTIONS, parts, {"since": since, "until": until}, limit)

    def add_transactions(
        self, rows: Sequence[Mapping[str, object]], *, type_: str = "customer", atomic: bool = False
    ) -> TransactionsWriteResult:
        """Store transactions of existing entities, each once by its `transaction_id`, however often it is sent.

        The answer's `errors` list the problems of refused rows; if all rows are refused, RefusedDataError is raised.
        """
        query = {"type": type_, "atomic": atomic}
        return self._connection.ask(ADD_TRANSACTIONS, query=query, body=rows_of(rows))

    def tags(self, type_: str, external_id: str, *, limit: int | None = None) -> Pages[Tag]:
        """List the tags that an entity has or had, the newest first."""
        return self._connection.pages(TAGS, {"type": type_, "external_id": external_id}, limit=limit)

    def set_tag(
        self,
        type_: str,
        external_id: str,
        tag: str,
        *,
        until: Moment | None = None,
        reason: str = "",
        key: str | None = None,
    ) -> Proposal | None:
        """Set a tag; returns a proposal if it would lower a level, as another person has to approve that."""
        parts = {"type": type_, "external_id": external_id, "tag": tag}
        return self._connection.ask(SET_TAG, parts, body={"until": until, "reason": reason}, key=key)

    def end_tag(
        self,
        type_: str,
        external_id: str,
        tag: str,
        *,
        reason: str = "",
        expected_since: Moment | None = None,
        key: str | None = None,
    ) -> Proposal | None:
        """End a tag; returns a proposal if that would lower a level.

        *expected_since*: the `since` of the tag that was looked at; another tag is not ended.
        """
        parts = {"type": type_, "external_id": external_id, "tag": tag}
        return self._connection.ask(END_TAG, parts, {"reason": reason, "expected_since": expected_since}, key=key)

    def add_screening(
        self,
        type_: str,
        external_id: str,
        screening: str,
        *,
        found: bool,
        at: Moment | None = None,
        reason: str = "",
        key: str | None = None,
    ) -> Proposal | None:
        """Record a screening and whether it had a match; returns a proposal if it would lower a level."""
        body = {"screening": screening, "found": found, "at": at, "reason": reason}
        return self._connection.ask(ADD_SCREENING, {"type": type_, "external_id": external_id}, body=body, key=key)

    def put_case(
        self,
        type_: str,
        external_id: str,
        number: str,
        *,
        opened_at: Moment,
        closed_at: Moment | None = None,
        outcome: str | None = None,
        status: str | None = None,
        fields: Mapping[str, object] | None = None,
        reason: str = "",
        only_new: bool = False,
        key: str | None = None,
    ) -> Proposal | None:
        """Record a case; a later call changes it, unless *only_new*. Returns a proposal if it would lower a level."""
        times = {"opened_at": opened_at, "closed_at": closed_at, "outcome": outcome, "status": status}
        body = _record({**times, "reason": reason}, fields, only_new=only_new)
        parts = {"type": type_, "external_id": external_id, "number": number}
        return self._connection.ask(PUT_CASE, parts, body=body, key=key)

    def put_alert(
        self,
        type_: str,
        external_id: str,
        number: str,
        *,
        opened_at: Moment,
        closed_at: Moment | None = None,
        outcome: str | None = None,
        status: str | None = None,
        fields: Mapping[str, object] | None = None,
        reason: str = "",
        only_new: bool = False,
        key: str | None = None,
    ) -> Proposal | None:
        """Record an alert, as `put_case` does a case."""
        times = {"opened_at": opened_at, "closed_at": closed_at, "outcome": outcome, "status": status}
        body = _record({**times, "reason": reason}, fields, only_new=only_new)
        parts = {"type": type_, "external_id": external_id, "number": number}
        return self._connection.ask(PUT_ALERT, parts, body=body, key=key)


def _record(values: Mapping[str, object], fields: Mapping[str, object] | None, *, only_new: bool) -> dict[str, object]:
    """Write a case or an alert; `only_new` is sent only if it is set, since an older service does not know it."""
    return {**values, "fields": dict(fields or {}), **({"only_new": True} if only_new else {})}
