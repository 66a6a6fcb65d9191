"""A reference portfolio: the numbers of peers, kept as a version of a named list, so that no level depends on a batch.

Each member of the version is a line of JSON: first what the portfolio was, then the numbers of one peer group each.
"""

import json
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl

from fivefold.features.histories import Floats
from fivefold.risk.compiler.formulas import float_of, written_number
from fivefold.risk.facts.portfolio import error_of
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.fields import Definition
from fivefold.risk.language.peers import Peers
from fivefold.risk.language.ruleset import Ruleset

FEWEST_PEERS = 30
"""Among fewer peers nothing is said: one of them more or less would move the position by more than three percent."""

MOST_VALUES = 1_000
"""So many different numbers are kept of a peer group; with more, a position is at most 0.1 percent too low."""

_FORM = 1
"""The form of the lines; another one is not read."""


@dataclass(frozen=True, eq=False)
class PeerDistribution:
    """The numbers of one peer group.

    Attributes:
        count: how many peers have one.
        middle: the two middle numbers, the same one twice where their count is odd.
        values: different numbers, rising.
        up_to: for each, how many peers have no higher one.
        unreadable: how many peers are not among these because their number could not be read.
    """

    count: int
    middle: tuple[float, float]
    values: Sequence[float]
    up_to: Sequence[int]
    unreadable: int = 0
    _positions: dict[int, float] = field(default_factory=dict)

    def below(self, value: float) -> int:
        """Count the peers with a lower number; the exact count where every number was kept, else no more than it."""
        place = bisect_left(self.values, value)
        return self.up_to[place - 1] if place else 0

    def position(self, below: int) -> float:
        """Give the percent of peers that a count of them is, as `float_of` does.

        It is the share strictly below, a percentile rank in which ties count for nothing (the first of the three
        definitions in Roscoe, Fundamental Research Statistics, 1975): "higher than 97 % of peers" is then true as it
        stands, and nobody is above those who have the same.
        """
        if below not in self._positions:
            self._positions[below] = float_of(Fraction(100 * below, self.count))
        return self._positions[below]

    def times_median(self, value: float) -> float | None:
        """Give a number over the median, exact until it is kept; None where the median is not above 0."""
        return None if self.median <= 0 else float_of(written_number(value) / self.median)

    @cached_property
    def median(self) -> Fraction:
        """The middle number, the mean of both where their count is even, exactly."""
        return (written_number(self.middle[0]) + written_number(self.middle[1])) / 2

    def percentile_of(self, value: float) -> float:
        """Give the position of one number."""
        return self.position(self.below(value))

    def percentiles_of(self, values: Floats) -> list[float]:
        """Give the positions of n numbers: the same as `percentile_of` gives each."""
        places = np.searchsorted(self._values, values, side="left")
        return [self.position(below) for below in self._counts[places].tolist()]

    @cached_property
    def _values(self) -> Floats:
        return np.asarray(self.values, dtype=np.float64)

    @cached_property
    def _counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.asarray([0, *self.up_to], dtype=np.int64)

    def line(self) -> dict[str, Any]:
        """Write it for the line of its group."""
        numbers = {"middle": self.middle, "values": self.values, "up_to": self.up_to}
        unreadable = {"unreadable": self.unreadable} if self.unreadable else {}
        return {"count": self.count, **unreadable} | {name: list(of) for name, of in numbers.items()}

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Self:
        """Read it back; KeyError, TypeError or ValueError where the line has another form."""
        low, high = map(float, line["middle"])
        values, up_to = [float(value) for value in line["values"]], [int(count) for count in line["up_to"]]
        rising = all(one < other for one, other in pairwise(values))
        if not (values and rising and len(values) == len(up_to) and up_to == sorted(up_to)):
            raise ValueError("values and up_to must rise together")
        if not (up_to[0] > 0 and up_to[-1] == line["count"] and low <= high and all(map(math.isfinite, values))):
            raise ValueError("count must be that of all values")
        return cls(int(line["count"]), (low, high), values, up_to, int(line.get("unreadable", 0)))


