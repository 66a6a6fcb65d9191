"""Comparison of history with the audit log: everything that entries recorded must be stored unchanged."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count, groupby, islice, pairwise, zip_longest
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection

from fivefold.store.audit import counters, history_reading, standings
from fivefold.store.audit.expectations import Expectations, ExpectedDecision, SealedBatch
from fivefold.store.audit.history import find_differences, seal, subject_of_line
from fivefold.store.audit.removals import BEGUN, REMOVED, digest_of_lines, emptied_assessments, line_of_removed
from fivefold.store.erasure.erase import EMPTIED
from fivefold.store.levels.layouts import layout_name
from fivefold.store.tables.levels import Standing
from fivefold.usecases.audit.rows import ACTIONS as ROW_ACTIONS
from fivefold.usecases.audit.rows import RowCheck
from fivefold.usecases.shared.context import ROWS

Report = Callable[[int, int, str], None]
"""Called with the organisation, the number of the entry (0 for none), and the problem."""
Row = Mapping[str, Any]
REMOVAL_ACTIONS: Final = frozenset({BEGUN, REMOVED})
_ASSESSMENTS: Final = "assessments"


@dataclass
class _Run:
    """A run as its entries record it; `count` and `digest` are None until it has ended."""

    organisation_id: int
    number: int
    before_us: int
    count: int | None = None
    digest: str | None = None


class RemovalCheck:
    """Collects the runs of retention that emptied assessments, then compares: a run a day at most fits into memory."""

    def __init__(self, report: Report) -> None:
        """Create the check without expectations; *report* takes organisation, entry (0 for none), and the problem."""
        self._report = report
        self._runs: dict[int, _Run] = {}

    def entry(self, row: Row, details: Row) -> None:
        """Take an entry about a run; runs for other kinds of rows are not bound."""
        if details["kind"] != _ASSESSMENTS:
            return
        run = _Run(row["organisation_id"], row["number"], int(details["before_us"]))
        if row["action"] == REMOVED:
            run.count, run.digest = int(row["bulk_count"]), row["bulk_digest"]
        self._runs[int(details["run"])] = run

    def compare(self, connection: Connection, only: int | None) -> None:
        """Compare everything, of one organisation or of all."""
        for number, rows in groupby(emptied_assessments(connection, only), key=itemgetter("run")):
            self._compare_run(self._runs.pop(number, None), rows)
        for run in self._runs.values():
            if run.count and only in {None, run.organisation_id}:
                self._report(run.organisation_id, run.number, f"its {run.count:,} assessments were not emptied by it")

    def _compare_run(self, run: _Run | None, rows: Iterator[Row]) -> None:
        """Compare the assessments that name one run with its entry."""
        count, digest = 0, ""
        for row in rows:
            count += 1
            name = f"assessment {row['entity_id']}.{row['number']}"
            if run is None:
                self._report(row["organisation_id"], 0, f"the inputs of {name} are missing, and no entry explains it")
                continue
            digest = digest_of_lines([line_of_removed(row["entity_id"], row["number"], row["sha256"])], digest)
            for problem in _problems(run, row):
                self._report(
                    run.organisation_id, run.number, f"assessment {row['entity_id']}.{row['number']} {problem}"
                )
        if run is None or run.count is None:
            return
        if (count, digest) != (run.count, run.digest):
            problem = f"it emptied {run.count:,} assessments, and other assessments, {count:,}, name it"
            self._report(run.organisation_id, run.number, problem)


def _problems(run: _Run, row: Row) -> Iterator[str]:
    if not row["gone"]:
        yield "is marked as emptied, and still has its inputs"
    if row["organisation_id"] != run.organisation_id:
        yield "was emptied by it, and belongs to another organisation"
    if row["as_of_us"] >= run.before_us:
        yield "was emptied by it, and was not old enough"


TRANSACTIONS, ASSESSMENTS = "transaction", "assessment"
REPAIRED: Final = "clock.repaired"
"""The action of entries that record the standings of entities until their next assessment."""
_STANDING: Final = "standing"
MOST_NAMED = 10
"""How many rows one finding names."""
_ACTIONS = {
    history_reading.ADDED: TRANSACTIONS,
    history_reading.CORRECTED: TRANSACTIONS,
    history_reading.SEALED: TRANSACTIONS,
    "assessments.made": ASSESSMENTS,
}
_READ = {*_ACTIONS, *ROW_ACTIONS, "decision.made", REPAIRED}
"""Actions whose values after the change are compared with history; other entries are read if they bind rows."""
_DECIDED: Final = ("policy_id", "entity_id", "assessment_number", "value_as_of_us", "at_us", "action")
"""Columns of a decision that its entry has in its details."""
_DIGESTED: Final = ("inputs", "answer", "decision_key")
"""Columns of a decision whose digests its entry has among its values: these are erased with the entity."""
_HAS_ROWS = f'"{ROWS}"'
_FIELDS_OF_A_NAME = {TRANSACTIONS: 1, ASSESSMENTS: 2}
_RANGES = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")

BATCHES = "batches of transactions and assessments that are compared with it"
BATCHES_AT_ONCE = 20

Looked = Callable[[int, str], None]
"""Called now and then with the progress, and what it counts, in words."""
_Stored = tuple[int, set[int], list[str], Sequence[str]]
"""A batch as stored: its number, the organisations of its rows, its lines, and problems of its rows."""


def not_noted(_done: int, _part: str) -> None:
    """Ignore the progress."""


def ranges_text(numbers: Iterable[int]) -> str:
    """Write numbers as ranges.

    >>> ranges_text([7, 3, 4, 5])
    '3-5,7'
    """
    in_order = sorted(set(numbers))
    begins = [
        one for one, before in zip(in_order, [None, *in_order], strict=False) if before is None or one > before + 1
    ]
    ends = [one for one, after in pairwise([*in_order, -1]) if after != one + 1]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(begins, ends, strict=True))


def _read_ranges(text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if _RANGES.fullmatch(text) else ():
        first, _, last = part.partition("-")
        yield int(first), int(last or first)


class HistoryCheck:
    """Collects the records of all chains' entries, then compares them with history. Memory grows with neither."""

    def __init__(self, expected: Expectations, report: Report) -> None:
        """Create the check without expectations."""
        self._expected, self._report = expected, report
        self._rows, self._standings = RowCheck(expected, report), StandingCheck(expected, report)
        self._removals = RemovalCheck(report)
        self._unfollowed: dict[int, int] = {}

    def entry(self, row: Row) -> None:
        """Take an entry with its values, in the order of its chain."""
        of, number, action = row["organisation_id"], row["number"], row["action"]
        if row["erased_us"] is not None and row["before"] is row["after"] is None:
            self._expected.add_emptied(of, number)
        if of in self._unfollowed and action not in {history_reading.SEALED, "entity.erased"}:
            self._report(of, self._unfollowed.pop(of), "seals transactions again, and no erasure follows it")
        try:
            after = _object(row["after"]) if action in _READ or _HAS_ROWS in str(row["after"]) else {}
            self._rows.digests(row, after.get(ROWS, {}))
            if action in _ACTIONS:
                self._sealed(row, json.loads(row["details"]), after)
            elif action == "decision.made":
                self._decision(row, json.loads(row["details"]), after)
            elif action in ROW_ACTIONS:
                self._rows.entry(row, json.loads(row["details"]), after)
            elif action in REMOVAL_ACTIONS:
                self._removals.entry(row, json.loads(row["details"]))
            elif action == REPAIRED:
                self._standings.entry(row, after)
            elif action == "entity.erased":
                self._erased(row, json.loads(row["details"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            self._report(of, number, "cannot be compared with history: its content is not readable")

    def _sealed(self, row: Row, details: Row, after: Row) -> None:
        """Expect a sealed batch; a batch that was sealed again must be followed by an erasure."""
        of, number = row["organisation_id"], row["number"]
        if row["action"] == history_reading.SEALED:
            self._unfollowed[of] = number
        marks = after.get("marks")
        sealed = SealedBatch(
            int(details["batch"]), of, number, int(row["bulk_count"]), row["bulk_digest"], after.get("salt"), marks
        )
        self._expected.add_sealed(_ACTIONS[row["action"]], sealed)

    def _decision(self, row: Row, details: Row, after: Row) -> None:
        """Expect every column of a decision; its actor is the entry's."""
        of, number = row["organisation_id"], row["number"]
        content = {name: details[name] for name in _DECIDED} | {"actor": row["actor"], "organisation_id": of}
        content |= {name: after.get(name) for name in _DIGESTED}
        self._expected.add_decision(ExpectedDecision(int(row["subject_id"]), of, number, content))

    def _erased(self, row: Row, details: Row) -> None:
        of = row["organisation_id"]
        self._unfollowed.pop(of, None)
        self._expected.add_erased_entities(of, map(int, details.get("entities", ())))
        self._expected.add_erased(of, _read_ranges(details["values"]))

    def compare(self, connection: Connection, only: int | None, looked: Looked = not_noted) -> None:
        """Compare everything, of one organisation or of all."""
        for of, number in self._unfollowed.items():
            self._report(of, number, "seals transactions again, and no erasure follows it")
        self._compare_emptied()
        transactions = ((*batch, ()) for batch in history_reading.transaction_batches(connection, only))
        done = count()
        self._compare_batches(TRANSACTIONS, _with_progress(transactions, done, looked))
        self._compare_batches(
            ASSESSMENTS, _with_progress(history_reading.assessment_batches(connection, only), done, looked)
        )
        self._compare_decisions(connection, only)
        self._rows.compare(connection, only)
        for kind in (TRANSACTIONS, ASSESSMENTS):
            unsealed = history_reading.unsealed_rows(connection, kind, only)
            for of, rows in groupby(unsealed, key=itemgetter("organisation_id")):
                names = _some(row["name"] for row in rows)
                self._report(of, 0, f"no entry says that these were written: {kind}s {names}")
        for table, row in history_reading.rows_alone(connection, only):
            name = f"row of {table} {row['entity_id']}.{row['number']}"
            self._report(row["organisation_id"], 0, f"{name} belongs to no assessment")
        self._standings.compare(connection, only)
        self._removals.compare(connection, only)
        for row in history_reading.layouts(connection, only):
            if layout_name(row["content"]) != row["name"]:
                self._report(row["organisation_id"], 0, f"the layout {row['name']} of inputs was changed")
        for cell in counters.differences(connection, only):
            problem = f"{cell.table} says {cell.counted} for {cell.cell}, and its {cell.of} say {cell.there}"
            problem += f"; {cell.obstacle or '`fivefold audit recount` counts them anew'}"
            self._report(cell.organisation_id, 0, problem)

    def _compare_emptied(self) -> None:
        for of, number in self._expected.emptied_without_erasure():
            self._report(of, number, "its values are missing, and no erasure in the log explains it")

    def _compare_batches(self, kind: str, stored: Iterator[_Stored]) -> None:
        """Walk through the stored and the sealed batches of one kind side by side, in the order of their numbers."""
        head = next(stored, None)
        for sealed in self._expected.sealed(kind):
            while head is not None and head[0] < sealed.batch:
                self._stray(kind, head)
                head = next(stored, None)
            there = head is not None and head[0] == sealed.batch
            lines, wrong = (head[2], head[3]) if head is not None and there else ([], ())
            for problem in wrong:
                self._report(sealed.organisation_id, sealed.number, problem)
            others = head[1] - {sealed.organisation_id} if head is not None and there else ()
            for other in sorted(others):
                problem = f"{kind}s of it were moved to organisation {other}"
                self._report(sealed.organisation_id, sealed.number, problem)
            self._compare_batch(kind, sealed, lines)
            head = next(stored, None) if there else head
        while head is not None:
            self._stray(kind, head)
            head = next(stored, None)

    def _stray(self, kind: str, batch: _Stored) -> None:
        names = _names(batch[2], _FIELDS_OF_A_NAME[kind])
        self._report(min(batch[1]), 0, f"no entry says that these were written: {kind}s {names}")

    def _compare_batch(self, kind: str, sealed: SealedBatch, lines: list[str]) -> None:
        """Compare the lines of one batch with its seal."""
        if sealed.salt is None or sealed.marks is None:
            self._report(
                sealed.organisation_id, sealed.number, f"the seal over its {sealed.count:,} {kind}s is missing"
            )
            return
        if seal(lines, sealed.salt).digest == sealed.digest:
            return
        other, missing = find_differences(lines, sealed.marks)
        problems = [f"{kind}s that were changed: {_names(other, _FIELDS_OF_A_NAME[kind])}"] if other else []
        missing_count = missing - len(other)
        if missing_count > 0 or not other:
            problems.append(
                f"{missing_count:,} of its {sealed.count:,} {kind}s are missing"
                if missing_count > 0
                else "its seal is broken"
            )
        self._report(sealed.organisation_id, sealed.number, "; ".join(problems))

    def _compare_decisions(self, connection: Connection, only: int | None) -> None:
        """Walk through the stored and the recorded decisions side by side, in the order of their numbers."""
        stored = history_reading.decisions(connection, only)
        head = next(stored, None)
        for expected in self._expected.decisions():
            while head is not None and head["id"] < expected.id:
                self._report(head["organisation_id"], 0, f"no entry says that decision {head['id']} was made")
                head = next(stored, None)
            if head is None or head["id"] != expected.id:
                self._report(expected.organisation_id, expected.number, f"decision {expected.id} is missing")
                continue
            if other := _differing(head, expected.content):
                problem = f"decision {expected.id} was changed since: {', '.join(other)}"
                self._report(expected.organisation_id, expected.number, problem)
            head = next(stored, None)
        while head is not None:
            self._report(head["organisation_id"], 0, f"no entry says that decision {head['id']} was made")
            head = next(stored, None)


def _with_progress(batches: Iterable[_Stored], done: Iterator[int], looked: Looked) -> Iterator[_Stored]:
    for batch, number in zip(batches, done, strict=False):  # in this order no number is lost at the end
        if number % BATCHES_AT_ONCE == 0:
            looked(number, BATCHES)
        yield batch


def _object(text: str | None) -> Row:
    read = {} if text is None else json.loads(text)
    return read if isinstance(read, dict) else {}


def _names(lines: Sequence[str], fields: int) -> str:
    return _some(subject_of_line(line, fields) for line in lines)


def _some(names: Iterable[str]) -> str:
    """Name the first of many, and count the rest, so that memory does not grow."""
    each = iter(names)
    first = ", ".join(islice(each, MOST_NAMED))
    more = sum(1 for _ in each)
    return first + (f" and {more:,} more" if more else "")


def _differing(row: Row, content: Row) -> list[str]:
    """Name the columns of a decision that differ from the record; its texts are gone once its entity is erased."""
    values = {name: row[name] for name in content}
    values |= {name: None if row[name] is None else sha256(row[name].encode()).hexdigest() for name in _DIGESTED}
    is_erased = row["erased_us"] is not None
    expected = {**content, **dict.fromkeys(_DIGESTED)} if is_erased else content
    lacking = [] if is_erased else [name for name in ("inputs", "answer") if row[name] is None]
    return sorted({*lacking, *(name for name, value in values.items() if value != expected[name])})


class StandingCheck:
    """Collects the standings that repairs recorded, then compares."""

    def __init__(self, expected: Expectations, report: Report) -> None:
        """Create the check without expectations; *report* takes organisation, entry (0 for none), and the problem."""
        self._expected, self._report = expected, report

    def entry(self, row: Row, after: Row) -> None:
        """Take an entry about a repair."""
        for entity, stands in after.get("stands", {}).items():
            content = {"stands": stands, "since": after.get("since", {}).get(entity)}
            self._expected.add_row(_STANDING, row["organisation_id"], entity, row["number"], content)

    def compare(self, connection: Connection, only: int | None) -> None:
        """Compare everything, of one organisation or of all; for erased entities only the level."""
        for row in standings.newest(connection, only):
            for problem in self._problems(row):
                self._report(row["organisation_id"], 0, f"the standing of entity {row['entity_id']} {problem}")
        for row in standings.without_assessment(connection, only):
            self._report(row["organisation_id"], 0, f"entity {row['entity_id']} was never assessed, and has a standing")

    def _problems(self, row: Row) -> list[str]:
        """Describe how the standing of an entity differs from its newest assessment."""
        name = f"{row['entity_id']}.{row['number']}"
        if row["stands"] is None:
            return [f"is missing, and its newest assessment is {name}"]
        if row["names"] != row["number"]:
            return [f"names assessment {row['entity_id']}.{row['names']}, and its newest one is {name}"]
        other = [] if row["level"] == row["assessed_level"] else ["level"]
        if row["belongs"] != row["organisation_id"]:
            other.append("organisation_id")
        if row["type_id"] != row["entity_type_id"]:
            other.append("type_id")
        if bool(row["erased"]) != (row["erased_us"] is not None):
            other.append("erased")
        elif row["erased"]:
            other += [name for name, value in EMPTIED[Standing].items() if row[name] != value]
        expected = self._expected_standing(row)
        if expected is not None:
            pairs = zip_longest(standings.COLUMNS, expected)
            other += [column for column, value in pairs if row[column] != value and column not in other]
            if row["score"] != _number(row["assessed_score"] or "0"):
                other.append("score")
            if row["level_since_us"] not in self._moments_of_level(row):
                other.append("level_since_us")
        return [f"is not that of assessment {name}: {', '.join(other)}"] if other else []

    def _moments_of_level(self, row: Row) -> set[int | None]:
        """The moments since which the level may hold: of its transition, or from the repair of one dated ahead."""
        repair = self._expected.row(_STANDING, row["organisation_id"], str(row["entity_id"]))
        since_us = None if repair is None else repair.content["since"]
        is_dated_back = since_us is not None and since_us < row["reached_us"]
        return {row["reached_us"], since_us if is_dated_back else row["reached_us"]}

    def _expected_standing(self, row: Row) -> list[Any] | None:
        repaired = self._expected.row(_STANDING, row["organisation_id"], str(row["entity_id"]))
        if repaired is not None and repaired.content["stands"][0] == row["number"]:
            stands: list[Any] = repaired.content["stands"][1:]
            return stands
        return standings.standing_in(row["content"])


def _number(written: str) -> float | None:
    """Read a number; None if the text was changed into something else."""
    try:
        return float(written)
    except ValueError:
        return None
