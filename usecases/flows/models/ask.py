"""Ask a registered model for the runs of a batch at once: its answer for each, which version gave it, and why.

A model is asked only if it fits the step: its columns are the facts that are sent, its outputs what the step gives.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from fivefold.domain.errors import ModelError, ModelNotFoundError
from fivefold.domain.text import perhaps
from fivefold.flows.analysis import outside_outputs
from fivefold.flows.language import ModelStep
from fivefold.flows.outside.language import ModelQuestion
from fivefold.flows.outside.outcomes import Contributions, Cost, ModelAsked, OutsideOutcome, failed_outcome, fitted_to
from fivefold.flows.outside.question import SentFacts, SentValue
from fivefold.models.registered.explaining import RowExplanation
from fivefold.models.registered.finding import AliasedModel, ModelColumn, Signature
from fivefold.models.registered.loading import Cell, LoadedModel, Models
from fivefold.risk.compiler.value_types import value_type_phrase
from fivefold.risk.language.fields import OneOf, ValueType
from fivefold.usecases.flows.models.permitted import ModelsPermitted, problems_of_permission

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
"""Kinds of columns that have a number for an unknown value."""


def needs_value(column: ModelColumn) -> bool:
    """Return whether a column must be known: the model requires it, or it has no sign for an unknown value."""
    return column.required or column.kind not in _WITH_GAPS | _TEXTS


def problems_of_signature(
    question: ModelQuestion, kinds: Mapping[str, ValueType], signature: Signature
) -> Iterator[str]:
    """Find where a model does not fit a step.

    Args:
        question: the step's question.
        kinds: the type of each fact that it sends, by the column.
        signature: the signature of the model.
    """
    columns = {each.name: each for each in signature.columns}
    for name, kind in kinds.items():
        column = columns.get(name)
        if column is None:
            near = perhaps(name, columns)
            yield f"sends {name}, which is not one of its columns; it takes {', '.join(columns)}{near}"
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
    """Return the position of the output that a step takes under a name; ModelNotFoundError if there is none."""
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


MOST_CONTRIBUTIONS = 5
SIGNIFICANT = 12
"""Digits of a number that are kept: the last ones of a float depend on how many rows are computed at once."""
SMALLEST = Decimal("1e-15")
"""Numbers of the language have 15 digits after the point; a number closer to 0 is kept as 0."""
_SHOWN = 6
"""Decimals of what a column adds."""


def answers_of_model(
    permitted: ModelsPermitted, step: ModelStep, facts: Sequence[SentFacts], clock: Callable[[], int]
) -> list[OutsideOutcome]:
    """Ask a model for some runs at once; whatever happens, each run has an outcome.

    Args:
        permitted: the models that may be asked.
        step: the step that asks.
        facts: the facts of each run.
        clock: returns the present, microseconds.
    """
    if not facts:
        return []
    question, now_us = step.model, clock()
    label = f"model {question.name} ({question.alias})"
    problem = next(problems_of_permission(question, permitted.allowed), None)
    models = permitted.models
    if problem is not None or models is None:
        return [failed_outcome(problem or "there is no registry of models", label, now_us)] * len(facts)
    try:
        model = models.aliased(question.name, question.alias)
    except ModelError as error:
        return [failed_outcome(str(error), label, now_us)] * len(facts)
    label = f"model {question.name} version {model.version} ({question.alias})"
    named = ModelAsked(name=question.name, alias=question.alias, version=model.version)
    try:
        signature, loaded = _fitting(models, model, step, facts[0])
    except ModelError as error:
        failed = replace(failed_outcome(str(error), label, now_us), model=named)
        return [failed] * len(facts)
    named = replace(named, digest=loaded.digest)
    asking = _Asking(step, signature, loaded, named, label)
    answered = asking.answered(facts)
    return [asking.outcome(each, clock()) for each in answered]


def _fitting(models: Models, model: AliasedModel, step: ModelStep, facts: SentFacts) -> tuple[Signature, LoadedModel]:
    """Load a version that fits the step; ModelError if it does not fit, or cannot be loaded."""
    signature = models.signature(model)
    problem = next(problems_of_signature(step.model, facts.kinds, signature), None)
    if problem is not None:
        raise ModelError(f"the step does not fit version {model.version}, to which {model.alias} points: {problem}")
    return signature, models.load(model)


@dataclass(frozen=True)
class _ModelAnswer:
    """The answer of a model for one run: the values by name, or why there are none; and its explanation."""

    values: Mapping[str, Any] = field(default_factory=dict)
    failed: str | None = None
    explained: RowExplanation | None = None


@dataclass(frozen=True)
class _Asking:
    """A model to ask, for a step that it fits."""

    step: ModelStep
    signature: Signature
    loaded: LoadedModel
    named: ModelAsked
    label: str

    @property
    def _positions(self) -> Mapping[str, int]:
        question = self.step.model
        return {name: output_position(name, question, self.signature) for name in question.gives}

    def answered(self, facts: Sequence[SentFacts]) -> list[_ModelAnswer]:
        """Ask for all runs whose facts suffice at once; if that fails, for each alone."""
        rows, answers = dict[int, dict[str, Cell]](), dict[int, _ModelAnswer]()
        for number, run_facts in enumerate(facts):
            try:
                rows[number] = self._row(run_facts.values)
            except ValueError as error:
                answers[number] = _ModelAnswer(failed=str(error))
        try:
            answers |= zip(rows, self._ask_together(list(rows.values())), strict=True)
        except ModelError:
            answers |= {number: self._alone(row) for number, row in rows.items()}
        return [answers[number] for number in range(len(facts))]

    def _row(self, values: Mapping[str, SentValue]) -> dict[str, Cell]:
        """Return facts as the columns take them; ValueError if one that must be known is not, or one does not fit."""
        unknown = [each.name for each in self.signature.columns if values.get(each.name) is None and needs_value(each)]
        if unknown:
            raise ValueError(f"not asked, as {', '.join(unknown)} is unknown")
        return {each.name: _cell(each, values.get(each.name)) for each in self.signature.columns}

    def _alone(self, row: dict[str, Cell]) -> _ModelAnswer:
        try:
            return self._ask_together([row])[0]
        except ModelError as error:
            return _ModelAnswer(failed=str(error))

    def _ask_together(self, rows: list[dict[str, Cell]]) -> list[_ModelAnswer]:
        if not rows:
            return []
        frame = self.loaded.frame(rows)
        predicted = self.loaded.predict(frame)
        explained = self._explained(frame, predicted)
        return [self._read(row, why) for row, why in zip(predicted, explained, strict=True)]

    def _explained(self, frame: Any, predicted: Sequence[tuple[Any, ...]]) -> Sequence[RowExplanation | None]:
        """Explain the output that `_explains` names; a failed explanation does not discard the answer."""
        name = self._explains
        if name is None or isinstance(self.loaded.explainer, str):
            return [None] * len(predicted)
        place = self._positions[name]
        try:
            return self.loaded.explain(frame, place, [row[place] for row in predicted])
        except Exception:  # noqa: BLE001 (code of others, beside the answer)
            return [None] * len(predicted)

    @property
    def _explains(self) -> str | None:
        """The output that is explained: the first number that the step takes."""
        return next((name for name, kind in self.step.model.gives.items() if kind == "number"), None)

    def _read(self, row: tuple[Any, ...], explained: RowExplanation | None) -> _ModelAnswer:
        values = {}
        for name, place in self._positions.items():
            try:
                values[name] = _value(row[place], self.step.model.gives[name])
            except ValueError as error:
                return _ModelAnswer(failed=f"it gave {error} as {name}")
        return _ModelAnswer(values=values, explained=explained)

    def outcome(self, answer: _ModelAnswer, now_us: int) -> OutsideOutcome:
        """Return the outcome of one run's question."""
        if answer.failed is not None:
            return replace(failed_outcome(answer.failed, self.label, now_us), model=self.named, cost=Cost())
        explainer = self.loaded.explainer
        model = self.named
        if answer.explained is not None and self._explains is not None:
            model = replace(model, contributions=_contributions(answer.explained, self._explains))
        elif self._explains is not None:
            model = replace(model, unexplained=explainer if isinstance(explainer, str) else "its trees give otherwise")
        outcome = OutsideOutcome(values=answer.values, source=self.label, at_us=now_us, model=model, cost=Cost())
        return fitted_to(outcome, outside_outputs(self.step))


