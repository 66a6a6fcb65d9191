"""Decisions as they were made: one, those of an entity, and one made again from what was kept of it."""

import json
import re
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ActionRefused, NotThere
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.decisions.decisions import decision_numbered, decisions_of
from fivefold.store.ingest.entities import entity_named
from fivefold.store.sql.database import reachable
from fivefold.store.tables.events import Decision, Policy
from fivefold.usecases.decisions.answers import ENGINE, answered
from fivefold.usecases.decisions.decide import DecisionMade, shown
from fivefold.usecases.levels.replay import Replayed, list_versions_used, replay
from fivefold.usecases.levels.replay_inputs import read_inputs
from fivefold.usecases.shared.actors import Actor


@dataclass(frozen=True)
class DecisionLine:
    """A decision as it is listed; `line` is empty once it was erased."""

    number: int
    at_us: int
    action: str
    policy: tuple[str, int]
    actor: str
    line: str


def read_decision(engine: Engine, actor: Actor, number: int) -> DecisionMade:
    """Give a decision as it was recorded; NotThere where the organisation has none of that number."""
    with reachable(), Session(engine) as session:
        found = decision_numbered(session, actor.organisation_id, number)
        return shown(found, session.get_one(Policy, found.policy_id))


def list_decisions(
    engine: Engine, actor: Actor, type_name: str, external_id: str, part: Part = WHOLE
) -> Page[DecisionLine]:
    """List the decisions on an entity's transactions, the latest first; NotThere where there is no such entity."""
    with reachable(), Session(engine) as session:
        entity = entity_named(session, actor.organisation_id, type_name, external_id)
        return decisions_of(session, entity.id, part).map(lambda pair: _line(*pair))


def _line(row: Decision, policy: Policy) -> DecisionLine:
    line = "" if row.answer is None else json.loads(row.answer)["line"]
    return DecisionLine(row.id, row.at_us, row.action, (policy.name, policy.number), row.actor, line)


def replay_named(engine: Engine, actor: Actor, name: str) -> Replayed:
    """Make an assessment, such as 12.3, or a decision, such as d:12, again; errors as of the one or the other."""
    kind, _, number = name.rpartition(":")
    if kind != "d":
        return replay(engine, actor, name)
    if not _NUMBER.fullmatch(number):
        raise NotThere(f"there is no decision {number!r}")
    return replay_decision(engine, actor, int(number))


_NUMBER = re.compile("[0-9]{1,18}")
"""Fewer digits than a database's integers hold."""


def replay_decision(engine: Engine, actor: Actor, number: int) -> Replayed:
    """Make a decision again from its recorded inputs and versions, and compare the bytes of the answer.

    Raises:
        NotThere: there is no such decision.
        ActionRefused: what it was made from was erased.
    """
    with reachable(), Session(engine) as session:
        found = decision_numbered(session, actor.organisation_id, number)
        if found.inputs is None or found.answer is None:
            raise ActionRefused(f"decision {number} was erased: what it was made from is gone")
        policy = session.get_one(Policy, found.policy_id)
        inputs, kept = read_inputs(found.inputs, found.at_us, str(found.entity_id))
        versions = list_versions_used(session, actor.organisation_id, kept["lists"])
        made = answered(policy.canonical, versions, inputs, kept)[1]
        return Replayed(
            f"d:{number}", made == found.answer, found.answer, made, json.loads(found.answer)["engine"], ENGINE
        )
