"""Aggregates over linked facts: one pass over each source for any number of aggregates.

`Partials` collects what is computed for each group of facts, and makes the values from it.

The median, percentiles, the largest and the standard deviation are computed from exact numbers, one entity at a time:
whole minor units, or numbers as they were written. The result is kept as the float that compares as the exact result
does, as for a calculation: `risk.compiler.formulas.float_of`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction
from typing import Any

import polars as pl
from polars.lazyframe.group_by import LazyGroupBy

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.compiler.formulas import float_of, parts_of_share, written_number
from fivefold.risk.compiler.value_types import InputColumn, linked_source
from fivefold.risk.facts.linked import FROM_THE_START, LINKED_ENTITY, TIME, UNREADABLE, LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, error_of, signal_of
from fivefold.risk.facts.row_errors import without_unreadable
from fivefold.risk.facts.windows import Masks, edges, is_edge, is_of_screenings, is_opening, looked_at, value_column
from fivefold.risk.language.expressions import (
    Count,
    Distinct,
    Largest,
    Least,
    Mean,
    Median,
    New,
    Percentile,
    Share,
    StandardDeviation,
    Sum,
    Window,
    input_key,
)
from fivefold.risk.language.fields import ValueType

NUMBER_UNITS = 10**9
"""Numbers are added in whole billionths, so that a sum neither drifts nor depends on the order: 0.1 + 0.2 is 0.3."""

NUMBER_DIGITS = 15
"""How many digits of a number are exactly as written; a float holds no more."""
SMALL_DIGITS = 6
"""Numbers with up to this many digits before the point convert to billionths directly."""
EXACT = 2**53
"""Up to here every whole number is a float."""


@dataclass(kw_only=True)
class Partials:
    """Collects what a set of aggregates needs for every group; what several need is computed once.

    Sums are 128-bit integers, which no number of facts can overflow: a value that does not fit its column is an error
    of its entity, never a wrapped number.

    Attributes:
        facts: the facts that are counted.
        masks: the masks of the facts that count, for each aggregate.
        sums: expressions within a group, by the names of their columns.
        used: the masks that the sums read.
    """

    facts: LinkedFacts
    masks: Masks
    _: KW_ONLY
    sums: dict[str, pl.Expr] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    _finals: dict[str, pl.Expr] = field(default_factory=dict)
    _totals: dict[str, pl.Expr] = field(default_factory=dict)

    def add(self, key: str, window: Window, *, signal: bool) -> None:
        """Collect what one aggregate needs, and perhaps the moment of the latest fact that it counted."""
        column = value_column(window, self.facts)
        self._finals[key] = self._lone(window) if column is None else self._over(key, window, column)
        if signal:
            self._finals[signal_of(key)] = pl.col(self._part("latest", TIME, self._known_mask(window, column)))

    def values(self, totals: pl.DataFrame) -> pl.DataFrame:
        """Compute the values, and the errors of sums of money that are too large, from the row of each entity."""
        values = totals.select(**self._finals)
        for key, total in self._totals.items():
            if values[key].null_count():
                text = pl.format("the sum is {} minor units, more than can be kept", total)
                values = values.with_columns(
                    totals.select(pl.when(values[key].is_null()).then(text).alias(error_of(key)))
                )
        return values

    def _lone(self, window: Window) -> pl.Expr:
        """Build an aggregate of the facts themselves: their number, a share of it, or the days since the latest."""
        if isinstance(window, Count):
            count = self._count(window, None)
            if not is_of_screenings(window):
                return count
            return pl.when(pl.col(self._part("count", TIME, self.masks.mask_of_searches(window))) > 0).then(count)
        if isinstance(window, Share):
            part, whole = (self._count(each, None) for each in parts_of_share(window))
            return pl.when(whole != 0).then(part / whole)
        return quotient(pl.col(AS_OF) - pl.col(self._part("latest", TIME, self.masks.of(window))), DAY_US)

    def _over(self, key: str, window: Window, column: InputColumn) -> pl.Expr:  # noqa: PLR0911 (one for each kind)
        """Build an aggregate of a field's values."""
        match window:
            case Sum():
                return self._sum(key, window, column)
            case Share():
                return self._share(window, column)
            case Mean():
                count = self._count(window, column)
                return pl.when(count > 0).then(self._total(window, column) / (count * _units(column)))
            case Distinct():
                return self._different(column, self.masks.of(window, column.name)).cast(pl.Float64)
            case New():
                until_the_end = self._different(column, self.masks.of(looked_at(window), column.name))
                before = self._different(column, self.masks.before(window, column.name))
                return until_the_end.cast(pl.Float64) - before.cast(pl.Float64)
            case Median() | Percentile() | StandardDeviation() | Largest():
                return self._in_order(key, window, column)
            case _:
                how = "min" if isinstance(window, Least) else "max"
                return pl.col(self._part(how, column.name, self.masks.of(window)))

    def _share(self, share: Share, column: InputColumn) -> pl.Expr:
        part, whole = (self._total(each, column).fill_null(0) for each in parts_of_share(share))
        return pl.when(whole != 0).then(part / whole)

    def _different(self, column: InputColumn, mask: str) -> pl.Expr:
        return pl.col(self._part("distinct", column.name, mask)).fill_null(0)

    def _in_order(self, key: str, window: Window, column: InputColumn) -> pl.Expr:
        """Build an aggregate that needs all values of a window, one by one."""
        values = pl.col(self._part("each", column.name, self.masks.of(window, column.name)))
        result = of_values(window, values, is_money=column.kind is ValueType.MONEY)
        if not isinstance(window, Largest) or column.kind is not ValueType.MONEY:
            return result
        self._totals[key] = result
        return result.cast(pl.Int64, strict=False)

    def _sum(self, key: str, window: Window, column: InputColumn) -> pl.Expr:
        total = self._total(window, column).fill_null(0)
        if column.kind is not ValueType.MONEY:
            return in_numbers(total)
        self._totals[key] = total
        return total.cast(pl.Int64, strict=False)

    def _count(self, window: Window, column: InputColumn | None) -> pl.Expr:
        return pl.col(self._part("count", TIME, self._known_mask(window, column))).fill_null(0).cast(pl.Float64)

    def _total(self, window: Window, column: InputColumn) -> pl.Expr:
        how = "money" if column.kind is ValueType.MONEY else "number"
        return pl.col(self._part(how, column.name, self.masks.of(window)))

    def _known_mask(self, window: Window, column: InputColumn | None) -> str:
        """Name the mask of facts whose value is known; an amount is always known."""
        return self.masks.of(window, None if column is None or column.kind is ValueType.MONEY else column.name)

    def _part(self, how: str, column: str, mask: str) -> str:
        """Name the result of *how* over the values of a column where a mask is true."""
        name = f"@{how} {column} {mask}"
        self.used.add(mask)
        self.sums.setdefault(name, _PARTS[how](pl.col(column), pl.col(mask)))
        return name


