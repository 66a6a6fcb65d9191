"""A reference portfolio: the numbers of peers, kept as a version of a named list, so that no level depends on a batch.

Each member of the version is a line of JSON: first what the portfolio was, then the numbers of one peer group each.
Columns of numbers placed among those, and one entity's values by plain functions, come in the same steps.
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


def reference_in(lists: Lists, name: str | None, base: str) -> Reference | None:
    """Find the reference portfolio among lists; None where there is none, or its money is in another currency."""
    reference = read_reference(tuple(lists[name])) if name is not None and name in lists else None
    return reference if reference is not None and reference.base == base else None


def peers_in(rule_input: Any) -> Peers:
    """Give the number and the peers of an input that is read from a reference portfolio, or of what is kept beside."""
    peers = rule_input.peers if isinstance(rule_input, PeerFact) else peers_of(rule_input)
    assert peers is not None
    return peers


def with_peers(
    frame: pl.DataFrame, wanted: Sequence[Any], reference: Reference | None, overrides: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Add the columns of numbers placed among peers, and of what breakdowns say of these.

    Args:
        frame: `entity_id`, a column for each number and each group, and `error_of` it where that could not be read.
        wanted: the inputs (`PeerPercentile`, `TimesPeerMedian`) and facts (`PeerFact`).
        reference: the reference portfolio; None where there is none.
        overrides: `entity_id` and values by the keys of inputs, which take the place of what is looked up.

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
    """Give what is placed, the field that groups, and the facts of the peers that breakdowns say."""
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
    """Place numbers, none of them null, among those of one group."""
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
    """Give the positions of the rows of each group; who is in none is in none of them."""
    if peers.group is None:
        return [(reference.distribution(peers, None), pl.int_range(len(frame), eager=True))]
    groups = frame[input_key(peers.group)].to_frame("group").with_row_index("row").drop_nulls("group")
    rows = groups.group_by("group", maintain_order=True).agg("row")
    return [(reference.distribution(peers, str(group)), pl.Series(at)) for group, at in rows.iter_rows()]


def plain_peers(each: Any, reference: Reference | None) -> Callable[[Mapping[str, Any]], Any]:
    """Make the function from the values of one entity, by their keys, to what `with_peers` gives it."""
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
