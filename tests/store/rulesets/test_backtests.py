"""Backtests: claimed by one, held as long as they are, begun again when their holder is gone."""

import json
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, Table

from fivefold.store.rulesets.backtests import (
    backtests_of,
    forget_entities,
    newest_done,
    under_way,
)
from fivefold.store.sql.database import writing
from fivefold.store.sql.jobs import claim_job, job_waits, update_leased_job
from fivefold.store.tables.rulesets import Backtest
from tests.store import databases
from tests.store.stored import backtest_of, family_of, type_of

_BACKTESTS = cast("Table", Backtest.__table__)


def test_the_one_that_waits_longest_is_claimed(engine: Engine) -> None:
    with writing(engine) as session:
        family = family_of(session, type_of(session), "one", 1)
        later, first = backtest_of(session, family, requested_us=9), backtest_of(session, family, requested_us=5)
        for state in ("done", "failed"):
            backtest_of(session, family, state, requested_us=1)
        gone = backtest_of(session, family, "running", requested_us=7, lease_until_us=100, done=5, total=9, attempts=1)
        backtest_of(session, family, "running", requested_us=2, lease_until_us=101)
        claimed = [claim_job(session, _BACKTESTS, 100, 200) for _ in range(4)]
        assert claimed == [(first.id, 1), (gone.id, 2), (later.id, 1), None]
        session.refresh(gone)
        assert (gone.state, gone.lease_until_us, gone.done, gone.total) == ("running", 200, 0, 0)
        assert (job_waits(session, _BACKTESTS, 100), job_waits(session, _BACKTESTS, 101)) == (False, True)


def test_only_who_holds_a_backtest_sets_what_is_new(engine: Engine) -> None:
    with writing(engine) as session:
        row = backtest_of(session, family_of(session, type_of(session), "one", 1), "running", lease_until_us=100)
        assert update_leased_job(session, _BACKTESTS, row.id, [99], done=1) is False
        assert update_leased_job(session, _BACKTESTS, row.id, [100], done=2, lease_until_us=150) is True
        assert update_leased_job(session, _BACKTESTS, row.id, [99, 100], done=3) is False, (
            "it is held until another moment now"
        )
        assert update_leased_job(session, _BACKTESTS, row.id, [150], state="done", lease_until_us=None) is True
        assert update_leased_job(session, _BACKTESTS, row.id, [150], done=4) is False
        session.refresh(row)
        assert (row.done, row.state) == (2, "done")


def test_what_is_done_and_what_is_under_way_is_found_by_content(engine: Engine) -> None:
    with writing(engine) as session:
        kind = type_of(session)
        family, other = family_of(session, kind, "one", 1), family_of(session, kind, "two", 2)
        for state in ("failed", "done", "done", "queued", "running"):
            backtest_of(session, family, state)
        backtest_of(session, other, "done")
        assert (found := newest_done(session, family.id, "1")) is not None
        assert found.id == 3
        assert (waiting := under_way(session, family.id, "1")) is not None
        assert waiting.id == 4
        assert newest_done(session, family.id, "2") is None
        assert under_way(session, other.id, "1") is None
        assert [row.id for row in backtests_of(session, family.id)] == [5, 4, 3, 2, 1]


def test_one_that_somebody_claims_is_left_to_them(tmp_path: Path) -> None:
    """On PostgreSQL; on SQLite there is one writer."""
    with databases.opened(databases.new_url("postgresql", tmp_path)) as engine:
        with writing(engine) as session:
            family = family_of(session, type_of(session), "one", 1)
            for _ in range(2):
                backtest_of(session, family)
        with writing(engine) as first, writing(engine) as second, writing(engine) as third:
            assert [claim_job(each, _BACKTESTS, 100, 200) for each in (first, second, third)] == [(1, 1), (2, 1), None]


def report(**parts: Any) -> str:
    lines = [{"entity": "1", "problem": "is Zoe"}, {"entity": "12", "problem": "is Ida"}]
    side = {"failures": lines}
    return json.dumps({"basis": "customers", "backtest": {"movers": lines, "draft": side, "present": None}} | parts)


def test_who_is_erased_is_in_no_report(engine: Engine) -> None:
    with writing(engine) as session:
        family = family_of(session, type_of(session), "one", 1)
        both = {"movers": [], "draft": {"failures": []}, "present": {"failures": [{"entity": "1"}, {"entity": "2"}]}}
        on_examples = report(basis="examples")
        for text in (report(), report(backtest=both), on_examples):
            backtest_of(session, family, "done", report=text)
        theirs = backtest_of(session, family_of(session, type_of(session, "other"), "one", 1), "done", report=report())
        forget_entities(session, family.organisation_id, [1, 3])
        session.flush()
        texts = [session.get_one(Backtest, number).report or "" for number in (1, 2, 3)]
        assert "Zoe" not in texts[0]
        assert texts[0].count("Ida") == 2
        assert json.loads(texts[1])["backtest"]["present"]["failures"] == [{"entity": "2"}]
        assert texts[2] == on_examples
        assert theirs.report == report()
