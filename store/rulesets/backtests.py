"""Backtests: queued, leased, their progress and reports. Nothing here begins or ends a transaction.

They are leased as described in `store.sql.jobs`. A backtest whose worker died is restarted by another one.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Row, Select, delete, func, insert, select
from sqlalchemy.orm import Session, defer

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.audit.history import new_salt
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.sql.json_text import stored_report
from fivefold.store.sql.keyset import rows_of, scalars_of
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.rulesets import Backtest, BacktestMover


class BacktestMoverRow(NamedTuple):
    """An entity whose level a backtest would change."""

    external_id: str
    before: str
    after: str
    later: str


def newest_done(session: Session, family_id: int, content_hash: str) -> Backtest | None:
    """Find the latest finished backtest of a content."""
    statement = _of_content(family_id, content_hash).where(Backtest.state == "done")
    return session.scalar(statement.order_by(Backtest.id.desc()).limit(1))


def newest_states(session: Session, family_id: int, content_hashes: Sequence[str]) -> dict[str, Row[Any]]:
    """Return the newest backtest of each content of a family: `id`, `state`, `done` and `total`, without reports."""
    newest = (
        select(func.max(Backtest.id))
        .where(Backtest.family_id == family_id, Backtest.content_hash.in_(content_hashes))
        .group_by(Backtest.content_hash)
    )
    columns = (Backtest.content_hash, Backtest.id, Backtest.state, Backtest.done, Backtest.total)
    rows: Iterable[Row[Any]] = ()
    if content_hashes:
        rows = session.execute(select(*columns).where(Backtest.id.in_(newest)))
    return {row.content_hash: row for row in rows}


def under_way(session: Session, family_id: int, content_hash: str) -> Backtest | None:
    """Find a waiting or running backtest of a content."""
    statement = _of_content(family_id, content_hash).where(Backtest.state.in_(("queued", "running")))
    return session.scalar(statement.order_by(Backtest.id).limit(1))


def _of_content(family_id: int, content_hash: str) -> Select[Backtest]:
    return select(Backtest).where(Backtest.family_id == family_id, Backtest.content_hash == content_hash)


def backtest_numbered(session: Session, organisation_id: int, number: int, *, locked: bool = False) -> Backtest:
    """Find a backtest of an organisation, and lock it if *locked*; NotFoundError if it has none of that number."""
    row = session.get(Backtest, number, with_for_update=locked or None)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no backtest {number}")
    return row


def count_transactions(session: Session, entity_ids: Sequence[int]) -> dict[int, int]:
    """Count the transactions that may count for each entity: its own, and those of entities that it owns or owned."""
    whose = loading.fact_owners(session, entity_ids)
    counts = loading.transaction_counts(session, whose["fact_of"].unique().to_list())
    of = whose.join(counts, left_on="fact_of", right_on="entity").group_by("entity").agg(pl.col("count").sum())
    return dict(of.iter_rows())


def backtests_of(session: Session, family_id: int, part: Part = WHOLE) -> Page[Backtest]:
    """List the backtests of a family, the newest first, without their contents and reports."""
    long = (defer(Backtest.canonical, raiseload=True), defer(Backtest.report, raiseload=True))
    statement = select(Backtest).options(*long).where(Backtest.family_id == family_id)
    return scalars_of(session, statement, (Backtest.id,), part, descending=True)


def forget_entities(session: Session, organisation_id: int, entity_ids: Collection[int]) -> list[int]:
    """Remove entities from reports, which name those that change most and those that could not be assessed.

    Return the numbers of the backtests whose reports named one of them.
    """
    changed_numbers = []
    rows = session.scalars(
        select(Backtest).where(Backtest.organisation_id == organisation_id, Backtest.report.is_not(None))
    )
    for row in rows:
        report = without_entities(row.report or "", entity_ids)
        if report != row.report:
            row.report, row.salt = report, new_salt()  # without it, former digests reveal nothing
            changed_numbers.append(row.id)
    return changed_numbers


def without_erased(session: Session, report: str) -> str:
    """Remove from a report the entities that were erased during its run, and lock the others against erasure."""
    numbers = {int(line["entity"]) for lines in _lines(json.loads(report)) for line in lines}
    statement = select(Entity.id, Entity.erased_us).where(Entity.id.in_(numbers)).order_by(Entity.id)
    rows = session.execute(statement.with_for_update(read=True, key_share=True)).all()
    return without_entities(report, [entity_id for entity_id, erased_us in rows if erased_us is not None])


def without_entities(report: str, entity_ids: Collection[int]) -> str:
    """Return a report without some entities; the same text if none of them is in it."""
    names = {str(entity_id) for entity_id in entity_ids}
    content = json.loads(report)
    is_changed = False
    for lines in _lines(content):
        remaining = [line for line in lines if line["entity"] not in names]
        is_changed = is_changed or len(remaining) < len(lines)
        lines[:] = remaining
    return stored_report(content) if is_changed else report


def _lines(report: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the lists of a report that name entities; a report on examples has none."""
    if report["basis"] != "customers":
        return []
    backtest = report["backtest"]
    return [
        backtest["movers"],
        *(side["failures"] for side in (backtest["draft"], backtest["present"]) if side is not None),
    ]


def keep_movers(session: Session, number: int, rows: pl.DataFrame) -> None:
    """Store the entities whose level a backtest would change: `entity_id` (as text), `before`, `after`, `later`.

    Entities erased meanwhile are left out: the foreign key makes the insert wait for a running erasure.
    """
    values = [{**row, "backtest_id": number, "entity_id": int(row["entity_id"])} for row in rows.iter_rows(named=True)]
    if not values:
        return
    session.execute(insert(BacktestMover), values)
    erased = select(Entity.id).where(
        Entity.id == BacktestMover.entity_id, BacktestMover.backtest_id == number, Entity.erased_us.is_not(None)
    )
    session.execute(delete(BacktestMover).where(BacktestMover.backtest_id == number, erased.exists()))


def forget_movers(session: Session, number: int) -> None:
    """Delete the entities whose level a backtest would change."""
    session.execute(delete(BacktestMover).where(BacktestMover.backtest_id == number))


def movers_of(
    session: Session, number: int, before: str | None, after: str | None, part: Part
) -> Page[BacktestMoverRow]:
    """List the entities whose level a backtest would change, all or those from or to a level, by number."""
    columns = (Entity.external_id, BacktestMover.before, BacktestMover.after, BacktestMover.later)
    statement = (
        select(*columns)
        .join_from(BacktestMover, Entity, Entity.id == BacktestMover.entity_id)
        .where(BacktestMover.backtest_id == number)
    )
    if before is not None:
        statement = statement.where(BacktestMover.before == before)
    if after is not None:
        statement = statement.where(BacktestMover.after == after)
    return rows_of(session, statement, (BacktestMover.entity_id,), part).map(lambda row: BacktestMoverRow(*row))
