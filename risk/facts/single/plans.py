"""Makes the plan for one entity: a step for each input, after those of its parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import minor_units
from fivefold.risk.compiler.analysis import VERSIONS_KEPT
from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.compiler.figures import is_money_in_fractions
from fivefold.risk.compiler.formulas import (
    QUOTIENTS,
    TooLargeError,
    exact_value,
    float_of,
    formula,
    parts_of_quotient,
)
from fivefold.risk.compiler.plain_conditions import NoPlainFormError
from fivefold.risk.compiler.ratios import decimals_of_ratio, divided, units_of_ratio
from fivefold.risk.compiler.value_types import DTYPES, SOURCES, Vocabulary, column_for
from fivefold.risk.facts.inputs import LEVEL_TYPES, Needs, own_fields, part_of, parts_of
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.peers import plain_peers, reference_in
from fivefold.risk.facts.portfolio import (
    AS_OF,
    ENTITY,
    INTERVAL_ENDS,
    VALUE_CURRENCY,
    VALUE_MONEY,
    error_of,
    lacking_of,
    path_of,
    signal_of,
)
from fivefold.risk.facts.single.aggregates import plain_aggregate
from fivefold.risk.facts.single.context import EntityContext, InputPlan, Step
from fivefold.risk.facts.single.patterns import plain_pattern
from fivefold.risk.facts.single.values import LeftToColumnsError, own_rows, read_plain
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    CalculationInput,
    DaysSince,
    FieldInput,
    IndicatorInput,
    Linked,
    Ratio,
    ScreeningInput,
    TagInput,
    ValueInput,
    Window,
    input_key,
)
from fivefold.risk.language.fields import (
    CASE_FIELDS,
    SCREENING_FIELDS,
    TAG_FIELDS,
    TRANSACTION_FIELDS,
    FieldType,
)
from fivefold.risk.language.peers import PeerFact, PeerInput, PeerPercentile, TimesPeerMedian
from fivefold.risk.language.policy import LevelInput, PolicyRatio, TransactionInput


@lru_cache(maxsize=VERSIONS_KEPT)
def plan_for(
    needs: Needs, members: tuple[tuple[str, tuple[str, ...]], ...], base: str, by_columns: frozenset[str] = frozenset()
) -> InputPlan:
    """Make the plan, cached by members of lists and base currency.

    Inputs that read the sources *by_columns*, and those computed from them, are left to the columns.
    """
    return _Planner(needs, dict(members), base, by_columns).plan()


def fields_of(source: str, names: Vocabulary, base: str) -> LinkedFacts:
    """Return the fields of a source, without facts; *base* is the base currency."""
    rows = pl.LazyFrame()
    if source == "transactions":
        fields = {**own_fields(names), **TRANSACTION_FIELDS}
        return LinkedFacts(rows, fields, base=base, usual=pl.lit(value=True), usual_field="state")
    if source == "tags":
        return LinkedFacts(rows, TAG_FIELDS)
    if source == "screenings":
        return LinkedFacts(rows, SCREENING_FIELDS, usual=pl.lit(value=True), usual_field="found")
    return LinkedFacts(rows, {**names.case, **CASE_FIELDS})


@dataclass
class _Planner:
    """Collects the steps, and the inputs without a plain form."""

    needs: Needs
    lists: Lists
    base: str
    by_columns: frozenset[str] = frozenset()
    left: dict[str, LanguageModel] = field(default_factory=dict)

    def plan(self) -> InputPlan:
        """Make a step for every input that has a plain form."""
        steps: dict[str, Step] = {}
        everything = self.needs.everything()
        for each in everything:
            try:
                steps[input_key(each)] = self._step(each)
            except NoPlainFormError:
                self.left[input_key(each)] = each
        columns = {ENTITY: pl.String, AS_OF: pl.Int64}
        for each in sorted(everything, key=self._place):
            columns |= self._columns(each)
        columns |= {signal_of(input_key(each)): pl.Int64 for each in self.needs.signals if isinstance(each, FieldInput)}
        return InputPlan(needs=self.needs, steps=steps, columns=columns, batch_only=tuple(self.left.values()))

    @cached_property
    def _signals(self) -> frozenset[str]:
        return frozenset(map(input_key, self.needs.signals))

    def _step(self, each: Any) -> Step:
        """Make the step of an input; raises NoPlainFormError if it, or a part of it, has no plain form."""
        key = input_key(each)
        if part_of(each) in self.by_columns:
            raise NoPlainFormError(key)
        if any(input_key(part) in self.left for part in parts_of(each, self.needs.names)):
            raise NoPlainFormError(key)
        if isinstance(each, Window) and part_of(each) in SOURCES:
            return _aggregate(each, str(part_of(each)), self)
        if hasattr(each, "pattern"):
            return _pattern(each, self)
        if type(each) not in _STEPS or (isinstance(each, Window) and part_of(each) is not None):
            raise NoPlainFormError(key)
        return _STEPS[type(each)](each, self)

    def shell(self, source: str) -> LinkedFacts:
        """Return the fields of a source, without facts."""
        return fields_of(source, self.needs.names, self.base)

    def _place(self, each: LanguageModel) -> int:
        """Return the position of an input's columns, in the order of the queries."""
        if isinstance(each, Window) and part_of(each) is not None:
            return 2 + SOURCES.index(str(part_of(each)))
        if hasattr(each, "pattern") or isinstance(each, Ratio):
            return 2 + len(SOURCES)
        if isinstance(each, PeerInput | PeerFact):
            return 4 + len(SOURCES)
        return 3 + len(SOURCES) if isinstance(each, CalculationInput) else int(isinstance(each, TransactionInput))

    def _columns(self, each: LanguageModel) -> dict[str, Any]:
        key, column = input_key(each), column_for(each, self.needs.names, self.base)
        columns = {key: pl.Float64 if is_money_in_fractions(each) else DTYPES[column.kind]}
        is_counted = hasattr(each, "pattern") or (key in self._signals and not isinstance(each, FieldInput))
        if isinstance(each, Linked):
            columns[path_of(key)] = pl.String
        columns |= {signal_of(key): pl.Int64} if is_counted else {}
        return columns | ({lacking_of(key): pl.Int64} if hasattr(each, "counterparty") else {})


