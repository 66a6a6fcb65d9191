"""Transactions in: each once, whatever is sent again; whoever they concern becomes due in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Engine

from domain.clock import from_microseconds, now_microseconds
from domain.errors import PROBLEMS_LISTED, DataNotValid, Problem
from store import transactions
from store.database import writing
from store.due import BULK, EVENT, Reason, Subject
from store.entities import numbered, type_named
from store.settings import base_currency_of
from usecases import audit
from usecases.actors import Actor
from usecases.ingest_checks import FIELDS
from usecases.ingest_entities import AT_ONCE
from usecases.owners import mark_with_owners
from usecases.rates import rates_for
from usecases.transaction_columns import frame_of, read_columns


@dataclass(frozen=True)
class TransactionsTaken:
    """What became of transactions: how many were new, changed their state, and had been taken before.

    Attributes:
        without_rate: of them all, how many are in a currency without a rate: their money is unknown in the base.
    """

    new: int
    changed: int
    repeated: int
    without_rate: int = 0


def add_transactions(
    engine: Engine,
    actor: Actor,
    rows: Sequence[Mapping[str, Any]] | pl.DataFrame,
    type_name: str = "customer",
    *,
    text: bool = False,
    now_us: int | None = None,
    most_named: int | None = PROBLEMS_LISTED,
) -> TransactionsTaken:
    """Take transactions of entities that are there. One whose number was taken before, with the same content, is left.

    A pending one may be sent again with another state. Nothing is taken where anything is wrong.

    Args:
        engine: the database.
        actor: whose organisation it is for.
        rows: `transaction_id`, `user_id` (or `entity_id`), `transaction_amount` (positive deposit), `_currency`,
            `_date`; perhaps `transaction_state`, `user_balance`, `user_created`, `user_category`, which the value
            model needs, and the fields that the type declares for its transactions.
        type_name: the type of their entities.
        text: numbers may be written as text, as in CSV.
        now_us: the present moment.
        most_named: how many rows with problems of one kind are named; None for all of them.

    Raises:
        NotThere: there is no such type.
        LayoutError: a column that all have is missing.
        DataNotValid: rows that cannot be taken, each named.
    """
    now = now_microseconds() if now_us is None else now_us
    with writing(engine) as session:
        kind = type_named(session, actor.organisation_id, type_name, kept=True)
        declared = FIELDS.validate_json(kind.transaction_fields)
        frame = rows if isinstance(rows, pl.DataFrame) else frame_of(rows, declared)
        rates = rates_for(
            session,
            actor.organisation_id,
            base_currency_of(session, actor.organisation_id),
            from_microseconds(now).date(),
        )
        read = read_columns(frame, declared, now, text=text, most_named=most_named)
        named = numbered(session, kind.id, read["external_id"].unique().to_list())
        staged = _once(_with_entities(read, named, type_name, most_named), most_named).drop("external_id")
        added = transactions.add(session, actor.organisation_id, staged, now)
        _refuse_conflicts(added.conflicts, read, most_named)
        priority = BULK if len(staged) > AT_ONCE else EVENT
        organisation_id, type_id = kind.organisation_id, kind.id
        concerned = [Subject(entity, organisation_id, type_id) for entity in added.touched]
        mark_with_owners(session, concerned, Reason.TRANSACTION, now, priority)
        unknown = int((~read["currency"].is_in(rates.codes)).sum())
        taken = TransactionsTaken(added.new, added.changed, len(frame) - added.new - added.changed, unknown)
        if added.touched:
            about = ("transactions.added", "transaction", added.batch)
            audit.record_rows(session, actor, about, added.lines, vars(taken))
        return taken


def _with_entities(read: pl.DataFrame, named: pl.DataFrame, type_name: str, most_named: int | None) -> pl.DataFrame:
    """Say whose each transaction is by its number; DataNotValid where somebody is not there."""
    found = read.join(named, on="external_id", how="left", maintain_order="left")
    strangers = found.select("external_id").with_row_index("row").filter(found["entity_id"].is_null())
    problem = f": there is no such {type_name}"
    _refuse(strangers, "user_id", lambda name: f"is {name!r}{problem}", "one that was added", most_named)
    return found


def _once(staged: pl.DataFrame, most_named: int | None) -> pl.DataFrame:
    """Take each transaction once; DataNotValid where the same number stands for different content."""
    if staged["transaction_id"].n_unique() == len(staged):
        return staged
    kept = staged.with_row_index("row").unique(staged.columns, keep="first", maintain_order=True)
    twice = kept.select("row", "transaction_id").filter(kept["transaction_id"].is_duplicated())
    _refuse(twice, "transaction_id", lambda name: f"{name!r} stands for different content", "each once", most_named)
    return kept.drop("row")


def _refuse_conflicts(conflicts: Sequence[str], read: pl.DataFrame, most_named: int | None) -> None:
    if conflicts:
        rows = read.select("transaction_id").with_row_index("row")
        rows = rows.filter(read["transaction_id"].is_in(conflicts)).unique("transaction_id", keep="first")
        allowed = "the content that was taken first; only a pending state may change"
        _refuse(
            rows.sort("row"),
            "transaction_id",
            lambda name: f"{name!r} was taken with other content",
            allowed,
            most_named,
        )


def _refuse(
    rows: pl.DataFrame, field: str, problem: Callable[[str], str], allowed: str, most_named: int | None
) -> None:
    """Raise DataNotValid for rows, given by number and name; none are fine."""
    if len(rows):
        shown = rows if most_named is None else rows.head(most_named)
        raise DataNotValid([Problem(row, field, problem(name), allowed) for row, name in shown.iter_rows()], len(rows))
