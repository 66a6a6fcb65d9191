"""Conversion of a flow's decision table to a spreadsheet and back; each fault names its cell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import count_text, perhaps
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.language import MOST_ROWS, Flow, Table, TableStep, read_flow
from fivefold.flows.outside.language import Fact
from fivefold.risk.governance.drafts import NOTHING_IN_FORCE, with_reasons, without_reasons
from fivefold.risk.governance.tables.cases import RuleCases, fitted
from fivefold.risk.governance.tables.cells import CellError
from fivefold.risk.governance.tables.columns import ON_UNKNOWN, OTHERWISE, WHEN, TableForm
from fivefold.risk.governance.tables.draft import RowsOf, with_rows
from fivefold.risk.governance.tables.grid import Grid, Value
from fivefold.risk.governance.tables.read import TableReader, in_order_of_cells, number_of, words_of
from fivefold.risk.governance.tables.write import grid_of, plain_data, text_cell
from fivefold.risk.language.base import WHEN_USED, LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.reading import WRITTEN, where_of

ROW = "row"
"""The column that numbers the rows."""

_GIVE = "give "
"""The prefix of an output's column, which distinguishes it from an input's."""

_NOTHING_ELSE = f"has no row {OTHERWISE} below the others, which says what is given where none of them holds"
_FACTS: TypeAdapter[LanguageModel] = TypeAdapter(Fact, config=WHEN_USED)


def position_of_table(flow: Flow, identifier: str) -> int:
    """Return the position, from 0, of the decision table with an id; ConfigError if no table has it."""
    tables = {step.id: place for place, step in enumerate(flow.steps) if isinstance(step, TableStep)}
    if identifier not in tables:
        there = ", ".join(tables) or "none"
        near = perhaps(identifier, tables)
        raise ConfigError(f"{flow.name} has no decision table {identifier}{near}; its steps that are one: {there}")
    return tables[identifier]


def table_at(flow: Flow, position: int) -> Table:
    """Return the table of a step."""
    step = flow.steps[position]
    assert isinstance(step, TableStep)  # positions come from position_of_table
    return step.table


def form_of(table: Table) -> TableForm:
    """Return the form of a table's columns."""
    outcomes = tuple(_GIVE + name for name in table.gives)
    most = MOST_ROWS + 3  # the header, and the two rows below the others
    return TableForm(
        whole="table",
        number=ROW,
        outcomes=outcomes,
        needed=tuple((each,) for each in outcomes),
        below=outcomes,
        inputs=_FACTS,
        most_rows=most,
    )


def grid_of_table(table: Table) -> Grid:
    """Return the rows of a table as a grid, the header first."""
    form, names = form_of(table), list(table.gives)
    rows = [(plain_data(row)[WHEN], _cells(row.give, names)) for row in table.rows]
    rest = {OTHERWISE: _cells(table.otherwise, names)}
    if table.on_unknown is not None:
        rest[ON_UNKNOWN] = _cells(table.on_unknown, names)
    return grid_of((ROW, *form.outcomes), rows, rest, own_words=form.own_words)


def _cells(values: Mapping[str, Any], names: Sequence[str]) -> list[Value]:
    return [_cell(values.get(name)) for name in names]


def _cell(value: Any) -> Value:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return value
    return text_cell(value)


def read_flow_table(grid: Grid, analysed: AnalysedFlow, identifier: str, source: str) -> Flow:
    """Return a flow in which one decision table has the rows of a sheet.

    Args:
        grid: the sheet, the header first.
        analysed: the flow, with everything that it asks.
        identifier: the id of the step.
        source: what the sheet is called in messages.

    Raises:
        ConfigError: there is no such step.
        InvalidRulesetError: something cannot be read exactly, or does not fit; every fault names its cell.
    """
    position = position_of_table(analysed.flow, identifier)
    table = table_at(analysed.flow, position)
    kinds = {_GIVE + name: kind for name, kind in table.gives.items()}
    reader = TableReader(
        grid=grid,
        form=form_of(table),
        names=analysed.names,
        outcome_of=lambda word, value, of: _read_output(kinds[word], value, of),
    )
    cases = reader.read()
    with in_order_of_cells(source):
        return fitted(lambda rows: _tried(analysed, position, rows), cases, source, reader.where, reader.doubted())


