"""Which totals a ruleset can come to, whatever the inputs: more than can happen, and never fewer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import gcd

import polars as pl

from fivefold.risk.engine.program import Program
from fivefold.risk.engine.rules import MOST_HALVINGS, CompiledRule, halved
from fivefold.risk.engine.totals import points_of

MOST_STEPS = 4_000_000
"""Between the least and the greatest total at most so many are looked at; where there are more, it is undecided."""


def points_given(rule: CompiledRule, slot: int | None = None) -> frozenset[int]:
    """Give every number of points (in units) that a rule can give, halved as often as its decay may.

    Args:
        rule: whose points they are; that of a failed rule, 0, is among them.
        slot: the points of this outcome alone; those of all without it.
    """
    codes = rule.codes if slot is None else rule.codes[slot : slot + 1]
    points = {points_of(code) for code in codes}
    if rule.signal is None:
        return frozenset(points)
    cases = [points_of(code) for place, code in enumerate(rule.codes[: rule.otherwise]) if slot in {None, place}]
    rows = [(start, times) for start in cases for times in range(MOST_HALVINGS + 1)]
    frame = pl.DataFrame(rows, schema={"points": pl.Int64, "times": pl.Int64}, orient="row")
    return frozenset(points | set(frame.select(halved(pl.col("points"), pl.col("times"))).to_series()))


def sums_of(choices: Iterable[Iterable[int]]) -> list[int] | None:
    """Give every sum of one number from each of several sets, ascending; None where there are too many.

    >>> sums_of([{0, 25}, {-5, 5}])
    [-5, 5, 20, 30]
    """
    sets = [sorted(set(choice)) for choice in choices]
    least = sum(choice[0] for choice in sets)
    offsets = [[number - choice[0] for number in choice] for choice in sets]
    step = gcd(*(offset for choice in offsets for offset in choice)) or 1
    if sum(choice[-1] for choice in offsets) // step > MOST_STEPS:
        return None
    reached = 1  # bit n: a sum of least + n steps
    for choice in offsets:
        shifted = 0
        for offset in choice:
            shifted |= reached << (offset // step)
        reached = shifted
    return [least + place * step for place, bit in enumerate(reversed(f"{reached:b}")) if bit == "1"]


def reachable_totals(program: Program, points_of_rules: Mapping[str, frozenset[int]] | None = None) -> pl.Series | None:
    """Give every total (in units of `program.total.scale`) that rules can come to; None where there are too many.

    Rules are taken as independent of each other, so that some of these totals may never happen. *points_of_rules* are
    the points of some rules, by their ids, where only such totals are asked for.
    """
    points_by_rule = {rule.rule.id: points_given(rule) for rule in program.rules} | dict(points_of_rules or {})
    total = program.total
    columns: Sequence[Mapping[str, int] | None] = total.weights or (None,)
    totals: set[int] = set()
    for weights in columns:
        weigh = _as_they_are if weights is None else _by(weights)
        sums = sums_of({weigh(rule, number) for number in points} for rule, points in points_by_rule.items())
        if sums is None:
            return None
        totals.update(sums)
    return pl.Series("total", sorted(totals), dtype=pl.Int64)


def _as_they_are(_: str, points: int) -> int:
    return points


def _by(weights: Mapping[str, int]) -> Callable[[str, int], int]:
    return lambda rule, points: weights.get(rule, 0) * points
