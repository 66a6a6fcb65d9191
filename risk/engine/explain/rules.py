"""Explanations of rules: what belongs to a rule is prepared once, and entities are explained column by column."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import repeat
from typing import Any

import polars as pl

from fivefold.risk.compiler.analysis import signal_of_rule
from fivefold.risk.compiler.value_types import inputs_of_rule
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.describe import condition_words, input_words
from fivefold.risk.engine.explain.failures import EntityFailures, Misfit, entity_failures, misfit_words, misfits_of
from fivefold.risk.engine.explain.inputs import InputDescription, describe_inputs, numbers_compared
from fivefold.risk.engine.explain.outcomes import CaseOutcome, RuleOutcome
from fivefold.risk.engine.outcome_codes import points_of, slot_of
from fivefold.risk.engine.program import Program
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.engine.totals import WEIGHTS_USED
from fivefold.risk.language.inputs import input_key
from fivefold.risk.language.numbers import POINT_UNITS, WEIGHT_UNITS

Columns = Mapping[str, Sequence[Any]]
"""The inputs and outcomes of some entities, by the names of their columns; lists in them as tuples."""

_EXPLAINERS_KEPT = 64


@dataclass(frozen=True, eq=False)
class RuleExplainer:
    """Explains what one rule gave.

    Attributes:
        compiled: the rule.
        levels: their names, lowest first.
        case_texts: what each case asks, in plain words.
        descriptions: the rule's inputs.
        misfits: the words for an input that could not be read.
        weights: of the rule in each column of weights, in units; empty where its points are just added.
        signal: the key and the words of the input that decay counts from; empty for none.
    """

    compiled: CompiledRule
    levels: Sequence[str]
    case_texts: Sequence[str]
    descriptions: Sequence[InputDescription]
    misfits: Sequence[Misfit]
    weights: Sequence[int]
    signal: tuple[str, str]

    def outcomes(self, columns: Columns) -> list[RuleOutcome]:
        """Explain what the rule gave each of some entities; entities with the same values share one outcome."""
        moments = None if self.compiled.signal is None else columns[self.compiled.signal]
        errors = [name for name in self._errors if name in columns]
        facts = zip(
            columns[self.compiled.column],
            columns[WEIGHTS_USED] if self.weights else repeat(None),
            repeat(None) if moments is None else [moment is None for moment in moments],
            *[columns[one.key] for one in self.descriptions],
            *[columns[name] for name in errors],
            strict=False,  # what is always the same has no end
        )
        outcomes = _Memory(lambda fact: self._outcome(fact, errors))
        return list(map(outcomes.__getitem__, facts))

    @cached_property
    def _errors(self) -> list[str]:
        """The columns of errors that may be there, of the inputs themselves and of the sides of ratios."""
        sides = [side.error for misfit in self.misfits for side in misfit.sides]
        return list(dict.fromkeys([*(one.error for one in self.descriptions), *sides]))

    def _outcome(self, fact: tuple[Any, ...], errors: Sequence[str]) -> RuleOutcome:
        case_outcome, count = self._cases[fact[:2]], len(self.descriptions)
        values = fact[3 : 3 + count]
        problems = dict(zip(errors, fact[3 + count :], strict=True)) if errors else {}
        words = [
            one.words(value, problems.get(one.error)) for one, value in zip(self.descriptions, values, strict=True)
        ]
        return RuleOutcome(
            case_outcome,
            ", ".join(words),
            self._missing_of(case_outcome, values, timeless=fact[2]),
            misfit_words(self.misfits, problems) if case_outcome.case == "failed" else (),
        )

    @cached_property
    def _cases(self) -> "_Memory":
        """Every outcome that was met: there are few, as decay has a limited number of steps."""
        return _Memory(lambda fact: self._case(*fact))

    def _case(self, code: int, column: int | None) -> CaseOutcome:
        rule, compiled, slot = self.compiled.rule, self.compiled, slot_of(code)
        points, factor = Decimal(points_of(code)) / POINT_UNITS, None
        if self.weights:
            weight = 0 if column is None else self.weights[column]
            factor = points, Decimal(weight * 100) / WEIGHT_UNITS
        names = {compiled.otherwise: "otherwise", compiled.unknown: "unknown", compiled.failed: "failed"}
        level = compiled.floors[slot]
        return CaseOutcome(
            rule.id,
            rule.title,
            rule.category,
            names.get(slot, slot + 1),
            self.case_texts[slot] if slot < compiled.otherwise else "",
            points if factor is None else factor[0] * factor[1] / 100,
            factor,
            self.levels[level - 1] if level else "",
        )

    def _missing_of(self, case_outcome: CaseOutcome, values: Sequence[Any], *, timeless: bool) -> tuple[str, ...]:
        if case_outcome.case == "unknown":
            return self._missing(values, timeless)
        if timeless and isinstance(case_outcome.case, int) and points_of(self.compiled.codes[case_outcome.case - 1]):
            key, words = self.signal  # the points are those of the unknown
            known_keys = {one.key for one, value in zip(self.descriptions, values, strict=True) if value is not None}
            return (f"when the latest was, of {words}" if key in known_keys else words,)
        return ()

    def _missing(self, values: Sequence[Any], timeless: bool) -> tuple[str, ...]:
        known_keys = {one.key: one for one, value in zip(self.descriptions, values, strict=True) if value is not None}
        names = [one.name for one in self.descriptions if one.key not in known_keys]
        key, words = self.signal
        return (*names, f"when the latest was, of {words}") if timeless and key in known_keys else tuple(names)


class _Memory(dict[Hashable, Any]):
    """Remembers what was made of a fact."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, fact: Any) -> Any:
        value = self[fact] = self._make(fact)
        return value


