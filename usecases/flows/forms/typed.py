"""What is typed into a form, and what it is in the text: each converted to the other."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.risk.language.documents import Document, Path
from fivefold.usecases.flows.forms.fields import FormField
from fivefold.usecases.flows.forms.inline import cells_of, inline, is_same, most_alike

Typed = Mapping[str, str]
"""The contents of the fields of a form, by their names."""
TICKED: Final = "yes"
MOST_ROWS_OF_A_FORM: Final = 40
"""A list of more rows is edited in the text."""
SPARE_ROWS: Final = 2
"""Empty rows after those that are written, for further ones."""
_LAST_ROW: Final = MOST_ROWS_OF_A_FORM + 2 * SPARE_ROWS


@dataclass(frozen=True, kw_only=True)
class FieldFault:
    """A fault in what was typed into one field.

    Attributes:
        name: the name of the field, or of the cell of one of its rows.
        label: the label of the field.
        problem: what is wrong, and what would be right.
        is_empty: whether nothing was typed yet.
    """

    name: str
    label: str
    problem: str
    is_empty: bool = False


class FormRefusedError(ConfigError):
    """What was typed into a form cannot be written.

    Attributes:
        faults: the faults, in the order of the fields.
    """

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        """Keep the *faults*; the message names each."""
        super().__init__("; ".join(f"{each.label}: {each.problem}" for each in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a form writes.

    Attributes:
        data: the part of the flow, without what could not be read.
        places: the path of each field and cell in it, by its name.
        faults: the faults of what could not be read.
    """

    data: dict[str, Any]
    places: Mapping[str, Path]
    faults: tuple[FieldFault, ...]


def typed_of(fields: Sequence[FormField], data: Mapping[str, Any]) -> Typed:
    """Return the contents of the fields of a written part; ConfigError if it has more rows than a form."""
    typed: dict[str, str] = {}
    for field in fields:
        value = _below(data, field.path)
        if field.shape == "several":
            chosen = [str(each) for each in _listed(value)]
            typed |= {f"{field.name}-{each}": TICKED for each in chosen}
            if value == [] and field.may_be_empty:
                typed[field.name] = TICKED
        elif field.shape == "list":
            typed[field.name] = _plain(", ".join(_shown(each, field.items) for each in _listed(value)), field)
        elif field.columns:
            rows = _rows_of(field, value)
            if len(rows) > MOST_ROWS_OF_A_FORM:
                most = f"a form has at most {MOST_ROWS_OF_A_FORM}: change it in the text"
                raise ConfigError(f"{field.label} has {len(rows):,} rows; {most}")
            for number, row in enumerate(rows):
                cells = zip(field.columns, row, strict=True)
                typed |= {field.cell(number, column): _cell_shown(cell, column) for column, cell in cells}
        else:
            typed[field.name] = _plain(_shown(value, field.shape), field)
    return typed


def rows_typed(field: FormField, typed: Typed) -> int:
    """Count the rows of a field up to the last one that has anything in it."""
    numbers = [
        number
        for number in range(_LAST_ROW)
        if any(typed.get(field.cell(number, column), "").strip() for column in field.columns)
    ]
    return max(numbers, default=-1) + 1


def written(fields: Sequence[FormField], typed: Typed, before: Mapping[str, Any]) -> Written:
    """Build the part of the flow that a form describes, with the words of the part *before* that no field has."""
    data: dict[str, Any] = deepcopy(dict(before))
    faults: list[FieldFault] = []
    places: dict[str, Path] = {}
    for field in fields:
        try:
            _write(field, typed, data, places, faults)
        except FormRefusedError as refused:
            faults += refused.faults
    faults += _alternatives(fields, typed)
    return Written(data=data, places=places, faults=tuple(faults))


