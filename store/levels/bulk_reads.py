"""Stored facts and levels of some entities, as frames; each read is one statement. Begins no transaction.

It bypasses SQLAlchemy, whose rows cost several times as much, and COPY, which returns PostgreSQL's rows one by one.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.store.sql.arrays import array_text
from fivefold.store.tables.entities import COUNTS_FROM

_TRANSACTIONS: Mapping[str, Any] = {
    "entity": pl.Int64,
    "transaction_id": pl.String,
    "at_us": pl.Int64,
    "amount": pl.Float64,
    "currency": pl.String,
    "state": pl.String,
    "content": pl.String,
}
_FOR_VALUE: Mapping[str, Any] = {"balance": pl.Float64, "category": pl.String, "account_created_us": pl.Int64}
IN_ORDER = ("entity", "at_us", "transaction_id")
"""The only order of transactions: each database orders text in its own way."""
_RECORDS: Mapping[str, Any] = {
    "entity": pl.Int64,
    "opened_us": pl.Int64,
    "closed_us": pl.Int64,
    "outcome": pl.String,
    "status": pl.String,
    "content": pl.String,
}
_CURRENT_LEVELS: Mapping[str, Any] = {
    "entity": pl.Int64,
    "number": pl.Int64,
    "assessed_us": pl.Int64,
    "version_id": pl.Int64,
    "level": pl.Int64,
    "rules_level": pl.Int64,
    "entered_us": pl.Int64,
    "floor": pl.Int64,
    "hard_floor": pl.Int64,
    "floors_lost": pl.String,
    "override_id": pl.Int64,
    "kept_by": pl.String,
    "source": pl.String,
    "digest": pl.String,
    "level_since_us": pl.Int64,
    "value_score": pl.Float64,
    "segment": pl.String,
    "expected_value": pl.Float64,
    "value_currency": pl.String,
}
_MOVED_BY = "(SELECT t.source FROM transitions t WHERE t.entity_id = s.entity_id ORDER BY t.number DESC LIMIT 1)"
_RELEASES: Mapping[str, Any] = {
    "entity": pl.Int64,
    "version_id": pl.Int64,
    "held_level": pl.Int64,
    "held_entered_us": pl.Int64,
    "assessed_us": pl.Int64,
    "level": pl.Int64,
    "entered_us": pl.Int64,
    "floor": pl.Int64,
    "hard_floor": pl.Int64,
    "floors_lost": pl.String,
}
_RUNS: Mapping[str, Any] = {
    **dict.fromkeys(("entity", "number", "as_of_us"), pl.Int64),
    "content": pl.String,
    "version_before": pl.Int64,
    "content_before": pl.String,
}
_OWNED: Mapping[str, Any] = dict.fromkeys(("fact_of", "entity", "type_id", "from_us", "until_us"), pl.Int64)
_OVERRIDES: Mapping[str, Any] = {"entity": pl.Int64, "id": pl.Int64, "level": pl.Int64, "until_us": pl.Int64}

MANY = 100
ROWS_AT_ONCE = 2_000
"""How many rows are Python objects at the same time: for 100,000, creating and freeing them took a third of the time.
"""


def read_rows(
    session: Session,
    query: str,
    ids: Sequence[int] | Sequence[str],
    schema: Mapping[str, Any],
    order: Sequence[str] = (),
) -> pl.DataFrame:
    """Run *query*, with the columns of *schema*; `IN :ids` in it matches any of *ids*.

    The rows are sorted by the columns of *order*, which are never null. Few rows are sorted before they become a frame:
    a sort in Polars takes longer, as it goes through other threads.
    """
    connection = session.connection()
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        cursor = driver.execute(query.replace(":ids", "(SELECT value FROM json_each(?))"), (json.dumps(list(ids)),))
    else:
        # An explicit type: against an array of a smaller type, each row would be compared with all elements in turn.
        kind = "text" if ids and isinstance(ids[0], str) else "bigint"
        cursor = driver.cursor(binary=True).execute(
            query.replace("IN :ids", f"= ANY(%s::{kind}[])"), (array_text(ids),)
        )
    first = cursor.fetchmany(ROWS_AT_ONCE)
    if len(first) < ROWS_AT_ONCE:
        names = list(schema)
        for name in reversed(order):  # sorts are stable, so the last key is sorted first
            first.sort(key=itemgetter(names.index(name)))
        return _frame(first, schema)
    parts = [_frame(first, schema)]
    while len(parts[-1]) == ROWS_AT_ONCE:
        parts.append(_frame(cursor.fetchmany(ROWS_AT_ONCE), schema))
    together = pl.concat(parts)
    return together.sort(*order) if order else together


def _frame(rows: Sequence[Sequence[Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Make a frame of rows: many rows by columns, which takes two thirds of the time; few rows as Polars does it."""
    if not rows:
        return _empty_frame(tuple(schema.items())).clone()
    if len(rows) < MANY:
        return pl.DataFrame(rows, schema=dict(schema), orient="row", strict=False)
    columns = zip(schema.items(), zip(*rows, strict=True), strict=True)
    return pl.DataFrame([pl.Series(name, values, kind, strict=False) for (name, kind), values in columns])


