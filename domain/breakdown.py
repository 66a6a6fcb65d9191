"""Breakdown: the form of an explanation of a number, the same for value and for risk."""

from dataclasses import dataclass
from math import fsum

from fivefold.domain.segments import score_text
from fivefold.domain.text import apart_from, html_table


@dataclass(frozen=True)
class Contribution:
    """The effect of one input on the total.

    Attributes:
        name: the indicator or rule.
        family: the group it is counted under.
        value: the input's value; None if it is undefined.
        unit: the unit of *value*.
        points: what the input adds to the total; negative if it lowers the total.
        sentence: the same in plain words; it may end with the size of the effect, to three decimals.
        label: a short label for pictures; empty to use the name.
        seen: the value with its unit, for people; empty to write it from *value*.
    """

    name: str
    family: str
    value: float | str | None
    unit: str
    points: float
    sentence: str
    label: str = ""
    seen: str = ""

    @property
    def words(self) -> str:
        """The sentence for people: an effect that would read as 0.000 has more decimals.

        >>> Contribution("gap_mean", "rhythm", 2.0, "days", -0.0004, "2 days; lowers the score by 0.000.").words
        '2 days; lowers the score by 0.0004.'
        """
        size = abs(self.points)
        before = self.sentence.removesuffix(f" {size:.3f}.")
        return self.sentence if before == self.sentence else f"{before} {apart_from(size, 0, 3)}."


@dataclass(frozen=True)
class TotalInterval:
    """The interval in which the total of a breakdown is expected to lie, at a level.

    Attributes:
        low: the lower bound, in the points of the total.
        high: the upper bound; None if unknown.
        level_percent: how many of a hundred such intervals contain the actual total.
    """

    low: float
    high: float | None
    level_percent: int


@dataclass(frozen=True)
class Breakdown:
    """A total that is exactly the sum of a base and its contributions.

    `cut_points` lie between the segments of a score: the total is never rounded across one.

    >>> part = Contribution("deposit_sum_90d", "volume", 120.0, "EUR", 0.5, "Deposits of the last 90 days")
    >>> Breakdown(base=3.0, contributions=(part,)).total
    3.5
    """

    base: float
    contributions: tuple[Contribution, ...]
    cut_points: tuple[float, ...] = ()

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
        """Sort the contributions by absolute effect, largest first."""
        return tuple(sorted(self.contributions, key=lambda part: (-abs(part.points), part.name)))

    def _repr_html_(self) -> str:
        """Show it in a notebook: the total, then every contribution, largest first."""
        rows = [
            [part.label or part.name, part.family, part.seen or _value(part), f"{part.points:+.4g}"]
            for part in self.largest_first()
        ]
        total, base = f"{self.total:.4g}", f"{self.base:.4g}"
        if self.cut_points:
            total, base = score_text(self.total, self.cut_points), f"{self.base:.2f}"
        caption = f"{total} = {base} and {len(rows)} contribution{'' if len(rows) == 1 else 's'}"
        return html_table(caption, ["what", "family", "value", "points"], rows)


def _value(part: Contribution) -> str:
    value = f"{part.value:.6g}" if isinstance(part.value, float) else part.value
    return "unknown" if value is None else f"{value} {part.unit}".strip()
