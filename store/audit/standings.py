"""Stored standings and the newest assessments, whose sealed content records the standing that each gave.

Nothing here begins or ends a transaction.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Connection, text

COLUMNS: Final = (
    "version_id",
    "status",
    "source",
    "level",
    "rules_level",
    "floor",
    "hard_floor",
    "floors_lost",
    "entered_us",
    "may_move_down_us",
    "override_id",
    "kept_by",
)
"""Columns of a standing that the content of an assessment records, in this order; older content lacks the last."""
REACHED_US: Final = (
    "coalesce((SELECT t.at_us FROM transitions t WHERE t.entity_id = s.entity_id ORDER BY t.number DESC LIMIT 1), 0)"
)
"""When the entity of a standing `s` reached its level: the moment of the latest transition, 0 without one."""
_KEY: Final = '{"stands": '
_JSON: Final = msgspec.json.Encoder()
_ROWS_AT_A_TIME: Final = 1_000
_NEWEST = (
    "SELECT a.organisation_id, a.entity_id, a.number, a.level AS assessed_level, a.score AS assessed_score, i.content,"  # noqa: S608 (our own words)
    f" {REACHED_US} AS reached_us, s.score, s.level_since_us,"
    " s.entity_id AS stands, s.number AS names, s.organisation_id AS belongs, s.type_id, e.type_id AS entity_type_id,"
    " s.erased, s.value_score, s.segment, s.expected_value, s.value_currency, e.erased_us,"
    f" {', '.join(f's.{name}' for name in COLUMNS)} FROM assessments a"
    " JOIN (SELECT entity_id, max(number) AS number FROM assessments GROUP BY entity_id) n"
    " ON n.entity_id = a.entity_id AND n.number = a.number"
    " LEFT JOIN standings s ON s.entity_id = a.entity_id"
    " LEFT JOIN assessment_inputs i ON i.entity_id = a.entity_id AND i.number = a.number"
    " LEFT JOIN entities e ON e.id = a.entity_id WHERE TRUE{of} ORDER BY a.entity_id"
)
_WITHOUT_ASSESSMENT = (
    "SELECT s.organisation_id, s.entity_id FROM standings s WHERE NOT EXISTS"
    " (SELECT 1 FROM assessments a WHERE a.entity_id = s.entity_id){of} ORDER BY s.entity_id"
)

Row = Mapping[str, Any]


def with_standing(content: str, stands: Sequence[Any]) -> str:
    """Add the standing that an assessment gave, the values of `COLUMNS`, to its content, a JSON object.

    >>> with_standing('{"inputs": {}}', [1, None])
    '{"stands": [1,null], "inputs": {}}'
    """
    rest = content[1:] if content == "{}" else f", {content[1:]}"
    return f"{_KEY}{_JSON.encode(stands).decode()}{rest}"


def standing_in(content: str | None) -> list[Any] | None:
    """Read the standing from the content of an assessment; None if the content was erased.

    >>> standing_in(with_standing("{}", [1, None]))
    [1, None]
    """
    if content is None or not content.startswith(_KEY):
        return None
    read: list[Any] = json.JSONDecoder().raw_decode(content, len(_KEY))[0]
    return read


def newest(connection: Connection, organisation_id: int | None) -> Iterator[Row]:
    """Stream the newest assessment of each entity, with its standing."""
    yield from _streamed(connection, _NEWEST, organisation_id, "a.organisation_id")


def without_assessment(connection: Connection, organisation_id: int | None) -> Iterator[Row]:
    """Stream the standings of entities that were never assessed."""
    yield from _streamed(connection, _WITHOUT_ASSESSMENT, organisation_id, "s.organisation_id")


def _streamed(connection: Connection, template: str, organisation_id: int | None, column: str) -> Iterator[Row]:
    of = "" if organisation_id is None else f" AND {column} = {organisation_id:d}"
    query = text(template.format(of=of))
    with connection.execute(query, execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
        yield from cast("Iterator[Row]", rows.mappings())
