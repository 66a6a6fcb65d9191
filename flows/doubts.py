"""Lint of flows: everything wrong or doubtful that shows without data, such as ways that no values can take."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.schedules import next_moment, zone_text
from fivefold.flows.actions import PERSON_DECIDES, LimitAction, StatusAction
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.checks import GroupInForce, finer_amounts, group_diagnostics
from fivefold.flows.examples import check_flow_examples
from fivefold.flows.governance.expected import check_expected
from fivefold.flows.language import (
    AgentStep,
    AskStep,
    CalculateStep,
    EndStep,
    Flow,
    OutsideStep,
    PersonStep,
    RouteStep,
    TableStep,
)
from fivefold.flows.paths import passed_before, reached, reading_steps, without_person
from fivefold.flows.triggers import ScheduleTrigger, TransactionTrigger
from fivefold.risk.compiler.diagnostics import Diagnostic, Severity, by_check, checked_findings, findings, warning
from fivefold.risk.compiler.formulas import calculations_in_order
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.value_types import linked_source
from fivefold.risk.facts.windows import fields_in
from fivefold.risk.governance.lint.in_order import order_trial
from fivefold.risk.governance.lint.reachability import ASSUMED_UNITS, LintScope, order_diagnostics, try_conditions
from fivefold.risk.governance.lint.ruleset import (
    Lists,
    example_diagnostics,
    lint_scope,
    list_diagnostics,
    purpose_sources,
    unread,
)
from fivefold.risk.governance.lint.texts import text_diagnostics
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.expressions import CalculationInput, Window
from fivefold.risk.language.policy import StepInput
from fivefold.risk.language.purposes import PolicyPurposes
from fivefold.risk.language.reading import read_document


def lint_flow(
    analysed: AnalysedFlow,
    lists: Lists | None = None,
    document: Document | None = None,
    declared: PolicyPurposes | None = None,
    *,
    groups: Mapping[str, GroupInForce] | None = None,
    owned: Sequence[str] = (),
) -> list[Finding]:
    """Find everything that is wrong or doubtful in a flow.

    Args:
        analysed: the flow, with the policies that it asks.
        lists: the named lists; without them, what depends on them is undecided, and a warning says so.
        document: the document it was read from; without it the findings have no line numbers.
        declared: the purposes of the entity type's data and level, beside those in the flow.
        groups: the named groups in force, by name; None if they are not known.
        owned: the types of entities that entities of the flow's type own, as far as they are known.
    """
    diagnostics = flow_diagnostics(analysed, lists, declared, groups=groups, owned=owned, notes=False)
    return findings(diagnostics, analysed.flow, document)


def lint_flow_document(
    document: Document, joined: Callable[[Flow], AnalysedFlow], lists: Lists | None, *, notes: bool = False
) -> list[tuple[Diagnostic, Finding]]:
    """Find everything wrong or doubtful in a document, each finding beside its diagnostic, which names the check.

    *joined* joins a flow with everything it asks.
    """
    try:
        analysed = joined(read_document(Flow, document, "the flow"))
    except InvalidRulesetError as error:
        return unread(error)
    return checked_findings(flow_diagnostics(analysed, lists, notes=notes), analysed.flow, document)


def flow_diagnostics(
    analysed: AnalysedFlow,
    lists: Lists | None = None,
    declared: PolicyPurposes | None = None,
    *,
    groups: Mapping[str, GroupInForce] | None = None,
    owned: Sequence[str] = (),
    notes: bool = True,
) -> list[Diagnostic]:
    """Find everything wrong or doubtful in a flow, each with its severity.

    A NOTE is not a doubt: it says what a run does, or what is open.
    """
    flow, fatal = analysed.flow, analysed.draft_diagnostics
    purposes = None if groups is None else {name: each.purpose for name, each in groups.items()}
    wrong = [*check_flow_examples(analysed.declared), *([] if fatal else check_expected(analysed))]
    diagnostics_by_check: dict[str, Iterable[Diagnostic]] = {
        "names-and-types": [*fatal, *group_diagnostics(flow, groups)],
        "lists": list_diagnostics(analysed, lists),
        "purposes": analysed.purpose_diagnostics(purpose_sources(lists, declared, purposes)),
        "reasons": _reasons(flow),
        "times": _times(flow) if notes else (),
        "examples": example_diagnostics(flow.examples, wrong),
    }
    if not fatal:
        choices = list(_choices(analysed, lint_scope(analysed, lists)))
        diagnostics_by_check["doubts"] = (
            *_amounts(flow),
            *_finer_amounts(flow),
            *_answers(analysed),
            *_never_read(analysed),
            *_read_on_some_ways(analysed),
            *_settling(analysed),
            *_owned(analysed, owned),
            *text_diagnostics(flow),
        )
        diagnostics_by_check["relationships"] = _undecided_relationships(flow)
        never = [each for each in choices if each.check != _FAILURES]
        diagnostics_by_check["reach"] = (*_never_reached(flow), *_never_taken(flow), *never)
        diagnostics_by_check[_FAILURES] = [*(each for each in choices if each.check == _FAILURES), *_failing(flow)]
    return by_check(diagnostics_by_check, notes=notes)


def _reasons(flow: Flow) -> Iterator[Diagnostic]:
    """Find missing rationales and examples; the title and actions of an end are its rationale."""
    if flow.rationale is None:
        yield warning(("flow",), "has no written rationale")
    if not flow.examples:
        yield warning(("flow",), "has no examples, so nobody sees where it ends")
    for position, step in enumerate(flow.steps):
        if step.rationale is None and not isinstance(step, EndStep):
            yield warning(("steps", position), "has no written rationale")


def _times(flow: Flow) -> Iterator[Diagnostic]:
    """Note the next two moments of each schedule, so that its author sees what it means."""
    now = now_microseconds()
    for number, trigger in enumerate(flow.triggers):
        if isinstance(trigger, ScheduleTrigger):
            schedule = trigger.schedule
            whom = "everybody of the type" if trigger.group is None else f"the members of {trigger.group}"
            moments = (next_moment(schedule, now), next_moment(schedule, next_moment(schedule, now)))
            first, second = (zone_text(moment, trigger.zone) for moment in moments)
            problem = f"runs for {whom} at {first}, then at {second}"
            yield Diagnostic(("triggers", number), problem, Severity.NOTE)


def _never_reached(flow: Flow) -> Iterator[Diagnostic]:
    there = reached(flow)
    for position in range(len(flow.steps)):
        if position not in there:
            yield warning(("steps", position), "is never reached: no step that is reached leads to it")


def _never_taken(flow: Flow) -> Iterator[Diagnostic]:
    there = reached(flow)
    ends = [step for position, step in enumerate(flow.steps) if isinstance(step, EndStep) and position in there]
    names = {*flow.on_failure, *(name for step in ends for name in step.end)}
    for number, action in enumerate(flow.actions):
        if action.id not in names:
            yield warning(("actions", number), "is never taken: neither an end that is reached nor on_failure names it")


def _amounts(flow: Flow) -> Iterator[Diagnostic]:
    """Find written amounts that are never set, as they are out of bounds."""
    for number, action in enumerate(flow.actions):
        if not isinstance(action, LimitAction) or not isinstance(action.amount, Decimal):
            continue
        least, most = action.between
        if not least <= action.amount <= most:
            bound = least if action.amount < least else most
            yield warning(("actions", number, "amount"), f"is {action.amount:,f}, and {bound:,f} is set: see between")


def _finer_amounts(flow: Flow) -> Iterator[Diagnostic]:
    """Find amounts with a part of a cent, for which a flow is refused if its base currency has cents."""
    for each in finer_amounts(flow, ASSUMED_UNITS):
        refused = "run, test and mutate refuse the flow where the base currency has cents; round it"
        yield warning(each.path, f"is {each.amount}, a part of a cent: {refused}")


_DECIDES: Mapping[str, tuple[str, str]] = {
    "approved": ("starts", "starts"),
    "blocked": ("refuses or ends", "refused, or ended"),
}
"""What a status may do to the relationship, and how an action marks that, by status."""


def _undecided_relationships(flow: Flow) -> Iterator[Diagnostic]:
    """Find statuses of the customer that may decide on the relationship without a person's answer, and are unmarked."""
    for number, action in enumerate(flow.actions):
        if not isinstance(action, StatusAction) or action.of != "entity" or action.relationship is not None:
            continue
        by = _without_answer(flow, action.id) if action.status in _DECIDES else None
        if by is not None:
            does, words = _DECIDES[action.status]
            yield warning(
                ("actions", number, "status"),
                f"gives the status {action.status} without the answer of a person, {by}; where that {does} the "
                f"relationship, write relationship: {words}, and a person must decide first ({PERSON_DECIDES})",
            )


