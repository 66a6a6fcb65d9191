"""The parts of a flow in its text: find, add, change, move and remove one.

All else stays as it is, comments too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Literal

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.domain.schedules import zone_names
from fivefold.flows.actions import ACTION_KINDS
from fivefold.flows.governance.expected import FAILED
from fivefold.flows.language import NOBODY, STEP_KINDS, Flow, FlowExample
from fivefold.flows.triggers import EVENT_KINDS
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Document, Path
from fivefold.usecases.flows.forms.inline import block, inline, is_same
from fivefold.usecases.flows.forms.rewrite import index_of, rewritten

Part = Literal["flow", "triggers", "actions", "steps", "examples"]
FLOW: Final = "flow"
"""The part that has the words of the flow outside its lists; also its name and its kind."""
LISTS: Final[Mapping[str, Mapping[str, type[LanguageModel]]]] = {
    "triggers": EVENT_KINDS,
    "actions": ACTION_KINDS,
    "steps": STEP_KINDS,
    "examples": {"example": FlowExample},
}
"""The lists of a flow whose items have forms: the word of each kind, and its form of the language."""
KINDS: Final[Mapping[str, Mapping[str, type[LanguageModel]]]] = {FLOW: {FLOW: Flow}, **LISTS}
"""The parts of a flow that have forms."""
ONE_OF: Final[Mapping[str, str]] = {
    FLOW: "flow",
    "triggers": "trigger",
    "actions": "action",
    "steps": "step",
    "examples": "example",
}
_EVENT: Final = "on"
_NUMBERED: Final = frozenset({"triggers", "examples"})
"""Lists whose items have no id."""
_STOPS: Final[Mapping[str, frozenset[str]]] = {
    "stops": frozenset({"end", "person", "data", "model", "agent"}),
    "persons": frozenset({"person"}),
    "outside": frozenset({"data", "model", "agent"}),
}
"""By what a field offers, the kinds of steps that it offers."""


@dataclass(frozen=True, kw_only=True)
class PartLine:
    """A trigger, an action, a step or an example of a text.

    Attributes:
        name: its id; for a trigger or an example, which has none, its number from 1.
        kind: empty if it has none.
        title: for a trigger, what it says beside its event.
        hash: a hash of all that it says, by which a button or a form recognises it.
    """

    name: str
    kind: str
    title: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class FlowOutline:
    """The choices of the forms; all empty if the text cannot be read.

    Attributes:
        parts: the parts, by the word of their list, in the order of the text.
        levels: the names of the levels.
        answers: the answers that persons can give at its steps.
        is_begun: whether the text has words with values, to which a part can be added.
        names_elsewhere: names that come from outside the text, by kind.
    """

    parts: Mapping[str, tuple[PartLine, ...]] = field(default_factory=lambda: dict.fromkeys(KINDS, ()))
    levels: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    is_begun: bool = False
    names_elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def names(self, of: str, after: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the names and titles that a field can choose; for steps, those behind the step *after* alone."""
        if of == "zones":
            return tuple((zone, zone) for zone in sorted(zone_names()))
        if of in self.names_elsewhere:
            return tuple((name, name) for name in self.names_elsewhere[of])
        if of in {"levels", "answers"}:
            return tuple((name, name) for name in (self.levels if of == "levels" else (*self.answers, NOBODY)))
        if of in _STOPS:
            stops = tuple((each.name, each.title) for each in self.parts["steps"] if each.kind in _STOPS[of])
            return (*stops, (FAILED, "")) if of == "stops" else stops
        there = tuple((each.name, each.title) for each in self.parts.get(of, ()))
        if of != "steps" or after is None:
            return there
        names = [name for name, _ in there]
        return there[names.index(after) + 1 :] if after in names else there


@lru_cache(maxsize=8)
def read_text(text: str) -> Document:
    """Read a text, cached as one request needs it many times; InvalidRulesetError if it is neither YAML nor JSON."""
    return Document(text)


def outline_of(text: str) -> FlowOutline:
    """Read the parts and names of a text; it may still be wrong elsewhere."""
    data = _data(text)
    parts = {
        part: tuple(_line(part, number, each) for number, each in enumerate(_list(data.get(part)), start=1))
        for part in LISTS
    }
    levels = tuple(str(each) for each in _list(data.get("levels")))
    head = (_line(FLOW, 0, _head(data)),) if data else ()
    return FlowOutline(parts={FLOW: head, **parts}, levels=levels, answers=_answers(data), is_begun=bool(data))


