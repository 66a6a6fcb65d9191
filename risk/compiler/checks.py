"""What no condition can be compiled with: names that are not declared, and tests that do not fit their input."""

from collections.abc import Iterable, Iterator
from typing import Any

from fivefold.domain.segments import SEGMENTS
from fivefold.domain.suggestions import perhaps
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.literals import literal_diagnostics
from fivefold.risk.compiler.locations import Location, tests_at, wheres_in, word_at
from fivefold.risk.compiler.value_types import UnknownNameError, Vocabulary, value_type_of_input
from fivefold.risk.compiler.values import value_type_phrase
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents.reader import Path
from fivefold.risk.language.expressions import input_of_test
from fivefold.risk.language.fields import MONEY_FIELDS, FieldType, OneOf, ValueType, value_type_of
from fivefold.risk.language.inputs import FieldInput, ValueInput
from fivefold.risk.language.operators import OPERATOR_KINDS, Operators
from fivefold.risk.language.policy_inputs import SOURCES_OF_LEVELS, STATUSES, LevelInput, TransactionInput


def type_diagnostics(
    inputs: Iterable[tuple[Path, LanguageModel]], conditions: Iterable[Location], names: Vocabulary
) -> Iterator[Diagnostic]:
    """Find inputs, each with its path, that name what is not there, and tests that do not fit what they are of."""
    for path, rule_input in inputs:
        yield from input_diagnostics(path, rule_input, names)
    for place in conditions:
        yield from condition_diagnostics(place, names)


def input_diagnostics(path: Path, rule_input: LanguageModel, names: Vocabulary) -> Iterator[Diagnostic]:
    """Find what is wrong with an input, and with the conditions in it."""
    try:
        value_type_of_input(rule_input, names)
    except UnknownNameError as wrong:
        yield Diagnostic(word_at(path, rule_input), str(wrong))
    for place in wheres_in(path, rule_input):
        yield from condition_diagnostics(place, names)


def condition_diagnostics(place: Location, names: Vocabulary) -> Iterator[Diagnostic]:
    """Find what is wrong with the tests of a condition."""
    for path, test in tests_at(place):
        subject = input_of_test(test)
        if place.source is not None and not isinstance(subject, FieldInput):
            declared = ", ".join(names.linked(place.source))
            yield Diagnostic(path, f"must test a field of {place.source}, as {{field: ...}} does; there are {declared}")
        elif subject is None and place.own is None:
            yield Diagnostic(
                path, "compares nothing: there is no input here; name one, as in {field: country, equals: NO}"
            )
        else:
            yield from _test_diagnostics(path, test, place, names)


def _test_diagnostics(path: Path, test: Operators, place: Location, names: Vocabulary) -> Iterator[Diagnostic]:
    subject: Any = input_of_test(test) or place.own
    declared = type_of(subject, place, names)
    try:
        kind = value_type_at(subject, place, names)
    except UnknownNameError as wrong:
        if place.source is not None:  # all other inputs are looked at by themselves
            yield Diagnostic(word_at(path, subject), str(wrong))
        return
    for operator, value in test.comparisons():
        at = path if operator == "is" else (*path, operator)
        if kind not in OPERATOR_KINDS[operator]:
            fit = ", ".join(word for word, kinds in OPERATOR_KINDS.items() if kind in kinds)
            yield Diagnostic(at, f"cannot be asked of {value_type_phrase(kind)}; what can: {fit}")
        else:
            yield from literal_diagnostics(at, operator, value, kind, declared)


def value_type_at(subject: Any, place: Location, names: Vocabulary) -> ValueType:
    """Tell what the values of a test's subject are, where it stands.

    Raises:
        Misnamed: it names what is not there.
    """
    if place.source is None:
        return value_type_of_input(subject, names)
    fields = names.linked(place.source)
    if subject.field not in fields:
        declared = ", ".join(fields)
        near = perhaps(subject.field, fields)
        raise UnknownNameError(
            f"names the field {subject.field}, which {place.source} do not have{near}; declared are {declared}"
        )
    if place.source == "transactions" and subject.field in MONEY_FIELDS:
        return ValueType.MONEY
    return value_type_of(fields[subject.field])


def type_of(subject: Any, place: Location, names: Vocabulary) -> FieldType | None:
    """Find the declared type of a test's subject; None where it is no field, or is not declared."""
    if isinstance(subject, ValueInput) and subject.value == "segment":
        return OneOf(one_of=SEGMENTS)
    if isinstance(subject, LevelInput):
        words = {"status": STATUSES, "source": SOURCES_OF_LEVELS, "age_days": None}.get(subject.level, names.levels)
        return None if words is None else OneOf(one_of=words)
    if isinstance(subject, TransactionInput):
        return names.transaction.get(subject.transaction)
    if not isinstance(subject, FieldInput):
        return None
    fields = names.entity if place.source is None else names.linked(place.source)
    return fields.get(subject.field)
