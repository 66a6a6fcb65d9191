"""`fivefold models`, `promote` and `rollback`: who serves, since when, and who decided that."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path

import pytest

from fivefold.domain.settings import Settings
from fivefold.models.registry import JUDGED_AS_OF_TAG, Registry
from tests.cli.running import Home, cells, refuse, run, succeed


def champions(var: Path) -> list[str]:
    return [row[0] for row in cells(succeed(var, "models"), "fivefold-value") if row[1] == "champion"]


def test_models_lists_versions_with_aliases_and_metrics(home: Home) -> None:
    newer, older = cells(succeed(home.var, "models"), "fivefold-value")
    assert newer[:2] == ["2", "challenger"]
    assert older[:2] == ["1", "champion"]
    today = datetime.now(UTC).date()
    assert older[2] in {str(today), str(today - timedelta(days=1))}
    assert older[3] == "2024-10-02"
    assert older[4:] == newer[4:]
    assert all(re.fullmatch(r"0\.\d{4}", metric) for metric in older[4:])


def test_models_tells_every_promotion(home: Home) -> None:
    out = succeed(home.var, "models", columns=400)
    (promotion,) = cells(out, "Promotions")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", promotion[0])
    assert promotion[1:] == ["version 1", f"promote by {getuser()}"]
    reason = rf"{promotion[0]}, version 1: normalised Gini .* was judged on for the first.*"
    assert re.fullmatch(reason, out.splitlines()[-1]), "whole, and in no cell"


def test_a_refitted_version_is_told_with_the_day_of_the_model_that_was_judged(registry: Path) -> None:
    own = Registry(Settings(var=registry), "fivefold-value")
    own.client.set_model_version_tag(own.name, "1", JUDGED_AS_OF_TAG, "1704067200000000")
    out = succeed(registry, "models", columns=400)
    assert "Version 1 was refitted on everything up to 2024-10-02; its figures are those of the judged model" in out
    assert "whose test as-of was 2024-01-01." in out
    assert [row[3] for row in cells(out, "fivefold-value")] == ["2024-10-02", "2024-01-01"]


def test_a_tie_is_not_promoted_without_a_word(registry: Path) -> None:
    said = refuse(registry, "promote", 2)
    assert said.startswith("version 2 is not promoted: the gate said: ")
    assert re.search(r"normalised Gini (0\.\d{4}) does not beat champion \1:", said)
    assert said.endswith("; overrule with --force --reason TEXT")
    assert refuse(registry, "promote", 2, "--force").startswith("--force needs --reason TEXT")
    assert champions(registry) == ["1"]


def test_force_promotes_and_rollback_takes_back(registry: Path) -> None:
    why = "[/new] fee schedule :money:"
    out = succeed(registry, "promote", 2, "--force", "--reason", why, columns=400)
    assert out == f"Version 2 is the champion now instead of version 1. Recorded: {getuser()}, {why}\n"
    assert champions(registry) == []  # both aliases are on version 2
    assert re.search(r"^2 +challenger, champion ", succeed(registry, "models"), re.MULTILINE)

    out = succeed(registry, "rollback", "--reason", "complaints", columns=400)
    assert out == f"Version 1 is the champion now instead of version 2. Recorded: {getuser()}, complaints\n"
    assert champions(registry) == ["1"]
    out = succeed(registry, "models", columns=400)
    made = cells(out, "Promotions")[1:]
    assert [row[1:] for row in made] == [
        ["version 2 instead of version 1", f"promote (forced) by {getuser()}"],
        ["version 1 instead of version 2", f"rollback by {getuser()}"],
    ]
    reasons = [f"{made[0][0]}, version 2: {why}", f"{made[1][0]}, version 1: complaints"]
    assert out.splitlines()[-2:] == reasons
    assert refuse(registry, "rollback").endswith("nothing to roll back to: no version was champion before version 1")


@pytest.fixture
def tokens(registry: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The tokens of an administrator and an investigator, whose organisation does not ask for two people."""
    monkeypatch.delenv("FIVEFOLD_TOKEN", raising=False)
    found = {"unknown": "garbage"}
    for name, role in (("ada", "admin"), ("eve", "investigator")):
        succeed(registry, "members", "add", name, "--role", role)
        found[name] = run(registry, "tokens", "create", "--role", role, "--member", name).out.strip()
    return found


def test_a_token_says_who_promotes_and_rolls_back(registry: Path, tokens: dict[str, str]) -> None:
    token = ("--token", tokens["ada"])
    out = succeed(registry, "promote", 2, "--force", "--reason", "new fees", *token, columns=400)
    assert out.endswith(f"Recorded: member:1 as {getuser()}, new fees\n")
    out = succeed(registry, "rollback", "--reason", "complaints", *token, columns=400)
    assert out.endswith(f"Recorded: member:1 as {getuser()}, complaints\n")
    log = succeed(registry, "audit", "show", columns=400)
    assert re.search(r"member:1 .*model\.promoted", log)
    assert re.search(r"member:1 .*model\.rolled_back", log)


