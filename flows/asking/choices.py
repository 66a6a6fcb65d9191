"""The words for a choice in a run: which way or row it took, with or without the condition that decided."""

import re
from collections.abc import Mapping
from typing import Any, Final

from fivefold.flows.language import Flow
from fivefold.risk.language.documents import Path

OTHERWISE: Final = "otherwise"
ASKED: Final = "asked"
CAME_FROM: Final = "came from"
ANSWERED: Final = "answered"
"""The first words of the outcome of a step."""
CHOICES: Final = frozenset({"route", "table"})
"""The kinds of steps that conditions decide."""

_HOLDS: Final = re.compile(r"(way|row) ([0-9]+) holds(?:, as .*)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"it is not known whether .* \((way|row) ([0-9]+)\)", re.DOTALL)


def holds_words(word: str, number: int, condition: str) -> str:
    """Return the words for the way or row that was taken, counted from 1, and why.

    >>> holds_words("way", 2, "level is high")
    'way 2 holds, as level is high'
    """
    return f"{word} {number} holds, as {condition}"


def unknown_words(word: str, number: int, condition: str) -> str:
    """Return the words for a condition that could not be decided.

    >>> unknown_words("row", 1, "level is high")
    'it is not known whether level is high (row 1)'
    """
    return f"it is not known whether {condition} ({word} {number})"


def words_without_conditions(words: str) -> str:
    """Remove the condition that could not be decided from the words for a run.

    >>> words_without_conditions("Failed at Risk, as it is not known whether level is high (way 1): no action")
    'Failed at Risk, as it is not known whether way 1 holds: no action'
    """
    return _UNKNOWN.sub(r"it is not known whether \1 \2 holds", words)


def step_without_conditions(step: Mapping[str, Any]) -> dict[str, Any]:
    """Remove conditions from a step of a run's record, and from steps of a flow that it asked; the values stay.

    Args:
        step: as `flows.trace.StepTrace.as_json` writes it.
    """
    outcome = words_without_conditions(step["outcome"])
    condition, match = step["asked"], _HOLDS.fullmatch(outcome)
    if step["kind"] in CHOICES and outcome != OTHERWISE:
        outcome, condition = f"{match[1]} {match[2]} holds" if match else outcome, ""
    sentence = step["sentence"]
    for old, new in ((step["outcome"], outcome), (_as_sentence(step["outcome"]), _as_sentence(outcome))):
        sentence = sentence.replace(old, new) if old else sentence
    own = {"outcome": outcome, "asked": condition, "seen": words_without_conditions(step["seen"])}
    inner = {"inner": [step_without_conditions(each) for each in step["inner"]]} if "inner" in step else {}
    return {**step, **own, "sentence": words_without_conditions(sentence), **inner}


def _as_sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def way_taken(flow: Flow, step: Mapping[str, Any]) -> Path | None:
    """Return the path of the way that a run took from a step; None if the run stopped there.

    Args:
        flow: the flow.
        step: the step in the run's record, with its conditions or without them.
    """
    if step["to"] is None:
        return None
    position, outcome = flow.positions[step["step"]], step["outcome"]
    kind, match = flow.steps[position].kind, _HOLDS.fullmatch(outcome)
    tail: Path = ("then",) if _is_known(kind, outcome) else ("on_unknown",)
    if kind == "route":
        way: Path = ("route", int(match[2]) - 1, "to") if match else ("otherwise",)
        tail = way if match or outcome == OTHERWISE else ("on_unknown",)
    elif kind == "person":
        answer = outcome.removeprefix(f"{ANSWERED} ")
        tail = ("person", "otherwise") if answer == outcome else ("person", "answers", answer)
    return ("steps", position, *tail)


def _is_known(kind: str, outcome: str) -> bool:
    """Check whether the outcome of a step that is not a choice is known."""
    return kind in {"calculate", "table"} or outcome in {"", ASKED} or outcome.startswith(CAME_FROM)
