"""A draft with other cases: the text of a ruleset in which only the cases of one rule are replaced."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import count_text, json_in_sight
from fivefold.risk.governance.drafts import NOTHING_IN_FORCE, with_reasons, without_reasons
from fivefold.risk.governance.tables.columns import ON_UNKNOWN, OTHERWISE, in_reading_order
from fivefold.risk.governance.tables.grid import flow_text
from fivefold.risk.governance.tables.write import plain_data
from fivefold.risk.language.base import LanguageModel, canonical_form
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Outcome, Rule, Ruleset

FIRST = f"A DRAFT with cases from a decision table. {NOTHING_IN_FORCE}"

Edit = tuple[int, int, str]
"""The start and the end of a part of a text, and its replacement."""


def draft_text(text: str, ruleset: Ruleset, changed: Ruleset, position: int, reasons: Sequence[str]) -> str:
    """Write the draft.

    An unchanged case keeps its text, including comments; a new one is written in one line.

    Args:
        text: the present ruleset as YAML or JSON.
        ruleset: the same ruleset as an object.
        changed: the ruleset that the draft is to state; it differs in the cases of one rule.
        position: the position of that rule, from 0.
        reasons: the lines to write above the text.

    Raises:
        ConfigError: the text cannot be changed without other changes.
    """
    text = without_reasons(text)
    before, after = ruleset.rules[position], changed.rules[position]
    text = with_rows(text, ("rules", position), _part(before), _part(after))
    draft = with_reasons(text, FIRST, reasons)
    if read_ruleset(draft, "the draft").content_hash != changed.content_hash:
        raise ConfigError(
            f"the cases of {before.id} cannot be replaced in this text without changing more; do it by hand"
        )
    return draft


@dataclass(frozen=True)
class RowsOf:
    """The content of a table, and how a text states it.

    Attributes:
        name: the name of the part that has the rows.
        word: the key of the rows.
        rows: each with its condition under `when`.
        rest: the outcomes below the rows, by key; None for none.
        data_of: returns the value of a key as plain data; None for one that needs no key.
    """

    name: str
    word: str
    rows: Sequence[LanguageModel]
    rest: Mapping[str, Any]
    data_of: Callable[[str, Any], Any]


def _part(rule: Rule) -> RowsOf:
    def data_of(word: str, outcome: Outcome | None) -> Any:
        return None if outcome is None or (word == OTHERWISE and outcome == Outcome()) else plain_data(outcome)

    return RowsOf(rule.id, "cases", rule.cases, {OTHERWISE: rule.otherwise, ON_UNKNOWN: rule.on_unknown}, data_of)


def with_rows(text: str, path: Path, before: RowsOf, after: RowsOf) -> str:
    """Replace the rows of a table in a text; *path* leads to the part that has them.

    Raises ConfigError if they are not found there.
    """
    for start, end, words in sorted(_Edits(text, path, before, after).all(), reverse=True):
        text = text[:start] + words + text[end:]
    return text


class _Edits:
    """The edits of the text of the part that has the rows."""

    def __init__(self, text: str, path: Path, before: RowsOf, after: RowsOf) -> None:
        self._text, self._path, self._before, self._after = text, path, before, after
        self._document = Document(text)
        self._is_json = text.lstrip().startswith("{")
        self._cases = (*path, before.word)
        end = self._document.list_end(self._cases)
        span = self._document.span(self._cases)
        if end is None or span is None:
            raise ConfigError(
                f"the {before.word} of {before.name} are not where they should be in the text; change them by hand"
            )
        self._column, self._span = end.column, span

    def all(self) -> Iterator[Edit]:
        """Yield all edits."""
        old, new = ([canonical_form(row) for row in part.rows] for part in (self._before, self._after))
        if old != new:
            steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
            yield self._in_lines(steps) if self._column is not None else self._in_brackets(steps)
        lacking = []
        for word in (OTHERWISE, ON_UNKNOWN):
            outcome = self._after.rest[word]
            if outcome == self._before.rest[word]:
                continue
            data = self._after.data_of(word, outcome)
            span = self._document.span((*self._path, word))
            if span is not None:
                yield self._without(word, span) if data is None else (*span, self._written(data))
            elif data is not None:
                lacking.append(f"{self._quoted(word)}: {self._written(data)}")
        if lacking:
            yield self._further(lacking)

    def _written(self, data: Any) -> str:
        return json_in_sight(data) if self._is_json else flow_text(data)

    def _quoted(self, word: str) -> str:
        return f'"{word}"' if self._is_json else word

    def _item(self, case: LanguageModel) -> str:
        data = plain_data(case)
        return self._written({"when": in_reading_order(data.pop("when")), **data})

    def _line_end(self, index: int) -> int:
        end = self._text.find("\n", index)
        return len(self._text) if end < 0 else end + 1

    def _in_lines(self, steps: Sequence[Any]) -> Edit:
        """Replace cases that are written on lines of their own, each with the comments above it."""
        start = self._text.rfind("\n", 0, self._span[0]) + 1
        chunks, at = [], start
        for number in range(len(self._before.rows)):
            end = self._line_end(self._item_span(number)[1])
            chunks.append(self._text[at:end].removesuffix("\n") + "\n")
            at = end
        lines = []
        for kind, first, last, from_, to in steps:
            if kind == "equal":
                lines += chunks[first:last]
                continue
            for number in range(from_, to):
                is_in_place = kind == "replace" and first + number - from_ < last
                remarks = _remarks(chunks[first + number - from_]) if is_in_place else ""
                lines.append(f"{remarks}{' ' * (self._column or 0)}- {self._item(self._after.rows[number])}\n")
        return (start, at, "".join(lines))

    def _in_brackets(self, steps: Sequence[Any]) -> Edit:
        """Replace cases that are written in brackets."""
        items = [self._text[slice(*self._item_span(number))] for number in range(len(self._before.rows))]
        new_items = []
        for kind, first, last, from_, to in steps:
            new_items += (
                items[first:last] if kind == "equal" else [self._item(self._after.rows[n]) for n in range(from_, to)]
            )
        first_item = self._item_span(0)[0]
        line = self._text[self._text.rfind("\n", 0, first_item) + 1 : first_item]
        is_below = not line.strip() and "\n" in self._text[self._span[0] : first_item]
        before, between, after = self._text[self._span[0] : first_item], f",\n{line}" if is_below else ", ", "]"
        if is_below:
            after = self._text[self._item_span(len(items) - 1)[1] : self._span[1]].lstrip(", ")
        return (*self._span, before + between.join(new_items) + after)

    def _item_span(self, number: int) -> tuple[int, int]:
        span = self._document.span((*self._cases, number))
        assert span is not None  # a case of the ruleset that was read from this text
        return span

    def _key(self, word: str) -> int:
        """Find the position of a key of the rule in the text."""
        _, line, column = self._document.position((*self._path, word))
        start = 0
        for _ in range((line or 1) - 1):
            start = self._line_end(start)
        return start + (column or 1) - 1

    def _is_in_braces(self) -> bool:
        key = self._key(self._before.word)
        line = self._text[self._text.rfind("\n", 0, key) + 1 : key]
        return self._is_json or bool(line.strip(" -"))

    def _without(self, word: str, span: tuple[int, int]) -> Edit:
        """Remove a key of the rule with its value."""
        key = self._key(word)
        if not self._is_in_braces():
            return (self._text.rfind("\n", 0, key) + 1, self._line_end(span[1]), "")
        before = self._text[:key].rstrip()
        if before.endswith(","):
            return (len(before) - 1, span[1], "")
        rest = self._text[span[1] :]
        return (key, span[1] + len(rest) - len(rest.lstrip().removeprefix(",").lstrip()), "")

    def _further(self, lacking: Sequence[str]) -> Edit:
        """Add the lacking keys below the cases."""
        if self._is_in_braces():
            return (self._span[1], self._span[1], "".join(f", {each}" for each in lacking))
        key, end = self._key(self._before.word), self._line_end(self._span[1])
        indent = " " * (key - self._text.rfind("\n", 0, key) - 1)
        begin = "" if self._text[:end].endswith("\n") else "\n"
        return (end, end, begin + "".join(f"{indent}{each}\n" for each in lacking))


def _remarks(chunk: str) -> str:
    """Return the comments above a case."""
    lines = chunk.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if not line.lstrip().startswith("#") and line.strip()), 0)
    return "".join(lines[:first])


def reasons(source: str, rule: Rule, changed: Rule, ruleset: Ruleset, notes: Sequence[str]) -> list[str]:
    """Return the lines that state the reasons, for the top of the file."""
    sizes = f"{count_text(len(changed.cases), 'case')} from {source}, {len(rule.cases)} until now"
    return [f"Made from {ruleset.name} {ruleset.content_hash}.", f"Rule {rule.id}: {sizes}.", *notes]
