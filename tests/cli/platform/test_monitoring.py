"""`fivefold validate` and `backtests`: how good levels were, and how good those of a draft would be."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from fivefold.domain.settings import Settings
from fivefold.store.sql.database import open_database
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.organisations import actor_in_new
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.changes.backtests import request_backtest
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.context import Context
from tests.cli.running import cells, refuse, run, succeed
from tests.store.databases import upgrade_by_copy
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import NOW, document
from tests.usecases.planted import fill, planted


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A bank with a history of this year."""
    engine = open_database(Settings(var=tmp_path).database)
    upgrade_by_copy(engine)
    fill(planted(engine), 1, 40)
    engine.dispose()
    return tmp_path


def told(var: Path, *arguments: object) -> str:
    """Run a command that has something to say beside its result: what is to be known beforehand."""
    done = run(var, *arguments, columns=300)
    assert done.code == 0
    assert all(line.startswith("warning: ") for line in done.err.splitlines())
    return done.out


def test_a_quarter_is_validated_and_shown(var: Path) -> None:
    html, data = var / "made.html", var / "made.json"
    asked = ["validate", "--quarter", "2026Q3", "--organisation", "bank", "--reason", "the quarter"]
    out = told(var, *asked, "--html", html, "--json", data)
    assert out.startswith("Validation of levels 1\n")
    assert "Levels of: 2026-07-01 to 2026-09-30" in out
    triggers = cells(out, "Triggers of a revalidation")
    assert ["Review", "overall"] in [row[:2] for row in triggers]
    written = json.loads(data.read_text())
    assert (written["kind"], written["reason"], written["id"]) == ("level validation", "the quarter", 1)
    assert html.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("json", "words"), [("page", "--html and --json are both"), ("none/page.json", "there is no folder")]
)
def test_nothing_is_stored_where_a_file_has_no_place(var: Path, json: str, words: str) -> None:
    asked = ("validate", "--quarter", "2026Q3", "--organisation", "bank", "--html", var / "page", "--json", var / json)
    assert words in refuse(var, *asked)
    assert "Validation of levels 1\n" in told(var, *asked[:5]), "the first one that is stored"


def test_any_time_and_any_words_will_do(var: Path) -> None:
    asked = ["validate", "--from", "2026-05-01", "--until", "2026-06-01T12:00", "--organisation", "bank"]
    out = told(var, *asked, "--confirmed", "reported", "--confirmed", "cleared")
    assert "Outcomes that mean confirmed: cleared, reported" in out


WRONG = [[], ["--from", "2026-01-01"], ["--quarter", "2026Q1", "--until", "2026-01-01"], ["--until", "2026-01-01"]]


@pytest.mark.parametrize("options", WRONG)
def test_a_time_must_be_said_in_one_way(var: Path, options: list[str]) -> None:
    assert refuse(var, "validate", *options) == "validate takes --quarter, or --from and --until"


def test_a_time_that_is_not_over_is_refused(var: Path) -> None:
    said = refuse(var, "validate", "--quarter", "2099Q1", "--organisation", "bank")
    assert said == "the time ends on 2099-04-01, which is still to come; it must be over"


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
