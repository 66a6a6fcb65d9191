"""Finds what one rule would have given for other values of its inputs, with everything else as recorded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.value_types import inputs_of
from fivefold.risk.engine.explain.rules import RuleOutcome
from fivefold.risk.governance.what_if.answers import explained
from fivefold.risk.governance.what_if.changeable import Changeable, compared_with_each_other
from fivefold.risk.governance.what_if.options import ChangeOptions, Option, options_of
from fivefold.risk.governance.what_if.search import Change, ChangedAssessment, level_said, variants
from fivefold.risk.language.expressions import distinct, input_key
from fivefold.risk.language.ruleset import Rule


@dataclass(frozen=True, kw_only=True)
class Variation:
    """Another value of an input of a rule.

    Attributes:
        options: the possible values of the input.
        option: the chosen value.
        outcome: the outcome of the rule then.
        level: the level by all rules then; None if there is none in full.
    """

    options: ChangeOptions
    option: Option
    outcome: RuleOutcome
    level: str | None


def variations(
    subject: ChangedAssessment, rule: Rule, levels_of: Callable[[pl.DataFrame], list[int | None]] = level_said
) -> Iterator[Variation]:
    """Yield other values of each input of a rule, the nearest on each side first.

    Only the rule's own conditions distinguish them, so that they reveal nothing about other rules.

    Args:
        subject: the assessment.
        rule: the rule.
        levels_of: returns the number of the level of outcomes; None if there is none.
    """
    own = [] if rule.input is None else [rule.input]
    places = [Location((), case.when, rule.input) for case in rule.cases]
    levels = subject.program.ruleset.levels
    compared = {input_key(each) for place in places for each in compared_with_each_other(place)}
    for each in distinct([*own, *(one for case in rule.cases for one in inputs_of(case.when))]):
        key = input_key(each)
        if key in compared:
            continue  # a few values cannot represent all
        options = options_of(
            Changeable(each, "either"),
            subject.program,
            subject.members,
            subject.inputs[key],
            places,
            moments=subject.moments_of(each, are_distinguished=False),
        )
        for option in options.options:
            outcomes = list(_outcomes(subject, rule, ((key, option),), levels_of))
            first, number = outcomes[0]
            if any((one.case, one.points, one.floor) != (first.case, first.points, first.floor) for one, _ in outcomes):
                continue  # it is not certain how far its points would have faded
            is_certain = number is not None and all(level == number for _, level in outcomes)
            level = levels[number - 1] if is_certain and number is not None else None
            yield Variation(options=options, option=option, outcome=first, level=level)


def _outcomes(
    subject: ChangedAssessment, rule: Rule, change: Change, levels_of: Callable[[pl.DataFrame], list[int | None]]
) -> Iterator[tuple[RuleOutcome, int | None]]:
    """Yield a rule's outcome, and the level by all rules, after a change, for every possible moment."""
    inputs, outcomes = subject.assessed(list(variants(change)))
    for after, level in zip(explained(subject, inputs, outcomes), levels_of(outcomes), strict=True):
        yield next(one for one in after.rules if one.rule == rule.id), level