def _read_output(kind: str, value: Value, grid: Grid) -> Any:
    """Read one output of a row."""
    if kind in {"number", "money"}:
        return number_of(value, grid, "an amount of money" if kind == "money" else "a number")
    if kind == "text":
        return words_of(value, is_level=False)
    text = str(value).strip().lower()
    if text not in {"true", "false"}:
        raise CellError(f"is {value}, where a flag must stand: true or false")
    return text == "true"


def _tried(analysed: AnalysedFlow, position: int, cases: RuleCases) -> tuple[Flow | None, list[tuple[Path, str]]]:
    """Put rows into a table; return the flow, or None and the faults by their path in the sheet."""
    flow, step = analysed.flow, analysed.flow.steps[position]
    rows = [{WHEN: row[WHEN], "give": _by_name(row)} for row in cases.cases]
    data: dict[str, Any] = {"gives": plain_data(table_at(flow, position))["gives"], "rows": rows}
    for word in (OTHERWISE, ON_UNKNOWN):
        values = getattr(cases, word)
        data |= {} if values is None else {word: _by_name(values)}
    try:
        table = Table.model_validate(data, by_alias=True, by_name=False, context=WRITTEN)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        return None, [
            (
                _in_sheet(fault["loc"]),
                _NOTHING_ELSE
                if fault["loc"] == (OTHERWISE,) and fault["type"] == "missing"
                else problem_of(fault, list(flow.fields), list(flow.calculate)),
            )
            for fault in faults
            if len(faults) == 1 or fault["type"] != "too_short"  # faulty rows are named themselves
        ]
    steps = (*flow.steps[:position], step.model_copy(update={"table": table}), *flow.steps[position + 1 :])
    whole = flow.model_copy(update={"steps": steps})
    problems: list[tuple[Path, str]] = []
    for fault in replace(analysed, definition=whole).draft_diagnostics:
        if fault.path[:3] == ("steps", position, "table"):
            problems.append((_in_sheet(fault.path[3:]), fault.problem))
        elif fault not in analysed.draft_diagnostics:
            problems.append(
                ((), f"would leave another part wrong: {where_of(fault.path, flow.named_parts)} {fault.problem}")
            )
    return (None if problems else whole), problems


def _by_name(row: Mapping[str, Any]) -> dict[str, Any]:
    return {word.removeprefix(_GIVE): value for word, value in row.items() if word.startswith(_GIVE)}


def _in_sheet(path: Path) -> Path:
    """Return the path of a fault in the terms of the sheet's reader."""
    if path[:1] == ("rows",):
        path = ("cases", *path[1:])
    if path[:1] == ("cases",) and path[2:3] == ("give",):
        return (*path[:2], *(_GIVE + str(name) for name in path[3:4]))
    if path[:1] in {(OTHERWISE,), (ON_UNKNOWN,)}:
        return (path[0], *(_GIVE + str(name) for name in path[1:2]))
    return path


def flow_draft_text(text: str, flow: Flow, changed: Flow, position: int, source: str) -> str:
    """Return the draft: the flow's text with the rows of one table replaced, and all else as it was written.

    An unchanged row keeps its text and comments; a new row is one line.

    Raises:
        ConfigError: the rows cannot be replaced without changing more of the text.
    """
    text = without_reasons(text)
    before, after = ((flow.steps[position].id, table_at(each, position)) for each in (flow, changed))
    text = with_rows(text, ("steps", position, "table"), _rows_of(*before), _rows_of(*after))
    sizes = f"{count_text(len(after[1].rows), 'row')} from {source}, {len(before[1].rows)} until now"
    reasons = [f"Made from {flow.name} {flow.content_hash}.", f"Step {before[0]}: {sizes}."]
    draft = with_reasons(text, f"A DRAFT with rows from a decision table. {NOTHING_IN_FORCE}", reasons)
    if read_flow(draft, "the draft").content_hash != changed.content_hash:
        problem = f"the rows of {before[0]} cannot be replaced in this text without changing more; do it by hand"
        raise ConfigError(problem)
    return draft


def _rows_of(name: str, table: Table) -> RowsOf:
    def data_of(word: str, outcome: Any) -> Any:
        return None if outcome is None else plain_data(table)[word]

    return RowsOf(name, "rows", table.rows, {OTHERWISE: table.otherwise, ON_UNKNOWN: table.on_unknown}, data_of)
