"""Data that a flow reads, and their purposes: those gathered against money laundering may reach no commercial action.

Any step can change the end of a run, so every step counts for every action.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fivefold.flows.actions import GivesTag
from fivefold.flows.groups.language import GROUP_TAG
from fivefold.flows.language import DataStep, Flow, FlowStep, ModelStep, PolicyName, RulesetName, RulesStep
from fivefold.flows.triggers import (
    AlertTrigger,
    CaseTrigger,
    FieldTrigger,
    ImportTrigger,
    LevelTrigger,
    ScreeningTrigger,
    TagTrigger,
    Trigger,
    group_of,
)
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.purposes import Reading, SourceReader, Sources, purpose_name_diagnostics
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import FieldInput, ScreeningInput, TagInput
from fivefold.risk.language.policy import LevelInput
from fivefold.risk.language.purposes import PURPOSE_PHRASES, Purpose, strictest
from fivefold.risk.language.ruleset import Ruleset

if TYPE_CHECKING:
    from fivefold.flows.analysis import AnalysedFlow
    from fivefold.risk.compiler.analysis import Analysed


class _Served(NamedTuple):
    """What the steps of a flow serve, in words, and its purpose."""

    words: str
    purpose: Purpose


class _Reading(NamedTuple):
    """Something that is read: its path, the steps that lead there in words, and the purpose of gathering it."""

    path: Path
    chain: tuple[str, ...]
    source: str
    hint: str
    purpose: Purpose = "aml"


def flow_purpose_diagnostics(analysed: "AnalysedFlow", sources: Sources) -> Iterator[Diagnostic]:
    """Find data gathered against money laundering that the flow reads for commerce, with the path to them.

    A flow that gives a tag which commerce may read is for commerce too: the tag reveals what the flow saw.
    """
    flow = analysed.flow
    served = _served(flow) or _read_later(flow, sources)
    if served is not None:
        pairs_reported = set[tuple[str, str]]()
        for reading in _all(analysed, sources):
            if reading.purpose != "aml" or (reading.chain[0], reading.source) in pairs_reported:
                continue
            pairs_reported.add((reading.chain[0], reading.source))
            alone = f"for aml alone ({reading.hint})" if reading.hint else "for aml alone"
            way = " → ".join((f"flow {flow.name}", *reading.chain, reading.source))
            yield Diagnostic(
                reading.path,
                f"reads {reading.source}, which is {alone}, and {served.words} is for "
                f"{PURPOSE_PHRASES[served.purpose]}: {way}",
                check="purposes",
            )
    yield from purpose_name_diagnostics(flow)


def flow_readings(analysed: "AnalysedFlow", sources: Sources) -> Iterator[Reading]:
    """Yield what the flow, and everything it asks, reads: once for each path to it, in the order written."""
    flow = analysed.flow
    served = _served(flow) or _read_later(flow, sources)
    chains = set[tuple[str, ...]]()
    for each in _all(analysed, sources):
        steps = (f"flow {flow.name}", *each.chain, each.source)
        if steps not in chains:
            chains.add(steps)
            yield Reading(
                path=each.path,
                steps=steps,
                source=each.source,
                purpose=each.purpose,
                part="flow",
                serves="aml" if served is None else served.purpose,
                hint=each.hint,
            )


def _all(analysed: "AnalysedFlow", sources: Sources) -> Iterator[_Reading]:
    flow = analysed.flow
    yield from _of_triggers(flow, sources)
    yield from _own(flow, analysed, sources)
    yield from _of_asked(analysed, (flow,), sources)
    yield from _of_data(flow)


def _served(flow: Flow) -> _Served | None:
    """Return the flow, or its first action, with a purpose other than `aml`; None if all are for `aml`."""
    if flow.purpose != "aml":
        return _Served("the flow", flow.purpose)
    for action in flow.actions:
        if action.purpose not in {None, "aml"}:
            assert action.purpose is not None
            return _Served(f"the action {action.id}", action.purpose)
    return None


def _read_later(flow: Flow, sources: Sources) -> _Served | None:
    """Return the first given tag that others may read for a purpose other than `aml`; None if there is none.

    An entity with the tag of a group is a member, so the tag has the purpose of the group.
    """
    purpose_by_tag = (flow.purposes if sources.declared is None else sources.declared).tags
    groups = {} if sources.groups is None else sources.groups
    for action in flow.actions:
        if not isinstance(action, GivesTag):
            continue
        tag = action.given_tag
        if (purpose := purpose_by_tag.get(tag, "aml")) != "aml":
            return _Served(f"the tag {tag}, which the action {action.id} gives,", purpose)
        group = tag.removeprefix(GROUP_TAG) if tag.startswith(GROUP_TAG) else ""
        if (purpose := groups.get(group, "aml")) != "aml":
            return _Served(f"the group {group}, into which the action {action.id} puts,", purpose)
    return None


def _of_triggers(flow: Flow, sources: Sources) -> Iterator[_Reading]:
    """Yield what an event reveals by itself: that a flow ran shows that the level moved, or that a case changed."""
    reader = SourceReader(flow, sources)
    for number, trigger in enumerate(flow.triggers):
        path, part = ("triggers", number), f"trigger {trigger.on}"
        if (words := _OF_MONEY_LAUNDERING.get(type(trigger))) is not None:
            yield _Reading(path, (part,), words, "")
        elif (group := group_of(trigger)) is not None:
            if sources.groups is not None:
                words, purpose = f"the group {group}", sources.groups.get(group, "aml")
                yield _Reading((*path, "group"), (part,), words, "purpose of the group", purpose)
        else:
            for source in (source for fact in _changed_inputs(trigger, flow) for source in reader.read(fact)):
                yield _Reading(path, (part,), source.words, source.hint, source.purpose)


_OF_MONEY_LAUNDERING: Mapping[type[Trigger], str] = {
    CaseTrigger: "cases",
    AlertTrigger: "alerts",
    ImportTrigger: "files, which may be of cases and screenings",
}
"""What triggers reveal that is for `aml` alone, in words."""


def _changed_inputs(trigger: Trigger, flow: Flow) -> Iterator[LanguageModel]:
    """Yield the inputs whose change a trigger reveals."""
    if isinstance(trigger, LevelTrigger):
        yield LevelInput(level="in_force")
    elif isinstance(trigger, TagTrigger):
        yield TagInput(tag=trigger.tag)
    elif isinstance(trigger, ScreeningTrigger):
        yield ScreeningInput(screening=trigger.screening)
    elif isinstance(trigger, FieldTrigger):
        yield from (FieldInput(field=name) for name in trigger.fields if name in flow.fields)


def _own(flow: Flow, analysed: "AnalysedFlow", sources: Sources) -> Iterator[_Reading]:
    """Yield what a flow reads by itself; *flow* has purposes as strict as those of the flows that ask it."""
    reader = SourceReader(flow, sources)
    for path, rule_input in analysed.inputs_with_paths:
        for source, chain in reader.read(rule_input).items():
            yield _Reading(path, (_part(flow, path), *chain), source.words, source.hint, source.purpose)
    for place in analysed.conditions:
        for path, source in reader.lists_in(place):
            yield _Reading(path, (_part(flow, path),), source.words, source.hint, source.purpose)


def _of_asked(analysed: "AnalysedFlow", asking: tuple[Flow, ...], sources: Sources) -> Iterator[_Reading]:
    """Yield what is read by everything that a flow asks; *asking* are the flow and the flows that ask it."""
    for position, step in enumerate(analysed.flow.steps):
        path: Path = ("steps", position, step.kind)
        if isinstance(step, FlowStep) and step.flow in analysed.flows:
            inner = analysed.flows[step.flow]
            strict = _as_strict(inner.flow, asking)
            readings = (*_own(strict, inner, sources), *_of_asked(inner, (*asking, inner.flow), sources))
            chain: tuple[str, ...] = (f"step {step.id}", f"flow {step.flow}")
            yield from (each._replace(path=path, chain=(*chain, *each.chain)) for each in readings)
        if not isinstance(step, RulesStep):
            continue
        rules = step.rules
        if isinstance(rules, RulesetName) and rules.ruleset in analysed.rulesets:
            chain = (f"step {step.id}", f"ruleset {rules.ruleset}")
            yield from _of_rules(analysed.rulesets[rules.ruleset], (*path, "ruleset"), chain, asking, sources)
        elif isinstance(rules, PolicyName) and rules.policy in analysed.policies:
            chain = (f"step {step.id}", f"policy {rules.policy}")
            yield from _of_rules(analysed.policies[rules.policy], (*path, "policy"), chain, asking, sources)


def _of_data(flow: Flow) -> Iterator[_Reading]:
    """Yield the sources and models outside, with the purposes of their data."""
    for position, step in enumerate(flow.steps):
        path: Path = ("steps", position, step.kind)
        words = (f"step {step.id}",)
        if isinstance(step, DataStep):
            hint = "purpose of the step's data"
            yield _Reading((*path, "source"), words, step.data.whom, hint, step.data.purpose)
        elif isinstance(step, ModelStep):
            hint = "purpose of the step's model"
            yield _Reading((*path, "name"), words, step.model.whom, hint, step.model.purpose)


def _of_rules(
    analysed: "Analysed[Any]", path: Path, steps: tuple[str, ...], asking: tuple[Flow, ...], sources: Sources
) -> Iterator[_Reading]:
    """Yield what an asked policy or ruleset reads."""
    if isinstance(analysed.definition, Ruleset):
        yield _Reading(path, steps, f"the level by {analysed.definition.name}", "", analysed.definition.purpose)
    reader = SourceReader(_as_strict(analysed.definition, asking), sources)
    for at, rule_input in analysed.inputs_with_paths:
        part: tuple[str, ...] = (f"calculation {at[1]}",) if at[0] == "calculate" else ()
        part = (f"rule {analysed.definition.rules[int(at[1])].id}",) if at[0] == "rules" else part
        for source, chain in reader.read(rule_input).items():
            yield _Reading(path, (*steps, *part, *chain), source.words, source.hint, source.purpose)
    for place in analysed.conditions:
        for _, source in reader.lists_in(place):
            yield _Reading(path, steps, source.words, source.hint, source.purpose)


def _as_strict(definition: Any, asking: tuple[Flow, ...]) -> Any:
    """Return a definition with the strictest purposes among its own and those of the flows that ask it."""
    own = definition.purposes
    stricter: dict[str, Any] = {}
    if hasattr(own, "level"):
        stricter["level"] = strictest([own.level, *(flow.purposes.level for flow in asking)])
    for kind in ("fields", "transaction_fields", "tags", "links"):
        here = getattr(own, kind)
        there = [getattr(flow.purposes, kind) for flow in asking]
        stricter[kind] = {name: strictest([here[name], *(one[name] for one in there if name in one)]) for name in here}
    return definition.model_copy(update={"purposes": own.model_copy(update=stricter)})


def _part(flow: Flow, path: Path) -> str:
    position = int(path[1])
    return f"step {flow.steps[position].id}" if path[0] == "steps" else f"action {flow.actions[position].id}"
