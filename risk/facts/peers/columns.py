"""Columns of numbers placed among those of peers; one entity's values by plain functions, in the same steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.facts.peers.reference import FEWEST_PEERS, PeerDistribution, Reference, read_reference
from fivefold.risk.facts.portfolio import ENTITY, error_of
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.peers import PeerFact, PeerPercentile, Peers, peers_of


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