def quotient(value: pl.Expr, by: int) -> pl.Expr:
    """Divide by a constant as IEEE 754 defines: Polars itself multiplies by the inverse, which may be off by one bit.

    >>> float(pl.select(quotient(pl.lit(pl.Series([3.0, 7.0])), 10)).item(0, 0))
    0.3
    """
    return value / (value * 0 + by)


def in_numbers(total: pl.Expr) -> pl.Expr:
    """Convert whole billionths to numbers: large ones in two parts, as they would lose digits before the division."""
    small = quotient(total.cast(pl.Float64), NUMBER_UNITS)
    whole = (total // NUMBER_UNITS).cast(pl.Float64)
    large = whole + quotient((total % NUMBER_UNITS).cast(pl.Float64), NUMBER_UNITS)
    return pl.when(total.abs() <= EXACT).then(small).otherwise(large)


def billionths(value: pl.Expr) -> pl.Expr:
    """Convert numbers to whole billionths as they were written, to 15 digits.

    From a million on a billionth is finer than a float: 100000000.01 times a billion is not 100000000010000000. There
    the fraction is rounded to as many decimals as 15 digits leave.
    """
    whole = value.floor()
    large: Any = pl
    for digits in range(SMALL_DIGITS + 1, NUMBER_DIGITS + 1):  # before the point
        decimals = NUMBER_DIGITS - digits
        rounded = ((value - whole) * 10**decimals).round(mode="half_to_even").cast(pl.Int128)
        large = large.when(value.abs() < 10.0**digits).then(rounded * (NUMBER_UNITS // 10**decimals))
    whole_units = whole.cast(pl.Int128) * NUMBER_UNITS
    small = (value * NUMBER_UNITS).round(mode="half_to_even").cast(pl.Int128)
    exact = whole_units + large.otherwise(pl.lit(0, pl.Int128))
    return pl.when(value.abs() < 10.0**SMALL_DIGITS).then(small).otherwise(exact)


def _units(column: InputColumn) -> int:
    return 1 if column.kind is ValueType.MONEY else NUMBER_UNITS


def _where(value: pl.Expr, mask: pl.Expr) -> pl.Expr:
    """Keep the values where the mask is true; inside a group this takes half the time of a filter."""
    return pl.when(mask).then(value)


_PARTS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "count": lambda _, mask: mask.sum(),
    "money": lambda value, mask: _where(value, mask).cast(pl.Int128).sum(),
    "number": lambda value, mask: billionths(_where(value, mask)).sum(),
    "min": lambda value, mask: _where(value, mask).min(),
    "max": lambda value, mask: _where(value, mask).max(),
    "latest": lambda value, mask: _where(value, mask & (value > FROM_THE_START)).max(),
    "distinct": lambda value, mask: value.filter(mask).n_unique(),
    "each": lambda value, mask: value.filter(mask),
}


ROW = "@row"
FEW_ENTITIES = 10_000
"""Up to this many entities, leaving out the facts of all others first costs less than grouping them."""


def aggregate(
    entities: pl.DataFrame,
    sources: Mapping[str, LinkedFacts],
    aggregates: Sequence[Window],
    lists: Lists,
    signals: Collection[str] = (),
) -> pl.DataFrame:
    """Compute aggregates for every entity as of its own moment.

    Args:
        entities: `entity_id` (String) and `as_of` (Int64, microseconds); an entity may be in several rows.
        sources: the facts, by the name of their source.
        aggregates: every input that aggregates linked facts.
        lists: members of the named lists.
        signals: the keys of the aggregates whose latest fact is needed as well.

    Returns:
        One row per row of *entities*, in its order. For each aggregate, named by `input_key`: Float64, or for money
        Int64 of minor units (a mean Float64 of them); null where unknown. Beside it `signal_of` the key if the key
        is among *signals* (Int64, microseconds), and `error_of` the key if some values cannot be computed.

    Raises:
        InvalidRulesetError: the facts of a source are missing.
    """
    windows = {input_key(window): window for window in aggregates}
    missing = sorted({linked_source(window) for window in windows.values()} - set(sources))
    if missing:
        there = ", ".join(sorted(sources)) or "none"
        raise InvalidRulesetError(
            [Finding(source, f"are needed and missing; there are {there}") for source in missing],
            "the data",
        )
    frames = [entities.select(ENTITY)]
    for source, facts in sources.items():
        windows_of_source = {key: window for key, window in windows.items() if linked_source(window) == source}
        if windows_of_source:
            frames.append(_of_source(entities, facts, windows_of_source, lists, signals))
    return pl.concat(frames, how="horizontal").select(ENTITY, pl.exclude(ENTITY))


def _of_source(
    entities: pl.DataFrame, facts: LinkedFacts, windows: Mapping[str, Window], lists: Lists, signals: Collection[str]
) -> pl.DataFrame:
    row_number = pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW)
    rows = entities.select(row_number, pl.col(ENTITY).alias(LINKED_ENTITY), AS_OF).with_columns(
        **edges([*windows.values()])
    )
    partials = Partials(facts=facts, masks=Masks(facts, lists))
    for name, window in windows.items():
        partials.add(name, window, signal=name in signals)
    bounded = all(looked_at(window).over is not None for window in windows.values())
    grouped, key = _grouped(rows, partials, bounded=bounded)
    totals = grouped.agg(pl.col(UNREADABLE).any(), **partials.sums).collect(engine="streaming")
    values = partials.values(rows.join(totals, on=key, how="left", maintain_order="left"))
    return without_unreadable(values, rows, partials.masks, windows) if totals[UNREADABLE].any() else values


def _grouped(entities: pl.DataFrame, partials: Partials, *, bounded: bool) -> tuple[LazyGroupBy, str]:
    """Join every fact with the rows of its entity, and leave out early the facts outside all windows.

    If all rows have one as-of, it is a constant in the expressions, and the entity itself is the group. That takes a
    fifth less time than joining every fact with its entity's own moment.
    """
    rows = partials.facts.rows
    openings = [name for name in entities.columns if is_opening(name)]
    ends = [name for name in entities.columns if is_edge(name)]
    if len(entities) <= FEW_ENTITIES:
        rows = rows.filter(pl.col(LINKED_ENTITY).is_in(entities[LINKED_ENTITY].unique().implode()))
    if len(entities) and entities[AS_OF].n_unique() == 1 and not entities[LINKED_ENTITY].is_duplicated().any():
        moments, key = {name: pl.lit(entities[name][0], pl.Int64) for name in (AS_OF, *ends)}, LINKED_ENTITY
    else:
        rows = rows.join(entities.lazy(), on=LINKED_ENTITY, how="inner")
        moments, key = {name: pl.col(name) for name in (AS_OF, *ends)}, ROW
    undated = pl.col(TIME).is_null()  # such rows cannot be used, and are kept only to be reported
    rows = rows.filter((pl.col(TIME) <= moments[AS_OF]) | undated)
    if bounded and not partials.facts.as_known:  # the time as known at as-of may be later than the one here
        rows = rows.filter(pl.any_horizontal([undated, *(pl.col(TIME) > moments[name] for name in openings)]))
    facts = rows.with_columns(**moments).with_columns(*partials.facts.as_known)
    masks = partials.masks
    marked = facts.with_columns(**masks.parts).with_columns(**masks.wholes)
    # Grouping costs far more than this filter: usually most facts are older than any window, or irrelevant.
    return marked.filter(pl.any_horizontal(UNREADABLE, *sorted(partials.used))).group_by(key), key


_ROOT_DIGITS = 60
"""Digits of square roots: more than three times those of a number in a ruleset."""

_LEAST_FOR_DEVIATION = 2


def of_values(window: Window, values: pl.Expr, *, is_money: bool) -> pl.Expr:
    """Build an aggregate of lists of values.

    Args:
        window: a median, a percentile, the largest or a standard deviation.
        values: a list for each entity, of Int64 (money in minor units) or Float64; null is an empty one.
        is_money: whether the values are money.

    Returns:
        For money Int128 for the largest, Int64 for a percentile; otherwise Float64. Null where unknown.
    """
    find = _FUNCTIONS[type(window)]
    kind = _MONEY_TYPES.get(type(window), pl.Float64) if is_money else pl.Float64

    def compute(lists: pl.Series) -> pl.Series:
        results = [_result(find(window, _numbers(each, is_money=is_money)), kind) for each in lists.to_list()]
        return pl.Series(lists.name, results, dtype=kind)

    return values.map_batches(compute, return_dtype=kind)


_MONEY_TYPES: dict[type, Any] = {Largest: pl.Int128, Percentile: pl.Int64}


def of_plain_values(window: Window, values: Sequence[Any], *, is_money: bool) -> Any:
    """Compute the aggregate of one entity's values, none of them unknown; money as a whole number of any size."""
    kind = _MONEY_TYPES.get(type(window), pl.Float64) if is_money else pl.Float64
    return _result(_FUNCTIONS[type(window)](window, _numbers(values, is_money=is_money)), kind)


def _numbers(values: Sequence[Any] | None, *, is_money: bool) -> list[Any]:
    """Return the values in order, each exact."""
    ordered = sorted(values or ())
    return ordered if is_money else [written_number(value) for value in ordered]


def _result(result: Any, kind: Any) -> Any:
    return float_of(Fraction(result)) if result is not None and kind == pl.Float64 else result


def _median(_: Window, values: Sequence[Any]) -> Fraction | None:
    if not values:
        return None
    middle = len(values) // 2
    return Fraction(values[middle] + values[-middle - 1]) / 2


def rank(percentile: Decimal, count: int) -> int:
    """Return the position, from 1, of a percentile among *count* ordered values: the nearest rank.

    >>> rank(Decimal(95), 20), rank(Decimal(95), 21), rank(Decimal("0.5"), 3)
    (19, 20, 1)
    """
    return int((percentile * count / 100).to_integral_value(ROUND_CEILING))


def _percentile(window: Any, values: Sequence[Any]) -> Any:
    return values[rank(window.percentile, len(values)) - 1] if values else None


def _largest(window: Any, values: Sequence[Any]) -> Any:
    return sum(values[-window.n :], 0)


def _deviation(_: Window, values: Sequence[Any]) -> Fraction | None:
    count = len(values)
    if count < _LEAST_FOR_DEVIATION:
        return None
    variance = (count * sum(value * value for value in values) - sum(values) ** 2) / Fraction(count * (count - 1))
    with localcontext() as context:
        context.prec = _ROOT_DIGITS
        return Fraction((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())


_FUNCTIONS: dict[type, Callable[[Any, Sequence[Any]], Any]] = {
    Median: _median,
    Percentile: _percentile,
    Largest: _largest,
    StandardDeviation: _deviation,
}
