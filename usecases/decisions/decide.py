"""Decisions on transactions: level, value and the pending transaction, in one call and one record.

The answer is built from the stored record alone, so a replay gives the same bytes. The transaction itself is not
stored: the caller posts it as a transaction once it happens.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import iso_text
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.text import control_in, perhaps
from fivefold.features import schema as c
from fivefold.risk.compiler.analysis import analyse_canonical_policy
from fivefold.risk.engine.explain.policies import DecisionExplanation, explain_decisions
from fivefold.risk.engine.explain.stored import WORDS
from fivefold.risk.engine.policy_program import policy_program_for
from fivefold.risk.facts.portfolio import ListVersion
from fivefold.store.audit.chain import unchanged_canonical
from fivefold.store.decisions import (
    DecisionSubjects,
    EntityState,
    active_policies,
    add_decision,
    decision_keyed,
    entity_state,
    subjects_of,
)
from fivefold.store.ingest.entities import no_entity, number_of_entity, subject_of, type_named
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import Reason, Subject
from fivefold.store.levels.overrides import is_of_override
from fivefold.store.tables.events import Decision, Policy
from fivefold.usecases.decisions.inputs import (
    DecisionInputs,
    digest_of_question,
    load_decision_inputs,
    number_in,
    read_pending_transaction,
)
from fivefold.usecases.levels.read import Freshness, could_not_be_computed
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.levels.worker import assess_now
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import FIELDS, MOST_CHARACTERS, storable

ENGINE: Final = "1"
"""The version of the engine that decides; it changes where the same inputs could give another result."""
WORDED: Final = frozenset({"line", "asked", "unless", "seen", "missing", "sentence"})
"""The keys of an answer's values in words; the answer also has their version, `WORDS`."""


def outcome_and_answer(
    canonical: str, versions: Mapping[str, ListVersion], inputs: pl.DataFrame, inputs_kept: Mapping[str, Any]
) -> tuple[DecisionExplanation, str]:
    """Decide; return the outcome, and the answer in canonical JSON.

    Args:
        canonical: the canonical form of the policy.
        versions: the versions of the named lists that it reads.
        inputs: the row that it reads.
        inputs_kept: everything else that is stored of the decision.
    """
    program = policy_program_for(analyse_canonical_policy(canonical), versions, inputs_kept["base"])
    (outcome,) = explain_decisions(program, inputs, inputs_kept["base"])
    answer = {
        "at": iso_text(inputs_kept["at_us"]),
        "engine": ENGINE,
        "words": WORDS,
        "entity": inputs_kept["entity"],
        "policy": inputs_kept["policy"],
        "lists": {name: iso_text(since) for name, since in inputs_kept["lists"].items()},
        **inputs_kept["said"],
        **outcome.as_json(),
    }
    return outcome, canonical_json(answer)


@dataclass(frozen=True, kw_only=True)
class DecisionMade:
    """A decision.

    Attributes:
        number: the number of the decision.
        repeated: whether it was made before, under the same key, so that nothing was decided now.
        action: what to do.
        policy: name and version of the policy that decided.
        answer: the answer with its reasons, as docs/decisions-api.md describes it; None once it was erased.
    """

    number: int
    repeated: bool
    action: str
    policy: tuple[str, int]
    at_us: int
    actor: str
    answer: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class _DecisionRequest:
    """A request for a decision: the policy, the entity and the transaction."""

    policy: str
    type_name: str
    external_id: str
    transaction: Mapping[str, Any]
    freshness: Freshness
    key: str | None

    def digest(self, question: Mapping[str, Any]) -> str:
        """Hash the request with the transaction's *question*, without `freshness`, for idempotency."""
        return digest_of_question([self.policy, self.type_name, self.external_id], question)


@dataclass(frozen=True, kw_only=True)
class _Decision:
    """Everything to store of a decision."""

    subject: Subject
    policy_id: int
    policy: tuple[str, int]
    number_of_assessment: int | None
    value_as_of_us: int | None
    at_us: int
    action: str
    inputs: str
    answer: str


