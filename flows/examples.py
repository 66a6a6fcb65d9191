"""Examples beside a flow: each is run, compared with the end that it expects, and counted for coverage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from fivefold.domain.clock import iso_text
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.text import perhaps
from fivefold.flows.analysis import AnalysedFlow, outside_outputs
from fivefold.flows.governance.expected import FAILED, check_expected, differences
from fivefold.flows.language import (
    NOBODY,
    AskStep,
    EndStep,
    Flow,
    FlowExample,
    GivenOutcome,
    OutsideStep,
    PersonStep,
    RouteStep,
    TableStep,
)
from fivefold.flows.outside.outcomes import OutsideOutcome, failed_outcome, misfit_of
from fivefold.flows.run import Runs, needs_of, run_flow
from fivefold.flows.steps import Stop
from fivefold.flows.trace import RunExplanation
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.facts.inputs import LEVEL_TYPES, Needs
from fivefold.risk.facts.portfolio import ENTITY, NamedList, Portfolio
from fivefold.risk.governance.examples.facts import (
    LINKED,
    everybody,
    portfolio_of,
    strange_fields,
    strange_links,
    strange_words,
    transactions_of,
)
from fivefold.risk.governance.lint.ruleset import example_diagnostics
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Document
from fivefold.risk.language.expressions import distinct
from fivefold.risk.language.quantities import quoted_value
from fivefold.risk.language.ruleset import GivenExample

_GIVEN = (*(word for word in LINKED if word not in {"previous", "peers"}), "level", "transaction")


@dataclass(frozen=True)
class FlowExampleResult:
    """The result of one example.

    Attributes:
        name: the name of the example.
        unexpected: the unexpected results, each after the word of the example that expects otherwise.
        explanation: the explanation of the run.
    """

    name: str
    unexpected: tuple[tuple[str, str], ...]
    explanation: RunExplanation

    @property
    def differences(self) -> tuple[str, ...]:
        """The unexpected results; empty if it passed."""
        return tuple(problem for _, problem in self.unexpected)


@dataclass(frozen=True, kw_only=True)
class FlowExamples:
    """A flow's examples, and which of its ways they take.

    Attributes:
        results: the results, in the order of the examples.
        ways: every outcome of a choice, a question or an end, in words, and whether some example takes it.
    """

    results: tuple[FlowExampleResult, ...]
    ways: Mapping[str, bool]

    @property
    def failed(self) -> int:
        """The number of examples with an unexpected result."""
        return sum(1 for result in self.results if result.differences)

    @property
    def percent(self) -> float:
        """The percentage of ways that some example takes."""
        return 100 * sum(self.ways.values()) / len(self.ways) if self.ways else 100.0

    def missing(self) -> list[str]:
        """Return the ways that no example takes."""
        return [way for way, is_taken in self.ways.items() if not is_taken]

    @property
    def passed(self) -> bool:
        """Whether there are examples, all pass, and every way is taken."""
        return bool(self.results) and not self.failed and not self.missing()


def run_flow_examples(
    analysed: AnalysedFlow, lists: Mapping[str, NamedList], as_of: int, document: Document | None = None
) -> FlowExamples:
    """Run all examples of a flow; *as_of* is for those that name no moment (microseconds).

    Faults have line numbers if *document*, from which the flow was read, is given.

    Raises:
        InvalidRulesetError: the flow cannot be used, or an example gives or expects something that it does not have.
    """
    analysed.require_usable()
    flow = analysed.flow
    problems = [*check_flow_examples(analysed.declared), *check_expected(analysed)]
    if problems:
        diagnostics = example_diagnostics(flow.examples, problems)
        raise InvalidRulesetError(findings(diagnostics, flow, document), f"the examples of {flow.name}")
    everyone = portfolio_of_examples(analysed, lists, as_of)
    results, ways_run = [], set[str]()
    for number, example in enumerate(flow.examples):
        runs = _run_one(analysed, everyone, number, as_of if example.as_of is None else example.as_of)
        explanation = runs.explain(0)
        ways_run |= set(_outcome_names(runs))
        other = tuple(differences(example, runs.program, runs.outcomes.row(0, named=True)))
        results.append(FlowExampleResult(example.name, other, explanation))
    return FlowExamples(results=tuple(results), ways={way: way in ways_run for way in _ways(flow)})


def _run_one(analysed: AnalysedFlow, everyone: Portfolio, number: int, as_of: int) -> Runs:
    example = analysed.flow.examples[number]
    own = everyone.entities.filter(pl.col(ENTITY) == str(number))
    answers = {step: pl.Series(step, [answer], dtype=pl.String) for step, answer in example.answers.items()}
    outcomes = {step: [outcome_given(outcome, as_of)] for step, outcome in example.outcomes.items()}
    return run_flow(analysed, replace(everyone, entities=own), as_of, answers, outcomes)


_SOURCE = "the example"


def outcome_given(outcome: GivenOutcome, as_of: int, source: str = _SOURCE) -> OutsideOutcome:
    """Return the outcome that an example, or another *source* of assumptions, states, at its moment."""
    if isinstance(outcome, str):
        return failed_outcome(f"{source} says so", source, as_of)
    return OutsideOutcome(values=outcome, source=source, at_us=as_of)


def check_flow_examples(flow: Flow) -> Iterator[Finding]:
    """Find what examples give or expect that the flow, taken from `AnalysedFlow.declared`, does not have."""
    actions = {action.id for action in flow.actions}
    stops = {step.id for step in flow.steps if isinstance(step, EndStep | PersonStep | OutsideStep)} | {FAILED}
    for example in flow.examples:
        where = f"example {example.name}"
        yield from strange_fields(example, {*flow.fields, *_GIVEN})
        yield from strange_links(example, flow)
        yield from strange_words(example, flow)
        yield from strange_levels(example, flow.levels)
        yield from _strange_transaction(example)
        yield from strange_outcomes(where, example.outcomes, flow)
        if example.ends not in stops:
            there = ", ".join(sorted(stops))
            yield Finding(where, f"expects the end {example.ends}; runs stop at {there}{perhaps(example.ends, stops)}")
        yield from strange_answers(where, example.answers, flow)
        for name in example.actions or ():
            if name not in actions:
                there = ", ".join(sorted(actions)) or "none"
                yield Finding(where, f"expects the action {name}; there are {there}{perhaps(name, actions)}")


def strange_answers(where: str, answers: Mapping[str, str], flow: Flow) -> Iterator[Finding]:
    """Find answers at steps that ask no person, and answers that those steps do not take."""
    persons = {step.id: step for step in flow.steps if isinstance(step, PersonStep)}
    for step, answer in answers.items():
        if step not in persons:
            there = ", ".join(persons) or "none"
            yield Finding(
                where, f"answers at {step}, where no person is asked; there are {there}{perhaps(step, persons)}"
            )
        elif answer not in (choices := (*persons[step].person.answers, NOBODY)):
            yield Finding(
                where, f"answers {answer} at {step}; there are {', '.join(choices)}{perhaps(answer, choices)}"
            )


def strange_outcomes(where: str, outcomes: Mapping[str, GivenOutcome], flow: Flow) -> Iterator[Finding]:
    """Find outcomes at steps that do not ask the outside, and values that those steps do not give."""
    asking = {step.id: outside_outputs(step) for step in flow.steps if isinstance(step, OutsideStep)}
    for step, outcome in outcomes.items():
        if step not in asking:
            there = ", ".join(asking) or "none"
            yield Finding(where, f"has an outcome at {step}, which asks nobody outside; there are {there}")
            continue
        for name, value in outcome.items() if isinstance(outcome, dict) else ():
            output = asking[step].get(name)
            if output is None:
                there = ", ".join(asking[step])
                yield Finding(where, f"{step} gives {name}; it can give {there}{perhaps(name, asking[step])}")
            elif problem := misfit_of(value, output):
                yield Finding(where, f"{step}, {name}: {problem}")


def portfolio_of_examples(
    analysed: AnalysedFlow, lists: Mapping[str, NamedList], as_of: int, more: Iterable[LanguageModel] = ()
) -> Portfolio:
    """Return a portfolio of the examples, each an entity named by its position; inputs in *more* are read as well.

    Entities that examples are linked to are in `everyone`, not among its `entities`.
    """
    flow = analysed.declared
    facts = [each for one in (needs_of(analysed), *map(_needs, analysed.dependencies.values())) for each in one.facts]
    pending = [
        example.model_copy(update={"given": {"transactions": [row]} if (row := _pending(example, as_of)) else {}})
        for example in flow.examples
    ]
    people, links = everybody(flow)
    everyone = portfolio_of(people, flow, distinct([*facts, *more]), as_of)
    return replace(
        everyone,
        entities=everyone.entities.head(len(flow.examples)),
        lists=lists,
        levels=levels_given(flow),
        pending=transactions_of(pending, flow),
        links=links,
        everyone=everyone.entities,
    )


def _needs(analysed: Analysed[Any]) -> Needs:
    return needs_of(analysed) if isinstance(analysed, AnalysedFlow) else Needs.of(analysed)


def _pending(example: FlowExample, as_of: int) -> dict[str, Any] | None:
    """Return the transaction that an example looks at, in the words of examples; by default pending, and now."""
    transaction = example.given.get("transaction")
    if transaction is None:
        return None
    if problems := list(_strange_transaction(example)):
        raise InvalidRulesetError(problems, "an example")
    moment = iso_text(as_of if example.as_of is None else example.as_of)
    return {"state": "pending", "time": moment, **transaction}


def _strange_transaction(example: FlowExample) -> Iterator[Finding]:
    transaction = example.given.get("transaction")
    if transaction is not None and not isinstance(transaction, dict):
        yield _unreadable(example, "transaction", transaction, "a row such as {amount: -50}")


def levels_given(flow: Any) -> pl.DataFrame:
    """Return the levels in the examples of a flow or a group, by position from 0; InvalidRulesetError as below."""
    rows = []
    for number, example in enumerate(flow.examples):
        if problems := list(strange_levels(example, flow.levels)):
            raise InvalidRulesetError(problems, "an example")
        row = {name: _level(value, name, flow.levels) for name, value in _level_given(example).items()}
        if row.get("in_force") is not None:
            row = {"rules": row["in_force"], "status": "assessed", "source": "rules", "age_days": 0.0, **row}
        rows.append({ENTITY: str(number), **row})
    return pl.DataFrame(rows, schema={ENTITY: pl.String, **LEVEL_TYPES}, strict=False)


def strange_levels(example: GivenExample, levels: Sequence[str]) -> Iterator[Finding]:
    """Find a level in an example of a flow or a group that cannot be read, or is not among *levels*."""
    values = _level_given(example)
    if not isinstance(values, dict) or not set(values) <= set(LEVEL_TYPES):
        right = f"the name of a level, or values by name, of {', '.join(LEVEL_TYPES)}"
        yield _unreadable(example, "level", values, right)
        return
    for name in sorted(_NAMES_OF_LEVELS & set(values)):
        if values[name] is not None and values[name] not in levels:
            yield _unreadable(example, f"level {name}", values[name], f"one of {', '.join(levels)}")


_NAMES_OF_LEVELS = {"in_force", "rules"}


def _level_given(example: GivenExample) -> Any:
    level = example.given.get("level", {})
    return {"in_force": level} if isinstance(level, str) else level


def _level(value: Any, name: str, levels: Sequence[str]) -> Any:
    return levels.index(value) + 1 if name in _NAMES_OF_LEVELS and value is not None else value


def _unreadable(example: GivenExample, part: str, value: Any, right: str) -> Finding:
    return Finding(f"example {example.name}, {part}", f"is {quoted_value(value)}; it must be {right}")


def _ways(flow: Flow) -> Iterator[str]:
    """Yield every outcome of a choice, a question or an end that an example can reach."""
    for step in flow.steps:
        yield from _ways_of(step)


def _ways_of(step: Any) -> Sequence[str]:
    """Return the ways of a step, by its code; all codes for something unknown are one way."""
    if isinstance(step, RouteStep):
        names = [f"way {number + 1}" for number in range(len(step.route))]
        return _named(step, [*names, "otherwise", *(["on_unknown"] if step.on_unknown is not None else [])])
    if isinstance(step, TableStep):
        names = [f"row {number + 1}" for number in range(len(step.table.rows))]
        return _named(step, [*names, "otherwise", *(["on_unknown"] if step.table.on_unknown is not None else [])])
    if isinstance(step, PersonStep):
        return _named(step, [*(f"answer {answer}" for answer in step.person.answers), NOBODY])
    if isinstance(step, OutsideStep):
        return _named(step, ["an outcome", *(["on_unknown"] if step.on_unknown is not None else [])])
    if isinstance(step, AskStep):
        return _named(step, ["asked", *(["on_unknown"] if step.on_unknown is not None else [])])
    return [f"end {step.id}"] if isinstance(step, EndStep) else []


def _named(step: Any, ways: Sequence[str]) -> list[str]:
    return [f"step {step.id}, {way}" for way in ways]


def _outcome_names(runs: Runs) -> Iterator[str]:
    """Yield the ways that one run took."""
    row = runs.outcomes.row(0, named=True)
    for step, compiled in zip(runs.program.flow.steps, runs.program.steps, strict=True):
        code, ways = row[compiled.column], _ways_of(step)
        if code is None or not ways:
            continue
        if not isinstance(step, RouteStep | TableStep | AskStep):
            yield from ways[code : code + 1]
        elif compiled.leads[code] != Stop.FAILED:
            yield ways[min(code, len(ways) - 1)]
