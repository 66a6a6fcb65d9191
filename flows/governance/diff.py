"""Comparison of two versions of a flow: every difference in words, and which ends and actions a run can reach."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from fivefold.flows.actions import Amount
from fivefold.flows.language import STEP_KINDS, EndStep, Flow
from fivefold.flows.paths import reached, without_person
from fivefold.risk.engine.explain.describe import condition_words, input_words
from fivefold.risk.governance.diff import calculation_words
from fivefold.risk.governance.differences import DocumentChange, DocumentDifference, Wording, part_words
from fivefold.risk.language.base import WHEN_USED
from fivefold.risk.language.expressions import word_of
from fivefold.risk.language.policy import PolicyCalculation, PolicyCondition

Plain = Mapping[str, Any]
_CONDITION: TypeAdapter[Any] = TypeAdapter(PolicyCondition, config=WHEN_USED)
_AMOUNT: TypeAdapter[Any] = TypeAdapter(Amount, config=WHEN_USED)
_CALCULATION: TypeAdapter[Any] = TypeAdapter(PolicyCalculation, config=WHEN_USED)


def diff_flows(before: Flow, after: Flow) -> DocumentDifference:
    """Compare two flows; a difference that leaves the content hash unchanged is not a change.

    It also reports the ends and actions of both flows that a run can reach in only one of them, and the ends that it
    can reach without a person's answer in only one of them, as far as the links between steps show.
    """
    sides: list[dict[str, Any]] = [json.loads(side.canonical) for side in (before, after)]
    written = _WORDING.of_documents(*sides, last=("actions", "steps", "examples"))
    return DocumentDifference(
        before.name,
        after.name,
        before_hash=before.content_hash,
        after_hash=after.content_hash,
        changes=(*written, *_reach(before, after)),
    )


_REACHED = ("no way leads there", "some way leads there")
_ALONE = ("a person decides before it", "some way leads there without a person")
_TAKEN = ("never taken", "taken at some end, or after a failure")


def _reach(before: Flow, after: Flow) -> Iterator[DocumentChange]:
    """Find ends and actions of both flows that differ in being reachable or, for ends, in needing a person."""
    sides = [_ends(flow) for flow in (before, after)]
    for end in (name for name in sides[0] if name in sides[1]):
        there = [side[end][0] for side in sides]
        if there[0] != there[1]:
            yield _changed(f"end {end}", _REACHED, *there)
        elif all(there) and sides[0][end][1] != sides[1][end][1]:
            yield _changed(f"end {end}", _ALONE, sides[0][end][1], sides[1][end][1])
    actions_of_sides = [_actions_taken(flow) for flow in (before, after)]
    for action in (name for name in actions_of_sides[0] if name in actions_of_sides[1]):
        if actions_of_sides[0][action] != actions_of_sides[1][action]:
            yield _changed(f"action {action}", _TAKEN, actions_of_sides[0][action], actions_of_sides[1][action])


def _changed(where: str, words: tuple[str, str], before: bool, after: bool) -> DocumentChange:
    return DocumentChange(where, "changed", words[before], words[after])


def _ends(flow: Flow) -> dict[str, tuple[bool, bool]]:
    """Return for each end whether a run can reach it, and whether it can do so without a person's decision."""
    there = reached(flow)
    return {
        step.id: (position in there, without_person(flow, position) is not None)
        for position, step in enumerate(flow.steps)
        if isinstance(step, EndStep)
    }


def _actions_taken(flow: Flow) -> dict[str, bool]:
    there = reached(flow)
    ends = [step for position, step in enumerate(flow.steps) if isinstance(step, EndStep) and position in there]
    names = {*flow.on_failure, *(name for step in ends for name in step.end)}
    return {action.id: action.id in names for action in flow.actions}


# Words.


def _condition(part: Any) -> str:
    return condition_words(_CONDITION.validate_python(part))


def _output_text(part: Any) -> str:
    """Return the words for the outputs of a row, or for the next step of a way."""
    if not isinstance(part, dict):
        return part_words(part)
    return ", ".join(f"{name.replace('_', ' ')} {part_words(value)}" for name, value in part.items())


def _way(part: Plain) -> str:
    return f"{_condition(part['when'])}: to {part['to']}"


def _row(part: Plain) -> str:
    return f"{_condition(part['when'])}: {_output_text(part['give'])}"


def _ways(part: Any) -> str:
    return "; ".join(map(_way, part))


def _table(part: Plain) -> str:
    rest = [
        f"{word.replace('_', ' ')} {_output_text(part[word])}" for word in ("otherwise", "on_unknown") if word in part
    ]
    return "; ".join([*map(_row, part["rows"]), *rest])


def _person(part: Plain) -> str:
    answers = ", ".join(f"{answer} to {to}" for answer, to in part["answers"].items())
    looked_at = "; ".join(map(_looked_at, part.get("look_at", ())))
    look = f" Look at: {looked_at}." if looked_at else ""
    return f"{part['question']}{look} {answers}; otherwise {part['otherwise']} after {part['within']}"


def _looked_at(part: Any) -> str:
    return part if isinstance(part, str) else _amount(part)


def _calculation(part: Plain) -> str:
    return calculation_words(part, _CALCULATION)


def _ends_with(part: Any) -> str:
    return ", ".join(part) or "no action"


_STEP_WORDS: Mapping[str, Callable[[Any], str]] = {
    "route": _ways,
    "table": _table,
    "person": _person,
    "end": _ends_with,
    "calculate": lambda part: "; ".join(f"{name} is {_calculation(each)}" for name, each in part.items()),
}


def _step(part: Plain) -> str:
    """Write a step: its title and what it does."""
    kind = str(word_of(part, STEP_KINDS))
    make = _STEP_WORDS.get(kind, part_words)
    return f"{part['title']} ({kind}): {make(part.get(kind))}"


def _amount(part: Any) -> str:
    return input_words(_AMOUNT.validate_python(part)) if isinstance(part, dict) else part_words(part)


def _action(part: Plain) -> str:
    """Write an action: its title and what it sets."""
    rest = {word: below for word, below in part.items() if word not in {"id", "title"}}
    sets = ", ".join(f"{word.replace('_', ' ')} {_WORDING.part(word, below)}" for word, below in rest.items())
    return f"{part['title']} ({sets})"


_WORDS: Mapping[str, Callable[[Any], str]] = {
    **_STEP_WORDS,
    "when": _condition,
    "otherwise": _output_text,
    "on_unknown": _output_text,
    "give": _output_text,
    "way": _way,
    "row": _row,
    "step": _step,
    "action": _action,
    "amount": _amount,
    "calculation": _calculation,
    **dict.fromkeys(("actions", "on_failure"), _ends_with),
    "example": lambda part: f"ends {part['ends']}",
}

_WORDING = Wording(
    words=_WORDS,
    lists={
        "actions": ("action", "id"),
        "steps": ("step", "id"),
        "examples": ("example", "name"),
        "route": ("way", ""),
        "rows": ("row", ""),
    },
    whole=frozenset({"when", "otherwise", "on_unknown", "give", "amount", "calculation"}),
    named={"calculate": "calculation", "answers": "answer"},
)
