"""Policies, which decide on transactions. For publishers alone: whoever reads them knows every threshold."""

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.changes.proposals import Proposal
from fivefold.serving.v1.errors import Place
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import Given, Moment, Number, Shown, Text
from fivefold.store.decisions.policies import ACTIVE
from fivefold.usecases.changes import asks
from fivefold.usecases.decisions import policies


class PolicyGiven(Given):
    """A policy as it is written, in YAML or JSON."""

    document: Text


class PolicyProposed(PolicyGiven):
    """The same, why, and why it is proposed although there are doubts, where there are."""

    reason: Text
    accept_warnings: Text = ""


class Why(Given):
    """Why."""

    reason: Text


class OfPolicy(PageAsked):
    """Of which policy; of all where none is named."""

    policy: Text | None = None


class PolicyLine(Shown):
    """A version of a policy; of those of one name one is active at most, and whoever wrote it never approved it."""

    name: str
    entity_type: str
    number: int
    state: str
    content_hash: str
    written_by: str
    written_at: Moment = Field(validation_alias="written_us")
    approved_by: str | None
    approved_at: Moment | None = Field(validation_alias="approved_us")


class PolicyRetired(PolicyLine):
    """The version as it is now, and the proposal to retire it, where it is active."""

    proposal: Proposal | None


class Policy(PolicyLine):
    """A version of a policy as it was written, and what is doubtful in it."""

    document: str
    doubts: list[Place]


def list_policies(asked: Asked, query: OfPolicy) -> Page[PolicyLine]:
    """List the versions of a policy, or of all: by name, the newest first."""
    return policies.policies_of(asked.engine, asked.actor, query.policy, query.part).map(PolicyLine.of)


def check_policy(asked: Asked, body: PolicyGiven) -> list[Place]:
    """Look through a policy as proposing it does, and change nothing: faults and doubts, each with its line."""
    return [Place.model_validate(found) for found in policies.check_policy(asked.engine, asked.actor, body.document)]


def propose_policy(asked: Asked, body: PolicyProposed) -> PolicyLine:
    """Propose a version of a policy, which decides once somebody else approves it."""
    made = policies.propose_policy(asked.engine, asked.actor, body.document, body.reason, body.accept_warnings)
    return PolicyLine.of(made)


def read_policy(asked: Asked, policy: Text, number: Number) -> Policy:
    """Show a version of a policy as it was written, and what is doubtful in it."""
    return Policy.of(policies.show_policy(asked.engine, asked.actor, policy, number))


def approve_policy(asked: Asked, policy: Text, number: Number, body: Why) -> PolicyLine:
    """Let a version decide that somebody else proposed, in place of the one before."""
    return PolicyLine.of(policies.approve_policy(asked.engine, asked.actor, policy, number, body.reason))


def retire_policy(asked: Asked, policy: Text, number: Number, body: Why) -> PolicyRetired:
    """Refuse a proposed version, or propose that an active one decides no more."""
    shown = policies.show_policy(asked.engine, asked.actor, policy, number)
    if shown.state != ACTIVE:
        line = policies.refuse_policy(asked.engine, asked.actor, policy, number, body.reason)
        return PolicyRetired.of({**vars(line), "proposal": None})
    made = asks.retire_policy(asked.engine, asked.actor, policy, number, body.reason)
    return PolicyRetired.of({**vars(made.result or shown), "proposal": made.proposal})
