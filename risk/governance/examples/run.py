"""Examples beside a ruleset: each is assessed, compared with what it expects, and counted for coverage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import COMPUTED, Assessments, Status
from fivefold.risk.engine.explain.breakdown import Explanation, explain_all
from fivefold.risk.engine.explain.rules import RuleOutcome
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.governance.examples.facts import (
    check_examples,
    example_moments,
    example_portfolio,
    previous_levels,
)
from fivefold.risk.governance.lint.ruleset import example_diagnostics
from fivefold.risk.language.documents import Document
from fivefold.risk.language.ruleset import Expectation, Ruleset


def expected_cases(
    ruleset: Ruleset, assessments: Assessments, explained: Sequence[Explanation]
) -> Iterator[tuple[str, int]]:
    """Give rule and number of each case of which an example expects something.

    It does where it names the case, or the rule's floor; where it names the total, to which the case gives points; and
    where it names the level, which would be another one without the case.

    Args:
        ruleset: with its examples.
        assessments: their assessments.
        explained: the same, explained.
    """
    expected_levels: list[tuple[int, RuleOutcome]] = []
    for number, (example, explanation) in enumerate(zip(ruleset.examples, explained, strict=True)):
        for outcome in explanation.rules:
            if not isinstance(outcome.case, int):
                continue
            if _is_named(example.expect, outcome):
                yield outcome.rule, outcome.case
            elif example.expect.level is not None and explanation.status == Status.ASSESSED:
                expected_levels.append((number, outcome))
    for (number, outcome), without in zip(
        expected_levels, _levels_without(assessments, explained, expected_levels), strict=True
    ):
        computed = assessments.outcomes[COMPUTED][number]
        stands = explained[number].rules_level == ruleset.levels[computed - 1]  # not one that the cooldown holds
        if stands and without != computed and isinstance(outcome.case, int):
            yield outcome.rule, outcome.case


def _is_named(expect: Expectation, outcome: RuleOutcome) -> bool:
    if expect.cases.get(outcome.rule) == outcome.case:
        return True
    if expect.floor_by == outcome.rule and outcome.floor:
        return True
    return expect.total is not None and bool(outcome.points)


def _levels_without(
    assessments: Assessments, explained: Sequence[Explanation], expected_levels: Sequence[tuple[int, RuleOutcome]]
) -> list[int | None]:
    """Give the level that each of some examples would have without the outcome of one case."""
    total, levels = assessments.program.total, ("", *assessments.program.ruleset.levels)
    totals = [
        assessments.outcomes[TOTAL][number] - int(outcome.points * total.scale) for number, outcome in expected_levels
    ]
    floors = [
        max((levels.index(other.floor) for other in explained[number].rules if other.rule != outcome.rule), default=0)
        for number, outcome in expected_levels
    ]
    frame = pl.DataFrame({"total": totals, "floor": floors}, schema={"total": pl.Int64, "floor": pl.Int8})
    return frame.select(pl.max_horizontal(total.level(pl.col("total")), "floor")).to_series().to_list()


@dataclass(frozen=True)
class ExampleResult:
    """What became of one example.

    Attributes:
        name: of the example.
        differences: results other than expected; empty where it passed.
        explanation: the assessment.
    """

    name: str
    differences: tuple[str, ...]
    explanation: Explanation


@dataclass(frozen=True)
class ExampleResults:
    """A ruleset's examples, and what they reach.

    Attributes:
        results: in the order of the examples.
        rules: of each rule, the numbers of its cases (from 1) of which some example expects something.
        cases: how many cases each rule has.
        hits: of each rule, the numbers of its cases that held in some example, whatever it expects.
    """

    results: tuple[ExampleResult, ...]
    rules: Mapping[str, frozenset[int]]
    cases: Mapping[str, int]
    hits: Mapping[str, frozenset[int]]

    @property
    def rule_share(self) -> Decimal:
        """Percent of rules of which some example expects something."""
        return _percent(sum(1 for cases in self.rules.values() if cases), len(self.rules))

    @property
    def case_share(self) -> Decimal:
        """Percent of cases of which some example expects something."""
        return _percent(sum(map(len, self.rules.values())), sum(self.cases.values()))

    def missing(self) -> list[str]:
        """Name the cases of which no example expects anything, and whether they hold in one."""
        return [
            f"rule {rule}, case {case}{' (holds in an example that expects nothing of it)' * (case in self.hits[rule])}"
            for rule, expected in self.rules.items()
            for case in range(1, self.cases[rule] + 1)
            if case not in expected
        ]

    def passed(self, ruleset: Ruleset) -> bool:
        """True where every example came out as expected, and enough is covered."""
        enough = self.rule_share >= ruleset.coverage.rules and self.case_share >= ruleset.coverage.cases
        return enough and not any(result.differences for result in self.results)


def _percent(part: int, whole: int) -> Decimal:
    return Decimal(100) * part / whole if whole else Decimal(100)


def run_examples(
    analysed: AnalysedRuleset, lists: Mapping[str, NamedList], as_of: int, document: Document | None = None
) -> ExampleResults:
    """Assess all examples of a ruleset at once and compare.

    Args:
        analysed: the ruleset, with its examples.
        lists: the named lists.
        as_of: for examples that name no moment of their own (microseconds).
        document: from which the ruleset was read; without it what is wrong has no line.

    Raises:
        InvalidRulesetError: an example gives something that the ruleset does not know.
    """
    ruleset = analysed.ruleset
    problems = check_examples(ruleset)
    if problems:
        diagnostics = example_diagnostics(ruleset.examples, problems)
        raise InvalidRulesetError(findings(diagnostics, ruleset, document), f"ruleset {ruleset.name}")
    cases_held: dict[str, set[int]] = {rule.id: set() for rule in ruleset.rules}
    expected: dict[str, set[int]] = {rule.id: set() for rule in ruleset.rules}
    results = []
    if ruleset.examples:
        assessments = assess_examples(analysed, lists, as_of)
        explained = list(explain_all(assessments))
        for example, explanation in zip(ruleset.examples, explained, strict=True):
            for outcome in explanation.rules:
                if isinstance(outcome.case, int):
                    cases_held[outcome.rule].add(outcome.case)
            results.append(ExampleResult(example.name, _differences(example.expect, explanation, ruleset), explanation))
        for rule, case in expected_cases(ruleset, assessments, explained):
            expected[rule].add(case)
    cases = {rule.id: len(rule.cases) for rule in ruleset.rules}
    return ExampleResults(tuple(results), _frozen(expected), cases, _frozen(cases_held))


def _frozen(numbers: Mapping[str, set[int]]) -> dict[str, frozenset[int]]:
    return {rule: frozenset(of) for rule, of in numbers.items()}


def assess_examples(analysed: AnalysedRuleset, lists: Mapping[str, NamedList], as_of: int) -> Assessments:
    """Assess the examples as a portfolio of their own, each as of its own moment."""
    moments = example_moments(analysed.ruleset, as_of)
    portfolio, previous = example_portfolio(analysed, lists, as_of), previous_levels(analysed.ruleset)
    return assess(analysed, portfolio, pl.Series("as_of", moments, dtype=pl.Int64), previous)


def _differences(expect: Expectation, explanation: Explanation, ruleset: Ruleset) -> tuple[str, ...]:
    floor_by = next(
        (outcome.rule for outcome in explanation.rules if outcome.floor and outcome.floor == explanation.floor), None
    )
    level = None if expect.level is None else ruleset.levels[ruleset.level_number(expect.level) - 1]
    compared: list[tuple[str, object, object]] = [
        ("level", level, explanation.level or "none"),
        ("total", expect.total, explanation.total),
        ("status", expect.status, explanation.status),
        ("floor_by", expect.floor_by, floor_by),
    ]
    cases = {outcome.rule: outcome.case for outcome in explanation.rules}
    compared += [(f"case of {rule}", case, cases[rule]) for rule, case in expect.cases.items()]
    if all(expected is None for _, expected, _ in compared):
        return ("expects nothing, so it tests nothing; name a level, a total, a status, a floor or the case of a rule",)
    return tuple(
        f"{what} is {actual}, not {expected}" for what, expected, actual in compared if expected not in {None, actual}
    )
