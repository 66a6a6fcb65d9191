"""Files that say nothing, where they were probably meant to."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import Done, run

RULES = """
ruleset: marks
entity_type: customer
fields: {age: number}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
rules:
  - {id: vip, title: Vip, category: other, input: {tag: very-important}, cases: [{when: present, points: 10}]}
  - {id: pep, title: Pep, category: other, input: {screening: pep}, cases: [{when: present, floor: high}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "people.csv").write_text("entity_id,age\n1,30\n2,40\n")
    return tmp_path


def assessed(folder: Path, tags: str, screenings: str) -> Done:
    (folder / "tags.csv").write_text(f"entity_id,tag\n{tags}")
    (folder / "found.csv").write_text(f"entity_id,screening,found\n{screenings}")
    files = ("--tags", folder / "tags.csv", "--screenings", folder / "found.csv")
    return run(folder, "rules", "assess", folder / "rules.yaml", folder / "people.csv", *files)


def test_rows_of_nobody_who_was_read_are_told(folder: Path) -> None:
    done = assessed(folder, "001,very-important\n002,very-important\n", "1,pep,true\n9,pep,true\n")
    assert done.code == 0
    assert "none of the 2 rows of" in done.err
    assert "tags.csv is of an entity that was read; it has '001', where entities are called '1'" in done.err
    assert "1 of the 2 rows of" in done.err
    assert "found.csv are of no entity that was read, such as '9'" in done.err


def test_rows_of_transactions_are_counted_as_is_said_and_name_one_owner(folder: Path) -> None:
    of_rows = "input: {count: transactions}, cases: [{when: {above: 9}, points: 1}]}"
    (folder / "rules.yaml").write_text(f"{RULES}  - {{id: n, title: N, category: other, {of_rows}\n")
    columns = "entity_id,user_id,transaction_id,transaction_date,transaction_amount,transaction_currency"
    rows = ["1,2,t1,20240201,5,EUR", "9,1,t2,2024-02-01,5,EUR", "9,1,t2,2024-02-01,5,EUR"]
    (folder / "rows.csv").write_text("\n".join([columns, *rows, ""]))
    (folder / "t.csv").write_text("entity_id,tag\n")
    (folder / "s.csv").write_text("entity_id,screening,found\n")
    given = ("--transactions", folder / "rows.csv", "--tags", folder / "t.csv", "--screenings", folder / "s.csv")
    done = run(folder, "rules", "assess", folder / "rules.yaml", folder / "people.csv", "--as-of", "2024-03-31", *given)
    assert "1 of the 2 rows of" in done.err
    assert "rows.csv (exact repeats counted once) are of no entity that was read, such as '9'" in done.err
    assert "rows.csv has entity_id and user_id: a row is of the entity that entity_id names" in done.err
    assert "transaction_date is 20240201; allowed: an ISO 8601 date or time such as 2024-06-30," in done.err


@pytest.mark.parametrize(("tag", "screening"), [("Very important", "PEP"), ("VERY_IMPORTANT", "Pep")])
def test_words_in_other_letters_than_the_ruleset_s_are_told(folder: Path, tag: str, screening: str) -> None:
    err = assessed(folder, f"1,{tag}\n", f"1,{screening},true\n").err
    assert f"there are tags called {tag!r}; ruleset marks asks for 'very-important' alone" in err
    assert f"there are screenings called {screening!r}; ruleset marks asks for 'pep' alone" in err


def test_files_that_fit_and_empty_ones_are_not_complained_of(folder: Path) -> None:
    assert assessed(folder, "1,very-important\n1,other\n", "1,pep,false\n").err == ""
    assert assessed(folder, "", "").err == ""


def test_an_override_of_nobody_who_was_read_is_told(folder: Path) -> None:
    (folder / "overrides.csv").write_text("entity_id,level,until\n01,high,\n")
    given = ("--overrides", folder / "overrides.csv", "--tags", folder / "t.csv", "--screenings", folder / "s.csv")
    (folder / "t.csv").write_text("entity_id,tag\n")
    (folder / "s.csv").write_text("entity_id,screening,found\n")
    done = run(folder, "rules", "assess", folder / "rules.yaml", folder / "people.csv", *given)
    assert "overrides.csv is of an entity that was read; it has '01'" in done.err


INDICATOR_RULES = RULES.split("rules:\n", maxsplit=1)[0] + (
    "rules:\n"
    "  - {id: age, title: Age, category: other, input: {indicator: account_age},\n"
    "     cases: [{when: absent, points: 1}]}\n"
)


def test_indicators_without_transactions_are_refused_by_the_option_that_is_missing(folder: Path) -> None:
    (folder / "rules.yaml").write_text(INDICATOR_RULES)
    done = run(folder, "rules", "assess", folder / "rules.yaml", folder / "people.csv")
    assert done.code == 2
    assert "reads indicators or the value, which are computed from --transactions" in done.err


@pytest.mark.parametrize("owner", ["user_id", "entity_id"])
@pytest.mark.parametrize("row", ["1,2024-06-30T12:00:00,5\n", ""])
def test_a_missing_column_is_named_beside_the_columns_of_the_file_alone(folder: Path, owner: str, row: str) -> None:
    (folder / "rules.yaml").write_text(INDICATOR_RULES)
    (folder / "rows.csv").write_text(f"{owner},transaction_date,amount\n{row}")
    given = ("--transactions", folder / "rows.csv")
    done = run(folder, "rules", "assess", folder / "rules.yaml", folder / "people.csv", *given)
    assert done.code == 2
    assert "rows.csv has no column transaction_amount; it has user_id, transaction_date, amount; needed are" in done.err


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_transactions_that_end_long_before_the_as_of_are_warned_of(suffix: str, folder: Path) -> None:
    """As where the export of this month failed: sums of the last 30 days fall, and levels with them."""
    paid = {"input": {"sum": "amount", "over": "30 days"}, "cases": [{"when": {"at_least": 9}, "points": 10}]}
    rules = (
        RULES.partition("rules:")[0]
        + f"rules:\n  - {json.dumps({'id': 'paid', 'title': 'Paid', 'category': 'other', **paid})}\n"
    )
    (folder / "rules.yaml").write_text(rules)
    days = [datetime(2024, 1, 1) + timedelta(hours=number) for number in range(1_000)]  # noqa: DTZ001 (no zone means UTC)
    rows = pl.DataFrame({"user_id": "1", "transaction_date": days, "transaction_amount": [-1.0] + [1.0] * 999})
    path = folder / f"rows{suffix}"
    rows = rows.with_columns(transaction_currency=pl.lit("EUR"))

    def warned(written: pl.DataFrame, as_of: str) -> str:
        written.write_csv(path) if suffix == ".csv" else written.write_parquet(path)
        given = ("--transactions", path, "--as-of", as_of)
        done = run(folder, "rules", "assess", folder / "rules.yaml", folder / "people.csv", *given)
        assert done.code == 0
        return done.err

    assert warned(rows, "2024-02-18") == ""
    assert "is 28 days older than the as-of, 2024-03-11: if the file is not whole" in warned(rows, "2024-03-11")
    assert warned(rows.head(999), "2024-03-11") == "", "of few rows a pause is usual"
