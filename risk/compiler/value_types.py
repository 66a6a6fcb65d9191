"""What each input of a ruleset is: its kind, found from the declared fields; the one place where types are told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fivefold.domain.money import minor_units
from fivefold.domain.suggestions import perhaps
from fivefold.features.indicator_matrix import catalogue
from fivefold.risk.compiler.values import Column
from fivefold.risk.language.base import Part
from fivefold.risk.language.expressions import subject_of, tests_in
from fivefold.risk.language.fields import CASE_FIELDS, MONEY_FIELDS, TRANSACTION_FIELDS, FieldType, Kind, kind_of
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
    key_of,
)
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.policy_inputs import LevelInput, TransactionInput
from fivefold.risk.language.ruleset import Rule, Ruleset

SOURCES = ("transactions", "cases", "alerts")
_NUMBERS = frozenset({Kind.NUMBER, Kind.MONEY})


class Misnamed(LookupError):
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


def vocabulary(made: Ruleset | Policy) -> Vocabulary:
    """Collect the names that a ruleset or a policy declares, beside those that are always there."""
    return Vocabulary(
        made.fields,
        {**made.transaction_fields, **TRANSACTION_FIELDS},
        {**made.case_fields, **CASE_FIELDS},
        made.levels,
    )


def source_of(made: Any) -> str:
    """Tell which linked facts an aggregate is over; the name of a date field where it is one."""
    if isinstance(made, Count):
        return made.count
    return made.days_since if isinstance(made, DaysSince) else "transactions"


def column_of(made: Any) -> str | None:
    """Tell which field of transactions an aggregate reads; None where it reads none."""
    if isinstance(made, Count | DaysSince):
        return None
    word = next(iter(set(type(made).model_fields) - set(Window.model_fields)))
    return str(getattr(made, word))


def kind_of_input(made: Any, names: Vocabulary) -> Kind:
    """Tell what an input's values are.

    Raises:
        Misnamed: it names a field, source or indicator that is not there, or one of the wrong type.
    """
    if isinstance(made, FieldInput | TransactionInput):
        return _kind_of_field(made, names)
    if isinstance(made, Window):
        return _kind_of_aggregate(made, names)
    if isinstance(made, Ratio):
        for side in made.ratio:
            if kind_of_input(side, names) not in _NUMBERS:
                raise Misnamed("is a ratio of something that is no number")
        return Kind.NUMBER
    if isinstance(made, IndicatorInput):
        if made.indicator not in catalogue().names:
            near = perhaps(made.indicator, catalogue().names, cutoff=0.7)
            raise Misnamed(f"names the indicator {made.indicator}, which the catalogue does not have{near}")
        return Kind.NUMBER
    if isinstance(made, ValueInput | LevelInput):
        return _KINDS_TOLD[made.value if isinstance(made, ValueInput) else made.level]
    return Kind.MARK if isinstance(made, TagInput | ScreeningInput) else _kind_of_pattern(made, names)


_KINDS_TOLD: Mapping[str, Kind] = {
    "score": Kind.NUMBER,
    "segment": Kind.TEXT,
    "expected_value": Kind.NUMBER,
    "in_force": Kind.LEVEL,
    "rules": Kind.LEVEL,
    "status": Kind.TEXT,
    "source": Kind.TEXT,
    "age_days": Kind.NUMBER,
}
"""What is told of the value and of the level."""


def _kind_of_field(made: FieldInput | TransactionInput, names: Vocabulary) -> Kind:
    if isinstance(made, FieldInput):
        return _declared(made.field, names.entity, "the entity")
    kind = _declared(made.transaction, names.transaction, "a transaction")
    if made.transaction in MONEY_FIELDS:
        return Kind.MONEY
    if made.in_currency is not None:
        raise Misnamed(f"names a currency of {made.transaction}, which is no money; {' and '.join(MONEY_FIELDS)} are")
    return kind


def column_for(made: Any, names: Vocabulary, base: str) -> Column:
    """Tell what an input is to a condition; *base* is the currency that money is in, where it names none itself.

    Raises:
        Misnamed: as `kind_of_input`.
    """
    kind = kind_of_input(made, names)
    units = minor_units(getattr(made, "in_currency", None) or base) if kind is Kind.MONEY else 1
    return Column(key_of(made), kind, units, names.levels if kind is Kind.LEVEL else ())


def _declared(name: str, fields: Mapping[str, FieldType], whose: str) -> Kind:
    if name not in fields:
        known = ", ".join(fields) or "none"
        raise Misnamed(
            f"names the field {name}, which {whose} does not have{perhaps(name, fields)}; declared are {known}"
        )
    return kind_of(fields[name])


def _kind_of_aggregate(made: Window, names: Vocabulary) -> Kind:
    source = source_of(made)
    if isinstance(made, DaysSince) and source not in SOURCES:
        if _declared(source, names.entity, "the entity") is not Kind.MOMENT:
            raise Misnamed(f"counts days since {source}, which is no date; nor is it transactions, cases or alerts")
        if made.where is not None or made.over is not None or made.in_currency is not None:
            raise Misnamed(f"counts days since the field {source}: where, over and in_currency have no meaning there")
        return Kind.NUMBER
    if source != "transactions" and made.in_currency is not None:
        raise Misnamed(f"is over {source}, which have no currency")
    column = column_of(made)
    if column is None:
        return Kind.NUMBER
    kind = _declared(column, names.transaction, "a transaction")
    if isinstance(made, Distinct):
        if kind is Kind.TEXTS:
            raise Misnamed(f"counts different values of {column}, which is a list")
        return Kind.NUMBER
    if kind is not Kind.NUMBER:
        raise Misnamed(f"computes with {column}, which is a {kind.value}, not a number")
    return Kind.MONEY if column in MONEY_FIELDS else Kind.NUMBER


_PATTERN_FIELDS = (
    ("counterparty", "transaction", {Kind.TEXT}),
    ("transaction_field", "transaction", {Kind.TEXT}),
    ("expected_monthly", "entity", {Kind.NUMBER}),
    ("declared", "entity", {Kind.TEXTS, Kind.TEXT}),
)
"""Parameters of patterns that name a field: whose it is, and what it must be."""


def _kind_of_pattern(made: Any, names: Vocabulary) -> Kind:
    for parameter, whose, wanted in _PATTERN_FIELDS:
        name = getattr(made, parameter, None)
        if name is not None and _declared(name, getattr(names, whose), f"the {whose}") not in wanted:
            raise Misnamed(f"has {parameter}: {name}, which is not {' or '.join(sorted(wanted))}")
    return Kind.FINDING


def inputs_of(condition: Any) -> Iterator[Part]:
    """Give the inputs that a condition names."""
    for test in tests_in(condition):
        subject = subject_of(test)
        if subject is not None:
            yield subject


def inputs_of_rule(rule: Rule) -> Iterator[Part]:
    """Give every input that a rule reads, its own first; the signal of its decay too."""
    if rule.input is not None:
        yield rule.input
    for case in rule.cases:
        yield from inputs_of(case.when)
    if rule.decay is not None and rule.decay.signal is not None:
        yield rule.decay.signal
