"""Faults that make a flow unusable: steps that lead nowhere, outputs read too early, actions without agreement."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from fivefold.domain.text import perhaps
from fivefold.flows.actions import PERSON_DECIDES, Action, GroupAction, LimitAction, PersonRole, StatusAction
from fivefold.flows.language import (
    NOBODY,
    CalculateStep,
    EndStep,
    Flow,
    FlowStep,
    Given,
    ModelStep,
    OutsideStep,
    PersonStep,
    PolicyName,
    RulesetName,
    RulesStep,
    TableStep,
    ways_from,
)
from fivefold.flows.outside.checks import agent_diagnostics
from fivefold.flows.paths import Passed, passed_before, reading_steps, without_person
from fivefold.flows.triggers import FieldTrigger, LevelTrigger, ScheduleTrigger, group_of
from fivefold.risk.compiler.checks import taken_names, twice
from fivefold.risk.compiler.diagnostics import Diagnostic, Severity, findings
from fivefold.risk.compiler.value_types import (
    UnknownNameError,
    Vocabulary,
    currency_of,
    value_type_of_input,
    value_type_phrase,
)
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import CalculationInput
from fivefold.risk.language.fields import Definition, ValueType
from fivefold.risk.language.peers import peers_of
from fivefold.risk.language.policy import StepInput, TransactionInput
from fivefold.risk.language.purposes import Purpose

if TYPE_CHECKING:
    from fivefold.flows.analysis import AnalysedFlow


def flow_structure_diagnostics(flow: Flow, inputs: Sequence[tuple[Path, LanguageModel]]) -> list[Diagnostic]:
    """Find faults between the parts of a flow; each part alone was checked when it was read."""
    diagnostics = [
        *taken_names(flow),
        *twice(("steps",), [step.id for step in flow.steps], "step"),
        *twice(("actions",), [action.id for action in flow.actions], "action"),
        *twice(("levels",), flow.levels, "level"),
        *_names_calculated_twice(flow),
    ]
    wrong_ways = list(_ways(flow))
    wrong_ends = [*_ends(flow), *_on_failure(flow)]
    diagnostics += [*_triggers(flow), *wrong_ways, *wrong_ends, *_statuses_of_transactions(flow, inputs)]
    for position, step in enumerate(flow.steps):
        if isinstance(step, TableStep):
            diagnostics += _table(("steps", position, "table"), step)
        if isinstance(step, ModelStep):
            diagnostics += _model(("steps", position, "model"), step)
        if isinstance(step, PersonStep) and NOBODY in step.person.answers:
            path = ("steps", position, "person", "answers", NOBODY)
            diagnostics.append(Diagnostic(path, f"{NOBODY} stands for no answer in time; choose another word"))
    is_sound = not wrong_ways and not wrong_ends
    if not wrong_ways:
        diagnostics += [*_read_in_time(flow, inputs), *_agreements(flow)]
    if is_sound:
        diagnostics += agent_diagnostics(flow, inputs)
    return [*diagnostics, *_peers_of_calculations(inputs)]


def _model(path: Path, step: ModelStep) -> Iterator[Diagnostic]:
    """Find names under a model's `outputs` that are not under its `gives`."""
    model = step.model
    for name in model.outputs:
        if name not in model.gives:
            there = ", ".join(model.gives)
            problem = f"{name} is nothing that the step gives; it gives {there}{perhaps(name, model.gives)}"
            yield Diagnostic((*path, "outputs", name), problem)


def _triggers(flow: Flow) -> Iterator[Diagnostic]:
    """Find triggers that could never run the flow."""
    for number, trigger in enumerate(flow.triggers):
        if trigger in flow.triggers[:number]:
            yield Diagnostic(("triggers", number), "appears twice")
        for level in trigger.to if isinstance(trigger, LevelTrigger) else ():
            if level not in flow.levels:
                there = ", ".join(flow.levels)
                problem = f"names the level {level}, which is not there; there are {there}{perhaps(level, flow.levels)}"
                yield Diagnostic(("triggers", number, "to"), problem)
        for name in trigger.fields if isinstance(trigger, FieldTrigger) else ():
            if name not in flow.fields:
                there = ", ".join(flow.fields) or "none"
                problem = f"names the field {name}, which is not there; there are {there}{perhaps(name, flow.fields)}"
                yield Diagnostic(("triggers", number, "fields"), problem)


