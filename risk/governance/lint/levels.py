"""Checks totals and levels: tiers that overlap or leave gaps, and levels that nothing reaches."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

from fivefold.risk.compiler.checks import outcomes_with_paths
from fivefold.risk.compiler.diagnostics import Diagnostic, warning
from fivefold.risk.language.documents import Path
from fivefold.risk.language.quantities import POINT_UNITS, point_units, text_of
from fivefold.risk.language.ruleset import PointsScore, Rule, Ruleset, Tier, TiersScore, WeightedScore

_TIERS: Path = ("score", "tiers")
_ENDLESS = 10**18
"""More than any total, in units of points."""

Span = tuple[int, int]
"""A range of totals, both ends included, in units of points."""


def level_diagnostics(ruleset: Ruleset) -> Iterator[Diagnostic]:
    """Find doubts about totals and levels; the structure was checked before."""
    totals = possible_totals(ruleset)
    if isinstance(ruleset.score, TiersScore):
        yield from _tier_diagnostics(ruleset.score.tiers, ruleset, totals)
    yield from _out_of_reach(ruleset, totals)


def possible_totals(ruleset: Ruleset) -> Span:
    """Return the least and the greatest total of the rules' points over all cases."""
    if isinstance(ruleset.score, WeightedScore):
        spans = {rule.id: _points(rule) for rule in ruleset.rules}
        columns = ruleset.score.weighted.weights.values()
        sums = [
            [sum((weight * spans[name][end] for name, weight in column.items()), Decimal(0)) for end in (0, 1)]
            for column in columns
        ]
        return int(min(low for low, _ in sums) // 100), int(-(-max(high for _, high in sums) // 100))
    spans_of_rules = [_points(rule) for rule in ruleset.rules]
    return sum(low for low, _ in spans_of_rules), sum(high for _, high in spans_of_rules)


def _points(rule: Rule) -> Span:
    points = [point_units(outcome.points or Decimal(0)) for _, outcome in outcomes_with_paths(rule)]
    if rule.decay is not None:
        points.append(0)
    return min(points), max(points)


def _span(tier: Tier) -> Span:
    low = -_ENDLESS if tier.min is None else point_units(tier.min)
    return low, _ENDLESS if tier.max is None else point_units(tier.max)


def _tier_diagnostics(tiers: Sequence[Tier], ruleset: Ruleset, totals: Span) -> Iterator[Diagnostic]:
    spans = [_span(tier) for tier in tiers]
    for number, (low, high) in enumerate(spans):
        if _covers(spans[:number], (low, high)):
            yield _warning(number, "is never reached: the tiers before it own all its totals")
            continue
        for earlier in range(number):
            first, last = max(low, spans[earlier][0]), min(high, spans[earlier][1])
            if first <= last:
                totals_text = _total_text(first) if first == last else f"{_total_text(first)} to {_total_text(last)}"
                yield _warning(number, f"overlaps {tiers[earlier].title}, which comes first and so owns {totals_text}")
    yield from _gaps(spans)
    yield from _ends(spans, totals)
    order = sorted(range(len(tiers)), key=spans.__getitem__)
    for below, above in pairwise(order):
        if ruleset.level_number(tiers[above].level) < ruleset.level_number(tiers[below].level):
            yield _warning(above, f"has a lower level than {tiers[below].title}, whose totals are lower")


def _covers(spans: Sequence[Span], span: Span) -> bool:
    reached = span[0]
    for low, high in sorted(spans):
        if low <= reached <= high:
            reached = high + 1
    return reached > span[1]


def _gaps(spans: Sequence[Span]) -> Iterator[Diagnostic]:
    reached: int | None = None
    for number in sorted(range(len(spans)), key=spans.__getitem__):
        low, high = spans[number]
        if reached is not None and low > reached + 1:
            between = f"between {_total_text(reached)} and {_total_text(low)}"
            inside = _total_text((reached + low) // 2)
            yield _warning(
                number, f"leaves a gap: no tier owns a total {between}, such as {inside}; it is unclassified"
            )
        reached = high if reached is None else max(reached, high)


def _ends(spans: Sequence[Span], totals: Span) -> Iterator[Diagnostic]:
    lowest, highest = min(low for low, _ in spans), max(high for _, high in spans)
    if lowest > -_ENDLESS:
        can = f"; the rules can come to {_total_text(totals[0])}" if totals[0] < lowest else ""
        yield warning(_TIERS, f"no tier owns a total below {_total_text(lowest)}{can}; leave out min for that")
    if highest < _ENDLESS:
        can = f"; the rules can come to {_total_text(totals[1])}" if totals[1] > highest else ""
        yield warning(_TIERS, f"no tier owns a total above {_total_text(highest)}{can}; leave out max for that")


def _out_of_reach(ruleset: Ruleset, totals: Span) -> Iterator[Diagnostic]:
    floors = {
        ruleset.level_number(outcome.floor)
        for rule in ruleset.rules
        for _, outcome in outcomes_with_paths(rule)
        if outcome.floor
    }
    for number, level in enumerate(ruleset.levels, 1):
        spans, path = _spans_of_level(ruleset, number)
        if number not in floors and not any(low <= totals[1] and high >= totals[0] for low, high in spans):
            totals_text = f"{_total_text(totals[0])} to {_total_text(totals[1])}"
            problem = f"level {level} is out of reach: totals run from {totals_text}, and no floor raises to it"
            yield warning(path, problem)


def _spans_of_level(ruleset: Ruleset, number: int) -> tuple[list[Span], Path]:
    if isinstance(ruleset.score, TiersScore):
        tiers = ruleset.score.tiers
        return [_span(tier) for tier in tiers if ruleset.level_number(tier.level) == number], _TIERS
    if isinstance(ruleset.score, PointsScore):
        cuts, path = ruleset.score.points.thresholds, ("score", "points", "thresholds")
    else:
        cuts, path = ruleset.score.weighted.bands, ("score", "weighted", "bands")
    ends = [-_ENDLESS, *map(point_units, cuts), _ENDLESS]
    return [(ends[number - 1], ends[number] - 1)], path


def _warning(number: int, problem: str) -> Diagnostic:
    return warning((*_TIERS, number), problem)


def _total_text(units: int) -> str:
    return text_of(units, POINT_UNITS)
