"""Stores transactions, each once. The entities concerned become due in the same database transaction."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import PROBLEMS_LISTED, InvalidDataError, Problem
from fivefold.domain.money import RateTable
from fivefold.risk.language.fields import FieldType
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.audit.history_reading import ADDED, CORRECTED, senders
from fivefold.store.ingest import transactions
from fivefold.store.ingest.blocks import forget_blocks
from fivefold.store.ingest.entities import entity_numbers, type_named
from fivefold.store.levels.assessment_queue import BULK, EVENT, Origin, Reason, Subject
from fivefold.store.levels.summaries import forget_summaries
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.audit import record as audit
from fivefold.usecases.ingest import corrections
from fivefold.usecases.ingest.entities import AT_ONCE
from fivefold.usecases.ingest.owners import mark_with_owners
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.correction_columns import Rows, read_corrections, split_corrections
from fivefold.usecases.shared.entity_checks import FIELDS
from fivefold.usecases.shared.flow_triggers import SETTLED, TriggerEvent, note, transaction_events
from fivefold.usecases.shared.rates import rates_for
from fivefold.usecases.shared.transaction_columns import SENT_AS, read_columns, transaction_frame


@dataclass(frozen=True)
class TransactionCounts:
    """How many transactions were new, changed their state, or were already stored.

    Attributes:
        corrections: how many corrections and reversals were new; those already stored count as repeated.
        without_rate: how many of them all are in a currency without a rate: their amount in the base is unknown.
    """

    new: int
    changed: int
    repeated: int
    corrections: int = 0
    without_rate: int = 0


def add_transactions(
    context: Context,
    rows: Rows,
    type_name: str = "customer",
    *,
    text: bool = False,
    most_named: int | None = PROBLEMS_LISTED,
    from_file: bool = False,
) -> TransactionCounts:
    """Store transactions of existing entities. One that is stored already under its number, and equal, is skipped.

    A pending one may be sent again with another state. A settled one does not change: a row that `corrects` or
    `reverses` it has the right values, and since when they are known. Nothing is stored if any row is invalid.

    Args:
        context: who sends them, for their organisation.
        rows: `transaction_id`, `user_id` (or `entity_id`), `transaction_amount` (positive deposit), `_currency`,
            `_date`; optionally `transaction_state`, `user_balance`, `user_created`, `user_category`, which the value
            model needs, and the fields that the type declares for its transactions. Corrections are as in
            `usecases.shared.correction_columns.read_corrections`.
        type_name: the type of their entities.
        text: whether numbers may be written as text, as in files.
        most_named: how many rows with problems of one kind are named; None for all of them.
        from_file: whether they are history from a file: flows that listen to files see them, and those that listen to
            each transaction do not.

    Raises:
        NotFoundError: there is no such type.
        FileFormatError: a required column is missing in a file.
        InvalidDataError: invalid rows, each named.
    """
    now = context.now()
    plain, places, correcting, correcting_places = split_corrections(rows)
    with context.writing() as session:
        kind = type_named(session, context.organisation_id, type_name, stays=True)
        declared = FIELDS.validate_python(kind.transaction_fields)
        base = base_currency_of(session, context.organisation_id)
        rates = rates_for(session, context.organisation_id, base, from_microseconds(now).date())
        call = _Call(
            session=session,
            actor=context.actor,
            kind=kind,
            declared=declared,
            now=now,
            text=text,
            most_named=most_named,
            rows=len(rows),
            from_file=from_file,
        )
        counts = TransactionCounts(0, 0, 0)
        if len(plain):
            with renumbered(places):
                counts = _take_transactions(call, plain, rates)
        if len(correcting):
            with renumbered(correcting_places):
                counts = _take_corrections(call, correcting, rates, counts)
        return counts


@dataclass(frozen=True, kw_only=True)
class _Call:
    """The common context of all parts of one call; `rows` is the number of all its rows."""

    session: Session
    actor: Actor
    kind: EntityType
    declared: Mapping[str, FieldType]
    now: int
    text: bool
    most_named: int | None
    rows: int
    from_file: bool

    def mark(self, touched_ids: Collection[int]) -> None:
        """Mark the entities, and their present and past owners, as due."""
        organisation_id, type_id = self.kind.organisation_id, self.kind.id  # once: SQLAlchemy's attributes are slow
        concerned = [Subject(entity, organisation_id, type_id) for entity in touched_ids]
        priority = BULK if self.rows > AT_ONCE else EVENT
        mark_with_owners(self.session, concerned, Reason.TRANSACTION, self.now, priority)


def _take_transactions(call: _Call, rows: Rows, rates: RateTable) -> TransactionCounts:
    """Store the transactions of a call, and delete the summaries and blocks of their time."""
    session, most_named, of = call.session, call.most_named, call.kind.organisation_id
    frame = rows if isinstance(rows, pl.DataFrame) else transaction_frame(rows, call.declared)
    read = read_columns(frame, call.declared, call.now, text=call.text, most_named=most_named)
    staged = _once(_with_entities(session, read, call.kind, most_named), most_named)
    result = transactions.add_transactions(session, of, staged, call.now)
    _refuse_conflicts(result.conflicts, read, most_named)
    _refuse_corrections(transactions.corrections_named(session, of, read["transaction_id"].to_list()), read, most_named)
    call.mark(result.touched)
    _note(call, result)
    earliest = _earliest(staged, result.touched)
    forget_summaries(session, earliest)
    forget_blocks(session, earliest)
    unknown = _without_rate(read, rates)
    repeated_count = len(frame) - result.new - result.changed
    counts = TransactionCounts(result.new, result.changed, repeated_count, without_rate=unknown)
    if result.touched:
        about = (ADDED, "transaction", result.batch)
        audit.record_rows(session, call.actor, about, result.lines, vars(counts))
    return counts


def _note(call: _Call, result: transactions.AddedTransactions) -> None:
    """Begin runs of flows that listen to new transactions, to pending ones that settled, or to files."""
    of = (call.session, call.kind.organisation_id, call.kind.id)
    if call.from_file:
        note(*of, "import", [TriggerEvent(entity, f"import:{result.batch}", {}) for entity in result.touched], call.now)
        return
    if result.new:
        note(*of, "transaction", transaction_events(result.added, repeat(call.actor.name)), call.now)
    if result.changed:
        note(*of, "transaction", _settlements(call, result.settled), call.now)


def _settlements(call: _Call, settled: pl.DataFrame) -> Iterator[TriggerEvent]:
    """Yield the events of pending transactions that settled, each with the sender of the pending row behind it too."""
    recorded = dict(settled.select("batch", "recorded_us").drop_nulls().unique().iter_rows())
    names = senders(call.session, call.kind.organisation_id, recorded)
    events = transaction_events(settled, repeat(call.actor.name), SETTLED)
    for event, batch in zip(events, settled["batch"], strict=True):
        yield event._replace(origin=Origin(people=(names[batch],))) if batch in names else event


def _take_corrections(call: _Call, rows: Rows, rates: RateTable, before: TransactionCounts) -> TransactionCounts:
    """Store corrections, also of transactions stored *before* in this call; return the counts of both."""
    read = read_corrections(rows, call.declared, call.now, text=call.text, most_named=call.most_named)
    result = corrections.store_corrections(call.session, call.actor, call.kind, read, call.now)
    unknown = _without_rate(read, rates)
    if result.new:
        call.mark(result.touched)
        forget_summaries(call.session, result.touched)
        about = (CORRECTED, "transaction", result.batch)
        details = {"corrections": result.new, "repeated": result.repeated, "without_rate": unknown}
        audit.record_rows(call.session, call.actor, about, result.lines, details)
    return replace(
        before,
        repeated=before.repeated + result.repeated,
        corrections=result.new,
        without_rate=before.without_rate + unknown,
    )


def _earliest(staged: pl.DataFrame, touched: Collection[int]) -> dict[int, int]:
    """Return the moment of the earliest row of each touched entity."""
    earliest: dict[int, int] = {}
    for entity, at_us in staged[["entity_id", "at_us"]].rows():
        if entity in touched:
            earliest[entity] = min(at_us, earliest.get(entity, at_us))
    return earliest


def _without_rate(read: pl.DataFrame, rates: RateTable) -> int:
    """Count the rows in a currency without a rate; a correction may omit the currency."""
    with_rate = {None, *rates.codes}
    return sum(count for code, count in Counter(read["currency"].to_list()).items() if code not in with_rate)


def _with_entities(session: Session, read: pl.DataFrame, kind: EntityType, most_named: int | None) -> pl.DataFrame:
    """Replace the name of each transaction's entity by its number; InvalidDataError if an entity is missing."""
    names = read["external_id"].to_list()
    numbers = dict(entity_numbers(session, kind.id, names).rows())
    ids = pl.Series("entity_id", [numbers.get(name) for name in names], dtype=pl.Int64)
    if ids.null_count():
        strangers = read.select("external_id").with_row_index("row").filter(ids.is_null())
        problem = f": there is no such {kind.name}"
        _refuse(strangers, "user_id", lambda name: f"is {name!r}{problem}", "an existing one", most_named)
    return read[[name for name in read.columns if name != "external_id"]].hstack([ids])