def _aggregate(window: Window, source: str, planner: _Planner) -> Step:
    key, aggregate = input_key(window), plain_aggregate(window, planner.shell(source), planner.lists)

    def step(context: EntityContext) -> Any:
        value, context.values[signal_of(key)] = aggregate(context.facts(source))
        return value

    return step


def _pattern(pattern: Any, planner: _Planner) -> Step:
    key, find = input_key(pattern), plain_pattern(pattern, minor_units(planner.base))

    def step(context: EntityContext) -> Any:
        result = find(context.facts("transactions"), context.values)
        context.values[signal_of(key)], context.values[lacking_of(key)] = result.latest, result.lacking
        return result.number

    return step


def _field(each: FieldInput, planner: _Planner) -> Step:
    name, key = each.field, input_key(each)
    declared = planner.needs.names.entity[name]

    def step(context: EntityContext) -> Any:
        context.values[signal_of(key)] = value = _value_of_field(context, name, declared)
        return value

    return step


def _value_of_field(context: EntityContext, name: str, declared: FieldType) -> Any:
    there = context.entities.columns
    if name not in there or (error_of(name) in there and context.entities[error_of(name)][0] is not None):
        raise LeftToColumnsError(name)
    return read_plain(context.entities[name], declared)[0]


def _days_since(each: DaysSince, planner: _Planner) -> Step:
    name = each.days_since
    declared = planner.needs.names.entity[name]

    def step(context: EntityContext) -> Any:
        moment = _value_of_field(context, name, declared)
        return None if moment is None else float(context.as_of - moment) / float(DAY_US)

    return step


def _tag(each: TagInput, _: _Planner) -> Step:
    def step(context: EntityContext) -> bool:
        return any(
            tag == each.tag and (begin is None or begin <= context.as_of) and (end is None or context.as_of < end)
            for tag, begin, end in context.tags
        )

    return step


def _screening(each: ScreeningInput, _: _Planner) -> Step:
    def step(context: EntityContext) -> Any:
        results = [
            (-1 if at is None else 0, at or 0, result)
            for word, at, result in context.screenings
            if word == each.screening and result is not None and (at is None or at <= context.as_of)
        ]
        # Of two at the same moment the later one in the frame holds.
        return max(enumerate(results), key=lambda one: (*one[1][:2], one[0]))[1][2] if results else None

    return step


