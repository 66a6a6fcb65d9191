"""Types of entities: their fields are added, never changed or removed, and read as rulesets declare them."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.risk.compiler.checks import TAKEN
from fivefold.risk.language.fields import OneOf
from fivefold.store.ingest.entities import type_named
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.accounts.entity_types import TypeLine, checked_fields, define_type, list_types, read_fields
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.governed import NOW, audited, organisation, people, rows_of, together

EVERY = {
    "occupation": "text",
    "income": "number",
    "resident": "flag",
    "born": "date",
    "country": "country",
    "products": ["text"],
    "kind": {"one_of": ["person", "company"]},
}


@pytest.fixture
@filled_once
def ana(engine: Engine) -> Actor:
    return people(organisation(engine))[0]


def test_a_type_has_fields_of_every_kind_that_rulesets_know(engine: Engine, ana: Actor) -> None:
    made = define_type(Context(engine, ana).at(NOW), "customer", EVERY, {"operation": "text"}, {"desk": "text"})
    assert made == TypeLine("customer", EVERY, {"operation": "text"}, {"desk": "text"})
    assert list_types(Context(engine, ana)) == [made]
    with Session(engine) as session:
        row = type_named(session, ana.organisation_id, "customer")
        assert row.created_us == NOW
        read = read_fields(row.fields)
        assert (read["products"], read["kind"]) == (("text",), OneOf(one_of=("person", "company")))


def test_fields_are_added_and_those_that_are_not_named_stay(engine: Engine, ana: Actor) -> None:
    define_type(Context(engine, ana), "customer", {"income": "number"}, {"operation": "text"})
    added = define_type(Context(engine, ana), "customer", {"country": "country"}, None, {"desk": "text"})
    assert added == TypeLine(
        "customer", {"income": "number", "country": "country"}, {"operation": "text"}, {"desk": "text"}
    )
    assert define_type(Context(engine, ana), "customer", {}) == added
    assert len(list_types(Context(engine, ana))) == 1


@pytest.mark.parametrize(
    ("part", "was", "becomes"),
    [
        ("fields", "number", "text"),
        ("fields", "text", ["text"]),
        ("fields", ["text"], "text"),
        ("fields", "text", {"one_of": ["a"]}),
        ("fields", {"one_of": ["a"]}, {"one_of": ["a", "b"]}),
        ("fields", {"one_of": ["a", "b"]}, {"one_of": ["a"]}),
        ("transaction_fields", "text", "number"),
        ("case_fields", "date", "text"),
    ],
)
def test_the_type_of_a_field_is_for_good(engine: Engine, ana: Actor, part: str, was: Any, becomes: Any) -> None:
    before = define_type(Context(engine, ana), "customer", **{"fields": {}, part: {"x": was}})
    with pytest.raises(ConflictError, match=f"{part}: x is .*, for good; give the new field another name"):
        define_type(
            Context(engine, ana), "customer", **{"fields": {"other": "text"}, part: {"new": "text", "x": becomes}}
        )
    assert list_types(Context(engine, ana)) == [before], "not even the new field was added"
    assert len(rows_of(engine, AuditEntry)) == 1


def test_the_order_of_words_is_no_other_type(engine: Engine, ana: Actor) -> None:
    define_type(Context(engine, ana), "customer", {"kind": {"one_of": ["a", "b"]}})
    again = define_type(Context(engine, ana), "customer", {"kind": {"one_of": ["b", "a"]}})
    assert again.fields == {"kind": {"one_of": ["a", "b"]}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"x": "txt"}, "fields: x is 'txt'; a field's type is text, number, flag, date, country"),
        ({"x": ["number"]}, r"only a list of text can be a field: \[text\]"),
        ({"x": {"one_of": []}}, "there must be at least 1"),
        ({"x": None}, "fields: x is empty"),
        ({"x": "text", "born on": "date"}, "fields: born on .*letters, digits and underscores"),
        ({"entity_id": "text"}, "fields: entity_id already has a meaning"),
    ],
)
def test_what_is_no_field_is_refused(engine: Engine, ana: Actor, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        define_type(Context(engine, ana), "customer", given)
    assert list_types(Context(engine, ana)) == []


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(ConfigError, match=r"a is 'x'.*; b is 'y'"):
        checked_fields("fields", {"a": "x", "b": "y"})


@pytest.mark.parametrize("part", sorted(TAKEN))
def test_names_that_mean_something_are_no_fields(part: str) -> None:
    for name in TAKEN[part]:
        with pytest.raises(ConfigError, match="already has a meaning"):
            checked_fields(part, {name: "text"})


@pytest.mark.parametrize("name", ["", "Customer", "a b", "x" * 81, "a_b", "-a"])
def test_a_type_has_a_name_that_rulesets_can_write(engine: Engine, ana: Actor, name: str) -> None:
    with pytest.raises(ConfigError, match="the type's name"):
        define_type(Context(engine, ana), name, {})
    assert define_type(Context(engine, ana), "x" * 80, {}).name == "x" * 80


def test_what_was_added_is_recorded(engine: Engine, ana: Actor) -> None:
    define_type(Context(engine, ana), "customer", {"income": "number"})
    define_type(Context(engine, ana), "customer", {"income": "number", "born": "date"}, {"operation": "text"})
    none = {"fields": [], "transaction_fields": [], "case_fields": []}
    assert audited(engine) == [
        ("member:1", "type.defined", "1", {**none, "fields": ["income"]}),
        ("member:1", "type.defined", "1", {**none, "fields": ["born"], "transaction_fields": ["operation"]}),
    ]


def test_types_belong_to_one_organisation(engine: Engine, ana: Actor) -> None:
    other = people(organisation(engine, "other"))[0]
    define_type(Context(engine, ana), "customer", {"income": "number"})
    define_type(Context(engine, other), "customer", {"income": "text"})
    assert [line.fields for line in list_types(Context(engine, ana))] == [{"income": "number"}]
    assert [line.fields for line in list_types(Context(engine, other))] == [{"income": "text"}]


def test_two_who_add_fields_at_once_both_add_them(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> Actor:
        return people(organisation(engine))[0]

    def add(name: str) -> Any:
        return lambda engine, actor: define_type(Context(engine, actor), "customer", {name: "text"})

    made = together(kind, tmp_path, prepare, *(add(name) for name in "abcd"))
    assert all(isinstance(line, TypeLine) for line in made), made
    assert max((dict(line.fields) for line in made), key=len) == dict.fromkeys("abcd", "text")
