"""Facts as people read them, within their organisation."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, update

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.sql.database import writing
from fivefold.store.tables.levels import DueMark
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.levels import entity_profile as facts
from fivefold.usecases.levels.entity_profile import (
    RelatedLine,
    list_entities,
    list_links,
    list_records,
    list_screenings,
    list_tags,
    list_transactions,
    read_entity,
)
from fivefold.usecases.shared.context import Context
from tests.usecases import banks
from tests.usecases.banks import Bank


@pytest.fixture
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.put("a", country="NO", income=1.5)
    made.put("b", owner=("customer", "a"))
    return made


def test_an_entity_is_shown_with_whose_it_is(bank: Bank) -> None:
    a, b = (read_entity(bank.context, "customer", name) for name in "ab")
    assert (a.attributes, a.owners, names(a.owns)) == ({"country": "NO", "income": 1.5}, (), ["b"])
    assert (b.attributes, names(b.owners), b.owns) == ({}, ["a"], ())
    assert (a.created_us, a.known_us, a.erased_us) == (bank.now, bank.now, None)


def test_of_whom_it_owns_and_of_its_owners_it_is_shown_whose_assessment_was_stopped(bank: Bank) -> None:
    bank.settle()
    with writing(bank.engine) as session:
        session.execute(update(DueMark).where(DueMark.entity_id == bank.id_of("b")).values(error="it broke"))
    (owned,) = read_entity(bank.context, "customer", "a").owns
    (owner,) = read_entity(bank.context, "customer", "b").owners
    assert (owned.failing, owner.failing) == (True, False)


def names(lines: Sequence[RelatedLine]) -> list[str]:
    return [line.external_id for line in lines]


def test_no_more_is_named_than_is_asked_for(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.put("c", owner=("customer", "a"))
    monkeypatch.setattr(facts, "MOST_RELATED", 1)
    assert names(read_entity(bank.context, "customer", "a").owns) == ["b"]


def test_facts_are_listed_the_latest_first_and_so_many(bank: Bank) -> None:
    of = (bank.context, "customer", "a")
    for number in (1, 2, 3):
        bank.wait(1)
        set_tag(*of, f"tag {number}", until_us=bank.now + 5)
        add_screening(*of, f"list {number}", has_match=number == 2)
        put_record(*of, "case", RecordGiven(external_id=str(number), opened_us=bank.now))
        bank.pay(number)
    assert [(line.tag, line.until_us) for line in list_tags(*of, Part(2))] == [
        ("tag 3", bank.now + 5),
        ("tag 2", bank.now - 86_400_000_000 + 5),
    ]
    assert [(line.screening, line.found) for line in list_screenings(*of, Part(2))] == [
        ("list 3", False),
        ("list 2", True),
    ]
    assert [line.number for line in list_records(*of, "case", Part(2))] == ["3", "2"]
    assert list_records(*of, "alert", Part(2)) == []
    assert [line.transaction_id for line in list_transactions(*of, Part(2))] == ["t3", "t2"]
    (first,) = list_transactions(*of, Part(2, list_transactions(*of, Part(2)).next))
    assert (first.transaction_id, first.amount, first.fields) == ("t1", 2000.0, {"operation": "cash"})
    for place in ((1,), (1, 2), ("t2", 1), (2**63, "t2"), (1, "t2", 3)):
        with pytest.raises(ConfigError, match="after must be the cursor that the previous page of this list gave"):
            list_transactions(*of, Part(2, place))


def test_who_has_nothing_yet_has_empty_lists(bank: Bank) -> None:
    bank.put("a")
    of = (bank.context, "customer", "a")
    assert [*list_transactions(*of, Part(2)), *list_tags(*of, Part(2)), *list_records(*of, "case", Part(2))] == []


def test_entities_are_listed_by_level(bank: Bank) -> None:
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("c", country="IR")
    bank.settle()
    bank.put("d")
    listed = list_entities(bank.context, "customer", Part(10))
    assert [(line.external_id, line.level, line.status) for line in listed] == [
        ("a", "low", "assessed"),
        ("b", "low", "assessed"),
        ("c", "high", "assessed"),
        ("d", None, None),
    ]
    assert list_entities(bank.context, "customer", Part(10), level="high") == [listed[2]]
    assert list_entities(bank.context, "customer", Part(1, (listed[0].id,))) == [listed[1]]
    with pytest.raises(ConfigError, match="there is no level 'severe'; there are low, medium, high"):
        list_entities(bank.context, "customer", Part(10), level="severe")


ASKED: list[Callable[..., Any]] = [
    read_entity,
    lambda *of: list_tags(*of, Part(9)),
    lambda *of: list_screenings(*of, Part(9)),
    lambda *of: list_records(*of, "alert", Part(9)),
    lambda *of: list_transactions(*of, Part(9)),
]


@pytest.mark.parametrize("ask", ASKED)
def test_another_organisations_entities_are_not_there(bank: Bank, ask: Callable[..., Any]) -> None:
    other = Bank(bank.engine, "other")
    for name in ("a", "nobody"):
        with pytest.raises(NotFoundError, match=f"^there is no customer '{name}'$"):
            ask(other.context, "customer", name)
    with pytest.raises(NotFoundError, match=r"^there is no entity type 'custmer'; perhaps customer was meant$"):
        ask(other.context, "custmer", "a")
    with pytest.raises(NotFoundError, match=r"^there is no entity type 'company'$"):
        list_entities(Context(bank.engine, other.actor), "company", Part(9))


def test_those_who_share_a_value_now_or_later_are_named_and_nobody_else(bank: Bank) -> None:
    context = bank.context
    define_type(context, "customer", {}, links={"household": "shared"})
    for name in ("c", "d", "e", "f"):
        bank.put(name)
    day = DAY_US
    rows = [
        LinkRow("a", "household", "H1"),
        LinkRow("c", "household", "H1", until_us=bank.now + 30 * day),
        LinkRow("d", "household", "H1", from_us=bank.now + day),
        LinkRow("e", "household", "H1", from_us=bank.now - 9 * day, until_us=bank.now - day),  # ended
        LinkRow("f", "household", "H1", from_us=bank.now + day, until_us=bank.now + day),  # taken back
        LinkRow("b", "household", "H1", from_us=bank.now - day, until_us=bank.now - day),  # taken back
    ]
    put_links(context, "customer", rows)
    (line,) = list_links(context, "customer", "a", Part())
    assert line.sharing == ("c", "d")
    (ended,) = list_links(context, "customer", "e", Part())
    assert ended.sharing == ("a", "c", "d")
