"""The register of erasures and legal holds: what is written to it, though a disk is full or the power fails."""

import errno
import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import (
    ConfigError,
    ConflictError,
    FivefoldError,
    LockedError,
    StoreError,
    UnknownOutcomeError,
)
from fivefold.store.tables.entities import Entity
from fivefold.usecases.erasure import register as registers
from fivefold.usecases.erasure.again import RepeatedErasures, erase_again
from fivefold.usecases.erasure.erase import HoldChange, erase_entity, numbered, preview_erasure, set_legal_hold
from fivefold.usecases.erasure.register import (
    CutLine,
    Numbered,
    add_erasure,
    add_hold,
    line_of_transaction,
    read_register,
)
from tests.usecases.banks import Bank

CUT = b'{"organisation": "bank", "ent'


@pytest.fixture
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.put("old")
    made.put("held")
    made.wait(3650)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "erasures.jsonl"


def named(bank: Bank, name: str) -> Numbered:
    """Name an entity as the register does."""
    with Session(bank.engine) as session:
        return numbered(session.get_one(Entity, bank.id_of(name)))


def test_a_line_that_was_cut_off_swallows_no_line_after_it(bank: Bank, path: Path) -> None:
    add_erasure(path, "bank", [Numbered(17, 1)], 2)
    path.write_bytes(path.read_bytes() + CUT)
    set_legal_hold(bank.context, "customer", "held", bank.now + DAY_US, "Court order 7.", path)
    erasure, hold = read_register(path)
    assert (erasure.number, hold.number) == (1, 2)
    assert CUT + b"{" not in path.read_bytes()


def test_a_whole_line_without_its_end_stays(path: Path) -> None:
    for number in (17, 18):
        add_erasure(path, "bank", [Numbered(number, 1)], 2)
        path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert [line.number for line in read_register(path)] == [1, 2]


def test_what_stands_before_a_line_that_is_cut_off_is_done_and_that_line_is_named(bank: Bank, path: Path) -> None:
    add_erasure(path, "bank", [named(bank, "old")], bank.now)
    path.write_bytes(path.read_bytes() + CUT)
    assert read_register(path)[1:] == [CutLine(2)]
    with pytest.raises(FivefoldError, match="1 of the entities of the other lines") as told:
        erase_again(bank.engine, "cli:ana", path, now_us=bank.now)
    first, *lines = str(told.value).splitlines()
    assert "could not be repeated; 1 of the entities" in first
    assert lines == ["line 2 is cut off: what it says is not known"]
    add_erasure(path, "bank", [Numbered(17, 1)], 2)
    lost = ("line 2, bank, entities 17",)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(0, 0, (), lost)


