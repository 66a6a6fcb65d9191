"""A ruleset compiled for one set of list versions: expressions over a frame with one row per entity."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import polars as pl

from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed, AnalysedRuleset, signal_of_rule
from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.value_types import InputColumn, column_for
from fivefold.risk.engine.levels import POSSIBLE_FLOOR, POSSIBLE_HARD_FLOOR
from fivefold.risk.engine.rules import CompiledRule, compile_rule
from fivefold.risk.engine.totals import WEIGHTS_USED, Total, slot_column, total_of
from fivefold.risk.facts.portfolio import AS_OF, ListVersion, error_of, signal_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.ruleset import Ruleset

TOTAL, TOTAL_LEVEL, FLOOR, HARD_FLOOR, APPLIES, UNDETERMINED, FAILED = (
    "total",
    "total_level",
    "floor",
    "hard_floor",
    "applies",
    "undetermined",
    "failed",
)
"""Columns besides the rules' codes. A hard floor is one that no override may go below."""

_SMALL_ROWS = 1_000
"""Up to this many rows a frame's cost depends on the number of expressions, above on the number of rows."""


@dataclass(
    frozen=True, eq=False, kw_only=True
)  # expressions have no equality; things prepared for a program are cached by it
class Program:
    """A compiled ruleset.

    Attributes:
        analysed: the ruleset.
        inputs: the column of every input that it reads, by its key.
        signals: the columns of moments from which decay counts, by rule.
        rules: the compiled rules, in order.
        total: the functions from codes to a total and a level.
        applies: the predicate; None if the ruleset applies to every entity.
        applies_reads: the columns that the predicate reads.
        weights_reads: the columns that the choice of weights reads.
        lists: the members of the lists that it was compiled for.
    """

    analysed: AnalysedRuleset
    inputs: Mapping[str, InputColumn]
    signals: Mapping[str, str]
    rules: tuple[CompiledRule, ...]
    total: Total
    applies: pl.Expr | None
    applies_reads: tuple[str, ...]
    weights_reads: tuple[str, ...]
    lists: Mapping[str, Sequence[str]]

    @property
    def ruleset(self) -> Ruleset:
        """The ruleset that is compiled."""
        return self.analysed.ruleset

    def run(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Evaluate every rule for every row.

        Args:
            frame: a column for each of `inputs` and `signals`; null where unknown; `error_of` a column if some values
                could not be read; `as_of`.

        Returns:
            A column of codes for each rule, after decay, and the columns named above: total (in units of
            `total.scale`), total_level (null if no tier contains the total), floor and hard_floor (0 for none),
            applies (false where the predicate is false), undetermined (true where it is unknown), failed. A failed
            rule adds nothing to the total.
        """
        return self.collect(self.plan(frame), frame)[self.outputs]

    def plan(self, frame: pl.DataFrame, *also: str | pl.Expr) -> pl.LazyFrame:
        """Plan `run`, with the columns *also* of the frame: further steps cost less than a run of their own."""
        nulls = frozenset(name for name, count in zip(frame.columns, frame.null_count().row(0), strict=True) if count)
        there = set(frame.columns)
        errors = frozenset(name for name, wrong in self._errors if wrong in there)
        codes = [rule.code(nulls, errors) for rule in self.rules]
        also_names = {name for name in also if isinstance(name, str)}
        beside = [name for name in self._decay_columns if name not in also_names]
        entity = self._entity_columns(errors) if errors else self._readable_entity_columns
        plan = frame.lazy().select(*codes, *entity, *also, *beside)
        for stage in self._stages:
            plan = plan.with_columns(stage)
        return plan

    @staticmethod
    def collect(plan: pl.LazyFrame, frame: pl.DataFrame) -> pl.DataFrame:
        """Execute a plan that was made for a frame."""
        small = len(frame) <= _SMALL_ROWS
        flags = pl.QueryOptFlags._eager() if small else pl.QueryOptFlags.none()  # noqa: SLF001 (as eager frames do)
        return plan.collect(optimizations=flags)

    @cached_property
    def _errors(self) -> list[tuple[str, str]]:
        return [(name, error_of(name)) for name in self.inputs]

    @cached_property
    def _decay_columns(self) -> list[str]:
        return [AS_OF, *dict.fromkeys(self.signals.values())] if self.signals else []

    @cached_property
    def _stages(self) -> list[list[pl.Expr]]:
        total = self.total.sum([rule.rule.id for rule in self.rules]).alias(TOTAL)
        hard = [rule for rule in self.rules if not rule.rule.overridable]
        hard_floor = pl.col(FLOOR) if len(hard) == len(self.rules) else _highest_floor(hard)
        level = self.total.level(pl.col(TOTAL)).alias(TOTAL_LEVEL)
        last = [level, hard_floor.alias(HARD_FLOOR)]
        stages = [self._decays(), [_highest_floor(self.rules).alias(FLOOR), total], last]
        return [stage for stage in stages if stage]

    @cached_property
    def _readable_entity_columns(self) -> list[pl.Expr]:
        return self._entity_columns(frozenset())

    @cached_property
    def outputs(self) -> list[str]:
        """The columns that `run` returns."""
        weights = [WEIGHTS_USED] if self.total.columns else []
        return [
            *(rule.column for rule in self.rules),
            *weights,
            TOTAL,
            TOTAL_LEVEL,
            FLOOR,
            HARD_FLOOR,
            APPLIES,
            UNDETERMINED,
            FAILED,
        ]

    @cached_property
    def floor_by(self) -> pl.Expr:
        """The name of the first rule with the highest floor; null if there is none."""
        chain: Any = pl
        for rule in self.rules:
            if any(rule.floors):
                hit = (pl.col(FLOOR) > 0) & (floor_of(rule) == pl.col(FLOOR))
                chain = chain.when(hit).then(pl.lit(rule.rule.id))
        return pl.lit(None, pl.String) if chain is pl else chain.otherwise(None)

    def possible_floors(self, frame: pl.DataFrame) -> list[pl.Expr]:
        """Return the expressions of the floors that unknown facts may trigger, for all rules and for hard ones."""
        nulls = {name for name, count in zip(frame.columns, frame.null_count().row(0), strict=True) if count}
        open_to = [rule for rule in self.rules if not nulls.isdisjoint(rule.reads)]
        hard = [rule for rule in open_to if not rule.rule.overridable]
        kinds = ((POSSIBLE_FLOOR, open_to), (POSSIBLE_HARD_FLOOR, hard))
        return [
            _highest([rule.possible_floor for rule in rules if any(rule.floors)]).alias(name) for name, rules in kinds
        ]

    def _entity_columns(self, errors: frozenset[str]) -> list[pl.Expr]:
        def unreadable(reads: Iterable[str]) -> pl.Expr:
            errors_met = [pl.col(error_of(name)).is_not_null() for name in sorted(errors.intersection(reads))]
            return pl.any_horizontal(errors_met) if errors_met else pl.lit(False)

        # Only a false predicate excludes an entity; a value that could not be read is a failure.
        applies = pl.lit(True) if self.applies is None else self.applies.fill_null(True)
        undetermined = pl.lit(False)
        if self.applies is not None:
            undetermined = self.applies.is_null() & ~unreadable(self.applies_reads)
        rule_reads = (name for rule in self.rules for name in rule.reads)
        failed = unreadable({*rule_reads, *self.applies_reads, *self.weights_reads})
        columns = [applies.alias(APPLIES), undetermined.alias(UNDETERMINED)]
        if self.total.column is not None:
            failed |= self.total.column.is_null()
            columns.append(self.total.column.alias(WEIGHTS_USED))
        return [*columns, failed.alias(FAILED)]

    def _decays(self) -> list[pl.Expr]:
        return [rule.decayed(pl.col(rule.column)).alias(rule.column) for rule in self.rules if rule.signal]


def _highest_floor(rules: Sequence[CompiledRule]) -> pl.Expr:
    return _highest([floor_of(rule) for rule in rules if any(rule.floors)])


def _highest(floors: Sequence[pl.Expr]) -> pl.Expr:
    return pl.max_horizontal(floors) if floors else pl.lit(0, pl.Int8)


def floor_of(rule: CompiledRule) -> pl.Expr:
    """Return the level of the outcome's floor; a decayed code has other points, so there the slot decides."""
    outcome = slot_column(pl.col(rule.column)) if rule.signal else pl.col(rule.column)
    chain: Any = pl
    for slot, (joined, level) in enumerate(zip(rule.codes, rule.floors, strict=True)):
        if level:
            chain = chain.when(outcome == (slot if rule.signal else joined)).then(pl.lit(level, pl.Int8))
    floor: pl.Expr = chain.otherwise(pl.lit(0, pl.Int8))
    return floor


def compile_ruleset(analysed: AnalysedRuleset, lists: Mapping[str, Sequence[str]], base: str) -> Program:
    """Compile a ruleset that was checked before.

    Args:
        analysed: the ruleset.
        lists: the members of every list that it names.
        base: the currency of money.
    """
    ruleset, names = analysed.ruleset, analysed.names
    inputs: dict[str, InputColumn] = {}

    def resolve(rule_input: LanguageModel) -> InputColumn:
        key = input_key(rule_input)
        if key not in inputs:
            inputs[key] = column_for(rule_input, names, base)
        return inputs[key]

    signals = {rule.id: input_key(signal_of_rule(rule)) for rule in ruleset.rules if rule.decay is not None}
    rules = []
    for each in analysed.inputs:
        resolve(each)
    for rule in ruleset.rules:
        own = None if rule.input is None else resolve(rule.input)
        rules.append(compile_rule(rule, ruleset, Compiler(resolve, lists, own), signals.get(rule.id)))
    entity, choice = Compiler(resolve, lists), Compiler(resolve, lists)
    applies = None if ruleset.applies_to is None else entity.condition(ruleset.applies_to)
    total = total_of(ruleset, choice.condition)
    moments = {rule: signal_of(key) for rule, key in signals.items()}
    return Program(
        analysed=analysed,
        inputs=inputs,
        signals=moments,
        rules=tuple(rules),
        total=total,
        applies=applies,
        applies_reads=tuple(entity.reads),
        weights_reads=tuple(choice.reads),
        lists=lists,
    )


Source = TypeVar("Source", bound=Analysed[Any])
Compiled = TypeVar("Compiled")


def compiled_once(
    compile_for: Callable[[Source, Mapping[str, Sequence[str]], str], Compiled],
) -> Callable[[Source, Mapping[str, ListVersion], str], Compiled]:
    """Return a function that compiles for some versions of lists and a base currency, cached by content."""

    @lru_cache(maxsize=VERSIONS_KEPT)
    def compiled(analysed: Source, members: tuple[tuple[str, tuple[str, ...]], ...], base: str) -> Compiled:
        return compile_for(analysed, dict(members), base)

    def for_versions(analysed: Source, versions: Mapping[str, ListVersion], base: str) -> Compiled:
        return compiled(analysed, tuple((name, version.members) for name, version in sorted(versions.items())), base)

    return for_versions


program_for = compiled_once(compile_ruleset)