def _cell(column: ModelColumn, value: SentValue) -> Cell:
    """Return a fact as a column takes it; ValueError for a number that is not of its kind."""
    if value is None or column.kind in {"string", "boolean"}:
        assert not isinstance(value, Decimal | tuple)
        return value
    if column.kind == "datetime":
        return datetime.fromisoformat(str(value))
    number = Decimal(str(value))
    if column.kind in {"double", "float"}:
        return float(number)
    limits = np.iinfo(np.int64 if column.kind == "long" else np.int32)
    if number != number.to_integral_value() or not int(limits.min) <= number <= int(limits.max):
        raise ValueError(f"not asked, as {column.name} is {number}, and the model takes whole numbers ({column.kind})")
    return int(number)


def _value(value: Any, kind: str | OneOf) -> Any:
    """Read an output of a model; ValueError, with the value, if it is not of the kind."""
    if isinstance(value, np.generic):
        value = value.item()
    if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:  # also where it is NaN
            raise ValueError("NaN" if value != value else repr(value)[:40])  # noqa: PLR0124 (NaN differs from itself)
        number = Decimal(f"{value:.{SIGNIFICANT}g}") if isinstance(value, float) else Decimal(value)
        return Decimal(0) if abs(number) < SMALLEST else number
    if kind == "flag" and isinstance(value, bool):
        return value
    if kind != "number" and kind != "flag" and isinstance(value, str):  # noqa: PLR1714 (a OneOf has no hash)
        return value
    raise ValueError(repr(value)[:40])


