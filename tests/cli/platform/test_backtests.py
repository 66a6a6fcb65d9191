"""`fivefold backtests`: what waits is seen, and can be cancelled."""

from pathlib import Path

from sqlalchemy import create_engine

from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.organisations import actor_in_new
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.changes.backtests import request_backtest
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.context import Context
from tests.cli.running import cells, refuse, succeed
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import NOW, document


def test_a_backtest_is_listed_and_cancelled(tmp_path: Path) -> None:
    succeed(tmp_path, "members", "add", "Ana", "--role", "publisher")
    engine = create_engine(f"sqlite:///{tmp_path / 'fivefold.db'}")
    ana = actor_in_new(engine, "default", "member:1")
    choose_levels(Context(engine, ana), ("low", "medium", "high"))
    define_type(Context(engine, ana).at(NOW), "customer", {"country": "country", "income": "number"})
    put_list_version(Context(engine, ana).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    save_draft(Context(engine, ana), document())
    number = request_backtest(Context(engine, ana), "retail").id
    (row,) = cells(succeed(tmp_path, "backtests", "list", "retail"), "Backtests of retail")
    assert row[:3] == [str(number), "queued", "draft"]
    done = succeed(tmp_path, "backtests", "cancel", number, "--reason", "another draft comes")
    assert done == f"Backtest {number} of retail is cancelled.\n"
    assert "cancelled it: another draft comes" in succeed(tmp_path, "backtests", "list", "retail")
    assert "is cancelled; only a waiting or running one" in refuse(
        tmp_path, "backtests", "cancel", number, "--reason", "x"
    )
