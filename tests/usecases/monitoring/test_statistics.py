"""The figures that an operator watches: of every organisation its own."""

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import StoreError
from fivefold.risk.governance.validate import measures
from fivefold.store.sql.database import open_database
from fivefold.store.tables.events import ValidationRun
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.monitoring.revalidation import register_change
from fivefold.usecases.monitoring.statistics import PlatformFigures, last_validation
from fivefold.usecases.monitoring.validate import validate_levels
from fivefold.usecases.shared.context import Context
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank
from tests.usecases.governed import add_entities, founded, stand
from tests.usecases.planted import day, fill, planted

NOW = platforms.NOW


@pytest.mark.postgresql
def test_a_bank_as_it_stands(engine: Engine) -> None:
    bank, empty = Bank(engine), Bank(engine, "empty")
    bank.activate(banks.document({"country": banks.COUNTRY}))
    for name, country in (("a", "NO"), ("b", "KP"), ("c", "RU"), ("d", "KP")):
        bank.put(name, country=country)
    assert bank.settle() == 4
    bank.override("b", 1)
    bank.settle()
    bank.mark("a")
    figures = PlatformFigures(engine, lambda: bank.now + 9)
    first, second = figures.read()
    assert (first.number, second.number) == (bank.of, empty.of)
    assert first.levels == {("customer", "low"): 2, ("customer", "medium"): 1, ("customer", "high"): 1}
    assert (first.with_level, first.overrides, first.downward) == (4, 1, 1)
    assert (first.due, first.oldest_us, first.quarantined) == (1, bank.now, 0)
    assert (second.levels, second.due, second.oldest_us, second.validation) == ({}, 0, None, None)
    assert second.triggers(bank.now)["review"] is False
    assert second.triggers(bank.now + 92 * DAY_US)["review"] is True
    assert second.triggers(bank.now)["gini"] is None


def test_a_level_called_none_is_counted_apart_from_no_level(engine: Engine) -> None:
    ana, *_ = founded(engine)
    choose_levels(Context(engine, ana), ["none", "some", "all"])
    first, *others = add_entities(engine, ana, ["a", "b", "c"])
    stand(engine, first, 1)
    for other in others:
        stand(engine, other, None)
    (found,) = PlatformFigures(engine).read()
    assert found.levels == {("customer", "none"): 1, ("customer", ""): 2}


def test_what_was_counted_before_levels_were_chosen(engine: Engine) -> None:
    """Facts may come before levels do."""
    from fivefold.store.accounts import tokens as accounts
    from fivefold.store.levels import assessment_queue as due
    from fivefold.store.levels.assessment_queue import Reason, Subject
    from fivefold.store.sql.database import writing
    from fivefold.store.tables.entities import Entity, EntityType

    with writing(engine) as session:
        made = accounts.organisation_named(session, "new", NOW)
        session.flush()
        kind = EntityType(
            organisation_id=made.id, name="customer", fields={}, transaction_fields={}, case_fields={},
            created_us=NOW,
        )  # fmt: skip
        session.add(kind)
        session.flush()
        entity = Entity(organisation_id=made.id, type_id=kind.id, external_id="a", created_us=NOW)
        session.add(entity)
        session.flush()
        due.mark(session, [Subject(entity.id, made.id, kind.id)], Reason.NEW, NOW)
    (found,) = PlatformFigures(engine, lambda: NOW).read()
    assert (found.due, found.levels) == (1, {})


def test_what_the_last_validation_found(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "LEAST_CONFIRMED", 3)
    bank = planted(engine)
    fill(bank, 4, 200)
    figures = PlatformFigures(engine, lambda: NOW)
    assert figures.read()[0].validation is None
    validate_levels(Context(engine, bank.actor).at(NOW), day(0), day(60), resamples=20)
    made = validate_levels(Context(engine, bank.actor).at(NOW + 1), day(0), day(90), resamples=20)
    validate_levels(Context(engine, bank.actor).at(NOW + 2), day(-50), day(0), resamples=20)
    found = figures.read()[0]
    assert found.validation is not None
    assert (found.validation.number, found.validation.made_us) == (made.id, NOW + 1)
    overall = made.report["groups"][0]
    assert found.validation.gini == overall["ranked"]["gini"]["estimate"] is not None
    assert found.validation.missed == overall["caught"]["missed"]["estimate"]
    assert list(found.validation.conversion) == ["low", "medium", "high"]
    low = overall["levels"][0]
    assert found.validation.conversion["low"] == low["conversion"]["estimate"] is not None
    assert found.validation.false_positives["low"] == low["false_positives"]["estimate"]
    assert figures.read()[0].validation is found.validation, "a report is read once"
    register_change(Context(engine, bank.actor).at(NOW), "product", "Loans.")
    triggers = figures.read()[0].triggers(NOW + 2)
    assert (triggers["material change"], triggers["drift"]) == (True, None)
    later_us = to_microseconds(date(2027, 1, 1))
    assert figures.read()[0].triggers(later_us)["review"] is True
    with Session(engine) as session, session.begin():
        session.execute(
            update(ValidationRun).where(ValidationRun.id == made.id).values(signed_us=NOW, until_us=later_us)
        )
    assert figures.read()[0].triggers(later_us)["review"] is False


def test_a_validation_whose_number_came_again_after_a_restore_is_read(engine: Engine, tmp_path: Path) -> None:
    """A service goes on over a failover to a standby that lacked the last commits, and numbers come again."""
    bank = planted(engine)
    fill(bank, 4, 20)
    database, copy = Path(str(engine.url.database)), tmp_path / "copy.db"
    with Session(engine) as session:
        session.execute(text("VACUUM INTO :to"), {"to": str(copy)})
    figures = PlatformFigures(engine, lambda: NOW)
    lost = validate_levels(Context(engine, bank.actor).at(NOW), day(0), day(60), resamples=20)
    assert figures.read()[0].validation == last_validation(lost.id, NOW, lost.report)
    engine.dispose()
    for each in (database.with_name(f"{database.name}-wal"), database.with_name(f"{database.name}-shm")):
        each.unlink(missing_ok=True)
    copy.replace(database)
    made = validate_levels(Context(engine, bank.actor).at(NOW + 1), day(0), day(90), resamples=20)
    assert made.id == lost.id
    found = figures.read()[0].validation
    assert found is not None
    assert found.made_us == NOW + 1


def test_a_database_out_of_reach_is_told() -> None:
    engine = open_database("postgresql://nobody@127.0.0.1:9/none?connect_timeout=1")
    with pytest.raises(StoreError):
        PlatformFigures(engine).read()
