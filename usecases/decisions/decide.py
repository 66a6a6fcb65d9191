"""Decisions on transactions: level, value and the pending transaction, in one call and one record.

The answer is built from the stored record alone, so a replay gives the same bytes. The transaction itself is not
stored: the caller sends it to the transactions once it happens.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.characters import control_in
from fivefold.domain.clock import iso_text, now_microseconds
from fivefold.domain.errors import ActionRefused, ConfigError, NotThere
from fivefold.features import schema as c
from fivefold.risk.engine.explain.policies import DecisionExplanation, explain_decisions
from fivefold.risk.engine.policy_program import kept_policy, policy_program_for
from fivefold.risk.facts.lists import ListVersion
from fivefold.store.decisions.decisions import (
    Parties,
    Standpoint,
    add_decision,
    decision_keyed,
    parties_of,
    standpoint_of,
)
from fivefold.store.ingest.entities import entity_named, subject_of
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.events import Decision, Policy
from fivefold.usecases.audit import record as audit
from fivefold.usecases.decisions.inputs import Material, gather
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.levels.value_scores import Valuer
from fivefold.usecases.levels.worker import assess_now
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.entity_checks import MOST_CHARACTERS, storable

ENGINE: Final = "1"
"""Of what decides: another one where the same inputs could come to something else."""


def answered(
    canonical: str, versions: Mapping[str, ListVersion], inputs: pl.DataFrame, kept: Mapping[str, Any]
) -> tuple[DecisionExplanation, str]:
    """Decide, and write the answer in canonical JSON.

    Args:
        canonical: the policy.
        versions: of the named lists that it reads.
        inputs: the row that it reads.
        kept: everything else that is kept of the decision.
    """
    (said,) = explain_decisions(policy_program_for(canonical, versions, kept["base"]), inputs, kept["base"])
    answer = {
        "at": iso_text(kept["at_us"]),
        "engine": ENGINE,
        "entity": kept["entity"],
        "policy": kept["policy"],
        "lists": {name: iso_text(since) for name, since in kept["lists"].items()},
        **kept["said"],
        **said.as_json(),
    }
    return said, canonical_json(answer)


@dataclass(frozen=True)
class DecisionMade:
    """A decision.

    Attributes:
        number: of the decision.
        repeated: it was made before, under the same key; nothing was decided again.
        action: what is to be done.
        policy: name and version of the policy that decided.
        answer: why, as docs/decisions-api.md describes it; None once it was erased.
    """

    number: int
    repeated: bool
    action: str
    policy: tuple[str, int]
    at_us: int
    actor: str
    answer: Mapping[str, Any] | None


@dataclass(frozen=True)
class _Asked:
    """What is asked: which policy decides on whose transaction."""

    policy: str
    type_name: str
    external_id: str
    transaction: Mapping[str, Any]
    freshness: Freshness
    key: str | None

    @property
    def digest(self) -> str:
        """What makes it the same question; as fresh as its answer must be is none of it."""
        asked = [self.policy, self.type_name, self.external_id, self.transaction]
        return sha256(json.dumps(asked, sort_keys=True, default=repr).encode()).hexdigest()


@dataclass(frozen=True)
class _Decided:
    """Everything that is to be written down."""

    entity_id: int
    policy_id: int
    policy: tuple[str, int]
    number_of_assessment: int | None
    value_as_of_us: int | None
    at_us: int
    action: str
    inputs: str
    answer: str


def decide(
    engine: Engine,
    actor: Actor,
    policy: str,
    type_name: str,
    external_id: str,
    transaction: Mapping[str, Any],
    freshness: Freshness = Freshness.REFRESH,
    decision_key: str | None = None,
    *,
    clock: Callable[[], int] = now_microseconds,
    valuer: Valuer | None = None,
) -> DecisionMade:
    """Decide on a transaction by the active version of a policy, and write the decision down.

    Args:
        engine: the database.
        actor: who asks.
        policy: the policy's name.
        type_name: the type of the entity.
        external_id: of the entity whose transaction it is.
        transaction: as POST /v1/transactions takes it; its number, date and state may be missing. It is not stored.
        freshness: of the level, as `usecases.levels.read.read_level` has it.
        decision_key: what whoever asks calls this decision; the transaction's number where it is not given. Asked again
            under the same key, the policy gives the decision that it made.
        clock: tells the present.
        valuer: the value model, where the level is computed for the answer.

    Raises:
        NotThere: there is no such entity, or no active policy of that name.
        ConfigError: the policy is for another entity type, or the key cannot be kept.
        DataNotValid: the transaction cannot be read.
        ActionRefused: something else was decided under the key.
        RulesetNotValid: something that the policy reads is not there, such as a list.
    """
    asked = _Asked(policy, type_name, external_id, transaction, freshness, _key(policy, decision_key, transaction))
    made, assessed = _made(engine, actor, asked, clock, valuer)
    if isinstance(made, DecisionMade):
        return made
    stored = _stored(engine, actor, asked, made, assessed=assessed)
    if stored is not None:
        return stored
    with reading(engine) as session:  # somebody asked the same at the same time
        other = _recorded(session, actor, asked)
    assert other is not None
    return other


def _key(policy: str, given: str | None, transaction: Mapping[str, Any]) -> str | None:
    own = transaction.get(c.TRANSACTION_ID) if given is None else given
    if own is None:
        return None
    what = c.TRANSACTION_ID if given is None else "decision_key"
    if not isinstance(own, str) or not 1 <= len(own) <= MOST_CHARACTERS or not storable(own):
        raise ConfigError(f"{what} must be text of 1 to {MOST_CHARACTERS} characters, without NUL")
    if found := control_in(own):
        raise ConfigError(f"{what} is {own[:40]!r}, with the control character {found}; it must have none")
    return f"{policy}/{own}"


def _recorded(session: Session, actor: Actor, asked: _Asked) -> DecisionMade | None:
    """Find the decision under the key; ActionRefused where it is one on something else."""
    found = None if asked.key is None else decision_keyed(session, actor.organisation_id, asked.key)
    if found is None or asked.key is None:
        return None
    if found.inputs is None or json.loads(found.inputs)["asked"] != asked.digest:
        own = asked.key.removeprefix(f"{asked.policy}/")
        raise ActionRefused(
            f"{asked.policy} decided on something else under {own!r}; give it a decision_key of its own"
        )
    return shown(found, session.get_one(Policy, found.policy_id), repeated=True)


def shown(row: Decision, policy: Policy, *, repeated: bool = False) -> DecisionMade:
    """Give a decision as it was recorded."""
    answer = None if row.answer is None else json.loads(row.answer)
    return DecisionMade(row.id, repeated, row.action, (policy.name, policy.number), row.at_us, row.actor, answer)


def _made(
    engine: Engine, actor: Actor, asked: _Asked, clock: Callable[[], int], valuer: Valuer | None
) -> tuple[DecisionMade | _Decided, bool]:
    """Decide, unless that was done before under the key; tell too whether the level was computed for it."""
    with reading(engine) as session:
        recorded = _recorded(session, actor, asked)
        if recorded is not None:
            return recorded, False
        parties, policy = _found(session, actor, asked)
        point = standpoint_of(session, parties.entity.id)
        never = point.standing is None
        if asked.freshness is Freshness.STORED or (asked.freshness is Freshness.REFRESH and not never):
            return _decided(session, asked, parties, policy, point, clock()), False
        subject = subject_of(parties.entity)
    assess_now(engine, subject, clock=clock, valuer=valuer, actor=actor.name)
    with reading(engine) as session:
        parties, policy = _found(session, actor, asked)
        point = standpoint_of(session, parties.entity.id)
        return _decided(session, asked, parties, policy, point, clock()), True


def _found(session: Session, actor: Actor, asked: _Asked) -> tuple[Parties, Policy]:
    parties = parties_of(session, actor.organisation_id, asked.type_name, asked.external_id, asked.policy)
    if parties.policy is None:
        raise NotThere(f"there is no active policy {asked.policy!r}")
    decides_on = kept_policy(parties.policy.canonical).entity_type
    if decides_on != asked.type_name:
        raise ConfigError(f"the policy {asked.policy} decides on entities of the type {decides_on} alone")
    return parties, parties.policy


def _decided(
    session: Session, asked: _Asked, parties: Parties, policy: Policy, point: Standpoint, now_us: int
) -> _Decided:
    material = gather(session, policy.canonical, parties, point, asked.transaction, now_us)
    kept = _kept(material, asked, policy, now_us)
    said, answer = answered(policy.canonical, material.versions, material.inputs, kept)
    return _Decided(
        parties.entity.id,
        policy.id,
        (policy.name, policy.number),
        None if point.standing is None else point.standing.number,
        material.value_as_of_us,
        now_us,
        said.action,
        json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":")),
        answer,
    )


def _kept(material: Material, asked: _Asked, policy: Policy, now_us: int) -> dict[str, Any]:
    return {
        **material.kept(),
        "asked": asked.digest,
        "at_us": now_us,
        "entity": {"type": asked.type_name, "external_id": asked.external_id},
        "policy": {"name": policy.name, "version": policy.number, "content_hash": policy.content_hash},
    }


def _stored(engine: Engine, actor: Actor, asked: _Asked, made: _Decided, *, assessed: bool) -> DecisionMade | None:
    """Write a decision down; None where somebody else decided under its key meanwhile."""
    with writing(engine) as session:
        entity = entity_named(session, actor.organisation_id, asked.type_name, asked.external_id, kept=True)
        if entity.id != made.entity_id:  # it was erased meanwhile, and somebody else has its name
            raise NotThere(f"there is no {asked.type_name} {asked.external_id!r}")
        number = add_decision(
            session,
            {
                "organisation_id": actor.organisation_id,
                "policy_id": made.policy_id,
                "entity_id": made.entity_id,
                "assessment_number": made.number_of_assessment,
                "value_as_of_us": made.value_as_of_us,
                "at_us": made.at_us,
                "actor": actor.name,
                "action": made.action,
                "decision_key": asked.key,
                "inputs": made.inputs,
                "answer": made.answer,
            },
        )
        if number is None:
            return None
        if asked.freshness is Freshness.REFRESH and not assessed:
            due.mark(session, [subject_of(entity)], Reason.VIEW, made.at_us)
        _record(session, actor, made, number)
    return DecisionMade(number, False, made.action, made.policy, made.at_us, actor.name, json.loads(made.answer))


def _record(session: Session, actor: Actor, made: _Decided, number: int) -> None:
    name, version = made.policy
    digests = {
        name: sha256(text.encode()).hexdigest() for name, text in (("inputs", made.inputs), ("answer", made.answer))
    }
    audit.record(
        session,
        actor.organisation_id,
        "decision.made",
        ("decision", number),
        actor=actor.name,
        after=digests,
        details={"policy": name, "version": version, "action": made.action},
    )
