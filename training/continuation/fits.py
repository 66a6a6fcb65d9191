"""Trees that are kept by fit, under the digest of the rows and settings that they were fitted on."""

from collections.abc import Callable
from dataclasses import dataclass

import lightgbm

from fivefold.domain.parts import Parts
from fivefold.training.continuation.digests import digest_of


@dataclass(frozen=True)
class FitParts:
    """The fits on some rows that an interrupted run finished, and the place of those that are finished now.

    Attributes:
        parts: of the training; None where nothing is kept.
        rows: the digest of the rows.
    """

    parts: Parts | None = None
    rows: str = ""

    def among(self, *which: object) -> "FitParts":
        """Give the fits on some of the rows; *which* of them is said by anything that has a digest."""
        return self if self.parts is None else FitParts(self.parts, digest_of(self.rows, *which))

    def trees(self, settings: object, fit: Callable[[], lightgbm.Booster]) -> lightgbm.Booster:
        """Give the trees that are fitted by some settings; those that are kept have the same text and predictions."""
        if self.parts is None:
            return fit()
        name = f"trees-{digest_of(self.rows, settings)}"
        if (file := self.parts.find(name)) is not None:
            return lightgbm.Booster(model_str=file.read_text(encoding="utf-8"))
        booster = fit()
        self.parts.add(name, booster.model_to_string(num_iteration=-1).encode())
        return booster

    def rounds(self, settings: object, find: Callable[[], int]) -> int:
        """Give the number of rounds that is found for some settings."""
        if self.parts is None:
            return find()
        name = f"rounds-{digest_of(self.rows, settings)}"
        if (file := self.parts.find(name)) is not None:
            return int(file.read_text())
        rounds = find()
        self.parts.add(name, str(rounds).encode())
        return rounds