def _without_answer(flow: Flow, action: str) -> str | None:
    """Return how a run can take an action without a person's decision; None if it cannot."""
    if action in flow.on_failure:
        return "where a step fails"
    for position, step in enumerate(flow.steps):
        if isinstance(step, EndStep) and action in step.end and (way := without_person(flow, position)) is not None:
            return f"by {' → '.join(flow.steps[each].id for each in way)}"
    return None


def _answers(analysed: AnalysedFlow) -> Iterator[Diagnostic]:
    """Find questions whose answers change nothing: all lead to one step, and nothing reads the answer."""
    flow = analysed.flow
    read = {(each.step, each.output) for each in analysed.inputs if isinstance(each, StepInput)}
    for position, step in enumerate(flow.steps):
        if not isinstance(step, PersonStep) or (step.id, "answer") in read:
            continue
        to = set(step.person.answers.values())
        if len(to) == 1:
            problem = f"all lead to {to.pop()}, and nothing reads which it was: the person decides nothing"
            yield warning(("steps", position, "person", "answers"), problem)


def _never_read(analysed: AnalysedFlow) -> Iterator[Diagnostic]:
    """Find calculations and outputs that no condition or amount reads, directly or through a calculation."""
    flow, calculations = analysed.flow, analysed.names.calculations
    elsewhere = [each for path, each in analysed.inputs_with_paths if "calculate" not in path]
    named = [each.calculation for each in elsewhere if isinstance(each, CalculationInput)]
    used = calculations_in_order(named, calculations)
    within = [each for path, each in analysed.inputs_with_paths if "calculate" in path and path[3] in used]
    outputs_read = {(each.step, each.output) for each in (*elsewhere, *within) if isinstance(each, StepInput)}
    for position, step in enumerate(flow.steps):
        if isinstance(step, CalculateStep):
            for name in step.calculate:
                if name not in used:
                    path: Path = ("steps", position, "calculate", name)
                    yield warning(path, "is never read: by no condition, no amount, no calculation that is read")
        for name, at in _given_by(step).items():
            if (step.id, name) not in outputs_read:
                yield warning(("steps", position, step.kind, *at), "is never read")
        if isinstance(step, AskStep) and step.on_unknown is None and step.id not in {name for name, _ in outputs_read}:
            yield warning(("steps", position), "asks, and nothing reads what it gives")


