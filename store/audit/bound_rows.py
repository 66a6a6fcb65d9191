"""Rows that the audit log binds one by one: the entry of the last call that wrote a row has its digest.

Each row has a salt, which is erased with it: after an entity is erased, the digests in the log reveal nothing of its
rows. Nothing here begins or ends a transaction. `docs/audit.md` describes the bytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from fivefold.store.audit.history import line_of
from fivefold.store.sql.arrays import array_text

ROWS_AT_A_TIME: Final = 1_000
Digests = Mapping[str, Mapping[str, str | None]]
"""Seals by table name, then by row name; None for a deleted row."""


@dataclass(frozen=True, kw_only=True)
class BoundTable:
    """A table whose rows are bound.

    Attributes:
        name: of the table.
        columns: the bound columns, in this order; a column added later may be null, and goes last.
        primary: columns of its primary key, which are whole numbers; rows are looked up by these.
        also_named_by: the column that distinguishes rows of the same number, if there are several.
        expressions: SQL expressions for columns with only some values bound; *r* is the row.
        where: SQL condition for bound rows; the others are pending work.
        entities: columns that name entities; the row is deleted when one of these is erased.
        organisation: SQL expression for the number of the organisation; *r* is the row.
    """

    name: str
    columns: tuple[str, ...]
    primary: tuple[str, ...] = ("id",)
    also_named_by: tuple[str, ...] = ()
    expressions: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    entities: tuple[str, ...] = ("entity_id",)
    organisation: str = "r.organisation_id"

    @property
    def named_by(self) -> tuple[str, ...]:
        """The columns that name a row: its entities, then the rest of its primary key."""
        rest = (column for column in self.primary if column not in self.entities)
        return (*self.entities, *self.also_named_by, *rest)

    def entities_of(self, name: str) -> list[int]:
        """Return the numbers of the entities in a row's name.

        >>> TABLES["ownerships"].entities_of("7.9.12")
        [7, 9]
        """
        return [int(part) for part in name.split(".")[: len(self.entities)]]

    def name_of(self, values: Sequence[Any]) -> str:
        """Return the name of a row, given by the values of its columns."""
        return ".".join([str(values[place] or 0) for place in self._name_places])  # a link may lead to no entity: 0

    @cached_property
    def _name_places(self) -> list[int]:
        return [self.columns.index(column) for column in self.named_by]

    def seal(self, salt: str, values: Sequence[Any]) -> str:
        """Return a row's seal: the number of columns that this program knows, a colon, and their hash.

        >>> TABLES["attributes"].seal("00", [7, 1, 5, "{}"]) == "4:" + row_digest("00", [7, 1, 5, "{}"])
        True
        """
        return f"{len(self.columns)}:{row_digest(salt, values)}"

    def is_sealed(self, seal: str, salt: str, values: Sequence[Any]) -> bool:
        """Check a row against its seal, by the columns known to the program that wrote the seal.

        During a rolling upgrade the previous release writes rows without knowing their later columns. NUL separates
        columns and is never written: a text with a NUL could imitate the columns after it.

        >>> TABLES["attributes"].is_sealed("3:" + row_digest("00", [7, 1, 5]), "00", [7, 1, 5, "{}"])
        True
        """
        written_count, _, digest = seal.partition(":")
        count = self._counts.get(written_count)
        if count is None or "\0" in salt or any("\0" in value for value in values if isinstance(value, str)):
            return False
        return row_digest(salt, values[:count]) == digest

    @cached_property
    def _counts(self) -> Mapping[str, int]:
        """The possible numbers of columns in a seal, by their text."""
        return {str(count): count for count in range(1, len(self.columns) + 1)}

    @cached_property
    def select_list(self) -> str:
        """The salt of a row and its columns, as SQL."""
        return ", ".join(self.expressions.get(column, f"r.{column}") for column in ("salt", *self.columns))


OF_ENTITY = "coalesce((SELECT e.organisation_id FROM entities e WHERE e.id = r.entity_id), 0)"
"""The organisation of the entity of a row *r*, as SQL; 0 for an unknown entity."""
_ALL = (
    BoundTable(
        name="attributes",
        columns=("entity_id", "number", "known_us", "content"),
        primary=("entity_id", "number"),
        organisation=OF_ENTITY,
    ),
    BoundTable(
        name="tags",
        columns=(
            *("id", "organisation_id", "entity_id", "tag", "from_us", "until_us"),
            *("set_by", "set_reason", "ended_by", "end_reason"),
        ),
    ),
    BoundTable(
        name="screenings",
        columns=("id", "organisation_id", "entity_id", "screening", "found", "at_us", "recorded_us"),
    ),
    BoundTable(
        name="records",
        columns=(
            "id", "organisation_id", "kind", "external_id", "entity_id", "opened_us", "closed_us", "outcome", "status",
            "content",
        ),
    ),
    BoundTable(
        name="ownerships",
        columns=("id", "entity_id", "owner_id", "from_us", "until_us"),
        entities=("entity_id", "owner_id"),
        organisation=OF_ENTITY,
    ),
    BoundTable(
        name="links",
        columns=(
            "id", "organisation_id", "type_id", "entity_id", "link", "other_id", "thing", "from_us", "until_us",
            "recorded_us", "set_by",
        ),
        entities=("entity_id", "other_id"),
    ),
    BoundTable(
        name="challenges",
        columns=(
            "id", "organisation_id", "entity_id", "number", "words", "received_us", "opened_us", "opened_by", "due_us",
            "record_sha256", "state", "settled_by", "settled_us", "reason", "answer", "facts", "settled_number",
            "override_id",
        ),
    ),
    BoundTable(
        name="proposals",
        columns=(
            "id", "organisation_id", "entity_id", "kind", "subject", "content", "reach", "reason", "proposed_by",
            "proposed_us", "state", "decided_by", "decided_us", "decision_reason", "result",
        ),
        entities=(),
    ),
    BoundTable(
        name="entities",
        columns=(
            "id", "organisation_id", "type_id", "external_id", "created_us", "erased_us", "hold_until_us",
            "hold_reason",
        ),
        entities=(),
    ),
    BoundTable(
        name="entity_types",
        columns=(
            "id", "organisation_id", "name", "fields", "transaction_fields", "case_fields", "created_us", "purposes",
            "links",
        ),
        entities=(),
    ),
    BoundTable(
        name="organisation_settings",
        columns=(
            "organisation_id", "levels", "locked_us", "base_currency", "override_cap_percent", "retention_days",
            "minimum_coverage_percent", "programs_lower_levels", "two_people_promote", "sole_operator_us",
            "challenge_days", "outbox_days", "deliveries_days", "reports_days",
            "assessments_days", "flows_days", "lowest_alert_percent",
        ),
        primary=("organisation_id",),
        entities=(),
    ),
    BoundTable(
        name="ruleset_families",
        columns=("id", "organisation_id", "type_id", "name", "position", "enabled", "active_version_id", "created_us"),
        entities=(),
    ),
    BoundTable(
        name="ruleset_versions",
        columns=(
            "id", "organisation_id", "family_id", "number", "document", "canonical", "content_hash", "tests", "editors",
            "committed_by", "committed_us",
        ),
        entities=(),
    ),
    BoundTable(
        name="activations",
        columns=(
            "id", "organisation_id", "family_id", "version_id", "previous_version_id", "backtest_id", "kind", "reason",
            "actor", "at_us", "per_second",
        ),
        entities=(),
    ),
    BoundTable(
        name="members",
        columns=("id", "organisation_id", "name", "roles", "created_us", "left_us", "account"),
        entities=(),
    ),
    BoundTable(
        name="tokens",
        columns=(
            "id", "organisation_id", "sha256", "label", "role", "member_id", "plan", "mcp_changes", "created_us",
            "expires_us", "revoked_us",
        ),
        entities=(),
    ),
    BoundTable(
        name="token_requests",
        columns=(
            "id", "organisation_id", "member_id", "role", "plan", "label", "expires_days", "mcp_changes",
            "half_sha256", "state", "asked_by", "asked_us", "decided_by", "decided_us", "token_id",
        ),
        entities=(),
    ),
    BoundTable(
        name="endpoints",
        columns=("id", "organisation_id", "url", "kinds", "secrets", "enabled", "private_allowed", "created_us"),
        entities=(),
    ),
    BoundTable(
        name="backtests",
        columns=(
            "id", "organisation_id", "family_id", "proposal_id", "type_id", "content_hash", "canonical",
            "requested_by", "requested_us", "state", "finished_us", "report", "error",
        ),
        expressions={"state": "CASE WHEN r.state NOT IN ('queued', 'running') THEN r.state END"},
        entities=(),
    ),
    BoundTable(
        name="policies",
        columns=(
            "id", "organisation_id", "name", "number", "document", "canonical", "content_hash", "state", "written_by",
            "written_us", "approved_by", "approved_us",
        ),
        entities=(),
    ),
    BoundTable(
        name="group_versions",
        columns=(
            "id", "group_id", "organisation_id", "number", "document", "canonical", "content_hash", "state",
            "written_by", "written_us", "approved_by", "approved_us",
        ),
        entities=(),
    ),
    BoundTable(
        name="flows",
        columns=(
            "id", "organisation_id", "type_id", "name", "active_version_id", "shadow_version_id", "revision",
            "created_us",
        ),
        entities=(),
    ),
    BoundTable(
        name="flow_versions",
        columns=(
            "id", "organisation_id", "flow_id", "number", "document", "canonical", "content_hash", "pinned", "tests",
            "editors", "committed_by", "committed_us",
        ),
        entities=(),
    ),
    BoundTable(
        name="flow_activations",
        columns=(
            "id", "organisation_id", "flow_id", "version_id", "previous_version_id", "kind", "reason", "actor", "at_us",
            "replay_id",
        ),
        entities=(),
    ),
    BoundTable(
        name="flow_runs",
        columns=(
            "id", "organisation_id", "flow_id", "version_id", "entity_id", "cause", "about", "acting", "begun_us",
            "actor", "as_of_us", "inputs", "answer", "stopped_at", "ended_us", "state", "error",
            "removed_by",
        ),
        expressions={column: f"CASE WHEN r.ended_us IS NOT NULL THEN r.{column} END" for column in ("state", "error")},
        where="r.as_of_us IS NOT NULL",
    ),
    BoundTable(
        name="flow_steps",
        columns=("run_id", "step", "entity_id", "kind", "outcome", "at_us", "actor"),
        primary=("run_id",),
        also_named_by=("step",),
        organisation=OF_ENTITY,
    ),
    BoundTable(
        name="flow_actions",
        columns=(
            "id", "organisation_id", "flow_id", "run_id", "entity_id", "cause", "action", "kind", "subject", "content",
            "at_us", "taken_back_us", "taken_back_by", "taken_back_reason", "done_us", "done_by", "done_reason",
        ),
    ),
)  # fmt: skip
TABLES: Final[Mapping[str, BoundTable]] = {table.name: table for table in _ALL}
"""Every table whose rows are bound.

