"""Evidence of cases, alerts and ends of links: those that were written in the quarter, each with who wrote it when."""

import json
from typing import Any, Literal

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.evidence.facts import facts_part
from fivefold.usecases.ingest.bulk_facts import RecordRow, put_records
from fivefold.usecases.ingest.facts import RecordGiven, put_record
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import read_quarter
from tests.usecases.governed import DAY, NOW, add_entities, founded

pytestmark = pytest.mark.postgresql
QUARTER = read_quarter("2026Q4")


@pytest.fixture
def people(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> tuple[Actor, Actor, Actor]:
    monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: NOW)
    three = founded(engine)
    add_entities(engine, three[0], ["ada", "bo"])
    return three


def collected(engine: Engine, actor: Actor) -> dict[str, Any]:
    with Session(engine) as session:
        files = facts_part(session, actor.organisation_id, QUARTER).files
        return {file.name: json.loads(b"".join(file.content())) for file in files}


def test_who_opened_a_case_and_who_closed_it_are_named(
    engine: Engine, people: tuple[Actor, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben, cyd = people

    def put(actor: Actor, number: str, closed_us: int | None = None, kind: Literal["case", "alert"] = "case") -> None:
        outcome = None if closed_us is None else "confirmed"
        given = RecordGiven(external_id=number, opened_us=NOW - DAY, closed_us=closed_us, outcome=outcome)
        put_record(Context(engine, actor).at(QUARTER.until_us + DAY), "customer", "ada", kind, given)

    put(ana, "first")
    put(ana, "second", kind="alert")
    put(ben, "first", NOW)
    old = RecordGiven(external_id="old", opened_us=QUARTER.from_us - 9 * DAY, closed_us=QUARTER.from_us - DAY)
    put_records(Context(engine, ana).at(NOW), "customer", [RecordRow("bo", old)], "case")
    monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: QUARTER.until_us)
    put(cyd, "second", NOW, kind="alert")
    put(cyd, "of the next quarter")
    records = collected(engine, ana)["records.json"]
    assert [(each["kind"], each["outcome"], [said["by"] for said in each["written"]]) for each in records] == [
        ("case", "confirmed", ["member:1", "member:2"]),
        ("alert", "confirmed", ["member:1", "member:3"]),
        ("case", None, ["member:1"]),
    ]
    closed, written = records[1]["closed"], records[1]["written"][1]["at"]
    assert (closed[:10], written[:10]) == ("2026-11-20", "2027-01-01"), "it was closed in hindsight"


def test_who_ended_a_link_is_named(engine: Engine, people: tuple[Actor, ...]) -> None:
    ana, ben, _ = people
    types = {"country": "country", "income": "number"}
    define_type(Context(engine, ana).at(NOW), "customer", types, links={"household": "shared", "owns": "directed"})
    rows = [LinkRow("ada", "owns", "bo"), LinkRow("ada", "household", "H1")]  # the second goes on
    put_links(Context(engine, ana).at(NOW), "customer", rows)
    put_links(Context(engine, ben).at(NOW + 1), "customer", [LinkRow("ada", "owns", "bo", None, NOW)])
    (link,) = collected(engine, ana)["links-ended.json"]
    assert (link["type"], link["ended"]) == ("owns", "2026-11-20T12:00:00+00:00")
    assert [said["by"] for said in link["written"]] == ["member:1", "member:2"]
