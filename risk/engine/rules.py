"""Compiles a rule to one expression: the code of the first case that holds, or of otherwise, unknown or failed."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.engine.totals import SLOTS, code, points_column, points_of, rule_column, slot_column
from fivefold.risk.facts.portfolio import AS_OF, error_of, signal_of
from fivefold.risk.language.quantities import HOURS_A_DAY, Duration, point_units
from fivefold.risk.language.ruleset import Outcome, Rule, Ruleset

MOST_HALVINGS = 40
"""Half-lives after which nothing is left of any points that a rule can give."""


@dataclass(frozen=True, kw_only=True)
class CompiledRule:
    """A rule, ready to be evaluated.

    Attributes:
        rule: the rule as written.
        conditions: one for each case: true, false, or null where unknown.
        reads: the columns that the rule reads: those of its conditions, and of its decay's signal and its input.
        codes: the codes of the cases in order, then of `otherwise`, unknown and failed.
        floors: the level that the entity does not fall below, by slot; 0 for none.
        signal: the column of the moment from which decay counts.
    """

    rule: Rule
    conditions: tuple[pl.Expr, ...]
    _: KW_ONLY
    reads: tuple[str, ...]
    codes: tuple[int, ...]
    floors: tuple[int, ...]
    signal: str | None

    @property
    def column(self) -> str:
        """The name of the column of its codes."""
        return rule_column(self.rule.id)

    @property
    def otherwise(self) -> int:
        """The slot of `otherwise`."""
        return len(self.conditions)

    @property
    def unknown(self) -> int:
        """The slot of unknown."""
        return len(self.conditions) + 1

    @property
    def failed(self) -> int:
        """The slot of a rule that could not be evaluated."""
        return len(self.conditions) + 2

    def code(self, nulls: frozenset[str], errors: frozenset[str]) -> pl.Expr:
        """Return the expression of the rule's code, before decay.

        Columns outside *nulls* have no nulls, and columns outside *errors* have no unreadable values. Cases that only
        these could cause are left out, as a small frame's cost depends on the number of expressions.
        """
        reads = frozenset(self.reads)
        variant = (not reads.isdisjoint(nulls), reads & errors)
        if variant not in self._variants:
            self._variants[variant] = self._build(*variant)
        return self._variants[variant]

    @cached_property
    def _variants(self) -> dict[tuple[bool, frozenset[str]], pl.Expr]:
        return {}

    def _build(self, has_nulls: bool, errors: frozenset[str]) -> pl.Expr:
        failing = [pl.col(error_of(name)).is_not_null() for name in sorted(errors)]
        chain: Any = pl
        if failing:
            chain = pl.when(pl.any_horizontal(failing)).then(_lit(self.codes[self.failed]))
        for condition, joined in zip(self.conditions, self.codes, strict=False):
            chain = chain.when(condition).then(_lit(joined))
        if has_nulls:
            unknown = pl.any_horizontal([condition.is_null() for condition in self.conditions])
            chain = chain.when(unknown).then(_lit(self.codes[self.unknown]))
        expression: pl.Expr = chain.otherwise(_lit(self.codes[self.otherwise]))
        return expression.alias(self.column)

    @cached_property
    def possible_floor(self) -> pl.Expr:
        """The highest floor that an unknown case may trigger, if no case before it holds; 0 for none.

        If no case holds and one is unknown, perhaps none does, so the floor of `otherwise` is possible too.
        """
        unknown = pl.any_horizontal([condition.is_null() for condition in self.conditions])
        highest: pl.Expr = pl.when(unknown).then(_floor(self.floors[self.otherwise])).otherwise(_floor(0))
        for condition, floor in zip(reversed(self.conditions), self.floors[self.otherwise - 1 :: -1], strict=True):
            later = pl.when(condition.fill_null(False)).then(_floor(0)).otherwise(highest)
            own = pl.when(condition.is_null()).then(_floor(floor)).otherwise(_floor(0))
            highest = pl.max_horizontal(own, later) if floor else later
        return highest

    def decayed(self, raw: pl.Expr) -> pl.Expr:
        """Halve the points of a case for every half-life since the signal.

        Without a signal the points are those of unknown. The floor does not depend on the signal: it is the higher of
        the case's floor and the floor of unknown.
        """
        assert self.signal is not None
        assert self.rule.decay is not None
        half_life = length_us(self.rule.decay.half_life)
        elapsed = (pl.col(AS_OF) - pl.col(self.signal)).clip(lower_bound=0)
        halvings = (elapsed // half_life).clip(upper_bound=MOST_HALVINGS)
        points = points_column(raw)
        fades = (slot_column(raw) < self.otherwise) & (points != 0)
        timeless = fades & pl.col(self.signal).is_null()
        chain: Any = pl
        for slot, floor in enumerate(self.floors[: self.otherwise]):
            if floor and floor >= self.floors[self.unknown]:
                chain = chain.when(timeless & (slot_column(raw) == slot)).then(_lit(self.timeless(slot)))
        expression: pl.Expr = (
            chain.when(timeless)
            .then(_lit(self.codes[self.unknown]))
            .when(fades)
            .then(halved(points, halvings) * SLOTS + slot_column(raw))
            .otherwise(raw)
        )
        return expression

    def timeless(self, slot: int) -> int:
        """Return the code of a case whose floor holds, with the points of unknown."""
        return code(points_of(self.codes[self.unknown]), slot)


def length_us(half_life: Duration) -> int:
    """Convert days or hours to microseconds, exactly: 7 hours as a float of days give one too few."""
    return half_life.count * (DAY_US if half_life.unit == "day" else DAY_US // HOURS_A_DAY)


def _floor(level: int) -> pl.Expr:
    return pl.lit(level, pl.Int8)


def _lit(joined: int) -> pl.Expr:
    return pl.lit(joined, pl.Int64)


def halved(points: pl.Expr, halvings: pl.Expr) -> pl.Expr:
    """Halve whole numbers *halvings* times in one step, rounding half to even."""
    divisor = pl.lit(2, pl.Int64).pow(halvings)
    down = points // divisor
    twice_rest = (points - down * divisor) * 2
    up = (twice_rest > divisor) | ((twice_rest == divisor) & (down % 2 == 1))
    return down + up.cast(pl.Int64)


def compile_rule(rule: Rule, ruleset: Ruleset, compiler: Compiler, signal: str | None) -> CompiledRule:
    """Compile one rule.

    Args:
        rule: the rule, checked before.
        ruleset: the ruleset, with the levels that floors name.
        compiler: the compiler, with the rule's own input.
        signal: the column of the input whose latest moment decay counts from; None if the rule does not decay.
    """
    conditions = tuple(compiler.condition(case.when) for case in rule.cases)
    if signal is not None:
        compiler.reads |= dict.fromkeys((signal, signal_of(signal)))
    outcomes: Sequence[Outcome] = (*rule.cases, rule.otherwise, rule.on_unknown or rule.otherwise, Outcome())
    points = [point_units(outcome.points) if outcome.points is not None else 0 for outcome in outcomes]
    floors = [0 if outcome.floor is None else ruleset.level_number(outcome.floor) for outcome in outcomes]
    return CompiledRule(
        rule=rule,
        conditions=conditions,
        reads=tuple(compiler.reads),
        codes=tuple(code(units, slot) for slot, units in enumerate(points)),
        floors=tuple(floors),
        signal=None if signal is None else signal_of(signal),
    )
