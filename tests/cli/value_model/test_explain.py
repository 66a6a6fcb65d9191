"""`fivefold explain`: one customer's score in the terminal, and as a picture."""

import json
import re
from math import fsum
from pathlib import Path

import polars as pl
import pytest

from fivefold.cli import terminal
from fivefold.features.indicator_matrix import catalogue
from tests.cli.running import AS_OF, Home, refuse, succeed

NUMBER = r"[+-]?\d+\.\d+"


@pytest.fixture(scope="module")
def scored(home: Home, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    output = tmp_path_factory.mktemp("explained") / "scores.parquet"
    succeed(home.var, "score", home.rows, "-o", output, "--as-of", AS_OF, "--explain")
    return pl.read_parquet(output)


@pytest.mark.parametrize("user", ["user_000001", "user_000002", "user_000300"])
def test_the_headline_is_the_score(user: str, home: Home, scored: pl.DataFrame) -> None:
    found = scored.row(by_predicate=pl.col("user_id") == user, named=True)
    out = succeed(home.var, "explain", home.rows, "--user", user, "--as-of", AS_OF)
    low, high = found["expected_value_low"], found["expected_value_high"]
    between = f"between {low:,.0f} and {high:,.0f}" if high >= 10 else f"between {low:,.2f} and {high:,.2f}"
    headline = (
        f"Customer {user} as of {AS_OF}: score {found['score']:.2f}, {found['category']}, worth "
        f"{found['expected_value']:,.2f} EUR in 90 days ({between} EUR, 80 % sure), "
        "more than "
    )
    place = rf"{re.escape(headline)}\d+ % of the customers known on 2024-10-02(, as much as \d+\.\d % of them)?\n"
    assert re.match(place, out)


@pytest.mark.parametrize("most", [1, 12, 100])
def test_steps_lead_from_the_start_to_the_score(most: int, home: Home, scored: pl.DataFrame) -> None:
    """Rounded to two decimals each, and yet close."""
    found = scored.row(by_predicate=pl.col("user_id") == "user_000002", named=True)
    out = succeed(home.var, "explain", home.rows, "--user", "user_000002", "--as-of", AS_OF, "--most", most)
    start, end = (re.search(rf"^{name} +({NUMBER}) ", out, re.MULTILINE) for name in ("starting point", "score"))
    assert start
    assert end
    assert start[1] == f"{found['base']:.2f}"
    assert end[1] == f"{found['score']:.2f}"
    lines = out[: end.start()].splitlines()
    steps = [float(match[1]) for line in lines if (match := re.search(rf"  ({NUMBER})  [\d┊░█]", line))]
    assert len([line for line in lines if re.match(r"\d+ others? ", line)]) == (most < 74)
    assert sum(steps) == pytest.approx(found["score"] - found["base"], abs=0.005 * (len(steps) + 2))


def test_families_add_up_as_well(home: Home, scored: pl.DataFrame) -> None:
    found = scored.row(by_predicate=pl.col("user_id") == "user_000002", named=True)
    out = succeed(home.var, "explain", home.rows, "--user", "user_000002", "--as-of", AS_OF)
    line = next(line for line in out.splitlines() if line.startswith("By family: "))
    points = [float(number) for number in re.findall(NUMBER, line)]
    assert len(points) == 9
    assert sum(points) == pytest.approx(found["score"] - found["base"], abs=0.05)
    assert re.search(r"[-+]0\.0+\b", line) is None


@pytest.mark.parametrize("columns", [72, 80, 120])
def test_the_waterfall_fits_the_terminal(columns: int, home: Home) -> None:
    out = succeed(home.var, "explain", home.rows, "--user", "user_000002", "--as-of", AS_OF, columns=columns)
    waterfall = out.split("\n\n")[1].splitlines()
    assert columns - 4 <= max(map(len, waterfall)) <= columns


def test_a_picture_is_drawn(home: Home, tmp_path: Path) -> None:
    for name, magic in (("why.png", b"\x89PNG\r\n\x1a\n"), ("why.svg", b"<svg")):
        out = succeed(
            home.var, "explain", home.rows, "--user", "user_000002", "--as-of", AS_OF, "--png", tmp_path / name
        )
        assert out.endswith(f"Drawn into {tmp_path / name}\n")
        assert (tmp_path / name).read_bytes().startswith(magic)
        assert len((tmp_path / name).read_bytes()) > 5_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["why.png", "why.svg"]


def test_without_the_library_that_draws_a_picture_is_refused_before_anything_is_read(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "find_spec", lambda name: None if name == "altair" else object())
    said = refuse(home.var, "explain", home.rows, "--user", "nobody", "--as-of", AS_OF, "--png", tmp_path / "why.png")
    assert said == "this needs altair, which is not installed here: pip install 'fivefold[charts]'"


def test_a_customer_that_is_not_there_is_named(home: Home) -> None:
    said = refuse(home.var, "explain", home.rows, "--user", "nobody", "--as-of", AS_OF)
    assert said == f"{home.rows} has no customer 'nobody'"


def test_a_customer_without_the_zeros_at_the_beginning_is_suggested_with_them(home: Home, tmp_path: Path) -> None:
    """A spreadsheet drops them."""
    rows = pl.read_parquet(home.rows).with_columns(pl.col("user_id").str.replace("user_", ""))
    rows.write_parquet(tmp_path / "rows.parquet")
    said = refuse(home.var, "explain", tmp_path / "rows.parquet", "--user", "2", "--as-of", AS_OF)
    assert said == f"{tmp_path / 'rows.parquet'} has no customer '2'; perhaps '000002' was meant"


def test_a_customer_that_is_not_there_yet_is_named(home: Home) -> None:
    said = refuse(home.var, "explain", home.rows, "--user", "user_000002", "--as-of", "2020-01-01")
    assert said == "customer 'user_000002' has no row by 2020-01-01; give a later --as-of"


def test_half_of_a_customer_is_never_explained(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a customer's other rows come far behind, in a batch of their own, they are not overlooked."""
    monkeypatch.setattr("fivefold.features.reading.sources.ROWS_A_BATCH", 1_000)
    monkeypatch.setattr("fivefold.features.reading.sources.PARQUET_ROWS_SORTED", 1_000)
    table = home.table
    user = table["user_id"][5_000]
    place = table.with_row_index().filter(pl.col("user_id") == user)["index"]
    late = place[len(place) // 2 :]
    split = pl.concat([table.filter(~pl.int_range(pl.len()).is_in(late.implode())), table[late.to_list()]])
    split.write_parquet(tmp_path / "split.parquet")
    said = refuse(home.var, "explain", tmp_path / "split.parquet", "--user", user, "--as-of", AS_OF)
    assert "is not grouped by customer" in said


def test_a_program_reads_all_of_it_as_json(home: Home) -> None:
    user = home.table["user_id"][0]
    found = json.loads(succeed(home.var, "explain", home.rows, "--user", user, "--as-of", AS_OF, "--json"))
    assert (found["user_id"], found["as_of"]) == (user, AS_OF)
    assert fsum([found["base"], *(part["points"] for part in found["contributions"])]) == pytest.approx(found["score"])
    assert [part["indicator"] for part in found["contributions"]] != []
    assert set(found["contributions"][0]) == {"indicator", "family", "value", "unit", "points", "sentence"}
    assert len(found["contributions"]) == len(catalogue().names)


def test_what_could_be_is_scored_beside(home: Home, scored: pl.DataFrame) -> None:
    found = scored.row(by_predicate=pl.col("user_id") == "user_000002", named=True)
    asked = ("explain", home.rows, "--user", "user_000002", "--as-of", AS_OF, "--what-if")
    out = succeed(home.var, *asked)
    assert "one more deposit of" in out
    told = json.loads(succeed(home.var, *asked, "--json"))["what_if"]
    assert told["score"] == found["score"]
    assert told["category"] == found["category"]
    assert all(one["category"] != found["category"] for one in told["smallest"])
    assert {one["event"] for one in told["tried"]} >= {"one more deposit", "no transaction in the days after"}
