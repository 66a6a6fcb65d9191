"""`fivefold score`: every format, as-of, explanations, moves, and what is never half written."""

import csv
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from math import fsum
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tqdm import tqdm

from fivefold.cli.value_model import score as command
from fivefold.cli.value_model.score import SHOWN_FALLS
from fivefold.domain.clock import parse_moment
from fivefold.domain.segments import SEGMENTS
from fivefold.domain.settings import Settings
from fivefold.features.indicator_matrix import catalogue
from fivefold.models.embedded import embedded_champion, load_embedded_champion
from fivefold.models.scoring.histories import Scoring
from fivefold.training.config import DEFAULT_NAME
from tests.cli.running import AS_OF, Home, cells, refuse, run, succeed

COLUMNS = ["user_id", "score", "category", "expected_value", "currency", "percentile", "reference_date"]
COLUMNS += ["as_of", "model_hash"]
COLUMNS += ["expected_value_low", "expected_value_high", "score_low", "score_high", "interval_level_percent"]
COLUMNS += ["consistency"]
READERS = {
    ".parquet": pl.read_parquet,
    ".csv": pl.read_csv,
    ".json": pl.read_json,
    ".jsonl": pl.read_ndjson,
    ".ndjson": pl.read_ndjson,
}
EARLIER = "2024-07-01"


def scores(home: Home, source: Path, tmp_path: Path, *arguments: object) -> pl.DataFrame:
    """Score *source* into a Parquet file and read it back."""
    output = tmp_path / "scored.parquet"
    succeed(home.var, "score", source, "-o", output, *arguments)
    return pl.read_parquet(output)


@pytest.fixture
def scored(home: Home, tmp_path: Path) -> pl.DataFrame:
    return scores(home, home.rows, tmp_path, "--as-of", AS_OF)


def test_every_customer_has_a_line(home: Home, scored: pl.DataFrame) -> None:
    assert scored.columns == COLUMNS
    assert scored["user_id"].to_list() == home.table["user_id"].unique(maintain_order=True).to_list()
    assert scored.drop("consistency").null_count().sum_horizontal().item() == 0
    assert 0 < scored["consistency"].null_count() < len(scored)
    assert scored["score"].is_between(1, 5).all()
    assert scored["percentile"].is_between(0, 1).all()
    assert_frame_equal(scored.select(score=1 + 4 * pl.col("percentile")), scored.select("score"))
    assert set(scored["category"]) <= set(SEGMENTS)
    assert set(scored["currency"]) == {"EUR"}
    assert set(scored["interval_level_percent"]) == {80}
    assert (scored["expected_value_low"] >= 0).all()
    assert (scored["expected_value"] < scored["expected_value_high"]).all()


def test_another_level_is_asked_for(home: Home, scored: pl.DataFrame, tmp_path: Path) -> None:
    surer = scores(home, home.rows, tmp_path, "--as-of", AS_OF, "--level", 95)
    assert set(surer["interval_level_percent"]) == {95}
    assert (surer["expected_value_high"] >= scored["expected_value_high"]).all()
    assert surer["expected_value_high"].sum() > scored["expected_value_high"].sum()
    assert run(home.var, "score", home.rows, "--level", 100).code == 2


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".ndjson", ".CSV"])
def test_every_format_holds_the_same(suffix: str, home: Home, scored: pl.DataFrame, tmp_path: Path) -> None:
    output = tmp_path / f"scores{suffix}"
    out = succeed(home.var, "score", home.rows, "--output", output, "--as-of", AS_OF)
    assert out.endswith(f"Written to {output}: {len(scored)} customers\n")
    assert_frame_equal(READERS[suffix.lower()](output), scored, check_exact=True)