def _statuses_of_transactions(flow: Flow, inputs: Sequence[tuple[Path, LanguageModel]]) -> Iterator[Diagnostic]:
    """Find actions that give a transaction a status in a flow that looks at none."""
    if any(isinstance(each, TransactionInput) for _, each in inputs):
        return
    for number, action in enumerate(flow.actions):
        if isinstance(action, StatusAction) and action.of == "transaction":
            problem = "gives the transaction a status, and the flow looks at none; no condition has {transaction: ...}"
            yield Diagnostic(("actions", number, "of"), problem)


class GroupInForce(NamedTuple):
    """A named group that is in force: the purpose of membership, and whether flows keep the members."""

    purpose: Purpose
    kept_by_flows: bool


def groups_named(flow: Flow) -> Iterator[tuple[Path, str, str]]:
    """Yield the groups that a flow names: the path, what the flow does with the group, and its name."""
    for number, trigger in enumerate(flow.triggers):
        if (group := group_of(trigger)) is not None:
            does = "runs for" if isinstance(trigger, ScheduleTrigger) else "listens to"
            yield ("triggers", number, "group"), does, group
    for number, action in enumerate(flow.actions):
        if isinstance(action, GroupAction):
            yield ("actions", number, "group"), _PUTS, action.group


_PUTS = "puts into"


def group_diagnostics(flow: Flow, groups: Mapping[str, GroupInForce] | None) -> Iterator[Diagnostic]:
    """Find groups that are not in force, or that flows cannot put into; without *groups*, note every named one."""
    for path, does, group in groups_named(flow):
        if groups is None:
            problem = f"{does} the group {group}; no groups are known here to look it up in"
            yield Diagnostic(path, problem, Severity.NOTE)
        elif group not in groups:
            there = ", ".join(sorted(groups)) or "none"
            problem = f"{does} the group {group}; of the type {flow.entity_type} there are in force {there}"
            yield Diagnostic(path, f"{problem}{perhaps(group, groups)}")
        elif does == _PUTS and not groups[group].kept_by_flows:
            problem = f"{does} the group {group}, which has a condition of its own; flows put into one that says"
            yield Diagnostic(path, f"{problem} kept_by: flows")


def amount_diagnostics(flow: Flow, names: Vocabulary) -> Iterator[Diagnostic]:
    """Find amounts of limits that are not money in the base currency."""
    for number, action in enumerate(flow.actions):
        if not isinstance(action, LimitAction) or isinstance(action.amount, Decimal):
            continue
        try:
            kind = value_type_of_input(action.amount, names)
        except UnknownNameError:  # every input is checked by itself elsewhere
            continue
        currency = currency_of(action.amount, names)
        if kind is not ValueType.MONEY or currency is not None:
            actual = value_type_phrase(kind) if currency is None else f"money in {currency}"
            yield Diagnostic(
                ("actions", number, "amount"),
                f"is {actual}; a limit is set to money in the base currency: to a number, to a calculation with "
                "unit: money, or to an output of a table that is money",
            )


def _names_calculated_twice(flow: Flow) -> Iterator[Diagnostic]:
    before: set[str] = set()
    for position, step in enumerate(flow.steps):
        for name in step.calculate if isinstance(step, CalculateStep) else ():
            if name in before:
                yield Diagnostic(
                    ("steps", position, "calculate", name),
                    f"{name} is calculated by a step before; each calculation has a name of its own",
                )
            before.add(name)


def _ways(flow: Flow) -> Iterator[Diagnostic]:
    """Find ways that lead to no step, or back."""
    for position, step in enumerate(flow.steps):
        for path, to in ways_from(flow, position):
            if to is None and position + 1 == len(flow.steps):
                yield Diagnostic(path[:-1], "leads nowhere: the last step must be an end, or say then")
            elif to is not None and to not in flow.positions:
                there = ", ".join(flow.positions)
                yield Diagnostic(path, f"there is no step {to}; there are {there}{perhaps(to, flow.positions)}")
            elif to is not None and flow.positions[to] <= position:
                back = "itself" if to == step.id else f"{to}, which stands before {step.id}"
                yield Diagnostic(path, f"leads to {back}; a step leads to later ones only")


