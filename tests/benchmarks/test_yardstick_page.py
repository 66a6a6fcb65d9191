"""The command of the yardstick, its page, and its data sets."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import benchmarks
from benchmarks.yardstick import __main__ as command
from benchmarks.yardstick.data_sets import DATA_SETS, DataSet, read_online_retail
from benchmarks.yardstick.figures import GINI, LESS
from benchmarks.yardstick.methods import FIVEFOLD, PERSISTENCE, persistence
from benchmarks.yardstick.page import Finding, section, summary
from benchmarks.yardstick.protocol import Prediction, Task
from fivefold.domain.errors import NotEnoughDataError
from fivefold.training.config import ValueSettings

DOCS = Path(benchmarks.__file__).parent.parent / "docs"


def shop(path: Path) -> pa.Table:
    """A shop of 120 customers for 400 days: every one buys for as much as the number in its name."""
    start = np.datetime64("2024-01-01", "us")
    rows = [
        (f"user_{user}", start + np.timedelta64(day, "D"), float(user + day % 3))
        for user in range(120)
        for day in range(user % 20, 400, 20)
    ]
    users, days, amounts = zip(*rows, strict=True)
    return pa.table(
        {
            "user_id": users,
            "transaction_currency": ["EUR"] * len(rows),
            "transaction_amount": amounts,
            "transaction_date": pa.array(days, pa.timestamp("us")),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one data set of its own, and two cheap methods."""
    value = ValueSettings(deposit_fee=1, withdrawal_fee=0, yearly_margin=0)
    toy = DataSet("toy", "Toy", "A shop", "toy.parquet", "EUR", value, "what is bought", "It is nowhere", shop)
    away = DataSet("away", "Away", "Absent", "away.csv", "EUR", value, "all", "It is at example.org", shop)
    (tmp_path / "toy.parquet").touch()
    monkeypatch.setattr(command, "DATA_SETS", {"toy": toy, "away": away})
    monkeypatch.setattr(command, "environment", lambda folder, _: folder)

    def backwards(task: Task) -> Prediction:
        (tmp_path / "asked").write_text((tmp_path / "asked").read_text() + "x")
        return Prediction(-persistence(task).values, money=False)

    def lost(task: Task) -> Prediction:
        return Prediction(np.zeros(len(task.customers)), reasons=("it rises still",))

    (tmp_path / "asked").touch()
    every = {PERSISTENCE: backwards, "lost": lost, FIVEFOLD: persistence}
    monkeypatch.setattr(command, "methods", lambda _: every)
    return tmp_path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> str:
    common = [
        "--data",
        folder,
        "--kept",
        folder / "kept",
        "--sets",
        "toy",
        "away",
        "--windows",
        "2",
        "--resamples",
        "40",
    ]
    monkeypatch.setattr(sys, "argv", ["yardstick", *map(str, common), "--write", str(folder / "page.md"), *options])
    command.main()
    return (folder / "page.md").read_text(encoding="utf-8") if (folder / "page.md").is_file() else ""


def test_the_command_writes_page_and_table_and_goes_on_where_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = run(folder, monkeypatch)
    assert f"| Toy | {PERSISTENCE} | 2 of 2 | 2 of 2 | - | - |" in text
    assert ": it rises still" in text
    assert f"Away is not at {folder / 'away.csv'}. It is at example.org." in text
    table = pl.read_csv(folder / "page.csv")
    assert set(table["method"]) == {PERSISTENCE, FIVEFOLD}
    assert len(set(table["window"])) == 3
    assert run(folder, monkeypatch) == text
    assert (folder / "asked").read_text() == "xx"
    for said in (folder / "kept" / "toy").rglob("fivefold.json"):
        assert json.loads(said.read_text())["reasons"] == []


def test_another_s_predictions_get_a_line_like_all_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder, monkeypatch, "--tasks", str(folder / "tasks"))
    asked = sorted((folder / "tasks" / "toy").glob("*.customers.csv"))
    assert len(asked) == 2
    for file in asked:
        day = file.name.removesuffix(".customers.csv")
        seen = pl.read_parquet(file.with_name(f"{day}.transactions.parquet"))
        assert str(seen["transaction_date"].max()) <= f"{day} 00:00:00"
        predicted = pl.read_csv(file).with_columns(predicted=pl.col("customer").str.slice(5).cast(pl.Float64))
        (folder / "mine" / "toy").mkdir(parents=True, exist_ok=True)
        predicted.reverse().write_csv(folder / "mine" / "toy" / f"{day}.csv")
    text = run(folder, monkeypatch, "--rival", f"My method={folder / 'mine'}")
    assert "| My method | 0 of 2 |" in text.replace("Toy | ", "")
    with pytest.raises(SystemExit, match="Nobody has no predictions at"):
        run(folder, monkeypatch, "--rival", f"Nobody={folder / 'nobody'}")


def test_an_interval_that_holds_0_is_said_to() -> None:
    cells = [
        ("a", 0.1, -0.1, 0.3),
        ("b", 0.2, 0.1, 0.3),
        ("c", -0.2, -0.3, -0.1),
    ]
    rows = [
        {"data_set": "toy", "window": window, "customers": 5, "method": method, "figure": figure + end}
        | dict(zip(("estimate", "low", "high"), found, strict=True))
        for window, *found in cells
        for method, end in ((FIVEFOLD, ""), ("rival", ""), ("rival", LESS))
        for figure in (GINI, "top_decile_capture")
    ]
    finding = Finding(DATA_SETS["cdnow"], pl.DataFrame(rows))
    assert "| CDNOW | rival | 1 of 3 | 1 of 3 | a (holds 0), c (below 0) | a (holds 0), c (below 0) |" in summary(
        [finding]
    )


def test_online_retail_is_purchases_by_invoice_less_what_was_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "online_retail_II.csv"
    path.write_text(
        "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"
        "1,a,CUP,2,2010-12-01 08:26:00,1.50,17850.0,United Kingdom\n"
        "1,b,PLATE,1,2010-12-01 08:26:00,4.00,17850.0,United Kingdom\n"
        "C2,a,CUP,-1,02/12/2010 09:00,1.50,17850,United Kingdom\n"
        "3,a,CUP,9,2010-12-03 09:00:00,1.50,,United Kingdom\n",
        encoding="utf-8",
    )
    rows = read_online_retail(path).to_pylist()
    assert [(row["user_id"], row["transaction_amount"], str(row["transaction_date"])) for row in rows] == [
        ("17850", 7.0, "2010-12-01 08:26:00"),
        ("17850", -1.5, "2010-12-02 09:00:00"),
    ]


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_a_data_set_that_is_not_there_says_where_to_get_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughDataError, match=rf"is not at .*{DATA_SETS[name].file}\. It is .*: (write|save)"):
        DATA_SETS[name].table(tmp_path)


@pytest.mark.skipif(not (DOCS / "benchmark.csv").is_file(), reason="the page was not written yet")
def test_the_page_has_the_figures_of_its_table() -> None:
    table = pl.read_csv(DOCS / "benchmark.csv", schema_overrides={"window": pl.String})
    text = (DOCS / "benchmark.md").read_text(encoding="utf-8")
    findings = [
        Finding(DATA_SETS[name], table.filter(data_set=name)) for name in table["data_set"].unique(maintain_order=True)
    ]
    assert {finding.data_set.name for finding in findings} >= {"berka", "cdnow"}
    wanted = [*summary(findings), *(line for finding in findings for line in section(finding))]
    assert [line for line in wanted if line.strip() not in text] == []
