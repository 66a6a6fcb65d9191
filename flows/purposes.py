"""What a flow reads, and for what: nothing gathered against money laundering may reach an action of commerce.

Any step can change which end a run comes to, so every step counts for every action.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fivefold.flows.language import DataStep, Flow, RulesStep
from fivefold.flows.triggers import CaseTrigger, ImportTrigger, LevelTrigger, TagTrigger
from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.purposes import SourceReader, Sources, purpose_name_diagnostics
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import TagInput
from fivefold.risk.language.policy import LevelInput, Policy
from fivefold.risk.language.purposes import Purpose, strictest


class _Served(NamedTuple):
    """What the steps of a flow are for, in words, with its purpose."""

    words: str
    purpose: Purpose


class _Reading(NamedTuple):
    """Something that is read, where it is written, and the steps that lead there, in words."""

    path: Path
    chain: tuple[str, ...]
    source: str
    hint: str


def flow_purpose_diagnostics(
    flow: Flow,
    policies: Mapping[str, AnalysedPolicy],
    inputs: tuple[tuple[Path, LanguageModel], ...],
    places: tuple[Location, ...],
    sources: Sources,
) -> Iterator[Diagnostic]:
    """Find what the flow reads for commerce that was gathered against money laundering, with the path to it."""
    served = _served(flow)
    if served is not None:
        seen = set[tuple[str, str]]()
        own = (*_of_triggers(flow, sources), *_own(flow, inputs, places, sources))
        for reading in (*own, *_of_policies(flow, policies, sources), *_of_data(flow)):
            if (reading.chain[0], reading.source) in seen:
                continue
            seen.add((reading.chain[0], reading.source))
            alone = f"for aml alone ({reading.hint})" if reading.hint else "for aml alone"
            way = " → ".join((f"flow {flow.name}", *reading.chain, reading.source))
            yield Diagnostic(
                reading.path,
                f"reads {reading.source}, which is {alone}, and {served.words} is for "
                f"{_PHRASES[served.purpose]}: {way}",
                check="purposes",
            )
    yield from purpose_name_diagnostics(flow)


_PHRASES: Mapping[Purpose, str] = {"aml": "aml", "commercial": "commerce", "both": "aml and commerce"}


def _served(flow: Flow) -> _Served | None:
    """Give the flow, or the first of its actions, that is for anything but `aml`; None where all are."""
    if flow.purpose != "aml":
        return _Served("the flow", flow.purpose)
    for action in flow.actions:
        if action.purpose not in {None, "aml"}:
            assert action.purpose is not None
            return _Served(f"the action {action.id}", action.purpose)
    return None


def _of_triggers(flow: Flow, sources: Sources) -> Iterator[_Reading]:
    """Give what an event tells by itself: that a flow ran says that the level moved, or a case was put."""
    reader = SourceReader(flow, sources)
    for number, trigger in enumerate(flow.triggers):
        path, part = ("triggers", number), f"trigger {trigger.on}"
        if isinstance(trigger, CaseTrigger | ImportTrigger):
            words = "cases" if isinstance(trigger, CaseTrigger) else "files, which may be of cases and screenings"
            yield _Reading(path, (part,), words, "")
        elif isinstance(trigger, LevelTrigger | TagTrigger):
            told = LevelInput(level="in_force") if isinstance(trigger, LevelTrigger) else TagInput(tag=trigger.tag)
            for source in reader.read(told):
                if source.purpose == "aml":
                    yield _Reading(path, (part,), source.words, source.hint)


def _own(
    flow: Flow,
    inputs: tuple[tuple[Path, LanguageModel], ...],
    places: tuple[Location, ...],
    sources: Sources,
) -> Iterator[_Reading]:
    reader = SourceReader(flow, sources)
    for path, rule_input in inputs:
        for source, chain in reader.read(rule_input).items():
            if source.purpose == "aml":
                yield _Reading(path, (_part(flow, path), *chain), source.words, source.hint)
    for place in places:
        for path, source in reader.lists_in(place):
            if source.purpose == "aml":
                yield _Reading(path, (_part(flow, path),), source.words, source.hint)


def _of_policies(flow: Flow, policies: Mapping[str, AnalysedPolicy], sources: Sources) -> Iterator[_Reading]:
    for position, step in enumerate(flow.steps):
        if not isinstance(step, RulesStep) or step.rules.policy not in policies:
            continue
        asked = policies[step.rules.policy]
        reader = SourceReader(_as_strict(asked.policy, flow), sources)
        path: Path = ("steps", position, "rules", "policy")
        for at, rule_input in asked.inputs_with_paths:
            for source, chain in reader.read(rule_input).items():
                if source.purpose == "aml":
                    rule = f"rule {asked.policy.rules[int(at[1])].id}" if at[0] == "rules" else f"calculation {at[1]}"
                    steps = (f"step {step.id}", f"policy {asked.policy.name}", rule, *chain)
                    yield _Reading(path, steps, source.words, source.hint)
        for place in asked.conditions:
            for _, source in reader.lists_in(place):
                if source.purpose == "aml":
                    yield _Reading(path, (f"step {step.id}", f"policy {asked.policy.name}"), source.words, source.hint)


def _of_data(flow: Flow) -> Iterator[_Reading]:
    """Give the sources whose data were gathered against money laundering."""
    for position, step in enumerate(flow.steps):
        if isinstance(step, DataStep) and step.data.purpose == "aml":
            path: Path = ("steps", position, "data", "source")
            yield _Reading(path, (f"step {step.id}",), step.data.whom, "purpose of the step's data")


def _as_strict(policy: Policy, flow: Flow) -> Policy:
    """Give a policy whose data are for no more than its own document and the flow's allow."""
    own, said = policy.purposes, flow.purposes
    stricter: dict[str, Any] = {"level": strictest([own.level, said.level])}
    for kind in ("fields", "transaction_fields", "tags", "links"):
        here, there = getattr(own, kind), getattr(said, kind)
        stricter[kind] = {name: strictest([here[name], there.get(name, here[name])]) for name in here}
    return policy.model_copy(update={"purposes": own.model_copy(update=stricter)})


def _part(flow: Flow, path: Path) -> str:
    position = int(path[1])
    return f"step {flow.steps[position].id}" if path[0] == "steps" else f"action {flow.actions[position].id}"
