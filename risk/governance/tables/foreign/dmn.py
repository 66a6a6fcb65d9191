"""Reads decision tables of DMN (OMG Decision Model and Notation, 1.1 to 1.5) from its XML."""

from collections.abc import Sequence
from typing import Any

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from fivefold.domain.errors import ConfigError
from fivefold.risk.governance.tables.foreign.translation import ForeignRow, ForeignTable
from fivefold.risk.governance.tables.foreign.unary import System

_VERSIONS = {
    "http://www.omg.org/spec/DMN/20151101/dmn.xsd": "1.1",
    "http://www.omg.org/spec/DMN/20180521/MODEL/": "1.2",
    "https://www.omg.org/spec/DMN/20191111/MODEL/": "1.3",
    "https://www.omg.org/spec/DMN/20211108/MODEL/": "1.4",
    "https://www.omg.org/spec/DMN/20230324/MODEL/": "1.5",
}
"""The namespaces of the versions that are read."""

_POLICIES = ("UNIQUE", "FIRST", "ANY")


def read_dmn(content: bytes, source: str, name: str | None = None) -> ForeignTable:
    """Read one decision table of a model.

    Args:
        content: the file; entities and a document type are refused, and nothing that it refers to is fetched.
        source: the name of the file in messages.
        name: the name of the decision; without it the model must have exactly one that is a table.

    Raises:
        ConfigError: the file is not DMN, or rules cannot express what the table means.
    """
    root = _root(content, source)
    space = root.tag[1:].partition("}")[0]
    decisions = {_name(each): each for each in root.iter(f"{{{space}}}decision")}
    names = [_name(each) for each in root.iter(f"{{{space}}}decision")]
    if len(decisions) < len(names):
        raise ConfigError(f"{source} has several decisions of one name: {', '.join(names)}; give each its own")
    tables = {key: each for key, each in decisions.items() if each.find(f"{{{space}}}decisionTable") is not None}
    if name is not None and name not in tables:
        what = "is not a table" if name in decisions else "is not there"
        raise ConfigError(f"{source}: the decision {name} {what}; tables are {', '.join(tables) or 'none'}")
    if name is None and len(tables) != 1:
        hint = (
            f"say which by --table: {', '.join(tables)}"
            if tables
            else f"its decisions are {', '.join(names) or 'none'}"
        )
        raise ConfigError(f"{source} must have one decision that is a table, and has {len(tables)}; {hint}")
    key = next(iter(tables)) if name is None else name
    return _Decision(root, tables[key], space, key, source).table()


def _root(content: bytes, source: str) -> Any:
    try:
        root = fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise ConfigError(
            f"{source} has a document type or entities, which are not read; take out <!DOCTYPE ...>"
        ) from None
    except (SyntaxError, ValueError, LookupError) as error:  # a ParseError is a SyntaxError
        raise ConfigError(f"{source} cannot be read as XML: {error}") from None
    space, _, word = root.tag[1:].partition("}")
    if word != "definitions" or space not in _VERSIONS:
        raise ConfigError(f"{source} is not a DMN file: its root is {root.tag}; versions 1.1 to 1.5 can be read")
    return root


def _name(element: Any) -> str:
    return str(element.get("name") or element.get("id") or "the decision")


class _Decision:
    """Reads one decision."""

    def __init__(self, root: Any, element: Any, space: str, name: str, source: str) -> None:
        self._root, self._element, self._space, self._name, self._source = root, element, space, name, source

    def table(self) -> ForeignTable:
        for word in ("requiredDecision", "requiredKnowledge"):
            if self._element.find(f".//{self._tag(word)}") is not None:
                raise self._refused(f"takes what another part of the model computes ({word}), which is not read")
        table = self._element.find(self._tag("decisionTable"))
        policy = str(table.get("hitPolicy", "UNIQUE"))
        if policy not in _POLICIES:
            raise self._refused(
                f"has the hit policy {policy}, which gives several rows or orders them by what they give; allowed: "
                f"{', '.join(_POLICIES)}"
            )
        self._require_feel()
        inputs = [self._input(number, each) for number, each in enumerate(self._all(table, "input"), 1)]
        outputs = self._all(table, "output")
        names = [str(each.get("name") or each.get("label") or "") for each in outputs]
        if len(names) == 1 and not names[0]:
            names = [str(self._variable())]
        for word, columns in (("inputs", inputs), ("outputs", names)):
            if len(set(columns)) < len(columns) or not all(columns):
                raise self._refused(f"has {word} without a name, or two of one name: {', '.join(columns)}")
        rows = [self._row(number, each, inputs, names) for number, each in enumerate(self._all(table, "rule"), 1)]
        default = {name: self._default(each) for name, each in zip(names, outputs, strict=True)}
        defaults = {name: text for name, text in default.items() if text}
        labels: dict[str, tuple[str, ...]] = {}
        for element, column in zip((*self._all(table, "input"), *outputs), (*inputs, *names), strict=True):
            label = str(element.get("label") or "").strip()
            if label and label != column:
                labels[label] = (*labels.get(label, ()), column)
        return ForeignTable(
            system=System.DMN,
            name=self._name,
            hit_policy=policy,
            inputs=tuple(inputs),
            outputs=tuple(names),
            rows=tuple(rows),
            default=defaults,
            labels=labels,
        )

    def _tag(self, word: str) -> str:
        return f"{{{self._space}}}{word}"

    def _all(self, element: Any, word: str) -> list[Any]:
        return list(element.findall(self._tag(word)))

    def _refused(self, problem: str) -> ConfigError:
        return ConfigError(f"{self._source}: the decision {self._name} {problem}")

    def _require_feel(self) -> None:
        """Refuse expressions in another language than FEEL, or in a model whose language is another."""
        for each in (self._root, *self._element.iter()):
            language = each.get("expressionLanguage")
            if language and "feel" not in language.lower():
                raise self._refused(f"is written in {language}; FEEL is read")

    def _variable(self) -> str:
        variable = self._element.find(self._tag("variable"))
        return self._name if variable is None else _name(variable)

    def _text(self, element: Any) -> str:
        text = None if element is None else element.find(self._tag("text"))
        return "" if text is None else "".join(text.itertext()).strip()

    def _input(self, number: int, element: Any) -> str:
        expression = element.find(self._tag("inputExpression"))
        text = self._text(expression)
        if not text:
            raise self._refused(f"has no expression in input {number}")
        if not all(part.isidentifier() for part in text.replace(".", " ").split()):
            raise self._refused(f"computes input {number}: {text}; compute it before, and name a field")
        return text

    def _default(self, output: Any) -> str:
        return self._text(output.find(self._tag("defaultOutputEntry")))

    def _row(self, number: int, rule: Any, inputs: Sequence[str], outputs: Sequence[str]) -> ForeignRow:
        entries = [[self._text(each) for each in self._all(rule, word)] for word in ("inputEntry", "outputEntry")]
        for cells, expected, what in zip(entries, (inputs, outputs), ("inputs", "outputs"), strict=True):
            if len(cells) != len(expected):
                raise self._refused(f"has {len(cells)} {what} in row {number}, and {len(expected)} columns")
        description = rule.find(self._tag("description"))
        notes = [self._text(each) for each in self._all(rule, "annotationEntry")]
        title = "".join(description.itertext()).strip() if description is not None else next(filter(None, notes), "")
        return ForeignRow(tuple(entries[0]), tuple(entries[1]), title)
