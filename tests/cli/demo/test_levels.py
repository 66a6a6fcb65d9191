"""The risk half of the demo: a stored portfolio with levels, an event that raises one, and a decision on both sides."""

import re
import shlex
from pathlib import Path

import pytest

from fivefold.cli.demo import levels as demo_levels
from fivefold.cli.demo import sample
from fivefold.cli.terminal import open_current_database
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
