"""A ruleset for one entity: case, points and floor of every rule, total and level, as plain functions of its row.

It compiles the same checked rules as `risk.engine.program`, and gives the same codes, bit for bit. A policy is
evaluated in the same way: the outcome of each rule and the action, from the same checked conditions as
`risk.engine.policy_program`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import polars as pl

from fivefold.risk.compiler.analysis import VERSIONS_KEPT
from fivefold.risk.compiler.plain_conditions import NoPlainFormError, PlainCompiler, PlainTest, Row
from fivefold.risk.compiler.value_types import DTYPES, InputColumn
from fivefold.risk.engine.policy_program import ACTION, DECIDED, PolicyOutcome, PolicyProgram
from fivefold.risk.engine.program import (
    APPLIES,
    FAILED,
    FLOOR,
    HARD_FLOOR,
    TOTAL,
    TOTAL_LEVEL,
    UNDETERMINED,
    Program,
)
from fivefold.risk.engine.rules import MOST_HALVINGS, CompiledRule, length_us
from fivefold.risk.engine.totals import SLOTS, WEIGHTS_USED, points_of, rule_column
from fivefold.risk.facts.portfolio import AS_OF, error_of
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.quantities import point_units
from fivefold.risk.language.ruleset import Ruleset, TiersScore, WeightedScore

PlainLevel = Callable[[int], int | None]
"""Returns the number of a total's level; None if it has none."""


