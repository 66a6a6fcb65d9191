"""Corrections and reversals of transactions: new facts that name their transaction, which stays as it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.features.reading.columns import short_text
from fivefold.features.schema import TRANSACTION_ID
from fivefold.store.audit.history import CORRECTION as SEALED
from fivefold.store.audit.history import VALUES, correction_lines, new_batch
from fivefold.store.ingest import transactions as stored_transactions
from fivefold.store.ingest.future_moments import corrected_before
from fivefold.store.ingest.transactions import CorrectedTransaction
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.correction_columns import CORRECTS, REVERSAL, REVERSES
from fivefold.usecases.shared.transaction_columns import OWNERS

_SAME = ("transaction_id", "kind", "reason", *VALUES)
"""The parts in which a repeated correction equals the stored one; its moment too, if it is given."""


@dataclass(frozen=True, kw_only=True)
class StoredCorrections:
    """The result of corrections and reversals.

    Attributes:
        new: how many were stored.
        repeated: how many were stored before.
        touched: the entities of the new ones.
        batch: the number by which they are found again.
        lines: the lines of the new ones, as `store.audit.history` seals them.
    """

    new: int = 0
    repeated: int = 0
    touched: frozenset[int] = frozenset()
    batch: int = 0
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Row:
    """A correction in a request: its place, and its values."""

    place: int
    values: Mapping[str, Any]

    @property
    def number(self) -> str:
        return str(self.values["external_id"])

    @property
    def names(self) -> str:
        return str(self.values["transaction_id"])

    @property
    def field(self) -> str:
        return REVERSES if self.values["kind"] == REVERSAL else CORRECTS

    @property
    def says_when(self) -> bool:
        return self.values["known_us"] is not None

    def agrees_with(self, other: Mapping[str, Any]) -> bool:
        """Return whether another correction is the same; a moment that either omits agrees with any."""
        moments = {self.values["known_us"], other["known_us"]} - {None}
        return len(moments) <= 1 and all(self.values[name] == other[name] for name in _SAME)


def store_corrections(
    session: Session, actor: Actor, kind: EntityType, read: pl.DataFrame, now: int
) -> StoredCorrections:
    """Store new corrections of existing transactions; a change counts from when it is known.

    Args:
        session: in the transaction that stored the transactions of the same call.
        actor: who sends them, for their organisation.
        kind: the type of the entities.
        read: as `usecases.shared.correction_columns.read_corrections` returns them.
        now: the current time, from which corrections without a known moment count.

    Raises:
        InvalidDataError: invalid rows, each named.
        ConflictError: a concurrent call used the same number for another transaction.
    """
    rows = [_Row(place, values) for place, values in enumerate(read.iter_rows(named=True))]
    numbers = {row.names for row in rows} | {row.number for row in rows}
    # Locked first, so that a simultaneous correction of the same transaction is seen.
    transactions = stored_transactions.transactions_named(session, kind.organisation_id, sorted(numbers))
    there = stored_transactions.corrections_named(session, kind.organisation_id, sorted(numbers))
    _refuse(_problems(rows, transactions, there, kind))
    new: dict[str, _Row] = {}
    for row in rows:
        if row.number not in there:
            _keep_first(new, row)
    if not new:
        return StoredCorrections(repeated=len(rows))
    corrected_before(session, kind.organisation_id, sorted({row.names for row in new.values()}), now)
    dated = [row if row.says_when else _known_from(row, now) for row in new.values()]
    touched_ids = frozenset(transactions[row.names].entity_id for row in dated)
    _refuse(_repeated_reversals(dated, stored_transactions.correction_kinds(session, sorted(touched_ids))))
    batch = new_batch()
    new_rows = [{**row.values, "entity_id": transactions[row.names].entity_id, "actor": actor.name} for row in dated]
    stored_transactions.add_corrections(
        session, [(*(each[name] for name in SEALED), kind.organisation_id, now, batch) for each in new_rows]
    )
    schema: dict[str, Any] = {**read.schema, "known_us": pl.Int64, "entity_id": pl.Int64, "actor": pl.String}
    return StoredCorrections(
        new=len(new),
        repeated=len(rows) - len(new),
        touched=touched_ids,
        batch=batch,
        lines=correction_lines(pl.DataFrame(new_rows, schema=schema)),
    )


def _keep_first(rows: dict[str, _Row], row: _Row) -> _Row:
    """Keep a row by number, and return the first of its number; a later row with a moment replaces one without."""
    first = rows.setdefault(row.number, row)
    if row.says_when and not first.says_when:
        rows[row.number] = row
    return first


def _known_from(row: _Row, now: int) -> _Row:
    return _Row(row.place, {**row.values, "known_us": now})


def _refuse(problems: Iterator[Problem]) -> None:
    if problem_list := list(problems):
        raise InvalidDataError(problem_list)


def _problems(
    rows: list[_Row],
    transactions: Mapping[str, CorrectedTransaction],
    there: Mapping[str, Mapping[str, Any]],
    kind: EntityType,
) -> Iterator[Problem]:
    """Yield the problems of rows with an invalid number or target."""
    first: dict[str, _Row] = {}
    for row in rows:
        number, place = short_text(row.number), row.place
        if not _keep_first(first, row).agrees_with(row.values) or (
            row.number in there and not row.agrees_with(there[row.number])
        ):
            yield Problem(place, TRANSACTION_ID, f"{number} was stored with other content", "the same, or a new number")
        elif row.number in transactions:
            yield Problem(place, TRANSACTION_ID, f"is {number}, the number of a transaction", "a number of its own")
        elif (wrong := _wrong_target(row, transactions.get(row.names), first, there, kind)) is not None:
            yield wrong


def _wrong_target(
    row: _Row,
    target: CorrectedTransaction | None,
    first: Mapping[str, _Row],
    there: Mapping[str, Mapping[str, Any]],
    kind: EntityType,
) -> Problem | None:
    """Describe what is wrong with the target of a correction: itself a correction, missing, or of another entity."""
    name, user = short_text(row.names), row.values["user"]
    if target is None and (row.names in there or row.names in first):
        about = there[row.names]["transaction_id"] if row.names in there else first[row.names].names
        return Problem(row.place, row.field, f"is {name}, itself a correction", f"{about!r}, the transaction")
    if target is None or target.type_id != kind.id:
        right = "a stored transaction, or one of the same call"
        return Problem(row.place, row.field, f"is {name}: no {kind.name} has such a transaction", right)
    if user is not None and user != target.external_id:
        return Problem(
            row.place,
            OWNERS[0],
            f"is {short_text(user)}, not the transaction's entity",
            "the transaction's entity, or nothing",
        )
    return None


def _repeated_reversals(rows: list[_Row], before: list[tuple[str, int, str]]) -> Iterator[Problem]:
    """Yield the problems of reversals that directly follow or precede another reversal of the same transaction."""
    # The stored ones come first: at one moment, the later arrival counts.
    facts = [_Fact(name, known_row, kind, None) for name, known_row, kind in before]
    facts += [_Fact(row.names, row.values["known_us"], row.values["kind"], row.place) for row in rows]
    facts.sort(key=attrgetter("transaction_id", "known_us"))
    for name, group in groupby(facts, key=attrgetter("transaction_id")):
        last: _Fact | None = None
        for fact in group:
            if last is not None and fact.kind == last.kind == REVERSAL:
                if fact.place is not None:
                    yield _reversed_already(name, fact.place, last.known_us)
                    continue
                if last.place is not None:
                    yield _reversed_already(name, last.place, fact.known_us)
            last = fact


def _reversed_already(name: str, place: int, since_us: int) -> Problem:
    message = f"is {short_text(name)}, which has been reversed since {day_text(since_us)}"
    return Problem(place, REVERSES, message, "one that counts; a correction lets it count again")


@dataclass(frozen=True)
class _Fact:
    """A fact about a transaction; *place* is the place of its row, None if it is stored."""

    transaction_id: str
    known_us: int
    kind: str
    place: int | None