def test_where_the_disk_is_full_nothing_holds_and_no_half_line_stays(
    bank: Bank, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_erasure(path, "bank", [Numbered(17, 1)], 2)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(registers.os, "fsync", full)
    with pytest.raises(StoreError, match=r"erasures.jsonl cannot be written: No space left on device"):
        set_legal_hold(bank.context, "customer", "held", bank.now + DAY_US, "Court order 7.", path)
    with pytest.raises(StoreError, match="cannot be written"):
        erase_entity(bank.context, "customer", "old", path)
    assert path.read_bytes() == before
    monkeypatch.undo()
    assert erase_entity(bank.context, "customer", "old", path).entity_ids == (bank.id_of(f"erased-{1}"),)
    assert erase_entity(bank.context, "customer", "held", path).entity_ids, "the hold was not put"


def test_an_erasure_that_stands_still_holds_up_others_only_for_a_while(
    bank: Bank, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers, "BUSY_SECONDS", 0.01)
    until_us = bank.now + DAY_US
    with line_of_transaction(path) as line:  # of a command that was suspended at this moment
        line.add_hold("bank", named(bank, "held"), until_us, bank.now)
        with pytest.raises(LockedError, match=r"another program .* let it go on, or end it; nothing was erased$"):
            erase_entity(bank.context, "customer", "old", path)
        with pytest.raises(LockedError, match=r"another program"):
            set_legal_hold(bank.context, "customer", "old", until_us, "Court order 7.", path)
    assert len(read_register(path)) == 1
    assert erase_entity(bank.context, "customer", "old", path).entity_ids == (bank.id_of("erased-1"),)


def test_bytes_that_are_no_text_are_named_by_their_line(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(ConfigError, match="line 1, is not a line of a register"):
        read_register(path)


def ending(bank: Bank, monkeypatch: pytest.MonkeyPatch, *, is_known: bool) -> None:
    """Let the next commit fail: the database is full, or goes away."""
    error: Exception = psycopg.errors.DiskFull("full") if is_known else psycopg.OperationalError("gone")
    if bank.engine.dialect.name == "sqlite":
        error = sqlite3.OperationalError("full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL if is_known else sqlite3.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]  # of the line above

    def commit(connection: Any) -> None:
        monkeypatch.undo()
        connection.rollback()
        raise error

    monkeypatch.setattr(bank.engine.dialect, "do_commit", commit)


def test_what_the_database_refused_is_not_carried_out_later(
    bank: Bank, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_erasure(path, "bank", [Numbered(17, 1)], 2)
    before = path.read_bytes()
    ending(bank, monkeypatch, is_known=True)
    with pytest.raises(StoreError, match=r"the disk of the database.* is full.*; nothing was erased$"):
        erase_entity(bank.context, "customer", "old", path)
    ending(bank, monkeypatch, is_known=True)
    with pytest.raises(StoreError, match="is full"):
        set_legal_hold(bank.context, "customer", "held", bank.now + DAY_US, "Court order 7.", path)
    assert path.read_bytes() == before
    lost = ("line 1, bank, entities 17",)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(0, 0, (), lost)


def test_what_may_be_done_stays_in_the_register_and_the_error_names_it(
    bank: Bank, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending(bank, monkeypatch, is_known=False)
    with pytest.raises(UnknownOutcomeError, match=r"may have been done.*erasures\.jsonl has it, so `fivefold erase-ag"):
        erase_entity(bank.context, "customer", "old", path)
    ending(bank, monkeypatch, is_known=False)
    with pytest.raises(UnknownOutcomeError, match=r"erasures\.jsonl has it"):
        set_legal_hold(bank.context, "customer", "held", bank.now + DAY_US, "Court order 7.", path)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(1, 1)


def test_a_hold_that_was_never_put_is_not_released(bank: Bank, path: Path) -> None:
    of = (bank.context, "customer", "held")
    assert set_legal_hold(*of, bank.now, "Over.", path) is HoldChange.NONE
    assert not path.exists()
    assert set_legal_hold(*of, bank.now + DAY_US, "Court order 7.", path) is HoldChange.PUT
    assert set_legal_hold(*of, bank.now, "Over.", path) is HoldChange.RELEASED
    assert len(read_register(path)) == 2


def test_a_hold_that_the_register_alone_has_is_released(bank: Bank, path: Path) -> None:
    """A database that was restored lacks it."""
    add_hold(path, "bank", named(bank, "held"), bank.now + DAY_US, bank.now)
    assert set_legal_hold(bank.context, "customer", "held", bank.now, "Over.", path) is HoldChange.RELEASED
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(0, 0)


def test_what_the_register_alone_holds_is_not_erased_until_that_hold_is_put_again_or_released(
    bank: Bank, path: Path
) -> None:
    """The command was killed between the register and the database, or a standby that lagged took over."""
    of = (bank.context, "customer", "held", path)
    add_hold(path, "bank", named(bank, "held"), bank.now + DAY_US, bank.now)
    refusal = r"line 1 of .*erasures\.jsonl is a legal hold on it until .*, which the database lacks"
    with pytest.raises(ConflictError, match=rf"{refusal}: .*; nothing was erased"):
        erase_entity(*of)
    assert len(read_register(path)) == 1
    (obstacle,) = preview_erasure(*of).obstacles
    assert re.match(refusal, obstacle)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(0, 1)
    (obstacle,) = preview_erasure(*of).obstacles
    assert obstacle.startswith("a legal hold is on it until")
    bank.wait(days=2)
    assert preview_erasure(*of).obstacles == ()
    set_legal_hold(bank.context, "customer", "old", bank.now + DAY_US, "Court order 7.", path)
    set_legal_hold(bank.context, "customer", "old", bank.now, "Over.", path)
    for name in ("held", "old"):
        erase_entity(bank.context, "customer", name, path)


def test_of_two_erasures_of_one_entity_the_later_counts(bank: Bank, path: Path) -> None:
    """A fact came between them: what the earlier erased has changed since, what the later erased has not."""
    added_us = bank.now - 3650 * DAY_US
    old, held = (named(bank, name) for name in ("old", "held"))
    add_erasure(path, "bank", [old, held], added_us + DAY_US)
    bank.wait(-3000)
    bank.put("old", country="NO")
    bank.wait(3000)
    add_erasure(path, "bank", [old], bank.now)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(2, 0)


def test_another_entity_with_the_number_and_the_moment_is_left_alone(bank: Bank, path: Path) -> None:
    """After a restore a file that is imported again, with `--as-of`, gives both to another one."""
    old, held = (named(bank, name)._replace(salt_digest="0" * 64) for name in ("old", "held"))
    add_erasure(path, "bank", [old], bank.now)
    add_hold(path, "bank", held, bank.now + DAY_US, bank.now)
    repeated = erase_again(bank.engine, "cli:ana", path, now_us=bank.now)
    assert (repeated.erased, repeated.holds) == (0, 0)
    assert repeated.lost_erasures == (f"line 1, bank, entities {old.number}",)
    assert repeated.lost_holds[0].startswith(f"line 2, bank, hold on entity {held.number} of ")
    assert bank.id_of("old") == old.number
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now + DAY_US).lost_holds == (), "it is over"


def test_a_hold_in_place_of_a_lost_one_settles_its_line_and_one_that_ends_earlier_does_not(
    bank: Bank, path: Path
) -> None:
    until, lost = bank.now + 2 * DAY_US, named(bank, "held")._replace(salt_digest="0" * 64)
    add_hold(path, "bank", lost, until, bank.now)
    of = (bank.context, "customer", "held")
    with pytest.raises(ConfigError, match=r"line 2 of .* has no legal hold of bank that is in force; nothing was ch"):
        set_legal_hold(*of, until, "Court order 7.", path, for_line=2)
    for too_early in (bank.now + 1, until - 1):
        with pytest.raises(ConfigError, match=r"line 1 of .* lasts until .* must last as long; nothing was changed"):
            set_legal_hold(*of, too_early, "Court order 7.", path, for_line=1)
    assert set_legal_hold(*of, until, "Court order 7.", path) is HoldChange.PUT
    assert len(erase_again(bank.engine, "cli:ana", path, now_us=bank.now).lost_holds) == 1
    assert set_legal_hold(*of, until, "Court order 7.", path, for_line=1) is HoldChange.PUT
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(0, 0)
    add_hold(path, "bank", lost, until, bank.now)
    assert len(erase_again(bank.engine, "cli:ana", path, now_us=bank.now).lost_holds) == 1, "it is a later one"


def test_a_lost_hold_of_another_organisation_is_not_replaced(bank: Bank, path: Path) -> None:
    until = bank.now + DAY_US
    add_hold(path, "other", named(bank, "held")._replace(salt_digest="0" * 64), until, bank.now)
    with pytest.raises(ConfigError, match=r"line 1 of .* has no legal hold of bank that is in force; nothing was ch"):
        set_legal_hold(bank.context, "customer", "held", until, "Court order 7.", path, for_line=1)


def test_a_replaced_hold_is_put_on_its_entity_if_a_later_backup_has_that(bank: Bank, path: Path) -> None:
    old, held = (named(bank, name) for name in ("old", "held"))
    add_hold(path, "bank", old, bank.now + DAY_US, bank.now)
    with line_of_transaction(path) as line:
        line.add_hold("bank", held, bank.now + DAY_US, bank.now, in_place_of=old)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(0, 2)


def test_a_lost_hold_is_listed_again_once_the_one_in_its_place_ends_sooner(bank: Bank, path: Path) -> None:
    """It was put on another customer by mistake, and released there: nobody was on hold, and no line said so."""
    until, lost = bank.now + 2 * DAY_US, named(bank, "held")._replace(salt_digest="0" * 64)
    add_hold(path, "bank", lost, until, bank.now)
    for name in ("old", "held"):
        set_legal_hold(bank.context, "customer", name, until, "Court order 7.", path, for_line=1)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now).lost_holds == ()
    set_legal_hold(bank.context, "customer", "old", bank.now, "Not this one.", path)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now).lost_holds == (), "the other is on hold"
    for sooner in (until - 1, bank.now):
        set_legal_hold(bank.context, "customer", "held", sooner, "Court order 8.", path)
        (listed,) = erase_again(bank.engine, "cli:ana", path, now_us=bank.now).lost_holds
        assert listed.startswith("line 1, bank, hold on entity ")
    set_legal_hold(bank.context, "customer", "held", bank.now, "The matter is over.", path, for_line=1)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now).lost_holds == ()


def test_a_hold_that_is_not_lost_is_not_replaced(bank: Bank, path: Path) -> None:
    until = bank.now + DAY_US
    for name in ("old", "held"):
        set_legal_hold(bank.context, "customer", name, until, "Court order 7.", path)
    before = path.read_bytes()
    for line, name in ((1, "old"), (2, "held")):
        refusal = rf"^line {line} of .* is about customer '{name}', which is in the database, so its hold is not lost;"
        with pytest.raises(ConfigError, match=refusal):
            set_legal_hold(bank.context, "customer", "held", until, "Court order 8.", path, for_line=line)
    assert path.read_bytes() == before


def test_a_line_of_an_earlier_version_erases_and_holds_nobody_but_names_them(bank: Bank, path: Path) -> None:
    old, held = (named(bank, name) for name in ("old", "held"))
    add_erasure(path, "bank", [old._replace(salt_digest=None)], bank.now)
    add_hold(path, "bank", held._replace(salt_digest=None), bank.now + DAY_US, bank.now)
    path.write_text(path.read_text().replace(", null]", "]"))
    with pytest.raises(FivefoldError, match=r"0 of the entities.*0 legal holds were put again") as told:
        erase_again(bank.engine, "cli:ana", path, now_us=bank.now)
    first, hold, erasure = str(told.value).splitlines()
    assert "could not be repeated: the data of 1 line are still there, and 1 legal hold is not in force; 0 of" in first
    assert f"entity {held.number} is customer 'held' now" in hold
    assert f"entity {old.number} is customer 'old' now" in erasure
    erase_entity(bank.context, "customer", "old", path)
    with pytest.raises(FivefoldError, match="not be repeated: 1 legal hold is not in force; 0 of"):
        erase_again(bank.engine, "cli:ana", path, now_us=bank.now)
    set_legal_hold(bank.context, "customer", "held", bank.now + 2 * DAY_US, "Court order 7.", path)
    assert erase_again(bank.engine, "cli:ana", path, now_us=bank.now) == RepeatedErasures(0, 0)
