"""Writes the cases of a rule as a decision table: a row for each, in the order in which they are tried."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Any

from fivefold.domain.text import control_in
from fivefold.risk.governance.tables.cells import cell_text
from fivefold.risk.governance.tables.columns import (
    CASE,
    FLOOR,
    ON_UNKNOWN,
    OTHERWISE,
    OWN_WORDS,
    POINTS,
    TITLE,
    WHEN,
    data_of_input,
    header_text,
    in_reading_order,
)
from fivefold.risk.governance.tables.grid import Grid, Value, flow_text, is_error, quoted
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.operators import OPERATOR_KINDS
from fivefold.risk.language.ruleset import Outcome, Rule

_OWN = ""
"""The key of the column of the rule's own input; the key of other columns is their header."""


def plain_data(part: LanguageModel) -> dict[str, Any]:
    """Return a part of the language as plain data, without the fields that are not set."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def table_of(rule: Rule) -> Grid:
    """Write the cases of a rule as a table, the header first.

    A case that tests several inputs, all of which must hold, has a cell for each. Conditions that cells cannot
    express, joined by any and not, are written whole in the column `when`.
    """
    outcomes = [POINTS, FLOOR, *([TITLE] if any(case.title for case in rule.cases) else [])]
    own = None if rule.input is None else header_text(plain_data(rule.input))
    rows = [(plain_data(case)["when"], _outcome(case, outcomes)) for case in rule.cases]
    rest = {
        name: _outcome(outcome, outcomes)
        for name, outcome in ((OTHERWISE, rule.otherwise), (ON_UNKNOWN, rule.on_unknown))
        if outcome is not None and (name == ON_UNKNOWN or outcome != Outcome())
    }
    return grid_of((CASE, *outcomes), rows, rest, own)


def grid_of(
    words: Sequence[str],
    rows: Sequence[tuple[Any, Sequence[Value]]],
    rest: Mapping[str, Sequence[Value]],
    own: str | None = None,
    own_words: Sequence[str] = OWN_WORDS,
) -> Grid:
    """Write rows as a table.

    Args:
        words: the column that numbers the rows, then those of their outcomes.
        rows: the condition of each as plain data, and its outcome.
        rest: the outcomes below them, by the name of the row.
        own: the header of the input that tests without a name are about; None if there is none.
        own_words: headers that are not inputs.
    """
    headers, conditions = _columns([condition for condition, _ in rows], own, own_words)
    keys = [*headers, *([WHEN] if any(WHEN in cells for cells in conditions) else [])]
    grid: list[list[Value]] = [[words[0], *(headers.get(key, WHEN) for key in keys), *words[1:]]]
    for number, ((_, outcome), cells) in enumerate(zip(rows, conditions, strict=True), 1):
        grid.append([Decimal(number), *(cells.get(key) for key in keys), *outcome])
    grid += [[name, *(None for _ in keys), *outcome] for name, outcome in rest.items()]
    return Grid(grid)


def _columns(
    conditions: Sequence[Any], own: str | None, own_words: Sequence[str]
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the headers by key, in an order in which cases test them, and the cells of each case by key."""
    headers = {} if own is None else {_OWN: own}
    before: dict[str, set[str]] = {key: set() for key in headers}
    rows = []
    for condition in conditions:
        parts = _parts(condition, headers.get(_OWN), own_words)
        order = {key: set(keys) for key, keys in before.items()}
        for number, (key, _, _) in enumerate(parts):
            order.setdefault(key, set()).update(other for other, _, _ in parts[:number])
        if not parts or _is_circular(order):
            rows.append({WHEN: flow_text(in_reading_order(condition))})
            continue
        before = order
        headers |= {key: header for key, header, _ in parts}
        rows.append({key: text for key, _, text in parts})
    return {key: headers[key] for key in TopologicalSorter(before).static_order()}, rows


def _is_circular(before: dict[str, set[str]]) -> bool:
    try:
        TopologicalSorter(before).prepare()
    except CycleError:
        return True
    return False


def _parts(condition: Any, own: str | None, own_words: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the cells of a condition, each with the key and header of its column; empty if cells cannot express it."""
    parts = [condition]
    if isinstance(condition, dict) and list(condition) == ["all"] and len(condition["all"]) > 1:
        parts = condition["all"]
    cells = []
    for part in parts:
        if isinstance(part, str):
            cells.append((_OWN, str(own), part))
            continue
        data = data_of_input(part)
        test = {word: value for word, value in part.items() if word in OPERATOR_KINDS}
        header = header_text(data, own_words) if data else own
        if not test or header is None or (data and header == own):
            return []
        text = cell_text(test)
        is_bare_state = not data and list(test) == ["is"]  # `present` alone is a shorter form of the same
        cells.append((header if data else _OWN, header, f"is {text}" if is_bare_state else text))
    return cells if len({key for key, _, _ in cells}) == len(cells) else []


def _outcome(outcome: Outcome, columns: list[str]) -> list[Value]:
    values: Mapping[str, Value] = {
        POINTS: outcome.points,
        FLOOR: None if outcome.floor is None else _level(outcome.floor),
        TITLE: text_cell(getattr(outcome, TITLE, None)),
    }
    return [values[column] for column in columns]


def _level(level: str | int) -> Value:
    """Write a level: a name of digits is quoted, because a plain number counts levels from 1."""
    if isinstance(level, int):
        return Decimal(level)
    return text_cell(level) if not level.strip().isdecimal() else quoted(level)


def text_cell(text: str | None) -> str | None:
    """Write a text as it is, or quoted if a cell would not keep it."""
    if text is None:
        return None
    is_kept = text == text.strip() and text == quoted(text)[1:-1] and not control_in(text)
    looks_like_another = text[:1].isdecimal() or text.lower() in {"true", "false"} or is_error(text)
    return text if is_kept and not looks_like_another else quoted(text)
