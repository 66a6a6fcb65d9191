"""Evidence in the background: of a quarter one at once, collected once whoever dies, and taken while it is kept."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.events import EvidenceJob
from fivefold.usecases.audit import history, verify
from fivefold.usecases.erasure.erase import erase_entity, forget_late_answers
from fivefold.usecases.evidence import build, jobs
from fivefold.usecases.evidence.archive import check_archive
from fivefold.usecases.evidence.build import build_evidence
from fivefold.usecases.evidence.jobs import (
    KEPT_DAYS,
    evidence_jobs,
    list_evidence,
    prune_archives,
    read_evidence_job,
    request_evidence,
    take_evidence,
)
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import read_quarter
from fivefold.usecases.shared.jobs import LEASE_US, run_next_job
from tests.store.audits import bind_unnamed
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import WORD, peopled

QUARTER = read_quarter("2025Q4")


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """Customers with transactions and levels, all in the audit log."""
    made = peopled(engine)
    made.settle()
    bind_unnamed(engine)
    return made


def asked(bank: Bank) -> int:
    return request_evidence(bank.context, QUARTER)[0].id


def exports(engine: Engine) -> list[AuditEntry]:
    with Session(engine) as session:
        return list(session.scalars(select(AuditEntry).where(AuditEntry.action == "evidence.exported")))


def test_what_was_done_of_an_unknown_total_stays_at_the_end(
    engine: Engine, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = asked(bank)

    def build(*given: Any) -> Any:
        built = build_evidence(*given)
        given[-1](5, "what nobody counted before")
        return built

    monkeypatch.setattr(jobs, "build_evidence", build)
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    line = read_evidence_job(bank.context, number)
    assert (line.state, line.done) == ("done", 5)


def test_a_worker_collects_what_the_command_writes_and_who_takes_it_is_recorded(
    engine: Engine, bank: Bank, tmp_path: Path
) -> None:
    number = asked(bank)
    with pytest.raises(ConflictError, match=f"there is no archive {number} of 2025Q4 to be taken away: it is queued"):
        take_evidence(bank.context, number)
    build_evidence(bank.context, QUARTER, tmp_path / "command.zip", None)
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    assert not run_next_job(engine, evidence_jobs(None), bank.now)
    line = read_evidence_job(bank.context, number)
    assert (line.state, line.error, line.attempts, line.is_kept, line.findings) == ("done", None, 1, True, 0)
    assert exports(engine) == [], "nobody has it yet"
    taken = take_evidence(bank.context, number)
    assert (taken.quarter, taken.content) == ("2025Q4", (tmp_path / "command.zip").read_bytes())
    (entry,) = exports(engine)
    checked = check_archive(tmp_path / "command.zip")
    assert (checked.problems, line.manifest_sha256) == ((), checked.manifest_sha256)
    assert f'"manifest_sha256":"{checked.manifest_sha256}"' in entry.details
    assert entry.actor == bank.context.actor.name
    take_evidence(bank.context, number)
    assert len(exports(engine)) == 2, "each time"


def test_it_says_how_far_it_is(engine: Engine, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(bank)
    monkeypatch.setattr(verify, "ENTRIES_AT_ONCE", 1)
    monkeypatch.setattr(history, "BATCHES_AT_ONCE", 1)
    seen: list[tuple[int, int, str]] = []
    for told in ("progress", "hold"):
        monkeypatch.setattr(f"fivefold.usecases.shared.jobs.Lease.{told}", lambda _, *part: seen.append(part))
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    with Session(engine) as session:
        entries = len(
            session.scalars(select(AuditEntry).where(AuditEntry.organisation_id == bank.context.organisation_id)).all()
        )
    proved = [part for part in seen if part[2] == verify.ENTRIES]
    assert proved == [(done, entries, verify.ENTRIES) for done in range(entries)]
    compared = [part for part in seen if part[2] == history.BATCHES]
    assert len(compared) > 1
    assert compared == [(done, 0, history.BATCHES) for done in range(len(compared))]
    parts = [part for part in seen if part[2] == build.PARTS]
    assert len(parts) > 9
    assert parts == [(done, 0, build.PARTS) for done in range(len(parts))]
    written = [part for part in seen if part[2] == build.FILES]
    assert written == sorted(written)
    assert len(written) > 9
    assert seen == parts + proved + compared + written


def test_a_killed_worker_leaves_nothing_of_an_archive_on_the_disk(
    engine: Engine, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(bank)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    names = []

    def hold(_: Any, *_part: Any) -> None:
        names.extend(folder.iterdir())

    monkeypatch.setattr("fivefold.usecases.shared.jobs.Lease.hold", hold)
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    assert names == []


@pytest.mark.parametrize(
    ("fault", "why"), [("missing", "No such file or directory"), ("full", "No space left on device")]
)
def test_one_that_no_temporary_file_takes_says_where_and_why(
    engine: Engine, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, why: str
) -> None:
    number, folder = asked(bank), tmp_path / "temporary"
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    if fault == "full":
        monkeypatch.setattr("tempfile.TemporaryFile", partial(open, "/dev/full", "r+b"))
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    line = read_evidence_job(bank.context, number)
    said = f"its archive cannot be written to a temporary file in {folder} on the worker's machine: {why}; ask"
    assert (line.state, (line.error or "").startswith(said)) == ("failed", True), line.error
    monkeypatch.undo()
    again = asked(bank)
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    assert read_evidence_job(bank.context, again).state == "done"


def test_of_one_quarter_there_is_one_at_once_and_each_organisation_sees_its_own(engine: Engine, bank: Bank) -> None:
    here = bank.context
    first, is_new = request_evidence(here, QUARTER)
    assert (is_new, request_evidence(here, QUARTER)) == (True, (first, False))
    other, _ = request_evidence(here, read_quarter("2025Q3"))
    assert [line.id for line in list_evidence(here)] == [other.id, first.id]
    with pytest.raises(ConflictError, match="2097Q1 has not begun"):
        request_evidence(here, read_quarter("2097Q1"))
    stranger = Context(engine, Actor(platforms.organisation(engine, "other"), "member:1")).at(bank.now)
    assert list_evidence(stranger) == []
    for ask in (read_evidence_job, take_evidence):
        with pytest.raises(NotFoundError, match=f"there is no requested evidence {first.id}"):
            ask(stranger, first.id)


def test_one_whose_worker_died_is_collected_by_the_next(
    engine: Engine, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = asked(bank)

    class DiedError(BaseException):
        """The worker is gone."""

    def dies(*_: Any) -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "build_evidence", dies)
        with pytest.raises(DiedError):
            run_next_job(engine, evidence_jobs(None), bank.now)
    assert read_evidence_job(bank.context, number).state == "running"
    assert not run_next_job(engine, evidence_jobs(None), bank.now), "its lease holds"
    assert run_next_job(engine, evidence_jobs(None), bank.now + 2 * LEASE_US)
    line = read_evidence_job(bank.context, number)
    assert (line.state, line.attempts) == ("done", 2)


def test_one_that_is_too_large_says_where_it_can_be_made(
    engine: Engine, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = asked(bank)
    monkeypatch.setattr(jobs, "MOST_BYTES", 100)
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    line = read_evidence_job(bank.context, number)
    assert line.state == "failed"
    assert "make it at the machine, with fivefold evidence --quarter 2025Q4" in (line.error or "")
    assert request_evidence(bank.context, QUARTER)[1], "it can be asked for again"


def test_an_archive_is_kept_for_some_days_and_then_gone(engine: Engine, bank: Bank) -> None:
    number = asked(bank)
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    later = bank.now + KEPT_DAYS * DAY_US
    assert prune_archives(engine, clock=lambda: later - DAY_US) == 0
    take_evidence(bank.context.at(later - DAY_US), number)
    late = bank.context.at(later + DAY_US)
    with pytest.raises(ConflictError, match=r"kept for 7 days, or until an erasure; ask for it again"):
        take_evidence(late, number)
    assert prune_archives(engine, clock=lambda: later + DAY_US) == 1
    assert prune_archives(engine, clock=lambda: later + DAY_US) == 0
    with Session(engine) as session:
        assert session.get_one(EvidenceJob, number).content is None
    assert not read_evidence_job(late, number).is_kept
    assert list_evidence(late) == []


def test_an_erasure_takes_archives_away_and_lets_the_one_that_is_being_made_begin_again(
    engine: Engine, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = asked(bank)
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    beside, collect = request_evidence(bank.context, read_quarter("2025Q3"))[0].id, jobs.build_evidence

    def erased_meanwhile(*of: Any) -> Any:
        evidence = collect(*of)
        erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "register")
        return evidence

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "build_evidence", erased_meanwhile)
        assert run_next_job(engine, evidence_jobs(None), bank.now)
    with Session(engine) as session:
        assert session.scalars(select(EvidenceJob.content)).all() == [None, None]
    line = read_evidence_job(bank.context, number)
    assert (line.state, line.is_kept, read_evidence_job(bank.context, beside).state) == ("done", False, "queued")
    with pytest.raises(ConflictError, match="or until an erasure; ask for it again"):
        take_evidence(bank.context, number)
    assert run_next_job(engine, evidence_jobs(None), bank.now)
    assert read_evidence_job(bank.context, beside).attempts == 1
    assert take_evidence(bank.context, beside).content
    forget_late_answers(bank.context)  # also one that was finished while the erasure was not committed yet
    assert not read_evidence_job(bank.context, beside).is_kept
