"""Every error that fivefold raises on purpose, in one tree.

FivefoldError                 anything below; its text is meant for a person
├── DataNotValid              rows that cannot be taken, each named
├── LayoutError               a file whose rows are not grouped by customer, or is too large to sort
├── RulesetNotValid           a ruleset that cannot be used, each fault named
├── ConfigError               a setting or a configuration file that cannot be used
├── NotEnoughData             valid data from which nothing can be learnt
├── ModelError                a model that cannot be loaded or used here
│   ├── FingerprintMismatch   it was trained on other indicators
│   ├── ModelNotFound         the registry has no such version
│   └── RegistryError         the registry named by the settings cannot be asked
├── StoreError                a database that cannot be reached, or has an unknown schema
│   ├── OutcomeUnknown        the database went away while it stored: it may have been done
│   └── ClockNotTrusted       this machine's clock and the database's differ too much
├── PromotionRefused          the gate, or the operator's own words, forbid it
├── NotThere                  nothing of that name, for this organisation
└── ActionRefused             what is asked for is well formed, and a rule of the platform forbids it now
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

PROBLEMS_LISTED = 100
"""How many bad rows an error lists by name; all of them are counted."""


class FivefoldError(Exception):
    """Anything that fivefold refuses, with a message that says what, where and what would be right."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one row.

    >>> print(Problem(3, "user_category", "is 'APP'", "API or WEB"))
    row 3: user_category is 'APP'; allowed: API or WEB
    """

    row: int
    field: str
    problem: str
    allowed: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.field} {self.problem}; allowed: {self.allowed}"


class DataNotValid(FivefoldError):
    """Rows that cannot be taken.

    Attributes:
        problems: the first hundred, in row order (rows count from 0).
        every: all that were collected, in row order.
        count: how many problems there are in all.
        source: what was being read, where that is a file; its rows are then shown as people count them.
    """

    def __init__(self, problems: list[Problem], count: int | None = None, source: str = "") -> None:
        """Keep the *problems*, in row order, and their *count*."""
        self.every = tuple(sorted(problems, key=lambda problem: problem.row))
        self.problems = self.every[:PROBLEMS_LISTED]
        self.count = len(problems) if count is None else count
        self.source = source
        super().__init__(self._message())

    def _message(self) -> str:
        where = f" in {self.source}" if self.source else ""
        head = f"{self.count} {'problem' if self.count == 1 else 'problems'}{where}"
        first = first_row_of(self.source)
        listed = self.problems if not first else [replace(one, row=one.row + first) for one in self.every]
        lines = list(map(str, listed)) if not first else problem_lines(listed)
        rest = self.count - len(listed)
        tail = [f"... and {rest} more"] if rest else []
        return "\n".join([f"Data not valid: {head} ({_NUMBERING[first]})", *lines, *tail])


_NUMBERING = {0: "rows count from 0", 1: "rows count from 1", 2: "the header is row 1"}
ROWS_NAMED = 3
"""How many rows of equal problems a line names."""


def first_row_of(source: str) -> int:
    """Tell the number of the first row of a source as people count: a spreadsheet's header is row 1.

    >>> first_row_of("rows.csv"), first_row_of("rows.parquet"), first_row_of("")
    (2, 1, 0)
    """
    if not source:
        return 0
    return 2 if source.lower().removesuffix(".gz").endswith(".csv") else 1


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """Write problems, one line for all that are equal but for the row.

    >>> print(*problem_lines([Problem(row, "a", "is missing", "text") for row in range(2, 9)]))
    rows 2, 3, 4 and 4 more: a is missing; allowed: text
    """
    rows: dict[tuple[str, str, str], list[int]] = {}
    for one in problems:
        rows.setdefault((one.field, one.problem, one.allowed), []).append(one.row)
    lines = []
    for (field, problem, allowed), found in rows.items():
        if len(found) == 1:
            lines.append(str(Problem(found[0], field, problem, allowed)))
            continue
        rest = len(found) - ROWS_NAMED
        shown = ", ".join(map(str, found[:ROWS_NAMED])) + (f" and {rest:,} more" if rest > 0 else "")
        lines.append(f"rows {shown}: {field} {problem}; allowed: {allowed}")
    if len(lines) > PROBLEMS_LISTED:
        lines[PROBLEMS_LISTED:] = [f"... and {len(lines) - PROBLEMS_LISTED:,} kinds of problems more"]
    return lines


class LayoutError(FivefoldError):
    """A file whose rows are not grouped by customer where that is needed, or that is too large to sort."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong, or doubtful, in a ruleset.

    Attributes:
        where: the rule and case, or the part, as a person would look for it.
        problem: what is wrong, and what would be right.
        line: where it stands in the file, from 1; None where it is not known.
        fatal: the ruleset cannot be used; otherwise it is a warning.

    >>> print(Finding("rule cash-out", "has no written rationale", 12, fatal=False))
    line 12: rule cash-out: has no written rationale
    """

    where: str
    problem: str
    line: int | None = None
    fatal: bool = True

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.where}: {self.problem}"


class RulesetNotValid(FivefoldError):
    """A ruleset, list or example that cannot be used.

    Attributes:
        findings: what is wrong, in the order of the file.
    """

    def __init__(self, findings: list[Finding], source: str = "the ruleset") -> None:
        """Keep the *findings*; the message has a line for each."""
        self.findings = tuple(findings)
        super().__init__("\n".join([f"{source} is not valid:", *map(str, findings)]))


class ConfigError(FivefoldError):
    """A setting or a configuration file that cannot be used."""


class NotEnoughData(FivefoldError):
    """Valid data from which nothing can be learnt."""


class ModelError(FivefoldError):
    """A model that cannot be loaded or used here."""


class FingerprintMismatch(ModelError):
    """A model that was trained on other indicators than this program computes."""


class ModelNotFound(ModelError):
    """The registry has no such model, version or alias."""


class RegistryError(ModelError):
    """The registry that the settings name cannot be asked."""


class StoreError(FivefoldError):
    """A database that cannot be reached, or whose schema this program does not know."""


class OutcomeUnknown(StoreError):
    """The database went away just while it was asked to keep something: whether it did, nobody here can tell."""


class ClockNotTrusted(StoreError):
    """This machine's clock and the database's differ by more than is allowed: what it would store would be misdated."""


class PromotionRefused(FivefoldError):
    """A promotion or rollback that the gate, or the operator's missing reason, forbids."""


class NotThere(FivefoldError):
    """Nothing of that name for this organisation; whether another one has it is not told."""


class ActionRefused(FivefoldError):
    """What is asked for is well formed, and a rule of the platform forbids it now: four eyes, a cap, a lock."""
