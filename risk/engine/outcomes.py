"""What one rule gave one entity, in words and exact numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk.columns.kinds import inputs_of_rule
from risk.engine.codes import points_of, slot_of
from risk.engine.failures import misfits, seen
from risk.engine.program import Program
from risk.engine.reads import signal_of_rule
from risk.engine.rules import CompiledRule
from risk.engine.totals import WEIGHTS_USED
from risk.engine.words import condition_words, input_words
from risk.language.conditions import subject_of, tests_in
from risk.language.inputs import key_of
from risk.language.numbers import POINT_UNITS, WEIGHT_UNITS


@dataclass(frozen=True)
class RuleOutcome:
    """What one rule gave.

    Attributes:
        rule: its id.
        title: of the rule.
        category: the family of risk factors.
        case: the number of the case that held, from 1; or otherwise, unknown, failed.
        asked: what that case asks, in plain words.
        seen: what the rule's inputs were, in plain words.
        points: exactly what it added to the total: weighted points in a weighted ruleset.
        factor: the factor's own score and its weight in percent; None where points are just added.
        floor: the name of the level below which the entity does not come; empty for none.
        missing: the inputs that were unknown, where that mattered.
        errors: what could not be read, where the rule failed.
    """

    rule: str
    title: str
    category: str
    case: int | str
    asked: str
    seen: str
    points: Decimal
    factor: tuple[Decimal, Decimal] | None
    floor: str
    missing: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The same in plain words."""
        if self.case == "failed":
            return f"{self.title}: failed, because {' and '.join(self.errors)}"
        floor = f"; at least {self.floor}" if self.floor else ""
        weighed = f" ({self.factor[1]:f} % of {self.factor[0]:f})" if self.factor else ""
        return f"{self.title}: {self.seen}. {self._reason()}: {signed(self.points)} points{weighed}{floor}"

    def _reason(self) -> str:
        if self.case == "unknown":
            return f"Not known: {', '.join(self.missing)}"
        return f"Case {self.case}, {self.asked}" if isinstance(self.case, int) else "No case holds"


def signed(points: Decimal) -> str:
    """Write points with their sign.

    >>> signed(Decimal("12.50")), signed(Decimal("-5")), signed(Decimal("0.00"))
    ('+12.5', '−5', '0')
    """
    size = f"{abs(points).normalize():f}"
    return size if not points else f"{'+' if points > 0 else '−'}{size}"


def outcome_of(
    compiled: CompiledRule, program: Program, inputs: Mapping[str, Any], row: Mapping[str, Any], base: str
) -> RuleOutcome:
    """Tell what a rule gave: *inputs* and *row* are one entity's inputs and outcomes, *base* the currency of money."""
    rule = compiled.rule
    code = row[compiled.column]
    slot = slot_of(code)
    points = Decimal(points_of(code)) / POINT_UNITS
    factor = _factor(rule.id, points, program, row)
    level = compiled.floors[slot]
    asked = rule.cases[slot] if slot < compiled.otherwise else None
    own = "it" if rule.input is None else input_words(rule.input)
    words = "" if asked is None else asked.title or condition_words(asked.when, own)
    return RuleOutcome(
        rule.id,
        rule.title,
        rule.category,
        _case_name(slot, compiled),
        words,
        seen(inputs_of_rule(rule), program, inputs, base, _cuts(compiled)),
        points if factor is None else factor[0] * factor[1] / 100,
        factor,
        program.ruleset.levels[level - 1] if level else "",
        _missing(compiled, inputs) if slot == compiled.unknown else (),
        misfits(inputs_of_rule(rule), program, inputs) if slot == compiled.failed else (),
    )


def _case_name(slot: int, compiled: CompiledRule) -> int | str:
    names = {compiled.otherwise: "otherwise", compiled.unknown: "unknown", compiled.failed: "failed"}
    return names.get(slot, slot + 1)


def _factor(rule: str, points: Decimal, program: Program, row: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    weights = program.total.weights
    if not weights or rule not in weights[0]:
        return None
    column = row[WEIGHTS_USED]
    weight = 0 if column is None else weights[column][rule]
    return points, Decimal(weight * 100) / WEIGHT_UNITS


def _cuts(compiled: CompiledRule) -> dict[str, list[Decimal]]:
    """Collect the numbers that a rule compares each of its inputs with, by the input's key."""
    cuts: dict[str, list[Decimal]] = {}
    for test in (test for case in compiled.rule.cases for test in tests_in(case.when)):
        subject = subject_of(test) or compiled.rule.input
        for _, value in test.comparisons():
            numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Decimal)]
            if subject is not None and numbers:
                cuts.setdefault(key_of(subject), []).extend(numbers)
    return cuts


def _missing(compiled: CompiledRule, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    made = {key_of(each): each for each in inputs_of_rule(compiled.rule)}
    names = [input_words(each) for key, each in made.items() if inputs[key] is None]
    if compiled.signal is not None and inputs[compiled.signal] is None:
        signal = signal_of_rule(compiled.rule)
        if inputs[key_of(signal)] is not None:
            names.append(f"when the latest was, of {input_words(signal)}")
    return tuple(names)
