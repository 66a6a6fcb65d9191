"""Every error that fivefold raises on purpose, in one tree.

FivefoldError                     any error below; its text is meant for a person
├── InvalidDataError              invalid rows, each named
├── FileFormatError               a file whose rows are not grouped by customer, or that is too large to sort
├── InvalidRulesetError           an invalid ruleset, with each finding
├── ConfigError                   an invalid setting or configuration file
├── NotEnoughDataError            valid data, but too few to learn from
├── ModelError                    a model that cannot be loaded or used here
│   ├── FingerprintMismatchError  the model was trained on other indicators
│   ├── ModelNotFoundError        the registry has no such version
│   ├── OwnIndicatorError         an operator's own indicator cannot be computed for a customer
│   └── RegistryError             the registry named by the settings does not answer
├── StoreError                    the database cannot be reached, or has an unknown schema
│   ├── LockedError               another transaction held what is needed for too long, so nothing was done
│   ├── UnknownOutcomeError       the connection was lost during a write, which may have been committed
│   └── UntrustedClockError       this machine's clock and the database's differ too much
├── PromotionRefusedError         the gate refuses a promotion, or the operator gave no reason
├── IdentityError                 an identity provider's answer does not show who a person is, or that they are a member
├── IdentityProviderError         an identity provider does not answer, or violates OpenID Connect
├── NotFoundError                 this organisation has nothing of that name
└── ConflictError                 a valid request that a rule of the platform forbids now
    └── UnderWayError             the same request has no answer yet
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, Self

PROBLEMS_LISTED = 100
"""How many bad rows an error lists by name; all of them are counted."""


class FivefoldError(Exception):
    """An error that fivefold raises on purpose; the message says what is wrong, where, and what would be right."""


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


class ProblemKind(NamedTuple):
    """The parts that problems share when only their rows and values differ.

    Attributes:
        field: the field they are about.
        problem: what is wrong; if the problem names a value, the text before the value.
        rest: the text after the value.
        allowed: what would be right.
    """

    field: str
    problem: str
    rest: str
    allowed: str


_LEADING_VALUE = re.compile(
    r"is (?P<value>'.*?'|'.*\.\.\.|\".*?\"|\".*\.\.\.|-?(?:\d[\w.+-]*|nan|inf)|[\w.]+\(.*\))(?P<rest>:.*|)", re.DOTALL
)


def problem_kind(problem: Problem) -> tuple[ProblemKind, str]:
    """Return the kind of a problem and the value that it names; the value is empty if it names none.

    >>> problem_kind(Problem(3, "user_balance", "is '1,5'", "a number"))
    (ProblemKind(field='user_balance', problem='is ', rest='', allowed='a number'), "'1,5'")
    """
    match = _LEADING_VALUE.fullmatch(problem.problem)
    if match is None:
        return ProblemKind(problem.field, problem.problem, "", problem.allowed), ""
    return ProblemKind(problem.field, "is ", match["rest"], problem.allowed), match["value"]


class InvalidDataError(FivefoldError):
    """Invalid rows.

    Attributes:
        problems: the first hundred, in row order (rows count from 0).
        every: all collected problems, in row order.
        count: the number of problems.
        source: the file that was read, if any; the message then numbers rows as people count them.
        beyond: the number of problems of each kind that were counted but not collected.
    """

    def __init__(
        self,
        problems: list[Problem],
        count: int | None = None,
        source: str = "",
        beyond: Mapping[ProblemKind, int] | None = None,
    ) -> None:
        """Keep the *problems*, in row order, and their *count*."""
        self.every = tuple(sorted(problems, key=lambda problem: problem.row))
        self.problems = self.every[:PROBLEMS_LISTED]
        self.count = len(problems) if count is None else count
        self.source = source
        self.beyond = dict(beyond or {})
        super().__init__(self._message())

    def _message(self) -> str:
        """Write the count, and the problems by kind."""
        where = f" in {self.source}" if self.source else ""
        head = f"{self.count} {'problem' if self.count == 1 else 'problems'}{where}"
        first = first_row_of(self.source)
        lines = problem_lines([replace(one, row=one.row + first) for one in self.every], self.beyond)
        rest = self.count - len(self.every) - sum(self.beyond.values())
        tail = [f"... and {rest} more"] if rest else []
        return "\n".join([f"Data not valid: {head} ({_NUMBERING[first]})", *lines, *tail])


_NUMBERING = {0: "rows count from 0", 1: "rows count from 1", 2: "the header is row 1"}
ROWS_NAMED = 3
"""How many rows a line names for problems of one kind."""
VALUES_NAMED = 3
"""How many values a line names."""


def first_row_of(source: str) -> int:
    """Return the number of a source's first row as people count: a spreadsheet's header is row 1.

    >>> first_row_of("rows.csv"), first_row_of("rows.parquet"), first_row_of("")
    (2, 1, 0)
    """
    if not source:
        return 0
    return 2 if source.lower().removesuffix(".gz").endswith(".csv") else 1


def problem_lines(problems: Sequence[Problem], beyond: Mapping[ProblemKind, int] | None = None) -> list[str]:
    """Write problems, one line for each kind: only the rows or values differ within a kind.

    *beyond* is the number of further problems of a kind that are not in *problems*.

    >>> print(*problem_lines([Problem(row, "a", f"is 'x{row}'", "a number") for row in range(2, 9)]))
    rows 2, 3, 4 and 4 more: a is 'x2', 'x3', 'x4' and others; allowed: a number
    """
    by_kind: dict[ProblemKind, _Alike] = {}
    for one in problems:
        kind, value = problem_kind(one)
        by_kind.setdefault(kind, _Alike()).add(one.row, value)
    lines = [alike.line(kind, (beyond or {}).get(kind, 0)) for kind, alike in by_kind.items()]
    if len(lines) > PROBLEMS_LISTED:
        lines[PROBLEMS_LISTED:] = [f"... and {len(lines) - PROBLEMS_LISTED:,} kinds of problems more"]
    return lines


class _Alike:
    """Problems of one kind: their first rows and values, and their number."""

    def __init__(self) -> None:
        self._count = 0
        self._rows: list[int] = []
        self._values: dict[str, None] = {}

    def add(self, row: int, value: str) -> None:
        self._count += 1
        if len(self._rows) < ROWS_NAMED:
            self._rows.append(row)
        if len(self._values) <= VALUES_NAMED:
            self._values[value] = None

    def line(self, kind: ProblemKind, beyond: int) -> str:
        count = self._count + beyond
        rest = count - len(self._rows)
        rows = ", ".join(map(str, self._rows)) + (f" and {rest:,} more" if rest else "")
        values = [*self._values]
        first_values = ", ".join(values[:VALUES_NAMED]) + (" and others" if len(values) > VALUES_NAMED else "")
        where, problem = "row" if count == 1 else "rows", f"{kind.problem}{first_values}{kind.rest}"
        return f"{where} {rows}: {kind.field} {problem}; allowed: {kind.allowed}{_local_form(values, kind.allowed)}"


_DECIMAL_COMMA = re.compile(r"'[-+]?(\d+|\d{1,3}([. ]\d{3})+),\d+'")
_THOUSANDS = re.compile(r"'[-+]?\d{1,3}(,\d{3})+(\.\d+)?'")
_DAY_FIRST = re.compile(r"'\d{1,2}([./])\d{1,2}\1\d{4}(\D.*)?'|'\d{1,2}([./])\d{1,2}\3\d{4}.*\.\.\.'")
_WHOLE_WITH_POINT = re.compile(r"[-+]?\d+\.0")
_SINCE_1970 = re.compile(r"'?(?P<seconds>\d{10})(?P<parts>\d{3}|\d{6}|\d{9})?(\.\d+)?'?")
"""A moment since 1970-01-01, from 2001 to 2286: seconds, and the thousandths, millionths or billionths of one."""
_UNITS = {0: "seconds", 3: "milliseconds", 6: "microseconds", 9: "nanoseconds"}
_CALENDAR = re.compile(r"'?(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])(\.\d+)?'?")
"""A date and an hour without separators: seconds from 2030 on may look the same."""


def _local_form(values: Sequence[str], allowed: str) -> str:
    """Return a hint at a local form of numbers or dates that cannot be read, if every value has it; else empty."""
    if "number" in allowed and all(map(_DECIMAL_COMMA.fullmatch, values)):
        return "; these have a decimal comma, which must be a point"
    if "number" in allowed and all(map(_THOUSANDS.fullmatch, values)):
        return "; these have commas between thousands, which must be left out"
    if "ISO 8601" in allowed and all(map(_DAY_FIRST.fullmatch, values)):
        return "; these have the year last, which must be first: 2024-06-30"
    if allowed.startswith("text") and all(map(_WHOLE_WITH_POINT.fullmatch, values)):
        return (
            "; these have a decimal point, as pandas writes whole numbers where one is missing; make them whole "
            "numbers or text"
        )
    return hint_of_1970(values) if "ISO 8601" in allowed else ""


def hint_of_1970(values: Sequence[str]) -> str:
    """Return a hint that values are moments since 1970 in one unit, if all are and not all read as calendar dates.

    >>> hint_of_1970(["1719748800"]), hint_of_1970(["2024063012"])
    ('; these seem to be seconds since 1970-01-01, which must be dates: the first is 2024-06-30T12:00:00Z', '')
    """
    matches = [match for value in values if (match := _SINCE_1970.fullmatch(value))]
    units = {len(match["parts"] or "") for match in matches}
    if len(matches) < len(values) or len(units) != 1 or all(map(_CALENDAR.fullmatch, values)):
        return ""
    date_text = f"{datetime.fromtimestamp(int(matches[0]['seconds']), UTC):%Y-%m-%dT%H:%M:%SZ}"
    unit = _UNITS[units.pop()]
    return f"; these seem to be {unit} since 1970-01-01, which must be dates: the first is {date_text}"


class FileFormatError(FivefoldError):
    """A file whose rows are not grouped by customer where that is needed, or that is too large to sort."""


@dataclass(frozen=True)
class Finding:
    """An error or a warning about a ruleset.

    Attributes:
        where: the rule and case, or the part, as a person would look for it.
        problem: what is wrong, and what would be right.
        line: the line in the file, from 1; None if unknown.
        fatal: whether the ruleset cannot be used; otherwise it is a warning.
        column: the column in the line, from 1; None if unknown. Equality ignores it.
        problems: the number of problems that it represents; more than 1 if it only counts unlisted ones.

    >>> print(Finding("rule cash-out", "has no written rationale", 12, fatal=False))
    line 12: rule cash-out: has no written rationale
    """

    where: str
    problem: str
    line: int | None = None
    fatal: bool = True
    column: int | None = field(default=None, compare=False)
    problems: int = field(default=1, compare=False)

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.where}: {self.problem}"


class InvalidRulesetError(FivefoldError):
    """A ruleset, list or example that cannot be used.

    Attributes:
        findings: what is wrong, in the order of the file.
        source: the text that they are about, with which the message begins.
    """

    def __init__(self, findings: list[Finding], source: str = "the ruleset") -> None:
        """Keep the *findings*; the message has a line for each."""
        self.findings = tuple(findings)
        self.source = source
        super().__init__("\n".join([f"{source} is not valid:", *map(str, findings)]))


class ConfigError(FivefoldError):
    """A setting or a configuration file that cannot be used."""


class NotEnoughDataError(FivefoldError):
    """Valid data, but too few to learn from."""


class ModelError(FivefoldError):
    """A model that cannot be loaded or used here."""


class FingerprintMismatchError(ModelError):
    """A model that was trained on other indicators than this program computes."""


class ModelNotFoundError(ModelError):
    """The registry has no such model, version or alias."""


class OwnIndicatorError(ModelError):
    """An operator's own indicator cannot be computed for a customer's history; for others it may work.

    Attributes:
        user_id: the customer; empty if a worker of an engine sent only the text.
        fault: the file, the indicator and the problem with its value, without any data of the customer; empty likewise.
    """

    user_id = fault = ""

    @classmethod
    def of_customer(cls, user_id: str, indicator: str, problem: str, words: str = "") -> Self:
        """Create the error; *indicator* names its file too. `fault` leaves out *words*, which may quote the history."""
        error = cls(f"{indicator} of the customer {user_id!r} {problem}{words}")
        error.user_id, error.fault = user_id, f"{indicator} {problem}"
        return error


class RegistryError(ModelError):
    """The registry that the settings name cannot be reached."""


class StoreError(FivefoldError):
    """A database that cannot be reached, or whose schema this program does not know."""


class LockedError(StoreError):
    """Another transaction held what is needed for longer than the limit; nothing was done."""


class UnknownOutcomeError(StoreError):
    """The connection to the database was lost during a write; the write may or may not have been committed."""


class UntrustedClockError(StoreError):
    """This machine's clock and the database's differ by more than is allowed; times that it stores would be wrong."""


class PromotionRefusedError(FivefoldError):
    """A promotion or rollback that the gate refuses, or for which the operator gave no reason."""


class WhyNoIdentity(StrEnum):
    """The reason why an identity provider's answer signed no one in, as logged. It names no person."""

    NO_ATTEMPT = "no such attempt"
    OTHER_ATTEMPT = "another attempt"
    REFUSED = "refused by the provider"
    NOT_VALID = "identity token not valid"
    BAD_SIGNATURE = "wrong signature"
    LACKS_CLAIM = "claim missing"
    WRONG_ISSUER = "wrong issuer"
    WRONG_AUDIENCE = "wrong audience"
    WRONG_NONCE = "wrong nonce"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "issued in the future"
    BAD_NAME = "name not valid"
    UNVERIFIED_ADDRESS = "unverified address"
    NO_ORGANISATION = "no such organisation"
    NO_MEMBER = "not a member"
    OTHER_MEMBER = "account of another member"
    OTHER_ACCOUNT = "member of another account"
    NOT_VOUCHED_FOR = "member of one administrator alone"


