"""Whom a backtest would move: listed by key and by place, once each, and nobody who was erased."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.tables.rulesets import BacktestMover
from fivefold.usecases.changes import backtests
from fivefold.usecases.changes.backtests import (
    BACKTESTS,
    list_movers,
    request_backtest,
)
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.rulesets.activate import activate
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.rulesets.read import list_families
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import LEASE_US, run_next_job
from tests.store.filling import filled_once
from tests.usecases.changes.test_backtests import People, customers, prepared
from tests.usecases.governed import DAY, NOW, document, founded, rows_of


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    return prepared(engine)


def moving(engine: Engine, three: People, medium: int) -> int:
    """Run a backtest of the draft with another threshold; give its number."""
    ana = Context(engine, three[0]).at(NOW)
    revision = list_families(ana)[0].draft_revision or 0
    save_draft(ana, document(medium=medium), revision)
    number = request_backtest(ana, "retail").id
    assert run_next_job(engine, BACKTESTS, NOW)
    return number


def with_a_version_in_force(engine: Engine, three: People) -> Context:
    """Backtest and activate the first version on nine customers; give the context of the first member."""
    customers(engine, three[0], 9)
    ana, ben, cyd = (Context(engine, each).at(NOW) for each in three)
    commit(ben, "retail", 1)
    request_backtest(ana, "retail", 1)
    assert run_next_job(engine, BACKTESTS, NOW)
    activate(cyd, "retail", 1, "our first")
    return ana


def test_everybody_who_moves_is_listed_by_key_and_by_place(engine: Engine, three: People) -> None:
    customers(engine, three[0], 9)
    ana, ben, cyd = (Context(engine, each).at(NOW) for each in three)
    commit(ben, "retail", 1)
    request_backtest(ana, "retail", 1)
    assert run_next_job(engine, BACKTESTS, NOW)
    assert list_movers(ana, 1) == []  # none of them stood anywhere before
    activate(cyd, "retail", 1, "our first")
    number = moving(engine, three, 31)
    found = list_movers(ana, number)
    assert [(one.external_id, one.before, one.after) for one in found] == [
        (f"c{each}", "medium", "low") for each in (1, 4, 7)
    ]
    first = list_movers(ana, number, part=Part(2))
    assert first + list_movers(ana, number, part=Part(2, first.next)) == found
    assert list_movers(ana, number, "medium", "low") == found
    assert list_movers(ana, number, "medium", "high") == list_movers(ana, number, "low") == []
    with pytest.raises(NotFoundError, match="no backtest"):
        list_movers(Context(engine, founded(engine, "other")[0]), number)


class KilledError(BaseException):
    """What ends a process is not caught by anything."""


@pytest.mark.parametrize("is_killed", [False, True], ids=["asked to stop", "killed"])
def test_who_moves_is_listed_once_where_a_worker_ended_in_the_middle(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    ana = with_a_version_in_force(engine, three)
    save_draft(ana, document(medium=31), list_families(ana)[0].draft_revision or 0)
    number = request_backtest(ana, "retail").id
    stored = []
    real = backtests.keep_movers

    def keeping(session: Session, *rest: Any) -> None:
        real(session, *rest)
        stored.append(1)

    def ends() -> bool:
        if is_killed and stored:
            raise KilledError
        return bool(stored)

    with monkeypatch.context() as patch:
        patch.setattr(backtests, "keep_movers", keeping)
        with suppress(KilledError):
            run_next_job(engine, BACKTESTS, NOW, stopping=ends)
    assert len(rows_of(engine, BacktestMover)) == (3 if is_killed else 0)
    assert run_next_job(engine, BACKTESTS, NOW + 2 * LEASE_US)
    assert [one.external_id for one in list_movers(ana, number)] == ["c1", "c4", "c7"]


def test_who_is_erased_moves_nowhere(engine: Engine, three: People, tmp_path: Path) -> None:
    ana = with_a_version_in_force(engine, three)
    number = moving(engine, three, 31)
    erase_entity(ana.at(NOW + 3650 * DAY), "customer", "c4", tmp_path / "erasures.jsonl")
    assert [one.external_id for one in list_movers(ana, number)] == ["c1", "c7"]
    again = moving(engine, three, 32)
    assert [one.external_id for one in list_movers(ana, again)] == ["c1", "c7"]
