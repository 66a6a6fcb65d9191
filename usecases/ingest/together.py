"""Transactions that several calls post at the same moment, stored in one database transaction, each as if alone.

The cost of a small call is mainly its statements, its commit and its turn at the head of the audit log; calls that wait
for each other share these. Each call has a number and an audit entry of its own. A call that is not entirely new and
valid is left to be stored alone, so that its answer is the usual one, and no other fails with it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import ConflictError, InvalidDataError, NotFoundError
from fivefold.risk.language.fields import FieldType
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.audit import log
from fivefold.store.audit.chain import Entry
from fivefold.store.audit.history import TRANSACTION, new_batch, table_lines
from fivefold.store.audit.history_reading import ADDED
from fivefold.store.ingest import transactions
from fivefold.store.ingest.blocks import forget_blocks
from fivefold.store.ingest.entities import entity_numbers, type_named
from fivefold.store.levels.assessment_queue import EVENT, Reason, Subject
from fivefold.store.levels.summaries import forget_summaries
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.audit.record import entry_of_rows
from fivefold.usecases.ingest.entities import AT_ONCE
from fivefold.usecases.ingest.owners import mark_with_owners
from fivefold.usecases.ingest.transactions import TransactionCounts
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context, refuse_ended
from fivefold.usecases.shared.correction_columns import NAMES
from fivefold.usecases.shared.entity_checks import FIELDS
from fivefold.usecases.shared.flow_triggers import note, transaction_events
from fivefold.usecases.shared.rates import rates_for
from fivefold.usecases.shared.transaction_columns import read_columns, transaction_frame

MOST_ROWS: Final = AT_ONCE
"""A call of more rows is stored alone: it would gain nothing, and its effects are not urgent."""
_CALL: Final = "call"
_NumberedRow = tuple[int, Mapping[str, Any]]
"""A row with the number of its call."""


@dataclass(frozen=True)
class PostedTransactions:
    """One call: who posts transactions, the type of their entities, and the rows as they were sent."""

    actor: Actor
    type_name: str
    rows: Sequence[Mapping[str, Any]]


def add_transactions_together(context: Context, calls: Sequence[PostedTransactions]) -> list[TransactionCounts | None]:
    """Store the transactions of several calls of one organisation, all in one transaction.

    The result of each is as from `usecases.ingest.transactions.add_transactions`. None means that nothing of a call was
    stored, and that it must be stored alone: it is not entirely new, something in it is invalid, or it has corrections.
    All are None if another process took one of the numbers at this moment, or a member's token ended.

    Raises:
        StoreError: the database is out of reach; nothing was stored.
        UnknownOutcomeError: the connection was lost during the commit.
    """
    counts: list[TransactionCounts | None] = [None] * len(calls)
    plain_calls = [number for number, call in enumerate(calls) if _is_plain(call.rows)]
    if not plain_calls:
        return counts
    now = context.now()
    try:
        with context.writing() as session:
            for number in plain_calls:
                refuse_ended(session, calls[number].actor)
            counts_by_call = _Together(session, context.organisation_id, now).take(
                {number: calls[number] for number in plain_calls}
            )
    except ConflictError:
        return counts
    for number, count in counts_by_call.items():
        counts[number] = count
    return counts


def _is_plain(rows: Sequence[Mapping[str, Any]]) -> bool:
    return len(rows) <= MOST_ROWS and not any(NAMES & row.keys() for row in rows)


class _Together:
    """One transaction for many calls."""

    def __init__(self, session: Session, organisation_id: int, now: int) -> None:
        self._session, self._of, self._now = session, organisation_id, now

    def take(self, calls: Mapping[int, PostedTransactions]) -> dict[int, TransactionCounts]:
        by_type: dict[str, dict[int, PostedTransactions]] = defaultdict(dict)
        for number, call in calls.items():
            by_type[call.type_name][number] = call
        parts = [part for name in sorted(by_type) if (part := self._staged(name, by_type[name])) is not None]
        if not parts:
            return {}
        staged = self._new_alone(pl.concat(parts))
        if not len(staged):
            return {}
        batches = {number: new_batch() for number in staged[_CALL].unique()}
        staged = staged.with_columns(batch=pl.col(_CALL).replace_strict(batches, return_dtype=pl.Int64))
        transactions.add_new(self._session, self._of, staged, self._now)
        subjects = {
            Subject(entity, self._of, kind) for entity, kind in staged.select("entity_id", "type_id").iter_rows()
        }
        mark_with_owners(self._session, subjects, Reason.TRANSACTION, self._now, EVENT)
        for (kind,), rows in staged.group_by("type_id"):
            senders = (calls[number].actor.name for number in rows[_CALL])
            note(self._session, self._of, kind, "transaction", transaction_events(rows, senders), self._now)
        earliest = dict(staged.group_by("entity_id").agg(pl.col("at_us").min()).iter_rows())
        forget_summaries(self._session, earliest)
        forget_blocks(self._session, earliest)
        counts = self._counts(staged)
        log.append_all(self._session, list(_entries(self._session, calls, staged, counts, batches)))
        return counts

    def _staged(self, type_name: str, calls: Mapping[int, PostedTransactions]) -> pl.DataFrame | None:
        """Check the rows of calls about entities of one type; calls with any problem are left out."""
        try:
            kind = type_named(self._session, self._of, type_name, stays=True)
        except NotFoundError:
            return None
        declared = FIELDS.validate_python(kind.transaction_fields)
        parts = [_read(part, declared, self._now) for part in _alike(calls)]
        read = [part for part in parts if part is not None]
        return self._with_entities(pl.concat(read), kind) if read else None

    def _with_entities(self, read: pl.DataFrame, kind: EntityType) -> pl.DataFrame:
        numbers = entity_numbers(self._session, kind.id, read["external_id"].unique().to_list())
        rows = read.join(numbers, on="external_id", how="left", maintain_order="left")
        strangers = rows.filter(rows["entity_id"].is_null())[_CALL].unique()
        kind_id = pl.lit(kind.id, dtype=pl.Int64).alias("type_id")
        return rows.filter(~rows[_CALL].is_in(strangers.to_list())).drop("external_id").with_columns(kind_id)

    def _new_alone(self, staged: pl.DataFrame) -> pl.DataFrame:
        """Leave out calls with a number that is stored already, or that occurs twice in these calls."""
        names = staged["transaction_id"]
        of = (self._session, self._of, names.to_list())
        stored_numbers = [*transactions.numbers_taken(*of), *transactions.corrections_named(*of)]
        repeating_calls = staged.filter(names.is_in(stored_numbers) | names.is_duplicated())[_CALL].unique()
        return staged.filter(~staged[_CALL].is_in(repeating_calls.to_list()))

    def _counts(self, staged: pl.DataFrame) -> dict[int, TransactionCounts]:
        base = base_currency_of(self._session, self._of)
        rates = rates_for(self._session, self._of, base, from_microseconds(self._now).date())
        unknown = (~pl.col("currency").is_in(list(rates.codes))).sum()
        by_call = staged.group_by(_CALL).agg(pl.len().alias("new"), unknown.alias("unknown"))
        return {call: TransactionCounts(new, 0, 0, without_rate=without) for call, new, without in by_call.iter_rows()}


def _alike(calls: Mapping[int, PostedTransactions]) -> Iterable[list[_NumberedRow]]:
    """Group rows, with the numbers of their calls, by the fields of the call, which tell the column of the entity."""
    alike: dict[frozenset[str], list[_NumberedRow]] = defaultdict(list)
    for number, call in calls.items():
        shape = frozenset(name for row in call.rows for name in row)
        alike[shape] += [(number, row) for row in call.rows]
    return alike.values()


def _read(
    rows: list[tuple[int, Mapping[str, Any]]], declared: Mapping[str, FieldType], now: int
) -> pl.DataFrame | None:
    """Check rows and convert them into the columns of the table; calls with any problem are left out."""
    while rows:
        try:
            frame = transaction_frame([row for _, row in rows], declared)
            read = read_columns(frame, declared, now, text=False, most_named=None)
        except InvalidDataError as error:
            wrong = {rows[problem.row][0] for problem in error.every}
            if not wrong:
                return None
            rows = [row for row in rows if row[0] not in wrong]
        else:
            return read.with_columns(pl.Series(_CALL, [number for number, _ in rows], dtype=pl.Int64))
    return None


def _entries(
    session: Session,
    calls: Mapping[int, PostedTransactions],
    staged: pl.DataFrame,
    counts: Mapping[int, TransactionCounts],
    batches: Mapping[int, int],
) -> Iterable[Entry]:
    """Make the entry of each call, in the order of the calls, over the lines of its own transactions."""
    in_order = staged.sort(_CALL, "transaction_id")
    lines: dict[int, list[str]] = defaultdict(list)
    for number, line in zip(in_order[_CALL], table_lines(in_order.select(*TRANSACTION)), strict=True):
        lines[number].append(line)
    for number, of_call in lines.items():
        about = (ADDED, "transaction", batches[number])
        yield entry_of_rows(session, calls[number].actor, about, of_call, vars(counts[number]))