def test_formats_are_what_other_programs_read(home: Home, scored: pl.DataFrame, tmp_path: Path) -> None:
    for name in ("a.json", "a.csv", "a.jsonl"):
        succeed(home.var, "score", home.rows, "-o", tmp_path / name, "--as-of", AS_OF)
    rows = scored.to_dicts()
    assert json.loads((tmp_path / "a.json").read_text()) == rows
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()] == rows
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
        ]


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "folder"])
def test_every_source_gives_the_same_scores(form: str, home: Home, scored: pl.DataFrame, tmp_path: Path) -> None:
    table = home.table
    times = table.with_columns(pl.col("transaction_date", "user_created").dt.to_string("%Y-%m-%dT%H:%M:%S%.6f"))
    source = tmp_path / f"rows.{form}"
    if form == "folder":
        source.mkdir()
        table.head(5_000).write_parquet(source / "a.parquet")
        table.slice(5_000).write_parquet(source / "b.parquet")
    else:
        {"csv": times.write_csv, "json": times.write_json, "jsonl": times.write_ndjson}[form](source)
    assert_frame_equal(scores(home, source, tmp_path, "--as-of", AS_OF), scored, check_exact=True)


def test_the_summary_counts_segments_from_the_top(home: Home, scored: pl.DataFrame) -> None:
    out = succeed(home.var, "score", home.rows, "--as-of", AS_OF)
    means = scored.group_by("category").agg(pl.len(), pl.mean("score"), pl.mean("expected_value"))
    found = {name: [f"{count:,}", f"{score:,.2f}", f"{money:,.2f}"] for name, count, score, money in means.iter_rows()}
    assert cells(out, f"Customers as of {AS_OF}") == [[name, *found[name]] for name in reversed(SEGMENTS)]
    assert "mean expected value (EUR, 90 days)" in out
    assert "Written" not in out


def test_an_explanation_adds_up_to_the_score(home: Home, scored: pl.DataFrame, tmp_path: Path) -> None:
    explained = scores(home, home.rows, tmp_path, "--as-of", AS_OF, "--explain")
    points = [f"points_{name}" for name in catalogue().names]
    assert explained.columns in ([*COLUMNS, *points, "base"], [*COLUMNS, "base", *points])
    assert_frame_equal(explained.select(COLUMNS), scored, check_exact=True)
    assert explained["base"].n_unique() == 1
    for score, *parts in explained.select("score", "base", *points).iter_rows():
        assert abs(fsum(parts) - score) <= 1e-9


def test_nothing_after_as_of_is_seen(home: Home, tmp_path: Path) -> None:
    earlier = scores(home, home.rows, tmp_path, "--as-of", EARLIER)
    cut = tmp_path / "cut.parquet"
    home.table.filter(pl.col("transaction_date") <= datetime(2024, 7, 1)).write_parquet(cut)  # noqa: DTZ001 (as in the file)
    assert_frame_equal(scores(home, cut, tmp_path, "--as-of", EARLIER), earlier, check_exact=True)
    assert_frame_equal(scores(home, cut, tmp_path, "--as-of", "2024-07-01T02:00+02:00"), earlier, check_exact=True)


def test_customers_without_a_row_by_then_are_left_out_and_counted(home: Home, tmp_path: Path) -> None:
    out = succeed(home.var, "score", home.rows, "--as-of", EARLIER, "-o", tmp_path / "a.csv")
    known = pl.read_csv(tmp_path / "a.csv")["user_id"]
    everyone = home.table["user_id"].unique()
    assert 0 < len(known) < len(everyone)
    assert f"Left out, because they have no row by {EARLIER}: {len(everyone) - len(known)} customers\n" in out


@pytest.mark.parametrize("suffix", READERS)
def test_where_nobody_is_known_yet_the_file_has_no_lines(suffix: str, home: Home, tmp_path: Path) -> None:
    output = tmp_path / f"none{suffix}"
    out = succeed(home.var, "score", home.rows, "--as-of", "2020-01-01", "-o", output)
    assert out.endswith(f"Written to {output}: 0 customers\n")
    if suffix in {".parquet", ".csv"}:
        assert READERS[suffix](output).columns == COLUMNS
    else:
        assert output.read_text() == {".json": "[]\n"}.get(suffix, "")


