"""Shadows: how they continue with the outcomes of the acting run, and where and for whom they end differently.

A shadow asks nothing itself: it continues with an outcome of the acting run if both ask the same. That outcome is also
stored with the shadow's run, which can so be repeated from its own record.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.flows.flows import flow_named
from fivefold.store.flows.runs import add_outcome
from fivefold.store.flows.shadows import ends_of_pairs, outcomes_of_partners, pairs_that_differ, shadow_waiting_at
from fivefold.store.tables.flows import FlowRun, FlowVersion
from fivefold.usecases.flows.runs.outcomes import PERSON
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context

_ASKING: Final = (PERSON, "data", "agent", "model")
_LEADS: Final = frozenset({"otherwise", "within"})
_MOST_KEPT: Final = 50


@schema("FlowEndsOfBoth")
@dataclass(frozen=True, kw_only=True)
class EndsOfBoth:
    """Where runs of one cause came to: the steps at which they stopped, what follows, and how many did.

    Attributes:
        acting_state: ended, failed or waiting.
        shadow_state: the same of the shadow, which waits where a person or a system would be asked.
        comparable: false where the shadow asks something that nobody answered: the run that acts got an answer at this
            step, but was asked something else. Where it asks the same, it goes on by that answer.
        same_actions: the same actions follow from both, with the same amounts; so it is taken of runs that began before
            that was kept.
    """

    acting_at: str
    acting_state: str
    shadow_at: str
    shadow_state: str
    comparable: bool
    same_actions: bool
    runs: int

    @property
    def same(self) -> bool:
        """Whether both ended alike; false if they cannot be compared."""
        ends = (self.acting_at, self.acting_state) == (self.shadow_at, self.shadow_state)
        return self.comparable and ends and self.same_actions


@schema("FlowShadowPair")
@dataclass(frozen=True, kw_only=True)
class ShadowPair:
    """Two runs of one cause that came to different ends or would do something else, by their numbers.

    Attributes:
        acting_actions: what the run that acts did, such as `look, bound 100 EUR`; empty for nothing, None where it
            began before that was kept.
        shadow_actions: what the shadow would have done.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    cause: str
    begun_us: Annotated[Moment, shown_as("begun_at")]
    acting_run: int
    acting_at: str | None
    acting_actions: str | None
    shadow_run: int
    shadow_at: str | None
    shadow_actions: str | None


def compare_shadow(context: Context, flow: str) -> tuple[EndsOfBoth, ...]:
    """Count the ends of the acting version and the shadow for the same causes, the most frequent first.

    Empty if no version acts, none runs as a shadow, or nothing has happened since. NotFoundError without such a flow.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        return tuple(EndsOfBoth(**pair._asdict()) for pair in ends_of_pairs(session, row))


def list_shadow_pairs(
    context: Context, flow: str, acting_at: str | None = None, shadow_at: str | None = None, part: Part = WHOLE
) -> Page[ShadowPair]:
    """List the pairs of runs with different ends or actions in the two versions, the latest first.

    NotFoundError as in `compare_shadow`.

    Args:
        context: who asks.
        flow: the name of the flow.
        acting_at: only pairs whose acting run stopped at this step; None for any.
        shadow_at: only pairs whose shadow stopped at this step; None for any.
        part: the part of the list.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        return pairs_that_differ(session, row, acting_at, shadow_at, part).map(
            lambda pair: ShadowPair(
                entity_type=pair.entity_type,
                external_id=pair.external_id,
                cause=pair.acting.cause,
                begun_us=pair.acting.begun_us,
                acting_run=pair.acting.id,
                acting_at=pair.acting.stopped_at,
                acting_actions=pair.acting.does,
                shadow_run=pair.shadow.id,
                shadow_at=pair.shadow.stopped_at,
                shadow_actions=pair.shadow.does,
            )
        )


@lru_cache(maxsize=_MOST_KEPT)
def questions_of(canonical: str) -> Mapping[str, str]:
    """Return the question of each step that asks, as text, by its id; the steps that follow are not part of it."""
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
    """Check whether two versions, given as canonical texts, both have a step of that id that asks the same."""
    question = questions_of(canonical).get(step)
    return question is not None and question == questions_of(other).get(step)


def pass_on(session: Session, acting: FlowRun, step: str, now_us: int) -> list[tuple[int, str]]:
    """Pass an outcome of an acting run to the shadow's run of the same cause, and make that due for a worker.

    Args:
        session: in the transaction that stores the outcome, with the entity locked.
        acting: the acting run.
        step: the step with the outcome.
        now_us: the moment at which the shadow becomes due.

    Returns:
        The outcomes written, as run and step; empty if no shadow waits there, or it asks something else.
    """
    shadow = shadow_waiting_at(session, acting, step)
    if shadow is None:
        return []
    written = catch_up(session, {shadow.id: (shadow.version_id, step)})
    if written:
        shadow.due_us = now_us
    return written


def catch_up(session: Session, waiting: Mapping[int, tuple[int, str]]) -> list[tuple[int, str]]:
    """Pass earlier outcomes of acting runs to waiting shadows that ask the same.

    Args:
        session: in a transaction in which their entities are locked.
        waiting: the number of the version and the step, by the number of the shadow's run.

    Returns:
        The outcomes written, as run and step.
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
