"""The value type of each input of a ruleset, and the literals that it can be compared with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError

from fivefold.domain.money import minor_units
from fivefold.domain.text import perhaps
from fivefold.features.indicator_matrix import catalogue
from fivefold.risk.compiler.figures import is_age
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    AGGREGATE_WORDS,
    VALUES,
    CalculationInput,
    Count,
    DaysSince,
    Distinct,
    FieldInput,
    IndicatorInput,
    Linked,
    LinkedGroup,
    Mean,
    Median,
    New,
    Percentile,
    Ratio,
    ScreeningInput,
    Share,
    StandardDeviation,
    TagInput,
    ValueInput,
    Window,
    distinct,
    input_key,
    input_of_test,
    inputs_compared,
    tests_in,
    word_of,
)
from fivefold.risk.language.fields import (
    CASE_FIELDS,
    MONEY_FIELDS,
    SCREENING_FIELDS,
    TAG_FIELDS,
    TRANSACTION_FIELDS,
    FieldType,
    StepOutput,
    ValueType,
    value_type_of,
)
from fivefold.risk.language.peers import PeerFact, PeerInput, peers_of
from fivefold.risk.language.policy import LevelInput, PolicyRule, StepInput, TransactionInput
from fivefold.risk.language.quantities import MomentText
from fivefold.risk.language.ruleset import LinkType, Rule

_MOMENT: TypeAdapter[int] = TypeAdapter(MomentText)
NUMERIC_TYPES = frozenset({ValueType.NUMBER, ValueType.MONEY, ValueType.FINDING})

DTYPES: Mapping[ValueType, Any] = {
    ValueType.TEXT: pl.String,
    ValueType.NUMBER: pl.Float64,
    ValueType.MONEY: pl.Int64,
    ValueType.FLAG: pl.Boolean,
    ValueType.MOMENT: pl.Int64,
    ValueType.TEXTS: pl.List(pl.String),
    ValueType.MARK: pl.Boolean,
    ValueType.FINDING: pl.Float64,
    ValueType.LEVEL: pl.Int64,
}
"""The column type of each kind; money that is a mean is Float64 instead."""


@dataclass(frozen=True)
class InputColumn:
    """A column that conditions read.

    Attributes:
        name: its name in the frame.
        kind: the kind of its values. The column is Float64 for numbers and findings, Int64 for moments, Int64 of minor
            units for money (Float64 for a mean), Int64 from 1 for levels, Boolean for flags and marks, and String, or a
            list of it, for text.
        units: the minor units in one unit of money; 1 for other kinds.
        levels: the names of levels, lowest first; empty for other kinds.
        is_age: whether it is days since a moment.
    """

    name: str
    kind: ValueType
    units: int = 1
    levels: tuple[str, ...] = ()
    _: KW_ONLY
    is_age: bool = False

    @property
    def expr(self) -> pl.Expr:
        """The column itself."""
        return pl.col(self.name)


def misfit(kind: ValueType, value: Any) -> str | None:
    """Explain why a value cannot be compared with a kind; None if it can.

    >>> misfit(ValueType.NUMBER, "ten")
    "compares a number with 'ten'; write one as 10000 or 0.5, without quotes and separators"
    """
    if kind is ValueType.MOMENT:
        try:
            _MOMENT.validate_python(value)
        except ValidationError:
            return f"compares a date with {_quoted(value)}; write one as 2024-07-01"
        return None
    if kind is ValueType.LEVEL:
        return None if isinstance(value, str | Decimal) else f"compares a level with {_quoted(value)}; write its name"
    required: type = Decimal if kind in NUMERIC_TYPES else bool if kind in {ValueType.FLAG, ValueType.MARK} else str
    if isinstance(value, required):
        return None
    hint = _HINTS.get(required, "") if isinstance(value, str) else ""
    return f"compares {value_type_phrase(kind)} with {_quoted(value)}{hint}"


def value_type_phrase(kind: ValueType) -> str:
    """Name a kind in a sentence.

    >>> value_type_phrase(ValueType.MONEY), value_type_phrase(ValueType.FLAG)
    ('an amount of money', 'a flag')
    """
    return "an amount of money" if kind is ValueType.MONEY else f"a {kind}"


_HINTS = {Decimal: "; write one as 10000 or 0.5, without quotes and separators", bool: "; write true or false"}


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, Decimal) else repr(value)


def ordinal(kind: ValueType, value: Any, levels: Sequence[str] = ()) -> Any:
    """Return the sort key of a value among its kind: moments by microseconds, levels by their number from 1."""
    if kind is ValueType.LEVEL:
        return level_number(value, levels)
    return _MOMENT.validate_python(value) if kind is ValueType.MOMENT else value


def level_number(level: Any, levels: Sequence[str]) -> int | None:
    """Return the number, from 1 (lowest), of a level written as its name or number; None if there is no such level.

    Names are tried before numbers, also names that are numbers, such as "3".

    >>> level_number("high", ("low", "high")), level_number(Decimal(1), ("low", "high")), level_number("3", ("a", "b"))
    (2, 1, None)
    """
    if level in levels:
        return levels.index(level) + 1
    is_number = isinstance(level, int | Decimal) and level == int(level) and 1 <= level <= len(levels)
    return int(level) if is_number else None


def literal(column: InputColumn, value: Any) -> pl.Expr:
    """Build the literal of *value* for a column.

    Money is compared in minor units: a bound between two of them is a fraction, which 64-bit floats hold exactly
    enough, as whole minor units are below 2^53.
    """
    if column.kind is ValueType.MONEY:
        minor = value * column.units
        return pl.lit(int(minor), pl.Int64) if minor == minor.to_integral_value() else pl.lit(float(minor), pl.Float64)
    if column.kind in {ValueType.MOMENT, ValueType.LEVEL}:
        return pl.lit(ordinal(column.kind, value, column.levels), pl.Int64)
    return pl.lit(float(value), pl.Float64) if column.kind in NUMERIC_TYPES else pl.lit(value)


SOURCES = ("transactions", "cases", "alerts", "tags", "screenings")
_NUMBERS = frozenset({ValueType.NUMBER, ValueType.MONEY})


class UnknownNameError(LookupError):
    """An input names something unknown, or something of the wrong type; the message names what would be right."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The names that inputs may use.

    Attributes:
        entity: fields of the entity.
        transaction: fields of its transactions.
        case: fields of its cases and alerts.
        levels: the names of levels, lowest first.
        calculations: the calculations, by name.
        links: the types of links, by name.
        reference: the name of the reference portfolio; None if there is none.
        outputs: the outputs of each step of a flow, by the step and the name.
    """

    entity: Mapping[str, FieldType]
    transaction: Mapping[str, FieldType]
    case: Mapping[str, FieldType]
    levels: tuple[str, ...] = ()
    calculations: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, LinkType] = field(default_factory=dict)
    reference: str | None = None
    outputs: Mapping[str, Mapping[str, StepOutput]] = field(default_factory=dict)

    def linked(self, source: str) -> Mapping[str, FieldType]:
        """Return the fields of one source of linked facts."""
        own = {"transactions": self.transaction, "tags": TAG_FIELDS, "screenings": SCREENING_FIELDS}
        return own.get(source, self.case)


def vocabulary(definition: Any, outputs: Mapping[str, Mapping[str, StepOutput]] | None = None) -> Vocabulary:
    """Collect the names that a ruleset, a policy or a flow (with its steps' outputs) declares, and built-in ones."""
    return Vocabulary(
        entity=definition.fields,
        transaction={**definition.transaction_fields, **TRANSACTION_FIELDS},
        case={**definition.case_fields, **CASE_FIELDS},
        levels=definition.levels,
        calculations=definition.calculate,
        links=definition.links,
        reference=definition.reference,
        outputs=outputs or {},
    )


def linked_source(aggregate: Any) -> str:
    """Name the linked facts that an aggregate is over; for days since a date field, that field."""
    if isinstance(aggregate, Count):
        return aggregate.count
    if isinstance(aggregate, Share) and aggregate.share in SOURCES:
        return aggregate.share
    return aggregate.days_since if isinstance(aggregate, DaysSince) else "transactions"


def column_of(aggregate: Any) -> str | None:
    """Name the field of transactions that an aggregate reads; None if it reads none."""
    if isinstance(aggregate, Count | DaysSince) or (isinstance(aggregate, Share) and aggregate.share in SOURCES):
        return None
    word = "of" if isinstance(aggregate, Percentile) else str(word_of(aggregate, AGGREGATE_WORDS))
    return str(getattr(aggregate, word))


def value_type_of_input(  # noqa: PLR0911 (one for each kind of input)
    rule_input: Any, names: Vocabulary
) -> ValueType:
    """Return the value type of an input.

    Raises:
        UnknownNameError: it names something unknown, or something of the wrong type.
    """
    if isinstance(rule_input, FieldInput | TransactionInput):
        return _value_type_of_field(rule_input, names)
    if isinstance(rule_input, Window):
        return _value_type_of_aggregate(rule_input, names)
    if isinstance(rule_input, Ratio):
        _require_numbers(rule_input.ratio, names, "is a ratio of something that is not a number")
        return ValueType.NUMBER
    if isinstance(rule_input, PeerInput | PeerFact):
        return _value_type_among_peers(rule_input, names)
    if isinstance(rule_input, CalculationInput):
        return ValueType.MONEY if _calculation(rule_input, names).unit == "money" else ValueType.NUMBER
    if isinstance(rule_input, IndicatorInput):
        _require_indicator(rule_input.indicator)
        return ValueType.NUMBER
    if isinstance(rule_input, Linked):
        return _value_type_of_group(rule_input.linked, names)
    if isinstance(rule_input, StepInput):
        return step_output(rule_input, names).kind
    if isinstance(rule_input, ValueInput | LevelInput):
        return _VALUE_TYPES[rule_input.value if isinstance(rule_input, ValueInput) else rule_input.level]
    is_mark = isinstance(rule_input, TagInput | ScreeningInput)
    return ValueType.MARK if is_mark else _value_type_of_pattern(rule_input, names)


def step_output(rule_input: StepInput, names: Vocabulary) -> StepOutput:
    """Find an output of a step; raises UnknownNameError if there is no such step or output."""
    step, output, steps = rule_input.step, rule_input.output, names.outputs
    if step not in steps:
        there = f"; steps of a flow that give anything are {', '.join(steps) or 'none here'}"
        raise UnknownNameError(f"reads the step {step}{there}{perhaps(step, steps)}")
    if output not in (outputs := steps[step]):
        raise UnknownNameError(f"reads {output} of {step}, which gives {', '.join(outputs)}{perhaps(output, outputs)}")
    return steps[step][output]


def inputs_of_group(group: LinkedGroup) -> Iterator[LanguageModel]:
    """Yield every input that is read of linked entities."""
    if group.part is not None:
        yield group.part
    for condition in (group.where, group.any):
        if condition is not None:
            yield from inputs_of(condition)


_READ_OF_LINKED = (FieldInput, Window, TagInput, ScreeningInput, Ratio)


def _value_type_of_group(group: LinkedGroup, names: Vocabulary) -> ValueType:
    if group.by not in names.links:
        there = ", ".join(names.links) or "none"
        raise UnknownNameError(
            f"follows links of the type {group.by}, which is not under links{perhaps(group.by, names.links)}; "
            f"there are {there}"
        )
    if names.links[group.by].kind == "shared" and group.way is not None:
        raise UnknownNameError(f"follows {group.by} one way, which is shared and has none; leave way out")
    if names.links[group.by].kind == "directed" and group.way is None:
        raise UnknownNameError(f"follows {group.by}, which is directed, and needs way: to, from or both")
    for each in inputs_of_group(group):
        if not isinstance(each, _READ_OF_LINKED):
            words = f"{'' if each is group.part else 'tags, screenings, ratios, '}fields and aggregates"
            raise UnknownNameError(f"reads of those linked what only the entity itself has; of them there are {words}")
    if group.part is None:
        return ValueType.FLAG if group.any is not None else ValueType.NUMBER
    kind = value_type_of_input(group.part, names)
    if kind not in _NUMBERS:
        raise UnknownNameError(f"takes the {group.word} of {value_type_phrase(kind)}; it must be a number")
    if kind is ValueType.MONEY and isinstance(group.part, Mean | Median | StandardDeviation):
        raise UnknownNameError(f"takes the {group.word} of money in fractions; sum, min and max of an amount are whole")
    return kind


def _require_numbers(inputs: Sequence[Any], names: Vocabulary, problem: str) -> None:
    if any(value_type_of_input(each, names) not in _NUMBERS for each in inputs):
        raise UnknownNameError(problem)


def _require_indicator(name: str) -> None:
    if name not in catalogue().names:
        near = perhaps(name, catalogue().names, cutoff=0.7)
        raise UnknownNameError(f"names the indicator {name}, which the catalogue does not have{near}")


def _value_type_among_peers(rule_input: Any, names: Vocabulary) -> ValueType:
    peers = peers_of(rule_input)
    if peers is None:  # a `PeerFact`, which is kept beside the input
        return ValueType.NUMBER if rule_input.peer_fact == "count" else ValueType.MOMENT
    _require_numbers([peers.of], names, "places something among peers that is not a number")
    if peers.group is not None and value_type_of_input(peers.group, names) is not ValueType.TEXT:
        raise UnknownNameError(f"groups peers by {peers.group.field}, which is not text")
    if names.reference is None:
        raise UnknownNameError("reads peers, and there is no reference: the name of the portfolio that they are in")
    return ValueType.NUMBER


def _calculation(rule_input: CalculationInput, names: Vocabulary) -> Any:
    name = rule_input.calculation
    if name not in names.calculations:
        there = ", ".join(names.calculations) or "none"
        raise UnknownNameError(
            f"names the calculation {name}, which is not under calculate{perhaps(name, names.calculations)}; "
            f"there are {there}"
        )
    return names.calculations[name]


def currency_of(rule_input: Any, names: Vocabulary) -> str | None:
    """Return the currency that an input names for its money; None for the base currency, or if it is not money."""
    named = names.calculations.get(rule_input.calculation) if isinstance(rule_input, CalculationInput) else rule_input
    if isinstance(rule_input, Linked):
        named = rule_input.linked.part
    currency: str | None = getattr(named, "in_currency", None)
    return currency


SCORES = (1, 5)
"""The least and the greatest possible score of the value."""

_VALUE_TYPES: Mapping[str, ValueType] = {
    **dict.fromkeys(VALUES, ValueType.NUMBER),
    "segment": ValueType.TEXT,
    "in_force": ValueType.LEVEL,
    "rules": ValueType.LEVEL,
    "status": ValueType.TEXT,
    "source": ValueType.TEXT,
    "age_days": ValueType.NUMBER,
}
"""The types of the fields of the value and of the level."""


def _value_type_of_field(rule_input: FieldInput | TransactionInput, names: Vocabulary) -> ValueType:
    if isinstance(rule_input, FieldInput):
        return _declared(rule_input.field, names.entity, "the entity")
    kind = _declared(rule_input.transaction, names.transaction, "a transaction")
    if rule_input.transaction in MONEY_FIELDS:
        return ValueType.MONEY
    if rule_input.in_currency is not None:
        raise UnknownNameError(
            f"names a currency of {rule_input.transaction}, which is not money; {' and '.join(MONEY_FIELDS)} are"
        )
    return kind


def column_for(rule_input: Any, names: Vocabulary, base: str) -> InputColumn:
    """Return the column of an input; *base* is the currency of money if the input names none.

    Raises:
        UnknownNameError: as in `value_type_of_input`.
    """
    kind = value_type_of_input(rule_input, names)
    units = minor_units(currency_of(rule_input, names) or base) if kind is ValueType.MONEY else 1
    levels = step_output(rule_input, names).choices if isinstance(rule_input, StepInput) else names.levels
    of_kind = levels if kind is ValueType.LEVEL else ()
    return InputColumn(input_key(rule_input), kind, units, of_kind, is_age=is_age(rule_input))


def _declared(name: str, fields: Mapping[str, FieldType], whose: str, also: Sequence[str] = ()) -> ValueType:
    """Return the type of a field; raises UnknownNameError, which offers a near name, one of *also* too."""
    if name not in fields:
        names, near = ", ".join(fields) or "none", perhaps(name, [*also, *fields])
        raise UnknownNameError(f"names the field {name}, which {whose} does not have{near}; declared are {names}")
    return value_type_of(fields[name])


def _value_type_of_aggregate(aggregate: Window, names: Vocabulary) -> ValueType:
    source = linked_source(aggregate)
    if isinstance(aggregate, DaysSince) and source not in SOURCES:
        if _declared(source, names.entity, "the entity") is not ValueType.MOMENT:
            sources = f"{', '.join(SOURCES[:-1])} or {SOURCES[-1]}"
            raise UnknownNameError(f"counts days since {source}, which is not a date, nor one of {sources}")
        if any(getattr(aggregate, word) is not None for word in Window.model_fields):
            raise UnknownNameError(
                f"counts days since the field {source}: where, over, ending and in_currency have no meaning there"
            )
        return ValueType.NUMBER
    if source != "transactions" and aggregate.in_currency is not None:
        raise UnknownNameError(f"is over {source}, which have no currency")
    _require_words(aggregate)
    column = column_of(aggregate)
    if column is None:
        return ValueType.NUMBER
    also = ("transactions", "cases", "alerts") if isinstance(aggregate, Share) else ()
    kind = _declared(column, names.transaction, "a transaction", also)
    if isinstance(aggregate, Distinct | New):
        if kind is ValueType.TEXTS:
            raise UnknownNameError(f"counts different values of {column}, which is a list")
        return ValueType.NUMBER
    if kind is not ValueType.NUMBER:
        raise UnknownNameError(f"computes with {column}, which is a {kind.value}, not a number")
    return ValueType.MONEY if column in MONEY_FIELDS and not isinstance(aggregate, Share) else ValueType.NUMBER


def _require_words(aggregate: Window) -> None:
    """Refuse an aggregate that lacks a required word, or is a share that has no meaning."""
    if isinstance(aggregate, New) and aggregate.over is None:
        raise UnknownNameError("counts what is new, and needs over: without a window everything is new")
    if isinstance(aggregate, Share):
        if aggregate.share in {"tags", "screenings"}:
            raise UnknownNameError(f"takes a share of {aggregate.share}, which can only be counted")
        if aggregate.where is None:
            raise UnknownNameError("takes a share, and needs where: it says of what")
        if aggregate.share == "signed_amount":
            raise UnknownNameError("takes a share of signed_amount, whose parts may cancel out; take that of amount")


_PATTERN_FIELDS = (
    ("counterparty", "transaction", {ValueType.TEXT}),
    ("transaction_field", "transaction", {ValueType.TEXT}),
    ("expected_monthly", "entity", {ValueType.NUMBER}),
    ("declared", "entity", {ValueType.TEXTS, ValueType.TEXT}),
)
"""Parameters of patterns that name a field: the owner of the field, and its possible kinds."""


def _value_type_of_pattern(pattern: Any, names: Vocabulary) -> ValueType:
    for parameter, whose, kinds in _PATTERN_FIELDS:
        name = getattr(pattern, parameter, None)
        if name is not None and _declared(name, getattr(names, whose), f"the {whose}") not in kinds:
            raise UnknownNameError(f"has {parameter}: {name}, which is not {' or '.join(sorted(kinds))}")
    return ValueType.FINDING


def inputs_of(condition: Any) -> Iterator[LanguageModel]:
    """Yield the inputs that a condition names, and those with which it compares them."""
    for test in tests_in(condition):
        subject = input_of_test(test)
        if subject is not None:
            yield subject
        yield from (other for _, other in inputs_compared(test))


def inputs_of_policy_rule(rule: PolicyRule) -> list[LanguageModel]:
    """List every input that a rule of a policy reads, each once."""
    return distinct([*inputs_of(rule.when), *inputs_of(rule.unless)])


def inputs_of_rule(rule: Rule) -> Iterator[LanguageModel]:
    """Yield every input that a rule reads, its own first; the signal of its decay too."""
    if rule.input is not None:
        yield rule.input
    for case in rule.cases:
        yield from inputs_of(case.when)
    if rule.decay is not None and rule.decay.signal is not None:
        yield rule.decay.signal
