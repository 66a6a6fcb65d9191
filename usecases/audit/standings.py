"""Comparison of standings with the newest assessment of each entity, or with the last repair of the clock."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from fivefold.store.audit import standings
from fivefold.store.audit.expected import Expected

REPAIRED: Final = "clock.repaired"
"""The action of entries that say where entities stand until they are assessed again."""
_KIND: Final = "standing"

Report = Callable[[int, int, str], None]
Row = Mapping[str, Any]


class StandingCheck:
    """Collects the standings that repairs recorded, then compares."""

    def __init__(self, expected: Expected, report: Report) -> None:
        """Expect nothing yet; *found* takes organisation, entry (0 where there is none), and what is wrong."""
        self._expected, self._report = expected, report

    def entry(self, row: Row, after: Row) -> None:
        """Take an entry about a repair."""
        for entity, stands in after.get("stands", {}).items():
            self._expected.add_row(_KIND, row["organisation_id"], entity, row["number"], {"stands": stands})

    def compare(self, connection: Connection, only: int | None) -> None:
        """Compare everything, of one organisation or of all; of entities that were erased the level alone."""
        for row in standings.newest(connection, only):
            for problem in self._problems(row):
                self._report(row["organisation_id"], 0, f"the standing of entity {row['entity_id']} {problem}")
        for row in standings.without_assessment(connection, only):
            self._report(row["organisation_id"], 0, f"entity {row['entity_id']} was never assessed, and has a standing")

    def _problems(self, row: Row) -> list[str]:
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
        expected = self._expected_standing(row)
        if expected is not None:
            pairs = zip(standings.COLUMNS, expected, strict=True)
            other += [column for column, value in pairs if row[column] != value and column not in other]
        return [f"is not that of assessment {name}: {', '.join(other)}"] if other else []

    def _expected_standing(self, row: Row) -> list[Any] | None:
        repaired = self._expected.row(_KIND, row["organisation_id"], str(row["entity_id"]))
        if repaired is not None and repaired.content["stands"][0] == row["number"]:
            stands: list[Any] = repaired.content["stands"][1:]
            return stands
        return standings.standing_in(row["content"])
