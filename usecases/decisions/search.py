"""Decisions of an organisation by action, subject, actor and time, with the names of members."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.decisions.decisions import DecisionFilter, DecisionRow, decisions_among
from fivefold.store.ingest.entities import entity_named
from fivefold.usecases.audit.search import actor_named, names_of_actors
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class DecisionFilters:
    """Which decisions are listed; None is no condition.

    Attributes:
        entity: type and identifier of whom they are about.
        policy: the name of the policy, in whatever version.
        actor: who asked, as the log has it, such as token:3; or the name of a member.
        since_us: they were made then or later.
        until_us: they were made before.
    """

    action: str | None = None
    entity: tuple[str, str] | None = None
    policy: str | None = None
    actor: str | None = None
    since_us: int | None = None
    until_us: int | None = None


EVERY = DecisionFilters()


@schema("DecisionFound")
@dataclass(frozen=True, kw_only=True)
class DecisionFound:
    """A decision: what was decided about whom, by which policy, and who asked. `line` is empty once it was erased.

    Attributes:
        actor_name: the name of a member; None for programs.
        policy: its name, with its version in `policy_version`.
        level_status: of the assessment whose level it saw; None once that was erased.
    """

    number: Annotated[int, shown_as("decision")]
    at_us: Annotated[Moment, shown_as("at")]
    action: str
    policy: str
    policy_version: int
    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    actor: str
    actor_name: str | None
    level_status: str | None
    line: str


def search_decisions(context: Context, filters: DecisionFilters = EVERY, part: Part = WHOLE) -> Page[DecisionFound]:
    """List decisions, the latest first; NotFoundError where an entity is named that is not there."""
    with context.reading() as session:
        of = context.organisation_id
        wanted = DecisionFilter(
            organisation_id=of,
            action=filters.action,
            entity_id=None if filters.entity is None else entity_named(session, of, *filters.entity).id,
            policy=filters.policy,
            actor=None if filters.actor is None else actor_named(session, of, filters.actor),
            since_us=filters.since_us,
            until_us=filters.until_us,
        )
        page = decisions_among(session, wanted, part)
        names = names_of_actors(session, of, {row.decision.actor for row in page})
        return page.map(lambda row: _found(row, names))


def _found(row: DecisionRow, names: Mapping[str | None, str]) -> DecisionFound:
    decision = row.decision
    answer = None if decision.answer is None else json.loads(decision.answer)
    return DecisionFound(
        number=decision.id,
        at_us=decision.at_us,
        action=decision.action,
        policy=row.policy.name,
        policy_version=row.policy.number,
        entity_type=row.entity_type,
        external_id=row.external_id,
        actor=decision.actor,
        actor_name=names.get(decision.actor),
        level_status=None if answer is None else answer["level"]["status"],
        line="" if answer is None else answer["line"],
    )
