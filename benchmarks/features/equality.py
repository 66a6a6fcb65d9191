"""Whether two engines gave the same indicators; a benchmark of different answers would compare nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

RELATIVE = 1e-9
ABSOLUTE = 1e-6
"""How far a value may be from the kernel's: engines add up in other orders."""


@dataclass(frozen=True)
class Difference:
    """The value furthest from the kernel's, against what is tolerated.

    Attributes:
        indicator: its column.
        kernel: the kernel's value.
        other: the engine's.
        share: of the tolerance; above 1 is a mismatch.
    """

    indicator: str
    kernel: float
    other: float
    share: float

    def __str__(self) -> str:
        """Write it for people."""
        return (
            f"{abs(self.kernel - self.other):.1e} at {self.indicator} {self.kernel:.6g}, {self.share:.0%} of tolerance"
        )


def largest_difference(kernel: Path, other: Path) -> Difference:
    """Compare two samples; no value (null) and NaN are the same.

    Raises:
        AssertionError: the engines differ in customers, columns, or a value beyond the tolerance.
    """
    expected, other_values = pl.read_parquet(kernel), pl.read_parquet(other)
    assert expected["user_id"].equals(other_values["user_id"].cast(pl.String)), "other customers than the kernel's"
    worst = Difference("", 0.0, 0.0, -1.0)
    for name in expected.columns[1:]:
        one, two = (frame[name].fill_null(float("nan")).to_numpy() for frame in (expected, other_values))
        undefined = np.isnan(one) & np.isnan(two)
        share = np.where(undefined, 0.0, np.abs(one - two) / (ABSOLUTE + RELATIVE * np.abs(one)))
        at = int(np.argmax(np.nan_to_num(share, nan=np.inf)))
        if not share[at] <= worst.share:
            worst = Difference(name, float(one[at]), float(two[at]), float(share[at]))
        assert share[at] <= 1.0, f"{name} differs: {worst}"
    return worst
