"""A repair of dates beside workers and callers: what they store meanwhile is right, and stays."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import SECOND_US, now_microseconds
from fivefold.store.sql import clocks
from fivefold.store.tables.entities import Attributes
from fivefold.usecases.levels import clock_repair
from fivefold.usecases.levels.clock_repair import read_clocks, repair_dates
from tests.usecases import banks
from tests.usecases.banks import Bank

PART_SECONDS = 120
"""How long a part takes: longer than clocks may differ."""
HOUR_US = 3_600 * SECOND_US
AHEAD = "abc"


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank whose clock was an hour ahead as it assessed three customers of six; the database goes by its clock."""
    made = Bank(engine)
    made.now = now_microseconds()
    made.activate(banks.document({"country": banks.COUNTRY}))
    for name in "abcxyz":
        made.put(name, country="NO")
    made.settle()
    made.now += HOUR_US
    for name in AHEAD:
        made.mark(name)
    made.settle()
    made.now -= HOUR_US
    monkeypatch.setattr(clocks, "database_now_us", lambda _session: made.now)
    monkeypatch.setattr(clock_repair, "database_now_us", lambda _session: made.now)
    return made


def let_happen_after_parts(monkeypatch: pytest.MonkeyPatch, happen: Callable[[int], None]) -> list[int]:
    """Mend one entity in a part, and let something happen after each; the numbers of the parts, as they end."""
    monkeypatch.setattr(clock_repair, "PART", 1)
    real, parts = clock_repair._mend_part, list[int]()

    def mend_part(*given: Any) -> int | None:
        reached = real(*given)
        parts.append(len(parts) + 1)
        assert len(parts) < 20, "the repair does not end"
        happen(parts[-1])
        return reached

    monkeypatch.setattr(clock_repair, "_mend_part", mend_part)
    return parts


def known_us(bank: Bank, name: str) -> list[int]:
    with Session(bank.engine) as session:
        of = select(Attributes.known_us).where(Attributes.entity_id == bank.id_of(name))
        return list(session.scalars(of.order_by(Attributes.number)))


def test_what_is_stored_while_a_repair_goes_on_stays_as_it_is(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: dict[str, int] = {}

    def work(part: int) -> None:
        bank.wait(microseconds=PART_SECONDS * SECOND_US)
        name = "xyz"[part % 3]
        bank.put(name, country="IR")
        stored.setdefault(name, bank.now)
        bank.settle()

    parts = let_happen_after_parts(monkeypatch, work)
    repair_dates(bank.engine, "cli:op", "NTP was off")
    assert len(parts) == len(AHEAD) + 1, "each is mended once, and the last part finds nothing"
    for name, moment in stored.items():
        assert known_us(bank, name)[-1] == moment, name
        standing = bank.standing(name)
        assert (standing.level, standing.status) == (3, "assessed"), name
        assert standing.entered_us == moment, name
    for name in AHEAD:
        assert bank.standing(name).status == "assessed", name
    assert read_clocks(bank.engine).ahead == []
    assert bank.settle() == 0, "nobody is due again"


def test_a_repair_that_broke_off_and_is_begun_again_ends_and_mends_the_rest(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(part: int) -> None:
        bank.wait(microseconds=PART_SECONDS * SECOND_US)
        bank.put("x", country="IR")
        bank.settle()
        if part == 2:
            raise KeyboardInterrupt

    parts = let_happen_after_parts(monkeypatch, work)
    with pytest.raises(KeyboardInterrupt):
        repair_dates(bank.engine, "cli:op", "NTP was off")
    assessments = {name: len(bank.assessments(name)) for name in "abx"}
    repair_dates(bank.engine, "cli:op", "again")
    bank.settle()
    assert len(parts) == len(AHEAD) + 1
    assert {name: bank.standing(name).status for name in "abcx"} == dict.fromkeys("abcx", "assessed")
    assert {name: len(bank.assessments(name)) for name in "abx"} == assessments
    assert bank.standing("x").level == 3
    assert read_clocks(bank.engine).ahead == []
