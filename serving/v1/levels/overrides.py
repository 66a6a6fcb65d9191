"""Overrides: asked for by one person, decided by another."""

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.changes.proposals import Proposal
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import BigNumber, Given, Moment, MomentGiven, Shown, Text
from fivefold.usecases.changes import asks
from fivefold.usecases.levels import overrides


class OverrideGiven(Given):
    """The level that is asked for, why, and until when it is to hold: without an end where none is given."""

    level: Text
    reason: Text
    until: MomentGiven | None = None


class DecisionGiven(Given):
    """Why, where somebody wants to say so."""

    reason: Text = ""


class ReasonGiven(Given):
    """Why."""

    reason: Text


class Override(Shown):
    """An override, with what the rules say beneath it; `below_floor`: a live floor is higher, and holds instead."""

    id: int
    entity_type: str
    external_id: str
    level: str
    rules_level: str | None
    present_level: str | None
    below_floor: bool
    reason: str
    until: Moment | None = Field(validation_alias="until_us")
    state: str
    requested_by: str
    requested_at: Moment = Field(validation_alias="requested_us")
    decided_by: str | None
    decided_at: Moment | None = Field(validation_alias="decided_us")
    decision_reason: str | None
    revoked_by: str | None
    revoked_at: Moment | None = Field(validation_alias="revoked_us")
    revocation_reason: str | None


class Revocation(Override):
    """The override, and the proposal to end it; null where it is revoked already, as that raises the level."""

    proposal: Proposal | None


class OverrideCap(Shown):
    """How many entities stand below what the rules say, of how many with a level, and how many percent may."""

    below: int
    with_level: int
    percent: int


def list_overrides(asked: Asked, query: PageAsked) -> Page[Override]:
    """List all overrides, the newest first."""
    return overrides.overrides_of(asked.engine, asked.actor, part=query.part).map(Override.of)


def read_cap(asked: Asked) -> OverrideCap:
    """Tell how much of the portfolio is overridden below what the rules say."""
    return OverrideCap.of(overrides.cap_of(asked.engine, asked.actor))


def list_overrides_of(asked: Asked, type_: Text, external_id: Text, query: PageAsked) -> Page[Override]:
    """List the overrides of an entity, the newest first."""
    found = overrides.overrides_of(asked.engine, asked.actor, type_, external_id, part=query.part)
    return found.map(Override.of)


def request_override(asked: Asked, type_: Text, external_id: Text, body: OverrideGiven) -> Override:
    """Ask for a level; nothing changes until somebody else approves it."""
    made = overrides.request_override(
        asked.engine, asked.actor, type_, external_id, body.level, body.reason, body.until
    )
    return Override.of(made)


def approve_override(asked: Asked, override: BigNumber, body: DecisionGiven) -> Override:
    """Let a level hold that somebody else asked for."""
    return Override.of(overrides.approve_override(asked.engine, asked.actor, override, body.reason))


def refuse_override(asked: Asked, override: BigNumber, body: ReasonGiven) -> Override:
    """Refuse a level that somebody else asked for."""
    return Override.of(overrides.refuse_override(asked.engine, asked.actor, override, body.reason))


def revoke_override(asked: Asked, override: BigNumber, body: ReasonGiven) -> Revocation:
    """End an override that holds, at once where that raises the level; where it may lower it, propose that."""
    made = asks.revoke_override(asked.engine, asked.actor, override, body.reason)
    line = overrides.read_override(asked.engine, asked.actor, override)
    proposal = None if made.proposal is None else Proposal.of(made.proposal)
    return Revocation.model_validate({**vars(line), "proposal": proposal})
