"""YAML as a compliance officer expects it: `NO` is Norway, numbers are exact, and repeated names are refused.

YAML 1.1, which PyYAML reads, turns NO and off into false, 2024-01-01 into a date, and 12:30 into 750. This module reads
the core of YAML 1.2, which includes JSON, without anchors, aliases, merge keys and tags. Names are always text.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml

from fivefold.domain.errors import Finding, InvalidRulesetError

_COLON = (
    "a colon followed by a space, where none can stand: put text that holds one in quotes, as in "
    '"Cash: breaks the trail", and look whether the line is indented like its neighbours'
)
_CHARACTER = r"the character \1, which no text can hold; \\ and its number, in quotes, stand for it"
_BREAK = (
    r"the character U+\1, at which some readers end a line and others do not; end the line plainly (LF, or CR LF),"
    r" or write \\u\1 in quotes"
)
_TURN = r"the character U+\1, which shows the text behind it in another order; leave it out, or write \\u\1 in quotes"
_INDENTED = "a line that is indented differently from its neighbours, or lacks their dash"

_PLAIN = (
    (r"mapping values are not allowed", _COLON),
    (r"found character '\\t'", "a tab; indent with spaces"),
    (r"found character '(.)' that cannot start", r"text that begins with \1 must stand in quotes"),
    (r"but found another document", "a second document (after ---); a file holds one"),
    (r"but got '<stream end>'|expected the node content, but found '<stream end>'", "a bracket that is never closed"),
    (r"found unexpected end of stream", "a quote that is never closed"),
    (r"could not find expected ':'", "a line without a colon, or indented wrongly"),
    (r"sequence entries are not allowed", "a dash, where no list item can stand; begin the list on a line of its own"),
    (r"expected alphabetic or numeric", "text that begins with * or & must stand in quotes"),
    (r"unacceptable character #x(000d|0085|2028|2029)", _BREAK),
    (r"unacceptable character #x(202[a-e]|206[6-9])", _TURN),
    (r"unacceptable character #(\w+)", _CHARACTER),
    (r"expected <block end>, but found", _INDENTED),
    (r"expected ',' or '[\]}]', but got", "a comma that is missing, or a bracket that is closed by the wrong one"),
)
"""Patterns of PyYAML's messages, and the words shown instead."""


def in_plain_words(error: yaml.YAMLError, text: str) -> Finding:
    """Convert a YAML error to a finding with its line.

    >>> print(in_plain_words(yaml.MarkedYAMLError(problem="mapping values are not allowed here"), ""))
    ... # doctest: +ELLIPSIS
    YAML: a colon followed by a space, where none can stand: ...
    """
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        problem = _translated(str(error.problem))
        if "never closed" in problem and error.context_mark:  # the line where it opens, not the last of the text
            mark = error.context_mark
        return Finding("YAML", problem, mark.line + 1, column=mark.column + 1) if mark else Finding("YAML", problem)
    position = getattr(error, "position", None)
    if not isinstance(position, int):
        return Finding("YAML", _translated(str(error)))
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    return Finding("YAML", _translated(str(error)), line, column=column)


def _translated(problem: str) -> str:
    for pattern, ours in _PLAIN:
        match = re.search(pattern, problem)
        if match:
            return match.expand(ours)
    return problem


MOST_BYTES = 5_000_000
"""Most characters of a document: a ruleset of a thousand rules has a tenth of that."""

MOST_NODES = 50_000
"""Most names and values of a document: each takes a tenth of a millisecond, and a thousand rules have half of that."""

MOST_DEPTH = 60
"""Deepest nesting read."""


class DocumentTooLargeError(yaml.YAMLError):
    """A YAML or JSON document with too many names and values."""


_INTEGER_DIGITS = 18
"""Longer whole numbers are kept as decimals: they are refused anyway, but the checker's message is better."""

