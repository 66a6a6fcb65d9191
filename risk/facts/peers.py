"""A reference portfolio: the numbers of peers, kept as a version of a named list, so that no level depends on a batch.

Each member of the version is a line of JSON: first a description of the portfolio, then the numbers of one peer group
each. Numbers are placed among them by columns, and for one entity by plain functions, in the same steps.
"""

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl

from fivefold.features.histories import Floats
from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.compiler.formulas import float_of, written_number
from fivefold.risk.facts.portfolio import ENTITY, error_of
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.fields import Definition
from fivefold.risk.language.peers import PeerFact, PeerPercentile, Peers, peers_of
from fivefold.risk.language.ruleset import Ruleset

FEWEST_PEERS = 30
"""Fewest peers for a position: among fewer, one peer more or less would move it by more than three percent."""

MOST_VALUES = 1_000
"""Most distinct numbers kept of a peer group; with more, a position is at most 0.1 percent too low."""

_FORM = 1
"""The version of the lines' form; lines of another one are not read."""


@dataclass(frozen=True, eq=False)
class PeerDistribution:
    """The numbers of one peer group.

    Attributes:
        count: how many peers have a number.
        middle: the two middle numbers, the same one twice if their count is odd.
        values: distinct numbers, rising.
        up_to: for each value, how many peers have at most it.
        unreadable: how many further peers have a number that could not be read.
    """

    count: int
    middle: tuple[float, float]
    values: Sequence[float]
    up_to: Sequence[int]
    unreadable: int = 0
    _positions: dict[int, float] = field(default_factory=dict)

    def below(self, value: float) -> int:
        """Count the peers with a lower number; exact if every number was kept, otherwise perhaps too low."""
        place = bisect_left(self.values, value)
        return self.up_to[place - 1] if place else 0

    def position(self, below: int) -> float:
        """Convert a count of peers to a percentage of all, by `float_of`.

        It is the share strictly below, a percentile rank in which ties do not count (the first of the three definitions
        in Roscoe, Fundamental Research Statistics, 1975). So "higher than 97 % of peers" is literally true, and peers
        with equal numbers are not ranked above each other.
        """
        if below not in self._positions:
            self._positions[below] = float_of(Fraction(100 * below, self.count))
        return self._positions[below]

    def times_median(self, value: float) -> float | None:
        """Divide a number by the median, exactly until it is kept; None if the median is not above 0."""
        return None if self.median <= 0 else float_of(written_number(value) / self.median)

    @cached_property
    def median(self) -> Fraction:
        """The middle number, or the mean of the two middle ones, exactly."""
        return (written_number(self.middle[0]) + written_number(self.middle[1])) / 2

    def percentile_of(self, value: float) -> float:
        """Return the position of one number."""
        return self.position(self.below(value))

    def percentiles_of(self, values: Floats) -> list[float]:
        """Return the positions of n numbers, each as `percentile_of` does."""
        places = np.searchsorted(self._values, values, side="left")
        return [self.position(below) for below in self._counts[places].tolist()]

    @cached_property
    def _values(self) -> Floats:
        return np.asarray(self.values, dtype=np.float64)

    @cached_property
    def _counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.asarray([0, *self.up_to], dtype=np.int64)

    def line(self) -> dict[str, Any]:
        """Write the distribution for the line of its group."""
        numbers = {"middle": self.middle, "values": self.values, "up_to": self.up_to}
        unreadable = {"unreadable": self.unreadable} if self.unreadable else {}
        return {"count": self.count, **unreadable} | {name: list(of) for name, of in numbers.items()}

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Self:
        """Read a distribution from its line; raises KeyError, TypeError or ValueError if the line has another form."""
        low, high = map(float, line["middle"])
        values, up_to = [float(value) for value in line["values"]], [int(count) for count in line["up_to"]]
        rising = all(one < other for one, other in pairwise(values))
        if not (values and rising and len(values) == len(up_to) and up_to == sorted(up_to)):
            raise ValueError("values and up_to must rise together")
        if not (up_to[0] > 0 and up_to[-1] == line["count"] and low <= high and all(map(math.isfinite, values))):
            raise ValueError("count must be that of all values")
        return cls(int(line["count"]), (low, high), values, up_to, int(line.get("unreadable", 0)))


