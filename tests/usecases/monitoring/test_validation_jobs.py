"""Validations in the background: one of a time at once, made once whoever dies, and in the audit log once."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from polars.exceptions import PanicException
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.sql.clocks import LONGEST_LEASE_US
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.events import ValidationRun
from fivefold.store.tables.levels import Standing
from fivefold.usecases.monitoring import validate as validations
from fivefold.usecases.monitoring.validate import (
    VALIDATION,
    list_open_validations,
    read_validation,
    read_validation_job,
    request_validation,
)
from fivefold.usecases.shared import jobs
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import LEASE_US, MOST_ATTEMPTS, run_next_job
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.planted import Planted, day, fill, planted

NOW = platforms.NOW
FROM, UNTIL = day(0), day(90)


class DiedError(BaseException):
    """The worker is gone: it does nothing more, not even say why."""


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Planted:
    made = planted(engine)
    fill(made, 1, 20)
    return made


def asked(bank: Planted) -> int:
    return request_validation(bank.context.at(NOW), FROM, UNTIL, "third quarter")[0].id


def counts(engine: Engine) -> tuple[int, int]:
    """Validations, and entries of the audit log that say so."""
    with Session(engine) as session:
        runs = session.scalar(select(func.count()).select_from(ValidationRun))
        made = select(func.count()).select_from(AuditEntry).where(AuditEntry.action == "levels.validated")
        return runs or 0, session.scalar(made) or 0


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, how: BaseException) -> Iterator[None]:
    """Whoever makes a validation ends so, after the first part."""

    def measured(*_: Any, progress: Any, **__: Any) -> None:
        progress(1, 2, "customers whose levels are read")
        raise how

    with monkeypatch.context() as patch:
        patch.setattr(validations, "measured_levels", measured)
        yield


def test_a_worker_makes_it_and_says_how_far_it_is(
    engine: Engine, bank: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = asked(bank)
    told = []
    real = jobs.update_leased_job

    def watching(session: Session, *which: Any, **values: Any) -> bool:
        if "part" in values:
            told.append((values["done"], values["total"], values["part"].partition(" ")[0]))
        return real(session, *which, **values)

    monkeypatch.setattr(jobs, "update_leased_job", watching)
    assert run_next_job(engine, VALIDATION, NOW)
    with Session(engine) as session:
        there = session.scalar(select(func.count()).select_from(Standing)) or 0
    assert told[:2] == [(0, there, "customers"), (there, there, "customers")]
    assert told[2:] == [(done, 3, "groups") for done in range(3)]
    line = read_validation_job(bank.context, number)
    assert line.validation is not None
    assert (line.state, line.error, line.attempts) == ("done", None, 1)
    made = read_validation(bank.context, line.validation)
    assert (made.reason, made.from_us, made.until_us, made.made_us) == ("third quarter", FROM, UNTIL, NOW)
    assert counts(engine) == (1, 1)
    assert not run_next_job(engine, VALIDATION, NOW)
    with Session(engine) as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "levels.validated")).one()
    assert entry.actor == bank.context.actor.name, "by who asked for it"


def test_of_one_time_there_is_one_at_once(engine: Engine, bank: Planted) -> None:
    first, is_new = request_validation(bank.context.at(NOW), FROM, UNTIL, "mine")
    again, is_new_again = request_validation(bank.context.at(NOW), FROM, UNTIL, "mine too")
    other, _ = request_validation(bank.context.at(NOW), FROM, UNTIL - 1, "another time")
    assert (is_new, is_new_again, again) == (True, False, first)
    assert [line.id for line in list_open_validations(bank.context)] == [first.id, other.id]
    assert run_next_job(engine, VALIDATION, NOW)
    assert request_validation(bank.context.at(NOW), FROM, UNTIL, "after it")[1]


def test_one_whose_worker_died_is_made_again_and_kept_once(
    engine: Engine, bank: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = asked(bank)
    with dying(monkeypatch, DiedError()), pytest.raises(DiedError):
        run_next_job(engine, VALIDATION, NOW)
    assert (read_validation_job(bank.context, number).state, counts(engine)) == ("running", (0, 0))
    assert not run_next_job(engine, VALIDATION, NOW), "its lease holds"
    assert run_next_job(engine, VALIDATION, NOW + 2 * LEASE_US)
    line = read_validation_job(bank.context, number)
    assert (line.state, line.attempts, counts(engine)) == ("done", 2, (1, 1))


def test_one_whose_worker_died_with_a_clock_that_was_ahead_is_made_by_another_at_once(
    engine: Engine, bank: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(bank)
    with dying(monkeypatch, DiedError()), pytest.raises(DiedError):
        run_next_job(engine, VALIDATION, NOW + 4 * LONGEST_LEASE_US)
    assert run_next_job(engine, VALIDATION, NOW)


def test_what_another_worker_took_over_is_kept_by_that_one_alone(
    engine: Engine, bank: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(bank)
    real = validations.measured_levels

    def slow(*which: Any, **values: Any) -> Any:
        found = real(*which, **values)
        with monkeypatch.context() as patch:
            patch.setattr(validations, "measured_levels", real)
            assert run_next_job(engine, VALIDATION, NOW + 2 * LEASE_US), "another worker, before this one has ended"
        return found

    with monkeypatch.context() as patch:
        patch.setattr(validations, "measured_levels", slow)
        assert run_next_job(engine, VALIDATION, NOW)
    assert counts(engine) == (1, 1)


def test_one_that_ends_its_workers_is_taken_by_no_more(
    engine: Engine, bank: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = asked(bank)
    with dying(monkeypatch, DiedError()):
        for attempt in range(MOST_ATTEMPTS):
            with pytest.raises(DiedError):
                run_next_job(engine, VALIDATION, NOW + 2 * attempt * LEASE_US)
        assert run_next_job(engine, VALIDATION, NOW + 2 * MOST_ATTEMPTS * LEASE_US)
        assert not run_next_job(engine, VALIDATION, NOW + 9 * MOST_ATTEMPTS * LEASE_US)
    line = read_validation_job(bank.context, number)
    assert line.state == "quarantined"
    assert "its worker ended, stood still, or lost the database, at least 3 times" in (line.error or "")
    assert request_validation(bank.context.at(NOW), FROM, UNTIL, "again")[1]


def test_why_it_failed_stays_and_no_message_of_a_fault_is_shown(
    engine: Engine, bank: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, said in (
        (ConflictError("the levels are not chosen"), "the levels are not chosen"),
        (ValueError("a secret"), "it broke off: ValueError"),
        (PanicException("a secret"), "it broke off: PanicException"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a secret"),
            "a disk of the worker's machine failed: No space left on device; request it again once that is mended",
        ),
    ):
        number = asked(bank)
        with dying(monkeypatch, error):
            assert run_next_job(engine, VALIDATION, NOW)
        line = read_validation_job(bank.context, number)
        assert (line.state, line.error, line.finished_us is None) == ("failed", said, False)
    assert counts(engine) == (0, 0)


def test_a_worker_that_is_to_end_gives_it_back(engine: Engine, bank: Planted) -> None:
    number = asked(bank)
    assert run_next_job(engine, VALIDATION, NOW, stopping=lambda: True)
    line = read_validation_job(bank.context, number)
    assert (line.state, line.attempts) == ("queued", 0)
    assert run_next_job(engine, VALIDATION, NOW)
    assert read_validation_job(bank.context, number).state == "done"


def test_what_cannot_be_validated_is_not_asked_for(engine: Engine, bank: Planted) -> None:
    for from_us, until_us, reason in ((UNTIL, FROM, "x"), (FROM, NOW + 1, "x"), (FROM, UNTIL, " ")):
        with pytest.raises(ConfigError):
            request_validation(bank.context.at(NOW), from_us, until_us, reason)
    assert list_open_validations(bank.context) == []
    other = Context(engine, Actor(platforms.organisation(engine, "other"), "member:1"))
    number = asked(bank)
    with pytest.raises(NotFoundError, match=f"there is no requested validation {number}"):
        read_validation_job(other, number)
