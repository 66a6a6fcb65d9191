"""How far back a customer's history reaches: a customer whose history is incomplete is scored as a newer one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.text import count_text
from fivefold.features.histories import Histories

ENOUGH_DAYS = 365
"""With so many days a few per cent of the segments differ from those of whole histories; see docs/results.md."""
GAP_DAYS = 30
"""So many days may lie between the opening of an account and its first transaction though no row is missing."""


@dataclass(frozen=True)
class HistoryReach:
    """The time that a history covers, microseconds.

    Attributes:
        first: its first row.
        created: when the account was created, as its rows say.
        as_of: the moment of the score.
    """

    first: int
    created: int
    as_of: int

    @property
    def days(self) -> int:
        """Whole days from the first row to the as-of."""
        return (self.as_of - self.first) // DAY_US

    @property
    def missing_days(self) -> int:
        """Whole days from the creation of the account to the first row; 0 where the first row came before."""
        return max(0, (self.first - self.created) // DAY_US)

    @property
    def short(self) -> bool:
        """Whether rows are probably missing that would change the score."""
        return self.days < ENOUGH_DAYS and self.missing_days > GAP_DAYS

    def __str__(self) -> str:
        """Write it for people.

        >>> print(HistoryReach(10 * DAY_US, 0, 20 * DAY_US))
        10 days of history, from 10 days after the account was created
        >>> print(HistoryReach(DAY_US, 0, 2 * DAY_US))
        1 day of history, from 1 day after the account was created
        """
        days, missing = count_text(self.days, "day"), count_text(self.missing_days, "day")
        text = f"{days} of history, from {missing} after the account was created"
        if self.short:
            text += f": with less than {ENOUGH_DAYS} days sent, an old customer is scored as a new one"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return {
            "from": day_text(self.first),
            "user_created": day_text(self.created),
            "days": self.days,
            "days_before_it": self.missing_days,
            "short": self.short,
        }


def history_reaches(histories: Histories, as_of: int) -> list[HistoryReach]:
    """Give the reach of every customer; each must have at least one row."""
    starts = histories.offsets[:-1]
    created = np.minimum.reduceat(histories.created, starts)
    return [HistoryReach(*pair, as_of) for pair in zip(histories.time[starts].tolist(), created.tolist(), strict=True)]
