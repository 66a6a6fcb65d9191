"""Links between entities in: each known again, refused row by row, and everybody whom they reach is looked at again."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, InvalidDataError
from fivefold.domain.paging import Part
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.ingest.entities import RowCounts
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.levels.entity_profile import list_links
from tests.store.filling import filled_once
from tests.usecases.banks import Bank

LINKS = {"household": "shared", "owns": "directed"}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """Three customers whose type has households and owners."""
    made = Bank(engine)
    define_type(made.context, "customer", {}, links=LINKS)
    for name in ("a", "b", "c"):
        made.put(name)
    return made


def put(bank: Bank, *rows: tuple[Any, ...]) -> RowCounts:
    return put_links(bank.context, "customer", [LinkRow(*row) for row in rows])


def lines(bank: Bank, name: str = "a") -> list[tuple[Any, ...]]:
    return [
        (each.link, each.way, each.other or each.thing, each.from_us, each.until_us)
        for each in list_links(bank.context, "customer", name, Part(9))
    ]


def test_what_is_sent_again_is_known(bank: Bank) -> None:
    rows = [("a", "household", "H1"), ("a", "owns", "b", 5, 9), ("c", "owns")]
    assert put(bank, *rows) == RowCounts(3, 0, 0)
    assert put(bank, *rows) == RowCounts(0, 0, 3)
    assert lines(bank) == [("owns", "to", "b", 5, 9), ("household", "shared", "H1", None, None)]
    assert lines(bank, "b") == [("owns", "from", "a", 5, 9)]
    assert lines(bank, "c") == [("owns", "none", None, None, None)]


def test_a_link_that_is_ended_twice_ends_when_it_was_said_last(bank: Bank) -> None:
    put(bank, ("a", "household", "H1"))
    assert put(bank, ("a", "household", "H1", None, bank.now - 9)) == RowCounts(0, 1, 0)
    assert put(bank, ("a", "household", "H1", None, bank.now - 9)) == RowCounts(0, 0, 1)
    assert put(bank, ("a", "household", "H1", None, bank.now - 7)) == RowCounts(0, 1, 0)
    assert lines(bank) == [("household", "shared", "H1", None, bank.now - 7)]


def test_one_who_comes_back_begins_anew(bank: Bank) -> None:
    put(bank, ("a", "household", "H1", None, bank.now - 9))
    assert put(bank, ("a", "household", "H1")) == RowCounts(1, 0, 0)
    assert lines(bank) == [
        ("household", "shared", "H1", bank.now, None),
        ("household", "shared", "H1", None, bank.now - 9),
    ]


REFUSED = {
    "an entity that is not there": (("z", "household", "H1"), "from"),
    "one that comes after its link": (("a", "owns", "z"), "to"),
    "itself": (("a", "owns", "a"), "to"),
    "a misspelt type": (("a", "houshold", "H1"), "type"),
    "an end before the beginning": (("a", "owns", "b", 9, 5), "valid_until"),
    "a control character": (("a", "household", "H\n1"), "to"),
    "no name": (("a", "household", ""), "to"),
    "after all times": (("a", "household", "H1", 10**18), "valid_from"),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_named_and_nothing_is_taken(bank: Bank, row: tuple[tuple[Any, ...], str]) -> None:
    with pytest.raises(InvalidDataError) as refused:
        put(bank, ("b", "household", "H1"), row[0])
    assert [(one.row, one.field) for one in refused.value.problems] == [(1, row[1])]
    assert lines(bank, "b") == []


@pytest.mark.parametrize("links", [{}, LINKS], ids=["none declared", "others declared"])
def test_a_type_that_is_not_declared_says_how_it_would_be(engine: Engine, links: dict[str, str]) -> None:
    bare = Bank(engine)
    define_type(bare.context, "customer", {}, links=links)
    bare.put("a")
    with pytest.raises(InvalidDataError) as refused:
        put(bare, ("a", "device", "D1"))
    (problem,) = refused.value.problems
    assert problem.allowed.startswith(", ".join(links) or "none")
    for words in ("`links: {NAME: shared}`", "PUT /v1/entity-types/customer", "fivefold import setup"):
        assert words in problem.allowed


def test_times_that_overlap_several_are_refused(bank: Bank) -> None:
    put(bank, ("a", "owns", "b", 1, 3), ("a", "owns", "b", 5, 9))
    with pytest.raises(InvalidDataError) as refused:
        put(bank, ("a", "owns", "b", 2, 7))
    assert [one.field for one in refused.value.problems] == ["valid_from"]


def test_a_link_that_was_said_to_begin_otherwise_is_the_same_one(bank: Bank) -> None:
    put(bank, ("a", "owns", "b", 5, 9))
    assert put(bank, ("a", "owns", "b", 4, 9)) == RowCounts(0, 1, 0)
    assert lines(bank) == [("owns", "to", "b", 4, 9)]


def test_a_circle_is_taken(bank: Bank) -> None:
    assert put(bank, ("a", "owns", "b"), ("b", "owns", "c"), ("c", "owns", "a")).new == 3


def test_a_kind_of_link_stays(bank: Bank) -> None:
    with pytest.raises(ConflictError):
        define_type(bank.context, "customer", {}, links={"household": "directed"})
    assert define_type(bank.context, "customer", {}, links={"device": "shared"}).links == {**LINKS, "device": "shared"}


def test_both_ends_are_due_and_those_of_other_types_of_link_are_not(bank: Bank) -> None:
    bank.settle()
    bank.wait(microseconds=1)
    put(bank, ("a", "owns", "b", bank.now + DAY_US))
    assert [bank.mark_of(name).due_us == bank.now for name in ("a", "b", "c")] == [True, True, False]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM links", "UPDATE links SET thing = 'H2'", "UPDATE links SET salt = '0'"]
)
def test_what_a_link_says_stays(bank: Bank, statement: str) -> None:
    put(bank, ("a", "household", "H1"))
    with pytest.raises(Exception, match="links is"), bank.engine.begin() as connection:
        connection.execute(text(statement))