def _once(staged: pl.DataFrame, most_named: int | None) -> pl.DataFrame:
    """Keep each transaction once: the settled row if one is pending; InvalidDataError if rows differ otherwise."""
    if staged["transaction_id"].n_unique() == len(staged):
        return staged
    unique_rows = staged.with_row_index("row").unique(staged.columns, keep="first", maintain_order=True)
    is_pending = pl.col("state").eq_missing("PENDING")
    rest = [name for name in staged.columns if name != "state"]
    unique_rows = unique_rows.filter(~(is_pending & (~is_pending).any().over(rest)))
    twice = unique_rows.filter(unique_rows["transaction_id"].is_duplicated())
    if len(twice):
        differing = {
            str(name): [column for column in rows.columns[1:] if rows[column].n_unique() > 1]
            for (name,), rows in twice.group_by("transaction_id")
        }
        _refuse(
            twice.select("row", "transaction_id"),
            "transaction_id",
            lambda name: f"{name!r} has different content in two rows: {_sent_as(differing[name])}",
            "each once",
            most_named,
        )
    return unique_rows.drop("row")


def _refuse_conflicts(conflicts: Mapping[str, Sequence[str]], read: pl.DataFrame, most_named: int | None) -> None:
    """Refuse numbers that are stored with other content, and name the columns that differ."""
    right = "the content that was stored first; only a pending state may change"
    _refuse_numbers(
        conflicts.keys(),
        read,
        lambda name: f"{name!r} was stored with other content: {_sent_as(conflicts[name])}",
        right,
        most_named,
    )


