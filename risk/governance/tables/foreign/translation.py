"""Translates a table of another system into the cases of a rule, with the same hit policy, or refuses it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations, pairwise
from typing import Any

from pydantic import TypeAdapter

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.value_types import vocabulary
from fivefold.risk.governance.tables.cases import RuleCases, position_of, with_cases
from fivefold.risk.governance.tables.cells import CellError, shown_cell
from fivefold.risk.governance.tables.columns import OUTCOMES, POINTS, TITLE, read_header, same_input
from fivefold.risk.governance.tables.foreign.unary import Condition, System, denies, read_unary
from fivefold.risk.language.documents import Path
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import MomentText
from fivefold.risk.language.ruleset import Ruleset

_MOMENT: TypeAdapter[int] = TypeAdapter(MomentText)
_OTHER_TEXT = "\0 a text that no cell names"
_MISSING = None


def can_meet(one: Condition | None, other: Condition | None, kind: ValueType) -> bool:
    """Check whether some value of a type, or a missing one, meets both conditions; every value meets None.

    Between two neighbouring numbers that cells name, one number represents all, so the answer is exact.

    >>> can_meet({"above": Decimal(5)}, {"at_most": Decimal(5)}, ValueType.NUMBER)
    False
    >>> can_meet({"in": ["a", "b"]}, {"not_equals": "a"}, ValueType.TEXT)
    True
    """
    if one is None or other is None:
        return True
    if kind is ValueType.MOMENT:
        one, other = _in_microseconds(one), _in_microseconds(other)
    return any(_holds(one, value) and _holds(other, value) for value in _values(one, other))


def values_named(condition: Condition | None) -> int:
    """Count the values that a condition names."""
    return sum(1 for _ in _named(condition)) if condition is not None else 0


def _values(*conditions: Condition) -> Iterator[Any]:
    named = {value for condition in conditions for value in _named(condition)}
    numbers = sorted(value for value in named if isinstance(value, Decimal))
    yield from (_MISSING, _OTHER_TEXT, True, False)
    yield from (value for value in named if isinstance(value, str))
    if not numbers:
        yield Decimal(0)
        return
    yield from numbers
    yield from ((low + high) / 2 for low, high in pairwise(numbers))
    yield from (numbers[0] - 1, numbers[-1] + 1)


def _named(condition: Any) -> Iterator[Any]:
    if isinstance(condition, dict):
        for word, value in condition.items():
            if word != "is":
                yield from _named(value)
    elif isinstance(condition, list):
        for value in condition:
            yield from _named(value)
    elif not isinstance(condition, bool):
        yield condition


def _in_microseconds(condition: Any) -> Any:
    """Replace dates by microseconds, which can be ordered."""
    if isinstance(condition, dict):
        return {word: value if word == "is" else _in_microseconds(value) for word, value in condition.items()}
    if isinstance(condition, list):
        return [_in_microseconds(each) for each in condition]
    try:
        return Decimal(_MOMENT.validate_python(condition, context={"written": True}))
    except ValueError:
        return condition


def _holds(condition: Condition, value: Any) -> bool:
    """Evaluate a condition as other systems do: for a missing value only a test for null, or a negation, holds."""
    return all(_part_holds(word, compared, value) for word, compared in condition.items())


def _part_holds(word: str, compared: Any, value: Any) -> bool:
    joins: dict[str, Callable[[], bool]] = {
        "any": lambda: any(_holds(part, value) for part in compared),
        "all": lambda: all(_holds(part, value) for part in compared),
        "not": lambda: not _holds(compared, value),
        "is": lambda: (value is _MISSING) == (compared == "absent"),
        "not_equals": lambda: _differs(value, compared),
        "not_in": lambda: all(_differs(value, each) for each in compared),
    }
    if word in joins:
        return joins[word]()
    if word == "in":
        return not all(_differs(value, each) for each in compared)
    if word == "equals":
        return not _differs(value, compared)
    if not isinstance(value, Decimal):
        return False
    low, high = compared if word == "between" else [compared] * 2
    if not isinstance(low, Decimal) or not isinstance(high, Decimal):
        return False
    orders = {
        "above": value > low,
        "at_least": value >= low,
        "below": value < high,
        "at_most": value <= high,
        "between": low <= value <= high,
    }
    return orders[word]


def _differs(value: Any, compared: Any) -> bool:
    return type(value) is not type(compared) or bool(value != compared)


LEFT_OUT = "-"
"""The column to which an output without use for rules is mapped."""

MOST_ROWS = 201
"""Largest number of rows: a rule has at most 200 cases and one `otherwise`."""

MOST_VALUES = 2_000
"""Largest number of values in a table whose rows must exclude each other."""


@dataclass(frozen=True)
class ForeignRow:
    """A row: its cells as written, and its title."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class ForeignTable:
    """A decision table of another system.

    Attributes:
        system: the system it comes from.
        name: the name of the table.
        hit_policy: FIRST, UNIQUE or ANY.
        inputs: the names of the inputs that its columns compare.
        outputs: the names of its outputs.
        rows: the rows in order.
        default: the value of each output if no row holds.
        labels: the headings of columns, if they are not their names, each with the columns below it.
    """

    system: System
    name: str
    hit_policy: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: tuple[ForeignRow, ...]
    default: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def translate(
    table: ForeignTable, ruleset: Ruleset, identifier: str, names: Mapping[str, str], source: str
) -> tuple[Ruleset, tuple[str, ...]]:
    """Return a ruleset in which one rule has the cases of a table, and notes about them.

    Args:
        table: the table of another system.
        ruleset: the ruleset that is to contain the cases.
        identifier: the id of the rule.
        names: for each input and output, the header of the column in tables of rules, or `-`.
        source: the name of the file in messages.

    Raises:
        InvalidRulesetError: rules cannot express exactly what the table means; every such cell is named.
    """
    position = position_of(ruleset, identifier)
    translation = _Translation(table, ruleset, position, names)
    cases = translation.cases()
    if translation.findings:
        raise InvalidRulesetError(list(dict.fromkeys(translation.findings)), source)
    return with_cases(ruleset, position, cases, source, translation.where), translation.notes()


