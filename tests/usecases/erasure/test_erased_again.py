"""What is erased again after a restore: every line of the register, whatever becomes of the others."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, FivefoldError, StoreError
from fivefold.store.erasure import erase as erasing
from fivefold.store.tables.entities import Entity
from fivefold.usecases.erasure import again
from fivefold.usecases.erasure.again import RepeatedErasures, erase_again
from fivefold.usecases.erasure.erase import erase_entity
from tests.store import databases
from tests.store.audits import forged
from tests.store.filling import filled_once
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import WORD, backup, chain_holds, everything, peopled, rename, restore


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return peopled(engine)


def test_after_a_restore_it_is_erased_again(bank: Bank, kind: str, tmp_path: Path) -> None:
    register = tmp_path / "erasures.jsonl"
    kept = backup(bank, kind, tmp_path)
    erase_entity(bank.context, "customer", f"{WORD}-1", register)
    with databases.opened(restore(bank, kind, kept, tmp_path)) as restored:
        assert WORD in str(everything(restored))
        assert erase_again(restored, "cli:ana", register, now_us=bank.now) == RepeatedErasures(2, 0)
        assert WORD not in str(everything(restored))
        assert erase_again(restored, "cli:ana", register, now_us=bank.now) == RepeatedErasures(0, 0)
        chain_holds(restored)


@pytest.mark.postgresql
def test_a_line_that_fails_does_not_hold_up_those_behind_it(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = tmp_path / "erasures.jsonl"
    numbers = {}
    for name in ("taken", "broken", "fine"):
        bank.put(name)
        numbers[name] = bank.id_of(name)
    bank.wait(3650)
    for name, number in numbers.items():
        with Session(bank.engine) as session:
            before = {"external_id": name, "erased_us": None, "salt": session.get_one(Entity, number).salt}
        erase_entity(bank.context, "customer", name, register)
        with forged(bank.engine) as connection:
            connection.execute(update(Entity).where(Entity.id == number).values(before))
    rename(bank, "bystander", f"erased-{numbers['taken']}")
    real = erasing.erase

    def fails(session: Session, entities: Sequence[Entity], now_us: int) -> int:
        if entities[0].id == numbers["broken"]:
            session.execute(update(Entity).values(hold_reason="half done"))
            session.execute(text("SELECT 'a secret' FROM nowhere"))
        return real(session, entities, now_us)

    monkeypatch.setattr(erasing, "erase", fails)

    def lost(_: Engine) -> None:
        raise StoreError("the database cannot be reached")

    monkeypatch.setattr(again, "overwrite", lost)
    with pytest.raises(FivefoldError) as told:
        erase_again(bank.engine, "cli:ana", register, now_us=bank.now)
    first, *lines, after = str(told.value).splitlines()
    assert (
        after == "after the lines, so that not all that was erased is overwritten yet: the database cannot be reached"
    )
    assert str(register) in first
    assert "1 of the entities of the other lines were there again" in first
    assert [line.partition(": ")[0] for line in lines] == [
        f"line 1, bank, entities {numbers['taken']}",
        f"line 2, bank, entities {numbers['broken']}",
    ]
    assert f"there is an entity 'erased-{numbers['taken']}' already" in lines[0]
    assert "secret" not in str(told.value)
    assert "half done" not in str(everything(bank.engine)), "what failed did nothing"
    monkeypatch.undo()
    rename(bank, f"erased-{numbers['taken']}", "bystander")
    assert erase_again(bank.engine, "cli:ana", register, now_us=bank.now) == RepeatedErasures(2, 0)
    chain_holds(bank.engine)


def test_a_number_that_is_somebody_elses_after_a_restore_is_left_alone(bank: Bank, tmp_path: Path) -> None:
    register = tmp_path / "erasures.jsonl"
    erase_entity(bank.context, "customer", f"{WORD}-1", register)
    with forged(bank.engine) as connection:
        connection.execute(update(Entity).values(created_us=Entity.created_us + 1, erased_us=None))
    repeated = erase_again(bank.engine, "cli:ana", register, now_us=bank.now)
    assert repeated == RepeatedErasures(0, 0, (), ("line 1, bank, entities 1, 2",))


@pytest.mark.parametrize("line", ["{", "[]", '{"organisation": "bank", "entities": [1]}', '{"entities": []}'])
def test_a_register_that_cannot_be_read_erases_nobody(bank: Bank, tmp_path: Path, line: str) -> None:
    register = tmp_path / "erasures.jsonl"
    erase_entity(bank.context, "customer", f"{WORD}-1", register)
    register.write_text(register.read_text() + line + "\n")
    with pytest.raises(ConfigError, match="line 2, is not a line of a register"):
        erase_again(bank.engine, "cli:ana", register)