def _write(
    field: FormField, typed: Typed, data: dict[str, Any], places: dict[str, Path], faults: list[FieldFault]
) -> None:
    places[field.name] = field.path
    if field.shape == "several":
        start = f"{field.name}-"
        chosen = [name.removeprefix(start) for name, value in typed.items() if name.startswith(start) and value]
        was = [str(each) for each in _listed(_below(data, field.path))]
        chosen.sort(key=lambda each: was.index(each) if each in was else len(was))
        says_none = bool(typed.get(field.name))
        if says_none and chosen:
            problem = f"is none, and {', '.join(chosen)}: tick one or the other"
            faults.append(FieldFault(name=field.name, label=field.label, problem=problem))
        _put(data, field.path, chosen if chosen or says_none or not field.may_be_empty else None, field)
    elif field.columns:
        _put(data, field.path, _read_rows(field, typed, _below(data, field.path), places, faults), field)
    else:
        value = _plain(typed.get(field.name, ""), field)
        if value and value == _shown_before(field, data):
            return
        if not value and field.is_needed:
            faults.append(FieldFault(name=field.name, label=field.label, problem=_EMPTY, is_empty=True))
        _put(data, field.path, _read_field(field, value) if value else None, field)


_EMPTY: Final = "is empty, and is needed"


def _read_field(field: FormField, value: str) -> Any:
    if field.shape != "list":
        return _read(value, field, field.name, field.label)
    if field.items == "text":
        return [part.strip() for part in value.split(",") if part.strip()]
    return _parsed(f"[{value}]", field.name, field.label)


def _plain(typed: str, field: FormField) -> str:
    """Return text without the space around it, and in one line if its field has one."""
    return typed.strip() if field.is_prose else typed.replace("\n", " ").strip()


def _shown_before(field: FormField, data: Mapping[str, Any]) -> str | None:
    """Return words as a form shows them, so that unchanged ones stay as written; None for other values."""
    if field.shape == "text" or (field.shape == "list" and field.items == "text"):
        return typed_of([field], data)[field.name]
    return None


def _as_before(field: FormField, before: Any, number: int, texts: Sequence[str]) -> Mapping[int, Any]:
    """Return the values of a row that stay as written, by column: of the row most alike, or the one in its place."""
    rows = _rows_of(field, before)
    shown = [[_cell_shown(cell, column) for cell, column in zip(row, field.columns, strict=True)] for row in rows]
    cells_by_row = [cells_of({each: text for each, text in enumerate(row) if text}) for row in (texts, *shown)]
    alike = most_alike(cells_by_row[0], cells_by_row[1:], number)
    place = number if alike is None else alike
    if place >= len(rows):
        return {}
    return {each: rows[place][each] for each, text in enumerate(texts) if text and text == shown[place][each]}


def _read_rows(field: FormField, typed: Typed, before: Any, places: dict[str, Path], faults: list[FieldFault]) -> Any:
    """Read the rows that have anything in them; None if none has."""
    rows: list[tuple[Any, ...]] = []
    names: dict[str, int] = {}
    for number in range(_LAST_ROW):
        texts = [_plain(typed.get(field.cell(number, column), ""), column) for column in field.columns]
        if not any(texts):
            continue
        unchanged_cells = _as_before(field, before, number, texts)
        cells = []
        for each, (column, text) in enumerate(zip(field.columns, texts, strict=True)):
            name = field.cell(number, column)
            label = f"{field.label}, row {number + 1}" + (f", {column.label.lower()}" if column.label else "")
            if not text and column.is_needed:
                faults.append(FieldFault(name=name, label=label, problem=_EMPTY, is_empty=True))
            cells.append(
                unchanged_cells[each] if each in unchanged_cells else _read(text, column, name, label) if text else None
            )
            at = (*field.path, texts[0]) if field.shape == "named" else (*field.path, len(rows), *column.path)
            places[name] = at
        if field.shape == "named" and texts[0]:
            if texts[0] in names:
                problem = f"is {texts[0]!r}, as in row {names[texts[0]] + 1}; each row needs a name of its own"
                faults.append(FieldFault(name=field.cell(number, field.columns[0]), label=label, problem=problem))
            names.setdefault(texts[0], number)
        rows.append(tuple(cells))
    if not rows and field.is_needed and not field.may_be_empty:
        problem = "has no row, and needs one at least"
        name = field.cell(0, field.columns[0])
        faults.append(FieldFault(name=name, label=field.label, problem=problem, is_empty=True))
    if field.shape == "named":
        return {row[0]: row[1] for row in rows if row[0] is not None and row[1] is not None} or (
            {} if field.may_be_empty else None
        )
    if not field.columns[0].path:
        return [row[0] for row in rows] or None
    words = [str(column.path[0]) for column in field.columns]
    return [{word: cell for word, cell in zip(words, row, strict=True) if cell is not None} for row in rows] or None


