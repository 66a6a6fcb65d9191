"""Decisions on transactions: programs see the action, people the rules that held, publishers everything.

Policies, which decide, are for publishers alone: they show every threshold.
"""

from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.errors import Place, places_of
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import (
    BigNumber,
    MomentGiven,
    Number,
    Reason,
    ReasonIfAny,
    RequestModel,
    ResponseModel,
    RetirementReason,
    Seen,
    SeenHash,
    Text,
)
from fivefold.store.tables.versions import ACTIVE
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.decisions import decide as decisions
from fivefold.usecases.decisions import policies
from fivefold.usecases.decisions import read as decision_reading
from fivefold.usecases.decisions.decide import DecisionMade
from fivefold.usecases.decisions.policies import PolicyLine
from fivefold.usecases.decisions.read import DecisionFilters, DecisionFound, DecisionReasons
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.shared.actors import OF_VERSIONS, Role
from fivefold.usecases.shared.api_fields import Moment, StoredObject


class DecisionAsked(RequestModel):
    """Which policy is to decide on which entity's transaction.

    The transaction has the fields of POST /v1/transactions; its number, date and state may be missing. It is not
    stored. `decision_key` is what you call this decision, by default the transaction's number: asked again under the
    same key, the policy gives the decision that it made. `freshness` is that of the level.
    """

    policy: Text
    type: Text = "customer"
    external_id: Text
    transaction: dict[str, Any]
    decision_key: Text | None = None
    freshness: Freshness = Field(default=Freshness.REFRESH, strict=False)


class PolicyNamed(ResponseModel):
    """A version of a policy."""

    name: str
    version: int

    @classmethod
    def named(cls, pair: tuple[str, int]) -> Self:
        """Return the form of a name and a number."""
        return cls(name=pair[0], version=pair[1])


class RuleNamed(ResponseModel):
    """A rule of a policy."""

    rule: str
    title: str


class DecisionForApps(ResponseModel):
    """What is to be done.

    `repeated`: it was decided before, under the same key. `decided_by`: the rule whose action it is; null where no rule
    gave one. `unknown`: the rules of which it is not known whether they hold. `status`: of the level, as in `/risk`.
    These three and `level` are null once it was erased.
    `stale_rates_days`: how old the newest exchange rate was when money was converted for it; null up to a week.
    `refreshing`: the level was about to be computed again, as something had happened since, or it was to be computed
    for the decision and could not be; null once it was erased.
    """

    decision: int
    repeated: bool
    action: str
    policy: PolicyNamed
    at: Moment
    decided_by: RuleNamed | None
    unknown: list[RuleNamed] | None
    level: str | None
    status: str | None
    stale_rates_days: int | None
    refreshing: bool | None


class DecisionForPeople(DecisionForApps):
    """What is to be done, who asked, and why; `reasons` is null once they were erased."""

    actor: str
    reasons: DecisionReasons | None


class DecisionForPublishers(DecisionForPeople):
    """The same with the whole answer: every rule, what it asks, and every version that was involved."""

    answer: StoredObject | None


class DecisionLine(ResponseModel):
    """A decision as it is listed; `line` is empty once it was erased."""

    decision: int
    at: Moment
    action: str
    policy: PolicyNamed
    actor: str
    line: str


DecisionAnswer = DecisionForPublishers | DecisionForPeople | DecisionForApps


def decide(context: RequestContext, body: DecisionAsked) -> DecisionAnswer:
    """Decide on a transaction by level, value and the transaction itself, and write the decision down."""
    decision = decisions.decide(
        context,
        body.policy,
        body.type,
        body.external_id,
        body.transaction,
        body.freshness,
        body.decision_key,
        valuer=context.valuer,
    )
    return _for(context, decision)


def read_decision(context: RequestContext, decision: BigNumber) -> DecisionAnswer:
    """Show a decision as it was made."""
    return _for(context, decision_reading.read_decision(context, decision))


def _for(context: RequestContext, decision: DecisionMade) -> DecisionAnswer:
    """Return the fields of a decision that the caller's role may see."""
    fields = _fields(decision)
    if context.role is Role.APP:
        return DecisionForApps.model_validate(fields)
    reasons = decision_reading.view_decision(context, decision.number)
    fields |= {"actor": decision.actor, "reasons": reasons}
    if context.role not in OF_VERSIONS:
        return DecisionForPeople.model_validate(fields)
    answer = decision_reading.whole_answer(context, decision.number)
    return DecisionForPublishers.model_validate({**fields, "answer": answer})


