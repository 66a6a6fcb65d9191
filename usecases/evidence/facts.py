"""Evidence of what people and programs said of customers: cases, alerts and ends of links, each with who wrote it when.

Customers and rows have internal numbers. The numbers that the organisation gave, what members of a household share,
and the other fields of a case are not there.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from fivefold.store.evidence.archive import links_ended_in, records_in, rows_written
from fivefold.store.tables.entities import Link, Record
from fivefold.usecases.evidence.archive import ArchiveSection, json_file, optional_iso_text
from fivefold.usecases.shared.inputs import Quarter

_RECORDS = ("case.put", "cases.put", "alert.put", "alerts.put")
_LINKS = ("links.put",)
_Written = dict[str, list[dict[str, Any]]]
"""Who wrote a row, and when, by the name of the row."""


def facts_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect the cases and alerts that were opened or closed in a quarter, and the links that ended."""
    time = quarter.from_us, quarter.until_us
    records = {f"{row.entity_id}.{row.id}": row for row in records_in(session, organisation_id, *time)}
    links = {
        f"{row.entity_id}.{row.other_id or 0}.{row.id}": row for row in links_ended_in(session, organisation_id, *time)
    }
    of = (session, organisation_id)
    written = _written(records, rows_written(*of, "records", _RECORDS, quarter.until_us))
    linked = _written(links, rows_written(*of, "links", _LINKS, quarter.until_us))
    return ArchiveSection(
        [
            json_file("records.json", [_record(row, written[name], quarter) for name, row in records.items()]),
            json_file("links-ended.json", [_link(row, linked[name]) for name, row in links.items()]),
        ],
        {"records": len(records), "links_ended": len(links)},
    )


def _written(names: Iterable[str], entries: Iterable[tuple[str, int, str]]) -> _Written:
    written: _Written = {name: [] for name in names}
    for name, at_us, actor in entries:
        if name in written:
            written[name].append({"at": optional_iso_text(at_us), "by": actor})
    return written


def _record(row: Record, written: list[dict[str, Any]], quarter: Quarter) -> dict[str, Any]:
    """Tell a case or an alert as it stood when the quarter ended: one that was closed later is open."""
    is_closed = row.closed_us is not None and row.closed_us < quarter.until_us
    return {
        "record": row.id,
        "kind": row.kind,
        "entity": row.entity_id,
        "opened": optional_iso_text(row.opened_us),
        "closed": optional_iso_text(row.closed_us if is_closed else None),
        "outcome": row.outcome if is_closed else None,
        "written": written,
    }


def _link(row: Link, written: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "link": row.id,
        "type": row.link,
        "entity": row.entity_id,
        "to": row.other_id,
        "from": optional_iso_text(row.from_us),
        "ended": optional_iso_text(row.until_us),
        "written": written,
    }
