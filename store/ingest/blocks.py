"""Blocks: many transactions of an entity in one row, by columns, which are read in a twentieth of the time.

A block has exactly the transactions between two moments, as first stored; the blocks of an entity follow each other
without a gap. They only speed up reading: without them, the transactions themselves are read, and corrections are
stored apart from both. Workers make blocks of transactions that are some days old. A call that stores or settles
transactions in the time of a block deletes it and the later ones, after it marked the entity due. So either the worker
that makes a block waits for that mark and then sees another revision than it claimed, or the call waits for the worker
and then finds the block.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import polars as pl
from sqlalchemy import text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.levels import bulk_reads
from fivefold.store.levels.bulk_reads import IN_ORDER, read_rows, transaction_columns
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.levels.summaries import BEFORE_ALL, unchanged_entities
from fivefold.store.sql.arrays import array_text
from fivefold.store.sql.statements import write_rows

FEWEST: Final = 5_000
"""A block has at least this many rows: fewer are read in 15 ms, and each block takes 0.3 ms to open."""
MOST: Final = 20_000
"""A late transaction deletes the block of its time and the later ones, so no block is much longer than this."""
OPEN_US: Final = 2 * DAY_US
"""Blocks leave out transactions younger than this: most late transactions arrive within that time."""

_COLUMNS = ("entity_id", "until_us", "from_us", "content")
_ROWS: Mapping[str, Any] = {"entity": pl.Int64, "until_us": pl.Int64, "from_us": pl.Int64, "content": pl.Binary}
_MAKE_ROOM = text(
    "DELETE FROM transaction_blocks WHERE entity_id = :entity_id AND (until_us <= :kept_us OR until_us > :from_us)"
)
_FORGET = {
    "sqlite": "DELETE FROM transaction_blocks WHERE entity_id = ? AND until_us >= ?",
    "postgresql": (
        "DELETE FROM transaction_blocks b USING unnest(%s::bigint[], %s::bigint[]) AS given(entity_id, at_us)"
        " WHERE b.entity_id = given.entity_id AND b.until_us >= given.at_us"
    ),
}


@dataclass(frozen=True)
class Block:
    """The transactions of an entity with `from_us` < `at_us` <= `until_us`, as Parquet."""

    entity_id: int
    until_us: int
    from_us: int
    content: bytes


class NewBlocks(NamedTuple):
    """New consecutive blocks of one entity; the stored blocks up to *kept_us* are obsolete."""

    kept_us: int
    blocks: Sequence[Block]


@dataclass(frozen=True)
class ReadTransactions:
    """Transactions, and how far they were read from blocks.

    Attributes:
        rows: in the order of their time, as `store.levels.bulk_reads.transactions`.
        others: the rows that are not in a block.
        begin_us: where the next block of an entity begins: at the end of its last one, or at the start of the reading.
        after_us: the start of the reading.
    """

    rows: pl.DataFrame
    others: pl.DataFrame
    begin_us: Mapping[int, int]
    after_us: int


def transactions(
    session: Session, ids: Sequence[int], *, for_value: bool, after_us: int | None = None
) -> ReadTransactions:
    """Read transactions as `store.levels.bulk_reads.transactions` does, from blocks if there are any."""
    begin = BEFORE_ALL if after_us is None else after_us
    columns = list(transaction_columns(for_value=for_value))
    parts, ends = _from_blocks(session, ids, begin, columns)
    without = [entity for entity in ids if entity not in ends]
    single = [bulk_reads.transactions(session, [each], for_value=for_value, after_us=ends[each]) for each in ends]
    if without or not ids:
        single.append(bulk_reads.transactions(session, without, for_value=for_value, after_us=after_us))
    others = single[0] if len(single) == 1 else pl.concat(single)
    rows = pl.concat([*parts, others]) if parts else others
    if parts and len(ids) > 1:  # the rows of one entity are already in order
        rows = rows.sort(*IN_ORDER)
    return ReadTransactions(rows, others, dict.fromkeys(without, begin) | ends, begin)


def _from_blocks(
    session: Session, ids: Sequence[int], begin: int, columns: Sequence[str]
) -> tuple[list[pl.DataFrame], dict[int, int]]:
    """Read consecutive blocks from a moment on; return their rows, and by entity the end of the last one."""
    query = (
        "SELECT entity_id, until_us, from_us, content FROM transaction_blocks"  # noqa: S608 (our own words)
        f" WHERE entity_id IN :ids AND until_us > {begin:d}"
    )
    parts, ends, unreadable = list[pl.DataFrame](), dict[int, int](), set[int]()
    for entity, until_us, from_us, content in read_rows(session, query, ids, _ROWS).sort("entity", "until_us").rows():
        follows = from_us == ends[entity] if entity in ends else from_us <= begin
        rows = _rows_of(content, columns) if follows and entity not in unreadable else None
        if rows is None:
            unreadable.add(entity)  # transactions after it are read from their own table
            continue
        later = rows.filter(pl.col("at_us") > begin) if from_us < begin else rows
        parts.append(later.select(pl.lit(entity, pl.Int64).alias("entity"), *columns[1:]))
        ends[entity] = until_us
    return parts, ends


def _rows_of(content: bytes, columns: Sequence[str]) -> pl.DataFrame | None:
    """Read a block; None if it cannot be read, or lacks a column that a later program added."""
    try:
        return pl.read_parquet(io.BytesIO(content), columns=list(columns[1:]))
    except pl.exceptions.PolarsError:
        return None


def new_blocks(session: Session, ids: Sequence[int], read: ReadTransactions, now_us: int) -> list[NewBlocks]:
    """Make blocks for entities with many transactions outside of blocks.

    Args:
        session: the session that read them.
        ids: the entities whose blocks may be stored.
        read: their transactions, possibly with those of others.
        now_us: the current time; recent transactions are left as they are.
    """
    until_us = now_us - OPEN_US
    if len(read.others) < FEWEST:
        return []
    old_rows = read.others.filter(pl.col("at_us") <= until_us, pl.col("entity").is_in(list(ids)))
    counts = old_rows.group_by("entity").len().filter(pl.col("len") >= FEWEST)
    return [
        NewBlocks(read.after_us, _blocks_of(session, entity, read.begin_us[entity], until_us))
        for entity in sorted(counts["entity"])
    ]


def _blocks_of(session: Session, entity_id: int, begin_us: int, until_us: int) -> list[Block]:
    """Divide the transactions between two moments into as few blocks as possible, of about equal length."""
    rows = bulk_reads.transactions(session, [entity_id], for_value=True, after_us=begin_us)
    rows = rows.drop("entity").filter(pl.col("at_us") <= until_us)
    number = -(-len(rows) // MOST)
    places = [len(rows) * place // number - 1 for place in range(1, number)]
    ends = sorted({*rows["at_us"].gather(places), until_us})
    return [
        Block(entity_id, end, begin, _content(rows.filter(pl.col("at_us").is_between(begin, end, closed="right"))))
        for begin, end in zip([begin_us, *ends], ends, strict=False)
    ]


def _content(rows: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    rows.write_parquet(content, compression="zstd", statistics=False)
    return content.getvalue()


def store_blocks(session: Session, batch: LeasedBatch, new_blocks: Sequence[NewBlocks]) -> None:
    """Store new blocks of leased entities after the existing ones, only for those to which nothing happened since.

    Blocks that are no longer read, and those of the same time, are deleted.

    Args:
        session: in the transaction that locked the marks.
        batch: the claimed entities.
        new_blocks: the new blocks of some of these.
    """
    same = unchanged_entities(session, batch, [each.blocks[0].entity_id for each in new_blocks])
    connection = session.connection()
    for kept_us, blocks in new_blocks:
        first = blocks[0]
        if first.entity_id not in same:
            continue
        bounds = {"entity_id": first.entity_id, "kept_us": kept_us, "from_us": first.from_us}
        connection.execute(_MAKE_ROOM, bounds)
        rows = [(each.entity_id, each.until_us, each.from_us, each.content) for each in blocks]
        write_rows(session, "transaction_blocks", _COLUMNS, rows)


def forget_blocks(session: Session, earliest: Mapping[int, int]) -> None:
    """Delete the blocks from a changed moment on; the entities were marked before.

    Args:
        session: in the transaction that marked the entities.
        earliest: that moment by entity, in microseconds.
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_FORGET["sqlite"], list(earliest.items())) if earliest else None
        return
    arrays = (array_text(earliest), array_text(earliest.values()))
    connection.exec_driver_sql(_FORGET["postgresql"], arrays)
