"""The text of a ruleset as a page shows it: numbered lines, with what is wrong or doubtful beneath each."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff

from fivefold.console.texts import text
from fivefold.console.visit import Visit
from fivefold.domain.errors import ConfigError, Finding, NotFoundError

MOST_BYTES = 256_000
"""Largest text of a ruleset, as `/v1` takes it."""


@dataclass(frozen=True, kw_only=True)
class TextLine:
    """A line, numbered from 1, and what was found in it."""

    number: int
    content: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LineChange:
    """A line that only one of two texts has; of a gap between two places `sign` is empty."""

    sign: str
    content: str


def numbered_lines(document: str, findings: Sequence[Finding] = ()) -> tuple[TextLine, ...]:
    """Number the lines of a text, and put each finding to its line."""
    by_line: dict[int, list[Finding]] = {}
    for finding in findings:
        if finding.line is not None:
            by_line.setdefault(finding.line, []).append(finding)
    lines = document.split("\n")
    if lines[-1] == "" and len(lines) > 1 and len(lines) not in by_line:
        lines.pop()
    return tuple(
        TextLine(number=number, content=content, findings=tuple(by_line.get(number, ())))
        for number, content in enumerate(lines, start=1)
    )


def line_changes(before: str, after: str) -> tuple[LineChange, ...]:
    """Tell which lines differ between two texts, with one line around each place; nothing where none does."""
    changes = []
    for line in list(unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=1))[2:]:
        is_gap = line.startswith("@@")
        changes.append(LineChange(sign="" if is_gap else line[0], content="" if is_gap else line[1:]))
    return tuple(changes)


def typed_document(visit: Visit) -> str:
    """Give the text that was typed, with plain ends of lines; ConfigError where there is none, or too much."""
    document = visit.form.get("document", "").replace("\r\n", "\n")
    if not document.strip():
        raise ConfigError(text("the text is empty"))
    if "\0" in document:
        raise ConfigError(text("the text has the character NUL, which no database keeps"))
    if len(document.encode()) > MOST_BYTES:
        raise ConfigError(text("the text has more than {most:,} bytes", most=MOST_BYTES))
    return document


def numbered(written: str, what: str) -> int:
    """Read a number of an address or a form; NotFoundError where it cannot be one."""
    if not written.isascii() or not written.isdecimal() or not 0 < len(written) <= 9:
        raise NotFoundError(text("there is no {what} {number}", what=what, number=repr(written[:40])))
    return int(written)
