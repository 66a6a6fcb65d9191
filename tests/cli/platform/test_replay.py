"""`fivefold replay`: the same bytes, or where they differ."""

from pathlib import Path

import pytest
from sqlalchemy import text

from fivefold.risk.engine.explain.stored import WORDS
from fivefold.store.sql.database import open_database
from tests.cli.running import refuse, run, succeed
from tests.store.audits import forged
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.decisions.deciding import CASH, Desk


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A customer, assessed once without a ruleset and once with one."""
    made = tmp_path / "var"
    assert succeed(made, "worker", "--once")
    engine = open_database(f"sqlite:///{made / 'fivefold.db'}")
    bank = Bank(engine)
    bank.put("a", country="NO")
    bank.settle()
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.mark("a")
    bank.settle()
    Desk(bank).publish(CASH)
    Desk(bank).decide("a")
    engine.dispose()
    return made


def test_the_same_bytes_come_out(var: Path) -> None:
    said = succeed(var, "replay", "1.2", "--organisation", "bank")
    assert said.startswith("Assessment 1.2: the result is the same ")
    shown = succeed(var, "replay", "1.2", "--organisation", "bank", "--show")
    assert '"line": "Score 5: Country 5; Low"' in shown


def test_a_decision_comes_out_again(var: Path) -> None:
    assert succeed(var, "replay", "d:1", "--organisation", "bank").startswith("Decision d:1: the result is the same ")
    assert "in the organisation 'bank' there is no decision 2" in refuse(var, "replay", "d:2", "--organisation", "bank")


def test_where_they_differ_is_told(var: Path) -> None:
    engine = open_database(f"sqlite:///{var / 'fivefold.db'}")
    with forged(engine) as connection:
        changed = f"replace(breakdown, '[{WORDS},500,', '[{WORDS},600,')"
        connection.execute(text(f"UPDATE assessments SET breakdown = {changed}"))
    engine.dispose()
    done = run(var, "replay", "1.2", "--organisation", "bank", columns=200)
    assert done.code == 1
    assert "assessment 1.2 differs" in done.err
    assert 'score: stored "6", computed "5"' in done.err


def test_what_cannot_be_replayed_is_told(var: Path) -> None:
    assert "no ruleset was active when assessment 1.1 was made" in refuse(
        var, "replay", "1.1", "--organisation", "bank"
    )
    assert "there is no assessment '7.7'" in refuse(var, "replay", "7.7", "--organisation", "bank")
