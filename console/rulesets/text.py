"""The text of a ruleset or a policy on a page: its lines with the findings in each, and the test of its changes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from fivefold.console.texts import text
from fivefold.console.visit import Visit
from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError, NotFoundError
from fivefold.risk.governance.mutation.run import ChangeTried, MutantVerdict, Mutations

MOST_BYTES = 256_000
"""Largest text of a ruleset or a policy, as `/v1` takes it."""
MOST_COMPARED = 300_000_000
"""The most pairs of lines among which the least difference is searched: 0.04 s and 40 MB."""


@dataclass(frozen=True, kw_only=True)
class TextLine:
    """A line, numbered from 1, and its findings."""

    number: int
    content: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LineChange:
    """A line that only one of two texts has; for a gap between two places `sign` is empty."""

    sign: str
    content: str


def numbered_lines(document: str, findings: Sequence[Finding] = ()) -> tuple[TextLine, ...]:
    """Number the lines of a text, and add each finding to its line."""
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
    """Return the lines that differ between two texts, with one line around each place; nothing if no line differs.

    Where very many lines are between the first difference and the last, all of them count as replaced: to look for the
    least difference would take much memory.
    """
    olds, news = before.split("\n"), after.split("\n")
    if olds == news:
        return ()
    head = _common(olds, news)
    tail = min(_common(olds[::-1], news[::-1]), len(olds) - head, len(news) - head)
    replaced, added = olds[head : len(olds) - tail], news[head : len(news) - tail]
    if len(replaced) * len(added) > MOST_COMPARED:
        return (*_signed("-", replaced), *_signed("+", added))
    lines = list(_aligned(olds, news))
    shown = {at + near for at, line in enumerate(lines) if line.sign != " " for near in (-1, 0, 1)}
    changes: list[LineChange] = []
    for at, line in enumerate(lines):
        if at in shown:
            changes += [line] if at - 1 in shown and changes else [LineChange(sign="", content=""), line]
    return tuple(changes)


def _aligned(olds: Sequence[str], news: Sequence[str]) -> Iterator[LineChange]:
    """Return all lines of two texts, by the fewest changes; at each place first the removed lines, then the new."""
    added: list[str] = []
    for code in LCSseq.opcodes(olds, news):
        removed = olds[code.src_start : code.src_end]
        if code.tag == "equal":
            yield from (*_signed("+", added), *_signed(" ", removed))
            added = []
        else:
            yield from _signed("-", removed)
            added += news[code.dest_start : code.dest_end]
    yield from _signed("+", added)


def _signed(sign: str, lines: Sequence[str]) -> Iterator[LineChange]:
    return (LineChange(sign=sign, content=content) for content in lines)


def _common(olds: Sequence[str], news: Sequence[str]) -> int:
    """Count the common first lines of both."""
    pairs = enumerate(zip(olds, news, strict=False))
    return next((at for at, (old, new) in pairs if old != new), min(len(olds), len(news)))


def typed_document(visit: Visit) -> str:
    """Return the typed text, with plain ends of lines; ConfigError if it is empty or too long."""
    document = visit.form.get("document", "").replace("\r\n", "\n")
    if not document.strip():
        raise ConfigError(text("the text is empty"))
    if "\0" in document:
        raise ConfigError(text("the text has the character NUL, which databases cannot store"))
    if len(document.encode()) > MOST_BYTES:
        raise ConfigError(text("the text has more than {most:,} bytes", most=MOST_BYTES))
    return document


def refused_shortly(wrong: InvalidRulesetError, with_doubts: str) -> ConfigError:
    """Say how many findings a text has, which its page shows by line; *with_doubts* asks for the reason."""
    faults = sum(finding.fatal and finding.where != "accept_warnings" for finding in wrong.findings)
    if faults:
        return ConfigError(text("the text has faults, shown below: {count}", count=faults))
    doubts = sum(not finding.fatal for finding in wrong.findings)
    return ConfigError(text("the text has doubts, shown below: {count}; {asks}", count=doubts, asks=with_doubts))


@dataclass(frozen=True, kw_only=True)
class ChangesTried:
    """Every one-step change of the text, and whether examples notice it; or why none was tried.

    Attributes:
        mutations: their results; None if there is a problem.
        problem: why none was tried.
        command: the command that tries all of them, without a limit of time.
    """

    mutations: Mutations | None = None
    problem: str = ""
    command: str = ""

    @property
    def unnoticed(self) -> tuple[ChangeTried, ...]:
        """Return the changes that no example notices."""
        return () if self.mutations is None else self.mutations.of(MutantVerdict.UNNOTICED)

    @property
    def no_effect(self) -> tuple[ChangeTried, ...]:
        """Return the changes that no example can notice."""
        return () if self.mutations is None else self.mutations.of(MutantVerdict.NO_EFFECT)

    @property
    def noticed_percent(self) -> str:
        """Return the noticed share of those that can be noticed, with one decimal."""
        return "" if self.mutations is None else f"{self.mutations.noticed_percent:.1f}"


def changes_tried(
    tries: Callable[[Visit, str], Mutations], visit: Visit, document: str, command: str
) -> ChangesTried | None:
    """Try the changes of a text if this was requested; None otherwise.

    Args:
        tries: tries the changes of a text of the kind.
        visit: the visit that requests it.
        document: the text.
        command: the command that does the same without a limit of time.
    """
    if visit.action != "mutate":
        return None
    try:
        return ChangesTried(mutations=tries(visit, document), command=command)
    except (InvalidRulesetError, NotFoundError):
        return ChangesTried(
            problem=text("No change was tried: this needs a text without faults, and examples that all pass.")
        )
