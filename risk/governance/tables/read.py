"""Reads the cases of a rule from a decision table; every fault names its cell."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.risk.compiler.value_types import Vocabulary, vocabulary
from fivefold.risk.governance.tables.cases import Doubted, RuleCases, position_of, with_cases
from fivefold.risk.governance.tables.cells import CellError, read_cell, read_flow, read_number
from fivefold.risk.governance.tables.columns import (
    FLOOR,
    ON_UNKNOWN,
    OTHERWISE,
    POINTS,
    REST,
    RULE_FORM,
    WHEN,
    TableForm,
    read_header,
    same_input,
)
from fivefold.risk.governance.tables.grid import MOST_COLUMNS, Grid, Value, without_errors
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.ruleset import Ruleset

MOST_DIGITS = 9
"""Largest number of digits in the number of a case or a level."""


def read_table(grid: Grid, ruleset: Ruleset, identifier: str, source: str) -> Ruleset:
    """Return a ruleset in which one rule has the cases of a table.

    Args:
        grid: the table, the header first.
        ruleset: the ruleset that is to contain the cases.
        identifier: the id of the rule whose cases they are.
        source: the name of the table in messages.

    Raises:
        ConfigError: there is no such rule.
        InvalidRulesetError: a cell cannot be read exactly, or does not fit; every fault names its cell.
    """
    position = position_of(ruleset, identifier)
    reader = TableReader(
        grid=grid,
        form=RULE_FORM,
        names=vocabulary(ruleset),
        outcome_of=_rule_outcome,
        own=ruleset.rules[position].input,
    )
    cases = reader.read()
    with in_order_of_cells(source):
        return with_cases(ruleset, position, cases, source, reader.where, reader.doubted())


@contextmanager
def in_order_of_cells(source: str) -> Iterator[None]:
    """Sort the faults that are raised into the order in which a person reads the table."""
    try:
        yield
    except InvalidRulesetError as error:
        raise InvalidRulesetError(sorted(error.findings, key=_as_read), source) from None


_CELL = re.compile(r"(?:cell |!)(?P<column>[A-Z]+)(?P<row>[0-9]+)\b|^row (?P<whole>[0-9]+)")


def _as_read(finding: Finding) -> tuple[int, int, str]:
    """Return the sort key of a fault: by row, then by column; faults of the whole table come first."""
    match = _CELL.search(finding.where)
    column = (match and match["column"]) or ""
    return (int(match["row"] or match["whole"]) if match else 0, len(column), column)


@dataclass(frozen=True)
class _Column:
    """A column of an input; `data` names the input in a test, and is empty for the rule's own."""

    number: int
    kind: ValueType
    data: Mapping[str, Any]


OutcomeReader = Callable[[str, Value, Grid], Any]
"""Reads a cell of an outcome's column; raises CellError if it cannot be read exactly."""


