"""Examples beside a ruleset: each is assessed, compared with what must come of it, and counted for coverage."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from domain.errors import RulesetNotValid
from risk.engine.assess import assess
from risk.engine.assessments import Assessments
from risk.engine.breakdown import Explanation, explain_all
from risk.facts.lists import NamedList
from risk.governance.example_facts import check_examples, example_portfolio, previous_levels
from risk.language.ruleset import Expectation, Ruleset


@dataclass(frozen=True)
class ExampleResult:
    """What became of one example.

    Attributes:
        name: of the example.
        differences: what came out otherwise than expected; empty where it passed.
        explanation: the assessment.
    """

    name: str
    differences: tuple[str, ...]
    explanation: Explanation


@dataclass(frozen=True)
class Tested:
    """A ruleset's examples, and what they reach.

    Attributes:
        results: in the order of the examples.
        rules: of each rule, the numbers of its cases (from 1) that held in some example.
        cases: how many cases each rule has.
    """

    results: tuple[ExampleResult, ...]
    rules: Mapping[str, frozenset[int]]
    cases: Mapping[str, int]

    @property
    def rule_share(self) -> Decimal:
        """Percent of rules of which some case held."""
        return _percent(sum(1 for held in self.rules.values() if held), len(self.rules))

    @property
    def case_share(self) -> Decimal:
        """Percent of cases that held."""
        return _percent(sum(map(len, self.rules.values())), sum(self.cases.values()))

    def missing(self) -> list[str]:
        """Name the cases that no example reaches."""
        return [
            f"rule {rule}, case {case}"
            for rule, held in self.rules.items()
            for case in range(1, self.cases[rule] + 1)
            if case not in held
        ]

    def passed(self, ruleset: Ruleset) -> bool:
        """Tell whether every example came out as expected, and enough is covered."""
        enough = self.rule_share >= ruleset.coverage.rules and self.case_share >= ruleset.coverage.cases
        return enough and not any(result.differences for result in self.results)


def _percent(part: int, whole: int) -> Decimal:
    return Decimal(100) * part / whole if whole else Decimal(100)


def run_examples(ruleset: Ruleset, lists: Mapping[str, NamedList], as_of: int) -> Tested:
    """Assess all examples of a ruleset at once and compare.

    Args:
        ruleset: with its examples.
        lists: the named lists.
        as_of: for examples that name no moment of their own (microseconds).

    Raises:
        RulesetNotValid: an example gives something that the ruleset does not know.
    """
    problems = check_examples(ruleset)
    if problems:
        raise RulesetNotValid(problems, f"the examples of {ruleset.name}")
    held: dict[str, set[int]] = {rule.id: set() for rule in ruleset.rules}
    results = []
    if ruleset.examples:
        found = assess_examples(ruleset, lists, as_of)
        for example, explanation in zip(ruleset.examples, explain_all(found), strict=True):
            for outcome in explanation.rules:
                if isinstance(outcome.case, int):
                    held[outcome.rule].add(outcome.case)
            results.append(ExampleResult(example.name, _differences(example.expect, explanation, ruleset), explanation))
    cases = {rule.id: len(rule.cases) for rule in ruleset.rules}
    return Tested(tuple(results), {rule: frozenset(numbers) for rule, numbers in held.items()}, cases)


def assess_examples(ruleset: Ruleset, lists: Mapping[str, NamedList], as_of: int) -> Assessments:
    """Assess the examples as a portfolio of their own, each as of its own moment."""
    moments = [as_of if example.as_of is None else example.as_of for example in ruleset.examples]
    portfolio = example_portfolio(ruleset, lists, as_of)
    return assess(ruleset, portfolio, pl.Series("as_of", moments, dtype=pl.Int64), previous=previous_levels(ruleset))


def _differences(expect: Expectation, found: Explanation, ruleset: Ruleset) -> tuple[str, ...]:
    floor_by = next((outcome.rule for outcome in found.rules if outcome.floor and outcome.floor == found.floor), None)
    level = None if expect.level is None else ruleset.levels[ruleset.level_number(expect.level) - 1]
    compared: list[tuple[str, object, object]] = [
        ("level", level, found.level or "none"),
        ("total", expect.total, found.total),
        ("status", expect.status, found.status),
        ("floor_by", expect.floor_by, floor_by),
    ]
    cases = {outcome.rule: outcome.case for outcome in found.rules}
    compared += [(f"case of {rule}", case, cases[rule]) for rule, case in expect.cases.items()]
    return tuple(f"{what} is {came}, not {wanted}" for what, wanted, came in compared if wanted not in {None, came})
