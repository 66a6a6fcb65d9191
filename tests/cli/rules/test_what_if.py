"""`fivefold rules what-if`: the smallest changes that would move a level, and which factors cannot."""

from pathlib import Path

import pytest

from tests.cli.rules_files import write_files
from tests.cli.running import Home, refuse, run, succeed

RULES = """
ruleset: tiny
entity_type: customer
fields: {country: country, age: number}
transaction_fields: {operation: text}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
cooldown: 30 days
rules:
  - id: country
    title: Country
    category: geography
    input: {field: country}
    cases: [{when: {in_list: fatf-call-for-action}, points: 60, floor: high}]
  - id: cash
    title: Cash
    category: transaction execution
    input: {sum: amount, where: {field: operation, equals: cash}, over: 30 days}
    changeable: down
    cases: [{when: {at_least: 100.30}, points: 20}]
"""
ENTITIES = "entity_id,country,age\na,DE,30\nb,IR,\nd,Germany,\n"
ROWS = """user_id,transaction_amount,transaction_currency,transaction_date,operation
a,-100.10,EUR,2024-06-20,cash
a,-0.20,EUR,2024-07-01,cash
b,-900,EUR,2024-06-20,cash
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path, RULES, ENTITIES, ROWS)


def asked(folder: Path, entity: str, *more: str | Path) -> tuple[str | Path, ...]:
    files = (folder / "rules.yaml", folder / "entities.csv", "--transactions", folder / "rows.csv")
    return ("rules", "what-if", *files, "--as-of", "2024-07-01", "--entity", entity, *more)


def test_the_nearest_change_is_shown(home: Home, folder: Path) -> None:
    told = succeed(home, *asked(folder, "a"))
    assert "100.30 EUR → below 100.30 EUR" in told
    assert "low, from 2024-07-31 on: the level now is held until then" in told
    assert "Country" not in told


def test_a_floor_that_nobody_can_change_is_named(home: Home, folder: Path) -> None:
    told = succeed(home, *asked(folder, "b"))
    assert "No change of one or two factors" in told
    assert "Cash    not alone" in told
    assert "cannot be changed by a person: Country" in told


def test_what_cannot_be_said(home: Home, folder: Path) -> None:
    assert "the level was not assessed in full" in run(home, *asked(folder, "d")).out
    assert "Nothing to change" in succeed(home, *asked(folder, "b", "--up"))
    assert "nobody" in refuse(home, *asked(folder, "nobody"))
    assert "perhaps" in refuse(home, *asked(folder, "a", "--level", "hig"))


def test_the_ruleset_that_decides_is_asked(home: Home, folder: Path) -> None:
    """The elder are decided on by another ruleset, which knows nothing of cash."""
    elder = RULES.replace("ruleset: tiny", "ruleset: elder\napplies_to: {field: age, at_least: 30}")
    elder = elder.replace("points: 20", "points: 15").replace("at_least: 100.30", "at_least: 50")
    (folder / "elder.yaml").write_text(elder)
    told = succeed(home, *asked(folder, "a", "--first", folder / "elder.yaml"))
    assert "a: medium by elder, as of 2024-07-01" in told
    assert "100.30 EUR → below 50.00 EUR" in told
    told = succeed(home, *asked(folder, "a", "--then", folder / "elder.yaml"))
    assert "a: medium by tiny, as of 2024-07-01" in told
    assert "100.30 EUR → below 100.30 EUR" in told
    assert "by tiny" not in succeed(home, *asked(folder, "a"))
    (folder / "other.yaml").write_text(elder.replace("[low, medium, high]", "[low, mid, high]"))
    assert "must have the same" in refuse(home, *asked(folder, "a", "--first", folder / "other.yaml"))


def test_a_change_after_which_another_ruleset_may_decide_is_not_promised(home: Home, folder: Path) -> None:
    cash = "{sum: amount, where: {field: operation, equals: cash}, over: 30 days}"
    applies = f"calculate: {{spent: {{unit: money, of: {cash}}}}}\napplies_to: {{calculation: spent, below: 100}}"
    (folder / "poor.yaml").write_text(RULES.replace("ruleset: tiny", f"ruleset: poor\n{applies}"))
    told = succeed(home, *asked(folder, "a", "--first", folder / "poor.yaml"))
    assert "No change of one or two factors" in told
    assert "Cash    not decided" in told


def test_what_holds_the_level_is_told(home: Home, folder: Path) -> None:
    (folder / "rows.csv").write_text(ROWS.replace("-100.10", "-1.10"))
    (folder / "held.csv").write_text("entity_id,rules_level,entered\na,medium,2024-06-20\n")
    told = succeed(home, *asked(folder, "a", "--previous", folder / "held.csv"))
    assert "The cooldown holds medium until 2024-07-20." in told
    assert "Nothing to change: the score and the floors already give low." in told
    (folder / "set.csv").write_text("entity_id,level,until\na,high,2024-08-01\n")
    told = succeed(home, *asked(folder, "a", "--overrides", folder / "set.csv"))
    assert "An override holds high until 2024-08-01." in told
    both = ("--previous", folder / "held.csv", "--overrides", folder / "set.csv")
    told = succeed(home, *asked(folder, "a", *both))
    assert "until 2024-08-01. Beneath it: The cooldown holds medium until 2024-07-20." in told


def test_a_floor_that_is_above_an_override_and_beneath_it_is_told_once(home: Home, folder: Path) -> None:
    (folder / "set.csv").write_text("entity_id,level,until\nb,low,\n")
    to_low = ("--overrides", folder / "set.csv")
    files = (folder / "rules.yaml", folder / "entities.csv", "--transactions", folder / "rows.csv")
    before = folder / "before.parquet"
    run(home, "rules", "assess", *files, "--as-of", "2024-06-30", *to_low, "--output", before)
    (folder / "entities.csv").write_text(ENTITIES.replace("b,IR", "b,"))
    told = succeed(home, *asked(folder, "b", "--previous", before, *to_low))
    assert (
        "\nA floor holds high until 2024-07-31. Beneath it: An override holds low. "
        "Beneath it: Once the floor has ended, the rules say medium.\n"
    ) in told
