"""Policies, which decide on transactions. For publishers alone: they show every threshold."""

from dataclasses import dataclass

from fivefold.domain.paging import Page
from fivefold.serving.v1.errors import Place, places_of
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import (
    Number,
    Reason,
    ReasonIfAny,
    RequestModel,
    RetirementReason,
    Seen,
    SeenHash,
    Text,
)
from fivefold.store.decisions.decisions import ACTIVE
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.decisions import policies
from fivefold.usecases.decisions.policies import PolicyLine


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
