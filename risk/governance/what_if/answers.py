"""Changes that would move a level, in words, each with its cases before and after, and the level by the rules then."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import polars as pl

from fivefold.risk.engine.assessments import VERSIONS, Assessments
from fivefold.risk.engine.explain.breakdown import Explanation, explain_all
from fivefold.risk.engine.explain.describe import input_words, numbers_compared, value_words
from fivefold.risk.engine.explain.rules import RuleOutcome
from fivefold.risk.engine.levels import MAY_MOVE_DOWN_ON, OVERRIDDEN, WITHHELD
from fivefold.risk.governance.lint.representative_values import FRESH
from fivefold.risk.governance.what_if.changeable import linked_inputs
from fivefold.risk.governance.what_if.hold import LevelHold, holds_of
from fivefold.risk.governance.what_if.moments import ValueShift
from fivefold.risk.governance.what_if.options import ChangeOptions, Option
from fivefold.risk.governance.what_if.search import (
    ChangedAssessment,
    SearchResult,
    WantedDirection,
    Wish,
    level_said,
    search,
)
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.ruleset import Rule, Ruleset

Why = Literal["not changeable", "linked", "not alone", "only with another", "only absent", "not decided"]
"""Why no change of a factor alone moves the level.

NOT CHANGEABLE: the ruleset does not declare that a person can change it. LINKED: another input is computed from it. NOT
ALONE: no value of it does. ONLY WITH ANOTHER: it is in a pair of changes. ONLY ABSENT: only a missing value does, which
is not advised. NOT DECIDED: not all of its values were tried, as with likeness of names; or points fade from a moment
that the values do not determine; or another ruleset may decide after a change of it.
"""


@dataclass(frozen=True, kw_only=True)
class InputChange:
    """One input, changed.

    Attributes:
        name: the input in plain words.
        rules: the rules that declare it changeable: their titles by their ids.
        rule_input: the input itself.
        before: its present value, as its column holds it.
        cuts: the numbers that it is compared with: no value is shown rounded across one.
        side: the direction from the present value to the new one.
        now: the present value in words, in the input's own unit.
        then: the new value, likewise: below 10,000.00 EUR.
    """

    name: str
    rules: Mapping[str, str]
    rule_input: Any
    before: Any
    cuts: tuple[Decimal, ...]
    side: ValueShift
    now: str
    then: str


@dataclass(frozen=True, kw_only=True)
class FactorChange:
    """A factor that gets another case, or other points."""

    rule: str
    title: str
    before: RuleOutcome
    after: RuleOutcome


@dataclass(frozen=True, kw_only=True)
class SmallestChange:
    """A smallest change that moves the level.

    Attributes:
        changes: the changes of one input, or of two.
        factors: the factors that change with them.
        level: the level by the rules then, beneath cooldown and override.
        held_until: the moment until which the cooldown, or an unknown floor, holds the level (microseconds); None if
            nothing does.
        after: the whole assessment then.
    """

    changes: tuple[InputChange, ...]
    factors: tuple[FactorChange, ...]
    level: str
    held_until: int | None
    after: Explanation


@dataclass(frozen=True)
class FactorWithout:
    """A factor that alone cannot move the level, and why; `gives`: whether it gives points or a floor now."""

    rule: str
    title: str
    why: Why
    gives: bool

    @property
    def is_changeable(self) -> bool:
        """Whether a person can change the factor."""
        return self.why not in {"not changeable", "linked"}


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What would move the level of one entity.

    Attributes:
        direction: the wanted direction.
        levels: the levels of the ruleset, lowest first.
        level: the level by the rules now, beneath cooldown and override; None if there is none in full.
        wished: the wanted level, or one beyond it; None if there is none in that direction.
        now: the present assessment.
        overridden: whether an override holds, above the rules.
        holds: what holds the level in force, each above the next; empty if the rules alone give it.
        answers: single changes first, then pairs.
        without: the other factors, in the ruleset's order.
        pairs_left_out: the number of pairs that were not tried, as there are too many.
    """

    direction: WantedDirection
    levels: tuple[str, ...]
    level: str | None
    wished: str | None
    now: Explanation
    overridden: bool
    holds: tuple[LevelHold, ...]
    answers: tuple[SmallestChange, ...]
    without: tuple[FactorWithout, ...]
    pairs_left_out: int

    @property
    def beyond(self) -> str:
        """The words after the wanted level if levels beyond it would do as well; empty if there are none."""
        levels = self.levels
        last = levels[0] if self.direction is WantedDirection.DOWN else levels[-1]
        return (
            ""
            if self.wished in {None, last}
            else " or below"
            if self.direction is WantedDirection.DOWN
            else " or above"
        )


def what_if(subject: ChangedAssessment, direction: WantedDirection, level: int | None = None) -> WhatIf:
    """Find what would move the level of one entity.

    Args:
        subject: the assessment.
        direction: the wanted direction.
        level: the number of the wanted level; by default one step away.
    """
    inputs, outcomes = subject.assessed([()])
    now, overrides = next(explained(subject, inputs, outcomes)), subject.overrides
    subject = subject.going_on(outcomes)
    names = subject.program.ruleset.levels
    (present,) = level_said(outcomes)
    step = -1 if direction is WantedDirection.DOWN else 1
    wished = None if present is None else (present + step if level is None else level)
    reachable = wished is not None and present is not None and 1 <= wished <= len(names)
    if not reachable or (wished - present) * step <= 0:  # type: ignore[operator]  # both are numbers if reachable
        wished = None
    result = None if wished is None else search(subject, Wish(direction, wished))
    return WhatIf(
        direction=direction,
        levels=names,
        level=None if present is None else names[present - 1],
        wished=None if wished is None else names[wished - 1],
        now=now,
        overridden=bool(outcomes[OVERRIDDEN][0]),
        holds=holds_of(outcomes, overrides, names, subject.program.ruleset.cooldown),
        answers=() if result is None else tuple(_answers(subject, now, result)),
        without=() if result is None else tuple(_without(subject, now, result)),
        pairs_left_out=0 if result is None else result.pairs_left_out,
    )