def part_of(text: str, part: str, name: str) -> dict[str, Any]:
    """Return a part as it is written; ConfigError if none has that name."""
    place = place_of(text, part, name)
    content = _head(_data(text)) if part == FLOW else _data(text)[part][place]
    if not isinstance(content, dict):
        raise ConfigError(f"the {ONE_OF[part]} {name} is not words with values; change it in the text")
    return content


def kind_of(part: str, data: Any) -> str:
    """Return the word that says what a part is; empty if it has none."""
    if not isinstance(data, dict):
        return ""
    if part == "triggers":
        return str(data.get(_EVENT)) if data.get(_EVENT) in KINDS[part] else ""
    if len(KINDS[part]) == 1:
        return next(iter(KINDS[part]))
    return next((kind for kind in KINDS[part] if kind in data), "")


def begun(part: str, kind: str) -> dict[str, Any]:
    """Return the content of a new part of a kind before anything is typed.

    >>> begun("triggers", "level"), begun("steps", "value"), begun("steps", "end")
    ({'on': 'level'}, {'value': {}}, {})
    """
    if part == "triggers":
        return {_EVENT: kind}
    if len(KINDS[part]) == 1:
        return {}
    inside = KINDS[part][kind].model_fields[kind].annotation
    is_empty = isinstance(inside, type) and issubclass(inside, LanguageModel) and not inside.model_fields
    return {kind: {}} if is_empty else {}


def place_of(text: str, part: str, name: str) -> int:
    """Return the position of a part in its list, from 0; ConfigError if none has that name."""
    names = [each.name for each in outline_of(text).parts.get(part, ())]
    if name not in names:
        raise ConfigError(f"there is no {ONE_OF.get(part, part)} {name!r} in the text")
    return names.index(name)


def path_of(text: str, part: str, name: str) -> Path:
    """Return the path of a part; ConfigError if none has that name."""
    return () if part == FLOW else (part, place_of(text, part, name))


def hash_of(data: Any) -> str:
    """Return the SHA-256 of the content of a part, in hexadecimal; the way it is written does not count."""
    return sha256(inline(data).encode()).hexdigest()


def refuse_other(text: str, part: str, name: str, expected_hash: str) -> None:
    """Raise ConfigError if a part does not have the hash *expected_hash*, or is not in the text any more."""
    _refuse_flow(part)
    place = place_of(text, part, name)
    if expected_hash != hash_of(_data(text)[part][place]):
        raise ConfigError(
            f"the {ONE_OF[part]} {name} was changed in the text, or has another place, since the page showed it;"
            " nothing is done. Look at the text as it is now"
        )


def with_added(text: str, part: str, data: Mapping[str, Any], after: str | None) -> str:
    """Add a part behind another one, or before all others if *after* is None.

    Raises:
        InvalidRulesetError: the text is neither YAML nor JSON.
        ConfigError: there is no part *after*, or nothing to which it can be added.
    """
    _refuse_flow(part)
    place = 0 if after is None else place_of(text, part, after) + 1
    text = _ended(text, part)
    read, words = read_text(text), _data(text)
    if not words:
        raise ConfigError("the text has no words yet; begin with flow and title, or with a flow that ships")
    if not isinstance(words.get(part) or [], list):
        raise ConfigError(f"{part} is not a list in the text; change it there")
    there = _list(words.get(part))
    items = [*there[:place], data, *there[place:]]
    if after is None:
        return _sure(_with_first(text, read, part, data), read, part, items)
    _, end = _span(read, part, place - 1)
    column = _column(read, part)
    if column is None:
        return _sure(f"{text[:end]}, {inline(data)}{text[end:]}", read, part, items)
    line = text.find("\n", end) + 1
    written = f"{text[:line]}{' ' * column}- {block(data, column + 2)}\n{text[line:]}"
    if _is_so(written, read, part, items):
        return written
    return _sure(f"{text[:line]}{' ' * column}- {inline(data)}\n{text[line:]}", read, part, items)


