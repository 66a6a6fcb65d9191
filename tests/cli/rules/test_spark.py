"""`fivefold rules assess` and `backtest` with `--engine spark`: the same files and words, and what is refused first."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.cli.rules.test_assess import ENTITIES, ROWS, RULES
from tests.cli.rules_files import write_files
from tests.cli.running import Home, finish, refuse, run, start

MASTER = ("--engine", "spark", "--spark-master", "local[2]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows that are not grouped by customer, with one of nobody."""
    write_files(tmp_path, RULES, ENTITIES, ROWS + "stranger,-1,EUR,2024-07-01,card\nb,5,EUR,2024-01-01,card\n")
    rows = pl.read_csv(tmp_path / "rows.csv").sample(fraction=1.0, shuffle=True, seed=2)
    rows.write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "companies.yaml").write_text(
        RULES.replace("tiny", "firms").replace("equals: person", "equals: company")
    )
    return tmp_path


def asked(folder: Path, *more: str | Path, rows: str = "rows.parquet") -> tuple[str | Path, ...]:
    files = (folder / "rules.yaml", folder / "entities.csv", "--transactions", folder / rows)
    return ("rules", "assess", *files, "--as-of", "2024-07-01", "--then", folder / "companies.yaml", *more)


def test_what_spark_cannot_do_is_refused_by_name_before_it_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    of_spark = "--spark-master and --spark-folder are for --engine spark"
    assert refuse(folder, *asked(folder, "--spark-master", "local[2]")) == of_spark
    csv = refuse(folder, *asked(folder, *MASTER, rows="rows.csv"))
    assert csv == f"{folder / 'rows.csv'} is not Parquet, and Spark reads nothing else here"
    without = refuse(folder, "rules", "assess", folder / "rules.yaml", folder / "entities.csv", *MASTER)
    assert without == "--engine spark takes --transactions: its workers read nothing else. Leave it out"
    stranger = refuse(folder, *asked(folder, *MASTER, "--explain", "zoe"))
    assert stranger == "there is no entity zoe among the 4 that were read"
    (folder / "lake").mkdir()
    rows = pl.read_parquet(folder / "rows.parquet")
    rows.write_parquet(folder / "lake" / "a.parquet")
    rows.drop("transaction_date").write_parquet(folder / "lake" / "b.parquet")
    differing = refuse(folder, *asked(folder, *MASTER, rows="lake"))
    assert differing == f"{folder}/lake/b.parquet has no column transaction_date, which {folder}/lake/a.parquet has"
    elsewhere = refuse(folder, *asked(folder, "--engine", "spark", "--spark-master", "yarn"))
    assert elsewhere.endswith("give --spark-folder")
    assert "there is no java under JAVA_HOME, /nowhere" in refuse(folder, *asked(folder, *MASTER))


@pytest.mark.full
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")
def test_files_and_words_are_those_of_one_process(folder: Path) -> None:
    names = ("levels.parquet", "why.jsonl", "failures.csv")
    for place in ("alone", "spark"):
        (folder / place).mkdir()
    levels, why, failures = ([folder / place / name for place in ("alone", "spark")] for name in names)
    written = [("--output", levels[n], "--breakdowns", why[n], "--failures", failures[n]) for n in (0, 1)]
    alone = run(folder, *asked(folder, *written[0]))
    done = finish(start(folder, *asked(folder, *written[1], *MASTER)))
    assert (done.code, done.out) == (alone.code, alone.out) == (1, alone.out), done
    assert alone.err in done.err
    assert "1 of the 5 rows of" in alone.err
    for one, other in (levels, why, failures):
        assert one.read_bytes() == other.read_bytes()
    assert {path.name for path in (folder / "spark").iterdir()} == set(names)


VALUES = """
  - id: worth
    title: Worth
    category: customer features
    input: {value: score}
    cases: [{when: {at_least: 3}, points: 20}]
  - id: since
    title: Since
    category: customer features
    input: {indicator: account_age}
    cases: [{when: {at_least: 10}, points: 5}]
  - id: household
    title: Payments of the household
    category: transaction execution
    input: {linked: {by: household, itself: true, count: entities, where: {count: transactions, at_least: 1}}}
    cases: [{when: {at_least: 2}, points: 3}]
    on_unknown: {points: 1}
"""
LINKS = "type,from,to\nhousehold,a,H1\nhousehold,b,H1\nhousehold,c,\n"


@pytest.mark.full
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")
def test_workers_compute_indicators_the_value_and_groups(folder: Path, home: Home) -> None:
    (folder / "rules.yaml").write_text(RULES.replace("levels:", "links: {household: {kind: shared}}\nlevels:") + VALUES)
    (folder / "links.csv").write_text(LINKS)
    links = ("--links", folder / "links.csv")
    rows = pl.read_parquet(folder / "rows.parquet").with_columns(user_balance=pl.lit(50.0))
    rows.write_parquet(folder / "rows.parquet")
    alone = run(home.var, *asked(folder, *links, "--breakdowns", folder / "alone.jsonl"))
    done = finish(start(home.var, *asked(folder, *links, "--breakdowns", folder / "spark.jsonl", *MASTER)))
    assert (done.code, done.out) == (alone.code, alone.out), done
    assert alone.err in done.err
    text = (folder / "spark.jsonl").read_text()
    assert text == (folder / "alone.jsonl").read_text()
    assert "Worth" in text
    assert "Payments of the household" in text


@pytest.mark.full
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")
def test_one_entity_is_explained_as_in_one_process(folder: Path) -> None:
    alone = run(folder, *asked(folder, "--explain", "a"))
    done = finish(start(folder, *asked(folder, "--explain", "a", *MASTER)))
    assert (done.code, done.out) == (alone.code, alone.out), done
    assert alone.err in done.err
    assert "a: " in done.out


def backtested(folder: Path, *more: str | Path) -> tuple[str | Path, ...]:
    (folder / "draft.yaml").write_text(RULES.replace("[10, 50]", "[25, 50]"))
    rulesets = (folder / "rules.yaml", folder / "draft.yaml", "--data", folder / "entities.csv")
    rows = ("--transactions", folder / "rows.parquet", "--as-of", "2024-07-01", "--entered", "2024-06-20")
    return ("rules", "backtest", *rulesets, *rows, *more)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")
@pytest.mark.parametrize("of_families", [False, True])
def test_a_backtest_is_that_of_one_process(folder: Path, of_families: bool) -> None:
    beside = ("--then", folder / "companies.yaml") if of_families else ()
    alone = run(folder, *backtested(folder, *beside, "--json", folder / "alone.json"))
    done = finish(start(folder, *backtested(folder, *beside, "--json", folder / "spark.json", *MASTER)))
    assert (done.code, done.out) == (0, alone.out.replace("alone.json", "spark.json")), done
    assert alone.err in done.err
    assert (folder / "spark.json").read_bytes() == (folder / "alone.json").read_bytes()