def _ends(flow: Flow) -> Iterator[Diagnostic]:
    for position, step in enumerate(flow.steps):
        if isinstance(step, EndStep):
            yield from _action_diagnostics(("steps", position, "end"), step.end, flow)


def _action_diagnostics(path: Path, actions: Sequence[str], flow: Flow) -> Iterator[Diagnostic]:
    """Find actions that are undeclared, repeated, or share a subject with another one."""
    there = {action.id: action for action in flow.actions}
    subjects: dict[str, str] = {}
    for number, name in enumerate(actions):
        if name not in there:
            names = ", ".join(there) or "none"
            yield Diagnostic((*path, number), f"there is no action {name}; there are {names}{perhaps(name, there)}")
            continue
        subject = there[name].subject
        if subjects.get(subject) == name:
            yield Diagnostic((*path, number), f"{name} is there already; an action is taken once")
        elif subject in subjects:
            yield Diagnostic(
                (*path, number), f"{name} and {subjects[subject]} both set the {subject}; one of them can be taken"
            )
        subjects[subject] = name


def _on_failure(flow: Flow) -> Iterator[Diagnostic]:
    yield from _action_diagnostics(("on_failure",), flow.on_failure, flow)
    acts = any(step.end for step in flow.steps if isinstance(step, EndStep))
    if acts and not flow.on_failure:
        yield Diagnostic(
            ("on_failure",), "names no action, and the flow takes some: name those that are taken where a step fails"
        )
    for number, name in enumerate(flow.on_failure):
        action = next((each for each in flow.actions if each.id == name), None)
        if isinstance(action, LimitAction) and not isinstance(action.amount, Decimal):
            yield Diagnostic(
                ("on_failure", number),
                f"the amount of {name} is found by a step, which may not have been passed; "
                "an action after a failure needs a number",
            )
        if action is not None and action.relationship is not None:
            yield Diagnostic(
                ("on_failure", number), f"{name}: the relationship {action.relationship} without a person deciding it"
            )
        if action is not None and action.agreed_by is not None:
            problem = f"{name}: taken after a failure without the answer of {_ASKED[action.agreed_by]}"
            yield Diagnostic(("on_failure", number), problem)


MOST_INNER = 50
"""The most flows in one run: the flow itself, the flows that it asks, and those that they ask."""


def asked_diagnostics(analysed: "AnalysedFlow") -> Iterator[Diagnostic]:
    """Find what a flow asks that is missing, is about other entities, or cannot be asked."""
    for position, step in enumerate(analysed.flow.steps):
        path: Path = ("steps", position)
        if isinstance(step, FlowStep):
            yield from _flow_asked((*path, "flow"), step.flow, analysed)
        elif isinstance(step, RulesStep) and isinstance(step.rules, RulesetName):
            path = (*path, "rules", "ruleset")
            yield from _version_diagnostics(path, "ruleset", step.rules.ruleset, analysed.rulesets, analysed.flow)
        elif isinstance(step, RulesStep):
            assert isinstance(step.rules, PolicyName)
            name, policies = step.rules.policy, analysed.policies
            path = (*path, "rules", "policy")
            yield from _version_diagnostics(path, "policy", name, policies, analysed.flow)
            if name in policies:
                yield from _levels(path, name, policies[name].policy, analysed.flow)
    if analysed.inner_count > MOST_INNER:
        problem = f"runs {analysed.inner_count:,} flows, with all that is asked; {MOST_INNER} at most can be"
        yield Diagnostic(("flow",), problem)


