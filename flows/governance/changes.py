"""Every change of a flow by one step: a condition, a way, a row, a bound, an amount, or the actions of an end."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from fivefold.flows.language import Flow
from fivefold.risk.governance.mutation.changes import (
    StepChange,
    changes_of_calculation,
    changes_of_condition,
    changes_of_number,
    other_value,
    plain_data,
)
from fivefold.risk.language.documents import Path

Plain = Mapping[str, Any]
NOTHING_SAID = "nothing said"
"""What a change writes in place of `on_unknown` where it takes that away."""


def changes_of_flow(flow: Flow) -> Iterator[StepChange]:
    """Give every change by one step, in the order of actions, what follows a failure, and steps.

    Conditions, calculations and numbers change as in rulesets. A way, an answer or `then` leads to another step that is
    near; a way or a row is left out, or tried after the one below it; a row gives what another one does; an end, and
    what follows a failure, takes an action less or one more. Some may not be a flow any more.

    Not changed is what examples cannot notice: how long a person has (`within`) and how old an answer from outside may
    be, as examples say what came and not when; the days of a review or a tag; triggers; words that people read. Nor is
    whom a step asks, and how: that policy, ruleset, flow, source or model has changes of its own.
    """
    data = plain_data(flow)
    for number, action in enumerate(data.get("actions", ())):
        yield from _of_action(("actions", number), action)
    yield from _of_actions_taken(("on_failure",), data.get("on_failure", []), flow)
    for number, step in enumerate(data["steps"]):
        yield from _of_step(("steps", number), step, flow, number)


def _of_action(path: Path, action: Plain) -> Iterator[StepChange]:
    """Move the amount of a limit, and its bounds; what other actions do is not seen in a run."""
    if isinstance(action.get("amount"), int | Decimal):
        yield from changes_of_number((*path, "amount"), action["amount"])
    for number, bound in enumerate(action.get("between", ())):
        yield from changes_of_number((*path, "between", number), bound)


def _of_actions_taken(path: Path, names: Sequence[str], flow: Flow) -> Iterator[StepChange]:
    """Take one action less, and one more that can be taken beside them."""
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
    """Lead to the next other step that is led to beside it, else to the one that follows in the document."""
    begin = near.index(to)
    others = [each for each in (*near[begin:], *near[:begin]) if each != to]
    others += [step.id for step in flow.steps[position + 1 :] if step.id != to]
    if others:
        yield other_value(path, to, others[0])


def _after(path: Path, step: Plain, flow: Flow, position: int) -> Iterator[StepChange]:
    """Lead from a step to the one after that to which it leads, else to the one before that."""
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
    """Do where facts do not decide what is done where nothing holds; and say nothing, so that the run fails."""
    if "on_unknown" not in step:
        return
    at, before = (*path, "on_unknown"), step["on_unknown"]
    if instead != before:
        yield other_value(at, before, instead)
    rest = {word: part for word, part in step.items() if word != "on_unknown"}
    yield StepChange(at, other_value(at, before, before).before, NOTHING_SAID, path, rest)


def _of_choices(path: Path, items: Sequence[Plain], word: str) -> Iterator[StepChange]:
    """Change the conditions of ways or rows; leave one out, and try one after the one below it."""
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
    """Give another flag, a number beside it, or the next other text of the column."""
    if isinstance(value, bool):
        yield other_value(path, value, not value)
    elif isinstance(value, str):
        begin = column.index(value)
        others = [each for each in (*column[begin:], *column[:begin]) if each != value]
        if others:
            yield other_value(path, value, others[0])
    else:
        yield from changes_of_number(path, value)
