"""The outcome of each rule in words and exact numbers.

A rule's own words are prepared once, and entities are explained column by column.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import repeat
from typing import Any

import msgspec
import polars as pl

from fivefold.risk.compiler.analysis import VERSIONS_KEPT, signal_of_rule
from fivefold.risk.compiler.value_types import inputs_of_rule
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.describe import (
    InputDescription,
    condition_words,
    describe_inputs,
    input_words,
    numbers_compared,
    pairs_compared,
)
from fivefold.risk.engine.explain.failures import EntityFailures, Misfit, entity_failures, misfit_words, misfits_of
from fivefold.risk.engine.program import Program
from fivefold.risk.engine.rules import MOST_HALVINGS, CompiledRule
from fivefold.risk.engine.totals import WEIGHTS_USED, points_of, slot_of
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.quantities import POINT_UNITS, WEIGHT_UNITS, decimal_text

JSON = msgspec.json.Encoder(order="sorted")
"""Writes canonical JSON: for text, whole numbers and null the same bytes as `canonical_json`."""


@dataclass(frozen=True, kw_only=True)
class CaseOutcome:
    """The effect of a rule's case, or of otherwise, unknown or failed: the same for every entity that gets it.

    Attributes: as in `RuleOutcome`, and
        fading: how decay halved the points, in words; empty if it did not.
        is_weighed: whether weights were chosen for its factor; False if no condition on them holds.
    """

    rule: str
    title: str
    category: str
    case: int | str
    asked: str
    points: Decimal
    factor: tuple[Decimal, Decimal] | None
    fading: str
    floor: str
    is_weighed: bool = True

    @cached_property
    def reason(self) -> str:
        """The case, in words."""
        return f"Case {self.case}, {self.asked}" if isinstance(self.case, int) else "No case holds"

    @property
    def marked_title(self) -> str:
        """The title for the line, marked if the outcome is for unknown facts, which are not a hit."""
        return f"{self.title} (not known)" if self.case == "unknown" else self.title

    @cached_property
    def effect(self) -> str:
        """The effect on the total and the level, in words."""
        floor = f"; at least {self.floor}" if self.floor else ""
        weighed = f" ({self.factor[1]:f} % of {self.factor[0]:f})" if self.factor else ""
        return f"{signed(self.points)} points{weighed}{self.fading}{floor}"

    @cached_property
    def terms(self) -> tuple[str, str]:
        """The rule and its points as the first term of a sum, and as a later one; empty if it gives no points."""
        if not self.points:
            return "", ""
        size = f"{self.marked_title} {decimal_text(abs(self.points))}"
        first = size if self.points > 0 else f"{self.marked_title} {signed(self.points)}"
        return first, f"{'+' if self.points > 0 else '−'} {size}"

    @cached_property
    def shared(self) -> dict[str, Any]:
        """The parts of `RuleOutcome.as_json` that all entities with this outcome share."""
        return {
            "rule": self.rule,
            "title": self.title,
            "category": self.category,
            "case": self.case,
            "asked": self.asked,
            "points": str(self.points),
            "factor": None if self.factor is None else [str(part) for part in self.factor],
            "floor": self.floor,
        }


@dataclass(frozen=True)
class RuleOutcome:
    """The outcome of one rule.

    Attributes:
        case_outcome: the part that depends on the case alone.
        seen: the values of the rule's inputs, in plain words.
        missing: the inputs that were unknown, if that mattered.
        errors: the values that could not be read, if the rule failed.
    """

    case_outcome: CaseOutcome
    seen: str
    missing: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The rule's id."""
        return self.case_outcome.rule

    @property
    def title(self) -> str:
        """The title of the rule."""
        return self.case_outcome.title

    @property
    def category(self) -> str:
        """The family of risk factors."""
        return self.case_outcome.category

    @property
    def case(self) -> int | str:
        """The number of the case that held, from 1; or otherwise, unknown, failed."""
        return self.case_outcome.case

    @property
    def asked(self) -> str:
        """The condition of that case, in plain words."""
        return self.case_outcome.asked

    @property
    def points(self) -> Decimal:
        """The exact points that it added to the total, weighted in a weighted ruleset."""
        return self.case_outcome.points

    @property
    def factor(self) -> tuple[Decimal, Decimal] | None:
        """The factor's own score and its weight in percent; None if points are just added."""
        return self.case_outcome.factor

    @property
    def floor(self) -> str:
        """The name of the level that the entity does not fall below; empty for none."""
        return self.case_outcome.floor

    @property
    def reason(self) -> str:
        """The case, what was not known, or why the rule failed, in words."""
        if self.case == "failed":
            return f"failed, because {' and '.join(self.errors)}"
        missing = ", ".join(self.missing)
        if self.case == "unknown":
            return f"Not known: {missing}"
        return self.case_outcome.reason + (f"; not known: {missing}" if missing else "")

    @property
    def sentence(self) -> str:
        """The outcome in one sentence of plain words."""
        if self.case == "failed":
            return f"{self.title}: {self.reason}"
        return f"{self.title}: {self.seen}. {self.reason}: {self.case_outcome.effect}"

    @cached_property
    def encoded(self) -> msgspec.Raw:
        """`as_json` as canonical JSON, written once, as many entities share an outcome."""
        return msgspec.Raw(JSON.encode(self.as_json()))

    def as_json(self) -> dict[str, Any]:
        """Convert the outcome to plain data for JSON: exact numbers as text."""
        own = {"seen": self.seen, "missing": self.missing, "errors": self.errors, "sentence": self.sentence}
        return {**self.case_outcome.shared, **own}


