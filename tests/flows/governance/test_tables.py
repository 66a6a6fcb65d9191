"""Tables of flows in and out: the same flow after a round trip, the same text around it, every fault by its cell."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.flows.analysis import AnalysedFlow, analyse_flow
from fivefold.flows.governance.tables import flow_draft_text, grid_of_table, read_flow_table, table_at
from fivefold.flows.language import TableStep
from fivefold.risk.governance.tables.grid import Grid
from fivefold.usecases.flows.asked_files import flow_text
from fivefold.usecases.flows.on_files import load_flow
from fivefold.usecases.flows.table_files import flow_draft_from_table, flow_table_bytes
from fivefold.usecases.portfolio_files.decision_tables import csv_text, read_csv
from tests.depth import examples
from tests.flows.flows_drawn import Case, cases
from tests.flows.test_program import compiled

FLOW = """
flow: room
title: Room
entity_type: customer
levels: [low, medium, high]
fields: {country: country, income: number, since: date}
actions: [{id: look, title: Look, review: 1 day}]
steps:
  - id: room
    title: Room
    table:
      gives: {amount: money, word: text, is_new: flag, share: number}
      rows:
        # the first
        - when: {field: country, in: [NO, DE]}   # beside it
          give: {amount: 10.5, word: "007", is_new: true, share: 0.123456789012345}
        # the second
        - {when: {all: [{level: in_force, at_least: medium}, {transaction: amount, above: 5}]},
           give: {amount: 1, word: "=a", is_new: false, share: -1}}
        - {when: {any: [{field: income, above: 3}, {tag: old, is: present}]},
           give: {amount: 2, word: "true", is_new: false, share: 3}}
      otherwise: {amount: 0, word: a b, is_new: false, share: 0}
  - {id: end, title: End, end: [look]}