@dataclass(frozen=True, eq=False)
class Explainer:
    """Explains what the rules of a program gave, and what failed or is unknown beside them.

    Attributes:
        rules: in the ruleset's order.
        failures: the words for what failed beside the rules.
        open_questions: the words for an unknown input of the predicate, by its key.
    """

    rules: tuple[RuleExplainer, ...]
    failures: EntityFailures
    open_questions: Mapping[str, str]

    def outcomes(self, columns: Columns) -> list[tuple[RuleOutcome, ...]]:
        """Explain what every rule gave each of some entities."""
        return list(zip(*[rule.outcomes(columns) for rule in self.rules], strict=True))


@lru_cache(maxsize=_EXPLAINERS_KEPT)
def explainer_of(program: Program, base: str) -> Explainer:
    """Prepare the explanation of a program's rules, once; *base* is the currency that money is in.

    No explanation depends on the members of lists, so the program may be of other versions of them.
    """
    words = {input_key(each): input_words(each) for each in program.analysed.inputs}
    return Explainer(
        tuple(_rule_explainer(compiled, program, base) for compiled in program.rules),
        entity_failures(program, base),
        {key: f"{words[key]} is unknown" for key in program.applies_reads},
    )


def _rule_explainer(compiled: CompiledRule, program: Program, base: str) -> RuleExplainer:
    rule, weights = compiled.rule, program.total.weights
    own = "it" if rule.input is None else input_words(rule.input)
    inputs = list(inputs_of_rule(rule))
    signal = None if compiled.signal is None else signal_of_rule(rule)
    return RuleExplainer(
        compiled,
        program.ruleset.levels,
        tuple(case.title or condition_words(case.when, own) for case in rule.cases),
        describe_inputs(inputs, program.inputs, base, numbers_compared(rule)),
        misfits_of(inputs, program.ruleset),
        tuple(column[rule.id] for column in weights if rule.id in column),
        ("", "") if signal is None else (input_key(signal), input_words(signal)),
    )


def explained_columns(assessments: Assessments, positions: Sequence[int]) -> Columns:
    """Take the inputs and the outcomes of some entities out of the frames."""
    return _columns_of(assessments.inputs, positions) | _columns_of(assessments.outcomes, positions)


def _columns_of(frame: pl.DataFrame, positions: Sequence[int]) -> dict[str, Sequence[Any]]:
    columns: dict[str, Sequence[Any]]
    if len(positions) == 1:  # a row costs less than as many columns of one
        columns = {name: [value] for name, value in zip(frame.columns, frame.row(positions[0]), strict=True)}
    else:
        columns = {**frame[positions].to_dict(as_series=False)}
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.List):
            columns[name] = [None if value is None else tuple(value) for value in columns[name]]
    return columns


def rule_outcomes(assessments: Assessments, position: int) -> tuple[RuleOutcome, ...]:
    """Explain what every rule gave the entity in one row."""
    explainer = explainer_of(assessments.program, assessments.base)
    return explainer.outcomes(explained_columns(assessments, [position]))[0]
