"""Entities in: new, changed or as they were; each wrong thing named, and nothing taken by halves."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.errors import InvalidDataError, NotFoundError
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason
from fivefold.usecases.ingest.entities import AT_ONCE, RowCounts, put_entities
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store.filling import filled_once
from tests.usecases.banks import Bank


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return Bank(engine)


def put(bank: Bank, *rows: EntityRow, kind: str = "customer") -> RowCounts:
    return put_entities(bank.context, kind, rows)


def versions(bank: Bank) -> list[tuple[int, str]]:
    with bank.engine.connect() as connection:
        found = connection.execute(text("SELECT number, content FROM attributes ORDER BY entity_id, number"))
        return [(row.number, row.content) for row in found]


def test_what_is_given_is_changed_and_the_rest_stays(bank: Bank) -> None:
    assert put(bank, EntityRow("a", {"country": "NO", "income": 5})) == RowCounts(1, 0, 0)
    assert put(bank, EntityRow("a", {"income": 6.5})) == RowCounts(0, 1, 0)
    assert put(bank, EntityRow("a", {"income": None, "pep": True}), EntityRow("b")) == RowCounts(1, 1, 0)
    assert versions(bank) == [
        (1, '{"country":"NO","income":5}'),
        (2, '{"country":"NO","income":6.5}'),
        (3, '{"country":"NO","pep":true}'),
        (1, "{}"),
    ]


def test_what_was_known_makes_nobody_due(bank: Bank) -> None:
    put(bank, EntityRow("a", {"country": "NO"}))
    bank.settle()
    assert put(bank, EntityRow("a", {"country": "NO"})) == RowCounts(0, 0, 1)
    assert bank.run() is None
    put(bank, EntityRow("a", {"country": "SE"}))
    assert bank.mark_of("a").reasons & Reason.ATTRIBUTE


def test_many_wait_behind_what_happens_to_one(bank: Bank) -> None:
    put(bank, *(EntityRow(f"n{number}") for number in range(AT_ONCE + 1)))
    put(bank, EntityRow("one"))
    assert (bank.mark_of("n0").priority, bank.mark_of("one").priority) == (BULK, EVENT)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (EntityRow(""), "external_id is ''; allowed: text of 1 to 200 characters"),
        (EntityRow("x" * 201), "external_id is 'xxx"),
        (EntityRow("a\0b"), "external_id is"),
        (EntityRow("\ud800"), "external_id is"),
        (
            EntityRow("erased-07"),
            "external_id is 'erased-07', a name reserved for erased entities; allowed: any name but",
        ),
        (EntityRow("good"), "external_id 'good' is repeated; allowed: each once"),
        (EntityRow("a", {"shoes": 1}), "shoes is not a field of this type; allowed: country, "),
        (EntityRow("a", {"country": "Norway"}), "country is 'Norway'; allowed: two capital letters"),
        (EntityRow("a", {"income": "5"}), "income is '5'; allowed: a finite number"),
        (EntityRow("a", {"income": float("nan")}), "income is not finite"),
        (EntityRow("a", {"income": float("-inf")}), "income is not finite"),
        (EntityRow("a", {"pep": 1}), "pep is 1; allowed: true or false"),
        (EntityRow("a", {"opened_on": "soon"}), "opened_on is 'soon'; allowed: an ISO 8601 date or time"),
        (EntityRow("a", {"occupation": "x\0"}), "occupation has a character that cannot be stored"),
        (EntityRow("a", {"occupation": "\udfff"}), "occupation has a character that cannot be stored"),
        (EntityRow("a", owner=("customer", "nobody")), "owner customer 'nobody' does not exist"),
        (EntityRow("a", owner=("customer", "a")), "owner .* does not exist"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_taken(bank: Bank, row: EntityRow, words: str) -> None:
    with pytest.raises(InvalidDataError, match=f"row 1: {words}"):
        put(bank, EntityRow("good", {"income": 1}), row)
    assert versions(bank) == []


def test_a_name_that_nobody_erased_can_have_is_taken(bank: Bank) -> None:
    names = (
        "erased-",
        "erased-1a",
        "erased-\N{ARABIC-INDIC DIGIT ONE}",
        "Erased-1",
        "not-erased-1",
        "erased--1",
        "erased-1-",
    )
    assert put(bank, *(EntityRow(name) for name in names)) == RowCounts(len(names), 0, 0)


def test_a_type_or_an_owners_type_that_is_not_there_is_told(bank: Bank) -> None:
    with pytest.raises(NotFoundError, match="there is no entity type 'ship'"):
        put(bank, EntityRow("a"), kind="ship")
    with pytest.raises(NotFoundError, match="there is no entity type 'ship'"):
        put(bank, EntityRow("a", owner=("ship", "b")))


def test_what_changed_is_in_the_audit_log_apart_from_the_entry(bank: Bank) -> None:
    put(bank, EntityRow("a", {"occupation": "spy"}))
    put(bank, EntityRow("a", {"occupation": "baker"}))
    put(bank, EntityRow("b"), EntityRow("c"))
    with bank.engine.connect() as connection:
        wanted = "SELECT action, subject_id, bulk_count, details FROM audit_entries WHERE action = 'entities.put'"
        entries = [tuple(row) for row in connection.execute(text(f"{wanted} ORDER BY number"))]
        values: list[Any] = list(connection.scalars(text("SELECT before FROM audit_values ORDER BY number DESC")))
    assert [(entry[1] is not None, entry[2]) for entry in entries] == [(True, None), (True, None), (False, 2)]
    assert not any("spy" in str(entry) for entry in entries)
    assert any(value and "spy" in value for value in values)


def test_nobody_owns_themselves(bank: Bank) -> None:
    """Everything about them would count twice."""
    put(bank, EntityRow("a"))
    with pytest.raises(InvalidDataError, match="owner is the entity itself"):
        put(bank, EntityRow("a", owner=("customer", "a")))
