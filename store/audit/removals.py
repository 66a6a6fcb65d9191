"""Assessments that the retention policy emptied, for the audit log: lines, their digest, and a stream of them.

Such an assessment keeps its facts and the salted hash of its inputs, so its line in the seal of the call that made it
stays the same. Its inputs are removed, and its row names the run that removed them. The log records that each run
began, and at its end how many assessments it emptied, with a digest over them. Nothing here begins a transaction.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, cast

from sqlalchemy import Connection, text

BEGUN: Final = "retention.begun"
REMOVED: Final = "retention.removed"
"""The action of entries about a run: it emptied its first assessment, or ended."""
EMPTIED: Final = "retention.emptied"
"""The action of an entry that binds the remains of runs of flows that a part of a run emptied."""
_ROWS_AT_A_TIME: Final = 1_000
_EMPTIED: Final = (
    "SELECT i.removed_by AS run, a.organisation_id, a.as_of_us, i.entity_id, i.number, i.sha256,"
    " CASE WHEN i.content IS NULL AND i.salt IS NULL AND a.breakdown IS NULL THEN 1 ELSE 0 END AS gone"
    " FROM assessment_inputs i JOIN assessments a ON a.entity_id = i.entity_id AND a.number = i.number"
    " WHERE i.removed_by IS NOT NULL{of} ORDER BY i.removed_by, a.as_of_us, i.entity_id, i.number"
)

Row = Mapping[str, Any]


def line_of_removed(entity_id: int, number: int, digest: str | None) -> str:
    """Return the line of an emptied assessment: its name and the hash of its inputs.

    >>> line_of_removed(12, 3, "ab")
    '12.3 ab'
    """
    return f"{entity_id}.{number} {digest or ''}"


def digest_of_lines(lines: Iterable[str], before: str = "") -> str:
    """Add lines to a digest, one after the other: SHA-256 of the previous digest, a line feed and the line.

    >>> digest_of_lines(["b"], digest_of_lines(["a"])) == digest_of_lines(["a", "b"])
    True
    """
    digest = before
    for line in lines:
        digest = sha256(f"{digest}\n{line}".encode()).hexdigest()
    return digest


def emptied_assessments(connection: Connection, organisation_id: int | None) -> Iterator[Row]:
    """Stream the assessments that runs emptied: run by run, in the order in which each run processed them."""
    of = "" if organisation_id is None else f" AND a.organisation_id = {organisation_id:d}"
    query = text(_EMPTIED.format(of=of))
    with connection.execute(query, execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
        yield from cast("Iterator[Row]", rows.mappings())