def decide(
    context: Context,
    policy: str,
    type_name: str,
    external_id: str,
    transaction: Mapping[str, Any],
    freshness: Freshness = Freshness.REFRESH,
    decision_key: str | None = None,
    *,
    valuer: EntityScorer | None = None,
) -> DecisionMade:
    """Decide on a transaction by the active version of a policy, and store the decision.

    Args:
        context: who requests it.
        policy: the policy's name.
        type_name: the type of the entity.
        external_id: the external id of the entity.
        transaction: as POST /v1/transactions takes it; its number, date and state may be missing. It is not stored.
        freshness: how fresh the level must be, as in `usecases.levels.read.read_level`.
        decision_key: the caller's key of this decision; by default the transaction's number. A repeated request with
            the same key returns the decision that was made.
        valuer: the value model, for a level that is computed for the answer.

    Raises:
        NotFoundError: there is no such entity, or no active policy of that name.
        ConfigError: the policy is for another entity type, or the key cannot be stored.
        InvalidDataError: the transaction cannot be read.
        ConflictError: something else was decided under the key, or the stored policy was changed.
        InvalidRulesetError: something that the policy reads is missing, such as a list.
    """
    request = _DecisionRequest(
        policy=policy,
        type_name=type_name,
        external_id=external_id,
        transaction=transaction,
        freshness=freshness,
        key=_key(policy, decision_key, transaction),
    )
    decision, assessed = _decide_and_store(context, request, valuer)
    if isinstance(decision, DecisionMade):
        return decision
    stored = _store(context, request, decision, assessed=assessed)
    if stored is not None:
        return stored
    with context.reading() as session:  # the same request was made at the same time
        other = _earlier_decision(session, context, request)
    assert other is not None
    return other


def _key(policy: str, explicit: str | None, transaction: Mapping[str, Any]) -> str | None:
    own = number_in(transaction) if explicit is None else explicit
    if own is None:
        return None
    what = c.TRANSACTION_ID if explicit is None else "decision_key"
    if not isinstance(own, str) or not 1 <= len(own) <= MOST_CHARACTERS or not storable(own):
        raise ConfigError(f"{what} must be text of 1 to {MOST_CHARACTERS} characters, without NUL")
    if character := control_in(own):
        raise ConfigError(f"{what} is {own[:40]!r}, with the control character {character}; it must have none")
    return f"{policy}/{own}"


def _earlier_decision(session: Session, context: Context, request: _DecisionRequest) -> DecisionMade | None:
    """Return the decision under the key, if any; ConflictError if it is about something else.

    NotFoundError if the type does not exist any more, InvalidDataError if the transaction cannot be read.
    """
    decision = None if request.key is None else decision_keyed(session, context.organisation_id, request.key)
    if decision is None or request.key is None:
        return None
    declared = FIELDS.validate_python(
        type_named(session, context.organisation_id, request.type_name).transaction_fields
    )
    whose = (decision.entity_id, request.external_id)
    pending = read_pending_transaction(request.transaction, declared, whose, context.now())
    if decision.inputs is None or json.loads(decision.inputs)["asked"] != request.digest(pending.question):
        own = request.key.removeprefix(f"{request.policy}/")
        raise ConflictError(
            f"{request.policy} decided on something else under {own!r}; give it a decision_key of its own"
        )
    return decision_view(decision, session.get_one(Policy, decision.policy_id), repeated=True)


def decision_view(row: Decision, policy: Policy, *, repeated: bool = False) -> DecisionMade:
    """Return a decision as it was recorded."""
    answer = None if row.answer is None else json.loads(row.answer)
    return DecisionMade(
        number=row.id,
        repeated=repeated,
        action=row.action,
        policy=(policy.name, policy.number),
        at_us=row.at_us,
        actor=row.actor,
        answer=answer,
    )


def _decide_and_store(
    context: Context, request: _DecisionRequest, valuer: EntityScorer | None
) -> tuple[DecisionMade | _Decision, bool]:
    """Decide, or return the earlier decision under the key; return also whether the level was computed for it."""
    with context.reading() as session:
        recorded = _earlier_decision(session, context, request)
        if recorded is not None:
            return recorded, False
        parties, policy = _subjects_and_policy(session, context, request)
        now = context.now()
        point = entity_state(session, parties.entity.id, now)
        stands = is_of_override(point.standing, point.override_id)
        if request.freshness is Freshness.STORED or (request.freshness is Freshness.REFRESH and stands):
            return _decide_once(session, request, parties, policy, point, now), False
        subject = subject_of(parties.entity)
    result = assess_now(context.engine, subject, clock=context.now, valuer=valuer, actor=context.actor.name)
    with context.reading() as session:
        parties, policy = _subjects_and_policy(session, context, request)
        now = context.now()
        point = replace(entity_state(session, parties.entity.id, now), is_behind=could_not_be_computed(result))
        return _decide_once(session, request, parties, policy, point, now), True