def _fields(decision: DecisionMade) -> dict[str, Any]:
    answer = decision.answer or {"rules": (), "decided_by": None, "level": {"level": None}}
    rules = {rule["rule"]: rule for rule in answer["rules"]}
    return {
        "decision": decision.number,
        "repeated": decision.repeated,
        "action": decision.action,
        "policy": PolicyNamed.named(decision.policy),
        "at": decision.at_us,
        "decided_by": rules.get(answer["decided_by"]),
        "unknown": None if decision.answer is None else [r for r in rules.values() if r["outcome"] == "unknown"],
        "level": answer["level"]["level"],
        "status": answer["level"].get("status"),
        "stale_rates_days": answer.get("stale_rates_days"),  # older decisions lack it
        "refreshing": answer["level"].get("refreshing"),
    }


def list_decisions(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[DecisionLine]:
    """List the decisions on an entity's transactions, the latest first."""
    page = decision_reading.list_decisions(context, type_, external_id, query.part)
    return page.map(_line)


def _line(line: decision_reading.DecisionLine) -> DecisionLine:
    fields = {name: getattr(line, name) for name in ("action", "actor", "line")}
    return DecisionLine(**fields, decision=line.number, at=line.at_us, policy=PolicyNamed.named(line.policy))


class PageOfDecisions(PageQuery):
    """Which decisions: from `since` until before `until`; without a filter all.

    `external_id` is of an entity of the `type`. `actor`: such as token:3, or the name of a member.
    """

    action: Text | None = None
    type: Text = "customer"
    external_id: Text | None = None
    policy: Text | None = None
    actor: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def search_decisions(context: RequestContext, query: PageOfDecisions) -> Page[DecisionFound]:
    """List the decisions of the organisation, the latest first, with the names of members."""
    filters = DecisionFilters(
        action=query.action,
        entity=None if query.external_id is None else (query.type, query.external_id),
        policy=query.policy,
        actor=query.actor,
        since_us=query.since,
        until_us=query.until,
    )
    return decision_reading.search_decisions(context, filters, query.part)


class PolicyGiven(RequestModel):
    """A policy as it is written, in YAML or JSON."""

    document: Text


class PolicyProposed(PolicyGiven):
    """The same, why, and why it is proposed although there are doubts, where there are.

    `expected_newest`: the newest version when the text was begun; without it that is not checked.
    """

    reason: Reason
    accept_warnings: ReasonIfAny = ""
    expected_newest: Seen | None = None


class PolicyApproved(RequestModel):
    """Why; `expected_active` is the version that decided when this one was looked at; not checked without it."""

    reason: Reason
    expected_active: Seen | None = None
    expected_hash: SeenHash | None = None


class OfPolicy(PageQuery):
    """Of which policy; of all where none is named."""

    policy: Text | None = None


@dataclass(frozen=True, kw_only=True)
class PolicyRetired(PolicyLine):
    """The version as it is now, and the proposal to retire it, where it is active."""

    proposal: ProposalLine | None


@dataclass(frozen=True, kw_only=True)
class Policy(PolicyLine):
    """A version of a policy as it was written, and what is doubtful in it."""

    document: str
    doubts: list[Place]


def list_policies(context: RequestContext, query: OfPolicy) -> Page[PolicyLine]:
    """List the versions of a policy, or of all: by name, the newest first."""
    return policies.policies_of(context, query.policy, query.part)


def check_policy(context: RequestContext, body: PolicyGiven) -> list[Place]:
    """Look through a policy as proposing it does, and change nothing: faults and doubts, each with its line."""
    return places_of(policies.check_policy(context, body.document))


def propose_policy(context: RequestContext, body: PolicyProposed) -> PolicyLine:
    """Propose a version of a policy, which decides once another person approves it."""
    arguments = (body.document, body.reason, body.accept_warnings, body.expected_newest)
    return policies.propose_policy(context, *arguments)


def read_policy(context: RequestContext, policy: Text, number: Number) -> Policy:
    """Show a version of a policy as it was written, and what is doubtful in it."""
    shown = policies.show_policy(context, policy, number)
    return Policy(**{**vars(shown), "doubts": places_of(shown.doubts)})


def approve_policy(context: RequestContext, policy: Text, number: Number, body: PolicyApproved) -> PolicyLine:
    """Activate a version that another person proposed, in place of the one before."""
    return policies.approve_policy(context, policy, number, body.reason, body.expected_active, body.expected_hash)


def retire_policy(context: RequestContext, policy: Text, number: Number, body: RetirementReason) -> PolicyRetired:
    """Refuse a proposed version, or propose that an active one decides no more."""
    policy_shown = policies.policy_as_seen(context, policy, number, body.expected_state, body.expected_hash)
    if policy_shown.state != ACTIVE:
        line = policies.refuse_policy(context, policy, number, body.reason)
        return PolicyRetired(**vars(line), proposal=None)
    outcome = asks.retire_policy(context, policy, number, body.reason)
    return PolicyRetired(**vars(outcome.result or policy_shown), proposal=outcome.proposal)