def distribution_of(numbers: pl.Series, unreadable: int = 0) -> PeerDistribution | None:
    """Keep the numbers of peers, null where one has none: at most `MOST_VALUES` different ones; None for no number.

    *unreadable*: of how many of the peers the number could not be read.

    With more, those that stand at evenly spaced ranks are kept (the nearest rank of k ÷ `MOST_VALUES` for each k).
    """
    values = numbers.cast(pl.Float64)
    values = values.filter(values.is_finite()).sort()
    if not len(values):
        return None
    different, counts = np.unique(values.to_numpy(), return_counts=True)
    up_to = np.cumsum(counts)
    if len(different) > MOST_VALUES:
        ranks = [-(-len(values) * number // MOST_VALUES) for number in range(1, MOST_VALUES + 1)]
        places = np.unique(np.searchsorted(up_to, ranks, side="left"))
        different, up_to = different[places], up_to[places]
    middle = float(values[(len(values) - 1) // 2]), float(values[len(values) // 2])
    return PeerDistribution(len(values), middle, (different + 0.0).tolist(), up_to.tolist(), unreadable)


class BuiltFor(NamedTuple):
    """The ruleset that a reference portfolio is built for: its peers are those on whom that ruleset decides.

    Attributes:
        ruleset: its name, which all its versions share.
        entity_type: of the peers.
    """

    ruleset: str
    entity_type: str

    @classmethod
    def of(cls, ruleset: Ruleset) -> Self:
        """Give what the reference of a ruleset is built for."""
        return cls(ruleset.name, ruleset.entity_type)

    def __str__(self) -> str:
        """Name it as messages do."""
        return f"the ruleset {self.ruleset}, of type {self.entity_type}"

    def misfit(self, definition: Definition) -> str | None:
        """Explain why the peers are not those of a ruleset; None if they are.

        Policies, flows and groups have no reference of their own: they read that of a ruleset on the same type.
        """
        other_ruleset = isinstance(definition, Ruleset) and definition.name != self.ruleset
        if not other_ruleset and definition.entity_type == self.entity_type:
            return None
        return f"its peers are those of {self}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Reference:
    """A reference portfolio.

    Attributes:
        as_of: the moment that its numbers are of (microseconds).
        base: the currency that its money is in.
        built_for: None for an older one, which does not say it.
        distributions: by the key of the number, how peers are grouped, and the group; the group of everyone is None.
    """

    as_of: int
    base: str
    built_for: BuiltFor | None
    distributions: Mapping[tuple[str, str, str | None], PeerDistribution]

    def distribution(self, peers: Peers, group: str | None) -> PeerDistribution | None:
        """Find the numbers of a peer group; None where there are none."""
        return self.distributions.get((*key_of(peers), group))

    def has(self, peers: Peers) -> bool:
        """Tell whether it has numbers of this kind, of any group."""
        return key_of(peers) in self._kinds

    @cached_property
    def _kinds(self) -> frozenset[tuple[str, str]]:
        return frozenset((of, among) for of, among, _ in self.distributions)

    def counts(self, peers: Peers) -> list[int]:
        """Give how many peers there are in each group that has numbers of this kind."""
        return [each.count for (*key, _), each in self.distributions.items() if tuple(key) == key_of(peers)]

    def without_median(self, peers: Peers) -> list[str | None]:
        """Name the groups whose median is not above 0, so that nothing is a multiple of it; None is everyone."""
        return [
            group
            for (*key, group), each in self.distributions.items()
            if tuple(key) == key_of(peers) and each.median <= 0
        ]

    def lines(self) -> tuple[str, ...]:
        """Write it as the members of a list."""
        built_for = {} if self.built_for is None else self.built_for._asdict()
        head = {"reference": _FORM, "as_of": self.as_of, "base": self.base, **built_for}
        rows = [
            {"of": json.loads(of), "among": among, "group": group, **distribution.line()}
            for (of, among, group), distribution in self.distributions.items()
        ]
        return tuple(json.dumps(row, separators=(",", ":")) for row in (head, *rows))


def key_of(peers: Peers) -> tuple[str, str]:
    """Name a number and how peers are grouped, as a reference portfolio does."""
    return input_key(peers.of), "" if peers.group is None else peers.group.field


@lru_cache(maxsize=32)
def read_reference(members: tuple[str, ...]) -> Reference | None:
    """Read a reference portfolio from the members of a list, once; None where the list is none."""
    try:
        head, *rows = map(json.loads, members)
        if head["reference"] != _FORM:
            return None
        return Reference(
            as_of=int(head["as_of"]),
            base=str(head["base"]),
            built_for=_built_for(head),
            distributions=dict(map(_entry, rows)),
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_built_for(members: Sequence[str]) -> BuiltFor | None:
    """Read from the first member alone what a list of peers is built for; None if it does not say it, or is none."""
    try:
        return _built_for(json.loads(members[0]))
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def other_peers(members: Sequence[str], definition: Definition) -> str | None:
    """Explain why the peers of a list are not those of a ruleset; None if they are, or the list does not say it."""
    built_for = read_built_for(members)
    return None if built_for is None else built_for.misfit(definition)


def _built_for(head: Any) -> BuiltFor | None:
    if head["reference"] != _FORM or "ruleset" not in head:
        return None
    return BuiltFor(str(head["ruleset"]), str(head["entity_type"]))


def _entry(row: Any) -> tuple[tuple[str, str, str | None], PeerDistribution]:
    of = json.dumps(row["of"], sort_keys=True, separators=(",", ":"))
    group = None if row["group"] is None else str(row["group"])
    return (of, str(row["among"]), group), PeerDistribution.of_line(row)


def made_reference(
    wanted: Sequence[Peers], inputs: pl.DataFrame, as_of: int, base: str, built_for: BuiltFor | None = None
) -> Reference:
    """Make the reference portfolio of some entities.

    Args:
        wanted: the numbers, and how peers are grouped.
        inputs: a row for each entity and a column for each of these by its key, null where unknown; and perhaps of a
            number `error_of` its key, which says why it could not be read.
        as_of: the moment that they are of.
        base: the currency that money is in.
        built_for: whose peers these entities are.
    """
    distributions: dict[tuple[str, str, str | None], PeerDistribution] = {}
    for peers in wanted:
        for group, rows in _groups(peers, inputs):
            distribution = distribution_of(rows["number"], rows["error"].count())
            if distribution is not None:
                distributions[*key_of(peers), group] = distribution
    return Reference(as_of=as_of, base=base, built_for=built_for, distributions=distributions)


def _groups(peers: Peers, inputs: pl.DataFrame) -> Iterator[tuple[str | None, pl.DataFrame]]:
    """Give the numbers of each group and their errors, in the order of names; an entity in none is left out."""
    key = input_key(peers.of)
    error = pl.col(error_of(key)) if error_of(key) in inputs.columns else pl.lit(None, pl.String)
    columns = [pl.col(key).alias("number"), error.alias("error")]
    if peers.group is None:
        yield None, inputs.select(columns)
        return
    grouped = inputs.select(pl.col(input_key(peers.group)).alias("group"), *columns)
    for (group,), rows in sorted(grouped.drop_nulls("group").partition_by("group", as_dict=True).items()):
        yield str(group), rows
