"""Results of use cases as the API writes them: other names, moments as text, internal fields left out."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import TypeAdapter

from fivefold.usecases.shared.api_fields import INTERNAL, Moment, schema, shown_as


@schema("Visit")
@dataclass(frozen=True, kw_only=True)
class VisitLine:
    """A visit."""

    number: Annotated[int, INTERNAL]
    began_us: Annotated[Moment, shown_as("began_at")]
    ended_us: Annotated[Moment | None, shown_as("ended_at")]
    rooms: tuple[str, ...]


WRITER = TypeAdapter(VisitLine)


def test_a_result_is_written_in_the_names_of_the_api() -> None:
    visit = VisitLine(number=7, began_us=1, ended_us=None, rooms=("a",))
    expected = b'{"began_at":"1970-01-01T00:00:00.000001Z","ended_at":null,"rooms":["a"]}'
    assert WRITER.dump_json(visit, by_alias=True) == expected


def test_its_schema_has_the_same_names() -> None:
    described = WRITER.json_schema(mode="serialization")
    assert described["title"] == "Visit"
    assert list(described["properties"]) == described["required"] == ["began_at", "ended_at", "rooms"]
    assert described["properties"]["began_at"] == {"title": "Began At", "type": "string", "format": "date-time"}