def distribution_of(numbers: pl.Series, unreadable: int = 0) -> PeerDistribution | None:
    """Make the distribution of peers' numbers, null for a peer without one; None if there is no number.

    *unreadable* is the number of peers whose number could not be read.

    Of more than `MOST_VALUES` distinct numbers, those at evenly spaced ranks are kept (the nearest rank of
    k ÷ `MOST_VALUES` for each k).
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
    """The ruleset that a reference portfolio is built for: its peers are the entities on which that ruleset decides.

    Attributes:
        ruleset: its name, which all its versions share.
        entity_type: the type of the peers.
    """

    ruleset: str
    entity_type: str

    @classmethod
    def of(cls, ruleset: Ruleset) -> Self:
        """Return what the reference of a ruleset is built for."""
        return cls(ruleset.name, ruleset.entity_type)

    def __str__(self) -> str:
        """Name the ruleset as messages do."""
        return f"the ruleset {self.ruleset}, of type {self.entity_type}"

    def misfit(self, definition: Definition) -> str | None:
        """Explain why the peers are not those of a ruleset; None if they are.

        Policies, flows and groups have no reference of their own: they read the reference of a ruleset on the same
        type.
        """
        other_ruleset = isinstance(definition, Ruleset) and definition.name != self.ruleset
        if not other_ruleset and definition.entity_type == self.entity_type:
            return None
        return f"its peers are those of {self}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Reference:
    """A reference portfolio.

    Attributes:
        as_of: the moment of its numbers (microseconds).
        base: the currency of its money.
        built_for: the ruleset that it is built for; None for an older portfolio, which does not record it.
        distributions: by the key of the number, the grouping field, and the group; the group of everyone is None.
    """

    as_of: int
    base: str
    built_for: BuiltFor | None
    distributions: Mapping[tuple[str, str, str | None], PeerDistribution]

    def distribution(self, peers: Peers, group: str | None) -> PeerDistribution | None:
        """Find the numbers of a peer group; None if there are none."""
        return self.distributions.get((*key_of(peers), group))

    def has(self, peers: Peers) -> bool:
        """Check whether it has numbers of this kind, for any group."""
        return key_of(peers) in self._kinds

    @cached_property
    def _kinds(self) -> frozenset[tuple[str, str]]:
        return frozenset((of, among) for of, among, _ in self.distributions)

    def counts(self, peers: Peers) -> list[int]:
        """Return the number of peers in each group that has numbers of this kind."""
        return [each.count for (*key, _), each in self.distributions.items() if tuple(key) == key_of(peers)]

    def without_median(self, peers: Peers) -> list[str | None]:
        """Name the groups whose median is not above 0, so that there are no multiples of it; None is everyone."""
        return [
            group
            for (*key, group), each in self.distributions.items()
            if tuple(key) == key_of(peers) and each.median <= 0
        ]

    def lines(self) -> tuple[str, ...]:
        """Write the portfolio as the members of a list."""
        built_for = {} if self.built_for is None else self.built_for._asdict()
        head = {"reference": _FORM, "as_of": self.as_of, "base": self.base, **built_for}
        rows = [
            {"of": json.loads(of), "among": among, "group": group, **distribution.line()}
            for (of, among, group), distribution in self.distributions.items()
        ]
        return tuple(json.dumps(row, separators=(",", ":")) for row in (head, *rows))


def key_of(peers: Peers) -> tuple[str, str]:
    """Return the key of a number and the grouping field, as a reference portfolio has them."""
    return input_key(peers.of), "" if peers.group is None else peers.group.field


@lru_cache(maxsize=32)
def read_reference(members: tuple[str, ...]) -> Reference | None:
    """Read a reference portfolio from the members of a list, cached; None if the list is not a portfolio."""
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
    """Read from the first member what a list of peers is built for; None if it is not recorded, or not such a list."""
    try:
        return _built_for(json.loads(members[0]))
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def other_peers(members: Sequence[str], definition: Definition) -> str | None:
    """Explain why the peers of a list are not those of a ruleset; None if they are, or the list does not record it."""
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
        inputs: a row for each entity and a column for each of these by its key, null where unknown; perhaps also
            `error_of` the key of a number, which says why it could not be read.
        as_of: the moment of the numbers.
        base: the currency of money.
        built_for: the ruleset whose peers these entities are.
    """
    distributions: dict[tuple[str, str, str | None], PeerDistribution] = {}
    for peers in wanted:
        for group, rows in _groups(peers, inputs):
            distribution = distribution_of(rows["number"], rows["error"].count())
            if distribution is not None:
                distributions[*key_of(peers), group] = distribution
    return Reference(as_of=as_of, base=base, built_for=built_for, distributions=distributions)