@dataclass(frozen=True)
class _Input:
    name: str
    data: Mapping[str, Any]
    kind: ValueType


class _Translation:
    """Translates one table, and collects what cannot be expressed."""

    def __init__(self, table: ForeignTable, ruleset: Ruleset, position: int, names: Mapping[str, str]) -> None:
        self._table, self._rule = table, ruleset.rules[position]
        self.findings: list[Finding] = []
        self._names = self._by_column(names)
        self._inputs = self._named_inputs(ruleset)
        self._outputs = self._named_outputs()
        self._cells: list[list[Condition | None]] = []

    def _by_column(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return the header here for each column by its own name, whether *names* has its name or its label."""
        headers, labels = [*self._table.inputs, *self._table.outputs], self._table.labels
        own_names: dict[str, str] = {}
        for name, ours in names.items():
            columns = (name,) if name in headers else labels.get(name, ())
            if not columns:
                near = perhaps(name, [*headers, *labels])
                self._find("--map", f"names {name}, which is not a column{near}; there are {', '.join(headers)}")
            elif len(columns) > 1:
                problem = f"names {name}, which stands above several columns; name one of {', '.join(columns)}"
                self._find("--map", problem)
            elif own_names.setdefault(columns[0], ours) != ours:
                self._find("--map", f"says twice what {columns[0]} is: {own_names[columns[0]]} and {ours}")
        return own_names

    def cases(self) -> RuleCases:
        """Return the cases; what cannot be expressed is added to `findings`."""
        table = self._table
        if not 0 < len(table.rows) <= MOST_ROWS:
            self._find("the table", f"has {len(table.rows)} rows; a rule has 1 to 200 cases")
        if self.findings:
            return RuleCases(())
        self._cells = [self._row(number, row) for number, row in enumerate(table.rows)]
        outcomes = [self._outcome(self._place(number), row) for number, row in enumerate(table.rows)]
        default = None
        if table.default:
            outputs = tuple(table.default.get(name, "") for name in table.outputs)
            default = self._outcome("the default output", ForeignRow((), outputs))
        if not self.findings:
            self._look_at_hits(outcomes)
        if self.findings:
            return RuleCases(())
        last = len(table.rows) - 1
        if not any(cell is not None for cell in self._cells[last]):
            default = {word: value for word, value in outcomes.pop().items() if word != TITLE}
        cases = [{"when": self._when(number), **outcome} for number, outcome in enumerate(outcomes)]
        if not cases:
            self._find(self._place(0), "holds for everyone; a rule has at least one case that asks something")
        unknown = self._rule.on_unknown
        on_unknown = None if unknown is None else unknown.model_dump(mode="json", exclude_none=True)
        return RuleCases(tuple(cases), default, on_unknown)

    def where(self, path: Path) -> str:
        """Return the address of the cell for a path that begins at the rule."""
        if path[:1] != ("cases",) or len(path) < 2 or not isinstance(path[1], int):
            return self._table.name
        row = path[1]
        condition_columns = [number for number, cell in enumerate(self._cells[row]) if cell is not None]
        if "when" not in path:
            word = next((step for step in path if step in OUTCOMES), "")
            return f"{self._place(row)}, {next((name for name, ours in self._outputs.items() if ours == word), word)}"
        parts = [step for step in path[2:] if isinstance(step, int)]
        number = condition_columns[
            parts[0] if len(condition_columns) > 1 and parts and parts[0] < len(condition_columns) else 0
        ]
        return f"{self._place(row)}, {self._table.inputs[number]}"

    def notes(self) -> tuple[str, ...]:
        """Describe the effect of a missing value, which differs in the other system."""
        system, rule = self._table.system, self._rule
        fallback = "otherwise, as there is no on_unknown," if rule.on_unknown is None else "on_unknown"
        missing = (
            f"A missing value: in {system} a row that compares it does not hold, and the rows below decide. Here it is "
            f"unknown: the cases below are tried as well, and where none holds, {fallback} says what is given."
        )
        notes = [missing]
        denied = [
            self._place(number)
            for number, cells in enumerate(self._cells)
            if any(cell is not None and denies(cell) for cell in cells)
        ]
        if denied:
            notes.append(
                f"What is not something ({', '.join(denied)}): in {system} that can hold for a missing value, and here "
                "it is unknown. Where it is to hold, join it with absent by any."
            )
        left_out = [name for name, ours in self._names.items() if ours == LEFT_OUT]
        if left_out:
            notes.append(f"Left out, as asked: {', '.join(left_out)}.")
        return tuple(notes)

    def _find(self, where: str, problem: str) -> None:
        self.findings.append(Finding(where, problem))

    def _place(self, row: int) -> str:
        return f"{self._table.name}, row {row + 1}"

    def _named_inputs(self, ruleset: Ruleset) -> list[_Input]:
        words = vocabulary(ruleset)
        inputs: list[_Input] = []
        for name in self._table.inputs:
            header = self._names.get(name, name)
            problem = "" if name in self._names or name in words.entity else _unnamed(name, words.entity)
            try:
                rule_input, kind = (None, None) if problem else read_header(header, words)
            except CellError as error:
                problem = str(error)
            if problem or rule_input is None or kind is None:
                self._find(f"{self._table.name}, input {name}".rstrip(), problem)
                continue
            own = same_input(rule_input, self._rule.input)
            data = {} if own else rule_input.model_dump(mode="json", by_alias=True, exclude_none=True)
            if any(each.data == data for each in inputs):
                self._find(f"{self._table.name}, input {name}", "is the same input as another column; join the two")
            inputs.append(_Input(name, data, kind))
        return inputs

    def _named_outputs(self) -> dict[str, str]:
        outputs: dict[str, str] = {}
        for name in self._table.outputs:
            ours = self._names.get(name, name)
            if ours not in {*OUTCOMES, LEFT_OUT}:
                self._find(
                    f"{self._table.name}, output {name}",
                    f"is not one of {', '.join(OUTCOMES)}; say which one it is, as in --map {name}={POINTS}, or leave "
                    f"it out: --map {name}={LEFT_OUT}",
                )
            elif ours in outputs.values() and ours != LEFT_OUT:
                self._find(f"{self._table.name}, output {name}", f"is {ours} as another one is")
            outputs[name] = ours
        return outputs

    def _row(self, number: int, row: ForeignRow) -> list[Condition | None]:
        cells: list[Condition | None] = []
        for column, text in zip(self._inputs, row.inputs, strict=True):
            try:
                cells.append(read_unary(text, column.kind, self._table.system))
            except CellError as error:
                self._find(f"{self._place(number)}, {column.name}", f"{shown_cell(text)} {error}")
                cells.append(None)
        return cells

    def _outcome(self, place: str, row: ForeignRow) -> dict[str, Any]:
        outcome: dict[str, Any] = {TITLE: row.title} if row.title.strip() else {}
        for (name, ours), text in zip(self._outputs.items(), row.outputs, strict=True):
            if ours == LEFT_OUT or not text.strip():
                continue
            kind, problem = ValueType.NUMBER if ours == POINTS else ValueType.LEVEL, ""
            try:
                condition = read_unary(text, kind, self._table.system) or {}
            except CellError as error:
                condition, problem = {}, str(error)
            if list(condition) != ["equals"]:
                problem = problem or "is not a plain value; expressions are not computed here"
                self._find(f"{place}, {name}", f"{shown_cell(text)} {problem}")
                continue
            value = condition["equals"]
            outcome[ours] = (
                int(value) if ours != POINTS and isinstance(value, Decimal) and value == int(value) else value
            )
        return outcome

    def _look_at_hits(self, outcomes: Sequence[Mapping[str, Any]]) -> None:
        """Report rows that the hit policy forbids, or that never decide."""
        asks = [any(cell is not None for cell in cells) for cells in self._cells]
        early = next((number for number, some in enumerate(asks[:-1]) if not some), None)
        if early is not None:
            self._find(self._place(early), "holds for everyone, so the rows below it never decide; take them out")
        if self._table.hit_policy == "FIRST":
            return
        named = sum(values_named(cell) for cells in self._cells for cell in cells)
        if named > MOST_VALUES:
            problem = f"names {named:,} values, too many to look for rows that hold together; make its hit policy FIRST"
            self._find(self._table.name, problem)
            return
        for one, other in combinations(range(len(self._cells)), 2):
            pairs = zip(self._cells[one], self._cells[other], self._inputs, strict=True)
            if not all(can_meet(first, second, column.kind) for first, second, column in pairs):
                continue
            values = [self._values(outcomes[row], row) for row in (one, other)]
            if self._table.hit_policy == "UNIQUE" or values[0] != values[1]:
                self._find(
                    self._place(other),
                    f"may hold together with row {one + 1}, which the hit policy {self._table.hit_policy} forbids; "
                    "part them, or make it FIRST",
                )

    def _values(self, outcome: Mapping[str, Any], row: int) -> dict[str, Any]:
        """Return the outputs of a row. The hit policy also compares, by text, outputs that are left out here."""
        values = {word: value for word, value in outcome.items() if word != TITLE}
        written = zip(self._outputs.items(), self._table.rows[row].outputs, strict=True)
        return values | {f"output {name}": text.strip() for (name, ours), text in written if ours == LEFT_OUT}

    def _when(self, row: int) -> Any:
        parts = [
            _of_input(cell, column.data)
            for column, cell in zip(self._inputs, self._cells[row], strict=True)
            if cell is not None
        ]
        return parts[0] if len(parts) == 1 else {"all": parts}


def _of_input(condition: Condition, data: Mapping[str, Any]) -> Any:
    """Add to each comparison the input that it is about."""
    for word in ("any", "all"):
        if word in condition:
            return {word: [_of_input(part, data) for part in condition[word]]}
    if "not" in condition:
        return {"not": _of_input(condition["not"], data)}
    return {**data, **condition}


def _unnamed(name: str, fields: Iterable[str]) -> str:
    if not name:
        return "has no field: its cells are whole expressions, which are not read"
    near = perhaps(name.rpartition(".")[2], fields)
    return f"is not a field of the ruleset{near}; say which input it is, as in --map '{name}=FIELD'"
