"""One bad row of any file fails the entity that it is about, says so, and fails no other."""

from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import refuse, run

RULES = """
ruleset: portfolio
entity_type: customer
fields: {age: number}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
rules:
  - {id: vip, title: Vip, category: other, input: {tag: vip}, cases: [{when: present, points: 10}]}
  - {id: pep, title: Pep, category: other, input: {screening: pep}, cases: [{when: present, floor: high}]}
  - {id: age, title: Age, category: other, input: {field: age}, cases: [{when: {below: 25}, points: 10}]}
  - id: paid
    title: Paid
    category: other
    input: {count: transactions}
    cases: [{when: {at_least: 2}, points: 50}]
"""
GOOD = {
    "entities": "entity_id,age,known_at\na,20,2024-01-01\nb,20,2024-01-01\n",
    "tags": "entity_id,tag,from\nb,vip,2024-01-01\n",
    "screenings": "entity_id,screening,found,at\na,pep,false,2024-01-01\nb,pep,false,2024-01-01\n",
    "transactions": "entity_id,transaction_id,transaction_amount,transaction_currency,transaction_date,"
    "transaction_state\n"
    "b,1,5,EUR,2024-01-01,COMPLETED\n",
}


def assessed(folder: Path, **more: str) -> tuple[dict[str, tuple[str, str | None]], str]:
    """Assess a and b, whose files have some *more* rows; give status and level of each, and what was warned of."""
    (folder / "rules.yaml").write_text(RULES)
    for part, rows in GOOD.items():
        (folder / f"{part}.csv").write_text(rows + more.get(part, ""))
    linked = [word for part in list(GOOD)[1:] for word in (f"--{part}", folder / f"{part}.csv")]
    asked = ("rules", "assess", folder / "rules.yaml", folder / "entities.csv", *linked, "--as-of", "2024-07-01")
    done = run(folder, *asked, "--output", folder / "levels.parquet")
    table = pl.read_parquet(folder / "levels.parquet")
    assert done.code == int("failed" in table["status"].to_list()), done.err
    return {row["entity_id"]: (row["status"], row["level"]) for row in table.iter_rows(named=True)}, done.err


def test_where_every_row_is_right_nothing_is_warned_of(tmp_path: Path) -> None:
    found, warned = assessed(tmp_path)
    assert found == {"a": ("assessed", "medium"), "b": ("assessed", "medium")}
    assert warned == ""


@pytest.mark.parametrize(
    "bad",
    [
        {"tags": "a,vip,soon\n"},
        {"screenings": "a,pep,perhaps,2024-02-01\n"},
        {"screenings": "a,pep,false,soon\n"},
        {"entities": "a,30,soon\n"},
        {"transactions": "a,2,many,EUR,2024-01-01,COMPLETED\n"},
        {"transactions": "a,2,5,EUR,soon,\n"},
        {"transactions": "a,2,5,EUR,2024-01-01,\na,2,6,EUR,2024-01-01,\n"},
    ],
)
def test_a_bad_row_fails_the_entity_that_it_is_about_and_no_other(tmp_path: Path, bad: dict[str, str]) -> None:
    found, warned = assessed(tmp_path, **bad)
    assert found["a"][0] == "failed"
    assert found["b"] == ("assessed", "medium")
    assert "1 failed: a" in warned


@pytest.mark.parametrize("state", ["FAILED", "PENDING", "EXPIRED"])
def test_an_unreadable_transaction_that_does_not_count_fails_no_one(tmp_path: Path, state: str) -> None:
    found, warned = assessed(tmp_path, transactions=f"a,2,many,EUR,2024-01-01,{state}\na,3,5,EUR,soon,{state}\n")
    assert found["a"] == ("assessed", "medium")
    assert warned == ""


def test_rows_of_entities_that_were_not_read_are_counted_and_named(tmp_path: Path) -> None:
    found, warned = assessed(tmp_path, tags="c,vip,2024-01-01\nc,vip,2024-01-01\n,vip,2024-01-01\n")
    assert found["b"] == ("assessed", "medium")
    assert "2 of the 4 rows of" in warned
    assert "tags.csv are of no entity that was read, such as 'c'" in warned
    assert "1 of the 4 rows of" in warned
    assert "tags.csv have no entity_id, and count for no entity" in warned


def test_an_entity_without_an_identifier_is_left_out_and_counted(tmp_path: Path) -> None:
    found, warned = assessed(tmp_path, entities=",20,2024-01-01\n")
    assert found == {"a": ("assessed", "medium"), "b": ("assessed", "medium")}
    assert "1 of the 3 entities of" in warned
    assert "have no entity_id, and are not assessed: 3 (the first is 1)" in warned
    (tmp_path / "nameless.csv").write_text("entity_id,age\n,20\n")
    asked = ("rules", "assess", tmp_path / "rules.yaml", tmp_path / "nameless.csv")
    assert "has no row with an entity_id" in refuse(tmp_path, *asked)


def test_the_breakdown_says_what_could_not_be_read(tmp_path: Path) -> None:
    assessed(tmp_path, entities="a,30,soon\n")
    linked = [word for part in list(GOOD)[1:] for word in (f"--{part}", tmp_path / f"{part}.csv")]
    asked = ("rules", "assess", tmp_path / "rules.yaml", tmp_path / "entities.csv", *linked, "--as-of", "2024-07-01")
    said = run(tmp_path, *asked, "--explain", "a").out
    plain = " ".join(said.split())
    assert "age is not known, since known_at is soon; it must be an ISO 8601" in plain
    assert "which is no finite number" not in plain