@dataclass(frozen=True, eq=False)
class PlainRule:
    """A rule as plain functions.

    Attributes:
        compiled: the rule with its codes and floors.
        conditions: one for each case.
    """

    compiled: CompiledRule
    conditions: tuple[PlainTest, ...]

    def outcome(self, row: Row, unreadable: frozenset[str]) -> tuple[int, int]:
        """Return the code and its slot, after decay."""
        rule = self.compiled
        if unreadable and not unreadable.isdisjoint(rule.reads):
            return rule.codes[rule.failed], rule.failed
        slot = rule.otherwise
        for place, condition in enumerate(self.conditions):
            holds = condition(row)
            if holds:
                return self._decayed(place, row) if rule.signal is not None else (rule.codes[place], place)
            if holds is None:
                slot = rule.unknown
        return rule.codes[slot], slot

    def _decayed(self, slot: int, row: Row) -> tuple[int, int]:
        rule, joined = self.compiled, self.compiled.codes[slot]
        points, signal = points_of(joined), row[str(rule.signal)]
        if points == 0:
            return joined, slot
        if signal is None:
            floor = rule.floors[slot]
            keeps = floor > 0 and floor >= rule.floors[rule.unknown]
            return (rule.timeless(slot), slot) if keeps else (rule.codes[rule.unknown], rule.unknown)
        assert rule.rule.decay is not None
        elapsed = max(row[AS_OF] - signal, 0)
        divisor = 2 ** min(elapsed // length_us(rule.rule.decay.half_life), MOST_HALVINGS)
        down = points // divisor
        twice_rest = (points - down * divisor) * 2
        is_up = twice_rest > divisor or (twice_rest == divisor and down % 2 == 1)
        return (down + is_up) * SLOTS + slot, slot

    def possible_floor(self, row: Row) -> int:
        """Return the highest floor that an unknown case may trigger, as `CompiledRule.possible_floor` does."""
        floors, holds = self.compiled.floors, [condition(row) for condition in self.conditions]
        highest = floors[self.compiled.otherwise] if None in holds else 0
        for truth, floor in zip(reversed(holds), floors[self.compiled.otherwise - 1 :: -1], strict=True):
            later = 0 if truth else highest
            highest = max(floor if truth is None else 0, later)
        return highest


@dataclass(frozen=True, eq=False, kw_only=True)
class SingleProgram:
    """A compiled ruleset for one entity.

    Attributes:
        program: the program for columns.
        rules: the rules, in order.
        applies: the predicate; None if the ruleset applies to every entity.
        reads: all columns that it reads.
        chosen: returns the position of the column of weights; None if none is chosen.
        level: returns the level of a total.
        batch_only: the places whose conditions have no plain form and are evaluated on columns.
    """

    program: Program
    rules: tuple[PlainRule, ...]
    applies: PlainTest | None
    reads: frozenset[str]
    chosen: Callable[[Row], int | None]
    level: PlainLevel
    batch_only: tuple[str, ...]

    def run(self, row: Row) -> dict[str, Any]:
        """Evaluate every rule for a row, as `Program.run` does; return the values by its columns, in its order.

        Args:
            row: a value for each column of a frame that `Program.run` takes.
        """
        program = self.program
        unreadable = frozenset(name for name in program.inputs if row.get(error_of(name)) is not None)
        outcome: dict[str, Any] = {}
        floor = hard_floor = total = 0
        points: dict[str, int] = {}
        is_failed = not unreadable.isdisjoint(self.reads)
        for rule in self.rules:
            compiled = rule.compiled
            code, slot = rule.outcome(row, unreadable)
            outcome[compiled.column] = code
            points[compiled.rule.id] = points_of(code)
            floor = max(floor, compiled.floors[slot])
            if compiled.floors[slot] > hard_floor and not compiled.rule.overridable:
                hard_floor = compiled.floors[slot]
        if program.total.columns:
            chosen = self.chosen(row)
            outcome[WEIGHTS_USED] = chosen
            weights = {} if chosen is None else program.total.weights[chosen]
            total = sum(points[rule] * weight for rule, weight in weights.items())
            is_failed |= chosen is None
        else:
            total = sum(points.values())
        applies = True if self.applies is None else self.applies(row)
        outcome[TOTAL] = total
        outcome[TOTAL_LEVEL] = self.level(total)
        outcome[FLOOR] = floor
        outcome[HARD_FLOOR] = hard_floor
        outcome[APPLIES] = applies is not False
        outcome[UNDETERMINED] = applies is None and unreadable.isdisjoint(program.applies_reads)
        outcome[FAILED] = is_failed
        return outcome

    def possible_floors(self, row: Row) -> tuple[int, int]:
        """Return the highest floors that unknown facts may trigger, of all rules and of hard ones."""
        floors = [(rule.possible_floor(row), rule.compiled.rule.overridable) for rule in self.rules]
        return max(floor for floor, _ in floors), max((floor for floor, soft in floors if not soft), default=0)


@lru_cache(maxsize=VERSIONS_KEPT)
def single_program(program: Program) -> SingleProgram:
    """Compile a ruleset for one entity, cached by program."""
    ruleset = program.ruleset
    batch_only: list[str] = []

    def plain(where: str, condition: Any, expression: pl.Expr, own: InputColumn | None = None) -> PlainTest:
        try:
            return PlainCompiler.of(program.inputs, program.lists, own).condition(condition)
        except NoPlainFormError:
            batch_only.append(where)
            return _asked_of_columns(expression, program)

    rules = []
    for rule in program.rules:
        own = None if rule.rule.input is None else program.inputs[input_key(rule.rule.input)]
        pairs = zip(rule.rule.cases, rule.conditions, strict=True)
        rules.append(PlainRule(rule, tuple(plain(rule.rule.id, case.when, one, own) for case, one in pairs)))
    applies = None
    if program.applies is not None:
        applies = plain("applies_to", ruleset.applies_to, program.applies)
    entity_reads = (*program.applies_reads, *program.weights_reads)
    return SingleProgram(
        program=program,
        rules=tuple(rules),
        applies=applies,
        reads=frozenset((*(name for rule in program.rules for name in rule.reads), *entity_reads)),
        chosen=_chosen(program, batch_only),
        level=_level(ruleset, program.total.scale),
        batch_only=tuple(dict.fromkeys(batch_only)),
    )


def _chosen(program: Program, batch_only: list[str]) -> Callable[[Row], int | None]:
    """Make the function that chooses the column of weights."""
    score, expression = program.ruleset.score, program.total.column
    if not isinstance(score, WeightedScore) or expression is None:
        return lambda _: None
    compiler, columns, choices = PlainCompiler.of(program.inputs, program.lists), program.total.columns, []
    try:
        for choice in score.weighted.weights_by:
            test = None if choice.when is None else compiler.condition(choice.when)
            choices.append((test, columns.index(choice.use)))
    except NoPlainFormError:
        batch_only.append("weights_by")
        return _asked_of_columns(expression, program)
    return lambda row: next((use for holds, use in choices if holds is None or holds(row)), None)


def _asked_of_columns(expression: pl.Expr, program: Program) -> Callable[[Row], Any]:
    """Make the function that evaluates an expression without a plain form on columns."""
    reads = {name: program.inputs[name] for name in expression.meta.root_names()}

    def test(row: Row) -> Any:
        columns = {
            name: pl.Series([row[name]], dtype=pl.Float64 if isinstance(row[name], float) else DTYPES[column.kind])
            for name, column in reads.items()
        }
        return pl.DataFrame(columns).select(expression).item()

    return test


def _level(ruleset: Ruleset, scale: int) -> PlainLevel:
    score = ruleset.score
    if isinstance(score, TiersScore):
        ends = [(_units(tier.min), _units(tier.max), ruleset.level_number(tier.level)) for tier in score.tiers]
        return lambda total: next((level for least, most, level in ends if _is_within(total, least, most)), None)
    thresholds = score.weighted.bands if isinstance(score, WeightedScore) else score.points.thresholds
    cuts = [int(threshold * scale) for threshold in thresholds]
    return lambda total: 1 + sum(total >= cut for cut in cuts)


def _units(end: Decimal | None) -> int | None:
    return None if end is None else point_units(end)


def _is_within(total: int, least: int | None, most: int | None) -> bool:
    return (least is None or total >= least) and (most is None or total <= most)


@dataclass(frozen=True, eq=False, kw_only=True)
class PlainPolicyRule:
    """A rule of a policy as plain functions.

    Attributes:
        column: the name of its outcome.
        when: the condition that must hold.
        unless: the condition that suppresses it; None for none.
        action: the position of the action that it gives if it holds.
        on_unknown: the position of the action that it gives if that is unknown; None for none.
    """

    column: str
    when: PlainTest
    unless: PlainTest | None
    action: int
    on_unknown: int | None

    def outcome(self, row: Row) -> tuple[PolicyOutcome, int | None]:
        """Return the outcome, and the position of the action that the rule gives; None for none."""
        holds = self.when(row)
        if holds is False:
            return PolicyOutcome.NOT_HELD, None
        gives = self.action if holds else self.on_unknown
        if gives is not None and self.unless is not None and self.unless(row):
            return PolicyOutcome.SUPPRESSED, None
        return (PolicyOutcome.HELD if holds else PolicyOutcome.UNKNOWN), gives


@dataclass(frozen=True, eq=False, kw_only=True)
class SinglePolicy:
    """A compiled policy for one entity.

    Attributes:
        rules: the rules, in order.
        otherwise: the position of the action if no rule gives one.
        is_first: whether the first rule that gives an action decides; otherwise the most severe action does, and of
            the rules that give it the first.
    """

    rules: Sequence[PlainPolicyRule]
    otherwise: int
    is_first: bool

    def run(self, row: Row) -> dict[str, Any]:
        """Decide for a row, as `PolicyProgram.run` does; return the values by the names of its columns."""
        outcomes: dict[str, Any] = {}
        decided, action = None, None
        for place, rule in enumerate(self.rules):
            outcomes[rule.column], gives = rule.outcome(row)
            if gives is not None and (action is None or (gives > action and not self.is_first)):
                decided, action = place, gives
        return {**outcomes, DECIDED: decided, ACTION: self.otherwise if action is None else action}


@lru_cache(maxsize=VERSIONS_KEPT)
def single_policy(program: PolicyProgram) -> SinglePolicy | None:
    """Compile a policy for one entity, cached by program; None if a condition has no plain form."""
    policy, compiler = program.policy, PlainCompiler.of(program.inputs, program.lists)
    try:
        rules = [
            PlainPolicyRule(
                column=rule_column(rule.id),
                when=compiler.condition(rule.when),
                unless=None if rule.unless is None else compiler.condition(rule.unless),
                action=policy.actions.index(rule.action),
                on_unknown=None if rule.on_unknown is None else policy.actions.index(rule.on_unknown),
            )
            for rule in policy.rules
        ]
    except NoPlainFormError:
        return None
    return SinglePolicy(rules=rules, otherwise=policy.actions.index(policy.otherwise), is_first=policy.wins == "first")