def _given_by(step: Any) -> Mapping[str, Path]:
    """Return the declared outputs of a step, each with its path within the step."""
    if isinstance(step, TableStep):
        return {name: ("gives", name) for name in step.table.gives}
    if isinstance(step, AgentStep):
        return {"answer": ("answers",)}
    return {name: ("gives", name) for name in step.asks.output_kinds} if isinstance(step, OutsideStep) else {}


def _read_on_some_ways(analysed: AnalysedFlow) -> Iterator[Diagnostic]:
    """Find outputs that are read at steps which some ways reach without passing the step that gives them."""
    flow, before = analysed.flow, passed_before(analysed.flow)
    there = reached(flow)
    for path, each in analysed.inputs_with_paths:
        if not isinstance(each, StepInput):
            continue
        for position in reading_steps(flow, path):
            if position in there and flow.positions[each.step] not in before[position].surely:
                at = flow.steps[position].id
                yield warning(path, f"reads {each.step}, which some ways to {at} do not pass: it is unknown there")
                break


def _settling(analysed: AnalysedFlow) -> Iterator[Diagnostic]:
    """Find a flow that runs when a transaction is stored and adds up settled ones, but not when one settles later."""
    triggers = [each for each in analysed.flow.triggers if isinstance(each, TransactionTrigger)]
    if not triggers or any(each.change is not None for each in triggers):
        return
    if any(isinstance(each, Window) and _counts_settled(each) for each in analysed.simple_inputs):
        problem = (
            "runs when a transaction is stored, and the flow adds up settled ones: one that is stored as pending is "
            "in none of them then; add {on: transaction, change: settled}, which runs it once that settled"
        )
        yield warning(("triggers", analysed.flow.triggers.index(triggers[0])), problem)