def _with_first(text: str, read: Document, part: str, data: Mapping[str, Any]) -> str:
    there = _list(_data(text).get(part))
    if there:
        begin, _ = _span(read, part, 0)
        column = _column(read, part)
        if column is None:
            return f"{text[:begin]}{inline(data)}, {text[begin:]}"
        return f"{text[:begin]}{block(data, column + 2)}\n{' ' * column}- {text[begin:]}"
    span = read.span((part,))
    if span is not None:
        return f"{text[: span[0]].rstrip()} [{inline(data)}]{text[span[1] :]}"
    return _with_word(text, read, part, data)


def _with_word(text: str, read: Document, part: str, data: Mapping[str, Any]) -> str:
    """Write the word of a part with its first item: before the steps; for examples, and without steps, at the end."""
    whole, is_last = read.span(()), part == "examples" or "steps" not in _data(text)
    if whole is not None and text[whole[0]] == "{":
        begin = whole[1] - 1 if is_last else _index(text, read, "steps")
        word = f"{inline(part)}: [{inline(data)}]"
        return f"{text[:begin]}{', ' if is_last else ''}{word}{'' if is_last else ', '}{text[begin:]}"
    if is_last and not text.endswith("\n"):
        text += "\n"
    begin = len(text) if is_last else _index(text, read, "steps")
    return f"{text[:begin]}{part}:\n  - {block(data, 4)}\n{text[begin:]}"


def _index(text: str, read: Document, word: str) -> int:
    """Return the position of a word of the flow."""
    path, line, column = read.position((word,))
    assert path == (word,), "it is among the words"
    assert line is not None, "a text that was read has places"
    assert column is not None, "a text that was read has places"
    return index_of(text, line, column)


def with_changed(text: str, part: str, name: str, data: Mapping[str, Any]) -> str:
    """Rewrite a part in its place; what is not changed keeps its form. Errors as of `with_added`."""
    if part == FLOW:
        return _with_other_head(text, data)
    read, place = read_text(text), place_of(text, part, name)
    there = read.data[part]
    if is_same(data, there[place]):
        return text
    items = [*there[:place], data, *there[place + 1 :]]

    def is_so(written: str, new_data: Mapping[str, Any]) -> bool:
        others = [*there[:place], new_data, *there[place + 1 :]]
        return _is_so(written, read, part, others) and list(read_text(written).data[part][place]) == list(new_data)

    changed = rewritten(text, read, (part, place), there[place], data, is_so)
    if changed is not None:
        return changed
    begin, end = _span(read, part, place)
    if _column(read, part) is not None and text[begin] != "{":
        written = f"{text[:begin]}{block(data, begin - text.rfind(chr(10), 0, begin) - 1)}{text[end:]}"
        if _is_so(written, read, part, items):
            return written
    return _sure(f"{text[:begin]}{inline(data)}{text[end:]}", read, part, items)


def _with_other_head(text: str, data: Mapping[str, Any]) -> str:
    """Rewrite the words of the flow; its lists stay."""
    read, there = read_text(text), _data(text)
    words = {word: data.get(word, each) for word, each in there.items() if word in LISTS or word in data}
    is_now = {**words, **data}
    if is_same(is_now, there):
        return text

    def is_so(written: str, new_data: Mapping[str, Any]) -> bool:
        return is_same(_data(written), new_data) and list(_data(written)) == list(new_data)

    changed, span = rewritten(text, read, (), there, is_now, is_so), read.span(())
    if changed is None and span is not None and text[span[0]] == "{":
        changed = f"{text[: span[0]]}{inline(is_now)}{text[span[1] :]}"
    if changed is None or not is_so(changed, is_now):
        raise ConfigError("a form cannot write that where the words of this flow stand; change it in the text")
    return changed


def _refuse_flow(part: str) -> None:
    if part == FLOW:
        raise ConfigError("a text is of one flow: its words are changed, and neither added, moved nor taken out")


