"""What PyYAML complains of, in words for people who write rulesets and not parsers."""

import re

import yaml

from fivefold.domain.errors import Finding

_COLON = (
    "a colon followed by a space, where none can stand: put text that holds one in quotes, as in "
    '"Cash: breaks the trail", and look whether the line is indented like its neighbours'
)
_CHARACTER = r"the character \1, which no text can hold; \\ and its number, in quotes, stand for it"
_INDENTED = "a line that is indented differently from its neighbours, or lacks the dash that they have"

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
    (r"unacceptable character #(\w+)", _CHARACTER),
    (r"expected <block end>, but found", _INDENTED),
    (r"expected ',' or '[\]}]', but got", "a comma that is missing, or a bracket that is closed by the wrong one"),
)
"""Patterns of its words, and ours."""


def in_plain_words(error: yaml.YAMLError, text: str) -> Finding:
    """Write a fault of YAML as a finding with its line.

    >>> print(in_plain_words(yaml.MarkedYAMLError(problem="mapping values are not allowed here"), ""))
    ... # doctest: +ELLIPSIS
    YAML: a colon followed by a space, where none can stand: ...
    """
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return Finding("YAML", _translated(str(error.problem)), mark.line + 1 if mark else None)
    position = getattr(error, "position", None)
    line = text.count("\n", 0, position) + 1 if isinstance(position, int) else None
    return Finding("YAML", _translated(str(error)), line)


def _translated(problem: str) -> str:
    for pattern, ours in _PLAIN:
        match = re.search(pattern, problem)
        if match:
            return match.expand(ours)
    return problem
