"""What no condition can be compiled with: names that are not declared, and tests that do not fit their input."""

from collections.abc import Iterable, Iterator
from typing import Any

from fivefold.domain.segments import SEGMENTS
from fivefold.domain.suggestions import perhaps
from fivefold.risk.compiler.diagnostics import Fault
from fivefold.risk.compiler.literals import literal_faults
from fivefold.risk.compiler.locations import Place, tests_at, wheres_in, word_at
from fivefold.risk.compiler.value_types import Misnamed, Vocabulary, kind_of_input
from fivefold.risk.compiler.values import named
from fivefold.risk.language.base import Part
from fivefold.risk.language.documents.reader import Path
from fivefold.risk.language.expressions import subject_of
from fivefold.risk.language.fields import MONEY_FIELDS, FieldType, Kind, OneOf, kind_of
from fivefold.risk.language.inputs import FieldInput, ValueInput
from fivefold.risk.language.operators import OPERATOR_KINDS, Operators
from fivefold.risk.language.policy_inputs import SOURCES_OF_LEVELS, STATUSES, LevelInput, TransactionInput


def type_faults(inputs: Iterable[tuple[Path, Part]], conditions: Iterable[Place], names: Vocabulary) -> Iterator[Fault]:
    """Find inputs, each with its path, that name what is not there, and tests that do not fit what they are of."""
    for path, made in inputs:
        yield from input_faults(path, made, names)
    for place in conditions:
        yield from condition_faults(place, names)


def input_faults(path: Path, made: Part, names: Vocabulary) -> Iterator[Fault]:
    """Find what is wrong with an input, and with the conditions in it."""
    try:
        kind_of_input(made, names)
    except Misnamed as wrong:
        yield Fault(word_at(path, made), str(wrong))
    for place in wheres_in(path, made):
        yield from condition_faults(place, names)


def condition_faults(place: Place, names: Vocabulary) -> Iterator[Fault]:
    """Find what is wrong with the tests of a condition."""
    for path, test in tests_at(place):
        subject = subject_of(test)
        if place.source is not None and not isinstance(subject, FieldInput):
            known = ", ".join(names.linked(place.source))
            yield Fault(path, f"must test a field of {place.source}, as {{field: ...}} does; there are {known}")
        elif subject is None and place.own is None:
            yield Fault(path, "compares nothing: there is no input here; name one, as in {field: country, equals: NO}")
        else:
            yield from _test_faults(path, test, place, names)


def _test_faults(path: Path, test: Operators, place: Place, names: Vocabulary) -> Iterator[Fault]:
    subject: Any = subject_of(test) or place.own
    declared = type_of(subject, place, names)
    try:
        kind = kind_at(subject, place, names)
    except Misnamed as wrong:
        if place.source is not None:  # all other inputs are looked at by themselves
            yield Fault(word_at(path, subject), str(wrong))
        return
    for operator, value in test.comparisons():
        at = path if operator == "is" else (*path, operator)
        if kind not in OPERATOR_KINDS[operator]:
            fit = ", ".join(word for word, kinds in OPERATOR_KINDS.items() if kind in kinds)
            yield Fault(at, f"cannot be asked of {named(kind)}; what can: {fit}")
        else:
            yield from literal_faults(at, operator, value, kind, declared)


def kind_at(subject: Any, place: Place, names: Vocabulary) -> Kind:
    """Tell what the values of a test's subject are, where it stands.

    Raises:
        Misnamed: it names what is not there.
    """
    if place.source is None:
        return kind_of_input(subject, names)
    fields = names.linked(place.source)
    if subject.field not in fields:
        known = ", ".join(fields)
        near = perhaps(subject.field, fields)
        raise Misnamed(f"names the field {subject.field}, which {place.source} do not have{near}; declared are {known}")
    if place.source == "transactions" and subject.field in MONEY_FIELDS:
        return Kind.MONEY
    return kind_of(fields[subject.field])


def type_of(subject: Any, place: Place, names: Vocabulary) -> FieldType | None:
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