def test_old_rows_and_no_as_of_are_warned_of(home: Home, tmp_path: Path) -> None:
    """The advice in the warning sees every row, and then there is none."""
    done = run(home.var, "score", home.rows, "-o", tmp_path / "a.csv")
    assert done.code == 0
    assert re.match(r"warning: the newest row is [0-9,]+ days older than the as-of, which is now: if rows", done.err)
    assert "warning" not in done.out
    advice = re.search(r"--as-of (\S+)$", done.err.strip())
    assert advice
    assert advice[1] == AS_OF
    assert "Left out" not in succeed(home.var, "score", home.rows, "--as-of", advice[1])


def test_rows_that_end_long_before_the_as_of_are_warned_of(home: Home, tmp_path: Path) -> None:
    """As where today's export failed, and last week's file is scored as of today."""
    newest = datetime.fromisoformat(AS_OF)
    for days, is_warned in ((6, False), (9, True)):
        later = (newest + timedelta(days=days)).date().isoformat()
        done = run(home.var, "score", home.rows, "--as-of", later)
        assert done.code == 0
        assert (f"days older than the as-of, {later}: if rows are missing" in done.err) == is_warned, done.err


def test_fresh_rows_are_not_warned_of(home: Home, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    age = pl.lit(now) - home.table["transaction_date"].max()
    fresh = home.table.with_columns(pl.col("transaction_date") + age, pl.col("user_created") + age)
    fresh.write_parquet(tmp_path / "fresh.parquet")
    out = succeed(home.var, "score", tmp_path / "fresh.parquet")
    assert re.match(r"Customers as of \d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?\n", out)


@pytest.mark.parametrize("model", ["models:/fivefold-value/2", "models:/fivefold-value@challenger"])
def test_any_registered_model_can_be_asked(model: str, home: Home, scored: pl.DataFrame, tmp_path: Path) -> None:
    """Version 2 learnt the same from the same rows."""
    assert_frame_equal(scores(home, home.rows, tmp_path, "--as-of", AS_OF, "--model", model), scored, check_exact=True)


def test_the_folder_of_a_saved_model_can_be_asked(home: Home, scored: pl.DataFrame, tmp_path: Path) -> None:
    champion = embedded_champion(Settings(var=home.var), DEFAULT_NAME)
    assert champion is not None
    load_embedded_champion(champion).save(tmp_path / "saved")
    by_folder = scores(home, home.rows, tmp_path, "--as-of", AS_OF, "--model", tmp_path / "saved")
    assert_frame_equal(by_folder, scored)
    absent = refuse(home.var, "score", home.rows, "--as-of", AS_OF, "--model", tmp_path / "absent")
    assert absent.startswith(f"{tmp_path / 'absent'} holds no value model: ")


def test_moves_are_told(home: Home, tmp_path: Path) -> None:
    output = tmp_path / "moves.parquet"
    out = succeed(home.var, "score", home.rows, "-o", output, "--as-of", AS_OF, "--compare-as-of", EARLIER)
    moved = pl.read_parquet(output)
    before = scores(home, home.rows, tmp_path, "--as-of", EARLIER).rename({"score": "was", "category": "from"})
    joined = moved.join(before.select("user_id", "was", "from"), on="user_id", how="left", maintain_order="left")
    assert moved.columns == [*COLUMNS, "score_before", "category_before", "move"]
    assert joined["score_before"].equals(joined["was"])
    assert joined["category_before"].equals(joined["from"])
    assert joined["move"].equals(joined["score"] - joined["was"])
    assert moved["move"].null_count() > 0

    known = moved.drop_nulls("move")
    title = f"Segments: {EARLIER} (rows) to {AS_OF} (columns)"
    counts = {(old, new): n for old, new, n in known.group_by("category_before", "category").len().iter_rows()}
    since = dict(moved.filter(pl.col("move").is_null()).group_by("category").len().iter_rows())
    matrix = cells(out, title)
    assert matrix == [
        *([old, *(str(counts.get((old, new), 0)) for new in SEGMENTS)] for old in SEGMENTS),
        ["new since", *(str(since.get(new, 0)) for new in SEGMENTS)],
    ]
    assert sum(int(cell) for row in matrix for cell in row[1:]) == len(moved), "every customer stands in it"
    falls = known.filter(pl.col("move") < 0).sort("move", "user_id").head(SHOWN_FALLS)
    assert [row[0] for row in cells(out, "The largest falls")] == falls["user_id"].to_list()
    assert [row[-1] for row in cells(out, "The largest falls")] == [f"{move:+.2f}" for move in falls["move"]]


def test_names_are_shown_as_they_are_and_do_nothing_to_the_terminal(home: Home, tmp_path: Path) -> None:
    out = succeed(home.var, "score", home.rows, "--as-of", AS_OF, "--compare-as-of", EARLIER)
    first, second = (row[0] for row in cells(out, "The largest falls")[:2])
    names = {first: "[/red] :smile:", second: "\x1b[2Jgone"}
    home.table.with_columns(pl.col("user_id").replace(names)).write_parquet(tmp_path / "names.parquet")
    out = succeed(home.var, "score", tmp_path / "names.parquet", "--as-of", AS_OF, "--compare-as-of", EARLIER)
    assert [row[0] for row in cells(out, "The largest falls")[:2]] == ["[/red] :smile:", "[2Jgone"]
    assert "\x1b" not in out


def test_what_is_refused_leaves_no_file(home: Home, tmp_path: Path) -> None:
    """Bad rows beyond the first batch are found when scores of others are written already."""
    table = home.table
    bad = table.with_columns(
        pl.when(pl.int_range(pl.len()) == len(table) - 1)
        .then(pl.lit("EURO"))
        .otherwise("transaction_currency")
        .alias("transaction_currency")
    )
    bad.write_parquet(tmp_path / "bad.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fivefold.features.reading.sources.ROWS_A_BATCH", 1_000)
        said = refuse(home.var, "score", tmp_path / "bad.parquet", "-o", tmp_path / "a.csv", "--as-of", AS_OF)
    assert said.startswith(f"Data not valid: 1 problem in {tmp_path / 'bad.parquet'} (rows count from 1)\n")
    assert f"row {len(table)}: transaction_currency is 'EURO'; allowed: " in said
    assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]


