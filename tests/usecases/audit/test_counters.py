"""Counters are what the standings make up: one that says something else is found, named and counted anew."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.errors import ConfigError
from fivefold.store.audit import counters
from fivefold.usecases.accounts.organisations import actor_in_new
from fivefold.usecases.audit.counting import CounterRepair, repair_counters
from tests.store import databases
from tests.store.audits import forged
from tests.store.filling import filled_once
from tests.usecases.audit.test_history import findings, forge, recorded
from tests.usecases.banks import Bank


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return recorded(engine)


def test_counters_that_say_something_else_are_found(bank: Bank) -> None:
    """Levels of a quarter's evidence are read from these alone."""
    found = forge(bank, "UPDATE portfolio_counts SET entities = entities + 7 WHERE level = 3 AND entities > 0")
    assert len(found) == 1
    assert "portfolio_counts says 9 entities, 0 cents for type_id 1, level 3, segment ''" in found[0], found
    assert found[0].endswith("and its standings say 2 entities, 0 cents; `fivefold audit recount` counts them anew")
    with forged(bank.engine) as connection:
        connection.execute(text("UPDATE portfolio_counts SET entities = entities - 7 WHERE level = 3 AND entities > 0"))
    assert findings(bank) == []
    found = forge(bank, "DELETE FROM level_move_counts WHERE to_level = 3")
    assert len(found) == 1
    assert "level_move_counts says 0 entities for type_id 1, day 16801, from_level 0, to_level 3" in found[0], found


@pytest.mark.postgresql
def test_counters_that_differ_are_counted_anew_and_count_on(bank: Bank) -> None:
    assert repair_counters(bank.engine, "cli:op", "Nothing differs.") == CounterRepair([], [])
    with pytest.raises(ConfigError, match="needs a reason"):
        repair_counters(bank.engine, "cli:op", " ")
    with forged(bank.engine) as connection:
        connection.execute(text("UPDATE portfolio_counts SET entities = entities + 7, cents = 9 WHERE level = 3"))
        connection.execute(text("DELETE FROM level_move_counts WHERE to_level = 3"))
    repaired = repair_counters(bank.engine, "cli:op", "A restore without triggers.").repaired
    assert [(each.table, each.cells) for each in repaired] == [("level_move_counts", 1), ("portfolio_counts", 1)]
    with bank.engine.connect() as connection:
        assert list(counters.differences(connection)) == []
        newest = text("SELECT actor, action, details FROM audit_entries ORDER BY number DESC LIMIT 1")
        actor, action, details = connection.execute(newest).one()
    assert (actor, action, "A restore without triggers." in details) == ("cli:op", "counters.repaired", True)
    bank.wait(days=1)
    bank.put("newcomer", country="KP")
    bank.settle()
    assert findings(bank) == [], "the triggers go on from there"


def test_the_role_of_a_service_counts_anew_and_of_two_at_once_the_second_has_nothing_to_do(tmp_path: Path) -> None:
    with databases.with_least_rights(databases.new_url("postgresql", tmp_path)) as engine:
        of = actor_in_new(engine, "bank", "cli:op").organisation_id
        with engine.begin() as connection:
            connection.execute(text(f"INSERT INTO level_move_counts VALUES ({of}, 1, 9, 0, 1, 0, 5)"))
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(partial(repair_counters, engine, "cli:op"), ("One.", "Another.")))
        assert sorted(len(each.repaired) for each in done) == [0, 1]
        with engine.connect() as connection:
            assert list(counters.differences(connection)) == []


def values_of(bank: Bank, *values: float | None) -> None:
    """Let the standings of the first customers have expected values, which the triggers count."""
    with bank.engine.begin() as connection:
        for entity, value in enumerate(values, 1):
            known = {"segment": None, "currency": None} if value is None else {"segment": "top", "currency": "VND"}
            connection.execute(
                text(
                    "UPDATE standings SET segment = :segment, value_currency = :currency, expected_value = :value"
                    " WHERE entity_id = :entity"
                ),
                {"entity": entity, "value": value, **known},
            )


def about_counters(bank: Bank) -> list[str]:
    return [each.removeprefix("organisation bank (1): ") for each in findings(bank) if "portfolio_counts" in each]