class IdentityError(FivefoldError):
    """An identity provider's answer does not show who a person is, or that they are a member.

    Attributes:
        why: the reason for the log, which never shows the message.
    """

    def __init__(self, message: str, why: WhyNoIdentity = WhyNoIdentity.NOT_VALID) -> None:
        """Create the error from a *message* for the person, and a fixed reason for the log."""
        super().__init__(message)
        self.why = why


class IdentityProviderError(FivefoldError):
    """The identity provider does not answer, or violates OpenID Connect."""


class NotFoundError(FivefoldError):
    """This organisation has nothing of that name; the message does not reveal whether another organisation has it."""


class ConflictError(FivefoldError):
    """A valid request that a rule of the platform forbids now: four eyes, a cap, a lock."""


class UnderWayError(ConflictError):
    """The same request is still being carried out; its answer comes soon."""


HTTP_STATUS: tuple[tuple[type[FivefoldError], int], ...] = (
    (IdentityError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (PromotionRefusedError, 409),
    (NotEnoughDataError, 409),
    (InvalidDataError, 422),
    (InvalidRulesetError, 422),
    (FileFormatError, 422),
    (ConfigError, 422),
    (UnknownOutcomeError, 504),
    (StoreError, 503),
    (IdentityProviderError, 503),
)


def http_status(error: FivefoldError) -> int | None:
    """Return the HTTP status of an error; None for an internal error, for which only the place is logged.

    >>> http_status(NotFoundError("there is no such entity")), http_status(FivefoldError("a fault of our own"))
    (404, None)
    """
    return next((status for kind, status in HTTP_STATUS if isinstance(error, kind)), None)
