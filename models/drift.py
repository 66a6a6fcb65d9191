"""The drift reference: the distributions of the indicators and the score in training, and the index of drift."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from fivefold.domain.text import apart_from
from fivefold.features.histories import Floats, Integers
from fivefold.features.reading.fast_columns import column_loops

BUCKETS = 10
"""Parts of about equally many reference customers; one more bucket, the first, holds undefined values."""
LEAST_CUSTOMERS = 500
"""With fewer customers the index measures chance rather than drift."""
STABLE, SHIFTED = 0.1, 0.25
"""Bounds of the index: below the first there is none, from the second on it must be investigated."""
_LEAST_SHARE = 1e-4
"""Stands in for an empty bucket, whose logarithm would be infinite."""
_BELOW_ZERO = float(np.nextafter(0.0, -1.0))
"""The upper edge of what is negative, where zero has a bucket of its own."""

SCORE = "score"


@dataclass(frozen=True)
class DriftReference:
    """Buckets of the reference portfolio, by column.

    Attributes:
        names: the indicators in order, then `score`.
        edges: len(names) x 9 upper edges, rising; infinite where a column has fewer distinct values.
        counts: len(names) x 11 reference customers in each bucket, undefined values first.
    """

    names: tuple[str, ...]
    edges: Floats
    counts: Integers

    @classmethod
    def of(cls, names: tuple[str, ...], matrix: Floats, scores: Floats) -> Self:
        """Cut every column of n x F indicators, and the n scores, at its tenths; frequent zeros get a bucket."""
        columns = np.column_stack([matrix, scores])
        edges = np.full((columns.shape[1], BUCKETS - 1), np.inf)
        for number in range(columns.shape[1]):
            values = columns[~np.isnan(columns[:, number]), number]
            if len(values):
                cuts = _cuts(values)
                edges[number, : len(cuts)] = cuts
        reference = cls((*names, SCORE), edges, np.zeros((len(edges), BUCKETS + 1), dtype=np.int64))
        reference.count(reference.counts, matrix, scores)
        return reference

    def count(self, counts: Integers, matrix: Floats, scores: Floats) -> None:
        """Add the buckets of n x F indicators and n scores to *counts*, in place; nothing else of them is kept."""
        shape = len(self.names), BUCKETS + 1
        if not shape == counts.shape == (matrix.shape[1] + 1, counts.shape[1]) or self.edges.shape != (
            shape[0],
            BUCKETS - 1,
        ):
            raise ValueError(
                f"the counts are {counts.shape} and the indicators {matrix.shape}; the reference is {shape}"
            )
        column_loops().count_buckets(np.ascontiguousarray(matrix), scores, self.edges, counts)

    @cached_property
    def medians(self) -> Mapping[str, tuple[float, float]]:
        """Bounds of the median of each column, among the customers of whom it is defined; without columns of nobody.

        The median is above the first number and at most the second. Both are the same where it is known exactly: where
        a column is cut at its tenths, one of the edges is the median; and where the median is 0.

        >>> DriftReference.of(("a",), np.array([[1.0], [2.0], [9.0]]), np.ones(3)).medians["a"]
        (2.0, 2.0)
        """
        defined = self.counts[:, 1:]
        whole = defined.sum(axis=1)
        places = (2 * defined.cumsum(axis=1) >= whole[:, None]).argmax(axis=1)
        outer = np.full((len(self.edges), 1), np.inf)
        bounds = np.hstack([-outer, self.edges, outer])
        low, high = bounds[range(len(places)), places], bounds[range(len(places)), places + 1]
        # Without a 0 among the edges zero has no bucket of its own, so they are the tenths: see `_cuts`. Otherwise the
        # first cut has less than a seventh below it.
        at_tenths = ~(self.edges == 0).any(axis=1)
        is_exact = np.isfinite(high) & (at_tenths | (high == 0) | ((places == 0) & (high != _BELOW_ZERO)))
        low, high = np.where(is_exact, high, low), np.where(high == _BELOW_ZERO, 0.0, high)
        both = zip(self.names, whole.tolist(), low.tolist(), high.tolist(), strict=True)
        return {name: (first, last) for name, count, first, last in both if count}

    def empty(self) -> Integers:
        """Return counts of 0 in the shape of the reference."""
        return np.zeros_like(self.counts)

    def to_dict(self) -> dict[str, Any]:
        """Return the reference as plain data, to be saved with the model."""
        edges = [[edge for edge in row if np.isfinite(edge)] for row in self.edges.tolist()]
        return {"names": self.names, "edges": edges, "counts": self.counts.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read the data of `to_dict`."""
        edges = np.full((len(data["names"]), BUCKETS - 1), np.inf)
        for number, row in enumerate(data["edges"]):
            edges[number, : len(row)] = row
        return cls(tuple(data["names"]), edges, np.array(data["counts"], dtype=np.int64))


def _cuts(values: Floats) -> Floats:
    """Return at most nine ascending edges of about equally full buckets.

    Where more than a tenth are 0, zero has a bucket of its own and the others are cut by themselves. Otherwise, with
    nine tenths at 0, all others would share one bucket and could grow a hundredfold unnoticed.
    """
    fixed = np.empty(0)
    if (values == 0).mean() > 1 / BUCKETS:
        below = [_BELOW_ZERO] if (values < 0).any() else []
        fixed, values = np.array([*below, 0.0]), values[values != 0]
    if not len(values):
        return fixed
    inner = np.linspace(0, 1, BUCKETS + 1 - len(fixed))[1:-1]
    cuts = np.quantile(values, inner, method="inverted_cdf")
    if len(fixed):
        cuts = cuts[cuts < values.max()]  # a bucket above the largest would be empty
    return np.unique(np.concatenate([fixed, cuts]))


def stability_index(reference: Integers, counts: Integers) -> float | None:
    """Population stability index of one column; None where too few customers were counted.

    Source: Siddiqi, "Credit Risk Scorecards" (2006): below 0.1 stable, above 0.25 a shift to investigate.

    >>> stability_index(np.array([0, 500, 500]), np.array([0, 500, 500]))
    0.0
    """
    if counts.sum() < LEAST_CUSTOMERS or not reference.sum():
        return None
    expected = np.maximum(reference / reference.sum(), _LEAST_SHARE)
    actual = np.maximum(counts / counts.sum(), _LEAST_SHARE)
    return float(((actual - expected) * np.log(actual / expected)).sum())


def index_words(index: float) -> str:
    """Write an index to three decimals, or to more if rounding would show one of the bounds.

    >>> index_words(0.02), index_words(0.24962), index_words(0.25)
    ('0.020', '0.2496', '0.250')
    """
    return apart_from(index, (STABLE, SHIFTED), 3)


def stability_verdict(index: float | None) -> str:
    """Name what an index means; `unknown` where there is none.

    >>> stability_verdict(0.02), stability_verdict(0.3), stability_verdict(None)
    ('stable', 'shifted', 'unknown')
    """
    if index is None:
        return "unknown"
    return "stable" if index < STABLE else "moving" if index < SHIFTED else "shifted"
