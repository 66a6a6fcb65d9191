"""Links between entities: found by either end, and written. Begins and ends no transaction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import polars as pl
from sqlalchemy import and_, case, delete, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from fivefold.domain.paging import Page, Part
from fivefold.store.audit.bound_rows import new_ids
from fivefold.store.audit.history import new_salts
from fivefold.store.levels.bulk_reads import read_rows
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import rows_of
from fivefold.store.sql.statements import UNSEEN, write_rows
from fivefold.store.tables.entities import Entity, Link

ENDS: Final = {"entity_id": pl.Int64, "other_id": pl.Int64, "thing": pl.String}
_TIMES = {"from_us": pl.Int64, "until_us": pl.Int64}
_SCHEMA: Final = {**ENDS, **_TIMES}
_LATEST: Final = 2**62
"""Later than any moment."""


class StoredLink(NamedTuple):
    """A link as it is stored; `id` is None for one that is new."""

    entity_id: int
    link: str
    other_id: int | None = None
    thing: str | None = None
    from_us: int | None = None
    until_us: int | None = None
    id: int | None = None

    @property
    def ends(self) -> tuple[int, str, int | None, str | None]:
        """The entity, the type of link, and the other entity or the shared value."""
        return (self.entity_id, self.link, self.other_id, self.thing)


class ShareCount(NamedTuple):
    """How many entities share a value now, and how many of them share it without an end."""

    now: int
    lasting: int


def links_from(session: Session, entity_ids: Iterable[int]) -> list[StoredLink]:
    """Return all links from entities, in the order in which they were added."""
    columns = {"entity_id": pl.Int64, "link": pl.String, **_SCHEMA, "id": pl.Int64}
    query = (
        "SELECT entity_id, link, other_id, thing, from_us, until_us, id FROM links WHERE entity_id IN :ids ORDER BY id"
    )
    return [
        StoredLink(*row)
        for row in read_rows(session, query, sorted(entity_ids), columns).select(StoredLink._fields).iter_rows()
    ]


def touched_by_links(session: Session, entity_ids: Iterable[int]) -> list[int]:
    """Return which of some entities have or had a link; most never had one."""
    query = (
        "SELECT e.id FROM entities e WHERE e.id IN :ids AND (EXISTS (SELECT 1 FROM links l WHERE l.entity_id = e.id)"
        " OR EXISTS (SELECT 1 FROM links l WHERE l.other_id = e.id))"
    )
    return read_rows(session, query, sorted(entity_ids), {"id": pl.Int64})["id"].to_list()


def links_at(
    session: Session,
    type_id: int,
    link: str,
    end: str,
    ids: Sequence[int] | Sequence[str],
    as_of_us: int | None,
    most: int,
) -> pl.DataFrame:
    """Read the links of one type with given ends: `entity_id`, `other_id`, `thing`, `from_us`, `until_us`.

    A link that was taken back ends where it begins, and never held: as of a moment it is left out.

    Args:
        session: to read with.
        type_id: the type of the entities.
        link: the type of the links, an identifier.
        end: which end, one of `ENDS`.
        ids: the ends.
        as_of_us: the moment; of links that ended before, one for each end is read. None reads all links of all times.
        most: for each end, read at most this many links that hold at the moment, those that end first, and this many
            that begin later.
    """
    assert link.isidentifier(), link  # it becomes part of the query
    where = f"l.type_id = {type_id:d} AND l.link = '{link}' AND l.{end} IN :ids"
    columns = ", ".join(f"l.{name}" for name in _SCHEMA)
    if as_of_us is None:
        return read_rows(session, f"SELECT {columns} FROM links l WHERE {where}", ids, _SCHEMA)  # noqa: S608 (our own words)
    once = "(l.from_us IS NULL OR l.until_us IS NULL OR l.from_us < l.until_us)"
    when = f"CASE WHEN l.from_us > {as_of_us:d} THEN 2 WHEN l.until_us <= {as_of_us:d} THEN 0 ELSE 1 END"
    moment = f"coalesce(CASE WHEN l.from_us > {as_of_us:d} THEN l.from_us ELSE l.until_us END, {_LATEST})"
    query = (
        f"SELECT {', '.join(_SCHEMA)} FROM (SELECT {columns}, {when} AS time_of,"  # noqa: S608 (our own words)
        f" row_number() OVER (PARTITION BY l.{end}, {when} ORDER BY {moment}, l.id) AS place"
        f" FROM links l WHERE {where} AND {once}) s WHERE s.place <= CASE s.time_of WHEN 0 THEN 1 ELSE {most:d} END"
    )
    return read_rows(session, query, ids, _SCHEMA)


def share_counts(
    session: Session, type_id: int, link: str, things: Sequence[str], now_us: int
) -> dict[str, ShareCount]:
    """Count the entities that share values of one type of link, by value; values that none shares now are left out."""
    statement = (
        select(
            Link.thing,
            func.count(Link.entity_id.distinct()),
            func.count(case((Link.until_us.is_(None), Link.entity_id)).distinct()),
        )
        .where(Link.type_id == type_id, Link.link == link, among(session, Link.thing, things))
        .where(
            or_(Link.from_us.is_(None), Link.from_us <= now_us), or_(Link.until_us.is_(None), Link.until_us > now_us)
        )
        .group_by(Link.thing)
    )
    return {str(thing): ShareCount(now, lasting) for thing, now, lasting in session.execute(statement)}


def write_links(
    session: Session,
    kind: tuple[int, int],
    added: Sequence[StoredLink],
    changed: Sequence[StoredLink],
    by: tuple[str, int],
) -> list[int]:
    """Add links, and change the times of others; return the numbers of the rows.

    Args:
        session: in the transaction.
        kind: the numbers of the organisation and of the type of the entities.
        added: new links.
        changed: links with new times.
        by: the actor, and the moment.
    """
    numbers, salts = new_ids(session, "links", len(added)), new_salts(len(added))
    names = ("id", "salt", "organisation_id", "type_id", *StoredLink._fields[:-1], "set_by", "recorded_us")
    rows = ((number, salt, *kind, *one[:-1], *by) for number, salt, one in zip(numbers, salts, added, strict=True))
    write_rows(session, "links", names, rows)
    times: list[Any] = [{"id": one.id, "from_us": one.from_us, "until_us": one.until_us} for one in changed]
    if times:
        session.execute(update(Link), times)
    return [*numbers, *(one["id"] for one in times)]


def forget(session: Session, entity_ids: Sequence[int]) -> None:
    """Delete the links from and to erased entities."""
    of_them = or_(among(session, Link.entity_id, entity_ids), among(session, Link.other_id, entity_ids))
    session.execute(delete(Link).where(of_them), execution_options=UNSEEN)


def one_of_each_sharing(session: Session, entity_ids: Sequence[int], now_us: int) -> list[int]:
    """Return, for each value that entities share, one other entity that shares it now or later."""
    other = aliased(Link)
    same = (other.type_id == Link.type_id) & (other.link == Link.link) & (other.thing == Link.thing)
    statement = (
        select(func.min(other.entity_id))
        .join(Link, same)
        .where(among(session, Link.entity_id, entity_ids), ~among(session, other.entity_id, entity_ids))
        .where(or_(other.until_us.is_(None), other.until_us > now_us))
        .group_by(Link.type_id, Link.link, Link.thing)
    )
    return sorted(set(session.scalars(statement)))


def links_of(session: Session, entity_id: int, part: Part) -> Page[tuple[Link, str | None]]:
    """List the links from and to an entity, the newest first, each with the name of the entity at the other end.

    The name is None if the link leads to a shared value, or nowhere.
    """
    other = aliased(Entity)
    statement = (
        select(Link, other.external_id)
        .outerjoin(other, other.id == case((Link.entity_id == entity_id, Link.other_id), else_=Link.entity_id))
        .where(or_(Link.entity_id == entity_id, Link.other_id == entity_id))
    )
    return rows_of(session, statement, (Link.id,), part, descending=True)


def names_sharing(session: Session, link_ids: Sequence[int], most: int, now_us: int) -> Mapping[int, Iterable[str]]:
    """Return, by link, the names of up to *most* others that share its value now or later, in the order of their links.

    Entities whose own link ended or was taken back are left out.
    """
    shared = aliased(Link)
    same = (Link.type_id == shared.type_id, Link.link == shared.link, Link.thing == shared.thing)
    place = func.row_number().over(partition_by=shared.id, order_by=Link.id)
    placed = (
        select(shared.id, Entity.external_id, place.label("place"))
        .select_from(shared)
        .join(Link, and_(*same))
        .join(Entity, Entity.id == Link.entity_id)
        .where(among(session, shared.id, link_ids), Link.entity_id != shared.entity_id, Entity.erased_us.is_(None))
        .where(
            or_(Link.until_us.is_(None), Link.until_us > now_us),
            or_(Link.from_us.is_(None), Link.until_us.is_(None), Link.from_us < Link.until_us),
        )
        .subquery()
    )
    names = defaultdict[int, dict[str, None]](dict)
    for link_id, name in session.execute(
        select(placed.c.id, placed.c.external_id).where(placed.c.place <= most).order_by(placed.c.id, placed.c.place)
    ):
        names[link_id][name] = None
    return names