@cache
def _empty_frame(columns: tuple[tuple[str, Any], ...]) -> pl.DataFrame:
    """Return an empty frame, cached: most reads about one entity have no rows, and building a frame takes long."""
    return pl.DataFrame(schema=dict(columns))


def entities(session: Session, ids: Sequence[int], known_by_us: int | None = None) -> pl.DataFrame:
    """Read the latest attributes: `entity`, `external_id`, `content` (JSON); erased entities are left out.

    With *known_by_us* the latest that were known by then; the content is null if none were.
    """
    query = (
        "SELECT e.id, e.external_id, a.content FROM entities e JOIN attributes a ON a.entity_id = e.id"
        " WHERE e.id IN :ids AND a.number = (SELECT max(b.number) FROM attributes b WHERE b.entity_id = e.id)"
        " ORDER BY e.id"
    )
    if known_by_us is not None:
        condition = f"a.entity_id = e.id AND a.known_us <= {known_by_us:d}"
        query = (
            f"SELECT e.id, e.external_id, (SELECT a.content FROM attributes a WHERE {condition}"  # noqa: S608 (a number)
            " ORDER BY a.number DESC LIMIT 1) FROM entities e WHERE e.id IN :ids"
            " AND EXISTS (SELECT 1 FROM attributes b WHERE b.entity_id = e.id) ORDER BY e.id"
        )
    return read_rows(
        session,
        query,
        ids,
        {"entity": pl.Int64, "external_id": pl.String, "content": pl.String},
    )


def entities_there(session: Session, ids: Sequence[int], at_us: int) -> list[int]:
    """Return the entities that were stored by a moment, in ascending order: storing one stores its attributes too."""
    query = f"SELECT DISTINCT entity_id FROM attributes WHERE entity_id IN :ids AND known_us <= {at_us:d}"  # noqa: S608 (a number)
    return read_rows(session, query, ids, {"entity": pl.Int64}, ("entity",))["entity"].to_list()


