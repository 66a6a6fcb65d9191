"""The text of a ruleset or a policy as a page shows it: numbered lines, with what is wrong or doubtful beneath each."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff

from fivefold.console.texts import text
from fivefold.console.visit import Visit
from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError

MOST_BYTES = 256_000
"""Largest text of a ruleset or a policy, as `/v1` takes it."""
MOST_COMPARED = 250_000
"""Pairs of lines among which the least difference is looked for."""


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
    """Tell which lines differ between two texts, with one line around each place; nothing where none does.

    Where very many lines are between the first difference and the last, all of them count as replaced: to look for the
    least difference would take seconds.
    """
    olds, news = before.split("\n"), after.split("\n")
    if olds == news:
        return ()
    head = _common(olds, news)
    tail = min(_common(olds[::-1], news[::-1]), len(olds) - head, len(news) - head)
    replaced, added = olds[head : len(olds) - tail], news[head : len(news) - tail]
    if len(replaced) * len(added) > MOST_COMPARED:
        pairs = (("-", replaced), ("+", added))
        return tuple(LineChange(sign=sign, content=content) for sign, lines in pairs for content in lines)
    changes = []
    begin, rest = max(head - 1, 0), max(tail - 1, 0)
    pair = olds[begin : len(olds) - rest], news[begin : len(news) - rest]
    for line in list(unified_diff(*pair, lineterm="", n=1))[2:]:
        is_gap = line.startswith("@@")
        changes.append(LineChange(sign="" if is_gap else line[0], content="" if is_gap else line[1:]))
    return tuple(changes)


def _common(olds: Sequence[str], news: Sequence[str]) -> int:
    """Count the lines with which both begin."""
    pairs = enumerate(zip(olds, news, strict=False))
    return next((at for at, (old, new) in pairs if old != new), min(len(olds), len(news)))


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


def refused_shortly(wrong: InvalidRulesetError, with_doubts: str) -> ConfigError:
    """Say how much stands against a text, whose page shows each at its line; *with_doubts* asks for the reason."""
    faults = sum(finding.fatal and finding.where != "accept_warnings" for finding in wrong.findings)
    if faults:
        return ConfigError(text("the text has faults, shown below: {count}", count=faults))
    doubts = sum(not finding.fatal for finding in wrong.findings)
    return ConfigError(text("the text has doubts, shown below: {count}; {asks}", count=doubts, asks=with_doubts))
