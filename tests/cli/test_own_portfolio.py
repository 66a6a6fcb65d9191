"""A portfolio in the files that a bank has: German headers, semicolons, gzip, a torn line and one too long."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import Done, refuse, run

RULES = """
ruleset: own
entity_type: customer
fields: {age: number}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
optional_tables: [tags, cases]
rules:
  - {id: age, title: Age, category: other, input: {field: age}, cases: [{when: {below: 25}, points: 10}]}
  - {id: vip, title: Vip, category: other, input: {tag: vip}, cases: [{when: present, points: 10}]}
  - id: paid
    title: Paid
    category: other
    input: {count: transactions}
    cases: [{when: {at_least: 2}, points: 50}]
"""
SCREENED = """
  - {id: pep, title: Pep, category: other, input: {screening: pep}, cases: [{when: present, floor: high}]}
"""
VALUED = """
  - id: days
    title: Days
    category: other
    input: {indicator: NAME}
    cases: [{when: {at_least: 0}, points: 10}]
"""
PEOPLE = "kundennummer;alter\na;30\nb;30\nc;30\n"
PAID = (
    "vorgang;kunde;betrag;währung;buchungstag;saldo\n"
    "1;a;5,5\n2;a;5;EUR;2024-01-01;10\n3;b;5;EUR;2024-01-01;10\n4;b;6;EUR;2024-01-02;16\n"
)
MAP = (
    "kundennummer=entity_id",
    "alter=age",
    "transactions.kunde=entity_id",
    "vorgang=transaction_id",
    "betrag=transaction_amount",
    "währung=transaction_currency",
    "buchungstag=transaction_date",
    "saldo=user_balance",
)


def asked(folder: Path, *more: object, rules: str = RULES, people: str = PEOPLE, paid: str = PAID) -> list[object]:
    (folder / "rules.yaml").write_text(rules)
    (folder / "kunden.csv.gz").write_bytes(gzip.compress(people.encode("utf-8-sig")))
    (folder / "umsätze.csv.gz").write_bytes(gzip.compress(paid.encode()))
    names = [word for pair in MAP for word in ("--map", pair)]
    files = [folder / "kunden.csv.gz", "--transactions", folder / "umsätze.csv.gz"]
    return ["rules", "assess", folder / "rules.yaml", *files, "--as-of", "2024-07-01", *names, *more]


def assessed(folder: Path, *more: object, **given: str) -> tuple[dict[str, tuple[str, str | None]], Done]:
    done = run(folder, *asked(folder, *more, **given), "--output", folder / "levels.parquet")
    table = pl.read_parquet(folder / "levels.parquet")
    assert done.code == int("failed" in table["status"].to_list()), done.err
    return {row["entity_id"]: (row["status"], row["level"]) for row in table.iter_rows(named=True)}, done


def test_a_torn_line_fails_its_customer_alone_and_is_named_by_its_row(tmp_path: Path) -> None:
    found, done = assessed(tmp_path)
    assert found == {"a": ("failed", None), "b": ("assessed", "high"), "c": ("assessed", "low")}
    assert "1 row of" in done.err
    assert "row 2: line has 3 fields; allowed: 6 fields, one for each column of the header" in done.err
    said = run(tmp_path, *asked(tmp_path, "--explain", "a"))
    assert "row 2 of umsätze.csv.gz has 3 fields" in " ".join((said.out + said.err).split())


def test_a_line_too_long_among_the_customers_fails_that_customer(tmp_path: Path) -> None:
    found, done = assessed(tmp_path, people=PEOPLE.replace("b;30", "b;30;x"), paid=PAID.replace("1;a;5,5\n", ""))
    assert found == {"a": ("assessed", "low"), "c": ("assessed", "low"), "b": ("failed", None)}
    assert "row 3: line has 3 fields" in done.err


def test_a_field_that_may_have_been_cut_names_nobody(tmp_path: Path) -> None:
    found, done = assessed(tmp_path, paid=PAID.replace("1;a;5,5\n", "1;a\n"))
    assert found["a"] == ("assessed", "low"), "the line may have been about a customer a7"
    assert "1 of the 4 rows of" in done.err
    assert "have no entity_id, and count for no entity" in done.err


@pytest.mark.parametrize("part", ["tags", "screenings", "cases"])
def test_a_torn_line_of_any_file_fails_its_customer(tmp_path: Path, part: str) -> None:
    rules = RULES + {"screenings": SCREENED, "cases": CASES}.get(part, "")
    (tmp_path / "more.csv").write_text(GOOD[part] + "b,2024-01-01,x,y,z,zz\n")
    found, _ = assessed(tmp_path, f"--{part}", tmp_path / "more.csv", rules=rules, paid=PAID.replace("1;a;5,5\n", ""))
    assert found["a"] == ("assessed", "low")
    assert found["b"] == ("failed", None)


CASES = """
  - id: cases
    title: Cases
    category: other
    input: {count: cases}
    cases: [{when: {at_least: 1}, points: 10}]
"""
GOOD = {
    "tags": "entity_id,tag,from,until,by\na,other,2024-01-01,,x\n",
    "screenings": "entity_id,screening,found,at,by\na,pep,false,2024-01-01,x\nc,pep,false,2024-01-01,x\n",
    "cases": "entity_id,opened,closed,outcome,by\nc,2024-01-01,,,x\n",
}


@pytest.mark.parametrize("bad", ["1;a;5,5\n", "1;a;5,50;EUR;2024-01-01;10\n", "1;a;5;XXX;2024-01-01;10\n"])
def test_indicators_of_a_customer_with_a_bad_row_fail_with_the_reason_and_no_others(tmp_path: Path, bad: str) -> None:
    from fivefold.features.indicator_matrix import catalogue

    name = next(name for name in catalogue().names if name.startswith("deposit"))
    paid = PAID.replace("1;a;5,5\n", bad)
    rules = RULES[: RULES.index("  - id: paid")] + VALUED.replace("NAME", name)
    found, _ = assessed(tmp_path, rules=rules, paid=paid)
    assert found["a"] == ("failed", None)
    assert found["b"][0] == "assessed"
    said = run(tmp_path, *asked(tmp_path, "--explain", "a", rules=rules, paid=paid))
    words = {"1;a;5,5\n": "has 3 fields", "1;a;5,50;EUR;2024-01-01;10\n": "transaction_amount is '5,50'"}
    assert words.get(bad, "transaction_currency is 'XXX'") in " ".join((said.out + said.err).split())
    later = paid.replace("2024-01-01", "2025-01-01", 1) if "2024" in bad else paid
    assert assessed(tmp_path, rules=rules, paid=later)[0]["a"][0] == ("assessed" if "2024" in bad else "failed")


def test_a_name_of_no_column_and_of_no_file_is_refused(tmp_path: Path) -> None:
    clean = PAID.replace("1;a;5,5\n", "")

    def refused(pair: str) -> str:
        return refuse(tmp_path, *asked(tmp_path, "--map", pair, paid=clean))

    assert "no file has a column nobody" in refused("nobody=tag")
    assert "no file of tags was given" in refused("tags.wort=tag")
    assert "has no column wann to map" in refused("transactions.wann=x")
