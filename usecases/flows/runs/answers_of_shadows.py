"""A shadow goes on by what came to the run that acts, where it asks the same; it asks nobody and nothing itself.

What it goes on by is stored with its own run, so that it is made again from that alone.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy.orm import Session

from fivefold.store.flows.runs import add_outcome
from fivefold.store.flows.shadows import outcomes_of_partners, shadow_waiting_at
from fivefold.store.tables.flows import FlowRun, FlowVersion
from fivefold.usecases.flows.runs.outcomes import PERSON

_ASKING: Final = (PERSON, "data", "agent", "model")
_LEADS: Final = frozenset({"otherwise", "within"})
_MOST_KEPT: Final = 50


@lru_cache(maxsize=_MOST_KEPT)
def questions_of(canonical: str) -> Mapping[str, str]:
    """Give by the id of each step that asks what it asks, as text; where a run goes on from it is no part of that."""
    questions = {}
    for step in json.loads(canonical)["steps"]:
        for kind in _ASKING:
            if kind in step:
                about = {name: value for name, value in step[kind].items() if name not in _LEADS}
                if "answers" in about:
                    about["answers"] = sorted(about["answers"])
                questions[step["id"]] = json.dumps([kind, about], sort_keys=True)
    return questions


def asks_the_same(step: str, canonical: str, other: str) -> bool:
    """Tell whether two versions, given by their canonical texts, have a step of that id which asks the same."""
    question = questions_of(canonical).get(step)
    return question is not None and question == questions_of(other).get(step)


def pass_on(session: Session, acting: FlowRun, step: str, now_us: int) -> list[tuple[int, str]]:
    """Give what came to a run that acts to the shadow's run of the same cause, and let a worker carry that on.

    Args:
        session: in the transaction that stores what came, with the entity locked.
        acting: the run to which it came.
        step: at which.
        now_us: from when on the shadow is due.

    Returns:
        What was written, by run and step; nothing where no shadow waits there, or it asks something else.
    """
    shadow = shadow_waiting_at(session, acting, step)
    if shadow is None:
        return []
    written = catch_up(session, {shadow.id: (shadow.version_id, step)})
    if written:
        shadow.due_us = now_us
    return written


def catch_up(session: Session, waiting: Mapping[int, tuple[int, str]]) -> list[tuple[int, str]]:
    """Give shadows that wait what came to the runs that act before, where they ask the same.

    Args:
        session: in a transaction in which their entities are locked.
        waiting: by the numbers of the shadows' runs, the number of the version and the step.

    Returns:
        What was written, by run and step.
    """
    written = []
    for run_id, came in outcomes_of_partners(session, waiting).items():
        version_id, step = waiting[run_id]
        shadows = session.get_one(FlowVersion, version_id).canonical
        for each in came:
            if each.step.step != step or not asks_the_same(step, each.canonical, shadows):
                continue
            columns: dict[str, Any] = {name: getattr(each.step, name) for name in _KEPT}
            if add_outcome(session, {**columns, "run_id": run_id}):
                written.append((run_id, step))
    return written


_KEPT: Final = ("step", "entity_id", "kind", "outcome", "at_us", "actor")
