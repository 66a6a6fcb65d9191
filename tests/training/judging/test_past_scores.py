"""Files of scores that are read again: every format, what they lack, and what counts once."""

import gzip
import json
import re
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fivefold.cli.value_model.output import open_output
from fivefold.cli.value_model.realised import realised
from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.errors import ConfigError, FileFormatError, InvalidDataError
from fivefold.training.judging.past_scores import SCHEMA, read_scores

SCORES = pl.DataFrame(
    {
        "user_id": ["=a", "007", "'b"],
        "category": ["low", "top", "top"],
        "currency": "EUR",
        "expected_value": [0.5, 2.0, 1e-7],
        "expected_value_low": [0.0, 1.0, 0.0],
        "expected_value_high": [1.0, None, 2.0],
        "interval_level_percent": 80,
        "model_hash": "sha256:1234567890123456",
        "as_of": "2026-05-01T23:59:59.999999Z",
    }
)


def written(table: pl.DataFrame, path: Path) -> Path:
    with open_output(path) as write:
        write(table)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json", ".jsonl", ".ndjson"])
def test_every_format_gives_the_same(suffix: str, tmp_path: Path) -> None:
    read = read_scores([written(SCORES, tmp_path / f"scores{suffix}")])
    expected = SCORES.with_columns(
        pl.lit(parse_moment("2026-05-01T23:59:59.999999Z")).alias("as_of"),
        pl.lit(parse_moment("2026-05-01") // DAY_US).alias("day"),
    )
    assert_frame_equal(read, expected.select(*SCHEMA, "day").cast({"day": pl.Int64}), check_dtypes=False)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json", ".jsonl", ".ndjson"])
def test_signs_in_a_name_are_no_pattern(suffix: str, tmp_path: Path) -> None:
    for folder, value in (("a1", 7.0), ("a[1]", 8.0)):
        (tmp_path / folder).mkdir()
        written(SCORES.with_columns(expected_value=pl.lit(value)), tmp_path / folder / f"scores{suffix}")
    assert set(read_scores([tmp_path / "a[1]" / f"scores{suffix}"])["expected_value"]) == {8.0}


def test_a_file_that_another_run_writes_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the numbers of one run could stand with the columns of another."""
    path, collect = written(SCORES, tmp_path / "scores.parquet"), pl.LazyFrame.collect

    def collected(rows: pl.LazyFrame) -> pl.DataFrame:
        table = collect(rows)
        written(SCORES.head(2), path)
        return table

    monkeypatch.setattr(pl.LazyFrame, "collect", collected)
    with pytest.raises(FileFormatError, match=r"scores\.parquet was changed while it was read"):
        read_scores([path])


def test_text_is_read_as_that_of_transactions(tmp_path: Path) -> None:
    plain = written(SCORES, tmp_path / "scores.csv")
    text = plain.read_text(encoding="utf-8")
    saved = tmp_path / "saved.csv"
    saved.write_text(text.replace(",", ";"), encoding="utf-8-sig")
    packed = tmp_path / "scores.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    twice = tmp_path / "twice.json"
    twice.write_text(json.dumps(SCORES.to_dicts()).replace('{"user_id"', '{"user_id": "other", "user_id"'))
    expected = read_scores([plain])
    for path in (saved, packed):
        assert_frame_equal(read_scores([path]), expected)
    with pytest.raises(FileFormatError, match="has the name 'user_id' twice in one object"):
        read_scores([twice])
    zipped = tmp_path / "zipped.csv"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(plain)
    with pytest.raises(FileFormatError, match="a workbook or another zip file by its first bytes"):
        read_scores([zipped])
    cut = tmp_path / "cut.csv"
    cut.write_text(text.rstrip("\n").rpartition(",")[0], encoding="utf-8")
    with pytest.raises(InvalidDataError, match="row 4: line has 8 fields"):
        read_scores([cut])


@pytest.mark.parametrize("value", ["\ud800", 10**40, [[1], "a"]])
def test_json_that_no_column_can_hold_is_refused(value: object, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps([{**SCORES.to_dicts()[0], "user_id": value}]))
    with pytest.raises(FileFormatError, match=r"scores\.json is not a file of scores: "):
        read_scores([path])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"interval_level_percent": 80.5}, "interval_level_percent is 80.5; allowed: a whole number from 1 to 99"),
        ({"user_id": ""}, "has a row whose user_id is empty; allowed: text"),
    ],
)
def test_a_value_that_would_be_read_as_another_is_refused(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps([{**SCORES.to_dicts()[0], **changed}]))
    with pytest.raises(FileFormatError, match=words):
        read_scores([path])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
@pytest.mark.parametrize("level", ["80.5", "inf", "nan", "1e30", "150", "0"])
def test_a_level_that_is_none_is_refused_alike_in_every_format(level: str, suffix: str, tmp_path: Path) -> None:
    rows = SCORES.with_columns(interval_level_percent=pl.lit(level if suffix == ".csv" else float(level)))
    path = tmp_path / f"scores{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(rows.to_dicts()))
    else:
        written(rows, path)
    text = re.escape(level if suffix == ".csv" else str(float(level)))
    words = f"interval_level_percent is {text}; allowed: a whole number from 1 to 99"
    with pytest.raises(FileFormatError, match=words):
        read_scores([path])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
@pytest.mark.parametrize("value", [80.0, " 80.0 "])
def test_a_whole_level_with_a_decimal_point_is_read_in_every_format(
    value: float | str, suffix: str, tmp_path: Path
) -> None:
    path = written(SCORES.with_columns(interval_level_percent=pl.lit(value)), tmp_path / f"scores{suffix}")
    assert read_scores([path])["interval_level_percent"].to_list() == [80] * 3


@pytest.mark.parametrize("name", ["expected_value", "expected_value_low", "expected_value_high"])
@pytest.mark.parametrize("value", ["nan", "inf", "ten"])
def test_money_that_is_no_finite_number_is_refused_by_its_name(name: str, value: str, tmp_path: Path) -> None:
    path = written(SCORES.with_columns(pl.lit(value).alias(name)), tmp_path / "scores.csv")
    with pytest.raises(FileFormatError, match=f"{name} is {value}; allowed: a finite number"):
        read_scores([path])


def test_a_number_among_texts_keeps_its_decimal_point(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps([{**SCORES.to_dicts()[0], "user_id": name} for name in (8.0, "8", "b")]))
    assert read_scores([path])["user_id"].to_list() == ["8.0", "8", "b"]


def test_no_folder_is_offered_where_a_file_of_scores_is_absent(tmp_path: Path) -> None:
    data, absent = tmp_path / "rows.csv", tmp_path / "absent.csv"
    data.write_text("user_id\n")
    with pytest.raises(FileFormatError, match=r"jsonl, .ndjson$"):
        realised([absent], data)


def test_what_a_file_does_not_say_is_given_or_refused(tmp_path: Path) -> None:
    old = written(SCORES.drop("as_of", "model_hash"), tmp_path / "old.csv")
    with pytest.raises(ConfigError, match="has no column as_of; name it by --as-of"):
        read_scores([old])
    with pytest.raises(ConfigError, match="has no column model_hash; name it by --model"):
        read_scores([old], DAY_US)
    read = read_scores([old], DAY_US, "sha256:x")
    assert (set(read["as_of"]), set(read["model_hash"])) == ({DAY_US}, {"sha256:x"})


def test_what_is_no_file_of_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="has no column expected_value"):
        read_scores([written(SCORES.drop("expected_value"), tmp_path / "a.csv")])
    bad = SCORES.with_columns(expected_value=pl.lit("much"))
    with pytest.raises(FileFormatError, match="is not a file of scores"):
        read_scores([written(bad, tmp_path / "b.csv")])
    with pytest.raises(FileFormatError, match="a row without"):
        read_scores([written(SCORES.with_columns(expected_value=pl.lit(None)), tmp_path / "c.parquet")])
    with pytest.raises(FileFormatError, match=r"a row without user_id, category, currency, "):
        read_scores([written(SCORES.with_columns(currency=pl.lit(None, pl.String)), tmp_path / "d.parquet")])
    with pytest.raises(FileFormatError, match=r"category is Top; allowed: low, medium, high, top$"):
        read_scores([written(SCORES.with_columns(category=pl.lit("Top")), tmp_path / "e.csv")])
    with pytest.raises(FileFormatError, match=r"expected_value_low is 9.0; allowed: a number of at most 1.0, its exp"):
        read_scores([written(SCORES.with_columns(expected_value_low=pl.lit(9.0)), tmp_path / "f.csv")])


def test_the_day_is_that_of_utc_and_the_later_moment_counts(tmp_path: Path) -> None:
    moments = ["2026-05-01T00:30:00+02:00", "2026-05-01", "2026-05-01T23:00:00Z"]
    files = [
        written(SCORES.with_columns(as_of=pl.lit(text), expected_value=pl.lit(float(n))), tmp_path / f"{n}.csv")
        for n, text in enumerate(moments)
    ]
    for order in (files, files[::-1]):
        read = read_scores(order)
        assert sorted(read.filter(pl.col("user_id") == "007")["expected_value"]) == [0.0, 2.0]
    # Of equal moments that of the later file counts.
    again = written(SCORES.with_columns(as_of=pl.lit(moments[2]), expected_value=pl.lit(9.0)), tmp_path / "again.csv")
    assert set(read_scores([*files, again]).filter(pl.col("as_of") > parse_moment("2026-05-01"))["expected_value"]) == {
        9.0
    }


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json", ".jsonl"])
def test_customers_whose_identifiers_have_decimals_are_read_as_they_were_scored(suffix: str, tmp_path: Path) -> None:
    names = ["900.0", "901.0", "902"]
    path = written(SCORES.with_columns(user_id=pl.Series(names)), tmp_path / f"scores{suffix}")
    assert sorted(read_scores([path])["user_id"]) == names


def test_identifiers_that_lost_digits_are_refused(tmp_path: Path) -> None:
    path = written(SCORES.with_columns(user_id=pl.Series(["1.2E+07", "a", "b"])), tmp_path / "scores.csv")
    with pytest.raises(InvalidDataError, match="row 2: line has a user_id that lost digits"):
        read_scores([path])


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_numbers_that_are_text_may_have_spaces_around_them(suffix: str, tmp_path: Path) -> None:
    text = SCORES.with_columns(expected_value=pl.Series([" 8.0 ", "\t9", "1e1"]), interval_level_percent=pl.lit(" 80 "))
    read = read_scores([written(text, tmp_path / f"scores{suffix}")])
    assert (read["expected_value"].to_list(), set(read["interval_level_percent"])) == ([8.0, 9.0, 10.0], {80})


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".jsonl"])
@pytest.mark.parametrize(("name", "value"), [("expected_value", True), ("user_id", True), ("currency", [1.0])])
def test_what_is_neither_text_nor_a_number_is_refused(suffix: str, name: str, value: object, tmp_path: Path) -> None:
    path = written(SCORES.with_columns(pl.lit(value).alias(name)), tmp_path / f"scores{suffix}")
    allowed = "a finite number" if name == "expected_value" else "text"
    with pytest.raises(FileFormatError, match=rf"is not a file of scores: {name} is .*; allowed: {allowed}$"):
        read_scores([path])


@pytest.mark.parametrize(("name", "allowed"), [("expected_value", "a finite number"), ("user_id", "text")])
def test_a_date_is_neither_text_nor_a_number(name: str, allowed: str, tmp_path: Path) -> None:
    path = written(SCORES.with_columns(pl.lit(date(2025, 1, 1)).alias(name)), tmp_path / "scores.parquet")
    with pytest.raises(FileFormatError, match=f"{name} is of the type Date; allowed: {allowed}$"):
        read_scores([path])


def test_one_truth_value_beside_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    first, second, _ = SCORES.to_dicts()
    path.write_text(json.dumps([first, {**second, "expected_value": True}]))
    with pytest.raises(FileFormatError, match="expected_value is true; allowed: a finite number"):
        read_scores([path])


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json", ".jsonl"])
def test_a_file_in_which_no_customer_was_scored_has_no_predictions(suffix: str, tmp_path: Path) -> None:
    none = written(SCORES.clear(), tmp_path / f"none{suffix}")
    assert read_scores([none]).is_empty()
    some = written(SCORES, tmp_path / "some.csv")
    assert len(read_scores([none, some])) == len(SCORES)
    data = tmp_path / "rows.csv"
    data.write_text("user_id,transaction_date,transaction_amount\n")
    with pytest.raises(FileFormatError, match=rf"none{suffix}: there are no rows, so nothing can be compared"):
        realised([none], data)