def _version_diagnostics(
    path: Path, word: str, name: str, there: Mapping[str, Any], flow: Flow
) -> Iterator[Diagnostic]:
    if name not in there:
        names = "" if word == "flow" else f"; there are {', '.join(there) or 'none'}"
        yield Diagnostic(path, f"there is no {word} {name}{names}{perhaps(name, there)}")
        return
    definition = there[name].definition
    if definition.entity_type != flow.entity_type:
        yield Diagnostic(path, f"{name} is about entities of the type {definition.entity_type} alone")
    for part in ("fields", "transaction_fields", "case_fields"):
        declared = getattr(flow, part)
        for field_name, form in getattr(definition, part).items():
            if field_name not in declared and word == "policy":
                problem = f"{name} reads {field_name}, which must be declared under {part} here as there"
                yield Diagnostic(path, problem)
            elif declared.get(field_name, form) != form:
                yield Diagnostic(path, f"{name} declares {field_name} otherwise under {part}; both must be the same")


def _levels(path: Path, name: str, definition: Definition, flow: Flow) -> Iterator[Diagnostic]:
    levels: tuple[str, ...] = getattr(definition, "levels")  # noqa: B009 (policies and flows have them, definitions not)
    if levels != flow.levels:
        yield Diagnostic(path, f"{name} has the levels {', '.join(levels)}; the flow has other ones")


def _flow_asked(path: Path, name: str, analysed: "AnalysedFlow") -> Iterator[Diagnostic]:
    back = analysed.cycles.get(name) or (analysed.flows[name].cycle if name in analysed.flows else ())
    if back:
        yield Diagnostic(path, f"leads back: {' → '.join(back)}; no flow can ask one that asks it")
        return
    yield from _version_diagnostics(path, "flow", name, analysed.flows, analysed.flow)
    if name not in analysed.flows:
        return
    inner = analysed.flows[name]
    yield from _levels(path, name, inner.flow, analysed.flow)
    waits = [step.id for step in inner.flow.steps if isinstance(step, PersonStep | OutsideStep)]
    if waits:
        yield Diagnostic(path, f"{name} waits at {', '.join(waits)}; a flow that is asked answers at once")
    if inner.diagnostics:
        first = findings([inner.diagnostics[0]], inner.flow)[0]
        yield Diagnostic(path, f"{name} cannot be used: {first.where}: {first.problem}")


_FITS: Mapping[str, type] = {"text": str, "number": Decimal, "money": Decimal, "flag": bool}
_KINDS: Mapping[str, str] = {"text": "a text", "number": "a number", "money": "an amount of money", "flag": "a flag"}


def _written(value: Any) -> str:
    """Write a value as a file has it: text in quotes, so that '2' is not read as a number."""
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)


def _outputs_by_row(path: Path, step: TableStep) -> Iterator[tuple[Path, Given]]:
    """Yield the outputs of a table row by row, with their paths."""
    table = step.table
    yield from (((*path, "rows", number, "give"), row.give) for number, row in enumerate(table.rows))
    yield (*path, "otherwise"), table.otherwise
    if table.on_unknown is not None:
        yield (*path, "on_unknown"), table.on_unknown


class FinerAmount(NamedTuple):
    """An amount written with a fraction of the smallest unit of money."""

    path: Path
    place: str
    amount: Decimal


def finer_amounts_of_actions(flow: Flow, units: int) -> Iterator[FinerAmount]:
    """Find amounts and bounds of limits that are not whole in minor units; *units* of these make a main unit."""
    for number, action in enumerate(flow.actions):
        if isinstance(action, LimitAction):
            written = [
                (("amount",), action.amount),
                *((("between", end), one) for end, one in enumerate(action.between)),
            ]
            for path, amount in written:
                if isinstance(amount, Decimal) and amount * units % 1:
                    yield FinerAmount(("actions", number, *path), f"action {action.id}, {path[0]}", amount)


def finer_amounts(flow: Flow, units: int) -> Iterator[FinerAmount]:
    """Find amounts that are not whole in minor units, in limits and in the money outputs of tables."""
    yield from finer_amounts_of_actions(flow, units)
    tables = [(number, step) for number, step in enumerate(flow.steps) if isinstance(step, TableStep)]
    for number, step in tables:
        for path, outputs in _outputs_by_row(("steps", number, "table"), step):
            for name, amount in outputs.items():
                is_money = step.table.gives.get(name) == "money"
                if is_money and isinstance(amount, Decimal) and amount * units % 1:
                    yield FinerAmount((*path, name), f"step {step.id}, {name}", amount)