@pytest.mark.postgresql
def test_counters_of_cents_are_those_of_the_standings_however_they_round(bank: Bank) -> None:
    for values in ((0.005, 0.125), (2.675, -0.005), (-1.125, None), (1e13 / 3, -1e13 / 7), (None, 1.005)):
        values_of(bank, *values)
        assert about_counters(bank) == []
    with forged(bank.engine) as connection:
        connection.execute(
            text(
                "INSERT INTO portfolio_counts SELECT organisation_id, type_id, coalesce(level, 0), segment,"
                " value_currency, erased, 9, 0, 1 FROM standings WHERE segment = 'top'"
            )
        )
    (found,) = about_counters(bank)
    assert "says 1 entities, 101 cents for type_id 1, level " in found
    assert "segment 'top', currency 'VND'" in found
    assert found.endswith("and its standings say 1 entities, 100 cents; `fivefold audit recount` counts them anew")


@pytest.mark.postgresql
def test_sums_beyond_64_bits_are_exact(bank: Bank) -> None:
    """Several connections may have counted what one number could not hold."""
    with forged(bank.engine) as connection:
        for part in (1, 2, 3):
            connection.execute(
                text("INSERT INTO portfolio_counts VALUES (1, 1, 2, 'top', 'VND', FALSE, :part, 0, :cents)"),
                {"part": part, "cents": 4 * 10**18 + 1},
            )
    (found,) = about_counters(bank)
    assert found.startswith("portfolio_counts says 0 entities, 12000000000000000003 cents for type_id 1, level 2")
    assert "and its standings say 0 entities, 0 cents; " in found
    with forged(bank.engine) as connection:
        connection.execute(text("UPDATE portfolio_counts SET cents = -8000000000000000002 WHERE part = 3"))
    assert about_counters(bank) == [], "the parts make up nothing together, whatever each of them is"


@pytest.mark.postgresql
def test_a_value_that_cannot_be_counted_is_a_finding(bank: Bank) -> None:
    """Verifying goes on, and nothing else is found of the counters."""
    values_of(bank, 1.0)
    with forged(bank.engine) as connection:
        for value in (float("inf"), -1e17, 1e308):
            connection.execute(
                text("UPDATE standings SET expected_value = :value WHERE segment = 'top'"), {"value": value}
            )
            (found,) = counters.differences(connection)
            assert (found.counted, found.there) == (
                "1 entities, 100 cents",
                "1 entities, 0 cents, 1 number beyond what can be counted",
            )
    assert len(about_counters(bank)) == 1


@pytest.mark.postgresql
def test_what_cannot_be_counted_anew_is_named_and_stays_and_the_rest_is_counted(bank: Bank) -> None:
    """No log could keep why counters of no organisation were changed."""
    values_of(bank, 1.0)
    with forged(bank.engine) as connection:
        connection.execute(
            text("UPDATE standings SET expected_value = :value WHERE segment = 'top'"), {"value": float("inf")}
        )
        connection.execute(text("INSERT INTO level_move_counts VALUES (999, 1, 9, 0, 1, 0, 5)"))
        connection.execute(text("UPDATE portfolio_counts SET entities = entities + 7 WHERE level = 3"))
    for cells in (1, 0):
        done = repair_counters(bank.engine, "cli:op", "A restore without triggers.")
        assert sum(each.cells for each in done.repaired) == cells
        assert [(each.organisation_id, each.table, each.obstacle) for each in done.left] == [
            (1, "portfolio_counts", "its standings have numbers beyond what can be counted"),
            (999, "level_move_counts", "an organisation of that number does not exist"),
        ]
        with bank.engine.connect() as connection:
            assert list(counters.differences(connection)) == done.left
            entries = text("SELECT count(*) FROM audit_entries WHERE action = 'counters.repaired'")
            assert connection.scalar(entries) == 1


def test_a_counter_that_is_no_whole_number_is_a_finding(bank: Bank) -> None:
    """SQLite keeps it; where three standings are beyond 64 bits together, its trigger leaves such a number too."""
    if bank.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL keeps whole numbers of 64 bits alone")
    for number in ("9e999", "9e18 * 9", "'many'", "0.5"):
        found = forge(bank, f"UPDATE portfolio_counts SET entities = {number} WHERE level = 3")
        assert [each for each in found if "1 number beyond what can be counted for type_id 1, level 3" in each], found
