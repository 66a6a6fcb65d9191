"""What a current level shows of its score and its value is what the history says, whatever happened meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.models.value_model import ValueModel
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.levels.clock_repair import repair_dates
from fivefold.usecases.levels.value_scores import EntityScorer
from tests.models.making import converting_model
from tests.usecases import banks
from tests.usecases.banks import Bank

WHOLE = {"user_balance": 500.0, "user_created": "2025-01-01", "user_category": "WEB"}
COLUMNS = ("score", "level_since_us", "value_score", "segment", "expected_value", "value_currency")
_VALUE = "(SELECT v.{} FROM value_scores v WHERE v.entity_id = s.entity_id ORDER BY v.as_of_us DESC LIMIT 1)"
_BY_HISTORY = f"""
SELECT s.entity_id, (SELECT a.score FROM assessments a WHERE a.entity_id = s.entity_id AND a.number = s.number),
  (SELECT t.at_us FROM transitions t WHERE t.entity_id = s.entity_id ORDER BY t.number DESC LIMIT 1),
  {", ".join(_VALUE.format(name) for name in ("score", "segment", "expected_value", "currency"))}
FROM standings s ORDER BY s.entity_id
"""

Row = tuple[float | int | str | None, ...]


@pytest.fixture(scope="module")
def model() -> ValueModel:
    return converting_model()


@pytest.fixture
def bank(engine: Engine, model: ValueModel) -> Bank:
    """Customers of all levels, of whom two have a value."""
    made = Bank(engine)
    made.now = now_microseconds() - 40 * DAY_US
    made.valuer = EntityScorer(model, "fivefold-value", 3)
    made.activate(banks.document({"country": banks.COUNTRY, "cash": banks.CASH}))
    for name, country in (("a", "NO"), ("b", "RU"), ("c", "KP"), ("d", "SE")):
        made.put(name, country=country)
    for number, name in enumerate("ab"):
        made.pay(number, name, **WHOLE)
    made.settle()
    return made


def columns(bank: Bank) -> dict[int, Row]:
    with bank.engine.connect() as connection:
        rows = connection.execute(text(f"SELECT entity_id, {', '.join(COLUMNS)} FROM standings"))
        return {row[0]: tuple(row[1:]) for row in rows}


def by_history(bank: Bank) -> dict[int, Row]:
    with bank.engine.connect() as connection:
        return {
            entity: (float(score or 0), since or 0, *(value if value[0] is not None else [None] * 4))
            for entity, score, since, *value in connection.execute(text(_BY_HISTORY))
        }


def pays_more(bank: Bank) -> None:
    bank.pay(7, "a", **WHOLE, transaction_amount=90_000.0)


def overridden(bank: Bank) -> None:
    bank.override("c", 1)


def without_model(bank: Bank) -> None:
    bank.valuer = None
    for name in "abcd":
        bank.mark(name)


def newer_model(bank: Bank) -> None:
    assert bank.valuer is not None
    bank.valuer = replace(bank.valuer, version=4)
    for name in "abcd":
        bank.mark(name)


def loses_value(bank: Bank) -> None:
    bank.pay(8, "b")  # without a balance the model knows no value


def moves(bank: Bank) -> None:
    bank.put("d", country="KP")


def other_rules(bank: Bank) -> None:
    bank.activate(banks.document({"country": banks.COUNTRY}))
    for name in "abcd":
        bank.mark(name)


CHANGES = (pays_more, overridden, without_model, newer_model, loses_value, moves, other_rules)


@pytest.mark.parametrize("change", CHANGES)
def test_the_columns_say_what_the_history_says(bank: Bank, change: Callable[[Bank], None]) -> None:
    first = columns(bank)
    assert first == by_history(bank)
    assert sorted(row[2] is not None for row in first.values()) == [False, False, True, True]
    bank.wait(days=1)
    change(bank)
    assert bank.settle()
    assert columns(bank) == by_history(bank)
    bank.wait(days=31)
    assert bank.settle()
    assert columns(bank) == by_history(bank)


@pytest.mark.postgresql
def test_what_holds_on_keeps_its_moment(bank: Bank) -> None:
    since = bank.standing("a").level_since_us
    bank.wait(days=31)
    assert bank.settle()
    assert bank.standing("a").level_since_us == since < bank.standing("a").assessed_us


def test_erased_customers_have_no_value(bank: Bank, tmp_path: Path) -> None:
    bank.wait(days=3_000)
    name = f"erased-{bank.id_of('a')}"
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    row = bank.standing(name)
    assert (row.value_score, row.segment, row.expected_value, row.value_currency) == (None,) * 4


def test_after_a_clock_that_was_ahead_the_value_of_before_holds(bank: Bank) -> None:
    whole, before = columns(bank), bank.now
    bank.now = now_microseconds() + 400 * DAY_US
    pays_more(bank)
    bank.run()
    bank.now = before
    assert columns(bank) != whole
    repair_dates(bank.engine, "cli:test", "The clock was ahead")
    values = {entity: row[2:] for entity, row in columns(bank).items()}
    assert values == {entity: row[2:] for entity, row in by_history(bank).items()}
    assert values == {entity: row[2:] for entity, row in whole.items()}