def with_moved(text: str, part: str, name: str, by: int) -> str:
    """Swap a part with the one before (-1) or behind it (1); errors as of `with_added`."""
    _refuse_flow(part)
    place = place_of(text, part, name)
    text = _ended(text, part)
    read = read_text(text)
    other = place + by
    if not 0 <= other < len(read.data[part]):
        raise ConfigError(f"the {ONE_OF[part]} {name} is the {'first' if by < 0 else 'last'} one")
    (begin, end), (next_begin, next_end) = sorted((_span(read, part, place), _span(read, part, other)))
    if _column(read, part) is not None:  # a comment behind a part moves with it
        end, next_end = text.find("\n", end), text.find("\n", next_end)
    between = text[end:next_begin]
    moved = f"{text[:begin]}{text[next_begin:next_end]}{between}{text[begin:end]}{text[next_end:]}"
    items = [*read.data[part]]
    items[place], items[other] = items[other], items[place]
    return _sure(moved, read, part, items)


def without(text: str, part: str, name: str) -> str:
    """Remove a part; errors as of `with_added`, and ConfigError if it is the only step."""
    _refuse_flow(part)
    place = place_of(text, part, name)
    text = _ended(text, part)
    read = read_text(text)
    items = [*read.data[part][:place], *read.data[part][place + 1 :]]
    begin, end = _span(read, part, place)
    if not items:
        if part == "steps":
            raise ConfigError("it is the only step, and a flow has one at least")
        whole = read.span((part,))
        assert whole is not None, "it has an item"
        colon = text.index(":", _index(text, read, part) + len(part)) + 1
        comments = text[colon : text.rfind("\n", 0, begin)] if _column(read, part) is not None else ""
        less = f"{text[:colon]} []{comments}{text[whole[1] :]}"
    elif _column(read, part) is not None:
        less = f"{text[: text.rfind(chr(10), 0, begin) + 1]}{text[text.find(chr(10), end) + 1 :]}"
    elif items[place:]:
        less = f"{text[:begin]}{text[_span(read, part, place + 1)[0] :]}"
    else:
        less = f"{text[: _span(read, part, place - 1)[1]]}{text[end:]}"
    return _sure(less, read, part, items)


def _ended(text: str, part: str) -> str:
    """End the last line: without its end, text in lines (`|`) would change when it moves."""
    return text if text.endswith("\n") or _column(read_text(text), part) is None else f"{text}\n"


def _is_so(text: str, before: Document, part: str, items: Sequence[Any]) -> bool:
    """Return whether a text has the items in one part, and all else as it was."""
    try:
        return is_same(read_text(text).data, {**before.data, part: items})
    except InvalidRulesetError:
        return False


def _sure(text: str, before: Document, part: str, items: Sequence[Any]) -> str:
    """Return the text; ConfigError if it does not have the items in one part, and all else as it was."""
    if not _is_so(text, before, part, items):
        raise ConfigError(f"a form cannot write that where the {part} of this text stand; change it in the text")
    return text


def _line(part: str, number: int, data: Any) -> PartLine:
    kind, content_hash = kind_of(part, data), hash_of(data)
    if not isinstance(data, dict):
        return PartLine(name=str(number), kind="", title="", hash=content_hash)
    if part not in _NUMBERED:
        name = FLOW if part == FLOW else str(data.get("id", ""))
        return PartLine(name=name, kind=kind, title=str(data.get("title") or ""), hash=content_hash)
    if part == "examples":
        return PartLine(name=str(number), kind=kind, title=str(data.get("name") or ""), hash=content_hash)
    title = ", ".join(f"{word} {inline(each)}" for word, each in data.items() if word != _EVENT)
    return PartLine(name=str(number), kind=kind, title=title, hash=content_hash)


def _data(text: str) -> dict[str, Any]:
    try:
        data = read_text(text).data
    except InvalidRulesetError:
        return {}
    return data if isinstance(data, dict) else {}


def _head(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words of a flow outside its lists."""
    return {word: each for word, each in data.items() if word not in LISTS}


def _answers(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the answers that the steps of a flow take, each once."""
    questions = [step.get("person") for step in _list(data.get("steps")) if isinstance(step, dict)]
    answers = [each.get("answers") for each in questions if isinstance(each, dict)]
    return tuple(dict.fromkeys(str(answer) for each in answers if isinstance(each, dict) for answer in each))


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _span(read: Document, part: str, place: int) -> tuple[int, int]:
    span = read.span((part, place))
    assert span is not None, "it was found by its name"
    return span


def _column(read: Document, part: str) -> int | None:
    """Return the column of the dashes of a list; None if it is in brackets."""
    end = read.list_end((part,))
    return None if end is None else end.column
