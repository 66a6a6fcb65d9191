"""Jobs that ended go as the retention policy says, but for those with which the next ones are smoothed."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.tables.events import EvidenceJob, ValidationJob
from fivefold.store.tables.rulesets import (
    Backtest,
    BacktestMover,
    PointsJob,
    ReferenceJob,
    RulesetVersion,
    ThresholdReview,
)
from fivefold.usecases.changes.backtests import list_movers
from tests.store.filling import filled_once
from tests.usecases.banks import Bank
from tests.usecases.erasure.removals import YEAR, keep, line, remove
from tests.usecases.erasure.test_removals import hold, with_announcements


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return with_announcements(engine)


def _job(table: type[Any], bank: Bank, at: int, **given: object) -> object:
    made: object = table(
        organisation_id=bank.of, attempts=1, requested_by="member:1", requested_us=at, done=0, total=0, **given
    )  # fmt: skip
    return made


def _backtest(bank: Bank, session: Session, finished_us: int, canonical: str) -> int:
    kind = session.scalar(text("SELECT min(id) FROM entity_types"))
    made = Backtest(
        organisation_id=bank.of, type_id=kind, content_hash=canonical, canonical="", state="done",
        requested_by="member:1", requested_us=finished_us, finished_us=finished_us, done=0, total=0,
    )  # fmt: skip
    session.add(made)
    session.flush()
    for name in ("first", "second", "third"):
        row = {"before": "low", "after": "high", "later": "high"}
        session.add(BacktestMover(backtest_id=made.id, entity_id=bank.id_of(name), **row))
    return made.id


def test_jobs_that_ended_and_whom_backtests_would_move_go(bank: Bank, tmp_path: Path) -> None:
    """The report of the backtest stays, and so do those whom one of the version in force would move."""
    old = bank.now - YEAR * DAY_US
    with Session(bank.engine) as session, session.begin():
        session.add(_job(EvidenceJob, bank, old, state="done", quarter="2025Q1", finished_us=old))
        session.add(_job(EvidenceJob, bank, old, state="queued", quarter="2025Q2"))
        session.add(_job(ValidationJob, bank, old, state="failed", from_us=0, until_us=1, reason="x", finished_us=old))
        draft = _backtest(bank, session, old, "0" * 64)
        active = _backtest(bank, session, old, session.scalar(text("SELECT content_hash FROM ruleset_versions")) or "")
        recent = _backtest(bank, session, bank.now, "1" * 64)
    hold(bank, tmp_path)
    keep(bank, reports_days=92)
    assert line(bank, "reports").removable == 4
    assert remove(bank) == {"reports": 4}
    with Session(bank.engine) as session:
        left = session.execute(select(BacktestMover.backtest_id, BacktestMover.entity_id)).all()
        assert [job.quarter for job in session.scalars(select(EvidenceJob))] == ["2025Q2"]
        assert session.scalars(select(ValidationJob)).all() == []
        removed = {row.id: row.movers_removed_us for row in session.scalars(select(Backtest))}
    assert removed == {draft: bank.now, active: None, recent: None}
    assert len([row for row in left if row.backtest_id == active]) == 3
    assert [mover.external_id for mover in list_movers(bank.context, draft)] == ["first"], "who is on hold"


def _review(bank: Bank, of: dict[str, int], quarter: str, thresholds: list[str] | None, rules: str = "a") -> object:
    at = bank.now - YEAR * DAY_US
    made = {"state": "failed" if thresholds is None else "done", "finished_us": at, "rules_hash": rules * 64}
    return _job(ThresholdReview, bank, at, **of, **made, quarter=quarter, thresholds=thresholds)


def test_jobs_of_rulesets_go_but_thresholds_with_which_the_next_are_smoothed(bank: Bank) -> None:
    """The last three of the same rules stay, however old, in whatever order their rules decided; failed ones go."""
    old = bank.now - YEAR * DAY_US
    with Session(bank.engine) as session, session.begin():
        version = session.scalars(select(RulesetVersion)).one()
        of = {"family_id": version.family_id, "version_id": version.id}
        ended, asked = {"state": "done", "finished_us": old}, {"as_of_us": 0, "until_us": 1}
        session.add(_job(ReferenceJob, bank, old, **of, **ended))
        session.add(_job(PointsJob, bank, old, **of, **ended, **asked))
        session.add(_job(PointsJob, bank, old, **of, state="running", lease_until_us=1, **asked))
        session.add(_job(PointsJob, bank, old, **of, state="done", finished_us=bank.now, **asked))
        for quarter in ("2023Q1", "2023Q2", "2023Q4", "2024Q1", "2024Q3"):
            session.add(_review(bank, of, quarter, ["1", "2"]))
        session.add(_review(bank, of, "2023Q3", ["1", "2"], "b"))
        session.add(_review(bank, of, "2024Q2", None))
    keep(bank, reports_days=92)
    found = line(bank, "reports")
    assert (found.removable, found.kept) == (5, 4)
    assert remove(bank) == {"reports": 5}
    with Session(bank.engine) as session:
        assert not session.scalars(select(ReferenceJob)).all()
        assert sorted(job.state for job in session.scalars(select(PointsJob))) == ["done", "running"]
        kept = sorted(review.quarter for review in session.scalars(select(ThresholdReview)))
    assert kept == ["2023Q3", "2023Q4", "2024Q1", "2024Q3"]