When an entity is erased, its proposals are kept but emptied, and the entity is kept under another name. The progress of
activations and backtests, the time when entities were noted, and the worker that runs a flow are not bound: workers and
files write these all the time. A run of a flow is bound after its facts were read. Its state, like that of a backtest,
is bound after it ended.
"""


def row_digest(salt: str, values: Iterable[Any]) -> str:
    r"""Hash the columns of a row: SHA-256 of its salt, a line feed, and its line, in hexadecimal.

    A flag is 1 or 0, as in SQLite. Absent columns at the end are left out, so a column added later changes no hash
    while it has no value.

    >>> row_digest("00", [7, "a", True, None, None]) == sha256(b"00\n=7\0=a\0=1").hexdigest()
    True
    """
    line = line_of([f"{value:d}" if value.__class__ is bool else value for value in values]).rstrip("\0")
    return sha256(f"{salt}\n{line}".encode("utf-8", "surrogateescape")).hexdigest()


def digests(session: Session, table: str, keys: Iterable[int | tuple[int, ...]]) -> Digests:
    """Seal rows as they are stored now, by their primary keys; missing rows are left out."""
    session.flush()
    bound_table = TABLES[table]
    keys_in_order = sorted({key if isinstance(key, tuple) else (key,) for key in keys})
    rows = _rows(session, bound_table, keys_in_order) if keys_in_order else ()
    by_name = {
        bound_table.name_of(values): bound_table.seal(str(salt), values) for salt, *values in rows if salt is not None
    }
    return {table: by_name} if by_name else {}


def merge_digests(*parts: Digests) -> Digests:
    """Merge digests of several tables.

    >>> merge_digests({"tags": {"1.2": "a"}}, {"tags": {"1.3": "b"}}, {})
    {'tags': {'1.2': 'a', '1.3': 'b'}}
    """
    tables: dict[str, dict[str, str | None]] = {}
    for part in parts:
        for table, rows in part.items():
            tables.setdefault(table, {}).update(rows)
    return tables


def _rows(session: Session, table: BoundTable, keys: Sequence[tuple[int, ...]]) -> list[Sequence[Any]]:
    """Read rows by the driver itself: SQLAlchemy's overhead would cost more than the query."""
    connection = session.connection()
    driver: Any = connection.connection.driver_connection
    places = range(len(table.primary))
    if connection.dialect.name == "sqlite":
        of = " AND ".join(f"r.{table.primary[n]} = json_extract(k.value, '$[{n}]')" for n in places)
        query = f"SELECT {table.select_list} FROM json_each(?) k CROSS JOIN {table.name} r WHERE {of}"  # noqa: S608 (our own words)
        cursor = driver.execute(query, (json.dumps(keys),))
    else:
        of = " AND ".join(f"r.{table.primary[n]} = k.k{n}" for n in places)
        arrays, names = ", ".join("%s::bigint[]" for _ in places), ", ".join(f"k{n}" for n in places)
        query = f"SELECT {table.select_list} FROM unnest({arrays}) k({names}) JOIN {table.name} r ON {of}"  # noqa: S608 (our own words)
        cursor = driver.cursor(binary=True).execute(query, [array_text(key[n] for key in keys) for n in places])
    rows: list[Sequence[Any]] = cursor.fetchall()
    return rows


def stream_rows(
    connection: Connection, table: BoundTable, organisation_id: int | None = None
) -> Iterator[tuple[int, str | None, Sequence[Any]]]:
    """Stream the rows of a table, a few at a time: organisation, salt, and the columns that are bound."""
    only = [table.where] if table.where else []
    only += [] if organisation_id is None else [f"{table.organisation} = {organisation_id:d}"]
    of = f" WHERE {' AND '.join(only)}" if only else ""
    query = f"SELECT {table.organisation}, {table.select_list} FROM {table.name} r{of}"  # noqa: S608 (our own words)
    with connection.execute(text(query), execution_options={"yield_per": ROWS_AT_A_TIME}) as result:
        for organisation, salt, *values in result:
            yield organisation, salt, values


def new_ids(session: Session, table: str, count: int) -> list[int]:
    """Reserve numbers for rows that will be added to a table, in order; no other transaction gets them.

    On SQLite the transaction must be the one that writes.
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        last = connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {table}").scalar_one()  # noqa: S608 (our own words)
        return list(range(last + 1, last + 1 + count))
    query = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
    return sorted(number for (number,) in connection.exec_driver_sql(query, (table, count)))