@pytest.mark.parametrize(
    ("whose", "why"),
    [("unknown", "the token is not valid in default"), ("eve", "the token is of the role investigator")],
)
@pytest.mark.parametrize(
    "words",
    [("promote", 2, "--force", "--reason", "mine"), ("rollback", "--reason", "mine"), ("train",)],
    ids=lambda words: str(words[0]),
)
def test_a_token_that_is_not_valid_or_of_another_role_is_refused(
    registry: Path, tokens: dict[str, str], words: tuple[str | int, ...], whose: str, why: str
) -> None:
    refused = refuse(registry, *words, "--token", tokens[whose])
    assert refused.startswith(why)
    assert refused.endswith("; it is from --token or FIVEFOLD_TOKEN; --token '' acts as this machine's account")
    assert champions(registry) == ["1"]


def test_what_served_on_a_day_is_told(registry: Path) -> None:
    day = cells(succeed(registry, "models", columns=400), "Promotions")[0][0][:10]
    assert len(cells(succeed(registry, "models", "--on", day), f"fivefold-value: what served on {day}")) == 1
    assert succeed(registry, "models", "--on", "2020-01-01") == "fivefold-value: what served on 2020-01-01: none\n"
    later = succeed(registry, "models", "--on", "2099-01-01T12:00:00+01:00", columns=400)
    day = "fivefold-value: what served on 2099-01-01T12:00:00+01:00"
    assert [row[1:] for row in cells(later, day)] == [["version 1", f"promote by {getuser()}"]]
    assert ", version 1: normalised Gini " in later


def test_versions_that_cannot_be_promoted_are_named(registry: Path) -> None:
    assert refuse(registry, "promote", 1) == "version 1 is the champion already"
    assert refuse(registry, "promote", 99) == "fivefold-value has no version 99; there are: 2, 1"
    assert refuse(registry, "promote", 1, "--name", "other").startswith("other has no version 1; there are: none yet")
    assert refuse(registry, "rollback", "--name", "other").startswith("there is nothing to roll back to")


def test_an_alias_of_a_version_that_is_not_there_is_named(registry: Path) -> None:
    with closing(sqlite3.connect(registry / "mlflow.db")) as database, database:
        database.execute("UPDATE registered_model_aliases SET version = 77 WHERE alias = 'champion'")
    said = run(registry, "models", columns=400)
    assert said.code == 0
    assert "warning: the alias champion names version 77, which does not exist" in said.err
    assert succeed(registry, "rollback", columns=400).startswith("Version 1 is the champion now.")


def test_a_name_without_versions_says_what_to_do(home: Home) -> None:
    words = succeed(home.var, "models", "--name", "other", columns=400)
    assert words == (
        f"other has no versions in {home.var}: models there are fivefold-value; a command takes one by --name, the "
        "service and workers by FIVEFOLD_MODEL\n"
    )


def test_where_all_versions_were_deleted_the_list_says_so_and_shows_the_promotions(registry: Path) -> None:
    own = Registry(Settings(var=registry), "fivefold-value")
    for number in own.numbers():
        own.client.delete_model_version(own.name, str(number))
    said = succeed(registry, "models", columns=400)
    assert said.startswith(
        f"fivefold-value has no versions left in {registry}: those that were promoted were deleted. "
    )
    assert " yet " not in said
    (promotion,) = cells(said, "Promotions")
    assert promotion[1] == "version 1"


def test_where_nothing_was_trained_the_list_says_so_and_creates_nothing(tmp_path: Path) -> None:
    for options in ((), ("--on", "2025-01-01")):
        assert "has no versions in " in succeed(tmp_path / "var", "models", *options)
    assert not (tmp_path / "var" / "mlflow.db").exists()


@pytest.mark.parametrize(
    "words",
    [("promote", 1), ("rollback",), ("drift",), ("score", "rows.csv", "-o", "a.csv")],
    ids=lambda words: str(words[0]),
)
def test_where_nothing_was_trained_a_command_is_refused_and_creates_nothing(
    words: tuple[str | int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker would take an empty registry for one whose champion was withdrawn."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("user_id\n")
    said = refuse(tmp_path / "var", *words)
    assert said == (
        f"fivefold-value has no versions in {tmp_path / 'var'}: if it was trained before, look for its registry, which "
        "FIVEFOLD_VAR or MLFLOW_TRACKING_URI names; if not, run `fivefold train`"
    )
    assert not (tmp_path / "var" / "mlflow.db").exists()


def test_tables_fit_a_narrow_terminal(registry: Path) -> None:
    succeed(registry, "promote", 2, "--force", "--reason", "because " * 30)
    out = succeed(registry, "models", columns=80)
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  version 2 instead of version 1  promote", out, re.MULTILINE)
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, version 2: because because ", out, re.MULTILINE)
