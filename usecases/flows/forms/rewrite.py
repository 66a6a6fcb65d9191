"""Write the words of a part that changed, and leave the lines of all others as they are, comments too."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from fivefold.risk.language.documents import Document, Path
from fivefold.usecases.flows.forms.inline import (
    MOST_COMPARED,
    Cells,
    block,
    cells_of,
    inline,
    is_same,
    most_alike,
    same_rows,
)

_Edit = tuple[int, int, str]
"""The beginning, the end, and the text that replaces what is between."""
_END_OF_LINE: Final = re.compile(r"\r?\n|\Z")
_BEHIND_A_WORD: Final = re.compile(r"(?<=:)[ \t]+#.*")


def rewritten(
    text: str,
    read: Document,
    path: Path,
    was: Mapping[str, Any],
    is_now: Mapping[str, Any],
    is_so: Callable[[str, Mapping[str, Any]], bool],
) -> str | None:
    """Return the text with the changes of a mapping; None if only a complete rewrite can make them.

    Rows of lists are added and removed line by line, unless *is_so* says that the text would then have other content:
    the whole list is written instead. Words are added and removed after the rows, as both may be added at one place.
    """
    between = _with_words_before(was, is_now)
    for by_rows in (True, False):
        written = _written(text, read, path, was, between, by_rows)
        if written is None or not is_so(written, between):
            continue
        if not is_same(between, is_now):
            # The number of rows is final now, so each is found by its number.
            written = _written(written, Document(written), path, between, is_now, by_rows=False)
        if written is not None and is_so(written, is_now):
            return written
    return None


def _with_words_before(was: Any, is_now: Any) -> Any:
    """Return the new value, but with the words that each mapping had before: none fewer, and none more."""
    if isinstance(was, dict) and isinstance(is_now, dict):
        return {word: _with_words_before(each, is_now[word]) if word in is_now else each for word, each in was.items()}
    if not (isinstance(was, list) and isinstance(is_now, list)):
        return is_now
    rows = [*is_now]
    for old, new in _pairs(was, is_now):
        rows[new] = _with_words_before(was[old], is_now[new])
    return rows


def _written(
    text: str, read: Document, path: Path, was: Mapping[str, Any], is_now: Mapping[str, Any], by_rows: bool
) -> str | None:
    edits = _edits(text, read, path, was, is_now, by_rows)
    return None if edits is None else _applied(text, edits)


def _applied(text: str, edits: Sequence[_Edit]) -> str:
    """Return the text after edits, whose lines end like the line before each of them."""
    for begin, end, instead in sorted(edits, reverse=True):
        line = text.rfind("\n", 0, begin)
        ending = "\r\n" if text[max(line - 1, 0) : line + 1] == "\r\n" else "\n"
        text = f"{text[:begin]}{instead.replace(chr(10), ending)}{text[end:]}"
    return text


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
        elif not is_same(is_now[word], value):
            below = _edits_below(text, read, (*path, word), value, is_now[word], by_rows)
            edits += below if below is not None else [_instead(text, read, (*path, word), is_now[word], column)]
    added = {word: value for word, value in is_now.items() if word not in was}
    if added:
        place = _behind(text, read, path, column)
        edits.append(_lines_at(text, place, f"{' ' * column}{block(added, column)}"))
    return edits


def _edits_below(text: str, read: Document, path: Path, was: Any, is_now: Any, by_rows: bool) -> list[_Edit] | None:
    """Descend into words with values, and into the rows of lists; None if all is to be rewritten."""
    if isinstance(was, dict) and isinstance(is_now, dict):
        return _edits(text, read, path, was, is_now, by_rows)
    if not (isinstance(was, list) and isinstance(is_now, list)):
        return None
    end = read.list_end(path)
    if by_rows and was and is_now and end is not None and end.column is not None:
        return _edits_of_rows(text, read, path, was, is_now, end.column)
    if len(was) != len(is_now):
        return None
    return _edits_of_items(text, read, path, zip(range(len(was)), was, is_now, strict=True), by_rows)


def _edits_of_items(
    text: str, read: Document, path: Path, items: Iterable[tuple[int, Any, Any]], by_rows: bool
) -> list[_Edit]:
    """Change items, each given with its old and its new value, in their places."""
    edits: list[_Edit] = []
    for number, value, now in items:
        if is_same(value, now):
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
    """Remove rows and insert others, each in lines of its own; comments behind and between the others stay."""
    pairs = _pairs(was, is_now)
    edits = _edits_of_items(text, read, path, ((old, was[old], is_now[new]) for old, new in pairs), True)
    first = new_first = 0
    for last, new_last in [*pairs, (len(was), len(is_now))]:
        for number in range(first, last):
            row = (*path, number)
            edits.append((_line_of_row(text, read, row, column), _behind(text, read, row, column), ""))
        if added := is_now[new_first:new_last]:
            # Behind rows that go: a comment above one of them is then above a new row, and not above one that stays.
            place = _behind(text, read, (*path, last - 1), column) if last else _above(text, read, path, column)
            lines = "\n".join(f"{' ' * column}- {inline(each)}" for each in added)
            edits.append(_lines_at(text, place, lines))
        first, new_first = last + 1, new_last + 1
    return edits


def _pairs(was: Sequence[Any], is_now: Sequence[Any]) -> list[tuple[int, int]]:
    """Pair rows with those before, in their order; rows without a pair are removed, or added."""
    cells, new_cells = [cells_of(each) for each in was], [cells_of(each) for each in is_now]
    pairs: list[tuple[int, int]] = []
    first = new_first = 0
    for last, new_last in [*same_rows(cells, new_cells), (len(was), len(is_now))]:
        alike = _alike(cells[first:last], new_cells[new_first:new_last])
        pairs += [(first + old, new_first + new) for old, new in alike]
        if last < len(was):
            pairs.append((last, new_last))
        first, new_first = last + 1, new_last + 1
    return pairs


def _alike(was: Sequence[Cells], is_now: Sequence[Cells]) -> list[tuple[int, int]]:
    """Pair rows that all changed: the most similar ones, or, if there are as many as before, those in the same place.

    If there are very many, none is paired.
    """
    pairs: list[tuple[int, int]] = []
    if len(was) * len(is_now) > MOST_COMPARED:
        return pairs
    for new, row in enumerate(is_now):
        old = most_alike(row, was)
        if old is not None and most_alike(was[old], is_now) == new and (not pairs or old > pairs[-1][0]):
            pairs.append((old, new))
    if len(was) == len(is_now) and all(old == new for old, new in pairs):
        return [(number, number) for number in range(len(was))]
    return pairs


def _line_of_row(text: str, read: Document, path: Path, column: int) -> int:
    """Return where the line of a row's dash begins, which may be above its first word."""
    span = read.span(path)
    assert span is not None, "the row is there"
    begin = text.rfind("\n", 0, span[0]) + 1
    while begin and (text[begin : begin + column].strip() or text[begin + column : span[0]][:1] != "-"):
        begin = text.rfind("\n", 0, begin - 1) + 1
    return begin


