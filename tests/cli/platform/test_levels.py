"""`fivefold level`: what a person at the terminal sees of a stored customer."""

import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.store.sql.database import open_database
from fivefold.store.tables.levels import DueMark
from tests.cli.running import refuse, run, succeed
from tests.usecases import banks
from tests.usecases.banks import Bank


@pytest.fixture
def var(set_up: Path, tmp_path: Path) -> Path:
    entities = tmp_path / "entities.csv"
    entities.write_text("entity_id,kind,country\na,person,NO\n", encoding="utf-8")
    succeed(set_up, "import", "entities", entities)
    return set_up


def test_who_was_never_assessed_has_no_level_and_the_way_to_one(var: Path) -> None:
    out = succeed(var, "level", "a")
    assert out.startswith("a: no level\nnever assessed; `fivefold worker --once`")


def test_of_whom_no_attempt_succeeded_it_is_shown_why_and_what_to_do(var: Path) -> None:
    failed = "a: no level\nnever assessed\nThe last attempt to compute it failed: it broke\n"
    for quarantined, advice in (
        (False, "A worker will try again; --now does so at once.\n"),
        (True, "It failed too often, so workers leave it until something new happens; --now tries again at once."),
    ):
        set_mark(var, error="it broke", attempts=2, quarantined=quarantined)
        assert succeed(var, "level", "a", columns=200).startswith(failed + advice)
    assert json.loads(succeed(var, "level", "a", "--json"))["quarantined"] is True
    assert "failed" not in succeed(var, "level", "a", "--now")
    set_mark(var, error="it broke", quarantined=True)
    assert "workers leave it until something new happens" in succeed(var, "level", "a", columns=200)


def set_mark(var: Path, **values: Any) -> None:
    engine = open_database(f"sqlite:///{var / 'fivefold.db'}")
    with Session(engine) as session, session.begin():
        session.execute(update(DueMark).values(values))
    engine.dispose()


def test_without_an_active_ruleset_the_reason_is_shown(var: Path) -> None:
    out = succeed(var, "level", "a", "--now")
    assert out.startswith("a: no level\n")
    assert "No ruleset" in out or "no ruleset" in out
    assert "\nNo ruleset as of " in out
    assert "fivefold replay" not in out  # it would be refused
    assert "by no ruleset" not in out


def test_everything_as_json(var: Path) -> None:
    succeed(var, "level", "a", "--now")
    found = json.loads(succeed(var, "level", "a", "--json", "--history", columns=20))
    assert found["external_id"] == "a"
    assert found["level"] is None
    assert [line["assessment"] for line in found["history"]] == [found["assessment"]]


def test_a_model_that_cannot_be_loaded_is_reported_beside_the_json(var: Path) -> None:
    (var / "mlflow.db").write_text("no database", encoding="utf-8")
    structlog.reset_defaults()  # as in a process of its own: other commands of this one may have set it up
    done = run(var, "level", "a", "--now", "--json")
    assert done.code == 0, done
    assert json.loads(done.out)["external_id"] == "a"
    assert "value model not loaded" in done.err


