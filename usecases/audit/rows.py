"""Comparison of stored rows with the audit entries about them.

Entries hold the whole content of overrides, of versions of lists and of tables of rates. For each row of
`store.audit.bound_rows` the entry of the last call that wrote it holds a digest; the row may be missing if its entity
was erased.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection

from fivefold.store.audit import bound_rows, history_reading
from fivefold.store.audit.bound_rows import BoundTable
from fivefold.store.audit.chain import digest_of
from fivefold.store.audit.expectations import Expectations, ExpectedRow
from fivefold.store.erasure.erase import EMPTIED
from fivefold.store.tables.levels import OverrideRow

LISTS, RATES, OVERRIDES = "list", "rate table", "override"
ACTIONS: Final = (
    "list.put", "rates.added", "override.requested", "override.approved", "override.refused", "override.revoked",
)  # fmt: skip
_REASONS: Final = EMPTIED[OverrideRow]
"""The columns of an override that are emptied when its entity is erased, and their values afterwards."""
_ACTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "approved": ("decided_by", "decided_us", "decision_reason"),
    "refused": ("decided_by", "decided_us", "decision_reason"),
    "revoked": ("revoked_by", "revoked_us", "revocation_reason"),
}
"""The columns of who, when and why, by the state that an override has after the action."""

Report = Callable[[int, int, str], None]
Row = Mapping[str, Any]


class RowCheck:
    """Collects entries' records of rows, then compares them with the rows. Memory grows with neither."""

    def __init__(self, expected: Expectations, report: Report) -> None:
        """Create the check without expectations; *report* takes organisation, entry (0 for none), and the problem."""
        self._expected, self._report = expected, report

    def entry(self, row: Row, details: Row, after: Row) -> None:
        """Take an entry whose action is one of `ACTIONS`; KeyError or ValueError if it cannot be read."""
        if row["action"] == "list.put":
            self._list(row, details, after)
        elif row["action"] == "rates.added":
            self._rates(row, details)
        else:
            self._override(row, details, after)

    def digests(self, row: Row, rows: bound_rows.Digests) -> None:
        """Take the digests of rows that the call of an entry wrote or deleted; KeyError as above."""
        for table, row_digests in rows.items():
            kind = _kind(bound_rows.TABLES[table])
            for name, digest in row_digests.items():
                if digest is None:
                    self._expected.take_row(kind, row["organisation_id"], name)
                else:
                    self._expected.add_row(kind, row["organisation_id"], name, row["number"], {"content": digest})

    def _list(self, row: Row, details: Row, after: Row) -> None:
        for place, since_us in enumerate(details["since_us"]):
            content = {name: after[name][place] for name in ("members", "words") if name in after}
            content["created_us"] = details["created_us"][place]
            key = (LISTS, row["organisation_id"], _version(row["subject_id"], int(since_us)))
            self._expected.add_row(*key, row["number"], content)

    def _rates(self, row: Row, details: Row) -> None:
        names = ("base_currency", "content", "source", "created_us")
        content = {name: details[name] for name in names if name in details}
        self._expected.add_row(RATES, row["organisation_id"], str(details["number"]), row["number"], content)

    def _override(self, row: Row, details: Row, after: Row) -> None:
        """Expect the content of an override, and the end of those that it replaced."""
        of, number, state = row["organisation_id"], row["subject_id"], row["action"].removeprefix("override.")
        if state == "requested":
            content = {name: details[name] for name in ("entity_id", "level", "until_us")}
            later = dict.fromkeys(column for columns in _ACTS.values() for column in columns)
            content |= {"state": state, "requested_by": row["actor"], **later}
            content |= _act_fields(after, "requested_us", "reason")
            self._expected.add_row(OVERRIDES, of, number, row["number"], content)
            return
        self._change(row, number, state, after)
        for replaced_number in details["replaced"]:
            why = {"reason": f"replaced by override {number}"} if after else {}
            self._change(row, str(replaced_number), "revoked", {**after, **why})

    def _change(self, row: Row, number: str, state: str, after: Row) -> None:
        before = self._expected.row(OVERRIDES, row["organisation_id"], number)
        if before is not None:  # an override that was never requested is reported when rows are compared
            who, when, why = _ACTS[state]
            content = {name: value for name, value in before.content.items() if name not in {when, why}}
            content |= {"state": state, who: row["actor"], **_act_fields(after, when, why)}
            self._expected.add_row(OVERRIDES, row["organisation_id"], number, row["number"], content)

    def compare(self, connection: Connection, only: int | None) -> None:
        """Compare everything, of one organisation or of all."""
        for row in history_reading.list_versions(connection, only):
            self._compare(LISTS, row["organisation_id"], _version(row["name"], row["since_us"]), _of_list(row))
        self._compare_missing(LISTS)
        for row in history_reading.rate_tables(connection, only):
            content = {**row, **{name: digest_of([str(row[name])]) for name in ("content", "source")}}
            self._compare(RATES, row["organisation_id"], str(row["number"]), content)
        self._compare_missing(RATES)
        for row in history_reading.overrides(connection, only):
            self._compare_override(row)
        self._compare_missing(OVERRIDES)
        for table in bound_rows.TABLES.values():
            for of, salt, values in bound_rows.stream_rows(connection, table, only):
                self._compare_bound(table, of, salt, values)
            self._compare_missing(_kind(table), table)

    def _compare_override(self, row: Row) -> None:
        """Compare an override; once its entity is erased, what is left of its reasons tells nothing."""
        of, subject = row["organisation_id"], str(row["id"])
        if row["erased_us"] is None:
            self._compare(OVERRIDES, of, subject, {**row, **{name: _digest(row[name]) for name in _REASONS}})
            return
        self._compare(OVERRIDES, of, subject, {name: value for name, value in row.items() if name not in _REASONS})
        if left := sorted(name for name, value in _REASONS.items() if row[name] != value):
            self._report(of, 0, f"{OVERRIDES} {subject} has a {', '.join(left)}, and its entity was erased")

    def _compare(self, kind: str, of: int, subject: str, content: Row) -> None:
        expected = self._expected_row(kind, of, subject)
        if expected is not None:
            other = [name for name, value in expected.content.items() if name in content and content[name] != value]
            self._report_changed(kind, of, subject, expected.number, other)

    def _compare_bound(self, table: BoundTable, of: int, salt: str | None, values: Sequence[Any]) -> None:
        kind, subject = _kind(table), table.name_of(values)
        expected = self._expected_row(kind, of, subject)
        if expected is not None:
            is_same = salt is not None and table.is_sealed(expected.content["content"], str(salt), values)
            self._report_changed(kind, of, subject, expected.number, [] if is_same else ["content"])
            if self._expected.any_erased(of, table.entities_of(subject)):
                self._report(of, expected.number, f"{kind} {subject} is there, and an entity of it was erased")

    def _expected_row(self, kind: str, of: int, subject: str) -> ExpectedRow | None:
        """Take the expectation for a row; report that there is none."""
        expected = self._expected.take_row(kind, of, subject)
        if expected is None:
            self._report(of, 0, f"no entry says that {kind} {subject} was written")
        return expected

    def _report_changed(self, kind: str, of: int, subject: str, number: int, columns: Sequence[str]) -> None:
        if columns:
            self._report(of, number, f"{kind} {subject} was changed since: {', '.join(sorted(columns))}")

    def _compare_missing(self, kind: str, table: BoundTable | None = None) -> None:
        for of, subject, number in self._expected.rows_left(kind):
            if table is None or not self._expected.any_erased(of, table.entities_of(subject)):
                self._report(of, number, f"{kind} {subject} is missing")


def _kind(table: BoundTable) -> str:
    return f"row of {table.name}"


def _version(name: str, since_us: int) -> str:
    return f"{name} since {since_us}"


def _act_fields(after: Row, when: str, why: str) -> dict[str, Any]:
    """Return moment and digest of the reason, if the entry holds them: an erased entry does not."""
    fields = {when: after["at_us"]} if "at_us" in after else {}
    return fields | ({why: _digest(after["reason"])} if "reason" in after else {})


def _digest(text: str | None) -> str | None:
    return None if text is None else sha256(str(text).encode()).hexdigest()


def _of_list(row: Row) -> Row:
    try:
        members = digest_of(json.loads(row["members"]))
    except (TypeError, ValueError):  # it was tampered with, and is not a list of text any more
        members = None
    purpose = [row["purpose"]] if row["purpose"] is not None else []
    words = digest_of([row["title"], row["source"], *purpose])
    return {"members": members, "words": words, "created_us": row["created_us"]}