def fact_owners(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Read whose facts count for which entity: `fact_of`, `entity`; its own, and those of entities it owns or owned.

    Facts count from `from_us` until before `until_us`; null means no beginning, or no end. `type_id` is the type of the
    owned entity, null for an entity's own facts.
    """
    frame = read_rows(
        session,
        "SELECT o.entity_id, o.owner_id, e.type_id, o.from_us, o.until_us FROM ownerships o"
        " JOIN entities e ON e.id = o.entity_id WHERE o.owner_id IN :ids",
        ids,
        _OWNED,
    )
    own = pl.DataFrame([(number, number, None, None, None) for number in ids], schema=dict(_OWNED), orient="row")
    return pl.concat([own, frame]) if len(frame) else own


def transaction_columns(*, for_value: bool) -> Mapping[str, Any]:
    """Return the columns of transactions that are read, with those that the value model needs too if *for_value*."""
    return {**_TRANSACTIONS, **_FOR_VALUE} if for_value else _TRANSACTIONS


def transactions(session: Session, ids: Sequence[int], *, for_value: bool, after_us: int | None) -> pl.DataFrame:
    """Read transactions in the order of their time: `_TRANSACTIONS`, with `_FOR_VALUE` if *for_value*.

    They are sorted here, as each database orders text in its own way. They are as taken in, without corrections. With
    *after_us* only those that happened after it.
    """
    schema = transaction_columns(for_value=for_value)
    later = "" if after_us is None else f" AND at_us > {after_us:d}"
    query = f"SELECT entity_id, {_names(schema)} FROM transactions WHERE entity_id IN :ids{later}"  # noqa: S608 (our own words)
    return read_rows(session, query, ids, schema, IN_ORDER)


def transactions_numbered(session: Session, organisation_id: int, numbers: Sequence[str]) -> pl.DataFrame:
    """Read transactions of an organisation by their numbers, as taken in, without corrections."""
    schema = transaction_columns(for_value=False)
    if not numbers:
        return _frame((), schema)
    query = (
        f"SELECT entity_id, {_names(schema)} FROM transactions"  # noqa: S608 (our own words)
        f" WHERE organisation_id = {organisation_id:d} AND transaction_id IN :ids"
    )
    return read_rows(session, query, numbers, schema, IN_ORDER)


def corrected_transactions(session: Session, ids: Sequence[int], *, for_value: bool) -> pl.DataFrame:
    """Read transactions that have corrections, as taken in: a correction may have moved their time."""
    schema = transaction_columns(for_value=for_value)
    columns = ", ".join(f"t.{name}" for name in schema if name != "entity")
    query = (
        f"SELECT t.entity_id, {columns} FROM (SELECT DISTINCT organisation_id, transaction_id FROM corrections"  # noqa: S608 (our own words)
        " WHERE entity_id IN :ids) c JOIN transactions t ON t.organisation_id = c.organisation_id"
        " AND t.transaction_id = c.transaction_id"
    )
    return read_rows(session, query, ids, schema, IN_ORDER)


def corrections(session: Session, ids: Sequence[int], *, for_value: bool) -> pl.DataFrame:
    """Read corrections of entities' transactions, in the order in which they apply: the latest known is last.

    `_TRANSACTIONS`, with `_FOR_VALUE` if *for_value*, null where a correction changes nothing; and `kind`, and
    `known_us`, from when it counts.
    """
    schema = transaction_columns(for_value=for_value)
    query = f"SELECT entity_id, {_names(schema)}, id, kind, {COUNTS_FROM} FROM corrections WHERE entity_id IN :ids"  # noqa: S608 (our own words)
    more = {"id": pl.Int64, "kind": pl.String, "known_us": pl.Int64}
    frame = read_rows(session, query, ids, {**schema, **more}, ("known_us", "id"))
    frame.drop_in_place("id")
    return frame


def corrections_to_come(session: Session, ids: Sequence[int], as_of_us: int) -> pl.DataFrame:
    """Read the corrections that count only after *as_of_us*: `entity`, `at_us`."""
    query = (
        f"SELECT entity_id, {COUNTS_FROM} FROM corrections WHERE entity_id IN :ids"  # noqa: S608 (our own words)
        f" AND known_us > {as_of_us:d} AND recorded_us > {as_of_us:d}"
    )
    return read_rows(session, query, ids, {"entity": pl.Int64, "at_us": pl.Int64})


def counted_between(session: Session, ids: Sequence[int], after_us: int, until_us: int) -> pl.DataFrame:
    """Read the moments after one and until another from which transactions or corrections count: `fact_of`, `at_us`."""
    sources = (("transactions", "at_us"), ("corrections", COUNTS_FROM))
    frames = [
        read_rows(
            session,
            f"SELECT entity_id, {at} FROM {table} WHERE entity_id IN :ids"  # noqa: S608 (our own words)
            f" AND {at} > {after_us:d} AND {at} <= {until_us:d}",
            ids,
            {"fact_of": pl.Int64, "at_us": pl.Int64},
        )
        for table, at in sources
    ]
    return pl.concat(frames)


def settled_moments(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Read `DueMark.settled_us`: `entity`, `at_us`."""
    query = "SELECT entity_id, settled_us FROM due_marks WHERE entity_id IN :ids AND settled_us IS NOT NULL"
    return read_rows(session, query, ids, {"entity": pl.Int64, "at_us": pl.Int64})


def last_activity(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Read `Entity.noted_us`: `entity`, `at_us`."""
    query = "SELECT id, noted_us FROM entities WHERE id IN :ids AND noted_us IS NOT NULL"
    return read_rows(session, query, ids, {"entity": pl.Int64, "at_us": pl.Int64})


def transaction_counts(session: Session, ids: Sequence[int], *, after_us: int | None = None) -> pl.DataFrame:
    """Count transactions, all or those after a moment: `entity`, `count`; an entity without any is left out."""
    later = "" if after_us is None else f" AND at_us > {after_us:d}"
    query = f"SELECT entity_id, count(*) FROM transactions WHERE entity_id IN :ids{later} GROUP BY entity_id"  # noqa: S608 (our own words)
    return read_rows(session, query, ids, {"entity": pl.Int64, "count": pl.Int64})


def records(session: Session, kind: str, ids: Sequence[int]) -> pl.DataFrame:
    """Read cases or alerts, `_RECORDS`; *kind* is case or alert."""
    return read_rows(
        session,
        "SELECT entity_id, opened_us, closed_us, outcome, status, content FROM records"  # noqa: S608 (our own words)
        f" WHERE entity_id IN :ids AND kind = '{kind}' ORDER BY entity_id, id",
        ids,
        _RECORDS,
    )


def tags(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Read tags: `entity`, `tag`, `from_us`, `until_us`."""
    return read_rows(
        session,
        "SELECT entity_id, tag, from_us, until_us FROM tags WHERE entity_id IN :ids ORDER BY entity_id, id",
        ids,
        {"entity": pl.Int64, "tag": pl.String, "from_us": pl.Int64, "until_us": pl.Int64},
    )


def screenings(session: Session, ids: Sequence[int], known_by_us: int | None = None) -> pl.DataFrame:
    """Read screenings: `entity`, `screening`, `found` (1 or 0), `at_us`, the later recorded one last.

    With *known_by_us* only those recorded by then.
    """
    recorded = "" if known_by_us is None else f" AND recorded_us <= {known_by_us:d}"
    return read_rows(
        session,
        "SELECT entity_id, screening, CASE WHEN found THEN 1 ELSE 0 END, at_us FROM screenings"  # noqa: S608 (a number)
        f" WHERE entity_id IN :ids{recorded} ORDER BY entity_id, at_us, id",
        ids,
        {"entity": pl.Int64, "screening": pl.String, "found": pl.Int64, "at_us": pl.Int64},
    )


def value_scores(session: Session, ids: Sequence[int], known_by_us: int | None = None) -> pl.DataFrame:
    """Read the latest value scores: `entity`, `as_of_us`, the value, its model, and in `failure` why there is none.

    Columns of a missing value are null, and `failure` is null if unknown. With *known_by_us* the latest by then.
    """
    columns = {
        "as_of_us": pl.Int64,
        "score": pl.Float64,
        "segment": pl.String,
        "expected_value": pl.Float64,
        "expected_value_low": pl.Float64,
        "expected_value_high": pl.Float64,
        "currency": pl.String,
        "model": pl.String,
        "model_version": pl.Int64,
        "fingerprint": pl.String,
        "model_hash": pl.String,
        "failure": pl.String,
    }
    by_then = "" if known_by_us is None else f" AND w.as_of_us <= {known_by_us:d}"
    return read_rows(
        session,
        f"SELECT v.entity_id, {', '.join(f'v.{name}' for name in columns)} FROM value_scores v"  # noqa: S608 (our own words)
        " WHERE v.entity_id IN :ids"
        f" AND v.as_of_us = (SELECT max(w.as_of_us) FROM value_scores w WHERE w.entity_id = v.entity_id{by_then})",
        ids,
        {"entity": pl.Int64, **columns},
    )


def current_levels(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Read the current levels of entities, `_CURRENT_LEVELS`; entities never assessed are left out.

    `moved_by` is what made the latest transition, null without one.
    """
    columns = ", ".join(f"s.{name}" for name in _CURRENT_LEVELS if name != "entity")
    query = f"SELECT s.entity_id, {columns}, {_MOVED_BY} FROM standings s WHERE s.entity_id IN :ids"  # noqa: S608 (our own words)
    return read_rows(session, query, ids, {**_CURRENT_LEVELS, "moved_by": pl.String})


def versions_then(session: Session, ids: Sequence[int], at_us: int) -> pl.DataFrame:
    """Read which version assessed entities last by a moment: `entity`, `version_id`, and `kept_by`, always null.

    Which rulesets keep an entity is stored only with its present level.
    """
    query = (
        "SELECT a.entity_id, a.version_id, NULL FROM assessments a WHERE a.entity_id IN :ids AND a.number = "  # noqa: S608 (a number)
        f"(SELECT max(b.number) FROM assessments b WHERE b.entity_id = a.entity_id AND b.as_of_us <= {at_us:d})"
    )
    return read_rows(session, query, ids, {"entity": pl.Int64, "version_id": pl.Int64, "kept_by": pl.String})


def releases(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Read the levels that an approved roll-back releases, `_RELEASES`; each holds for one current level only."""
    query = f"SELECT entity_id, {_names(_RELEASES)} FROM level_releases WHERE entity_id IN :ids AND active ORDER BY id"  # noqa: S608 (our own words)
    return read_rows(session, query, ids, _RELEASES)


def runs_of_version(session: Session, ids: Sequence[int], version_id: int) -> pl.DataFrame:
    """Read the latest run of assessments by one version for each entity: `_RUNS`, the oldest first.

    `content` has the inputs of the first of a run; it is null for the others, and if it was erased. `version_before`
    and `content_before` are of the assessment before the first of a run, likewise; null where there is none.
    """
    frame = read_rows(
        session,
        "SELECT a.entity_id, a.number, a.as_of_us, CASE WHEN a.number = s.first THEN i.content END,"  # noqa: S608 (ours)
        " p.version_id, j.content"
        " FROM assessments a JOIN (SELECT b.entity_id, coalesce(max(CASE WHEN b.version_id IS NULL"
        f" OR b.version_id <> {int(version_id)} THEN b.number END), 0) + 1 AS first"
        " FROM assessments b WHERE b.entity_id IN :ids GROUP BY b.entity_id) s"
        " ON s.entity_id = a.entity_id AND a.number >= s.first"
        " LEFT JOIN assessment_inputs i ON i.entity_id = a.entity_id AND i.number = a.number"
        " LEFT JOIN assessments p ON p.entity_id = a.entity_id AND p.number = a.number - 1 AND a.number = s.first"
        " LEFT JOIN assessment_inputs j ON j.entity_id = p.entity_id AND j.number = p.number",
        ids,
        _RUNS,
    )
    return frame.sort("entity", "number")


def overrides(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Read the latest approved override of each entity, live or expired, `_OVERRIDES`."""
    return read_rows(
        session,
        "SELECT o.entity_id, o.id, o.level, o.until_us FROM overrides o WHERE o.entity_id IN :ids"
        " AND o.id = (SELECT p.id FROM overrides p WHERE p.entity_id = o.entity_id AND p.state = 'approved'"
        " ORDER BY p.decided_us DESC, p.id DESC LIMIT 1)",
        ids,
        _OVERRIDES,
    )


def _names(schema: Mapping[str, Any]) -> str:
    return ", ".join(name for name in schema if name != "entity")