def test_what_a_customer_owns_is_named_with_since_when(var: Path, tmp_path: Path) -> None:
    for name, text in (
        ("more.csv", "entity_id,kind\nb,person\njoint,company\n"),
        ("owners.csv", "entity_id,owner_id,from\njoint,a,2026-01-02\njoint,b,\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    succeed(var, "import", "entities", tmp_path / "more.csv")
    assert succeed(var, "import", "owners", tmp_path / "owners.csv").startswith("2 rows: 2 new")
    out = succeed(var, "level", "a")
    assert "Owns\nentity" in out
    assert "2026-01-02" in out[out.index("joint") :]
    found = json.loads(succeed(var, "level", "joint", "--json"))
    assert [line["external_id"] for line in found["owners"]] == ["a", "b"]


def test_a_customer_that_was_never_imported_is_refused_by_name(var: Path) -> None:
    assert "'b'" in refuse(var, "level", "b")
    assert "no entity type 'account'" in refuse(var, "level", "a", "--type", "account")


def test_without_a_name_everyone_is_counted_with_why_there_are_no_levels(var: Path) -> None:
    assert "(not assessed yet)" in succeed(var, "level")
    said = succeed(var, "worker", "--once", "--quiet")
    assert said.startswith("1 assessed")
    out = succeed(var, "level")
    assert out.startswith("1 of type customer in default\n")
    assert "(no ruleset decides yet)" in out


def test_who_is_not_there_is_said_with_the_organisation_that_was_looked_in(var: Path) -> None:
    said = refuse(var, "level", "nobody")
    assert said.endswith("in the organisation 'default' there is no customer 'nobody'")
    succeed(var, "members", "add", "Zoë", "--role", "admin", "--organisation", "our bank")
    assert "--organisation 'our bank'" in succeed(var, "members", "list")
    said = refuse(var, "level", "a", "--organisation", "our bank")
    assert said.endswith(
        "in the organisation 'our bank' there is no entity type 'customer'; there is one in default:"
        " --organisation default"
    )


def test_a_type_that_is_not_there_is_said_with_the_organisation_and_what_to_do(var: Path, tmp_path: Path) -> None:
    succeed(var, "members", "add", "Zoë", "--role", "admin", "--organisation", "our bank")
    (tmp_path / "b.csv").write_text("entity_id\nb\n", encoding="utf-8")
    there = "there is one in default: --organisation default"
    nowhere = "`fivefold import setup RULESET` declares that of a ruleset"
    where = "in the organisation 'our bank'"
    for words in (("level",), ("level", "b"), ("import", "entities", tmp_path / "b.csv")):
        asked = (*words, "--organisation", "our bank")
        assert refuse(var, *asked).endswith(f"{where} there is no entity type 'customer'; {there}")
        assert refuse(var, *asked, "--type", "company").endswith(
            f"{where} there is no entity type 'company'; {nowhere}"
        )
    assert (
        f"in the organisation 'default' there is no entity type 'custmer'; perhaps customer was meant; {nowhere}"
        in (refuse(var, "level", "a", "--type", "custmer"))
    )


def test_other_rulesets_that_keep_a_customer_are_named(tmp_path: Path) -> None:
    """Of a Norwegian the country is gone, and another ruleset asks for more."""
    assert succeed(tmp_path, "worker", "--once")
    engine = open_database(f"sqlite:///{tmp_path / 'fivefold.db'}")
    bank = Bank(engine)
    bank.activate(banks.document({"rich": banks.INCOME}, "norwegians", applies_to={"field": "country", "equals": "NO"}))
    clerks = {"cases": [{"when": {"field": "occupation", "equals": "clerk"}, "points": 70}]}
    bank.activate(banks.document({"clerks": clerks}, "others"), 2)
    bank.put("a", country="NO", occupation="clerk")
    bank.settle()
    assert "keep it as well" not in succeed(tmp_path, "level", "a", "--organisation", "bank")
    bank.wait(days=1)
    bank.put("a", country=None)
    bank.settle()
    engine.dispose()
    said = succeed(tmp_path, "level", "a", "--organisation", "bank", columns=200)
    assert "by others version 1" in said
    assert "These rulesets keep it as well, until it is known that they do not apply: norwegians." in said


def test_to_whom_no_ruleset_applies_is_told_so_and_what_an_override_gives(tmp_path: Path) -> None:
    assert succeed(tmp_path, "worker", "--once")
    engine = open_database(f"sqlite:///{tmp_path / 'fivefold.db'}")
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}, applies_to={"field": "country", "equals": "NO"}))
    bank.put("a", country="SE")
    bank.settle()
    bank.override("a", 3)
    bank.settle()
    engine.dispose()
    said = succeed(tmp_path, "level", "a", "--organisation", "bank", "--history", columns=200)
    overridden = "No ruleset applies; High by an override, no level without it"
    assert said.splitlines()[1] == overridden
    assert [said.count(overridden), said.count("No ruleset applies, so there is no level")] == [2, 1]


def test_an_assessment_that_a_clock_ahead_dated_is_not_said_to_have_failed(tmp_path: Path) -> None:
    """Its date is the problem, which is said; what became of it is said of it alone."""
    assert succeed(tmp_path, "worker", "--once")
    engine = open_database(f"sqlite:///{tmp_path / 'fivefold.db'}")
    bank = Bank(engine)
    bank.now = now_microseconds() + DAY_US
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="NO")
    bank.settle()
    engine.dispose()
    said = succeed(tmp_path, "level", "a", "--organisation", "bank", columns=200)
    assert "\nAssessed as of " in said
    assert "in the future: a clock was ahead" in said