def explained(subject: ChangedAssessment, inputs: pl.DataFrame, outcomes: pl.DataFrame) -> Iterator[Explanation]:
    """Explain changed rows like any other assessment."""
    outcomes = outcomes.with_columns(pl.lit(0, pl.Int32).alias(VERSIONS))
    return explain_all(
        Assessments(
            program=subject.program, inputs=inputs, outcomes=outcomes, versions=(subject.versions,), base=subject.base
        )
    )


def _answers(subject: ChangedAssessment, now: Explanation, result: SearchResult) -> Iterator[SmallestChange]:
    if not result.changes:
        return
    inputs, outcomes = subject.assessed(result.changes)
    names = subject.program.ruleset.levels
    rows = zip(
        result.changes,
        explained(subject, inputs, outcomes),
        level_said(outcomes),
        outcomes[WITHHELD],
        outcomes[MAY_MOVE_DOWN_ON],
        strict=True,
    )
    for change, after, level, withheld, may_move_down in rows:
        assert level is not None  # the search kept only rows that are assessed in full
        yield SmallestChange(
            changes=tuple(_input_change(subject, result.options[key], option) for key, option in change),
            factors=tuple(_factors(now, after)),
            level=names[level - 1],
            held_until=None if withheld is None else may_move_down,
            after=after,
        )


def _input_change(subject: ChangedAssessment, options: ChangeOptions, option: Option) -> InputChange:
    rule_input = options.changeable.rule_input
    cuts = _cuts(subject.program.ruleset, rule_input)
    now, then = value_texts(options, option, subject.base, cuts)
    return InputChange(
        name=input_words(rule_input),
        rules={rule.id: rule.title for rule in subject.program.ruleset.rules if _declares(rule, rule_input)},
        rule_input=rule_input,
        before=options.before,
        cuts=cuts,
        side=option.side,
        now=now,
        then=then,
    )


def value_texts(options: ChangeOptions, option: Option, base: str, cuts: Sequence[Decimal]) -> tuple[str, str]:
    """Write the present value of an input, and the new one: below 10,000.00 EUR."""
    currency = getattr(options.changeable.rule_input, "in_currency", None) or base
    if options.column.is_age:  # points may halve within a day, at a number that no condition names
        cuts = (*cuts, Decimal(str(option.value)) if option.bound is None else option.bound)

    def words(value: Any) -> str:
        return value_words(value, options.column, currency, cuts)

    return words(options.before), option_words(options, option, words)


def option_words(options: ChangeOptions, option: Option, words: Callable[[Any], str]) -> str:
    """Write the new value of an input: below 10,000.00 EUR; *words* writes one of its values."""
    if FRESH in str(option.value):
        return f"something else{_pieces(option.value)}"
    if option.bound is None:  # one word represents all values that the rules treat alike
        such_as = "something else, such as " if options.column.kind is ValueType.TEXT else ""
        return f"{such_as}{words(option.value)}"
    bound = int(option.bound) if option.bound == option.bound.to_integral_value() else float(option.bound)
    return f"{'below' if option.value < option.bound else 'above'} {words(bound)}"


def _pieces(value: Any) -> str:
    """Write an example of text with pieces that the conditions name; empty if it has none."""
    example = re.sub(f"{FRESH}+", "…", value) if isinstance(value, str) else "…"
    return "" if example == "…" else f", such as {example}"


def _declares(rule: Rule, rule_input: Any) -> bool:
    return rule.changeable is not None and rule.input is not None and input_key(rule.input) == input_key(rule_input)


def _cuts(ruleset: Ruleset, rule_input: Any) -> tuple[Decimal, ...]:
    key, cuts = input_key(rule_input), (numbers_compared(rule) for rule in ruleset.rules)
    return tuple(cut for of_rule in cuts for cut in of_rule.get(key, ()))


def _factors(now: Explanation, after: Explanation) -> Iterator[FactorChange]:
    for before, then in zip(now.rules, after.rules, strict=True):
        if (before.case, before.points, before.floor) != (then.case, then.points, then.floor):
            yield FactorChange(rule=before.rule, title=before.title, before=before, after=then)


def _without(subject: ChangedAssessment, now: Explanation, result: SearchResult) -> Iterator[FactorWithout]:
    """Yield the factors for which no change of their own input alone helps, and why."""
    alone = {change[0][0] for change in result.changes if len(change) == 1}
    paired = {key for change in result.changes if len(change) > 1 for key, _ in change}
    linked = linked_inputs(subject.program.analysed)
    for rule, outcome in zip(subject.program.ruleset.rules, now.rules, strict=True):
        key = None if rule.input is None else input_key(rule.input)
        if key not in alone:
            gives = bool(outcome.points or outcome.floor)
            yield FactorWithout(rule.id, rule.title, _why(rule, key, result, paired, linked), gives)


def _why(rule: Rule, key: str | None, result: SearchResult, paired: set[str], linked: frozenset[str]) -> Why:
    if key is None or key not in result.options:
        return "linked" if rule.changeable is not None and key in linked else "not changeable"
    if key in paired:
        return "only with another"
    if not result.options[key].exact:
        return "not decided"
    return "only absent" if key in result.by_absence else "not alone"
