"""Writes the words of a part that changed, and leaves the lines of all others as they are, comments too."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.language.documents import Document, Path
from fivefold.usecases.flows.forms.inline import block, inline

_Edit = tuple[int, int, str]
"""From where, to where, and what stands there instead."""


def rewritten(text: str, read: Document, path: Path, was: Mapping[str, Any], is_now: Mapping[str, Any]) -> str | None:
    """Give the text with what changed in a mapping; None where that can only be done by writing it all anew.

    Rows of lists come and go line by line, unless the text stands so that only the whole list can be written.
    """
    for by_rows in (True, False):
        edits = _edits(text, read, path, was, is_now, by_rows)
        written = None if edits is None else _applied(text, edits, path, is_now)
        if written is not None:
            return written
    return None


def _applied(text: str, edits: Sequence[_Edit], path: Path, is_now: Mapping[str, Any]) -> str | None:
    """Give the text after edits; None where it does not say what it is to say."""
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
    text: str, read: Document, path: Path, was: Mapping[str, Any], is_now: Mapping[str, Any], by_rows: bool
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
            below = _edits_below(text, read, (*path, word), value, is_now[word], by_rows)
            edits += below if below is not None else [_instead(text, read, (*path, word), is_now[word], column)]
    added = {word: value for word, value in is_now.items() if word not in was}
    if added:
        end = _end(read, path)
        line = text.find("\n", end)
        place = len(text) if line < 0 else line
        edits.append((place, place, f"\n{' ' * column}{block(added, column)}"))
    return edits


def _edits_below(text: str, read: Document, path: Path, was: Any, is_now: Any, by_rows: bool) -> list[_Edit] | None:
    """Go down into words with values, and into the rows of lists; None where all is to be written anew."""
    if isinstance(was, dict) and isinstance(is_now, dict):
        return _edits(text, read, path, was, is_now, by_rows)
    if not (isinstance(was, list) and isinstance(is_now, list)):
        return None
    end = read.list_end(path)
    if by_rows and was and is_now and end is not None and end.column is not None:
        return _edits_of_rows(text, read, path, was, is_now, end.column)
    if len(was) != len(is_now):
        return None
    return _edits_of_items(text, read, path, range(len(was)), was, is_now, by_rows)


def _edits_of_items(
    text: str, read: Document, path: Path, places: range, was: Sequence[Any], is_now: Sequence[Any], by_rows: bool
) -> list[_Edit]:
    """Change items in their places, which are as many as before."""
    edits: list[_Edit] = []
    for number, value, now in zip(places, was, is_now, strict=True):
        if value == now:
            continue
        item = (*path, number)
        has_first = not isinstance(value, dict) or (isinstance(now, dict) and next(iter(value), None) in now)
        below = _edits_below(text, read, item, value, now, by_rows) if has_first else None
        span = read.span(item)
        assert span is not None, "the item is there"
        edits += [(*span, inline(now))] if below is None else below
    return edits


def _edits_of_rows(
    text: str, read: Document, path: Path, was: Sequence[Any], is_now: Sequence[Any], column: int
) -> list[_Edit]:
    """Take rows out and put others in, each in lines of its own: what is said behind and between the others stays."""
    edits: list[_Edit] = []
    both = SequenceMatcher(None, [inline(each) for each in was], [inline(each) for each in is_now], autojunk=False)
    for kind, first, last, new_first, new_last in both.get_opcodes():
        if kind == "equal":
            continue
        same = min(last - first, new_last - new_first)
        changed = (range(first, first + same), was[first : first + same], is_now[new_first : new_first + same])
        edits += _edits_of_items(text, read, path, *changed, True)
        for number in range(first + same, last):
            begin, end = _line_of_row(text, read, (*path, number)), _behind_row(text, read, (*path, number))
            edits.append((begin, end, ""))
        if added := is_now[new_first + same : new_last]:
            before = (*path, first + same - 1)
            place = _behind_row(text, read, before) if first + same else _line_of_row(text, read, (*path, 0))
            lines = "".join(f"{' ' * column}- {inline(each)}\n" for each in added)
            is_ended = not place or text[place - 1] == "\n"
            edits.append((place, place, lines if is_ended else f"\n{lines.rstrip(chr(10))}"))
    return edits


def _line_of_row(text: str, read: Document, path: Path) -> int:
    """Find where the line of a row begins."""
    span = read.span(path)
    assert span is not None, "the row is there"
    return text.rfind("\n", 0, span[0]) + 1


def _behind_row(text: str, read: Document, path: Path) -> int:
    """Find where the next line begins behind a row; the end of the text behind its last line."""
    line = text.find("\n", _end(read, path))
    return len(text) if line < 0 else line + 1


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