@dataclass(kw_only=True)
class TableReader:
    """Reads a table, and remembers its findings and the row of each case."""

    grid: Grid
    form: TableForm
    names: Vocabulary
    outcome_of: OutcomeReader
    own: LanguageModel | None = None
    findings: list[Finding] = field(default_factory=list)
    _words: dict[str, int] = field(default_factory=dict)
    _inputs: list[_Column] = field(default_factory=list)
    _rows: dict[str | int, int] = field(default_factory=dict)
    _cells: dict[int, list[int]] = field(default_factory=dict)
    _faulty: set[int] = field(default_factory=set)

    def read(self) -> RuleCases:
        """Return the rows; what cannot be read is added to `findings`."""
        if self._has_no_size():
            return RuleCases(())
        self.grid = without_errors(self.grid)
        for (row, column), problem in self.grid.refused.items():
            self.findings.append(Finding(self.grid.address(row, column), problem))
            self._faulty.add(row)
        self._read_header()
        cases: list[dict[str, Any]] = []
        rest: dict[str, dict[str, Any]] = {}
        last, noun = 0, self.form.number
        for row in range(1, len(self.grid.rows)):
            if self._is_refused(row, self._width):
                continue  # in a row that is too long it is unknown which cell belongs to which column
            if not any(self._text(row, column) or self._is_refused(row, column) for column in range(self._width)):
                self.findings.append(Finding(f"row {row + 1}", "is empty, with rows below it; take it out"))
                continue
            try:
                name, last = self._name(row, last)
            except CellError as error:
                self._find(row, self._words[self.form.number], str(error))
                continue
            outcome = self._outcome(row)
            if name in REST:
                self._read_rest(row, name, outcome, rest)
            elif rest:
                self._find(
                    row, 0, f"is a {noun} below {' and '.join(rest)}; {noun}s stand above, in the order they are tried"
                )
            else:
                self._rows[len(cases)] = row
                cases.append({"when": self._condition(row), **outcome})
        if not cases and not self.findings:
            self.findings.append(Finding("the table", f"has no {noun}; a {self.form.whole} has at least one"))
        return RuleCases(tuple(cases), rest.get(OTHERWISE), rest.get(ON_UNKNOWN))

    def doubted(self) -> Doubted:
        """Return the findings, and the cases not to be checked further: all of them if a column is unknown."""
        is_whole = 0 not in self._faulty
        return Doubted(
            self.findings, frozenset(part for part, row in self._rows.items() if not is_whole or row in self._faulty)
        )

    def where(self, path: Path) -> str:
        """Return the address of the cell for a path that begins at the rule."""
        if path[:1] == ("cases",) and len(path) > 1 and isinstance(path[1], int):
            row, below = self._rows[path[1]], path[2:]
        elif path and path[0] in self._rows:
            row, below = self._rows[path[0]], path[1:]
        else:
            return "the table"
        for step in below:
            if step in self.form.outcomes and step in self._words:
                return self._address(row, self._words[str(step)])
            columns = self._cells.get(row)
            if step == WHEN and columns:
                numbers = [each for each in below if isinstance(each, int)]
                part = numbers[0] if len(columns) > 1 and numbers and numbers[0] < len(columns) else 0
                return self._address(row, columns[part])
        return f"row {row + 1}"

    def _address(self, row: int, column: int) -> str:
        return f"{self.grid.address(row, column)} ({self._text(0, column)})"

    def _find(self, row: int, column: int, problem: str) -> None:
        self.findings.append(Finding(self._address(row, column), problem))
        self._faulty.add(row)

    @property
    def _width(self) -> int:
        return len(self.grid.rows[0])

    def _is_refused(self, row: int, column: int) -> bool:
        """Check whether a cell has content that is not read, and has already been reported."""
        return (row, column) in self.grid.refused

    def _text(self, row: int, column: int) -> str:
        value = self.grid.rows[row][column]
        return "" if value is None else str(value).strip()

    def _has_no_size(self) -> bool:
        """Check whether there are no rows, or too many."""
        rows = self.grid.rows
        if not rows:
            self.findings.append(
                Finding(
                    "the table",
                    f"is empty; its first row names the columns: {', '.join(self.form.own_words)}, and inputs",
                )
            )
        elif len(rows) > self.form.most_rows or len(rows[0]) > MOST_COLUMNS:
            most = f"{self.form.most_rows} rows, {MOST_COLUMNS} columns"
            problem = f"has {len(rows):,} rows and {len(rows[0])} columns; at most {most} can be read"
            self.findings.append(Finding("the table", problem))
        return bool(self.findings)

    def _read_header(self) -> None:
        for number in range(self._width):
            text = self._text(0, number)
            if self._is_own_word(text, number):
                continue
            if not text:
                is_used = any(self._text(row, number) for row in range(len(self.grid.rows)))
                if is_used and not self._is_refused(0, number):
                    self._find(0, number, "is empty above cells that are not; the first row names every column")
                continue
            try:
                rule_input, kind = read_header(text, self.names, self.form)
            except CellError as error:
                self.findings.append(Finding(self.grid.address(0, number), str(error)))
                self._faulty.add(0)
                continue
            is_own = same_input(rule_input, self.own)
            data = {} if is_own else rule_input.model_dump(mode="json", by_alias=True, exclude_none=True)
            if any(column.data == data for column in self._inputs):
                self._find(0, number, "is the same input as another column; join the two")
            self._inputs.append(_Column(number, kind, data))
        for group in self.form.needed:
            if 0 not in self._faulty and not (set(group) & self._words.keys()):
                self._lack(f"has no column {' or '.join(group)}")
        if 0 not in self._faulty and not self._inputs and WHEN not in self._words:
            self._lack("has no column of an input; its header is a field, or an input as rules write it")

    def _is_own_word(self, text: str, number: int) -> bool:
        """Return whether a header is one of the table's own words, not an input, and note its column."""
        word = next((each for each in self.form.own_words if each.lower() == text.lower()), None)
        if word is not None:
            if word in self._words:
                self._find(0, number, "appears twice")
            self._words[word] = number
        return word is not None

    def _lack(self, problem: str) -> None:
        self.findings.append(Finding(self.grid.address(0, 0), f"the header {problem}; it has {self._names()}"))
        self._faulty.add(0)

    def _names(self) -> str:
        return ", ".join(str(value) for value in self.grid.rows[0] if value is not None)

    def _name(self, row: int, last: int) -> tuple[str, int]:
        """Return the name of a row, a case or one of the rest, and the number of the last numbered case."""
        noun = self.form.number
        if noun not in self._words:
            return noun, last
        text = self._text(row, self._words[noun]).lower().replace(" ", "_")
        if not text or text in REST:
            return text or noun, last
        if not text.removesuffix(".0").isdecimal() or len(text) > MOST_DIGITS:
            raise CellError(
                f"is {text}; it must be the number of the {noun}, empty for a new one, or "
                f"{' or '.join(REST)} below them"
            )
        number = int(text.removesuffix(".0"))
        if number <= last:
            raise CellError(
                f"is {number} after {last}: {noun}s are tried in the order of the rows, and these were sorted; "
                "sort by this column, or empty it where the new order is meant"
            )
        return noun, number

    def _read_rest(self, row: int, name: str, outcome: dict[str, Any], rest: dict[str, dict[str, Any]]) -> None:
        if name in rest:
            self._find(row, self._words[self.form.number], f"is {name} again; there is one such row")
        below = self.form.below
        others = [
            self._words[word] for word in (WHEN, *self.form.outcomes) if word in self._words and word not in below
        ]
        for column in [*(each.number for each in self._inputs), *others]:
            if self._text(row, column):
                self._find(row, column, f"is not empty in the row {name}, which has {' and '.join(below)} alone")
        rest[name], self._rows[name] = outcome, row

    def _outcome(self, row: int) -> dict[str, Any]:
        outcome: dict[str, Any] = {}
        for word in self.form.outcomes:
            if word not in self._words or not self._text(row, self._words[word]):
                continue
            value = self.grid.rows[row][self._words[word]]
            try:
                outcome[word] = self.outcome_of(word, value, self.grid)
            except CellError as error:
                self._find(row, self._words[word], str(error))
        return outcome

    def _condition(self, row: int) -> Any:
        """Read the condition of a case; each fault is added with its cell."""
        self._cells[row] = []
        parts: list[Any] = []
        for column in self._inputs:
            value = self.grid.rows[row][column.number]
            try:
                test = read_cell(value, column.kind, may_part_thousands=self.grid.may_part_thousands)
            except CellError as error:
                self._find(row, column.number, str(error))
                continue
            if test is not None:
                self._cells[row].append(column.number)
                is_word = not column.data and str(value).strip().lower() in {"present", "absent"}
                parts.append(test["is"] if is_word else {**column.data, **test})
        whole = self._text(row, self._words[WHEN]) if WHEN in self._words else ""
        if whole and not parts:
            self._cells[row] = [self._words[WHEN]]
            try:
                return read_flow(whole)
            except CellError as error:
                self._find(row, self._words[WHEN], str(error))
        elif whole:
            self._find(
                row, self._words[WHEN], "is not empty beside cells of inputs; write the whole condition in one of them"
            )
        elif not parts and not {0, row} & self._faulty:
            self._find(
                row,
                0,
                f"begins a {self.form.number} without a condition; what is given where no {self.form.number} holds has "
                f"{OTHERWISE} in the column {self.form.number}, below the {self.form.number}s",
            )
        return parts[0] if len(parts) == 1 else {"all": parts}


def _rule_outcome(word: str, value: Value, grid: Grid) -> Any:
    return number_of(value, grid, "points") if word == POINTS else words_of(value, is_level=word == FLOOR)


def number_of(value: Value, grid: Grid, what: str) -> Decimal:
    """Read a number of a row's outcome; *what* is its name, for the message."""
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str):
        raise CellError(f"is {value}, where {what} must stand: a number such as 10 or -2.5")
    return read_number(value.strip(), may_part_thousands=grid.may_part_thousands)


def words_of(value: Value, *, is_level: bool) -> str | int:
    """Read a title, or a level: a plain number is the number of a level, a quoted one is a name."""
    if isinstance(value, Decimal) and is_level and value == int(value):
        return int(value)
    if not isinstance(value, str):
        what = "a level" if is_level else "text"
        raise CellError(f"is {value}, where {what} must stand; format the cell as text, and type it again")
    text = value.strip()
    if is_level and text.isdecimal() and len(text) <= MOST_DIGITS:
        return int(text)
    if not (len(text) > 1 and text.startswith('"') and text.endswith('"')):
        return text
    content = read_flow(text)
    return content if isinstance(content, str) else text