def _table(path: Path, step: TableStep) -> Iterator[Diagnostic]:
    """Find rows with extra outputs, missing ones, or ones of another type."""
    table = step.table
    for at, outputs in _outputs_by_row(path, step):
        missing = [name for name in table.gives if name not in outputs]
        if missing:
            yield Diagnostic(at, f"does not give {', '.join(missing)}")
        for name, value in outputs.items():
            if name not in table.gives:
                there = ", ".join(table.gives)
                yield Diagnostic((*at, name), f"is not an output; there are {there}{perhaps(name, table.gives)}")
            elif not isinstance(value, _FITS[table.gives[name]]):
                yield Diagnostic((*at, name), f"is {_written(value)}, and {name} is {_KINDS[table.gives[name]]}")


def _read_in_time(flow: Flow, inputs: Sequence[tuple[Path, LanguageModel]]) -> Iterator[Diagnostic]:
    """Find inputs read from a step that the run has not passed by then."""
    before = passed_before(flow)
    for path, rule_input in inputs:
        source = _source(flow, rule_input)
        if source is None:
            continue
        for position in reading_steps(flow, path):
            problem = _not_in_time(flow, source, position, rule_input, before[position])
            if problem:
                yield Diagnostic(path, problem)
                break


def _not_in_time(flow: Flow, source: int, position: int, rule_input: LanguageModel, before: Passed) -> str:
    """Return why a step's output is not available at another step; empty if it is, or can be.

    A calculation must be available on every way: it is made of facts, and would otherwise be known on some ways only.
    """
    reads, at = flow.steps[source].id, flow.steps[position].id
    is_calculation = isinstance(rule_input, CalculationInput)
    if source == position:
        return "" if is_calculation else f"reads {reads} in that step itself"
    if source not in before.possibly:
        return f"reads {reads}, which is never passed before {at}"
    if is_calculation and source not in before.surely:
        return f"reads a calculation of {reads}, which some ways to {at} do not pass; calculate it where all ways pass"
    return ""


def _source(flow: Flow, rule_input: Any) -> int | None:
    """Return the position of the step that gives an input; None for a fact, or if no step gives it."""
    if isinstance(rule_input, StepInput):
        return flow.positions.get(rule_input.step)
    if not isinstance(rule_input, CalculationInput):
        return None
    for position, step in enumerate(flow.steps):
        if isinstance(step, CalculateStep) and rule_input.calculation in step.calculate:
            return position
    return None


_ASKED: Mapping[PersonRole, str] = {"investigator": "an investigator", "publisher": "a publisher"}


def _agreements(flow: Flow) -> Iterator[Diagnostic]:
    """Find ends with an action that a person must agree to, which a run can reach whatever that person answers."""
    there = {action.id: action for action in flow.actions}
    for position, step in enumerate(flow.steps):
        for number, name in enumerate(step.end if isinstance(step, EndStep) else ()):
            for role, whose, law in _must_agree(there.get(name)):
                way = without_person(flow, position, role)
                if way is not None:
                    passed = " → ".join(flow.steps[each].id for each in way)
                    yield Diagnostic(
                        ("steps", position, "end", number),
                        f"{name}: {whose} that decides it, by {passed}; some answer must keep a run from here{law}",
                    )


def _must_agree(action: Action | None) -> Iterator[tuple[PersonRole | None, str, str]]:
    """Yield the roles that must agree to an action, None for any, each with the words for the fault and for the law."""
    if action is not None and action.relationship is not None:
        words = f"the relationship {action.relationship} without the answer of a person"
        yield None, words, f" ({PERSON_DECIDES})"
    if action is not None and action.agreed_by is not None:
        yield action.agreed_by, f"taken without the answer of {_ASKED[action.agreed_by]}", ""


def _peers_of_calculations(inputs: Sequence[tuple[Path, LanguageModel]]) -> Iterator[Diagnostic]:
    for path, rule_input in inputs:
        peers = peers_of(rule_input)
        if peers is not None and isinstance(peers.of, CalculationInput | StepInput):
            yield Diagnostic(path, "places a calculation among peers, which are read before the first step")
