"""Forms that write steps into the text of a flow: add, change, move and take out one.

All else stays as it is, comments too. A form has what its kind of step has: one value a field, and rows of two.
"""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.flows.language import MOST_STEPS, STEP_KINDS
from fivefold.risk.language.documents import Document, Path

ROWS: Final[Mapping[str, tuple[Path, str, str]]] = {
    "route": (("route",), "when", "to"),
    "table": (("table", "rows"), "when", "give"),
    "person": (("person", "answers"), "answer", "to"),
    "calculate": (("calculate",), "name", "as"),
    "data": (("data", "send"), "name", "as"),
    "agent": (("agent", "facts"), "name", "as"),
}
"""Of kinds with rows: where these stand in a step, and the two words of each."""
_VALUES: Final[Mapping[str, tuple[Path, ...]]] = {
    "calculate": (("then",),),
    "route": (("otherwise",), ("on_unknown",)),
    "table": (("table", "gives"), ("table", "otherwise"), ("table", "on_unknown"), ("then",)),
    "rules": (("rules", "policy"), ("rules", "ruleset"), ("on_unknown",), ("then",)),
    "value": (("on_unknown",), ("then",)),
    "flow": (("flow",), ("on_unknown",), ("then",)),
    "person": (("person", "question"), ("person", "role"), ("person", "within"), ("person", "otherwise")),
    "data": (
        *(("data", "source"), ("data", "gives"), ("data", "no_older_than"), ("data", "purpose")),
        *(("on_unknown",), ("then",)),
    ),
    "agent": (("agent", "question"), ("agent", "answers"), ("on_unknown",), ("then",)),
    "end": (("end",),),
}
FORMS: Final[tuple[str, ...]] = tuple(kind for kind in STEP_KINDS if kind in _VALUES)
"""Kinds of steps that have a form; others are written in the text."""
_INLINE: Final = frozenset(
    {
        *(("table", "gives"), ("table", "otherwise"), ("table", "on_unknown"), ("end",)),
        *(("data", "gives"), ("agent", "answers")),
    }
)
"""Values that are more than a word: they are typed as the text has them."""
_MAY_BE_EMPTY: Final = frozenset(
    {
        *(("then",), ("on_unknown",), ("table", "on_unknown"), ("person", "role")),
        *(("rules", "policy"), ("rules", "ruleset"), ("data", "no_older_than"), ("data", "purpose")),
    }
)
_PLAIN: Final = re.compile(r"[A-Za-z][\w-]*(?: [\w-]+)*")
_WORDS_OF_YAML: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, kw_only=True)
class StepForm:
    """A step as its form has it.

    Attributes:
        values: by the word of the step, such as `otherwise`, or `question` of a person; empty where none is written.
        rows: ways, rows, answers or calculations: two words each.
    """

    kind: str
    id: str
    title: str = ""
    rationale: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepOutline:
    """What the forms choose from; all empty where the text cannot be read.

    Attributes:
        steps: the id, the kind (empty where it has none) and the title of each.
        actions: ids and titles.
    """

    steps: tuple[tuple[str, str, str], ...] = ()
    actions: Mapping[str, str] = field(default_factory=dict)


def steps_of(text: str) -> StepOutline:
    """Read the steps and actions of a text; it may still be wrong elsewhere."""
    data = _data(text)
    actions = [each for each in _list(data.get("actions")) if isinstance(each, dict)]
    return StepOutline(
        steps=tuple(
            (str(step.get("id", "")), _kind(step), str(step.get("title", "")))
            for step in _list(data.get("steps"))
            if isinstance(step, dict)
        ),
        actions={str(each.get("id", "")): str(each.get("title", each.get("id", ""))) for each in actions},
    )


def form_of(text: str, step: str) -> StepForm:
    """Read the form of a step; ConfigError where there is none, or where its kind has no form."""
    place = _place(text, step)
    written = _data(text)["steps"][place]
    kind = _kind(written)
    if kind not in FORMS:
        raise ConfigError(f"a step of the kind {kind or 'unknown'} has no form; change {step} in the text")
    values = {str(path[-1]): _shown(path, _below(written, path)) for path in _VALUES[kind]}
    rows: tuple[tuple[str, str], ...] = ()
    if kind in ROWS:
        path, first, second = ROWS[kind]
        found = _below(written, path)
        if isinstance(found, dict):
            rows = tuple((str(name), _typed(each)) for name, each in found.items())
        else:
            rows = tuple((_typed(row.get(first)), _typed(row.get(second))) for row in _list(found))
    title, rationale = (str(written.get(word) or "") for word in ("title", "rationale"))
    return StepForm(kind=kind, id=step, title=title, rationale=rationale, values=values, rows=rows)


