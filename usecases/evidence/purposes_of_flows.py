"""What flows and named groups that decided read, computed from documents: for the archive, and for its check.

A flow asks policies, rulesets and other flows in the versions that decide at that moment. So what it read is listed for
each period in which these were the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from fivefold.flows.analysis import with_asked
from fivefold.flows.groups.analysis import AnalysedGroup
from fivefold.flows.groups.language import read_group
from fivefold.flows.language import Flow, read_flow
from fivefold.flows.purposes import flow_readings
from fivefold.flows.triggers import group_of
from fivefold.risk.compiler.analysis import AnalysedPolicy, analyse_text
from fivefold.risk.compiler.purposes import Reading, Sources
from fivefold.risk.language.policy import read_policy

Line = Mapping[str, Any]
"""A document that decided: kind, name, version, document, and from when until when, as in an archive."""
_KINDS: Final = ("policy", "ruleset", "flow")
"""The kinds of what flows ask."""


def readings_of_group(text: str, sources: Sources) -> Iterator[Reading]:
    """Yield what a group reads."""
    return AnalysedGroup(read_group(text)).readings(sources)


def asked_of_flow(
    line: Line, others: Sequence[Line], text_of: Callable[[str], str], quarter: tuple[str, str]
) -> list[dict[str, Any]]:
    """Return which versions a flow asked at which times of a quarter, in order.

    Args:
        line: the flow.
        others: everything that decided, flows included.
        text_of: returns a document by its name.
        quarter: its beginning and its end.
    """
    begin = max(_moment(line["from"]), _moment(quarter[0]))
    end = min(_moment(each) for each in (line["until"], quarter[1]) if each is not None)
    kinds = [each for each in others if each["kind"] in _KINDS]
    moments = {_moment(at) for each in kinds for at in (each["from"], each["until"]) if at is not None}
    times: list[dict[str, Any]] = []
    for first, last in pairwise(sorted({begin, end, *(at for at in moments if begin < at < end)})):
        standing = {(each["kind"], each["name"]): each for each in kinds if _decides(each, first)}
        dependencies = _versions_asked(read_flow(text_of(line["document"])), standing, text_of)
        versions = {"/".join(key): each["version"] for key, each in sorted(dependencies.items())}
        if times and times[-1]["asked"] == versions:
            times[-1]["until"] = last.isoformat()
        else:
            times.append({"from": first.isoformat(), "until": last.isoformat(), "asked": versions})
    return times


def groups_listened_to(line: Line, others: Sequence[Line], text_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the groups that a flow listens to, by name, each with its purpose; None if no version of it decided."""
    flow = read_flow(text_of(line["document"]))
    purposes = {each["name"]: each["purpose"] for each in others if each["kind"] == "group"}
    named = {group for trigger in flow.triggers if (group := group_of(trigger)) is not None}
    return [{"group": group, "purpose": purposes.get(group)} for group in sorted(named)]


def readings_of_flow(
    line: Line,
    times: Sequence[Mapping[str, Any]],
    documents: Mapping[tuple[str, str, int], str],
    text_of: Callable[[str], str],
    sources: Sources,
) -> Iterator[Reading]:
    """Yield what a flow read over all the given times, each once; *documents* has the names of what decided."""
    flow, seen_steps = read_flow(text_of(line["document"])), set[tuple[str, ...]]()
    for time in times:
        texts: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
        for key, version in time["asked"].items():
            kind, _, name = key.partition("/")
            texts[kind][name] = text_of(documents[kind, name, version])
        analysed = with_asked(
            flow,
            {name: AnalysedPolicy(read_policy(text)) for name, text in texts["policy"].items()},
            {name: analyse_text(text) for name, text in texts["ruleset"].items()},
            {name: read_flow(text) for name, text in texts["flow"].items()},
        )
        for reading in flow_readings(analysed, sources):
            if reading.steps not in seen_steps:
                seen_steps.add(reading.steps)
                yield reading


def _versions_asked(
    flow: Flow, standing: Mapping[tuple[str, str], Line], text_of: Callable[[str], str]
) -> dict[tuple[str, str], Line]:
    """Find what a flow asks, and what the flows that it asks ask; without what did not decide."""
    lines: dict[tuple[str, str], Line] = {}
    waiting = [flow]
    while waiting:
        one = waiting.pop()
        keys = [(kind, name) for kind in _KINDS for name in one.names_asked(kind)]
        new = {key: standing[key] for key in keys if key in standing and key not in lines}
        lines |= new
        waiting += [read_flow(text_of(line["document"])) for (kind, _), line in new.items() if kind == "flow"]
    return lines


def _decides(line: Line, at: datetime) -> bool:
    return _moment(line["from"]) <= at and (line["until"] is None or at < _moment(line["until"]))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
