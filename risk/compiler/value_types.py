"""The value type of each input of a ruleset, from the declared fields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fivefold.domain.money import minor_units
from fivefold.domain.suggestions import perhaps
from fivefold.features.indicator_matrix import catalogue
from fivefold.risk.compiler.values import Column
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_of_test, tests_in
from fivefold.risk.language.fields import (
    CASE_FIELDS,
    MONEY_FIELDS,
    TRANSACTION_FIELDS,
    FieldType,
    ValueType,
    value_type_of,
)
from fivefold.risk.language.inputs import (
    Count,
    DaysSince,
    Distinct,
    FieldInput,
    IndicatorInput,
    Ratio,
    ScreeningInput,
    TagInput,
    ValueInput,
    Window,
    input_key,
)
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.policy_inputs import LevelInput, TransactionInput
from fivefold.risk.language.ruleset import Rule, Ruleset

SOURCES = ("transactions", "cases", "alerts")
_NUMBERS = frozenset({ValueType.NUMBER, ValueType.MONEY})


class UnknownNameError(LookupError):
    """An input that names what is not there, or is of no use here; its text says what would be right."""


@dataclass(frozen=True)
class Vocabulary:
    """The names that inputs may use.

    Attributes:
        entity: fields of the entity.
        transaction: fields of its transactions.
        case: fields of its cases and alerts.
        levels: their names, lowest first.
    """

    entity: Mapping[str, FieldType]
    transaction: Mapping[str, FieldType]
    case: Mapping[str, FieldType]
    levels: tuple[str, ...] = ()

    def linked(self, source: str) -> Mapping[str, FieldType]:
        """Give the fields of one source of linked facts."""
        return self.transaction if source == "transactions" else self.case


def vocabulary(definition: Ruleset | Policy) -> Vocabulary:
    """Collect the names that a ruleset or a policy declares, beside those that are always there."""
    return Vocabulary(
        definition.fields,
        {**definition.transaction_fields, **TRANSACTION_FIELDS},
        {**definition.case_fields, **CASE_FIELDS},
        definition.levels,
    )


def linked_source(aggregate: Any) -> str:
    """Tell which linked facts an aggregate is over; the name of a date field where it is one."""
    if isinstance(aggregate, Count):
        return aggregate.count
    return aggregate.days_since if isinstance(aggregate, DaysSince) else "transactions"


def column_of(aggregate: Any) -> str | None:
    """Tell which field of transactions an aggregate reads; None where it reads none."""
    if isinstance(aggregate, Count | DaysSince):
        return None
    word = next(iter(set(type(aggregate).model_fields) - set(Window.model_fields)))
    return str(getattr(aggregate, word))


def value_type_of_input(rule_input: Any, names: Vocabulary) -> ValueType:
    """Tell what an input's values are.

    Raises:
        Misnamed: it names a field, source or indicator that is not there, or one of the wrong type.
    """
    if isinstance(rule_input, FieldInput | TransactionInput):
        return _value_type_of_field(rule_input, names)
    if isinstance(rule_input, Window):
        return _value_type_of_aggregate(rule_input, names)
    if isinstance(rule_input, Ratio):
        for side in rule_input.ratio:
            if value_type_of_input(side, names) not in _NUMBERS:
                raise UnknownNameError("is a ratio of something that is no number")
        return ValueType.NUMBER
    if isinstance(rule_input, IndicatorInput):
        if rule_input.indicator not in catalogue().names:
            near = perhaps(rule_input.indicator, catalogue().names, cutoff=0.7)
            raise UnknownNameError(
                f"names the indicator {rule_input.indicator}, which the catalogue does not have{near}"
            )
        return ValueType.NUMBER
    if isinstance(rule_input, ValueInput | LevelInput):
        return _VALUE_TYPES[rule_input.value if isinstance(rule_input, ValueInput) else rule_input.level]
    is_mark = isinstance(rule_input, TagInput | ScreeningInput)
    return ValueType.MARK if is_mark else _value_type_of_pattern(rule_input, names)


_VALUE_TYPES: Mapping[str, ValueType] = {
    "score": ValueType.NUMBER,
    "segment": ValueType.TEXT,
    "expected_value": ValueType.NUMBER,
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
            f"names a currency of {rule_input.transaction}, which is no money; {' and '.join(MONEY_FIELDS)} are"
        )
    return kind


def column_for(rule_input: Any, names: Vocabulary, base: str) -> Column:
    """Tell what an input is to a condition; *base* is the currency that money is in, where it names none itself.

    Raises:
        Misnamed: as `value_type_of_input`.
    """
    kind = value_type_of_input(rule_input, names)
    units = minor_units(getattr(rule_input, "in_currency", None) or base) if kind is ValueType.MONEY else 1
    return Column(input_key(rule_input), kind, units, names.levels if kind is ValueType.LEVEL else ())


def _declared(name: str, fields: Mapping[str, FieldType], whose: str) -> ValueType:
    if name not in fields:
        names = ", ".join(fields) or "none"
        raise UnknownNameError(
            f"names the field {name}, which {whose} does not have{perhaps(name, fields)}; declared are {names}"
        )
    return value_type_of(fields[name])


def _value_type_of_aggregate(aggregate: Window, names: Vocabulary) -> ValueType:
    source = linked_source(aggregate)
    if isinstance(aggregate, DaysSince) and source not in SOURCES:
        if _declared(source, names.entity, "the entity") is not ValueType.MOMENT:
            raise UnknownNameError(
                f"counts days since {source}, which is no date; nor is it transactions, cases or alerts"
            )
        if aggregate.where is not None or aggregate.over is not None or aggregate.in_currency is not None:
            raise UnknownNameError(
                f"counts days since the field {source}: where, over and in_currency have no meaning there"
            )
        return ValueType.NUMBER
    if source != "transactions" and aggregate.in_currency is not None:
        raise UnknownNameError(f"is over {source}, which have no currency")
    column = column_of(aggregate)
    if column is None:
        return ValueType.NUMBER
    kind = _declared(column, names.transaction, "a transaction")
    if isinstance(aggregate, Distinct):
        if kind is ValueType.TEXTS:
            raise UnknownNameError(f"counts different values of {column}, which is a list")
        return ValueType.NUMBER
    if kind is not ValueType.NUMBER:
        raise UnknownNameError(f"computes with {column}, which is a {kind.value}, not a number")
    return ValueType.MONEY if column in MONEY_FIELDS else ValueType.NUMBER


_PATTERN_FIELDS = (
    ("counterparty", "transaction", {ValueType.TEXT}),
    ("transaction_field", "transaction", {ValueType.TEXT}),
    ("expected_monthly", "entity", {ValueType.NUMBER}),
    ("declared", "entity", {ValueType.TEXTS, ValueType.TEXT}),
)
"""Parameters of patterns that name a field: whose it is, and what it must be."""


def _value_type_of_pattern(pattern: Any, names: Vocabulary) -> ValueType:
    for parameter, whose, kinds in _PATTERN_FIELDS:
        name = getattr(pattern, parameter, None)
        if name is not None and _declared(name, getattr(names, whose), f"the {whose}") not in kinds:
            raise UnknownNameError(f"has {parameter}: {name}, which is not {' or '.join(sorted(kinds))}")
    return ValueType.FINDING


def inputs_of(condition: Any) -> Iterator[LanguageModel]:
    """Give the inputs that a condition names."""
    for test in tests_in(condition):
        subject = input_of_test(test)
        if subject is not None:
            yield subject


def inputs_of_rule(rule: Rule) -> Iterator[LanguageModel]:
    """Give every input that a rule reads, its own first; the signal of its decay too."""
    if rule.input is not None:
        yield rule.input
    for case in rule.cases:
        yield from inputs_of(case.when)
    if rule.decay is not None and rule.decay.signal is not None:
        yield rule.decay.signal
