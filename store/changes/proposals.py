"""Proposals of changes, and whether they need a second person. No transactions begin or end here."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.store.ingest.entities import lock_entities, names_of_entities
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import scalars_of, where_given
from fivefold.store.tables.entities import Entity, EntityType, OrganisationSettings
from fivefold.store.tables.events import Policy
from fivefold.store.tables.rulesets import Activation, Backtest, Proposal

STATES = PROPOSED, APPROVED, REFUSED, WITHDRAWN = "proposed", "approved", "refused", "withdrawn"
"""The states of a proposal."""


def needs_two_people(session: Session, organisation_id: int) -> bool:
    """Return whether changes need two people: if a ruleset or policy ever decided, or if two people promote models.

    Otherwise one person could remove the requirement of a second one, and then promote alone.
    """
    settings = session.get(OrganisationSettings, organisation_id)
    if settings is not None and settings.two_people_promote:
        return True
    activated = select(Activation.id).where(Activation.organisation_id == organisation_id).limit(1)
    approved = select(Policy.id).where(Policy.organisation_id == organisation_id, Policy.approved_us.is_not(None))
    return session.scalar(activated) is not None or session.scalar(approved.limit(1)) is not None


def proposal_numbered(session: Session, organisation_id: int, number: int, *, locked: bool = False) -> Proposal:
    """Find a proposal of an organisation; NotFoundError if it has none of that number.

    *locked* locks until the transaction ends: first its entity, then the proposal, in the order of an erasure and of
    new facts.
    """
    row = session.get(Proposal, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no proposal {number}")
    if locked:
        lock_entities(session, [] if row.entity_id is None else [row.entity_id])
        session.refresh(row, with_for_update=True)
    return row


def open_proposals(session: Session, organisation_id: int, entity_id: int | None) -> Sequence[Proposal]:
    """List the undecided proposals about one entity, or, for None, those without an entity; the oldest first."""
    statement = select(Proposal).where(
        Proposal.organisation_id == organisation_id, Proposal.state == PROPOSED, Proposal.entity_id == entity_id
    )
    return session.scalars(statement.order_by(Proposal.id)).all()


def open_behind(session: Session, after: int, most: int, but: str) -> Sequence[tuple[Proposal, Entity | None]]:
    """List up to *most* open proposals numbered above *after*, of all organisations, each with its entity, if any.

    Those of the kind *but* are left out.
    """
    of = (Proposal.state == PROPOSED, Proposal.id > after, Proposal.kind != but)
    statement = select(Proposal, Entity).outerjoin(Entity, Entity.id == Proposal.entity_id).where(*of)
    return [(row, entity) for row, entity in session.execute(statement.order_by(Proposal.id).limit(most))]


def declined_proposals(session: Session, kind: str) -> Sequence[Proposal]:
    """List the proposals of a kind that were refused or withdrawn, of every organisation, the newest first."""
    statement = select(Proposal).where(Proposal.kind == kind, Proposal.state.in_((REFUSED, WITHDRAWN)))
    return session.scalars(statement.order_by(Proposal.id.desc())).all()


def proposals_of(
    session: Session,
    organisation_id: int,
    state: str | None,
    kinds: Sequence[str] | None,
    proposed_by: str | None,
    part: Part,
) -> Page[Proposal]:
    """List proposals, the newest first; None for a state, kinds or a person sets no condition."""
    statement = select(Proposal).where(Proposal.organisation_id == organisation_id)
    if state is not None:
        statement = statement.where(Proposal.state == state)
    if kinds is not None:
        statement = statement.where(Proposal.kind.in_(kinds))
    if proposed_by is not None:
        statement = statement.where(Proposal.proposed_by == proposed_by)
    return scalars_of(session, statement, (Proposal.id,), part, descending=True)


@dataclass(frozen=True, kw_only=True)
class ProposalFilter:
    """Which proposals of an organisation are listed; None sets no condition.

    Attributes:
        kinds: of one of these kinds.
        only_by: proposed by this person; applies beside `proposed_by`, which cannot widen it.
        since_us: proposed at that moment or later.
        until_us: proposed before.
    """

    organisation_id: int
    kinds: Sequence[str] | None = None
    only_by: str | None = None
    state: str | None = None
    kind: str | None = None
    entity_id: int | None = None
    proposed_by: str | None = None
    since_us: int | None = None
    until_us: int | None = None


def proposals_among(session: Session, proposal_filter: ProposalFilter, part: Part) -> Page[Proposal]:
    """List the proposals that match a filter, the last proposed first."""
    statement = select(Proposal).where(Proposal.organisation_id == proposal_filter.organisation_id)
    if proposal_filter.kinds is not None:
        statement = statement.where(Proposal.kind.in_(proposal_filter.kinds))
    statement = where_given(
        statement,
        (Proposal.state, proposal_filter.state),
        (Proposal.kind, proposal_filter.kind),
        (Proposal.entity_id, proposal_filter.entity_id),
        (Proposal.proposed_by, proposal_filter.proposed_by),
        (Proposal.proposed_by, proposal_filter.only_by),
        moment=Proposal.proposed_us,
        since_us=proposal_filter.since_us,
        until_us=proposal_filter.until_us,
    )
    return scalars_of(session, statement, (Proposal.proposed_us, Proposal.id), part, descending=True)


def entities_of_proposals(
    session: Session, organisation_id: int, rows: Sequence[Proposal]
) -> dict[int, tuple[str, str]]:
    """Return type and present name of the entities that proposals are about, by their numbers."""
    return names_of_entities(session, organisation_id, {row.entity_id for row in rows if row.entity_id is not None})


def backtests_of_proposal(session: Session, proposal_id: int) -> Sequence[Backtest]:
    """List the backtests of a proposal, the newest first."""
    statement = select(Backtest).where(Backtest.proposal_id == proposal_id)
    return session.scalars(statement.order_by(Backtest.id.desc())).all()


def newest_backtests(session: Session, proposal_id: int, *, finished: bool = False) -> dict[int, Backtest]:
    """Find a proposal's newest backtest of each type, of all or of those that are done."""
    newest: dict[int, Backtest] = {}
    for backtest in backtests_of_proposal(session, proposal_id):
        if backtest.state == "done" or not finished:
            newest.setdefault(backtest.type_id, backtest)
    return newest


def newest_progress(
    session: Session, proposal_ids: Iterable[int], *, finished: bool = False
) -> Mapping[int, Sequence[Row[Any]]]:
    """Return, by proposal, the progress of the newest backtest of each type, of all or of finished ones.

    One statement reads all, without their rulesets and reports; types are in the order of their numbers.
    """
    newest = select(func.max(Backtest.id)).where(among(session, Backtest.proposal_id, sorted(proposal_ids)))
    if finished:
        newest = newest.where(Backtest.state == "done")
    columns = (Backtest.proposal_id, Backtest.id, Backtest.state, Backtest.done, Backtest.total, Backtest.error)
    statement = (
        select(*columns, EntityType.name.label("entity_type"))
        .join(EntityType, EntityType.id == Backtest.type_id)
        .where(Backtest.id.in_(newest.group_by(Backtest.proposal_id, Backtest.type_id)))
        .order_by(Backtest.type_id)
    )
    rows = defaultdict[int, list[Row[Any]]](list)
    progress: Iterable[Row[Any]] = session.execute(statement)
    for row in progress:
        rows[row.proposal_id].append(row)
    return rows