def _above(text: str, read: Document, path: Path, column: int) -> int:
    """Return where the lines of the first row begin, with the comments directly above it."""
    begin = _line_of_row(text, read, (*path, 0), column)
    while begin:
        before = text.rfind("\n", 0, begin - 1) + 1
        if not text[before:begin].lstrip().startswith("#"):
            break
        begin = before
    return begin


def _behind(text: str, read: Document, path: Path, column: int) -> int:
    """Return where the line after a part begins, and after the comments under it that are indented deeper."""
    line = text.find("\n", _end(read, path))
    begin = len(text) if line < 0 else line + 1
    comments = re.compile(rf"(?:(?:[ \t]*\r?\n)* {{{column + 1},}}#[^\n]*(?:\n|\Z))*").match(text, begin)
    return begin if comments is None else comments.end()


def _lines_at(text: str, place: int, lines: str) -> _Edit:
    """Return the edit that inserts lines where a line begins, or behind the last one, which may have no end."""
    is_ended = not place or text[place - 1] == "\n"
    return place, place, f"{lines}\n" if is_ended else f"\n{lines}"


def _end_of_line(text: str, index: int) -> int:
    end = _END_OF_LINE.search(text, index)
    return len(text) if end is None else end.start()


def _instead(text: str, read: Document, path: Path, value: Any, column: int) -> _Edit:
    """Return the edit that writes a word with its new value over the word and its old value.

    A comment behind a list in brackets is put behind its word if the list now has a line for each row. A list of lines
    keeps the comment behind its word; a comment behind its last row goes with that row.
    """
    begin, end, word = _begin(text, read, path), _end(read, path), str(path[-1])
    end_of_line = _end_of_line(text, end)
    in_lines = block({word: value}, column)
    first, _, rows = in_lines.partition("\n")
    listed = read.list_end(path)
    if listed is not None and listed.column is not None:
        comment = _BEHIND_A_WORD.search(text[begin : _end_of_line(text, begin)])
        return begin, end_of_line, f"{first}{comment[0] if comment else ''}" + (f"\n{rows}" if rows else "")
    behind = text[end:end_of_line].strip()
    if not behind:
        return begin, end, in_lines
    if behind.startswith("#") and isinstance(value, list) and rows:
        return begin, end_of_line, f"{first}  {behind}\n{rows}"
    return begin, end, f"{inline(word)}: {inline(value)}"


def _lines_of(text: str, read: Document, path: Path) -> _Edit:
    """Return the edit that removes the lines of a word, each with its end."""
    begin, end = text.rfind("\n", 0, _begin(text, read, path)) + 1, text.find("\n", _end(read, path))
    return begin, len(text) if end < 0 else end + 1, ""


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
    r"""Convert a line and a column, both from 1, to an index into the text, from 0.

    >>> index_of("a: 1\nb: 2\n", 2, 4)
    8
    """
    begin = 0
    for _ in range(line - 1):
        begin = text.find("\n", begin) + 1
    return begin + column - 1
