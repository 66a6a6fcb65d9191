"""Windows and quality: counts for every as-of date, and the warnings and refusals before anything is learnt."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.money import RateTable
from fivefold.domain.text import count_text, percent
from fivefold.features import schema as c
from fivefold.features.histories import AmountChecks, Histories, Integers, Stateless, ties
from fivefold.features.schema import BALANCE, DEPOSIT, FAILED_ROW, NOTHING, PENDING_ROW, STATE, WITHDRAWAL
from fivefold.models.reach import SimilarNames, other_unit_text, repeats_text, stateless_text, unordered_text
from fivefold.training.config import CheckSettings
from fivefold.training.dates import Dates

if TYPE_CHECKING:
    from fivefold.models.registry import RegisteredVersion  # which imports MLflow


WARN_UNSETTLED_SHARE = 0.5
WARN_CUSTOMER_SHARE = 0.2
LOST_STATES_SHARE = 0.01
"""With fewer rows without a state than this share, data have nearly all states."""
GAP_TIMES_USUAL = 3
"""A gap without rows is unusual if it is longer than this many times the 99th percentile of all gaps."""
LEAST_DAYS_WITH_ROWS = 30
"""With rows on fewer days, the usual gap is unknown."""
LISTED = 3
"""Number of words of a list that are written out."""
_KINDS = {
    DEPOSIT: "deposits",
    WITHDRAWAL: "withdrawals",
    NOTHING: "amounts of 0",
    PENDING_ROW: "pending",
    FAILED_ROW: "failed",
}


@dataclass(kw_only=True)
class Quality:
    """Counts of a source, added up batch by batch.

    Attributes:
        rows: number of rows.
        kinds: settled deposits and withdrawals, amounts of 0, pending and failed rows.
        currencies: rows by currency code.
        days: rows by day, counted from 1970-01-01.
        repeated: rows without a transaction_id that are equal in every column to another such row of their customer;
            repeats of rows that have one were removed.
        unordered: customers with rows without a transaction_id that have different balances at one moment.
        removed: repeats of rows with a transaction_id, which are in no other count.
        balances: rows whose balance is not 0.
        created_late: customers whose account was created more than a day after their first row.
        most_rows: the most rows of any one customer.
        stateless: rows without a state, where the source has the column.
        names: the identifiers of the customers.
        amount_checks: checks of the amounts of the rows.
    """

    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    currencies: Counter[str] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)
    repeated: int = 0
    unordered: int = 0
    removed: int = 0
    balances: int = 0
    created_late: int = 0
    most_rows: int = 0
    stateless: Stateless = field(default_factory=Stateless)
    names: SimilarNames = field(default_factory=SimilarNames, compare=False)
    amount_checks: AmountChecks = field(default_factory=AmountChecks)

    def add(self, part: Histories, codes: tuple[str, ...]) -> None:
        """Count one batch; *codes* are the currencies in the order of their positions."""
        if not part.rows:
            return
        self.rows += part.rows
        self.names.add(pl.Series(part.user_ids))
        for kind, count in zip(*np.unique(part.kind, return_counts=True), strict=True):
            self.kinds[_KINDS[int(kind)]] += int(count)
        for position, count in zip(*np.unique(part.currency, return_counts=True), strict=True):
            self.currencies[codes[position]] += int(count)
        for day, count in zip(*np.unique(part.time // DAY_US, return_counts=True), strict=True):
            self.days[int(day)] += int(count)
        of_ties = ties(part)
        self.repeated += of_ties.repeated
        self.unordered += of_ties.unordered
        self.removed += part.repeats
        self.stateless = Stateless.joined((self.stateless, part.stateless))
        self.amount_checks = AmountChecks.joined((self.amount_checks, part.amount_checks))
        self.balances += int(np.count_nonzero(part.balance))
        filled = np.diff(part.offsets) > 0
        firsts = part.offsets[:-1][filled]
        created = np.maximum.reduceat(part.created, firsts)
        self.created_late += int((created > part.time[firsts] + DAY_US).sum())
        self.most_rows = max(self.most_rows, int(np.diff(part.offsets).max()))

    def include(self, other: "Quality") -> None:
        """Add the counts of other customers."""
        for counts in ("kinds", "currencies", "days"):
            getattr(self, counts).update(getattr(other, counts))
        for count in ("rows", "repeated", "unordered", "removed", "balances", "created_late"):
            setattr(self, count, getattr(self, count) + getattr(other, count))
        self.most_rows = max(self.most_rows, other.most_rows)
        self.stateless = Stateless.joined((self.stateless, other.stateless))
        self.names.include(other.names)
        self.amount_checks = AmountChecks.joined((self.amount_checks, other.amount_checks))

    @property
    def stateless_share(self) -> float:
        """The share of the rows without a state, where the source has the column."""
        return self.stateless.rows / self.rows if self.rows else 0.0

    def lost_states_text(self, version: "RegisteredVersion", start: int, horizon_days: int) -> str:
        """Describe the missing states if they are too many to judge a version that learnt from nearly all; else empty.

        They are counted in all rows, and in those of the value window after *start* (microseconds).
        """
        learnt_share = version.stateless_share
        if STATE in version.absent or learnt_share is None or learnt_share >= LOST_STATES_SHARE:
            return ""
        if self.stateless_share >= LOST_STATES_SHARE:
            return stateless_text(self.stateless, self.rows)
        window = range(start // DAY_US, start // DAY_US + horizon_days + 1)
        rows = sum(self.days[day] for day in window)
        lost = Stateless({day: count for day, count in self.stateless.days.items() if day in window})
        if lost.rows < LOST_STATES_SHARE * rows or not lost.rows:
            return ""
        return f"in the {horizon_days} days after {day_text(start)} {stateless_text(lost, rows)}"

    def has_too_many_repeats(self, checks: CheckSettings) -> bool:
        """Check whether too many rows are repeated to learn from the data or to judge by them."""
        return self.repeated > checks.most_repeated_share * self.rows

    def refusals_and_warnings(
        self, checks: CheckSettings, rates: RateTable, absent: tuple[str, ...] = ()
    ) -> tuple[list[str], list[str]]:
        """Return the reasons to refuse the data, and the warnings, also of *rates*; *absent* columns are left out."""
        refusals: list[str] = []
        warnings: list[str] = []
        if text := repeats_text(self.repeated, self.rows, least_share=0):
            if self.has_too_many_repeats(checks):
                refusals.append(f"{text}: remove the repeats, add transaction_id, or raise checks.most_repeated_share")
            else:
                warnings.append(text)
        texts = (
            other_unit_text(self.amount_checks),
            unordered_text(self.unordered),
            stateless_text(self.stateless, self.rows),
            self.names.text,
        )
        warnings += [text for text in texts if text]
        unsettled = self.kinds["pending"] + self.kinds["failed"]
        if unsettled > WARN_UNSETTLED_SHARE * self.rows:
            warnings.append(f"{percent(unsettled / self.rows)} of the rows are pending or failed, and move no money")
        if not self.balances and BALANCE not in absent:
            warnings.append("every balance is 0: indicators of balances say nothing")
        if self.created_late:
            warnings.append(
                count_text(self.created_late, "customer has", "customers have")
                + " user_created more than a day after the first row: the service would refuse them"
            )
        if self.most_rows > WARN_CUSTOMER_SHARE * self.rows:
            warnings.append(f"one customer has {percent(self.most_rows / self.rows)} of all rows")
        if rates.base not in self.currencies:
            codes = ", ".join(code for code, _ in self.currencies.most_common(3))
            warnings.append(f"no amount is in the base currency {rates.base}; the most frequent are {codes}")
        warnings += self._stale_warnings(rates)
        if gaps := [gap.text for gap in unusual_gaps(self.days)]:
            warnings.append(
                f"the data lack rows {list_text(gaps)}: if the export is not whole, customers only seem to have paused"
            )
        return refusals, warnings

    def stale(self, rates: RateTable) -> list[str]:
        """List the currencies of the rows, the most frequent first, whose rate is long before the day of a table."""
        stale = rates.stale()
        return [code for code, _ in self.currencies.most_common() if code in stale]

    def _stale_warnings(self, rates: RateTable) -> list[str]:
        """Warn of stale rates that money is converted at."""
        texts = [
            f"{code} (rate of {rates.known_on(code)}, {percent(self.currencies[code] / self.rows)} of the rows)"
            for code in self.stale(rates)
        ]
        if not texts:
            return []
        since = f"more than a year before {rates.as_known_on}, the day of the exchange rates"
        return [f"money is converted at a rate last known {since}: {list_text(texts)}"]


class RowGap(NamedTuple):
    """A gap without rows: its first and its last day, counted from 1970-01-01."""

    first: int
    last: int

    @property
    def text(self) -> str:
        """The days of the gap, for people."""
        days = count_text(self.last - self.first + 1, "day")
        return f"from {day_text(self.first * DAY_US)} to {day_text(self.last * DAY_US)} ({days})"


def unusual_gaps(rows_by_day: Mapping[int, int]) -> list[RowGap]:
    """List the gaps without rows that are much longer than usual, the longest first.

    Weekends and closed shops are usual if they are frequent. Chance alone hardly makes a gap of so many times the usual
    one, however few rows there are: gaps between independent rows are distributed exponentially.
    """
    days = np.array(sorted(rows_by_day), dtype=np.int64)
    if len(days) < LEAST_DAYS_WITH_ROWS:
        return []
    steps = np.diff(days)
    usual = np.sort(steps)[min(ceil(0.99 * len(steps)) - 1, len(steps) - 2)]
    gaps = [RowGap(int(days[at]) + 1, int(days[at + 1]) - 1) for at in np.flatnonzero(steps > GAP_TIMES_USUAL * usual)]
    return sorted(gaps, key=lambda gap: gap.first - gap.last)  # a text names few: not only those of a slow beginning


def list_text(words: Sequence[str]) -> str:
    """List the first words, and count the others."""
    rest = len(words) - LISTED
    return ", ".join(words[:LISTED]) + (f" and {rest} more" if rest > 0 else "")


WARN_SHARE = 0.25
"""A window with fewer rows than this share of the usual is worth a warning."""

HARDLY_SHARE = 0.05
"""Training windows below this share of the usual are named: from them the model would learn that customers stop."""

HOLES_SHARE = 0.25
"""With more of its days in unusual gaps, a test window shows an incomplete export, not what models predict."""

USUAL_WINDOWS = 4
"""The usual is the median of this many windows, the latest before. A shop whose start was busy has slowed since."""

_YEAR_DAYS = 365


@dataclass(frozen=True)
class Windows:
    """Counts for every training date, and for the test as-of last.

    Attributes:
        as_of: k moments, microseconds.
        horizon_days: length of the windows after them.
        known_customers: those with a row that the indicators see.
        rows: rows in the window after the moment.
        active: known customers with a settled row in the window: pending and failed rows, and new customers, do not
            test a prediction.
    """

    as_of: Integers
    horizon_days: int
    known_customers: Integers
    rows: Integers
    active: Integers

    @classmethod
    def empty(cls, dates: Dates) -> "Windows":
        """Make windows with counts of 0."""
        as_of = np.append(dates.training, dates.test)
        zeros = (np.zeros(len(as_of), dtype=np.int64) for _ in range(3))
        return cls(as_of, dates.horizon_days, *zeros)

    def add(self, part: Histories, lag_us: int) -> None:
        """Count one batch of whole customers, in place."""
        filled = np.diff(part.offsets) > 0
        starts = part.offsets[:-1][filled]
        if not len(starts):
            return
        is_settled = part.kind < c.PENDING_ROW
        for number, moment in enumerate(self.as_of.tolist()):
            is_known = part.time[starts] <= moment - lag_us
            within = (part.time > moment) & (part.time <= moment + self.horizon_days * DAY_US)
            self.known_customers[number] += int(is_known.sum())
            self.rows[number] += int(within.sum())
            self.active[number] += int((is_known & np.logical_or.reduceat(within & is_settled, starts)).sum())

    def include(self, other: "Windows") -> None:
        """Add the counts of other customers, in place."""
        for counts in ("known_customers", "rows", "active"):
            np.add(getattr(self, counts), getattr(other, counts), out=getattr(self, counts))

    def days_text(self, number: int) -> str:
        """Return the days of a window, for people."""
        ends = int(self.as_of[number]) + self.horizon_days * DAY_US
        return f"{day_text(int(self.as_of[number]))} to {day_text(ends)}"

    def refusals_and_warnings(
        self, checks: CheckSettings, quality: Quality, option: str = "test_as_of:"
    ) -> tuple[list[str], list[str]]:
        """Return the reasons to refuse the windows, and the warnings.

        *option* is the option or setting that sets another test as-of.
        """
        refusals: list[str] = []
        warnings: list[str] = []
        usual = _UsualRows.before(int(self.as_of[-1]), quality, self.horizon_days)
        customers, active, rows = (int(counts[-1]) for counts in (self.known_customers, self.active, self.rows))
        test = f"the test window {self.days_text(-1)}"
        if customers < checks.least_customers:
            refusals.append(
                f"the test as-of {day_text(int(self.as_of[-1]))} has {count_text(customers, 'known customer')}; "
                f"a percentile needs {checks.least_customers:,} (checks.least_customers)"
            )
        if active < checks.least_active:
            refusals.append(
                f"{test} has {count_text(active, 'known customer')} with a settled row; it needs "
                f"{checks.least_active:,} (checks.least_active)"
            )
        if rows < max(checks.thin_share, WARN_SHARE) * usual.rows:
            at = (usual.ended + 1 - self.horizon_days) * DAY_US
            text = (
                f"{test} has {count_text(rows, 'row')}, and {usual.text}: is the export whole? The bulk of the data "
                f"ends on {day_text(usual.ended * DAY_US)}: look for rows with a wrong date after it, or give {option} "
                f"{day_text(at)}"
            )
            (refusals if rows < checks.thin_share * usual.rows else warnings).append(text)
        thin = [
            self.days_text(number)
            for number in range(len(self.rows) - 1)
            if self.rows[number] < HARDLY_SHARE * usual.rows
        ]
        if thin and len(thin) < len(self.rows):
            windows = f"{len(thin)} of {count_text(len(self.rows) - 1, 'training window')}"
            warnings.append(f"hardly a row in {windows}: {list_text(thin)}")
        return refusals, warnings


def holes(quality: Quality, start: int, horizon_days: int) -> str:
    """Describe the gaps if too much of the window after a moment (microseconds) lacks rows to judge by it; else empty.

    Gaps that were there a year before too do not count: a business may close each August.
    """
    first = start // DAY_US
    gaps = [gap for gap in _gaps_within(quality, start, horizon_days) if not _comes_each_year(gap, quality.days)]
    days = sum(min(gap.last, first + horizon_days) - max(gap.first, first + 1) + 1 for gap in gaps)
    return _gaps_text(gaps, start, horizon_days) if days > HOLES_SHARE * horizon_days else ""


def _comes_each_year(gap: RowGap, rows_by_day: Mapping[int, int]) -> bool:
    """Check whether hardly any of these days had rows a year before either, compared with the usual share."""
    began, ended = min(rows_by_day), max(rows_by_day)
    year_before = range(gap.first - _YEAR_DAYS, gap.last - _YEAR_DAYS + 1)
    usual = len(year_before) * len(rows_by_day) / (ended - began + 1)
    return began < year_before.start and sum(day in rows_by_day for day in year_before) < WARN_SHARE * usual


def _gaps_within(quality: Quality, start: int, horizon_days: int) -> list[RowGap]:
    first = start // DAY_US
    return [gap for gap in unusual_gaps(quality.days) if first < gap.last and gap.first <= first + horizon_days]


def _gaps_text(gaps: Sequence[RowGap], start: int, horizon_days: int) -> str:
    lacking = list_text([gap.text for gap in gaps])
    return f"of the {horizon_days} days after {day_text(start)} the data lack rows {lacking}"


def lacking_rows(quality: Quality, start: int, horizon_days: int) -> str:
    """Describe the rows that seem to be missing in the window after a moment (microseconds); empty if it has enough.

    It has few rows, measured as in a test window, or a gap that is much longer than usual.
    """
    if not quality.days:
        return ""
    if gaps := _gaps_within(quality, start, horizon_days):
        return _gaps_text(gaps, start, horizon_days)
    first = start // DAY_US
    usual = _UsualRows.before(start, quality, horizon_days)
    rows = sum(count for day, count in quality.days.items() if first < day <= first + horizon_days)
    if rows >= WARN_SHARE * usual.rows:
        return ""
    return f"the {horizon_days} days after {day_text(start)} have {count_text(rows, 'row')}, and {usual.text}"


@dataclass(frozen=True)
class _UsualRows:
    """The usual number of rows of a window, by the windows before a moment.

    Attributes:
        rows: the median of the latest windows, without those with hardly a row: a wrong date may be years after the
            others. Without a whole window before, the rows of the busiest one of all.
        ended: the last day (from 1970) that ends a window of a usual size.
        text: the usual number in words, for people.
    """

    rows: int
    ended: int
    text: str

    @classmethod
    def before(cls, start: int, quality: Quality, horizon_days: int) -> "_UsualRows":
        """Compute the usual number before a moment (microseconds)."""
        days = np.array(sorted(quality.days), dtype=np.int64)
        cumulated = np.cumsum([0, *(quality.days[day] for day in days.tolist())])

        def rows_until(ends: Integers) -> Integers:
            first, last = (np.searchsorted(days, moments, side="right") for moments in (ends - horizon_days, ends))
            counted: Integers = cumulated[last] - cumulated[first]
            return counted

        first = start // DAY_US
        rows, before = rows_until(days), rows_until(np.arange(first, days[0] + horizon_days - 2, -horizon_days))
        busiest = int(rows.max())
        latest = before[before >= max(1, HARDLY_SHARE * before.max(initial=0))][:USUAL_WINDOWS]
        usual = int(np.median(latest)) if len(latest) else busiest
        text = (
            f"windows of {horizon_days} days before it, but for those with hardly a row, usually {usual:,}"
            if len(latest)
            else f"the busiest {horizon_days} days of the data {busiest:,}"
        )
        return cls(usual, int(days[np.flatnonzero(rows >= WARN_SHARE * usual)[-1]]), text)
