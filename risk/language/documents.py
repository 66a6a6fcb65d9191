"""YAML as a compliance officer expects it: `NO` is Norway, numbers are exact, and nothing is there twice.

YAML 1.1, which PyYAML reads, makes false of NO and off, dates of 2024-01-01, and 750 of 12:30.
"""

import re
from collections.abc import Hashable
from decimal import Decimal
from typing import Any

import yaml

from domain.errors import Finding, RulesetNotValid

MOST_BYTES = 5_000_000
"""Largest document read: a ruleset of a thousand rules is a tenth of that."""

MOST_DEPTH = 60
"""Deepest nesting read."""


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2's core: true, false, null, whole and decimal numbers, text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's way)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's parser has no types
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not part of the language", problem_mark=mark)
        return super().compose_node(parent, index)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal:
    return Decimal(loader.construct_scalar(node))


for _tag, _pattern, _first in (
    ("bool", r"^(true|false|True|False)$", [*"tfTF"]),
    ("null", r"^(~|null|)$", ["~", "n", ""]),
    ("int", r"^[-+]?[0-9]+$", [*"-+0123456789"]),
    ("float", r"^[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$", [*"-+0123456789"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)


class Document:
    """A document and where its parts stand.

    Attributes:
        data: plain mappings, lists, text, numbers (exact), true, false, None.
    """

    def __init__(self, text: str, source: str = "the document") -> None:
        """Read *text*, YAML or JSON; RulesetNotValid, with the line, where it is neither."""
        if len(text) > MOST_BYTES:
            raise RulesetNotValid([Finding("the document", f"has more than {MOST_BYTES:,} characters")], source)
        try:
            loader = _Loader(text)
            self._node = loader.get_single_node()
            if _depth(self._node) > MOST_DEPTH:
                raise RulesetNotValid([Finding("the document", f"is nested deeper than {MOST_DEPTH}")], source)
            self.data: Any = loader.construct_document(self._node) if self._node else None
        except RecursionError:
            raise RulesetNotValid([Finding("the document", f"is nested deeper than {MOST_DEPTH}")], source) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = mark.line + 1 if mark else None
            raise RulesetNotValid([Finding("YAML", str(error.problem), line)], source) from None
        except (yaml.YAMLError, ValueError) as error:
            raise RulesetNotValid([Finding("YAML", str(error))], source) from None

    def place(self, location: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], int | None]:
        """Find a checker's *location* in the document: the path that is really there, and its line from 1.

        The checker names the branches that it tried as well; they are left out.
        """
        if self._node is None:
            return (), None
        path, node = _follow(self._node, location)
        return path, node.start_mark.line + 1


def _depth(node: Any) -> int:
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        at, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(at, yaml.MappingNode):
            waiting += [(value, depth + 1) for _, value in at.value]
        elif isinstance(at, yaml.SequenceNode):
            waiting += [(value, depth + 1) for value in at.value]
    return deepest


def _follow(node: Any, location: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], Any]:
    """Go down as far as the location leads; of several ways the one that uses most of it."""
    if not location:
        return (), node
    step, rest = location[0], location[1:]
    ways = [_follow(node, rest)]
    below = _child(node, step)
    if below is not None:
        path, found = _follow(below, rest)
        ways.insert(0, ((step, *path), found))
    return max(ways, key=lambda way: (way[0][-1:] == location[-1:], len(way[0])))


def _child(node: Any, step: str | int) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
