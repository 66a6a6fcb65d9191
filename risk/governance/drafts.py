"""Drafts: the text of a ruleset with other numbers, with reasons at the top and beside each of them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from fivefold.charts.text.numbers import one_line
from fivefold.domain.errors import ConfigError
from fivefold.risk.language.documents import Document, Path

NOTHING_IN_FORCE = "It decides nothing until it is reviewed, tested, committed and activated."
LAST = "End of the reasons. Below stands the text that the draft was made from; its remarks are of its authors."
REMARK = "# proposed: "
_HEAD = re.compile(rf"\A# A DRAFT [^\n]*\n(#[^\n]*\n)*?# {re.escape(LAST)}\n")
"""Matches the reasons of an earlier proposal, which are obsolete."""
_REMARKS = re.compile(rf"^[ \t]*{re.escape(REMARK)}[^\n]*\n", re.MULTILINE)


def without_reasons(text: str) -> str:
    """Remove the reasons of earlier proposals from a text."""
    return _REMARKS.sub("", _HEAD.sub("", text.removeprefix("\ufeff")))


def reasons_of(text: str) -> str:
    """Return the reasons at the top of a draft; empty if there are none."""
    head = _HEAD.match(text.removeprefix("\ufeff"))
    return "" if head is None else head[0]


def is_json(text: str) -> bool:
    """Check whether a text is JSON, which cannot have remarks."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def with_reasons(text: str, first: str, reasons: Sequence[str]) -> str:
    """Put reasons at the top of a text, unless it is JSON; *first*, A DRAFT, lets the next proposal find them."""
    if is_json(text):
        return text
    return "".join(f"# {one_line(line)}\n" for line in (first, *reasons, LAST)) + text


def with_numbers(text: str, numbers: Mapping[Path, str], remarks: Mapping[Path, str] | None = None) -> str:
    """Replace numbers at their places; everything else stays as written, including remarks and order.

    Args:
        text: a ruleset as YAML or JSON, without reasons.
        numbers: the new number of each place.
        remarks: the line to insert above each place; JSON has none.

    Raises:
        ConfigError: the text cannot be changed in place.
    """
    remarks = {} if remarks is None or is_json(text) else remarks
    document = Document(text)
    spans = {path: document.span(path) or _refuse() for path in (*numbers, *remarks)}
    edits = [(*spans[path], number) for path, number in numbers.items()]
    for path in sorted(remarks, key=spans.__getitem__, reverse=True):  # for one line, the last is inserted first
        line = text.rfind("\n", 0, spans[path][0]) + 1
        indent = text[line : len(text) - len(text[line:].lstrip())]
        edits.append((line, line, f"{indent}{REMARK}{one_line(remarks[path])}\n"))
    for begin, end, words in sorted(edits, key=lambda edit: edit[0], reverse=True):
        text = text[:begin] + words + text[end:]
    return text


def _refuse() -> NoReturn:
    raise ConfigError("the text cannot be changed in place: a word of the ruleset is not where it should be")