def _alternatives(fields: Sequence[FormField], typed: Typed) -> list[FieldFault]:
    """Find alternative words of which none, or more than one, is written."""
    faults = []
    for words in dict.fromkeys(field.instead for field in fields if field.instead):
        among = [field for field in fields if field.instead == words]
        there = [field for field in among if typed.get(field.name, "").strip()]
        if len(there) != 1:
            problem = f"write one of {' and '.join(words)}" + (", not both" if there else "; both are empty")
            first = (there or among)[-1]
            faults.append(FieldFault(name=first.name, label=first.label, problem=problem, is_empty=not there))
    return faults


def _read(typed: str, field: FormField, name: str, label: str) -> Any:
    if field.shape == "choice":
        if typed not in field.choices:
            problem = f"is {typed[:80]!r}; it must be one of {', '.join(field.choices)}"
            raise FormRefusedError([FieldFault(name=name, label=label, problem=problem)])
        return {"true": True, "false": False}.get(typed, typed) if set(field.choices) == {"true", "false"} else typed
    if field.shape == "text" or (field.shape == "value" and not field.path and not typed.startswith("{")):
        return typed
    values = _parsed(f"[{typed}\n]", name, label)
    if len(values) != 1:
        raise _unreadable(typed, name, label)
    return values[0]


def _parsed(text: str, name: str, label: str) -> list[Any]:
    try:
        data = Document(text).data
    except InvalidRulesetError:
        data = None
    if not isinstance(data, list):
        raise _unreadable(text[1:-1].strip(), name, label)
    return data


def _unreadable(typed: str, name: str, label: str) -> FormRefusedError:
    problem = f"{typed[:80]!r} cannot be read; write it in one line, such as {{level: in_force, equals: high}}"
    return FormRefusedError([FieldFault(name=name, label=label, problem=problem)])


def _rows_of(field: FormField, value: Any) -> list[tuple[Any, ...]]:
    if field.shape == "named":
        return list(value.items()) if isinstance(value, dict) else []
    rows = _listed(value)
    if not field.columns[0].path:
        return [(row,) for row in rows]
    return [tuple(_below(row, column.path) for column in field.columns) for row in rows]


def _shown(value: Any, shape: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if shape in {"text", "choice"} and not isinstance(value, dict | list) else inline(value)


def _cell_shown(value: Any, column: FormField) -> str:
    is_words = isinstance(value, str) and not column.path
    return _plain(_shown(value, "text" if is_words else column.shape), column)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _below(data: Any, path: Path) -> Any:
    for word in path:
        data = data.get(word) if isinstance(data, dict) else None
    return data


def _put(data: dict[str, Any], path: Path, value: Any, field: FormField) -> None:
    """Write a value, or remove the present one if nothing is to be written."""
    if not value and field.is_inside and _below(data, path) is None:
        return
    for word in path[:-1]:
        below = data.get(str(word))
        data = below if isinstance(below, dict) else data.setdefault(str(word), {}) if below is None else {}
    is_unsaid = not field.is_needed and not field.may_be_empty and _below(data, path[-1:]) != []
    if value is None or (value == [] and is_unsaid):
        data.pop(str(path[-1]), None)
    elif str(path[-1]) not in data or not is_same(_listed(data[str(path[-1])]), value):
        data[str(path[-1])] = value
