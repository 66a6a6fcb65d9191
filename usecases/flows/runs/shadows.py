"""A shadow goes on by what came to the run that acts; and where it comes to other ends than that, and for whom.

It goes on where it asks the same, and itself asks nobody and nothing. What it goes on by is stored with its own run, so
that it is made again from that alone.
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
        """Both came to the same; false where that cannot be said."""
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
    """Count where the version that acts and the shadow came to for the same causes, the most first.

    Nothing where no version acts, none runs as a shadow, or nothing has happened since. NotFoundError where there is no
    such flow.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        return tuple(EndsOfBoth(**pair._asdict()) for pair in ends_of_pairs(session, row))


def list_shadow_pairs(
    context: Context, flow: str, acting_at: str | None = None, shadow_at: str | None = None, part: Part = WHOLE
) -> Page[ShadowPair]:
    """List for whom the two versions come to different ends or actions, the latest first.

    NotFoundError as `compare_shadow`.

    Args:
        context: who asks.
        flow: its name.
        acting_at: of those alone at whose step the version that acts stopped; None for any.
        shadow_at: the same of the shadow.
        part: of the list.
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