def with_step(text: str, form: StepForm, after: str) -> str:
    """Add a step behind another one.

    Raises:
        InvalidRulesetError: the text is neither YAML nor JSON.
        ConfigError: there is no step *after*, or such a step already; or what was typed cannot be written.
    """
    steps = [step[0] for step in steps_of(text).steps]
    if form.id in steps:
        raise ConfigError(f"there is a step {form.id!r} already")
    if len(steps) >= MOST_STEPS:
        raise ConfigError(f"a flow has at most {MOST_STEPS} steps")
    read, place = Document(text), _place(text, after)
    step, (_, end) = _step(form), _span(read, place)
    column = _column(read)
    if column is None:
        return f"{text[:end]}, {inline(step)}{text[end:]}"
    line = text.find("\n", end) + 1
    written = f"{' ' * column}- {_lines(step, column + 2)}\n"
    return f"{text[:line]}{written}{text[line:]}" if line else f"{text}\n{written}"


def with_changed_step(text: str, form: StepForm) -> str:
    """Write a step anew in its place, with what it has besides; errors as `with_step`."""
    read, place = Document(text), _place(text, form.id)
    begin, end = _span(read, place)
    column, step = _column(read), _step(form, read.data["steps"][place])
    written = inline(step) if column is None else _lines(step, column + 2)
    return f"{text[:begin]}{written}{text[end:]}"


def with_moved_step(text: str, step: str, by: int) -> str:
    """Let a step change places with the one before (-1) or behind it (1); errors as `with_step`."""
    read, place = Document(text), _place(text, step)
    other = place + by
    if not 0 <= other < len(steps_of(text).steps):
        raise ConfigError(f"the step {step} is the {'first' if by < 0 else 'last'} one")
    (begin, end), (next_begin, next_end) = sorted((_span(read, place), _span(read, other)))
    between = text[end:next_begin]
    return f"{text[:begin]}{text[next_begin:next_end]}{between}{text[begin:end]}{text[next_end:]}"


def without_step(text: str, step: str) -> str:
    """Take a step out; errors as `with_step`, and where it is the only one."""
    read, place = Document(text), _place(text, step)
    count = len(steps_of(text).steps)
    if count == 1:
        raise ConfigError("it is the only step, and a flow has one at least")
    begin, end = _span(read, place)
    if _column(read) is not None:
        line = text.find("\n", end) + 1
        return f"{text[: text.rfind(chr(10), 0, begin) + 1]}{text[line:] if line else ''}"
    if place + 1 < count:
        return f"{text[:begin]}{text[_span(read, place + 1)[0] :]}"
    return f"{text[: _span(read, place - 1)[1]]}{text[end:]}"


