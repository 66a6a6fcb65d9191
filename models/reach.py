"""How far a customer's history reaches: one that was sent in part is scored as a newer customer's."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fivefold.domain.clock import DAY_US, day_text
from fivefold.features.histories import Histories

ENOUGH_DAYS = 365
"""With so many days sent a few per cent of the segments differ; docs/results.md has the table."""
GAP_DAYS = 30
"""A first transaction may come so long after the account was opened without anything missing."""


@dataclass(frozen=True)
class Reach:
    """From when to when a history reaches, microseconds.

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
        """Tell whether rows are probably missing that would change the score."""
        return self.days < ENOUGH_DAYS and self.missing_days > GAP_DAYS

    def __str__(self) -> str:
        """Write it for people.

        >>> print(Reach(10 * DAY_US, 0, 20 * DAY_US))
        10 days of history, from 10 days after the account was created
        """
        said = f"{self.days:,} days of history, from {self.missing_days:,} days after the account was created"
        return (
            f"{said}: with less than {ENOUGH_DAYS} days sent, an old customer is scored as a new one" * self.short
            or said
        )

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "from": day_text(self.first),
            "user_created": day_text(self.created),
            "days": self.days,
            "days_before_it": self.missing_days,
            "short": self.short,
        }


def reaches(histories: Histories, as_of: int) -> list[Reach]:
    """Tell of every customer, each with at least one row."""
    starts = histories.offsets[:-1]
    created = np.minimum.reduceat(histories.created, starts)
    return [Reach(*pair, as_of) for pair in zip(histories.time[starts].tolist(), created.tolist(), strict=True)]
