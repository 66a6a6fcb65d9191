"""Whether a registered model fits a step: its columns the facts that are sent, its outputs what the step gives."""

from collections.abc import Iterator, Mapping

from fivefold.domain.errors import ModelNotFoundError
from fivefold.domain.text import perhaps
from fivefold.flows.outside.language import ModelQuestion
from fivefold.models.registered.finding import ModelColumn, Signature
from fivefold.risk.compiler.value_types import value_type_phrase
from fivefold.risk.language.fields import OneOf, ValueType

_NUMBERS = frozenset({"double", "float", "long", "integer"})
_TEXTS = frozenset({"string"})
_TAKEN: Mapping[ValueType, frozenset[str]] = {
    ValueType.NUMBER: _NUMBERS,
    ValueType.MONEY: _NUMBERS,
    ValueType.FINDING: _NUMBERS,
    ValueType.FLAG: frozenset({"boolean"}),
    ValueType.MARK: frozenset({"boolean"}),
    ValueType.TEXT: _TEXTS,
    ValueType.LEVEL: _TEXTS,
    ValueType.MOMENT: frozenset({"datetime"}),
    ValueType.TEXTS: frozenset(),
}
_GIVEN: Mapping[str, frozenset[str]] = {"number": _NUMBERS, "flag": frozenset({"boolean"}), "text": _TEXTS}
_WITH_GAPS = frozenset({"double", "float"})
"""Kinds of columns that have a number which stands for none."""


def needs_value(column: ModelColumn) -> bool:
    """Tell whether a column must be known: where the model requires it, or has no sign for an unknown one."""
    return column.required or column.kind not in _WITH_GAPS | _TEXTS


def problems_of_signature(
    question: ModelQuestion, kinds: Mapping[str, ValueType], signature: Signature
) -> Iterator[str]:
    """Find where a model does not fit a step.

    Args:
        question: the step's question.
        kinds: what each fact is that it sends, by the column.
        signature: of the model.
    """
    columns = {each.name: each for each in signature.columns}
    for name, kind in kinds.items():
        column = columns.get(name)
        if column is None:
            yield f"sends {name}, which is no column of it; it takes {', '.join(columns)}{perhaps(name, columns)}"
        elif column.kind not in _TAKEN[kind]:
            yield f"sends {value_type_phrase(kind)} as {name}, which is {column.kind}"
    missing = [name for name, column in columns.items() if name not in kinds and needs_value(column)]
    if missing:
        yield f"does not send {', '.join(missing)}, which it requires"
    for name, expected_kind in question.gives.items():
        try:
            output_kind = signature.outputs[output_position(name, question, signature)].kind
        except ModelNotFoundError as error:
            yield str(error)
            continue
        word = "text" if isinstance(expected_kind, OneOf) else expected_kind
        if output_kind not in _GIVEN[word]:
            yield f"takes {name} as {word}, which it gives as {output_kind}"


def output_position(name: str, question: ModelQuestion, signature: Signature) -> int:
    """Give the position of the output that a step takes under a name; ModelNotFoundError where there is none."""
    outputs = signature.outputs
    wanted = question.outputs.get(name, name)
    named = {each.name: place for place, each in enumerate(outputs) if each.name}
    if isinstance(wanted, int):
        if wanted < len(outputs):
            return wanted
        raise ModelNotFoundError(f"takes number {wanted} as {name}; it gives {len(outputs)}, the first is number 0")
    if wanted in named:
        return named[wanted]
    if len(outputs) == 1 and len(question.gives) == 1 and name not in question.outputs:
        return 0
    there = ", ".join(named) if named else f"{len(outputs)} without names: outputs says the number of each, from 0"
    raise ModelNotFoundError(f"takes {wanted} of it; it gives {there}{perhaps(wanted, named)}")
