"""`fivefold audit`: whole, or each finding with its place; heads in a file; who did what."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import text

from fivefold.cli.terminal import actor
from fivefold.domain.settings import Settings
from fivefold.store.sql.database import open_database
from tests.cli.running import Done, refuse, run, succeed


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A log of two organisations, made by the commands themselves."""
    for organisation in ("default", "acme", "acme"):
        assert run(tmp_path, "tokens", "create", "--organisation", organisation, "--label", "Zoë").code == 0
    succeed(tmp_path, "tokens", "revoke", 2)
    return tmp_path


def tamper(var: Path, *statements: str) -> None:
    engine = open_database(Settings(var=var).database)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_whole_log_is_said_to_be_whole_with_counts(var: Path) -> None:
    assert succeed(var, "audit", "verify", columns=200) == (
        "4 entries of 2 organisations, without exported heads: the audit log is whole; values of 0 entries erased.\n"
    )
    heads = var / "heads.json"
    assert succeed(var, "audit", "heads", "--output", heads) == f"heads of 2 organisations: {heads}\n"
    assert re.fullmatch(
        r"4 entries of 2 organisations, against the heads of 20\S+Z: the audit log is whole; values of 0 entries"
        r" erased\.\n",
        succeed(var, "audit", "verify", "--heads", heads, columns=200),
    )


def test_counters_that_say_something_else_are_counted_anew(var: Path) -> None:
    nothing = "All counters are right; nothing was changed.\n"
    assert succeed(var, "audit", "recount", "--reason", "To be sure.") == nothing
    tamper(var, "PRAGMA foreign_keys=OFF", "INSERT INTO level_move_counts VALUES (2, 1, 9, 0, 1, 0, 5)")
    assert "`fivefold audit recount` counts them anew" in run(var, "audit", "verify", columns=400).out
    counted = "organisation 2: level_move_counts, 1 cell counted anew\n"
    assert succeed(var, "audit", "recount", "--reason", "A restore without triggers.") == counted
    assert "counters.repaired" in succeed(var, "audit", "show", "--organisation", "acme", columns=200)


def test_without_a_registry_no_loss_is_acknowledged(var: Path) -> None:
    assert "has no versions in" in refuse(var, "audit", "acknowledge", 2, "--reason", "Restored.")
    assert not (var / "mlflow.db").exists()


def test_counters_of_no_organisation_are_named_and_stay(var: Path) -> None:
    tamper(var, "PRAGMA foreign_keys=OFF", "INSERT INTO level_move_counts VALUES (999, 1, 9, 0, 1, 0, 5)")
    done = run(var, "audit", "recount", "--reason", "A restore without triggers.")
    where = "level_move_counts stays as it is for type_id 1, day 9, from_level 0, to_level 1"
    assert done == Done(1, f"organisation 999: {where}: an organisation of that number does not exist\n", "")
    assert "an organisation of that number does not exist" in run(var, "audit", "verify", columns=400).out


def test_each_finding_is_named_and_the_code_is_1(var: Path) -> None:
    succeed(var, "audit", "heads", "-o", var / "heads.json")
    tamper(
        var,
        "DROP TRIGGER audit_entries_history_update",
        "DROP TRIGGER audit_entries_history_delete",
        "DROP TRIGGER audit_values_history_delete",
        "UPDATE audit_entries SET actor = 'cli:somebody' WHERE organisation_id = 1",
        "DELETE FROM audit_values WHERE organisation_id = 2 AND number = 3",
        "DELETE FROM audit_entries WHERE organisation_id = 2 AND number = 3",
        "UPDATE audit_heads SET number = 2, hash = (SELECT hash FROM audit_entries WHERE organisation_id = 2"
        " AND number = 2) WHERE organisation_id = 2",
    )
    done = run(var, "audit", "verify", columns=200)
    changed = "organisation default (1), entry 1: was changed: its hash is not that of its content"
    assert (done.code, done.err) == (1, "")
    revoked = "organisation acme (2), entry 1: row of tokens 2 was changed since: content"
    last = "3 entries of 2 organisations: 2 findings, values of 0 entries erased."
    assert done.out.splitlines() == [changed, revoked, last], "the log lost its last entry, and the row says it"
    done = run(var, "audit", "verify", "--heads", var / "heads.json", columns=200)
    assert done.code == 1
    assert done.out.splitlines() == [
        changed,
        "organisation acme (2), entry 3: is missing: entry 3 was there when the heads were exported",
        revoked,
        "3 entries of 2 organisations: 3 findings, values of 0 entries erased.",
    ]


def test_erased_values_are_counted(var: Path) -> None:
    tamper(var, "UPDATE audit_values SET salt = NULL, before = NULL, after = NULL, erased_us = 1 WHERE number = 1")
    done = run(var, "audit", "verify", columns=200)
    assert done.code == 1, "no erasure says so"
    assert done.out.splitlines() == [
        "organisation default (1), entry 1: its values are missing, and no erasure in the log explains it",
        "organisation acme (2), entry 1: its values are missing, and no erasure in the log explains it",
        "organisation default (1): no entry says that row of tokens 1 was written",
        "4 entries of 2 organisations: 3 findings, values of 2 entries erased.",
    ]


def test_the_last_entries_are_shown_with_who_made_them(var: Path) -> None:
    shown = succeed(var, "audit", "show", columns=300)
    lines = [line.split() for line in shown.splitlines()[2:]]
    assert [(line[0], line[1], line[3], line[4], line[6]) for line in lines] == [
        ("default", "1", actor(), "token.created", "1"),
        ("acme", "1", actor(), "token.created", "2"),
        ("acme", "2", actor(), "token.created", "3"),
        ("acme", "3", actor(), "token.revoked", "2"),
    ]
    assert "Zoë" not in shown
    assert '"plan":"trial"' in shown
    assert len(succeed(var, "audit", "show", "--organisation", "acme", "--last", 2, columns=300).splitlines()) == 4
    assert len(succeed(var, "audit", "show", "--organisation", "nobody").splitlines()) == 2


def test_a_file_without_heads_is_told(var: Path) -> None:
    heads = var / "heads.json"
    assert str(heads) in refuse(var, "audit", "verify", "--heads", heads)
    heads.write_text(json.dumps({"heads": []}), encoding="utf-8")
    assert "does not hold heads as `fivefold audit heads` writes them" in refuse(
        var, "audit", "verify", "--heads", heads
    )
    assert "no folder" in refuse(var, "audit", "heads", "--output", var / "not there" / "heads.json")