def _sent_as(columns: Iterable[str]) -> str:
    """Return names of columns of the table as callers send them; own fields have one name together."""
    names = {**SENT_AS, "entity_id": "user_id", "content": "own fields"}
    return ", ".join(names.get(name, name) for name in columns)


def _refuse_corrections(numbers: Collection[str], read: pl.DataFrame, most_named: int | None) -> None:
    """Refuse numbers of corrections: a correction sent again without its target would count as another transaction."""
    right = "a number of its own, or the correction as it was stored"
    _refuse_numbers(numbers, read, lambda name: f"is {name!r}, the number of a correction", right, most_named)


def _refuse_numbers(
    numbers: Collection[str],
    read: pl.DataFrame,
    problem: Callable[[str], str],
    right: str,
    most_named: int | None,
) -> None:
    """Refuse some numbers, each in its first row; mostly there are none."""
    if numbers:
        rows = read.select("transaction_id").with_row_index("row").filter(pl.col("transaction_id").is_in(list(numbers)))
        first_rows = rows.unique("transaction_id", keep="first").sort("row")
        _refuse(first_rows, "transaction_id", problem, right, most_named)


def _refuse(rows: pl.DataFrame, field: str, problem: Callable[[str], str], right: str, most_named: int | None) -> None:
    """Raise InvalidDataError for the given rows, by number and name, if there are any."""
    if len(rows):
        first_rows = rows if most_named is None else rows.head(most_named)
        raise InvalidDataError(
            [Problem(row, field, problem(name), right) for row, name in first_rows.iter_rows()], len(rows)
        )


@contextmanager
def renumbered(places: Sequence[int] | None) -> Iterator[None]:
    """Renumber problems by the *places* of the rows among all; None if these are all rows."""
    try:
        yield
    except InvalidDataError as error:
        if places is None:
            raise
        problems = [replace(problem, row=places[problem.row]) for problem in error.every]
        raise InvalidDataError(problems, error.count) from None
