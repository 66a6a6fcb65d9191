"""What customers are worth, without their levels: in their order, by segment, and by their identifiers alone."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.domain.segments import SEGMENTS
from fivefold.store.tables.entities import ValueScore
from fivefold.store.tables.levels import Standing
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.portfolio.values import (
    count_values,
    list_values,
    read_value_alone,
    search_values,
    value_by_segment,
)
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store.filling import filled_once
from tests.store.plans import plan_of, statements
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank

AT_US = 20_000 * DAY_US + 12_345
"""When the value model spoke, in the middle of a day."""
WORTH = {
    "b-1": ("low", 1.0),
    "b-2": ("low", 1.0),
    "b-3": ("top", 900.25),
    "b-4": ("top", 1.0),
    "b-5": ("high", 40.0),
    "b-6": (None, None),
    "b-7": ("high", 700.0),
}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """Customers of several levels and segments; of one the model knows nothing, and one was never assessed."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY}))
    for number, name in enumerate(WORTH):
        made.put(name, country=("NO", "RU", "KP")[number % 3])
    made.settle()
    with Session(engine) as session, session.begin():
        for name, (segment, value) in WORTH.items():
            standing = session.get_one(Standing, made.id_of(name))
            standing.segment, standing.expected_value = segment, value
            standing.value_score = None if segment is None else SEGMENTS.index(segment) + 1.5
            standing.value_currency = "USD" if name == "b-5" else None if segment is None else "EUR"
            for earlier in (1, 0):
                said = {"score": standing.value_score, "segment": segment, "expected_value": value}
                of = {"entity_id": standing.entity_id, "as_of_us": AT_US - earlier * DAY_US}
                of |= {"currency": "EUR", "model": "fivefold-value", "model_version": 1, "fingerprint": "f"}
                session.add(ValueScore(**of, **said))
    made.put("b-8", country="NO")
    return made


def names(bank: Bank, segments: tuple[str, ...] = (), at_once: int = 100) -> list[str]:
    rows = every_row(lambda part: list_values(bank.context, "customer", segments, part), at_once)
    return [row.external_id for row in rows]


@pytest.mark.postgresql
@settings(max_examples=examples(15), suppress_health_check=SHARED_FIXTURES)
@given(segments=st.lists(st.sampled_from(SEGMENTS), max_size=4), at_once=st.sampled_from([1, 2, 3, 100]))
def test_the_highest_expected_value_is_first_on_pages_of_any_size(
    bank: Bank, segments: list[str], at_once: int
) -> None:
    found = [(value, name) for name, (segment, value) in WORTH.items() if segment in (segments or SEGMENTS)]
    assert names(bank, tuple(segments), at_once) == [name for _, name in sorted(found, reverse=True)]


def test_a_customer_is_shown_with_the_value_and_its_day(bank: Bank) -> None:
    (best, *_) = list_values(bank.context, "customer")
    assert vars(best) == {
        "external_id": "b-3",
        "score": 4.5,
        "segment": "top",
        "expected_value": 900.25,
        "currency": "EUR",
        "as_of_us": AT_US - 12_345,
        "superseded_by": None,
    }
    value = read_value_alone(bank.context, "customer", "b-3")
    assert value is not None
    assert (value.score, value.as_of_us) == (4.5, AT_US - 12_345)
    assert read_value_alone(bank.context, "customer", "b-8") is None


def test_segments_add_up_over_all_levels_by_currency(bank: Bank) -> None:
    portfolio = value_by_segment(bank.context, "customer")
    assert portfolio.entities == len(WORTH)
    assert [(each.segment, each.entities, [vars(money) for money in each.worth]) for each in portfolio.segments] == [
        ("top", 2, [{"amount": 901.25, "currency": "EUR"}]),
        ("high", 2, [{"amount": 700.0, "currency": "EUR"}, {"amount": 40.0, "currency": "USD"}]),
        ("medium", 0, []),
        ("low", 2, [{"amount": 2.0, "currency": "EUR"}]),
        (None, 1, []),
    ]


@pytest.mark.postgresql
@pytest.mark.parametrize("segments", [(), ("low",)])
def test_a_page_is_read_from_the_index_of_its_segments_and_asks_for_no_level(
    bank: Bank, segments: tuple[str, ...]
) -> None:
    first = list_values(bank.context, "customer", segments, Part(1))
    with statements(bank.engine) as asked:
        list_values(bank.context, "customer", segments, Part(1, first.next))
    plan = plan_of(bank.engine, asked[-1])
    assert "ix_standings_worth" in plan
    assert "SCAN standings" not in plan
    assert "Seq Scan on standings" not in plan
    assert "level" not in asked[-1][0]


def test_identifiers_alone_are_looked_at(bank: Bank) -> None:
    """Neither a name nor another attribute, a tag or an owner: also where another word is one of an identifier."""
    bank.add_type("person", {"full_name": "text", "remark": "text"}, {})
    bank.put("p-1", kind="person", full_name="Paula Sanctioned", remark="politically exposed")
    bank.put("p-2", kind="person", full_name="p-1", remark="p-1")
    for text in ("paula", "sanctioned", "p 1 sanctioned", "exposed", "p politically"):
        assert search_values(bank.context, "person", text) == []
        assert count_values(bank.context, "person", text).count == 0
    (found,) = search_values(bank.context, "person", "P 1")
    assert vars(found) == {"external_id": "p-1", **dict.fromkeys(list(vars(found))[1:])}
    assert count_values(bank.context, "person", "1").count == 1


def test_who_is_found_has_the_value_that_is_listed(bank: Bank) -> None:
    found = every_row(lambda part: search_values(bank.context, "customer", "b", part), 3)
    by_name = {line.external_id: line for line in found}
    assert sorted(by_name) == [*WORTH, "b-8"]
    assert {line.external_id: line for line in list_values(bank.context, "customer")} == {
        name: line for name, line in by_name.items() if line.score is not None
    }
    assert {name for name, line in by_name.items() if line.as_of_us is None} == {"b-6", "b-8"}
    assert (count_values(bank.context, "customer", "b").count, count_values(bank.context, "customer", "b 3").count) == (
        8,
        1,
    )


@pytest.mark.postgresql
def test_who_was_erased_is_not_listed(bank: Bank, tmp_path: Path) -> None:
    bank.wait(days=3_000)
    erase_entity(bank.context, "customer", "b-3", tmp_path / "register")
    assert "b-3" not in names(bank)
    assert search_values(bank.context, "customer", "b 3") == []


def test_what_cannot_be_asked_is_refused(bank: Bank) -> None:
    with pytest.raises(ConfigError, match="there is no segment 'high risk'"):
        list_values(bank.context, "customer", ["high risk"])
    for text, problem in ((" - ", "no letter or digit"), ("", "no letter or digit"), ("a b c d e f g", "7 words")):
        for ask in (search_values, count_values):
            with pytest.raises(ConfigError, match=problem):
                ask(bank.context, "customer", text)
    with pytest.raises(ConfigError):
        list_values(bank.context, "customer", (), Part(3, ("a", "b")))


def test_other_organisations_see_nothing(bank: Bank) -> None:
    stranger = Context(bank.engine, platforms.actor(platforms.organisation(bank.engine, "other")), bank.context.clock)
    assert list_values(stranger, "customer") == search_values(stranger, "customer", "b") == []
    assert value_by_segment(stranger, "customer").entities == 0
    with pytest.raises(NotFoundError):
        read_value_alone(stranger, "customer", "b-3")
    for ask in (list_values, value_by_segment):
        with pytest.raises(NotFoundError):
            ask(stranger, "person")