def inline(value: Any) -> str:
    """Write a value in one line of YAML, with quotes where they are needed.

    >>> inline({"when": {"level": "in_force", "in": ["high", "no"]}, "to": "ask", "give": {"amount": Decimal("0.50")}})
    '{when: {level: in_force, in: [high, "no"]}, to: ask, give: {amount: 0.50}}'
    """
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case dict():
            return f"{{{', '.join(f'{inline(str(name))}: {inline(each)}' for name, each in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(inline, value))}]"
        case int() | Decimal():
            return str(value)
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
            return value
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _data(text: str) -> dict[str, Any]:
    try:
        data = Document(text).data
    except InvalidRulesetError:
        return {}
    return data if isinstance(data, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _kind(step: Mapping[str, Any]) -> str:
    return next((kind for kind in STEP_KINDS if kind in step), "")


def _place(text: str, step: str) -> int:
    ids = [each.get("id") if isinstance(each, dict) else None for each in _list(_data(text).get("steps"))]
    if step not in ids:
        raise ConfigError(f"there is no step {step!r} in the text")
    return ids.index(step)


def _span(read: Document, place: int) -> tuple[int, int]:
    span = read.span(("steps", place))
    assert span is not None, "the step was found by its id"
    return span


def _column(read: Document) -> int | None:
    """Tell where the dashes of the steps stand; None where these are in brackets."""
    end = read.list_end(("steps",))
    return None if end is None else end.column


def _below(data: Any, path: Path) -> Any:
    for word in path:
        data = data.get(word) if isinstance(data, dict) else None
    return data


def _shown(path: Path, value: Any) -> str:
    if path == ("end",):
        return ", ".join(map(str, _list(value)))
    return _typed(value)


def _typed(value: Any) -> str:
    if value is None:
        return ""
    return inline(value) if isinstance(value, dict | list) else str(value)


def _step(form: StepForm, written: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make the step of a form, with the words of the one in its place that the form does not have.

    ConfigError where something is empty, or cannot be read.
    """
    if form.kind not in FORMS:
        raise ConfigError(f"{form.kind!r} is no kind of step with a form; there are {', '.join(FORMS)}")
    step: dict[str, Any] = deepcopy(dict(written or {}))
    step |= {"id": _needed(form.id, "the name"), "title": _needed(form.title, "the title")}
    _put(step, ("rationale",), form.rationale.strip() or None)
    if form.kind == "value":
        step.setdefault("value", {})
    if form.kind == "rules" and bool(form.values.get("policy")) is bool(form.values.get("ruleset")):
        raise ConfigError("a step asks a policy or a ruleset: write the name of one of them")
    if form.kind in ROWS:
        path, first, second = ROWS[form.kind]
        _put(step, path, _rows(form, first, second))
    for at in _VALUES[form.kind]:
        typed = form.values.get(str(at[-1]), "").strip()
        if at == ("end",):
            step["end"] = [part.strip() for part in typed.split(",") if part.strip()]
        elif typed:
            _put(step, at, _read(typed, str(at[-1])) if at in _INLINE else typed)
        elif at in _MAY_BE_EMPTY:
            _put(step, at, None)
        else:
            raise ConfigError(f"{str(at[-1]).replace('_', ' ')} is empty")
    return step


def _rows(form: StepForm, first: str, second: str) -> Any:
    rows = [(one.strip(), other.strip()) for one, other in form.rows if one.strip() or other.strip()]
    if not rows:
        raise ConfigError(f"a step of the kind {form.kind} needs at least one row")
    for number, (one, other) in enumerate(rows, start=1):
        if not one or not other:
            raise ConfigError(f"row {number}: {first if other else second} is empty")
    if form.kind in {"person", "calculate", "data", "agent"}:
        if len({one for one, _ in rows}) < len(rows):
            raise ConfigError(f"two rows have the same {first}")
        return {one: other if form.kind == "person" else _read(other, one) for one, other in rows}
    if form.kind == "table":
        return [{first: _read(one, first), second: _read(other, second)} for one, other in rows]
    return [{first: _read(one, first), second: other} for one, other in rows]


def _read(typed: str, what: str) -> Any:
    """Read what was typed as one value of the language, such as {level: in_force, equals: high}."""
    try:
        data = Document(f"[{typed}\n]").data
    except InvalidRulesetError:
        data = None
    if not isinstance(data, list) or len(data) != 1:
        raise ConfigError(
            f"{what}: {typed[:80]!r} cannot be read; write it in one line, such as {{level: in_force, equals: high}}"
        )
    return data[0]


def _needed(typed: str, what: str) -> str:
    if not typed.strip():
        raise ConfigError(f"{what} is empty")
    return typed.strip()


def _put(step: dict[str, Any], path: Path, value: Any) -> None:
    """Write a value, or take out the one that is there for None."""
    for word in path[:-1]:
        step = step.setdefault(str(word), {})
    if value is None:
        step.pop(str(path[-1]), None)
    else:
        step[str(path[-1])] = value


def _lines(step: Mapping[str, Any], column: int) -> str:
    """Write a step as a block, whose first line stands behind its dash."""
    lines: list[str] = []
    for name, value in step.items():
        if isinstance(value, dict) and any(isinstance(part, dict | list) for part in value.values()):
            lines.append(f"{inline(name)}:")
            for word, part in value.items():
                lines += [f"  {line}" for line in _block(word, part)]
        else:
            lines += _block(name, value)
    return f"\n{' ' * column}".join(lines)


def _block(name: str, value: Any) -> Sequence[str]:
    """Write a value under its name: in one line, or where it is a list of several words each in one line."""
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return [f"{inline(name)}:", *(f"  - {inline(part)}" for part in value)]
    return [f"{inline(name)}: {inline(value)}"]
