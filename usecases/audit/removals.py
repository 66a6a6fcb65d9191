"""Assessments that the retention policy emptied, compared with the log's entries about its runs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection

from fivefold.store.audit.removals import BEGUN, REMOVED, digest_of_lines, emptied_assessments, line_of_removed

ACTIONS: Final = frozenset({BEGUN, REMOVED})
_ASSESSMENTS: Final = "assessments"

Row = Mapping[str, Any]
Report = Callable[[int, int, str], None]


@dataclass
class _Run:
    """A run as its entries record it; `count` and `digest` are None until it has ended."""

    organisation_id: int
    number: int
    before_us: int
    count: int | None = None
    digest: str | None = None


class RemovalCheck:
    """Collects the runs that emptied assessments, then compares: at most a run a day, so memory does not grow."""

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
