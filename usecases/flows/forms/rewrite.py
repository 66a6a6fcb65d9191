"""Writes the words of a part that changed, and leaves the lines of all others as they are, comments too."""

from collections.abc import Mapping
from typing import Any

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.language.documents import Document, Path
from fivefold.usecases.flows.forms.inline import block, inline

_Edit = tuple[int, int, str]
"""From where, to where, and what stands there instead."""


def rewritten(text: str, read: Document, path: Path, was: Mapping[str, Any], is_now: Mapping[str, Any]) -> str | None:
    """Give the text with what changed in a mapping; None where that can only be done by writing it all anew."""
    edits = _edits(text, read, path, was, is_now)
    if edits is None:
        return None
    for begin, end, instead in sorted(edits, reverse=True):
        text = f"{text[:begin]}{instead}{text[end:]}"
    try:
        found = Document(text).data
    except InvalidRulesetError:
        return None
    for word in path:
        found = found[word]
    return text if found == is_now and list(found) == list(is_now) else None


def _edits(
    text: str, read: Document, path: Path, was: Mapping[str, Any], is_now: Mapping[str, Any]
) -> list[_Edit] | None:
    span = read.span(path)
    if span is None or not was or text[span[0]] == "{":
        return None
    column = span[0] - text.rfind("\n", 0, span[0]) - 1
    edits: list[_Edit] = []
    for word, value in was.items():
        if word not in is_now:
            edits.append(_lines_of(text, read, (*path, word)))
        elif is_now[word] != value:
            below = _edits_below(text, read, (*path, word), value, is_now[word])
            edits += below if below is not None else [_instead(text, read, (*path, word), is_now[word], column)]
    added = {word: value for word, value in is_now.items() if word not in was}
    if added:
        end = _end(read, path)
        line = text.find("\n", end)
        place = len(text) if line < 0 else line
        edits.append((place, place, f"\n{' ' * column}{block(added, column)}"))
    return edits


def _edits_below(text: str, read: Document, path: Path, was: Any, is_now: Any) -> list[_Edit] | None:
    """Go down into words with values, and into lists of as many items; None where all is to be written anew."""
    if isinstance(was, dict) and isinstance(is_now, dict):
        return _edits(text, read, path, was, is_now)
    if not (isinstance(was, list) and isinstance(is_now, list) and len(was) == len(is_now)):
        return None
    edits: list[_Edit] = []
    for number, (value, now) in enumerate(zip(was, is_now, strict=True)):
        if value == now:
            continue
        item = (*path, number)
        has_first = not isinstance(value, dict) or (isinstance(now, dict) and next(iter(value), None) in now)
        below = _edits_below(text, read, item, value, now) if has_first else None
        span = read.span(item)
        assert span is not None, "the item is there"
        edits += [(*span, inline(now))] if below is None else below
    return edits


def _instead(text: str, read: Document, path: Path, value: Any, column: int) -> _Edit:
    """Write the word with its new value, from where the word stands to the end of what it was."""
    begin, end, word = _begin(text, read, path), _end(read, path), str(path[-1])
    is_last = not text[end:].partition("\n")[0].strip()
    return begin, end, block({word: value}, column) if is_last else f"{inline(word)}: {inline(value)}"


def _lines_of(text: str, read: Document, path: Path) -> _Edit:
    """Take out the lines of a word, from the end of the line before it."""
    begin, end = text.rfind("\n", 0, _begin(text, read, path)), text.find("\n", _end(read, path))
    return begin, len(text) if end < 0 else end, ""


def _begin(text: str, read: Document, path: Path) -> int:
    _, line, column = read.position(path)
    assert line is not None
    assert column is not None, "the word is there"
    return index_of(text, line, column)


def _end(read: Document, path: Path) -> int:
    span = read.span(path)
    assert span is not None, "the word is there"
    return span[1]


def index_of(text: str, line: int, column: int) -> int:
    r"""Turn a line and a column, both from 1, into a place in the text, from 0.

    >>> index_of("a: 1\nb: 2\n", 2, 4)
    8
    """
    begin = 0
    for _ in range(line - 1):
        begin = text.find("\n", begin) + 1
    return begin + column - 1
