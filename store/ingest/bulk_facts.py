"""Stored facts about many entities, by which an import skips duplicates. Begins no transaction."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy.orm import Session

from fivefold.store.levels.bulk_reads import read_rows


class StoredRecord(NamedTuple):
    """A stored case or alert: its row, its entity, and its columns from opened to content."""

    id: int
    entity_id: int
    values: tuple[Any, ...]


def tags(session: Session, entity_ids: Sequence[int]) -> list[tuple[int, int, str, int, int | None]]:
    """Give the tags of entities: row, entity, tag, from and until in microseconds."""
    frame = read_rows(
        session,
        "SELECT id, entity_id, tag, from_us, until_us FROM tags WHERE entity_id IN :ids ORDER BY id",
        list(entity_ids),
        {"id": pl.Int64, "entity": pl.Int64, "tag": pl.String, "from_us": pl.Int64, "until_us": pl.Int64},
    )
    return frame.rows()


def screenings(session: Session, entity_ids: Sequence[int]) -> list[tuple[int, str, int, int]]:
    """Give the screenings of entities: entity, screening, when in microseconds, and 1 where something was found."""
    frame = read_rows(
        session,
        "SELECT entity_id, screening, at_us, CASE WHEN found THEN 1 ELSE 0 END FROM screenings WHERE entity_id IN :ids",
        list(entity_ids),
        {"entity": pl.Int64, "screening": pl.String, "at_us": pl.Int64, "found": pl.Int64},
    )
    return frame.rows()


def records(session: Session, organisation_id: int, kind: str, numbers: Sequence[str]) -> dict[str, StoredRecord]:
    """Give the cases or alerts of some numbers, by number; *kind* is case or alert."""
    frame = read_rows(
        session,
        "SELECT external_id, id, entity_id, opened_us, closed_us, outcome, status, content FROM records"  # noqa: S608 (our own words)
        f" WHERE organisation_id = {organisation_id:d} AND kind = '{kind}' AND external_id IN :ids",
        list(numbers),
        {
            "external_id": pl.String,
            "id": pl.Int64,
            "entity": pl.Int64,
            "opened_us": pl.Int64,
            "closed_us": pl.Int64,
            "outcome": pl.String,
            "status": pl.String,
            "content": pl.String,
        },
    )
    return {row[0]: StoredRecord(row[1], row[2], row[3:]) for row in frame.iter_rows()}