def _subjects_and_policy(
    session: Session, context: Context, request: _DecisionRequest
) -> tuple[DecisionSubjects, Policy]:
    parties = subjects_of(session, context.organisation_id, request.type_name, request.external_id, request.policy)
    if parties.policy is None:
        names = [each.name for each in active_policies(session, context.organisation_id)]
        raise NotFoundError(f"there is no active policy {request.policy!r}{perhaps(request.policy, names)}")
    canonical = unchanged_canonical(parties.policy, f"the policy {request.policy}")
    decides_on = analyse_canonical_policy(canonical).policy.entity_type
    if decides_on != request.type_name:
        raise ConfigError(f"the policy {request.policy} decides on entities of the type {decides_on} alone")
    return parties, parties.policy


def _decide_once(
    session: Session,
    request: _DecisionRequest,
    parties: DecisionSubjects,
    policy: Policy,
    point: EntityState,
    now_us: int,
) -> _Decision:
    inputs = load_decision_inputs(session, policy.canonical, parties, point, request.transaction, now_us)
    replay = _replay_inputs(inputs, request, policy, now_us)
    outcome, answer = outcome_and_answer(policy.canonical, inputs.versions, inputs.inputs, replay)
    return _Decision(
        subject=subject_of(parties.entity),
        policy_id=policy.id,
        policy=(policy.name, policy.number),
        number_of_assessment=None if point.standing is None else point.standing.number,
        value_as_of_us=inputs.value_as_of_us,
        at_us=now_us,
        action=outcome.action,
        inputs=json.dumps(replay, sort_keys=True, ensure_ascii=False, separators=(",", ":")),
        answer=answer,
    )


def _replay_inputs(inputs: DecisionInputs, request: _DecisionRequest, policy: Policy, now_us: int) -> dict[str, Any]:
    return {
        **inputs.to_stored(),
        "asked": request.digest(inputs.question),
        "at_us": now_us,
        "entity": {"type": request.type_name, "external_id": request.external_id},
        "policy": {"name": policy.name, "version": policy.number, "content_hash": policy.content_hash},
    }


def _store(context: Context, request: _DecisionRequest, decision: _Decision, *, assessed: bool) -> DecisionMade | None:
    """Store a decision; return None if its key was taken meanwhile."""
    with context.writing() as session:
        names = (context.organisation_id, request.type_name, request.external_id)
        if (
            number_of_entity(session, *names) != decision.subject.entity_id
        ):  # it was erased meanwhile, and another entity has its name
            raise no_entity(session, *names)
        number = add_decision(
            session,
            {
                "organisation_id": context.organisation_id,
                "policy_id": decision.policy_id,
                "entity_id": decision.subject.entity_id,
                "assessment_number": decision.number_of_assessment,
                "value_as_of_us": decision.value_as_of_us,
                "at_us": decision.at_us,
                "actor": context.actor.name,
                "action": decision.action,
                "decision_key": request.key,
                "inputs": decision.inputs,
                "answer": decision.answer,
            },
        )
        if number is None:
            return None
        if request.freshness is Freshness.REFRESH and not assessed:
            due.mark(session, [decision.subject], Reason.VIEW, decision.at_us)
        _record(session, context, decision, number, request.key)
    return DecisionMade(
        number=number,
        repeated=False,
        action=decision.action,
        policy=decision.policy,
        at_us=decision.at_us,
        actor=context.actor.name,
        answer=json.loads(decision.answer),
    )


def _record(session: Session, context: Context, decision: _Decision, number: int, key: str | None) -> None:
    """Record every column of a decision; columns with personal data as digests, which are erased with them."""
    name, version = decision.policy
    texts = {"inputs": decision.inputs, "answer": decision.answer, "decision_key": key}
    digests = {column: sha256(text.encode()).hexdigest() for column, text in texts.items() if text is not None}
    columns = {
        "policy_id": decision.policy_id,
        "entity_id": decision.subject.entity_id,
        "assessment_number": decision.number_of_assessment,
        "value_as_of_us": decision.value_as_of_us,
        "at_us": decision.at_us,
    }
    context.record(
        session,
        "decision.made",
        ("decision", number),
        after=digests,
        details={"policy": name, "version": version, "action": decision.action, **columns},
    )
