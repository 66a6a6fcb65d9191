"""Recorded decisions: one, those of an entity, a search, a replay, and the rules that fired.

An investigator sees the title and rationale of a fired rule, the values that it read and its outcome, but no condition
or threshold, and nothing of a rule that did not fire.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.analysis import AnalysedPolicy, analyse_canonical_policy
from fivefold.risk.compiler.value_types import inputs_of_policy_rule
from fivefold.risk.engine.explain.describe import numbers_in
from fivefold.risk.engine.explain.policies import OUTCOMES
from fivefold.risk.engine.policy_program import PolicyOutcome
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.policy import PolicyRule
from fivefold.store.audit.chain import unchanged_canonical
from fivefold.store.decisions import (
    DecisionFilter,
    DecisionRow,
    decision_numbered,
    decisions_among,
    decisions_of,
)
from fivefold.store.ingest.entities import entity_named
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import Decision
from fivefold.store.tables.events import Policy as PolicyRow
from fivefold.usecases.audit.search import actor_named, names_of_actors
from fivefold.usecases.decisions.decide import ENGINE, WORDED, DecisionMade, decision_view, outcome_and_answer
from fivefold.usecases.levels.content.inputs import read_inputs
from fivefold.usecases.levels.explain import ValueSeen, names_in_words, renamed, visible_value, with_names
from fivefold.usecases.levels.replay import Replayed, list_versions_used, replayed_answer
from fivefold.usecases.shared.api_fields import Moment, StoredObject, schema, shown_as
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class DecisionLine:
    """A decision as it is listed; `line` is empty once it was erased."""

    number: int
    at_us: int
    action: str
    policy: tuple[str, int]
    actor: str
    line: str


def read_decision(context: Context, number: int) -> DecisionMade:
    """Return a decision as it was recorded; NotFoundError if the organisation has none of that number."""
    with context.reading() as session:
        decision = decision_numbered(session, context.organisation_id, number)
        return decision_view(decision, session.get_one(PolicyRow, decision.policy_id))


def whole_answer(context: Context, number: int) -> Mapping[str, Any] | None:
    """Return the whole answer of a decision, for people who may see conditions, with names of linked entities.

    None once it was erased; NotFoundError if the organisation has none of that number.
    """
    with context.reading() as session:
        decision = decision_numbered(session, context.organisation_id, number)
        if decision.answer is None or decision.inputs is None:
            return None
        analysed = analyse_canonical_policy(session.get_one(PolicyRow, decision.policy_id).canonical)
        inputs = json.loads(decision.inputs)["inputs"]
        names = names_in_words(session, [(Needs.of(analysed).everything(), inputs)])
        whole: Mapping[str, Any] = renamed(json.loads(decision.answer), names)
        return whole


def list_decisions(context: Context, type_name: str, external_id: str, part: Part = WHOLE) -> Page[DecisionLine]:
    """List the decisions on an entity's transactions, the latest first; NotFoundError where there is no such entity."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        return decisions_of(session, entity.id, part).map(lambda pair: _line(*pair))


def _line(row: Decision, policy: PolicyRow) -> DecisionLine:
    line = "" if row.answer is None else json.loads(row.answer)["line"]
    return DecisionLine(
        number=row.id,
        at_us=row.at_us,
        action=row.action,
        policy=(policy.name, policy.number),
        actor=row.actor,
        line=line,
    )


def replay_decision(context: Context, number: int) -> Replayed:
    """Make a decision again from its recorded inputs and versions, and compare the answer, as `replayed_answer` does.

    The result is the same only if the decision's moment, entity, policy and action also equal the recorded ones.

    Raises:
        NotFoundError: there is no such decision.
        ConflictError: its inputs were erased, or its policy was changed.
    """
    with context.reading() as session:
        decision = decision_numbered(session, context.organisation_id, number)
        if decision.inputs is None or decision.answer is None:
            raise ConflictError(f"decision {number} was erased: what it was made from is gone")
        policy = session.get_one(PolicyRow, decision.policy_id)
        canonical = unchanged_canonical(policy, f"the policy {policy.name}")
        inputs, replay_inputs = read_inputs(decision.inputs, decision.at_us, str(decision.entity_id))
        versions = list_versions_used(session, context.organisation_id, replay_inputs["lists"])
        replayed = outcome_and_answer(canonical, versions, inputs, replay_inputs)[1]
        result = replayed_answer(f"d:{number}", decision.answer, replayed, ENGINE, WORDED)
        return replace(result, same=result.same and _is_as_recorded(session, decision, policy, replay_inputs))