Path = tuple[str | int, ...]
"""The words, and the indices (from 0) of list items, that lead to a part of a document."""


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2's core: true, false, null, whole and decimal numbers, text."""

    # What a page shows as one line must be one here: YAML 1.1 also ends lines at characters where other readers do not,
    # so that an apparent comment could hide a rule. Characters that reverse the text could hide one as well.
    NON_PRINTABLE = re.compile(  # type: ignore[misc]  # Final for PyYAML's own readers alone
        "\r(?!\n)|[^\t\n\r -~\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    )
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's way)
    depth = nodes = 0

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping: dict[Hashable, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _complaint("a name must be text, not a list or a mapping", key.start_mark)
            name = _text(self, key)
            if name in mapping:
                raise _complaint(f"{name} appears twice", key.start_mark)
            mapping[name] = self.construct_object(value, deep=deep)
        return mapping

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's parser has no types
        if event.anchor is not None:
            raise _complaint("anchors (&name) and aliases (*name) are not part of the language", event.start_mark)
        if event.tag is not None:
            raise _complaint("tags (!name) are not part of the language", event.start_mark)
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise DocumentTooLargeError(f"has more than {MOST_NODES:,} names and values")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise _complaint(f"is nested deeper than {MOST_DEPTH}", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def scan_to_next_token(self) -> None:
        """Skip tabs between brackets: JSON may be indented by them."""
        super().scan_to_next_token()
        while self.flow_level and self.peek() == "\t":
            self.forward()
            super().scan_to_next_token()


def _complaint(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _text(_: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    """Return the text of a node; pairs of surrogates, as JSON writes some characters, are joined."""
    text = str(node.value)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _complaint("half a character (a surrogate that stands alone)", node.start_mark) from None


def _whole(_: yaml.SafeLoader, node: yaml.ScalarNode) -> int | Decimal:
    return int(node.value) if len(node.value) <= _INTEGER_DIGITS else Decimal(node.value)


def _decimal(_: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal:
    try:
        return Decimal(node.value)
    except InvalidOperation:
        raise _complaint(f"{node.value} is out of range", node.start_mark) from None


for _tag, _pattern, _first in (
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", [*"tTfF"]),
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?[0-9]+$", [*"-+0123456789"]),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", [*"-+.0123456789"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)


def compose(text: str) -> yaml.Node | None:
    """Parse *text* into nodes with their positions; None if it is empty. Raises yaml.YAMLError."""
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        if "found '<stream end>'" in str(error.problem) and loader.marks:
            error.context_mark = loader.marks[-1]  # where the bracket opens; PyYAML may give the end of the text
        raise


@dataclass(frozen=True)
class ListEnd:
    """The place for a further item of a list.

    Attributes:
        index: the place in the text, from 0.
        column: the column of the items' dashes, from 0; None for a list in brackets.
        is_empty: whether the list has no items.
    """

    index: int
    column: int | None
    is_empty: bool


class Document:
    """A document and the positions of its parts.

    Attributes:
        data: plain mappings (names are text), lists, text, numbers (exact), true, false, None.
    """

    def __init__(self, text: str, source: str = "the document") -> None:
        """Read *text*, YAML or JSON; raises InvalidRulesetError, with the line, if it is neither, or too large."""
        if len(text) > MOST_BYTES:
            raise InvalidRulesetError([Finding("the document", f"has more than {MOST_BYTES:,} characters")], source)
        self._text = text
        try:
            self._node = compose(text)
            self.data: Any = _Loader("").construct_document(self._node) if self._node else None
        except DocumentTooLargeError as error:
            raise InvalidRulesetError([Finding("the document", str(error))], source) from None
        except yaml.YAMLError as error:
            raise InvalidRulesetError([in_plain_words(error, text)], source) from None

    def line(self, path: Path) -> int | None:
        """Return the line, from 1, of a path, or of the part of it that exists. None in an empty document."""
        return self.position(path)[1]

    def position(self, location: Path, value: Any = None) -> tuple[Path, int | None, int | None]:
        """Find a checker's *location* in the document: the path that is really there, its line and column from 1.

        The checker's location also names the branches that it tried; these are left out. Of several possible paths
        the one that leads to *value* is preferred, then the longest.
        """
        if self._node is None:
            return (), None, None
        path, mark = _Search(location, value).best(self._node, self.data, 0, self._node.start_mark)[1]
        return path, mark.line + 1, mark.column + 1

    def list_end(self, path: Path) -> ListEnd | None:
        """Find the place for a further item of the list at a path; None if there is no list."""
        node = self._at(path)
        if not isinstance(node, yaml.SequenceNode):
            return None
        if node.flow_style:
            return ListEnd(node.end_mark.index - 1, None, not node.value)
        return ListEnd(self._end(node), node.start_mark.column, False)

    def span(self, path: Path) -> tuple[int, int] | None:
        """Find where the value at a path begins and ends in the text; None if there is no value.

        A block of text (`|`, `>`) ends where its last line does; empty lines after it belong to it only if they are
        kept (`|+`).
        """
        node = self._at(path)
        return None if node is None else (node.start_mark.index, self._end(node))

    def _at(self, path: Path) -> Any:
        node = self._node
        for step in path:
            below = None if node is None else _child(node, step)
            node = None if below is None else below[0]
        return node

    def _end(self, node: Any) -> int:
        """Find the end of a part, just after its last character; PyYAML's end mark of a block part is later."""
        while not (isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value):
            last = node.value[-1]
            node = last[1] if isinstance(node, yaml.MappingNode) else last
        begin, end = int(node.start_mark.index), int(node.end_mark.index)
        if not isinstance(node, yaml.ScalarNode) or node.style not in {"|", ">"}:
            return end
        lines = self._text[begin:end]
        is_kept = "+" in lines.partition("\n")[0].partition("#")[0] or node.value.rstrip("\n")[-1:].isspace()
        return begin + len(lines.removesuffix("\n") if is_kept else lines.rstrip())


class _Search:
    """Finds the best path for a location, with each step taken or left out; every place is visited once."""

    def __init__(self, location: Path, value: Any) -> None:
        self._location, self._value = location, value
        self._best_ways: dict[tuple[int, int], Any] = {}

    def best(self, node: Any, data: Any, step: int, mark: Any) -> tuple[tuple[bool, int, bool], tuple[Path, Any]]:
        """Return the best way on from *node*: its rank (has the value, length, has the last step), path and mark."""
        if step == len(self._location):
            is_given = self._value is not None and (data is self._value or _same_scalar(data, self._value))
            return (is_given, 0, False), ((), mark)
        if (id(node), step) not in self._best_ways:
            self._best_ways[id(node), step] = self._ways(node, data, step, mark)
        return self._best_ways[id(node), step]  # type: ignore[no-any-return]  # what was put in above

    def _ways(self, node: Any, data: Any, step: int, mark: Any) -> Any:
        ways = [self.best(node, data, step + 1, mark)]
        word = self._location[step]
        below = _child(node, word)
        if below is not None:
            (has_value, length, last), (path, mark_below) = self.best(below[0], data[word], step + 1, below[1])
            is_last = last or step == len(self._location) - 1
            ways.insert(0, ((has_value, length + 1, is_last), ((word, *path), mark_below)))
        return max(ways, key=lambda way: way[0])


def _same_scalar(data: Any, value: Any) -> bool:
    return isinstance(value, str | int | Decimal) and type(data) is type(value) and bool(data == value)


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """Find a part of a node, and the mark of the word that names it."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark
    if isinstance(node, yaml.MappingNode):
        return next(((value, key.start_mark) for key, value in node.value if key.value == step), None)
    return None
