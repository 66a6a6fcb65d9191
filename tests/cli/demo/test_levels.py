"""The risk half of the demo: a stored portfolio with levels, an event that raises one, and a decision on both sides."""

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from fivefold.cli.demo import levels as demo_levels
from fivefold.cli.demo import sample
from fivefold.cli.terminal import open_current_database
from fivefold.domain.clock import now_microseconds
from fivefold.domain.settings import read_settings
from fivefold.features.indicator_matrix import warm
from fivefold.usecases.accounts.credentials import find_credential
from fivefold.usecases.accounts.sessions import sign_in
from tests.cli.running import run, succeed


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    var = tmp_path / "var"
    var.mkdir()
    warm()
    (var / "kernels").symlink_to(read_settings().kernels)
    monkeypatch.setenv("FIVEFOLD_VAR", str(var))
    monkeypatch.setattr(demo_levels, "CUSTOMERS", 40)
    return var


@pytest.mark.full
def test_one_event_raises_a_level_and_changes_a_decision(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo_levels.console_tokens() == {}
    demo_levels.show_levels()
    out = capsys.readouterr().out
    story = out.partition("One ordinary customer")[2]
    before, _, after = story.partition("North Korea")
    assert ": low, since " in before
    assert "says allow" in before
    assert ": high, since " in after
    assert "raised to High by the floor of Payments to or from listed countries" in after
    assert "says review" in after
    for words in ("eve activated it", "40 of type customer in demo", r"critical\s+1 ", "sanctioned"):
        assert re.search(words, out), words

    demo_levels.show_levels()
    again = capsys.readouterr().out
    assert "as an earlier demo left it" in again
    assert all(text.count("The risk side") == 1 and demo_levels.OTHERS in text for text in (out, again))
    assert "40 of type customer in demo" in again
    assert "North Korea" not in again
    assert "Sanctions" in succeed(var, "level", "user_000002", "--organisation", "demo")

    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"(?m)^    fivefold (.*--organisation demo.*|worker --once.*)$", readme)
    assert len(lines) == 10
    for line in lines:  # as they stand, but for the place of the folder
        done = run(var, *shlex.split(line.replace("var/", f"{var}/"), comments=True))
        assert done.code == 0, done  # what a validation warns of goes beside it
    shown = succeed(var, "level", "user_000027", "--organisation", "demo", columns=300)
    assert re.search(r"`fivefold replay 27\.\d --organisation demo` computes it again", shown), repr(shown)

    for _ in range(2):  # people who joined already are not added again
        tokens = demo_levels.console_tokens()
        engine = open_current_database()
        sessions = {name: sign_in(engine, token) for name, token in tokens.items()}
        app = find_credential(engine, sample.app_token(demo_levels.ORGANISATION))
        engine.dispose()
        assert app is not None
        assert {app.organisation_id} == {begun[1].credential.organisation_id for begun in sessions.values() if begun}
        assert {name: begun and begun[1].credential.role for name, begun in sessions.items()} == {
            "ida": "investigator",
            "ann": "approver",
        }


STEPS = (
    "fivefold.cli.platform.ingest.setup",
    "fivefold.training.simulation.sample_portfolio.write_sample",
    "fivefold.cli.platform.ingest.import_file",
    "fivefold.usecases.accounts.organisations.add_member",
    "fivefold.usecases.rulesets.drafts.save_draft",
    "fivefold.usecases.rulesets.commit.commit",
    "fivefold.usecases.changes.backtests.request_backtest",
    "fivefold.usecases.shared.jobs.run_next_job",
    "fivefold.usecases.rulesets.activate.activate",
    "fivefold.usecases.decisions.policies.propose_policy",
    "fivefold.usecases.decisions.policies.approve_policy",
    "fivefold.cli.platform.worker.worker",
    "fivefold.usecases.decisions.decide.decide",
    "fivefold.usecases.ingest.transactions.add_transactions",
)
"""What the demo does, in this order; what writes is stored when it returns."""
OF_THE_WAY = {
    *("assessments", "assessment_inputs", "audit_entries", "audit_values"),
    *("backtests", "backtest_movers", "imports"),
}
"""Tables that tell how it came about: a step that is tried again reads a file again, or cancels a backtest."""


class StoppedError(Exception):
    """The demo was stopped."""


@pytest.mark.full
def test_a_demo_that_is_stopped_after_any_step_goes_on_to_the_same_end(
    var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_levels.show_levels()
    at_once = state()
    other = tmp_path / "other"
    other.mkdir()
    (other / "kernels").symlink_to(var / "kernels")
    monkeypatch.setenv("FIVEFOLD_VAR", str(other))
    for step in STEPS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(step, stopping(step, patch))
            with pytest.raises(StoppedError):
                demo_levels.show_levels()
        if step.endswith("request_backtest"):  # and killed while it runs
            execute("UPDATE backtests SET state = 'running', attempts = 1, lease_until_us = :until")
    demo_levels.show_levels()
    assert rows("SELECT state FROM backtests ORDER BY id") == ["cancelled", "done"]
    assert state() == at_once


def stopping(step: str, patch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a step that stops the demo after it."""
    module, name = step.rsplit(".", 1)
    works = getattr(__import__(module, fromlist=[name]), name)

    def stop(*arguments: Any, **options: Any) -> None:
        patch.undo()
        works(*arguments, **options)
        raise StoppedError

    return stop


def state() -> Mapping[str, Any]:
    """What a demo left: the rows of each table by their number, the levels, the versions and the decisions."""
    engine = open_current_database()
    names = set(inspect(engine).get_table_names()) - OF_THE_WAY
    engine.dispose()
    counts = {name: rows(f"SELECT count(*) FROM {name}") for name in sorted(names)}
    queries = (
        "SELECT level FROM standings ORDER BY entity_id",
        "SELECT number FROM ruleset_versions",
        "SELECT action FROM decisions ORDER BY id",
        "SELECT state FROM policies",
    )
    return counts | {query: rows(query) for query in queries}


def rows(query: str) -> list[Any]:
    engine = open_current_database()
    with engine.connect() as connection:
        found = list(connection.scalars(text(query)))
    engine.dispose()
    return found


def execute(statement: str) -> None:
    """Change rows; `until` is the end of a lease that still holds."""
    engine = open_current_database()
    with engine.begin() as connection:
        connection.execute(text(statement), {"until": now_microseconds() + 300_000_000})
    engine.dispose()
