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
│   └── ClockNotTrusted       this machine's clock and the database's differ too much
├── PromotionRefused          the gate, or the operator's own words, forbid it
├── NotThere                  nothing of that name, for this organisation
└── ActionRefused             what is asked for is well formed, and a rule of the platform forbids it now
"""

from dataclasses import dataclass

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
        count: how many problems there are in all.
        source: what was being read, where that is a file.
    """

    def __init__(self, problems: list[Problem], count: int | None = None, source: str = "") -> None:
        """Keep the first hundred *problems*, in row order, and their *count*."""
        self.problems = tuple(sorted(problems, key=lambda problem: problem.row)[:PROBLEMS_LISTED])
        self.count = len(problems) if count is None else count
        self.source = source
        super().__init__(self._message())

    def _message(self) -> str:
        where = f" in {self.source}" if self.source else ""
        head = f"{self.count} {'problem' if self.count == 1 else 'problems'}{where}"
        rest = self.count - len(self.problems)
        tail = [f"... and {rest} more"] if rest else []
        return "\n".join([f"Data not valid: {head} (rows count from 0)", *map(str, self.problems), *tail])


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


class ClockNotTrusted(StoreError):
    """This machine's clock and the database's differ by more than is allowed: what it would store would be misdated."""


class PromotionRefused(FivefoldError):
    """A promotion or rollback that the gate, or the operator's missing reason, forbids."""


class NotThere(FivefoldError):
    """Nothing of that name for this organisation; whether another one has it is not told."""


class ActionRefused(FivefoldError):
    """What is asked for is well formed, and a rule of the platform forbids it now: four eyes, a cap, a lock."""