on_failure: [look]
examples: []
"""
HEADER = ["row", "country", "give amount", "give word", "give is_new", "give share"]
OTHERWISE = ["otherwise", None, "0", "a", "false", "0"]


def flow() -> AnalysedFlow:
    return analyse_flow(FLOW)


def refused(*rows: list[str | None]) -> list[str]:
    with pytest.raises(InvalidRulesetError) as error:
        read_flow_table(Grid(rows), flow(), "room", "t.csv")
    return [f"{each.where}: {each.problem}" for each in error.value.findings]


def test_every_kind_of_cell_comes_back_and_the_text_stays_as_it_was(tmp_path: Path) -> None:
    for format_ in ("csv", "xlsx"):
        path = tmp_path / f"room.{format_}"
        path.write_bytes(flow_table_bytes(flow().flow, "room", format_))
        draft = flow_draft_from_table(FLOW, flow(), "room", path)
        assert draft.is_same, format_
        assert draft.text.endswith(FLOW)


def test_a_row_that_changed_is_written_anew_and_the_others_keep_their_remarks() -> None:
    grid = grid_of_table(table_at(flow().flow, 0))
    rows = [list(row) for row in grid.rows]
    rows[2][rows[0].index("give amount")] = "12"
    changed = read_flow_table(Grid(rows), flow(), "room", "t.csv")
    draft = flow_draft_text(FLOW, flow().flow, changed, 0, "t.csv")
    assert "# the first\n        - when: {field: country, in: [NO, DE]}   # beside it\n" in draft
    assert "# the second\n        - {when: {all: [{level: in_force, at_least: medium}, " in draft
    assert 'give: {amount: 12, is_new: false, share: -1, word: "=a"}}' in draft
    assert "# Step room: 3 rows from t.csv, 3 until now.\n" in draft
    unknown = [*rows, ["on_unknown", *rows[-1][1:]]]
    changed = read_flow_table(Grid(unknown), flow(), "room", "t.csv")
    assert table_at(changed, 0).on_unknown == table_at(changed, 0).otherwise
    assert "      on_unknown: {" in flow_draft_text(FLOW, flow().flow, changed, 0, "t.csv")


def test_a_flow_in_json_stays_json() -> None:
    text = json.dumps(json.loads(flow().flow.canonical), indent=2)
    rows = [list(row) for row in grid_of_table(table_at(flow().flow, 0)).rows]
    rows[2][rows[0].index("give amount")] = "12"
    changed = read_flow_table(Grid(rows), flow(), "room", "t.csv")
    draft = flow_draft_text(text, flow().flow, changed, 0, "t.csv")
    assert json.loads(draft)["steps"][0]["table"]["rows"][1]["give"]["amount"] == 12


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([HEADER, ["1", "NO", "1", "a", "true", "1"]], "the table: has no row otherwise below"),
        ([HEADER, ["1", "NO", "x", "a", "yes", "1"], OTHERWISE], "cell C2 (give amount)"),
        ([HEADER, ["1", "NO", "1", "a", "yes", "1"], OTHERWISE], "true or false"),
        ([HEADER, ["1", "NO", None, "a", "true", "1"], OTHERWISE], "row 2: does not give amount"),
        ([HEADER, ["1", None, "1", "a", "true", "1"], OTHERWISE], "begins a row without a condition"),
        (
            [HEADER, ["2", "NO", "1", "a", "true", "1"], ["1", "DE", "1", "a", "true", "1"], OTHERWISE],
            "rows are tried in",
        ),
        ([HEADER[:-1], ["1", "NO", "1", "a", "true"], OTHERWISE[:-1]], "has no column give share"),
        (
            [["row", "land", *HEADER[2:]], OTHERWISE],
            "is the column land, which is neither a field nor one of row, when, give",
        ),
        ([["row", "land", *HEADER[2:]], OTHERWISE], "the fields are "),
        ([["row", "land", *HEADER[2:]], OTHERWISE], "other inputs are written as in conditions, such as value: score"),
        ([["row", "step: end, output: x", *HEADER[2:]], OTHERWISE], "end"),
    ],
)
def test_what_does_not_fit_is_refused(rows: list[list[str | None]], said: str) -> None:
    assert said in "\n".join(refused(*rows))


def test_several_faults_are_named_together_in_the_order_of_the_cells() -> None:
    found = refused(HEADER, ["1", "NO, DE", "x", "a", "no", "1"], ["2", "NO", None, "a", "true", "1"], OTHERWISE)
    assert [each.partition(" (")[0].partition(":")[0] for each in found] == ["cell B2", "cell C2", "cell E2", "row 3"]


def test_a_step_that_is_no_table_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="room has no decision table end; its steps that are one: room"):
        read_flow_table(Grid([]), flow(), "end", "t.csv")


def test_what_another_step_needs_of_the_table_is_kept() -> None:
    text = FLOW.replace(
        "  - {id: end,",
        "  - {id: way, title: Way, route: [{when: {step: room, output: word, equals: a b}, to: end}], otherwise: end}\n"
        "  - {id: end,",
    )
    grid = grid_of_table(table_at(analyse_flow(text).flow, 0))
    rows = [list(row) for row in grid.rows]
    rows[-1][rows[0].index("give word")] = "c"
    with pytest.raises(InvalidRulesetError, match="would leave another part wrong: step way, way 1"):
        read_flow_table(Grid(rows), analyse_flow(text), "room", "t.csv")


@pytest.mark.parametrize("name", ["limits"])
def test_tables_that_ship_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    analysed = load_flow(name)
    for step in analysed.flow.steps:
        if isinstance(step, TableStep):
            path = tmp_path / f"{step.id}.xlsx"
            path.write_bytes(flow_table_bytes(analysed.flow, step.id, "xlsx"))
            draft = flow_draft_from_table(flow_text(name), analysed, step.id, path)
            assert draft.is_same
            assert draft.text.endswith(flow_text(name))


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_a_drawn_table_comes_back_as_it_was(case: Case) -> None:
    analysed = compiled(case).analysed
    for place, step in enumerate(analysed.flow.steps):
        if isinstance(step, TableStep):
            grid = read_csv(csv_text(grid_of_table(table_at(analysed.flow, place))).encode(), "t.csv")
            back = read_flow_table(grid, analysed, step.id, "t.csv")
            assert back.content_hash == analysed.flow.content_hash
