"""Windows: counts of customers and rows for every as-of date, and the windows that are too thin to learn from."""

from dataclasses import dataclass

import numpy as np

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.text import count_text
from fivefold.features import schema as c
from fivefold.features.histories import Histories, Integers
from fivefold.training.config import CheckSettings
from fivefold.training.dates import Dates
from fivefold.training.quality import Quality, list_text, unusual_gaps

WARN_SHARE = 0.25
"""A window with fewer rows than this share of the usual is worth a warning."""

HARDLY_SHARE = 0.05
"""Training windows below this share of the usual are named: from them the model would learn that customers stop."""

USUAL_WINDOWS = 4
"""The usual is the median of so many windows, the latest before. A shop whose start was busy has slowed since then."""


@dataclass(frozen=True)
class Windows:
    """Counts for every training date, and for the test as-of last.

    Attributes:
        as_of: k moments, microseconds.
        horizon_days: length of the windows after them.
        known_customers: those with a row that the indicators see.
        rows: in the window after the moment.
        active: customers of those known who have a settled one: what a pending or failed one, or a new customer does
            says nothing of a prediction.
    """

    as_of: Integers
    horizon_days: int
    known_customers: Integers
    rows: Integers
    active: Integers

    @classmethod
    def empty(cls, dates: Dates) -> "Windows":
        """Give windows with counts of 0."""
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
        """Name a window by its days."""
        ends = int(self.as_of[number]) + self.horizon_days * DAY_US
        return f"{day_text(int(self.as_of[number]))} to {day_text(ends)}"

    def refusals_and_warnings(
        self, checks: CheckSettings, quality: Quality, option: str = "test_as_of:"
    ) -> tuple[list[str], list[str]]:
        """Give the reasons to refuse the windows, and the warnings.

        *option* is the option or setting by which an operator gives another test as-of.
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


def lacking_rows(quality: Quality, start: int, horizon_days: int) -> str:
    """Say that rows seem to lack in the window after a moment (microseconds); empty where enough are there.

    There are few rows, measured as in a test window, or none for a time that is much longer than usual.
    """
    if not quality.days:
        return ""
    first = start // DAY_US
    gaps = [gap.text for gap in unusual_gaps(quality.days) if first < gap.last and gap.first <= first + horizon_days]
    if gaps:
        return f"of the {horizon_days} days after {day_text(start)} the data lack rows {list_text(gaps)}"
    usual = _UsualRows.before(start, quality, horizon_days)
    rows = sum(count for day, count in quality.days.items() if first < day <= first + horizon_days)
    if rows >= WARN_SHARE * usual.rows:
        return ""
    return f"the {horizon_days} days after {day_text(start)} have {count_text(rows, 'row')}, and {usual.text}"


@dataclass(frozen=True)
class _UsualRows:
    """How many rows a window usually has, by those before a moment.

    Attributes:
        rows: the median of the latest of them, of which those with hardly a row are left out: a wrong date may be years
            after the others. Where no whole window came before it is the busiest one of all.
        ended: the last day (from 1970) that ends a window of a usual size.
        text: says what is usual, for people.
    """

    rows: int
    ended: int
    text: str

    @classmethod
    def before(cls, start: int, quality: Quality, horizon_days: int) -> "_UsualRows":
        """Give what is usual before a moment (microseconds)."""
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