def _is_as_recorded(session: Session, decision: Decision, policy: PolicyRow, recorded: Mapping[str, Any]) -> bool:
    """Return whether a decision's moment, entity, policy and action equal those in its recorded inputs and answer."""
    entity = session.get_one(Entity, decision.entity_id)
    answer = json.loads(decision.answer or "{}")
    pairs = (
        (decision.at_us, recorded["at_us"]),
        (entity.external_id, recorded["entity"]["external_id"]),
        (policy.name, recorded["policy"]["name"]),
        (policy.number, recorded["policy"]["version"]),
        (decision.action, answer["action"]),
    )
    return all(column == recorded_value for column, recorded_value in pairs)


@dataclass(frozen=True, kw_only=True)
class RuleSeen:
    """A rule that held, was suppressed, or of which it is unknown, and what it looked at.

    Attributes:
        action: the action that it gave; None if it gave none.
        values: the values that it read; an unknown one says so.
    """

    title: str
    rationale: str | None
    outcome: str
    action: str | None
    values: tuple[ValueSeen, ...]


@dataclass(frozen=True, kw_only=True)
class DecisionReasons:
    """What held; the other rules of a policy, its conditions and thresholds are not shown.

    Attributes:
        line: the decision in one line.
        level: the entity's level then.
        value: the entity's value then; None if there was none.
        transaction: the transaction that was decided on.
    """

    line: str
    level: StoredObject
    value: StoredObject | None
    transaction: StoredObject
    rules: tuple[RuleSeen, ...]


def view_decision(context: Context, number: int) -> DecisionReasons | None:
    """Return the visible reasons of a decision; None once erased. NotFoundError if the organisation has none such."""
    with context.reading() as session:
        decision = decision_numbered(session, context.organisation_id, number)
        if decision.answer is None or decision.inputs is None:
            return None
        analysed = analyse_canonical_policy(session.get_one(PolicyRow, decision.policy_id).canonical)
        answer, replay_inputs = json.loads(decision.answer), json.loads(decision.inputs)
        replay_inputs["inputs"] = with_names(session, analysed, replay_inputs["inputs"])
    outcomes = zip(analysed.policy.rules, answer["rules"], strict=True)
    hidden = OUTCOMES[PolicyOutcome.NOT_HELD]
    rules = tuple(
        _visible_rule(rule, outcome, analysed, replay_inputs)
        for rule, outcome in outcomes
        if outcome["outcome"] != hidden
    )
    return DecisionReasons(
        line=answer["line"],
        level=answer["level"],
        value=answer["value"],
        transaction=answer["transaction"],
        rules=rules,
    )


def _visible_rule(
    rule: PolicyRule, outcome: Mapping[str, Any], analysed: AnalysedPolicy, replay_inputs: Mapping[str, Any]
) -> RuleSeen:
    cuts = numbers_in([rule.when] if rule.unless is None else [rule.when, rule.unless])
    values = tuple(
        visible_value(
            input_,
            replay_inputs["inputs"],
            analysed.names,
            replay_inputs["base"],
            cuts.get(input_key(input_), ()),
        )
        for input_ in inputs_of_policy_rule(rule)
    )
    return RuleSeen(
        title=rule.title, rationale=rule.rationale, outcome=outcome["outcome"], action=outcome["action"], values=values
    )


@dataclass(frozen=True, kw_only=True)
class DecisionFilters:
    """Which decisions are listed; None sets no condition.

    Attributes:
        entity: the type and identifier of their entity.
        policy: the name of the policy, in any version.
        actor: who requested them, as in the log, such as token:3; or the name of a member.
        since_us: the earliest moment of a decision.
        until_us: the moment before which they were made.
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
        policy: the name of the policy, with its version in `policy_version`.
        level_status: the status of the assessment whose level it read; None once the answer was erased.
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


def search_decisions(context: Context, filters: DecisionFilters, part: Part = WHOLE) -> Page[DecisionFound]:
    """List decisions, the latest first; NotFoundError if the named entity does not exist."""
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
        return page.map(lambda row: _decision_found(row, names))


def _decision_found(row: DecisionRow, names: Mapping[str | None, str]) -> DecisionFound:
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
