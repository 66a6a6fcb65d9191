"""Results of use cases as the API writes them: other names, moments as text, internal fields left out."""

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated

from pydantic import TypeAdapter

from fivefold.usecases.shared.api_fields import INTERNAL, Moment, StoredObject, schema, shown_as


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


def test_moments_of_stored_json_are_shown_as_everywhere() -> None:
    stored = {
        "as_of": "1970-01-01T00:00:00.000001+00:00",
        "lists": {"own list": "1970-01-01T00:00:00+00:00"},
        "steps": [{"at": "step", "content": {"until_us": None, "at_us": 0, "amount_minor": 5}}],
        "external_id": "1970-01-01T00:00:00+00:00",
    }
    as_before = deepcopy(stored)
    writer = TypeAdapter(StoredObject)
    content = {"until_us": None, "until_at": None, "at_us": 0, "at": "1970-01-01T00:00:00Z", "amount_minor": 5}
    assert json.loads(writer.dump_json(stored)) == {
        "as_of": "1970-01-01T00:00:00.000001Z",
        "lists": {"own list": "1970-01-01T00:00:00Z"},
        "steps": [{"at": "step", "content": content}],
        "external_id": "1970-01-01T00:00:00+00:00",
    }
    assert stored == as_before
    assert writer.json_schema(mode="serialization")["type"] == "object"