def _transaction(each: TransactionInput, planner: _Planner) -> Step:
    column, currency = planner.shell("transactions").column(each.transaction, each.in_currency).name, each.in_currency

    def step(context: EntityContext) -> Any:
        row = context.pending
        return None if row is None or (currency is not None and row["currency"] != currency) else row[column]

    return step


def _look_up(part: str, column: str, kind: Any) -> Step:
    def step(context: EntityContext) -> Any:
        frame = getattr(context.portfolio, part)
        if column in INTERVAL_ENDS and column not in frame.columns:
            return None
        if frame.schema.get(column) != kind:
            raise LeftToColumnsError(column)
        mine = own_rows(frame, context.entity)
        if len(mine) > 1:
            raise LeftToColumnsError(part)
        value = mine[column][0] if len(mine) else None
        return None if value != value else value  # noqa: PLR0124 (NaN is not itself)

    return step


def _value(name: str, base: str) -> Step:
    look_up = _look_up("values", name, pl.String if name == "segment" else pl.Float64)

    def step(context: EntityContext) -> Any:
        values = context.portfolio.values
        if name in VALUE_MONEY and values is not None and VALUE_CURRENCY in values.columns:
            currency = own_rows(values, context.entity)[VALUE_CURRENCY]
            if any(each not in {None, base} for each in currency):
                raise LeftToColumnsError(VALUE_CURRENCY)
        return look_up(context)

    return step


def _ratio(ratio: Ratio, planner: _Planner) -> Step:
    first, second = map(input_key, ratio.ratio)
    times, by = units_of_ratio(ratio, planner.needs.names, planner.base)
    decimals = decimals_of_ratio(ratio, planner.needs.names)

    def step(context: EntityContext) -> Any:
        over, under = context.values[first], context.values[second]
        if over is None or under is None or under == 0:
            return None
        return divided(float(over), float(under), times, by, decimals)

    return step


def _calculation(each: CalculationInput, planner: _Planner) -> Step:
    names, base = planner.needs.names, planner.base
    exact_formula = formula(names.calculations[each.calculation])
    parts = [_exact(part, planner) for part in exact_formula.inputs]
    key, units = _exact_name(each), column_for(each, names, base).units

    def step(context: EntityContext) -> Any:
        context.values[key] = None
        exact = [part(context) for part in parts]
        if any(part is None for part in exact):
            return None
        try:
            result = context.values[key] = exact_formula.function(exact)
            return float_of(result * units if units > 1 else result)
        except ZeroDivisionError:
            return None
        except TooLargeError:
            raise LeftToColumnsError(each.calculation) from None

    return step


def _exact_name(each: LanguageModel) -> str:
    """Name the exact number of a calculation among the values; it is not a column."""
    return f"@exact {input_key(each)}"


def _exact(part: Any, planner: _Planner) -> Step:
    """Make the step that returns the exact number of a calculation's input."""
    if isinstance(part, CalculationInput):
        name = _exact_name(part)
        return lambda context: context.values[name]
    if isinstance(part, QUOTIENTS):
        total, count = (_exact(each, planner) for each in parts_of_quotient(part))

        def quotient(context: EntityContext) -> Any:
            whole, number = total(context), count(context)
            return whole / number if whole is not None and number else None

        return quotient
    key, column = input_key(part), column_for(part, planner.needs.names, planner.base)
    read = exact_value(part, column.kind, column.units)
    return lambda context: None if context.values[key] is None else read(context.values[key])


def _peers(each: Any, planner: _Planner) -> Step:
    value_of = plain_peers(each, reference_in(planner.lists, planner.needs.names.reference, planner.base))

    def step(context: EntityContext) -> Any:
        if context.portfolio.peers is not None:
            raise LeftToColumnsError("peers")
        return value_of(context.values)

    return step


_STEPS: Mapping[type, Callable[[Any, _Planner], Step]] = {
    FieldInput: _field,
    DaysSince: _days_since,
    TagInput: _tag,
    ScreeningInput: _screening,
    IndicatorInput: lambda each, _: _look_up("indicators", each.indicator, pl.Float64),
    ValueInput: lambda each, planner: _value(each.value, planner.base),
    LevelInput: lambda each, _: _look_up("levels", each.level, LEVEL_TYPES[each.level]),
    TransactionInput: _transaction,
    Ratio: _ratio,
    PolicyRatio: _ratio,
    CalculationInput: _calculation,
    PeerPercentile: _peers,
    TimesPeerMedian: _peers,
    PeerFact: _peers,
}