def signed(points: Decimal) -> str:
    """Write points with their sign.

    >>> signed(Decimal("12.50")), signed(Decimal("-5")), signed(Decimal("0.00"))
    ('+12.5', '−5', '0')
    """
    size = decimal_text(abs(points))
    return size if not points else f"{'+' if points > 0 else '−'}{size}"


Columns = Mapping[str, Sequence[Any]]
"""The inputs and outcomes of some entities, by the names of their columns; lists in them as tuples."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RuleExplainer:
    """Explains the outcomes of one rule.

    Attributes:
        compiled: the compiled rule.
        levels: the names of levels, lowest first.
        case_texts: the condition of each case, in plain words.
        descriptions: the descriptions of the rule's inputs.
        misfits: the words for an input that could not be read.
        weights: the rule's weight in each column of weights, in units; empty if its points are just added.
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
        """Explain the rule's outcome for some entities; entities with the same values share one."""
        moments = None if self.compiled.signal is None else columns[self.compiled.signal]
        optional = [name for name in self._optional if name in columns]
        facts = zip(
            columns[self.compiled.column],
            columns[WEIGHTS_USED] if self.weights else repeat(None),
            repeat(None) if moments is None else [moment is None for moment in moments],
            *[columns[key] for key in self._keys],
            *[columns[name] for name in optional],
            strict=False,  # repeated values have no end
        )
        outcomes = _Memory(lambda fact: self._outcome(fact, optional))
        return list(map(outcomes.__getitem__, facts))

    def timeless(self, columns: Columns) -> list[bool]:
        """Return for some entities whether the moment that decay counts from is unknown; [] if the rule has none."""
        return [] if self.compiled.signal is None else [moment is None for moment in columns[self.compiled.signal]]

    @cached_property
    def _keys(self) -> list[str]:
        """The columns of the described values, those of the rule's inputs themselves first."""
        parts = [key for one in self.descriptions for key in one.keys]
        return list(dict.fromkeys([*(one.key for one in self.descriptions), *parts]))

    @cached_property
    def _optional(self) -> list[str]:
        """The optional columns: errors of inputs and of sides of ratios, and what later programs store."""
        sides = [side.error for misfit in self.misfits for side in misfit.sides]
        later = [key for one in self.descriptions for key in one.later_keys]
        return list(dict.fromkeys([*(one.error for one in self.descriptions), *sides, *later]))

    def _outcome(self, fact: tuple[Any, ...], optional: Sequence[str]) -> RuleOutcome:
        case_outcome, count = self._cases[fact[:3]], len(self._keys)
        row = dict(zip(self._keys, fact[3:], strict=False))
        values = fact[3 : 3 + len(self.descriptions)]
        more = dict(zip(optional, fact[3 + count :], strict=True)) if optional else {}
        words = [one.words(row | more) for one in self.descriptions]
        return RuleOutcome(
            case_outcome,
            ", ".join(words),
            self._missing_of(case_outcome, values, timeless=fact[2]),
            misfit_words(self.misfits, more) if case_outcome.case == "failed" else (),
        )

    @cached_property
    def _cases(self) -> "_Memory":
        """The outcomes of cases so far: they are few, as decay has a limited number of steps."""
        return _Memory(lambda fact: self._case(*fact))

    def _case(self, code: int, column: int | None, timeless: bool) -> CaseOutcome:
        rule, compiled, slot = self.compiled.rule, self.compiled, slot_of(code)
        points, factor = Decimal(points_of(code)) / POINT_UNITS, None
        if self.weights:
            weight = 0 if column is None else self.weights[column]
            factor = points, Decimal(weight * 100) / WEIGHT_UNITS
        names = {compiled.otherwise: "otherwise", compiled.unknown: "unknown", compiled.failed: "failed"}
        level = compiled.floors[slot]
        return CaseOutcome(
            rule=rule.id,
            title=rule.title,
            category=rule.category,
            case=names.get(slot, slot + 1),
            asked=self.case_texts[slot] if slot < compiled.otherwise else "",
            points=points if factor is None else factor[0] * factor[1] / 100,
            factor=factor,
            fading="" if timeless or slot >= compiled.otherwise else self._fading(slot, points_of(code)),
            floor=self.levels[level - 1] if level else "",
            is_weighed=column is not None or not any(self.weights),
        )

    def _fading(self, slot: int, units: int) -> str:
        """Write how often decay halved a case's points, as far as the rounded points show it."""
        decay, whole = self.compiled.rule.decay, points_of(self.compiled.codes[slot])
        if decay is None or units == whole:
            return ""
        counts = [count for count in range(MOST_HALVINGS + 1) if round(Fraction(whole, 2**count)) == units]
        times = {1: "once", 2: "twice"}.get(counts[0], f"{counts[0]} times") + (" or more" if counts[1:] else "")
        points = signed(Decimal(whole) / POINT_UNITS).removeprefix("+")
        return f", {points} halved {times if units else 'to nothing'} (half-life {decay.half_life})"

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
    """Computes the value of a key once."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, fact: Any) -> Any:
        value = self[fact] = self._make(fact)
        return value


@dataclass(frozen=True, eq=False)
class Explainer:
    """Explains the outcomes of a program's rules, and failures and unknowns apart from them.

    Attributes:
        rules: the rules' explainers, in the ruleset's order.
        failures: the words for failures apart from the rules.
        open_questions: the words for an unknown input of the predicate, by its key.
    """

    rules: tuple[RuleExplainer, ...]
    failures: EntityFailures
    open_questions: Mapping[str, str]

    def outcomes(self, columns: Columns) -> list[tuple[RuleOutcome, ...]]:
        """Explain the outcomes of all rules for some entities."""
        return list(zip(*[rule.outcomes(columns) for rule in self.rules], strict=True))

    def values_shown(self, columns: Columns) -> list[Sequence[Any]]:
        """Return the inputs of some entities as the rules show them, in columns: equal if what is shown is equal.

        Frames have a column of errors only if one of the entities assessed together has an error. Here it always
        exists, so that an entity's values do not depend on the others.
        """
        nothing = [None] * len(columns[ENTITY])
        shown = {(one.key, one.cuts, one.others): one for rule in self.rules for one in rule.descriptions}
        errors = dict.fromkeys(one.error for one in shown.values())
        moments = [rule.timeless(columns) for rule in self.rules]
        return [
            *(one.shown(columns) for one in shown.values()),
            *(columns.get(name, nothing) for name in errors),
            *(each for each in moments if each),
        ]


@lru_cache(maxsize=VERSIONS_KEPT)
def explainer_of(program: Program, base: str) -> Explainer:
    """Prepare the explainer of a program's rules, cached; *base* is the currency of money.

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
        compiled=compiled,
        levels=program.ruleset.levels,
        case_texts=tuple(case.title or condition_words(case.when, own) for case in rule.cases),
        descriptions=describe_inputs(
            inputs, program.analysed.names, base, numbers_compared(rule), pairs_compared(rule)
        ),
        misfits=misfits_of(inputs, program.analysed.names),
        weights=tuple(column[rule.id] for column in weights if rule.id in column),
        signal=("", "") if signal is None else (input_key(signal), input_words(signal)),
    )


def explained_columns(assessments: Assessments, positions: Sequence[int]) -> Columns:
    """Return the inputs and the outcomes of some entities as columns."""
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
    """Explain the outcomes of all rules for the entity in one row."""
    explainer = explainer_of(assessments.program, assessments.base)
    return explainer.outcomes(explained_columns(assessments, [position]))[0]
