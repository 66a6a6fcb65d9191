"""Finds when time alone may next change the rules' result: the first of the inputs' moments that matters.

A moment matters if some rule's case depends on an input that has moved by then. The conditions themselves show that:
with all such inputs made unknown, a rule that has the same case for all their values is settled.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import polars as pl

from fivefold.risk.compiler.analysis import VERSIONS_KEPT
from fivefold.risk.compiler.locations import tests_at
from fivefold.risk.compiler.plain_conditions import Row
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.program import Program
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.engine.single.rules import PlainRule, SingleProgram, single_program
from fivefold.risk.facts.moments import ANYTHING
from fivefold.risk.facts.portfolio import ENTITY, error_of
from fivefold.risk.language.expressions import input_key, input_of_test
from fivefold.risk.language.fields import ValueType

NEVER: Final = 2**63 - 1

_MOMENT, _NUMBER = "@moment", "@number"


def next_by_time(assessments: Assessments, limit: pl.Series) -> pl.Series:
    """Find for each entity the first moment after as-of at which time alone may change a rule's case.

    Args:
        assessments: the assessments, with the moments of their inputs.
        limit: for each, a moment (microseconds) from which nothing matters, as it is assessed again then anyway.

    Returns:
        Microseconds, in their order; never too late, and `NEVER` if nothing comes before the limit.
    """
    moments = assessments.moments
    assert moments is not None
    if len(moments) == 1:
        row = assessments.inputs.row(0, named=True)
        if all(value == value for value in row.values()):  # noqa: PLR0124 (NaN is not itself)
            moment_by_input = {
                name: at for name, at in moments.row(0, named=True).items() if at is not None and name != ENTITY
            }
            program = assessments.program
            first = next_of_row(single_program(program), row, moment_by_input, _asked_whether_known(program), limit[0])
            return pl.Series([NEVER if first is None else first], dtype=pl.Int64)
    return next_of_columns(assessments, moments, limit)


def next_of_columns(assessments: Assessments, moments: pl.DataFrame, limit: pl.Series) -> pl.Series:
    """Compute `next_by_time` by queries over columns, also for one entity."""
    results = pl.repeat(NEVER, len(moments), dtype=pl.Int64, eager=True)
    names = [name for name in moments.columns[1:] if moments[name].null_count() < len(moments)]
    if not names:
        return results
    renamed = {name: _next(name) for name in names}
    first = pl.min_horizontal(renamed.values())
    frame = (
        assessments.inputs.with_columns(
            moments[name].fill_null(NEVER).alias(column) for name, column in renamed.items()
        )
        .with_columns(first.alias(_MOMENT), limit.alias("@limit"))
        .with_row_index(_NUMBER)
    )
    matters = _matters(assessments.program, frozenset(names), frozenset(frame.columns))
    while True:
        frame = frame.filter((pl.col(_MOMENT) < pl.col("@limit")) & (pl.col(_MOMENT) != NEVER))
        if not len(frame):
            return results
        does = _with_unknown(frame, names).select(matters).to_series()
        now = frame.filter(does)
        results = results.scatter(now[_NUMBER], now[_MOMENT])
        later = [pl.when(pl.col(column) > pl.col(_MOMENT)).then(column) for column in renamed.values()]
        frame = frame.filter(~does).with_columns(pl.min_horizontal(*later, pl.lit(NEVER)).alias(_MOMENT))


def _next(name: str) -> str:
    return f"@next {name}"


def _moved(name: str) -> pl.Expr:
    """True where an input has moved by the tried moment."""
    return pl.col(_next(name)) <= pl.col(_MOMENT)


def _with_unknown(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """Make the inputs unknown that have moved by the tried moment."""
    return frame.with_columns(
        pl.when(~_moved(name)).then(pl.col(name)).alias(name) for name in names if name in frame.columns
    )


def _matters(program: Program, names: frozenset[str], columns: frozenset[str]) -> pl.Expr:
    """True where the moved inputs may change the outcome."""
    presence_inputs = _asked_whether_known(program)
    rules = [
        _unsettled(rule, names, columns, presence_inputs) for rule in program.rules if names.intersection(rule.reads)
    ]
    choices = [_moved(name) for name in program.weights_reads if name in names]
    matters = pl.any_horizontal([pl.lit(value=False), *rules, *choices])
    reads = [name for name in program.applies_reads if name in names]
    if program.applies is not None:
        moved = pl.any_horizontal([pl.lit(value=False), *(_unknown(name, columns) for name in reads)])
        if reads:
            moved |= pl.any_horizontal(map(_moved, reads)) & program.applies.is_null()
            moved |= pl.any_horizontal(
                [pl.lit(value=False), *(_moved(name) for name in reads if name in presence_inputs)]
            )
        matters = moved | (program.applies.fill_null(value=True) & matters)
    return matters | _moved(ANYTHING) if ANYTHING in names else matters


def _unknown(name: str, columns: frozenset[str]) -> pl.Expr:
    """True where an unreadable input has moved: then the rule failed, whatever its conditions give."""
    error = error_of(name)
    return _moved(name) & pl.col(error).is_not_null() if error in columns else pl.lit(value=False)


@lru_cache(maxsize=VERSIONS_KEPT)
def _asked_whether_known(program: Program) -> frozenset[str]:
    """Name the inputs whose presence is tested by `present` or `absent`, which is never unknown itself."""
    marks = {ValueType.MARK, ValueType.FINDING}
    keys = set()
    for place in program.analysed.conditions:
        for _, test in tests_at(place):
            subject = input_of_test(test) or place.own
            if subject is not None and any(operator == "is" for operator, _ in test.comparisons()):
                keys.add(input_key(subject))
    return frozenset(key for key in keys if program.inputs[key].kind not in marks)


def _unsettled(
    rule: CompiledRule, names: frozenset[str], columns: frozenset[str], presence_inputs: frozenset[str]
) -> pl.Expr:
    reads = [name for name in rule.reads if name in names]
    settled = pl.lit(value=True)
    for condition in reversed(rule.conditions):
        settled = pl.when(condition.is_null()).then(pl.lit(value=False)).otherwise(condition | settled)
    moved = pl.any_horizontal(map(_moved, reads))
    signal = _moved(rule.signal) if rule.signal in names else pl.lit(value=False)
    sure = [_unknown(name, columns) for name in reads] + [_moved(name) for name in reads if name in presence_inputs]
    return (moved & ~settled) | signal | pl.any_horizontal(sure)


def next_of_row(
    single: SingleProgram, row: Row, moments: Mapping[str, int], presence_inputs: Collection[str], limit: int
) -> int | None:
    """Find the first moment at which time alone may change a rule's case.

    Args:
        single: the ruleset.
        row: the inputs.
        moments: the moments at which inputs may change, by their keys.
        presence_inputs: the inputs whose presence a condition tests.
        limit: a moment from which nothing matters.

    Returns:
        The moment, in microseconds; None if nothing comes before the limit.
    """
    for moment in sorted(set(moments.values())):
        if moment >= limit:
            break
        moved = frozenset(name for name, at in moments.items() if at <= moment)
        then = {name: None if name in moved else value for name, value in row.items()}
        if _Then(single, then, moved, moved.intersection(presence_inputs)).matters():
            return moment
    return None


@dataclass(frozen=True)
class _Then:
    """An entity at a future moment.

    Attributes:
        single: the ruleset.
        row: the inputs, unknown if they have moved.
        moved: the names of the moved inputs.
        presence_inputs: those whose presence a condition tests, which is never unknown itself.
    """

    single: SingleProgram
    row: Row
    moved: frozenset[str]
    presence_inputs: frozenset[str]

    def matters(self) -> bool:
        """Check whether the moved inputs may change the outcome."""
        if ANYTHING in self.moved:
            return True
        program = self.single.program
        matters = not self.moved.isdisjoint(program.weights_reads) or any(map(self._is_unsettled, self.single.rules))
        if self.single.applies is None:
            return matters
        reads = self.moved.intersection(program.applies_reads)
        applies = self.single.applies(self.row)
        if reads and (applies is None or self._is_sure(reads)):
            return True
        return applies is not False and matters

    def _is_sure(self, reads: frozenset[str]) -> bool:
        """Check whether an input has moved that could not be read, or whose presence is tested."""
        return not self.presence_inputs.isdisjoint(reads) or any(
            self.row.get(error_of(name)) is not None for name in reads
        )

    def _is_unsettled(self, rule: PlainRule) -> bool:
        reads = self.moved.intersection(rule.compiled.reads)
        if not reads:
            return False
        if rule.compiled.signal in self.moved or self._is_sure(reads):
            return True
        for condition in rule.conditions:
            holds = condition(self.row)
            if holds is None:
                return True
            if holds:
                return False
        return False
