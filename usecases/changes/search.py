"""Search of an organisation's proposals by state, subject, actor and time, with the names of members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.changes.proposals import (
    APPROVED,
    PROPOSED,
    REFUSED,
    WITHDRAWN,
    ProposalFilter,
    entities_of_proposals,
    proposals_among,
)
from fivefold.store.ingest.entities import entity_named
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.audit.search import actor_named, names_of_actors
from fivefold.usecases.changes.contents import (
    OverrideRevoked,
    TagChanged,
    approvers_of,
    named_subject,
    proposals_seen_by,
    read_content,
)
from fivefold.usecases.changes.reach import moved_since
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import require_known

STATES = (PROPOSED, APPROVED, REFUSED, WITHDRAWN)


@dataclass(frozen=True, kw_only=True)
class ProposalFilters:
    """Which proposals are listed; None sets no condition.

    Attributes:
        state: one of `STATES`.
        kind: such as ruleset.switch.
        entity: type and identifier of their entity.
        proposed_by: as in the log, such as member:3; or the name of a member.
        since_us: proposed at that moment or later.
        until_us: proposed before.
    """

    state: str | None = None
    kind: str | None = None
    entity: tuple[str, str] | None = None
    proposed_by: str | None = None
    since_us: int | None = None
    until_us: int | None = None


EVERY = ProposalFilters()


@schema("ProposalFound")
@dataclass(frozen=True, kw_only=True)
class ProposalFound:
    """A proposed change in short: its subject, who proposed it, and who decided.

    Attributes:
        entity_type: of the entity that it is about; None if it is about more than one, as is `external_id`.
    """

    id: int
    kind: str
    subject: str
    entity_type: str | None
    external_id: str | None
    state: str
    reason: str
    proposed_by: str
    proposed_by_name: str | None
    proposed_us: Annotated[Moment, shown_as("proposed_at")]
    decided_by: str | None
    decided_by_name: str | None
    decided_us: Annotated[Moment | None, shown_as("decided_at")]
    decision_reason: str | None


def search_proposals(
    context: Context, filters: ProposalFilters = EVERY, role: Role = Role.ADMIN, part: Part = WHOLE
) -> Page[ProposalFound]:
    """List the proposals that a person may see in a role, the last proposed first.

    ConfigError if there is no such state; NotFoundError if a named entity does not exist.
    """
    require_known("state", [filters.state], STATES)
    visible = proposals_seen_by(context.actor.name, role)
    with context.reading() as session:
        of = context.organisation_id
        proposal_filter = ProposalFilter(
            organisation_id=of,
            kinds=visible.kinds,
            only_by=visible.proposed_by,
            state=filters.state,
            kind=filters.kind,
            entity_id=None if filters.entity is None else entity_named(session, of, *filters.entity).id,
            proposed_by=None if filters.proposed_by is None else actor_named(session, of, filters.proposed_by),
            since_us=filters.since_us,
            until_us=filters.until_us,
        )
        page = proposals_among(session, proposal_filter, part)
        names = names_of_actors(session, of, {who for row in page for who in (row.proposed_by, row.decided_by)})
        entities = entities_of_proposals(session, of, page)
        return page.map(lambda row: _with_names(row, names, entities))


@dataclass(frozen=True, kw_only=True)
class ProposalWaiting:
    """An open proposal about one entity.

    Attributes:
        tag: that it would set or end; None for another change.
        override: the number of the one that it would end; None likewise.
        overtaken: why it cannot be approved any more, as what it overwrites moved; empty if nothing did.
        approvers: of these roles another person than its author decides on it.
    """

    id: int
    kind: str
    subject: str
    tag: str | None
    override: int | None
    overtaken: str
    reason: str
    proposed_by: str
    proposed_us: int
    approvers: tuple[Role, ...]


def waiting_about(
    context: Context, type_name: str, external_id: str, role: Role = Role.ADMIN
) -> Sequence[ProposalWaiting]:
    """List the open proposals about an entity that a person may see in a role, the last proposed first.

    NotFoundError if the entity does not exist.
    """
    visible = proposals_seen_by(context.actor.name, role)
    if visible.kinds == ():
        return ()
    with context.reading() as session:
        of = context.organisation_id
        entity = entity_named(session, of, type_name, external_id)
        about = ProposalFilter(
            organisation_id=of, kinds=visible.kinds, only_by=visible.proposed_by, state=PROPOSED, entity_id=entity.id
        )
        now = context.now()
        rows = proposals_among(session, about, WHOLE)
        return [_waiting(session, context, row, entity.external_id, now) for row in rows]


def _waiting(session: Session, context: Context, row: Proposal, external_id: str, now_us: int) -> ProposalWaiting:
    content = read_content(row.kind, row.content)
    return ProposalWaiting(
        id=row.id,
        kind=row.kind,
        subject=named_subject(row.subject, row.entity_id, external_id),
        tag=content.tag if isinstance(content, TagChanged) else None,
        override=content.override if isinstance(content, OverrideRevoked) else None,
        overtaken=moved_since(session, context, content, row.reach, now_us),
        reason=row.reason,
        proposed_by=row.proposed_by,
        proposed_us=row.proposed_us,
        approvers=approvers_of(row.kind),
    )


def _with_names(
    row: Proposal, names: Mapping[str | None, str], entities: Mapping[int, tuple[str, str]]
) -> ProposalFound:
    """Describe a proposal with the names of members and of entities."""
    entity_type, external_id = entities.get(row.entity_id or 0, (None, None))
    return row_as(
        ProposalFound,
        row,
        subject=named_subject(row.subject, row.entity_id, external_id),
        entity_type=entity_type,
        external_id=external_id,
        proposed_by_name=names.get(row.proposed_by),
        decided_by_name=names.get(row.decided_by),
    )
