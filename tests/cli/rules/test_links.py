"""`fivefold rules assess … --links`: who is linked to whom, from a file."""

import json
from pathlib import Path

import pytest

from tests.cli.running import refuse, run, succeed

RULES = """
ruleset: homes
entity_type: customer
fields: {income: number}
links: {household: {kind: shared}}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
rules:
  - id: together
    title: Together
    category: other
    input: {linked: {by: household, itself: true, sum: {field: income}}}
    cases: [{when: {at_least: 100}, points: 20}]
    on_unknown: {points: 5}
"""
LINKS = "type,from,to,valid_from,valid_until\nhousehold,a,H1,,\nhousehold,b,H1,2024-01-01,2024-06-01\nhousehold,c,,,\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("rules.yaml", RULES), ("people.csv", "entity_id,income\na,60\nb,50\nc,70\nd,80\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "links.csv").write_text(LINKS)
    return tmp_path


def asked(folder: Path, as_of: str, *more: str | Path) -> tuple[str | Path, ...]:
    return ("rules", "assess", folder / "rules.yaml", folder / "people.csv", "--as-of", as_of, *more)


def points(folder: Path, as_of: str, *more: str | Path) -> dict[str, str]:
    succeed(folder, *asked(folder, as_of, "--links", folder / "links.csv", "--breakdowns", folder / "b.jsonl", *more))
    return totals(folder)


def totals(folder: Path) -> dict[str, str]:
    lines = map(json.loads, (folder / "b.jsonl").read_text().splitlines())
    return {line["entity"]: line["total"] for line in lines}


def test_links_hold_while_they_are_valid_and_nothing_on_record_is_unknown(folder: Path) -> None:
    assert points(folder, "2024-05-31") == {"a": "20", "b": "20", "c": "0", "d": "5"}
    assert points(folder, "2024-06-01") == {"a": "0", "b": "0", "c": "0", "d": "5"}


def test_columns_have_the_names_that_they_are_given(folder: Path) -> None:
    (folder / "links.csv").write_text("type,customer,to\nhousehold,a,H1\nhousehold,b,H1\n")
    mapped = points(folder, "2024-05-31", "--map", "links.customer=from")
    assert mapped == {"a": "20", "b": "20", "c": "5", "d": "5"}


def test_a_type_that_no_line_has_and_ends_that_nobody_knows_are_told(folder: Path) -> None:
    (folder / "links.csv").write_text("type,from,to\nhousehould,x,H1\nhousehould,,H2\n")
    done = run(folder, *asked(folder, "2024-05-31", "--links", folder / "links.csv"))
    assert done.code == 0
    assert "household" in done.err
    assert "perhaps househould" in done.err
    assert "'x'" in done.err
    assert "has links of the type househould, which no ruleset here declares; perhaps household" in done.err


def test_directed_links_to_nobody_who_was_read_are_told(folder: Path) -> None:
    directed = RULES.replace("kind: shared", "kind: directed").replace("by: household,", "by: household, way: to,")
    (folder / "rules.yaml").write_text(directed)
    (folder / "links.csv").write_text("type,from,to\nhousehold,a,b\nhousehold,a,acmee\n")
    done = run(folder, *asked(folder, "2024-05-31", "--links", folder / "links.csv"))
    assert (done.code, "1 of the 2 directed links of" in done.err, "such as 'acmee'" in done.err) == (0, True, True)


def test_a_torn_line_makes_that_one_unknown(folder: Path) -> None:
    (folder / "links.csv").write_text("type,from,to\nhousehold,a,H1,too,many\nhousehold,a,H1\nhousehold,b,H1\n")
    done = run(
        folder, *asked(folder, "2024-05-31", "--links", folder / "links.csv", "--breakdowns", folder / "b.jsonl")
    )
    assert "row 2" in done.err
    assert totals(folder) == {"a": "5", "b": "20", "c": "5", "d": "5"}


def test_links_that_are_read_must_be_given_with_their_columns(folder: Path) -> None:
    assert "household" in refuse(folder, *asked(folder, "2024-05-31"))
    (folder / "links.csv").write_text("kind,from,to\nhousehold,a,H1\n")
    assert "type" in refuse(folder, *asked(folder, "2024-05-31", "--links", folder / "links.csv"))


def test_a_link_with_a_moment_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "links.csv").write_text(LINKS.replace("H1,2024-01-01", "H1,yesterday"))
    done = run(folder, *asked(folder, "2024-05-31", "--links", folder / "links.csv"))
    assert done.code == 0
    assert "the link household from 'b' to 'H1' has 'yesterday' in valid_from" in " ".join(done.err.split())
    assert "household from 'a'" not in done.err