def _contributions(row: RowExplanation, name: str) -> Contributions:
    """Round what columns add, so that base, named columns and the rest add up to the total exactly."""
    ordered = sorted(row.added.items(), key=lambda each: (-abs(each[1]), each[0]))
    added = tuple((column, _rounded(number)) for column, number in ordered[:MOST_CONTRIBUTIONS] if _rounded(number))
    base, total = _rounded(row.base), _rounded(sum((row.base, *row.added.values())))
    rest = total - base - sum((number for _, number in added), Decimal(0))
    return Contributions(of=name, scale=row.scale, base=base, added=added, rest=_plain(f"{rest:f}"), total=total)


def _rounded(number: float) -> Decimal:
    return _plain(f"{number:.{_SHOWN}f}")


def _plain(text: str) -> Decimal:
    """Read a number with decimals, without the zeros at its end."""
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text) + Decimal(0)  # no zero below 0


def registry_problems(step: ModelStep, kinds: Mapping[str, Any], permitted: ModelsPermitted) -> Iterator[str]:
    """Find why a step cannot ask its model now; this asks the registry, and runs no code of a model."""
    question = step.model
    problems = list(problems_of_permission(question, permitted.allowed))
    yield from problems
    models = permitted.models
    if problems or models is None:
        return
    try:
        model = models.aliased(question.name, question.alias)
        signature = models.signature(model)
    except ModelError as error:
        yield str(error)
        return
    called = f"version {model.version} of {question.name}, to which {question.alias} points,"
    for problem in problems_of_signature(question, kinds, signature):
        yield f"does not fit {called} as it {problem}"
