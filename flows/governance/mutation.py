"""Mutation tests of a flow: change it in one place at a time, and find the changes that none of its examples notices.

A change is to a condition, a calculation, a way, a row, a bound, an amount, or the actions of an end.

The facts of the examples are read once for all changes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.flows.actions import LimitAction
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.examples import check_flow_examples, outcome_given, portfolio_of_examples
from fivefold.flows.governance.expected import check_expected, differences
from fivefold.flows.language import (
    EndStep,
    Flow,
    FlowExample,
    FlowStep,
    OutsideStep,
    RouteStep,
    RulesStep,
    TableStep,
    ValueStep,
)
from fivefold.flows.paths import passed_before, reached
from fivefold.flows.program import FlowProgram, compile_flow
from fivefold.flows.run import FlowFacts, resolve_facts
from fivefold.flows.steps import RowContext
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, NamedList
from fivefold.risk.governance.differences import part_words
from fivefold.risk.governance.lint.reachability import LintScope, try_conditions
from fivefold.risk.governance.lint.ruleset import lint_scope
from fivefold.risk.governance.mutation.changes import (
    StepChange,
    changes_of_calculation,
    changes_of_condition,
    changes_of_number,
    other_value,
    plain_data,
    with_change,
)
from fivefold.risk.governance.mutation.plain_values import plain_values, values_words
from fivefold.risk.governance.mutation.run import ChangeTried, MutantVerdict, Mutations, require_examples
from fivefold.risk.governance.mutation.telling_inputs import Telling
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.expressions import distinct
from fivefold.risk.language.policy import StepInput
from fivefold.risk.language.quantities import json_number
from fivefold.risk.language.reading import read_plain, where_of


def mutate_flow(
    analysed: AnalysedFlow,
    lists: Mapping[str, NamedList],
    as_of: int,
    document: Document | None = None,
    *,
    begun: Callable[[int], None] = lambda _: None,
    is_over: Callable[[], bool] = lambda: False,
) -> Mutations:
    """Run a flow's examples against each change of it.

    Args:
        analysed: the flow, with its examples and the policies that it asks.
        lists: the named lists.
        as_of: the moment of examples that name none (microseconds).
        document: the document it was read from; without it changes have no line numbers.
        begun: called with the number of changes, before the first is tried.
        is_over: called before each change; a change for which it returns True is not tried.

    Raises:
        InvalidRulesetError: the flow cannot be used, has no examples, or one of them fails on the unchanged flow.
    """
    require_examples(analysed)
    flow = analysed.flow
    wrong = [*check_flow_examples(analysed.declared), *check_expected(analysed)]
    if wrong:
        raise InvalidRulesetError(wrong, f"the examples of {flow.name}")
    mutants = list(_mutants(analysed))
    begun(len(mutants))
    trial = _Trial(analysed, lists, as_of, mutants)
    failing = trial.noticed_by(analysed)
    if failing:
        raise InvalidRulesetError([Finding(f"example {failing}", "fails as the flow is")], f"flow {flow.name}")
    scope, tried = replace(lint_scope(analysed, lists), effort=None), []
    for mutant in mutants:
        verdict, noticed_by, telling = MutantVerdict.NOT_TRIED, "", Telling()
        if not is_over():
            noticed_by = trial.noticed_by(mutant.analysed)
            telling = Telling() if noticed_by else telling_of(mutant.change, analysed, mutant.analysed, scope)
            unnoticed = MutantVerdict.NO_EFFECT if telling.no_effect else MutantVerdict.UNNOTICED
            verdict = MutantVerdict.NOTICED if noticed_by else unnoticed
        change = mutant.change
        line = None if document is None else document.line(change.path)
        where = where_of(change.path, flow.named_parts)
        tried.append(
            ChangeTried(
                where=where,
                line=line,
                before=change.before,
                after=change.after,
                verdict=verdict,
                noticed_by=noticed_by,
                **vars(telling),
            )
        )
    return Mutations(flow.name, flow.content_hash, tuple(tried), Flow.word)


@dataclass(frozen=True)
class _Mutant:
    """A change that leaves a usable flow."""

    change: StepChange
    analysed: AnalysedFlow


def _mutants(analysed: AnalysedFlow) -> Iterator[_Mutant]:
    """Yield every change that leaves the flow usable, and with a content that no earlier one has."""
    bare = analysed.flow.model_copy(update={"examples": ()})
    data, hashes = plain_data(bare), {bare.content_hash}
    for change in changes_of_flow(bare):
        flow = read_plain(Flow, with_change(data, change.node, change.value))
        if flow is None or flow.content_hash in hashes:
            continue
        hashes.add(flow.content_hash)
        mutant = replace(analysed, definition=flow)
        if not mutant.diagnostics:
            yield _Mutant(change, mutant)


@dataclass(frozen=True)
class _Tried:
    """An example: the facts of its entity, the inputs of all that the flow asks, the answers, and the lists then."""

    example: FlowExample
    facts: Mapping[str, Any]
    context: RowContext
    members: Mapping[str, Sequence[str]]


class _Trial:
    """The examples of a flow, ready to run on its changed forms."""

    def __init__(
        self, analysed: AnalysedFlow, lists: Mapping[str, NamedList], as_of: int, mutants: Sequence[_Mutant]
    ) -> None:
        every = (analysed, *(mutant.analysed for mutant in mutants))
        needs = Needs(distinct(each for one in every for each in one.fact_inputs), (), analysed.names)
        everyone = portfolio_of_examples(analysed, lists, as_of, needs.facts)
        self._base = everyone.rates.base
        examples = analysed.flow.examples
        moments = dict.fromkeys(as_of if example.as_of is None else example.as_of for example in examples)
        self._tried: list[_Tried] = []
        for moment in moments:
            those = [
                str(n) for n, each in enumerate(examples) if (as_of if each.as_of is None else each.as_of) == moment
            ]
            own = everyone.entities.filter(pl.col(ENTITY).is_in(those))
            facts = resolve_facts(analysed, replace(everyone, entities=own), moment, needs)
            self._tried += _examples_at(analysed, facts, moment)

    def noticed_by(self, analysed: AnalysedFlow) -> str:
        """Return the name of an example that fails with a form of the flow; empty if all pass."""
        programs: dict[int, FlowProgram] = {}
        for tried in self._tried:
            program = programs.get(id(tried.members))
            if program is None:
                program = programs[id(tried.members)] = compile_flow(analysed, tried.members, self._base)
            row = program.run_row(tried.facts, tried.context)
            if next(differences(tried.example, program, row), None) is not None:
                return tried.example.name
        return ""


def _examples_at(analysed: AnalysedFlow, facts: FlowFacts, moment: int) -> Iterator[_Tried]:
    """Yield the examples of one moment, row by row."""
    members = {name: version.members for name, version in facts.versions.items()}
    for number, row in enumerate(facts.own.iter_rows(named=True)):
        example = analysed.flow.examples[int(row[ENTITY])]
        outcomes = {step: outcome_given(outcome, moment) for step, outcome in example.outcomes.items()}
        context = replace(facts.asked_of(number, example.answers), outcomes=outcomes)
        yield _Tried(example, row, context, members)


# Why no example notices a change.


def telling_of(change: StepChange, before: AnalysedFlow, after: AnalysedFlow, scope: LintScope) -> Telling:
    """Return inputs that would notice a change, or why none can."""
    if change.path[0] == "actions":
        return _of_bound(before, after, int(change.path[1]))
    if change.path[0] != "steps":
        return Telling("" if _can_fail(before.flow) else "no run fails")
    position = int(change.path[1])
    if position not in reached(before.flow):
        return Telling("no way leads to this step")
    sides = [side.flow.steps[position] for side in (before, after)]
    if all(isinstance(step, OutsideStep) for step in sides):
        return _of_no_answer(before, [getattr(step, "on_unknown", None) for step in sides], sides[0].id, scope)
    leads = {step.then for step in sides if isinstance(step, TableStep)}  # below only a table's outputs are compared
    if len(leads) > 1 or not all(isinstance(step, RouteStep | TableStep) for step in sides):
        return Telling()
    return _of_choice(before, after, position, scope)


def _of_no_answer(before: AnalysedFlow, leads: Sequence[str | None], source: str, scope: LintScope) -> Telling:
    """Compare the two next steps without an answer: one may be a route that then always leads to the other.

    Without an answer all of its outputs are unknown.
    """
    for first, second in (leads, leads[::-1]):
        position = None if first is None else before.flow.positions[first]
        if position is None or not isinstance(route := before.flow.steps[position], RouteStep):
            continue
        trial = try_conditions([place for place in before.conditions if place.path[:2] == ("steps", position)], scope)
        if trial is None or not trial.exact:
            continue
        has_answer = pl.Series([False] * len(trial.values), dtype=pl.Boolean)
        for key, compared in trial.subjects.items():
            if isinstance(compared.rule_input, StepInput) and compared.rule_input.step == source:
                has_answer |= trial.values[key].is_not_null()
        results = np.array(_results(route))[_codes(trial.truths.get_columns())]
        if set(results[(~has_answer).to_numpy()]) == {second}:
            return Telling("it comes to the same, whatever the values")
    return Telling()


def _can_fail(flow: Flow) -> bool:
    """Check whether a reachable step can fail: it has no `on_unknown`, or an amount of an end can be unknown."""
    before = passed_before(flow)
    for position in reached(flow):
        step = flow.steps[position]
        choice = step.table if isinstance(step, TableStep) else step
        if getattr(choice, "on_unknown", "") is None:
            return True
        if isinstance(step, EndStep):
            for amount in (getattr(flow.action(name), "amount", None) for name in step.end):
                source = flow.positions.get(amount.step) if isinstance(amount, StepInput) else None
                is_sure = source in before[position].surely and isinstance(flow.steps[source or 0], TableStep)
                if isinstance(amount, LanguageModel) and not is_sure:
                    return True
    return False


def _of_choice(before: AnalysedFlow, after: AnalysedFlow, position: int, scope: LintScope) -> Telling:
    """Compare the results of a choice before and after a change, on all values."""
    sides = [[place for place in side.conditions if place.path[:2] == ("steps", position)] for side in (before, after)]
    trial = try_conditions([*sides[0], *sides[1]], scope)
    if trial is None:
        return Telling()
    truths, count = trial.truths.get_columns(), len(sides[0])
    results = [_results(side.flow.steps[position]) for side in (before, after)]
    results_of_rows = [
        np.array(result)[_codes(columns)]
        for result, columns in zip(results, (truths[:count], truths[count:]), strict=True)
    ]
    differ = pl.Series(results_of_rows[0] != results_of_rows[1])
    for key, compared in trial.subjects.items():
        if _is_always_known(compared.rule_input, before.flow, position):
            differ &= trial.values[key].is_not_null()
    if not differ.any():
        return Telling("it comes to the same, whatever the values" if trial.exact else "")
    plain = plain_values(trial, differ)
    if plain is None:
        return Telling()
    now, then = (side[plain.row] for side in results_of_rows)
    return Telling(inputs=f"{values_words(trial, plain.values)}: {now}, and would be {then}")


def _is_always_known(rule_input: LanguageModel, flow: Flow, position: int) -> bool:
    """Check whether an output of an earlier step is known in every run that reaches a step."""
    if not isinstance(rule_input, StepInput) or (source := flow.positions.get(rule_input.step)) is None:
        return False
    if source not in passed_before(flow)[position].surely:
        return False
    step = flow.steps[source]
    if isinstance(step, TableStep):
        return True
    if not isinstance(step, FlowStep | RulesStep | ValueStep) or rule_input.output not in _GIVEN_OR_UNKNOWN:
        return False
    return step.on_unknown is None or not _leads(flow, flow.positions[step.on_unknown], position)


_GIVEN_OR_UNKNOWN = frozenset({"ends", "level", "total", "action", "score"})
"""Outputs without which a step is undecided: the run then follows its `on_unknown`, or fails."""


def _leads(flow: Flow, start: int, position: int) -> bool:
    """Check whether a run can get from one step to another."""
    return start == position or start in passed_before(flow)[position].possibly


def _codes(columns: Sequence[pl.Series]) -> Any:
    """Return the code of a choice for each row of truths, as compiled steps have it."""
    count = len(columns)
    codes, is_open = np.full(len(columns[0]), count), np.ones(len(columns[0]), dtype=np.bool_)
    for number, column in enumerate(columns):
        unknown, holds = column.is_null().to_numpy() & is_open, column.fill_null(value=False).to_numpy() & is_open
        codes[unknown], codes[holds] = count + 1 + number, number
        is_open &= ~(unknown | holds)
    return codes


def _results(step: Any) -> list[str]:
    """Return what follows each code, in words: the next step, the outputs of the table, or that the run fails."""
    if isinstance(step, RouteStep):
        ways = [way.to for way in step.route]
        return [*ways, step.otherwise, *[step.on_unknown or "the run fails"] * len(ways)]
    table = step.table
    results = [_outputs_text(row.give) for row in table.rows]
    unknown = "the run fails" if table.on_unknown is None else _outputs_text(table.on_unknown)
    return [*results, _outputs_text(table.otherwise), *[unknown] * len(results)]


def _outputs_text(values: Mapping[str, Any]) -> str:
    plain = {name: json_number(value) if isinstance(value, Decimal) else value for name, value in values.items()}
    return ", ".join(f"{name} {part_words(value)}" for name, value in plain.items())


def _of_bound(before: AnalysedFlow, after: AnalysedFlow, number: int) -> Telling:
    """Check whether changed bounds leave all amounts of a table, or the written one, as before."""
    amounts_by_side = []
    for side in (before, after):
        action = side.flow.actions[number]
        assert isinstance(action, LimitAction)
        amounts = _amounts(side, action)
        if amounts is None:
            return Telling()
        amounts_by_side.append([min(max(amount, action.between[0]), action.between[1]) for amount in amounts])
    return Telling("the same amounts are set, by the bounds" if amounts_by_side[0] == amounts_by_side[1] else "")


def _amounts(analysed: AnalysedFlow, action: LimitAction) -> list[Decimal] | None:
    """Return every amount of a limit before its bounds; None unless it is written, or comes from a table."""
    if isinstance(action.amount, Decimal):
        return [action.amount]
    if not isinstance(action.amount, StepInput):
        return None
    step = analysed.flow.steps[analysed.flow.positions[action.amount.step]]
    if not isinstance(step, TableStep):
        return None
    table, name = step.table, action.amount.output
    outputs_of_rows = (*(row.give for row in table.rows), table.otherwise, table.on_unknown or {})
    return [value for each in outputs_of_rows if isinstance(value := each.get(name), Decimal)]


Plain = Mapping[str, Any]
NOTHING_SAID = "nothing said"
"""The words for `on_unknown` after a change that removes it."""


def changes_of_flow(flow: Flow) -> Iterator[StepChange]:
    """Yield every change of a flow: of its actions, then of `on_failure`, then of its steps.

    Conditions, calculations and numbers change as in rulesets. A way, an answer or `then` leads to another nearby step;
    a way or a row is left out, or swapped with the one below it; an output of a row becomes another value; an end, or
    `on_failure`, has one action less or more. The result may be invalid.

    It leaves unchanged what examples cannot notice: the time that a person has (`within`) and the age of an answer from
    outside, as examples state an answer without its time; the days of a review or a tag; triggers; texts for people.
    It also leaves the policy, ruleset, flow, source or model that a step asks: each has changes of its own.
    """
    data = plain_data(flow)
    for number, action in enumerate(data.get("actions", ())):
        yield from _of_action(("actions", number), action)
    yield from _of_actions_taken(("on_failure",), data.get("on_failure", []), flow)
    for number, step in enumerate(data["steps"]):
        yield from _of_step(("steps", number), step, flow, number)


def _of_action(path: Path, action: Plain) -> Iterator[StepChange]:
    """Change the amount and the bounds of a limit; a run does not show what other actions do."""
    if isinstance(action.get("amount"), int | Decimal):
        yield from changes_of_number((*path, "amount"), action["amount"])
    for number, bound in enumerate(action.get("between", ())):
        yield from changes_of_number((*path, "between", number), bound)


def _of_actions_taken(path: Path, names: Sequence[str], flow: Flow) -> Iterator[StepChange]:
    """Remove each action in turn, and add one that can be taken beside the others."""
    for name in names:
        yield _list(path, names, [each for each in names if each != name])
    subjects = {flow.action(name).subject for name in names}
    more = next((action.id for action in flow.actions if action.subject not in subjects), None)
    if more is not None:
        yield _list(path, names, [*names, more])


def _list(path: Path, before: Sequence[str], after: Sequence[str]) -> StepChange:
    words = [", ".join(side) or "none" for side in (before, after)]
    return StepChange(path, words[0], words[1], path, list(after))


def _of_step(path: Path, step: Plain, flow: Flow, position: int) -> Iterator[StepChange]:
    for name, calculation in step.get("calculate", {}).items():
        yield from changes_of_calculation((*path, "calculate", name), calculation)
    if "end" in step:
        yield from _of_actions_taken((*path, "end"), step["end"], flow)
    if "route" in step:
        yield from _of_choices((*path, "route"), step["route"], "way")
        leads = [*(way["to"] for way in step["route"]), step["otherwise"]]
        for number, way in enumerate(step["route"]):
            yield from _elsewhere((*path, "route", number, "to"), way["to"], leads, flow, position)
        yield from _elsewhere((*path, "otherwise"), step["otherwise"], leads, flow, position)
        yield from _of_unknown((*path,), step, step["otherwise"])
    elif "table" in step:
        yield from _of_table((*path, "table"), step["table"])
    elif "person" in step:
        leads = [*step["person"]["answers"].values(), step["person"]["otherwise"]]
        for answer, to in step["person"]["answers"].items():
            yield from _elsewhere((*path, "person", "answers", answer), to, leads, flow, position)
        yield from _elsewhere((*path, "person", "otherwise"), step["person"]["otherwise"], leads, flow, position)
    if "then" in step or not {"route", "person", "end"} & set(step):
        yield from _after(path, step, flow, position)


def _elsewhere(path: Path, to: str, near: Sequence[str], flow: Flow, position: int) -> Iterator[StepChange]:
    """Change a target to the next other target of the same step, else to the step that follows in the document."""
    begin = near.index(to)
    others = [each for each in (*near[begin:], *near[:begin]) if each != to]
    others += [step.id for step in flow.steps[position + 1 :] if step.id != to]
    if others:
        yield other_value(path, to, others[0])


def _after(path: Path, step: Plain, flow: Flow, position: int) -> Iterator[StepChange]:
    """Change what follows a step: to the step after the present one, else to the one before it."""
    later = [each.id for each in flow.steps[position + 1 :]]
    to = step.get("then", later[0] if later else None)
    if to not in later or len(later) < 2:
        return
    place = later.index(to)
    other = later[place + 1] if place + 1 < len(later) else later[place - 1]
    yield StepChange((*path, "then") if "then" in step else path, to, other, path, {**step, "then": other})
    if "on_unknown" in step and {"rules", "data", "model", "agent"} & set(step):
        yield from _of_unknown(path, step, to)


def _of_unknown(path: Path, step: Plain, instead: Any) -> Iterator[StepChange]:
    """Replace `on_unknown` by *instead*, and remove it, so that the run fails."""
    if "on_unknown" not in step:
        return
    at, before = (*path, "on_unknown"), step["on_unknown"]
    if instead != before:
        yield other_value(at, before, instead)
    rest = {word: part for word, part in step.items() if word != "on_unknown"}
    yield StepChange(at, other_value(at, before, before).before, NOTHING_SAID, path, rest)


def _of_choices(path: Path, items: Sequence[Plain], word: str) -> Iterator[StepChange]:
    """Change the conditions of ways or rows; leave out each, and swap each with the one below it."""
    for number, item in enumerate(items):
        yield from changes_of_condition((*path, number, "when"), item["when"])
        if len(items) > 1:
            rest = [*items[:number], *items[number + 1 :]]
            yield StepChange((*path, number), f"{word} {number + 1}", "left out", path, rest)
        if number + 1 < len(items):
            turned = [*items[:number], items[number + 1], item, *items[number + 2 :]]
            yield StepChange((*path, number), f"{word} {number + 1}", f"tried after {word} {number + 2}", path, turned)


def _of_table(path: Path, table: Plain) -> Iterator[StepChange]:
    yield from _of_choices((*path, "rows"), table["rows"], "row")
    places = [((*path, "rows", number, "give"), row["give"]) for number, row in enumerate(table["rows"])]
    rest = [((*path, word), table[word]) for word in ("otherwise", "on_unknown") if word in table]
    outputs_of_rows = [give for _, give in (*places, *rest)]
    for at, give in (*places, *rest):
        for name, value in give.items():
            yield from _of_output((*at, name), value, [each[name] for each in outputs_of_rows])
    yield from _of_unknown(path, table, table["otherwise"])


def _of_output(path: Path, value: Any, column: Sequence[Any]) -> Iterator[StepChange]:
    """Change an output to the other flag, a number near it, or the next other text of its column."""
    if isinstance(value, bool):
        yield other_value(path, value, not value)
    elif isinstance(value, str):
        begin = column.index(value)
        others = [each for each in (*column[begin:], *column[:begin]) if each != value]
        if others:
            yield other_value(path, value, others[0])
    else:
        yield from changes_of_number(path, value)
