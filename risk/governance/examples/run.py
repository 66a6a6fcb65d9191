"""Assesses the examples of a ruleset, compares them with their expectations (also as columns), and counts coverage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import COMPUTED, STATUS, Assessments, Status
from fivefold.risk.engine.explain.breakdown import Explanation, explain_all
from fivefold.risk.engine.explain.rules import RuleOutcome
from fivefold.risk.engine.levels import LEVEL
from fivefold.risk.engine.program import TOTAL, Program
from fivefold.risk.engine.totals import points_column, rule_column, slot_column
from fivefold.risk.facts.portfolio import ENTITY, NamedList
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
    """Yield the rule and number of each case that an example's expectation depends on.

    An expectation depends on a case if it names the case, or the rule's floor; if it names the total, to which the case
    gives points; and if it names the level, which would differ without the case.

    Args:
        ruleset: the ruleset, with its examples.
        assessments: the assessments of the examples.
        explained: the explanations of these.
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
        stands = explained[number].rules_level == ruleset.levels[computed - 1]  # the level is not held by the cooldown
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
    """Return the level that each of some examples would have without the outcome of one case."""
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
    """The result of one example.

    Attributes:
        name: the name of the example.
        differences: the results that differ from the expectation; empty if it passed.
        explanation: the explained assessment.
    """

    name: str
    differences: tuple[str, ...]
    explanation: Explanation


@dataclass(frozen=True)
class ExampleResults:
    """The results of a ruleset's examples, and their coverage.

    Attributes:
        results: the results, in the order of the examples.
        rules: by rule, the numbers of its cases (from 1) that some example's expectation depends on.
        cases: by rule, the number of its cases.
        hits: by rule, the numbers of its cases that held in some example, even if that expects nothing of them.
    """

    results: tuple[ExampleResult, ...]
    rules: Mapping[str, frozenset[int]]
    cases: Mapping[str, int]
    hits: Mapping[str, frozenset[int]]

    @property
    def rule_share(self) -> Decimal:
        """The percentage of rules that some example's expectation depends on."""
        return _percent(sum(1 for cases in self.rules.values() if cases), len(self.rules))

    @property
    def case_share(self) -> Decimal:
        """The percentage of cases that some example's expectation depends on."""
        return _percent(sum(map(len, self.rules.values())), sum(self.cases.values()))

    def missing(self) -> list[str]:
        """Name the cases that no example's expectation depends on, and whether they hold in one."""
        return [
            f"rule {rule}, case {case}{' (holds in an example that expects nothing of it)' * (case in self.hits[rule])}"
            for rule, expected in self.rules.items()
            for case in range(1, self.cases[rule] + 1)
            if case not in expected
        ]

    def passed(self, ruleset: Ruleset) -> bool:
        """Check whether every example gives the expected result, and enough is covered."""
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
        as_of: the moment of examples that name none (microseconds).
        document: the document of the ruleset; without it findings have no lines.

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


_LEVEL, _TOTAL, _STATUS, _FLOOR_BY = "expected level", "expected total", "expected status", "expected floor_by"


def _case_column(rule: str) -> str:
    return f"expected {rule_column(rule)}"


def expected_frame(ruleset: Ruleset, scale: int) -> pl.DataFrame:
    """Make a row for each example, in order: what it expects, null if it expects nothing.

    Args:
        ruleset: the ruleset, with its examples.
        scale: the units of the total in one point.

    Returns:
        `entity_id` (the example's position, as text); level (number), total (units), status, floor_by (a rule's id);
        and for each rule the slot of the expected case.
    """
    rows = []
    for number, example in enumerate(ruleset.examples):
        expect = example.expect
        slots = {_case_column(rule): _slot(ruleset, rule, case) for rule, case in expect.cases.items()}
        rows.append(
            {
                ENTITY: str(number),
                _LEVEL: None if expect.level is None else ruleset.level_number(expect.level),
                _TOTAL: None if expect.total is None else int(expect.total * scale),
                _STATUS: expect.status,
                _FLOOR_BY: expect.floor_by,
                **slots,
            }
        )
    kinds = {ENTITY: pl.String, _LEVEL: pl.Int64, _TOTAL: pl.Int64, _STATUS: pl.String, _FLOOR_BY: pl.String}
    return pl.DataFrame(rows, schema={**kinds, **{_case_column(rule.id): pl.UInt8 for rule in ruleset.rules}})


def _slot(ruleset: Ruleset, rule: str, case: int | str) -> int:
    after_cases: Mapping[int | str, int] = {"otherwise": 0, "unknown": 1}
    return case - 1 if isinstance(case, int) else len(ruleset.rule(rule).cases) + after_cases[case]


def differing(outcomes: pl.DataFrame, expected: pl.DataFrame, program: Program) -> list[int]:
    """Return the positions of the examples whose results differ from the expectation.

    Args:
        outcomes: the outcomes of some examples, from `risk.engine.outcomes.assess_inputs`.
        expected: the result of `expected_frame`.
        program: the program that was run.
    """
    applies = pl.col(STATUS) != Status.NOT_APPLICABLE.value
    compared = [
        (_LEVEL, pl.col(LEVEL).cast(pl.Int64)),
        (_TOTAL, pl.col(TOTAL)),
        (_STATUS, pl.col(STATUS)),
        (_FLOOR_BY, pl.when(applies).then(program.floor_by)),
        *((_case_column(rule.rule.id), slot_column(pl.col(rule.column))) for rule in program.rules),
    ]
    other = [pl.col(name).is_not_null() & actual.ne_missing(pl.col(name)) for name, actual in compared]
    beside = outcomes.join(expected, on=ENTITY, how="left", maintain_order="left")
    return [int(name) for name in beside.filter(pl.any_horizontal(other))[ENTITY]]


def differing_by_rule(
    outcomes: pl.DataFrame, expected: pl.DataFrame, rule: str, codes: pl.Series, program: Program
) -> int | None:
    """Find an example that fails by what one rule now gives, whatever the others give; None if none is found.

    It fails if it expects another case of that rule, or a total to which the rule now contributes differently.

    Args:
        outcomes: the original outcomes of some examples, all as expected.
        expected: the result of `expected_frame`.
        rule: the changed rule.
        codes: the codes that it gives these examples.
        program: the original program.
    """
    name, case = rule_column(rule), _case_column(rule)
    beside = outcomes.select(ENTITY, name, codes.alias("given")).join(
        expected.select(ENTITY, _TOTAL, case), on=ENTITY, how="left", maintain_order="left"
    )
    other_case = pl.col(case).is_not_null() & (slot_column(pl.col("given")) != pl.col(case))
    counts = all(weights.get(rule, 0) for weights in program.total.weights)
    other_total = pl.lit(counts) & pl.col(_TOTAL).is_not_null()
    other_total &= points_column(pl.col("given")) != points_column(pl.col(name))
    entities = beside.filter(other_case | other_total)[ENTITY]
    return int(entities[0]) if len(entities) else None