def _groups(peers: Peers, inputs: pl.DataFrame) -> Iterator[tuple[str | None, pl.DataFrame]]:
    """Yield the numbers and errors of each group, in the order of names; an entity without a group is left out."""
    key = input_key(peers.of)
    error = pl.col(error_of(key)) if error_of(key) in inputs.columns else pl.lit(None, pl.String)
    columns = [pl.col(key).alias("number"), error.alias("error")]
    if peers.group is None:
        yield None, inputs.select(columns)
        return
    grouped = inputs.select(pl.col(input_key(peers.group)).alias("group"), *columns)
    for (group,), rows in sorted(grouped.drop_nulls("group").partition_by("group", as_dict=True).items()):
        yield str(group), rows


def reference_in(lists: Lists, name: str | None, base: str) -> Reference | None:
    """Find the reference portfolio among lists; None if there is none, or its money is in another currency."""
    reference = read_reference(tuple(lists[name])) if name is not None and name in lists else None
    return reference if reference is not None and reference.base == base else None


def peers_in(rule_input: Any) -> Peers:
    """Return the number and the peers of an input that is read from a reference portfolio, or of a fact beside it."""
    peers = rule_input.peers if isinstance(rule_input, PeerFact) else peers_of(rule_input)
    assert peers is not None
    return peers


