"""Berka as a replay of flows: the page is written from runs as they are, and its figures come out again."""

from pathlib import Path

import polars as pl
import pytest

import benchmarks
from benchmarks import results_flows
from benchmarks.flow_platform import WANTED, Replayed, section
from benchmarks.imports.run import Step
from benchmarks.results_flows import Replay, action_rows, limit_rows, outcome_rows, page, waiting
from fivefold.usecases.flows.asked_files import bundled_flows
from fivefold.usecases.flows.on_files import load_flow

ROOT = Path(benchmarks.__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
ENDS = pl.DataFrame(
    {
        "entity_id": ["a", "b", "c", "d"],
        "status": ["ended", "waits", "failed", "ended"],
        "at": ["limited", "ask", "limit", "limited"],
        "actions": ["set-limit", "", "look-soon", "set-limit"],
        "set-limit_minor": [2_000_000, None, None, 50_000],
    }
)


def replayed(as_of: str = "1999-01-01", **columns: list[str]) -> Replay:
    ends = pl.DataFrame({"entity_id": ["a", "b"], "status": ["ended"] * 2, "actions": [""] * 2, **columns})
    return Replay("escalation", as_of, "the command", 1.0, 2.0, 3.0, ends)


def test_runs_are_counted_where_they_stop_and_by_what_would_follow() -> None:
    limits = load_flow("limits")
    assert [row.split(" | ")[0::2] for row in outcome_rows(limits, ENDS)] == [
        ["| ended at `limited`", "2"],
        ["| failed at `limit`", "1"],
        ["| waits at `ask`", "1"],
    ]
    assert [row.split(" | ")[2] for row in action_rows(limits, ENDS)] == ["2", "0", "0", "0", "0", "1"]
    assert limit_rows(ENDS) == ["| set-limit | 20,000 CZK | 1 |", "| set-limit | 500 CZK | 1 |"]
    assert waiting(ENDS).rows() == [("b", "ask")]


def test_the_page_says_who_stops_elsewhere_than_a_year_before() -> None:
    years = [replayed("1994-01-01", at=["nothing", "flagged"]), replayed("1995-01-01", at=["flagged", "nothing"])]
    text = page([replayed(at=["nothing", "ask"])], [], years, 0.0)
    assert "| 1995-01-01 | 2 | 1 | 1 | 2 | 1 |" in text
    assert "no person answers" not in text


def test_a_replay_on_the_platform_is_told_by_where_its_runs_came_to() -> None:
    report = {"entities": 3, "ends": [["ended", "nothing", 1], ["waits", "ask", 3]], "actions": [["flag", 1]]}
    replays = [Replayed(asked, Step("worker", 2.0, 1.0, 500.0, ""), report) for asked in WANTED]
    text = section([Step("import", 10.0, 4.0, 1.0, ""), Step("worker", 1.0, 0.5, 400.0, "")], replays)
    assert "That takes 10 s\n(4 of the processors)" in text, "a worker with nothing to do is no part of it"
    assert "| `payment` | each transaction of December 1998 | 4 | 2.0 | 1.0 | 2 | 500 |" in text
    assert "| waits at `ask` | 3 | 75.0 % |\n| ended at `nothing` | 1 | 25.0 % |" in text
    assert "| `flag` | 1 | 25.0 % |" in text


def test_every_flow_that_ships_is_replayed_on_the_platform() -> None:
    assert sorted(each.flow for each in WANTED) == list(bundled_flows())


@pytest.mark.full
@pytest.mark.skipif(not (DATA / "berka").is_dir(), reason="the data set is not there")
def test_the_figures_of_the_page_come_out_again(tmp_path: Path) -> None:
    """Of a flow that reads no value: no model has to be trained for it."""
    results_flows.write_files(DATA, tmp_path)
    found = results_flows.replay(tmp_path, "escalation", "1999-01-01")
    text = (ROOT / "docs" / "results-flows.md").read_text(encoding="utf-8")
    rows = outcome_rows(load_flow("escalation"), found.ends)
    assert len(rows) == 3
    assert [row for row in rows if row not in text] == []