def test_what_is_refused_leaves_an_old_file_as_it_was(home: Home, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    home.table.drop("user_balance").write_parquet(tmp_path / "lacking.parquet")
    refuse(home.var, "score", tmp_path / "lacking.parquet", "-o", tmp_path / "a.csv", "--as-of", AS_OF)
    assert (tmp_path / "a.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "lacking.parquet"]


@pytest.mark.parametrize("suffix", READERS)
def test_a_file_without_rows_is_refused(suffix: str, home: Home, tmp_path: Path) -> None:
    home.table.head(0).write_parquet(tmp_path / "empty.parquet")
    (tmp_path / "empty.json").write_text("[]")
    for name in ("empty.parquet", "empty.json"):
        said = refuse(home.var, "score", tmp_path / name, "-o", tmp_path / f"a{suffix}", "--as-of", AS_OF)
        assert said == f"{tmp_path / name} has no rows"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.json", "empty.parquet"]


def test_a_file_is_not_written_over_by_its_own_scores(home: Home, tmp_path: Path) -> None:
    home.table.write_parquet(tmp_path / "rows.parquet")
    content = (tmp_path / "rows.parquet").read_bytes()
    said = refuse(home.var, "score", tmp_path / "rows.parquet", "-o", tmp_path / "." / "rows.parquet")
    assert said.endswith("rows.parquet, which is read as the argument PATH; choose another file")
    assert (tmp_path / "rows.parquet").read_bytes() == content


@pytest.mark.parametrize("before", [AS_OF, "2025-01-02"])
def test_a_comparison_looks_back(before: str, home: Home) -> None:
    said = refuse(home.var, "score", home.rows, "--as-of", AS_OF, "--compare-as-of", before)
    assert said == f"--compare-as-of is {before}; it must be before {AS_OF}, the as-of"


def test_small_files_in_no_order_are_sorted(home: Home, scored: pl.DataFrame, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.parquet"
    home.table.sample(fraction=1, shuffle=True, seed=1).write_parquet(mixed)
    again = scores(home, mixed, tmp_path, "--as-of", AS_OF)
    assert_frame_equal(again.sort("user_id"), scored.sort("user_id"), check_exact=True)


def test_columns_of_other_names_and_a_currency_that_is_not_the_base(home: Home, tmp_path: Path) -> None:
    few = home.table.head(200).rename({"user_id": "kunde"}).with_columns(transaction_currency=pl.lit("USD"))
    few.drop("user_category", "user_created").write_csv(tmp_path / "few.csv", separator=";")
    given = ("few.csv", "--map", "kunde=user_id", "--as-of", AS_OF)
    done = run(home.var, "score", tmp_path / given[0], *given[1:], "-o", tmp_path / "out.csv")
    assert done.code == 0, done.err
    assert "is in EUR, the base currency: all are in USD, and are converted" in done.err
    assert len(pl.read_csv(tmp_path / "out.csv")) == few["kunde"].n_unique()
    assert "Absent: no user_category: every row is taken as WEB" in done.out
    assert "Absent: no transaction_currency" not in done.out


def test_who_has_different_balances_at_one_moment_is_warned_of(home: Home, tmp_path: Path) -> None:
    """Without a transaction_id the last balance of such a customer is a guess, of which nothing was said."""
    by_month = home.table.head(2_000).with_columns(pl.col("transaction_date").dt.truncate("1mo"))
    by_month.write_parquet(tmp_path / "named.parquet")
    by_month.drop("transaction_id").write_parquet(tmp_path / "bare.parquet")
    says = "last moment and no transaction_id there: which came last is a guess"
    options = ("explain", "--user", by_month["user_id"].mode()[0]), ("score", "-o", tmp_path / "scores.parquet")
    for name, *more in options:
        asked = (*more, "--as-of", AS_OF)
        assert says in run(home.var, name, tmp_path / "bare.parquet", *asked, columns=400).err
        assert says not in run(home.var, name, tmp_path / "named.parquet", *asked, columns=400).err


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_columns_that_are_absent_and_rows_that_came_twice_are_said_of_every_format(
    suffix: str, home: Home, tmp_path: Path
) -> None:
    """With a transaction_id repeats are removed, and none is warned of."""
    rows = home.table.head(200)
    write = {".csv": pl.DataFrame.write_csv, ".json": pl.DataFrame.write_json, ".parquet": pl.DataFrame.write_parquet}
    bare = rows.drop("transaction_id", "transaction_state")
    write[suffix](pl.concat([bare, bare]).sort("user_id"), tmp_path / f"twice{suffix}")
    done = run(home.var, "score", tmp_path / f"twice{suffix}", "--as-of", AS_OF, columns=400)
    assert done.code == 0, done.err
    assert "Absent: no transaction_state: every row counts as settled" in done.out
    assert "200 of 400 rows (50.0 %) repeat another row of their customer in everything" in done.err
    write[suffix](pl.concat([rows, rows]).sort("user_id"), tmp_path / f"named{suffix}")
    done = run(home.var, "score", tmp_path / f"named{suffix}", "--as-of", AS_OF, columns=400)
    assert "Absent" not in done.out
    assert "repeat another row" not in done.err


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_rows_without_a_state_among_others_are_warned_of_once(suffix: str, home: Home, tmp_path: Path) -> None:
    rows = home.table.head(200).with_columns(
        pl.when(pl.int_range(200) < 190).then(pl.col("transaction_state")).alias("transaction_state")
    )
    write = {".csv": pl.DataFrame.write_csv, ".json": pl.DataFrame.write_json, ".parquet": pl.DataFrame.write_parquet}
    write[suffix](rows, tmp_path / f"rows{suffix}")
    done = run(home.var, "score", tmp_path / f"rows{suffix}", "--as-of", AS_OF, columns=400)
    since = rows.tail(10)["transaction_date"].min().isoformat()[:10]
    assert done.err.count(f"10 of 200 rows (5.0 %) have no transaction_state, the first at {since}") == 1
    assert "Absent" not in done.out


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_currencies_are_known_of_every_format(suffix: str, home: Home, tmp_path: Path) -> None:
    """USD and NOK are named, in alphabetical order; one amount in the base currency is enough for silence."""
    rows = home.table.head(200).with_columns(
        pl.Series("transaction_currency", ["USD", *["NOK"] * 199]),
        pl.col("transaction_date", "user_created").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    writers = {
        ".csv": rows.write_csv,
        ".json": rows.write_json,
        ".jsonl": rows.write_ndjson,
        ".parquet": rows.write_parquet,
    }
    writers[suffix](tmp_path / f"few{suffix}")
    done = run(home.var, "score", tmp_path / f"few{suffix}", "--as-of", AS_OF)
    assert done.code == 0, done.err
    assert f"few{suffix} is in EUR, the base currency: all are in NOK, USD, and are converted" in done.err
    rows.with_columns(pl.Series("transaction_currency", ["EUR", *["NOK"] * 199])).write_csv(tmp_path / "one.csv")
    assert "base currency" not in run(home.var, "score", tmp_path / "one.csv", "--as-of", AS_OF).err


def test_the_advice_for_rows_that_are_not_grouped_works(
    home: Home, scored: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fivefold.features.reading.sources.PARQUET_ROWS_SORTED", 1_000)
    mixed = tmp_path / "mixed.parquet"
    home.table.sample(fraction=1, shuffle=True, seed=1).write_parquet(mixed)
    said = refuse(home.var, "score", mixed, "-o", tmp_path / "a.parquet", "--as-of", AS_OF)
    assert re.search(r"the rows of customer 'user_\d+' are not adjacent", said)
    advice = re.search(r"fivefold (sort \S+ --output) (\S+)$", said)
    assert advice
    succeed(home.var, *advice[1].split(), tmp_path / advice[2])
    again = scores(home, tmp_path / advice[2], tmp_path, "--as-of", AS_OF)
    assert_frame_equal(again.sort("user_id"), scored.sort("user_id"), check_exact=True)


@pytest.mark.full
def test_the_champion_is_scored_with_without_opening_mlflow(home: Home, tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['fivefold', *sys.argv[1:]]\n"
        "from fivefold.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'mlflow', 'shap', 'sqlalchemy', 'altair', 'optuna', 'bentoml'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, "score", str(home.rows), "--as-of", AS_OF, "-o", str(tmp_path / "s.csv")]
    environment = {**os.environ, "FIVEFOLD_VAR": str(home.var)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (tmp_path / "s.csv").is_file(), done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("suffix", "known"), [(".parquet", True), (".csv", False)])
def test_progress_has_a_rate_and_the_time_left_where_the_number_of_rows_is_known(
    home: Home, suffix: str, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / f"rows{suffix}"
    if known:
        home.table.write_parquet(source)
    else:
        home.table.write_csv(source)
    shown = StringIO()
    always = {"disable": False, "file": shown, "leave": True}
    monkeypatch.setattr(command, "tqdm", lambda **given: tqdm(**{**given, **always}))
    champion = embedded_champion(Settings(var=home.var), DEFAULT_NAME)
    assert champion is not None
    command.score_file(load_embedded_champion(champion), source, None, Scoring(parse_moment(AS_OF)))
    last = shown.getvalue().split("\r")[-1]
    assert "rows/s" in last
    assert ("100%" in last) == known  # of a known number tqdm also writes the time that is left
    assert ("<" in last) == known