def with_peers(
    frame: pl.DataFrame, wanted: Sequence[Any], reference: Reference | None, overrides: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Add the columns of numbers placed among peers, and of facts about the peers for breakdowns.

    Args:
        frame: `entity_id`, a column for each number and each group, and `error_of` it if that could not be read.
        wanted: the inputs (`PeerPercentile`, `TimesPeerMedian`) and facts (`PeerFact`).
        reference: the reference portfolio, if any.
        overrides: `entity_id` and values by the keys of inputs, which replace those looked up.

    Returns:
        The frame, and a column of Float64 for each input: null where the number or the group is unknown, where there
        are fewer peers than `FEWEST_PEERS`, or the median is not above 0. Of a fact: Float64 for the count, Int64
        (microseconds) for the moment.
    """
    for each in wanted:
        key = input_key(each)
        if overrides is not None and key in overrides.columns:
            values = frame.select(ENTITY).join(
                overrides.select(ENTITY, key), on=ENTITY, how="left", maintain_order="left"
            )
            frame = frame.with_columns(values[key].cast(pl.Float64))
            continue
        frame = frame.with_columns(_column(each, frame, reference).alias(key))
        parts = [part for part in parts_of_peers(each) if not isinstance(part, PeerFact)]
        wrong = [error_of(input_key(part)) for part in parts if error_of(input_key(part)) in frame.columns]
        if wrong and not isinstance(each, PeerFact):
            problem = pl.coalesce(wrong)
            frame = frame.with_columns(problem.alias(error_of(key)), pl.when(problem.is_null()).then(key).alias(key))
    return frame


def parts_of_peers(rule_input: Any) -> list[Any]:
    """Return the number that is placed, the grouping field, and the facts about the peers for breakdowns."""
    peers = peers_in(rule_input)
    parts = [peers.of, *([] if peers.group is None else [peers.group])]
    if isinstance(rule_input, PeerFact):
        return parts
    return [*parts, PeerFact(peer_fact="count", peers=peers), PeerFact(peer_fact="as_of", peers=peers)]


def _column(each: Any, frame: pl.DataFrame, reference: Reference | None) -> pl.Series:
    peers = peers_in(each)
    kind = pl.Int64 if isinstance(each, PeerFact) and each.peer_fact == "as_of" else pl.Float64
    column = pl.Series("", [None], dtype=kind).new_from_index(0, len(frame))
    if reference is None:
        return column
    if isinstance(each, PeerFact):
        return _fact_column(each, frame, reference, kind)
    values = frame[input_key(peers.of)].cast(pl.Float64)
    for distribution, rows in _rows_by_group(peers, frame, reference):
        if distribution is not None and distribution.count >= FEWEST_PEERS:
            valued_rows = rows.filter(values.gather(rows).is_not_null())
            column = column.scatter(valued_rows, placed(each, distribution, values.gather(valued_rows)))
    return column


def placed(each: Any, distribution: PeerDistribution, values: pl.Series) -> pl.Series:
    """Place numbers, none of them null, among the numbers of one group."""
    if isinstance(each, PeerPercentile):
        return pl.Series(distribution.percentiles_of(values.to_numpy()), dtype=pl.Float64)
    different = values.unique()
    times = [distribution.times_median(value) for value in different]
    return values.replace_strict(different, pl.Series(times, dtype=pl.Float64), return_dtype=pl.Float64)


def _fact_column(each: PeerFact, frame: pl.DataFrame, reference: Reference, kind: Any) -> pl.Series:
    if each.peer_fact == "as_of":
        return pl.Series([reference.as_of], dtype=kind).new_from_index(0, len(frame))
    column = pl.Series("", [None], dtype=kind).new_from_index(0, len(frame))
    if reference.has(each.peers):
        for distribution, rows in _rows_by_group(each.peers, frame, reference):
            column = column.scatter(rows, float(distribution.count if distribution else 0))
    return column


def _rows_by_group(
    peers: Peers, frame: pl.DataFrame, reference: Reference
) -> list[tuple[PeerDistribution | None, pl.Series]]:
    """Return each group's distribution and the positions of its rows; a row without a group is left out."""
    if peers.group is None:
        return [(reference.distribution(peers, None), pl.int_range(len(frame), eager=True))]
    groups = frame[input_key(peers.group)].to_frame("group").with_row_index("row").drop_nulls("group")
    rows = groups.group_by("group", maintain_order=True).agg("row")
    return [(reference.distribution(peers, str(group)), pl.Series(at)) for group, at in rows.iter_rows()]


def plain_peers(each: Any, reference: Reference | None) -> Callable[[Mapping[str, Any]], Any]:
    """Make the function that computes the value of `with_peers` for one entity, from its values by their keys."""
    peers = peers_in(each)
    key, group_key = input_key(peers.of), "" if peers.group is None else input_key(peers.group)
    is_fact, has = isinstance(each, PeerFact), reference is not None and reference.has(peers)

    def resolve(values: Mapping[str, Any]) -> Any:
        group = values[group_key] if group_key else None
        if reference is None or (group_key and group is None and not (is_fact and each.peer_fact == "as_of")):
            return None
        if is_fact and each.peer_fact == "as_of":
            return reference.as_of
        distribution = reference.distribution(peers, None if group is None else str(group))
        if is_fact:
            return float(distribution.count if distribution else 0) if has else None
        if distribution is None or distribution.count < FEWEST_PEERS or values[key] is None:
            return None
        value = float(values[key])
        is_position = isinstance(each, PeerPercentile)
        return distribution.percentile_of(value) if is_position else distribution.times_median(value)

    return resolve
