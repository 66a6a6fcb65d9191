"""Breakdown: the one form in which a number explains itself, for value and for risk alike."""

from dataclasses import dataclass
from math import fsum


@dataclass(frozen=True)
class Contribution:
    """What one input did to the total.

    Attributes:
        name: the indicator or rule.
        family: the group it is counted under.
        value: what was seen; None where it is undefined.
        unit: the unit of *value*.
        points: what it added to the total; negative where it took away.
        sentence: the same in plain words.
        label: a few words for a picture; the name where it is empty.
        seen: the value with its unit as people read it; written from *value* where it is empty.
    """

    name: str
    family: str
    value: float | str | None
    unit: str
    points: float
    sentence: str
    label: str = ""
    seen: str = ""


@dataclass(frozen=True)
class Breakdown:
    """A total that is exactly a base plus its contributions.

    >>> part = Contribution("deposit_sum_90d", "volume", 120.0, "EUR", 0.5, "Deposits of the last 90 days")
    >>> Breakdown(base=3.0, contributions=(part,)).total
    3.5
    """

    base: float
    contributions: tuple[Contribution, ...]

    @property
    def total(self) -> float:
        """The base plus all contributions."""
        return fsum((self.base, *(part.points for part in self.contributions)))

    def families(self) -> dict[str, float]:
        """Sum the points by family, largest effect first."""
        names = dict.fromkeys(part.family for part in self.contributions)
        sums = {name: fsum(part.points for part in self.contributions if part.family == name) for name in names}
        return dict(sorted(sums.items(), key=lambda item: -abs(item[1])))

    def largest_first(self) -> tuple[Contribution, ...]:
        """Order the contributions by the size of their effect, whatever its sign."""
        return tuple(sorted(self.contributions, key=lambda part: (-abs(part.points), part.name)))
