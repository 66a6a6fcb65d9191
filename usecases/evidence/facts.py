"""Evidence of facts: cases, alerts and ends of links, each with its writers and times; and counts at each level.

Customers and rows have internal numbers. The organisation's own numbers, what members of a household share, and the
other fields of a case are left out. Each fact is as it is when the archive is made, in the archives of all quarters in
which it was written: so a fact that was written later than its own date shows that.
"""

from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.store.evidence.archive import NumberedRow, rows_numbered, rows_written, transitions_in
from fivefold.store.ingest.entities import types_of_organisation
from fivefold.store.tables.entities import Link, OrganisationSettings, Record
from fivefold.usecases.evidence.archive import ArchiveSection, json_file, optional_iso_text
from fivefold.usecases.portfolio.migration import LevelsAtMoment, levels_at_month_ends
from fivefold.usecases.shared.inputs import Quarter

_RECORDS = ("case.put", "cases.put", "alert.put", "alerts.put")
_LINKS = ("links.put",)
_MONTHS = 4
"""The months of a quarter, and the one before, at whose end the quarter begins."""


def facts_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect the cases and alerts that were written in a quarter, and the links that were given an end."""
    of = (session, organisation_id, quarter)
    records = [_record(row) | writers for row, writers in _written_rows(*of, Record, _RECORDS)]
    links = [_link(row) | writers for row, writers in _written_rows(*of, Link, _LINKS) if row.until_us is not None]
    return ArchiveSection(
        [json_file("records.json", records), json_file("links-ended.json", links)],
        {"records": len(records), "links_ended": len(links)},
    )


def _written_rows(
    session: Session, organisation_id: int, quarter: Quarter, table: type[NumberedRow], actions: tuple[str, ...]
) -> list[tuple[NumberedRow, dict[str, Any]]]:
    """List the rows that were written in a quarter, each with all its writers."""
    entries_by_row: dict[int, list[tuple[int, str]]] = {}
    for number, at_us, actor in rows_written(session, organisation_id, table.__tablename__, actions):
        entries_by_row.setdefault(number, []).append((at_us, actor))
    in_quarter = [
        number
        for number, entries in entries_by_row.items()
        if any(quarter.from_us <= at_us < quarter.until_us for at_us, _ in entries)
    ]
    return [
        (row, {"written": [{"at": optional_iso_text(at_us), "by": by} for at_us, by in entries_by_row[row.id]]})
        for row in rows_numbered(session, table, in_quarter)
    ]


def _record(row: Record) -> dict[str, Any]:
    return {
        "record": row.id,
        "kind": row.kind,
        "entity": row.entity_id,
        "opened": optional_iso_text(row.opened_us),
        "closed": optional_iso_text(row.closed_us),
        "outcome": row.outcome,
    }


def _link(row: Link) -> dict[str, Any]:
    return {
        "link": row.id,
        "type": row.link,
        "entity": row.entity_id,
        "to": row.other_id,
        "from": optional_iso_text(row.from_us),
        "ended": optional_iso_text(row.until_us),
    }


def levels_part(session: Session, organisation_id: int, quarter: Quarter, now_us: int) -> ArchiveSection:
    """Collect the counts at each level by type, and the levels reached; for the current quarter, the present ones last.

    Erased entities count at the level that they had.
    """
    settings = session.get(OrganisationSettings, organisation_id)
    if settings is None:
        return ArchiveSection([json_file("levels.json", [])], {})
    names = (None, *settings.levels)
    last = from_microseconds(min(quarter.until_us - 1, now_us)).date()
    reached = transitions_in(session, organisation_id, quarter.from_us, quarter.until_us)
    types = []
    for kind in types_of_organisation(session, organisation_id):
        moments = levels_at_month_ends(session, organisation_id, kind.id, last, _MONTHS, now_us)
        types.append(
            {
                "entity_type": kind.name,
                "moments": [_moment(each) for each in moments if each.until_us >= quarter.from_us],
                "transitions": [
                    {"from": names[before or 0], "to": names[after or 0], "cause": cause, "entities": count}
                    for type_id, before, after, cause, count in reached
                    if type_id == kind.id
                ],
            }
        )
    return ArchiveSection([json_file("levels.json", types)], {})


def _moment(at: LevelsAtMoment) -> dict[str, Any]:
    by_level = {each.level: each.entities for each in at.levels}
    return {"before": optional_iso_text(at.until_us), "entities": at.entities, "levels": by_level}