def _owned(analysed: AnalysedFlow, owned: Sequence[str]) -> Iterator[Diagnostic]:
    """Find a flow that also adds up transactions of owned entities, but does not run when one of those is stored."""
    flow = analysed.flow
    triggers = [each for each in flow.triggers if isinstance(each, TransactionTrigger)]
    adds_up = any(isinstance(each, Window) and linked_source(each) == "transactions" for each in analysed.simple_inputs)
    if not triggers or not owned or not adds_up:
        return
    problem = (
        f"runs for transactions of each {flow.entity_type} itself, and the flow adds up those of what it owns too "
        f"({', '.join(owned)}), which begin no run of it; listen to level or group, which change by them, or write a "
        f"flow about {owned[0]}"
    )
    yield warning(("triggers", flow.triggers.index(triggers[0])), problem)


def _counts_settled(window: Window) -> bool:
    return linked_source(window) == "transactions" and "state" not in fields_in(window)


def _failing(flow: Flow) -> Iterator[Diagnostic]:
    """Find steps that ask the outside without `on_unknown`, so that the run fails with them."""
    for position, step in enumerate(flow.steps):
        if isinstance(step, OutsideStep) and step.on_unknown is None:
            problem = f"has no on_unknown: where {step.asks.whom} gives nothing that can be used, the run fails"
            yield Diagnostic(("steps", position), problem, Severity.NOTE, _FAILURES)


def _choices(analysed: AnalysedFlow, scope: LintScope) -> Iterator[Diagnostic]:
    """Find ways and rows that are never taken, and choices that fail if something is unknown."""
    for position, step in enumerate(analysed.flow.steps):
        if not isinstance(step, RouteStep | TableStep):
            continue
        places = [place for place in analysed.conditions if place.path[:2] == ("steps", position)]
        path: Path = ("steps", position) if isinstance(step, RouteStep) else ("steps", position, "table")
        word = "way" if isinstance(step, RouteStep) else "row"
        trial = try_conditions(places, scope)
        is_sure = trial is not None and trial.exact
        if trial is not None and is_sure:
            yield from _never_first(places, trial.truths, path, word)
        elif len(places) <= MOST_BY_THEMSELVES:
            yield from order_diagnostics(places, scope, word)
        on_unknown = step.on_unknown if isinstance(step, RouteStep) else step.table.on_unknown
        if on_unknown is None and not (trial is not None and is_sure and not _can_be_unknown(trial.truths)):
            problem = "has no on_unknown: where the facts do not decide, the run fails"
            yield Diagnostic(path, problem, Severity.NOTE, _FAILURES)


_FAILURES = "failures"

MOST_BY_THEMSELVES = 50
"""The most conditions that are tried one after another if they cannot be tried together: each with all before it."""


def _never_first(places: Sequence[Location], truths: pl.DataFrame, path: Path, word: str) -> Iterator[Diagnostic]:
    """Find conditions that, on all values, are never the first to hold with all before them known."""
    positions = range(len(places))
    trial = order_trial(positions, truths, exact=True)
    possible = order_trial(positions, truths.select(pl.all().fill_null(value=True)), exact=True).holds
    free, before = trial.everywhere, 0
    for number in positions:
        truth = trial.holds[number]
        if not free & truth:
            earlier = [trial.holds[each] for each in range(number)]
            yield warning(places[number].path[:-1], _why_never(truth, earlier, before, word))
        free &= ~possible[number]
        before |= truth
    if not free:
        yield warning((*path, "otherwise"), f"is never needed: some {word} always holds, or is unknown")


def _why_never(truth: int, earlier: Sequence[int], before: int, word: str) -> str:
    """Return why a condition is never the first; *earlier* has the bits of each before it, *before* of any of them."""
    if not truth:
        return "never holds, whatever the values"
    for number, other in enumerate(earlier, 1):
        if not truth & ~other:
            return f"is never reached: {word} {number} holds whenever it does"
    if not truth & ~before:
        return "is never reached: those before it hold whenever it does"
    return (
        f"is never reached: where it holds, a {word} before it holds or is unknown; what is asked of something that "
        "may be absent comes first, or on_unknown says what happens"
    )


def _can_be_unknown(truths: pl.DataFrame) -> bool:
    """Check whether for some values a condition is unknown, and none before it holds."""
    free = pl.repeat(True, len(truths), dtype=pl.Boolean, eager=True)
    for column in truths.get_columns():
        if (free & column.is_null()).any():
            return True
        free &= ~column.fill_null(value=True)
    return False
