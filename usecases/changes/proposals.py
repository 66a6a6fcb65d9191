"""Changes of what decides: one person proposes, workers run the backtests, another person approves.

Until the first ruleset of an organisation was activated nothing decides, and changes are carried out at once. So is the
end of an override below the rules' level, which raises the level. A change of facts is requested here only if it would
lower a level (`usecases.levels.lowering`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Annotated, Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.lists import count_list_versions
from fivefold.store.accounts.organisation import lock_deciding
from fivefold.store.audit.bound_rows import digests
from fivefold.store.changes.proposals import (
    APPROVED,
    PROPOSED,
    REFUSED,
    STATES,
    WITHDRAWN,
    backtests_of_proposal,
    needs_two_people,
    newest_backtests,
    newest_progress,
    proposal_numbered,
    proposals_of,
)
from fivefold.store.ingest.entities import lock_entities, names_of_entities
from fivefold.store.rulesets.activations import count_of_type
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.rulesets import Backtest, Proposal
from fivefold.usecases.accounts.second_person import refuse_nobody, refuse_same_person
from fivefold.usecases.changes import effects
from fivefold.usecases.changes.beside import (
    close_proposal,
    decide,
    open_beside,
    proposed_already,
    record_act,
    withdraw_overtaken,
)
from fivefold.usecases.changes.contents import (
    APPROVERS,
    FACTS,
    REFUSERS,
    Content,
    ListVersionsAdded,
    ModelPromoted,
    OverrideRevoked,
    named_subject,
    proposals_seen_by,
    read_content,
    refuse_role,
)
from fivefold.usecases.changes.effects import Champions, Result, apply_content, rehearse
from fivefold.usecases.changes.proposal_backtests import backtests_that_count, untested
from fivefold.usecases.changes.reach import entities_in, entity_of, reach_of, refuse_moved, with_names, with_replaced
from fivefold.usecases.changes.releasing import activate_releases
from fivefold.usecases.levels.overrides import raises_without
from fivefold.usecases.rulesets.deciding import DecidingChange
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.api_fields import Moment, StoredObject, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.flow_triggers import behind
from fivefold.usecases.shared.inputs import (
    checked_reason,
    reason_if_any,
    refuse_unseen,
    refuse_unseen_moment,
    refuse_unseen_numbers,
    require_known,
)
from fivefold.usecases.shared.jobs import new_job


@dataclass(frozen=True, kw_only=True)
class ProposalBacktest:
    """A backtest of a proposal on one type of entity: the newest one, or the newest that is done."""

    id: int
    entity_type: str
    state: str
    done: int
    total: int
    error: str | None


@schema("Proposal")
@dataclass(frozen=True, kw_only=True)
class ProposalLine:
    """A proposed change: its content, the entities that it would reach, who proposed it and who decided.

    `state` is proposed, approved, refused or withdrawn. `result` says what was changed, once it is approved.

    Attributes:
        entity_type: of the entity that it is about; None if it is about more than one, as is `external_id`.
        content: of the change.
        reach: whom it would reach, as far as that was counted when it was proposed.
        state: proposed, approved, refused or withdrawn.
        result: of the change, once it is approved.
        backtests: the newest of each type that it reaches.
    """

    id: int
    kind: str
    subject: str
    entity_type: str | None
    external_id: str | None
    content: StoredObject
    reach: Mapping[str, Any]
    reason: str
    proposed_by: str
    proposed_us: Annotated[Moment, shown_as("proposed_at")]
    state: str
    decided_by: str | None
    decided_us: Annotated[Moment | None, shown_as("decided_at")]
    decision_reason: str | None
    result: StoredObject | None
    backtests: tuple[ProposalBacktest, ...]


@dataclass(frozen=True)
class ChangeOutcome:
    """The outcome of a requested change: it was done at once, with a result, or is proposed, or changes nothing.

    *replaces*: it takes the place of what the same person proposed before, which is withdrawn.
    """

    result: Result
    proposal: ProposalLine | None
    changes: bool = True
    replaces: bool = False


def request_change(
    context: Context,
    content: Content,
    reason: str,
    reach: Mapping[str, Any] | None = None,
    champions: Champions | None = None,
    require: Callable[[Session], None] | None = None,
) -> ChangeOutcome:
    """Propose a change; it is done at once if it needs only one person, and nothing happens if it changes nothing.

    A change that the same person proposed, and that is still open, is not proposed twice: the outcome is the first
    proposal. If none of its backtests on a type counts, such as after one failed, another one is requested.

    *reach*: the reach, if already known. *champions*: to promote a model with, if it is about one. *require* raises,
    in the transaction of the change, if it must not be requested.

    Raises:
        ConfigError: it is proposed without a reason, or the reason is too long; or as the kind says.
        NotFoundError, ConflictError: it is impossible now; or the actor is not a member.
    """
    with context.writing() as session:
        return request_change_in(session, context, content, reason, reach, champions, require)


def request_change_in(
    session: Session,
    context: Context,
    content: Content,
    reason: str,
    reach: Mapping[str, Any] | None = None,
    champions: Champions | None = None,
    require: Callable[[Session], None] | None = None,
) -> ChangeOutcome:
    """Propose a change, or carry it out, in a transaction that the caller ends."""
    now = context.now()
    lock_deciding(session, context.organisation_id)
    if require is not None:
        require(session)
    if (result := effects.result_in_force(session, context, content)) is not None:
        return ChangeOutcome(result, None, changes=False)
    if _one_person_suffices(session, context, content):
        result = apply_content(session, context, content, reason_if_any(reason), now)
        withdraw_overtaken(session, context, content, "it was changed", now)
        return ChangeOutcome(result, None)
    why = checked_reason(reason)
    refuse_nobody(session, context.actor)
    rehearsed = rehearse(session, context, content, why, now, champions)
    counted = reach_of(session, context, content, rehearsed, now) if reach is None else reach
    same, replaces = proposed_already(session, context, content, counted, why, now)
    if same is not None:
        _request_backtests(session, context, same, untested(session, same, rehearsed, now), now)
        return ChangeOutcome(None, _line(session, same))
    entity_id = _lock_entity(session, content)
    row = Proposal(
        organisation_id=context.organisation_id,
        kind=content.kind,
        subject=content.subject,
        content=asdict(content),
        reach=with_replaced(session, context, content, counted, now),
        entity_id=entity_id,
        reason=why,
        proposed_by=context.actor.name,
        proposed_us=now,
        state=PROPOSED,
    )
    session.add(row)
    session.flush()
    session.refresh(row)  # with its keys in their order
    _request_backtests(session, context, row, rehearsed, now)
    record_act(session, context, "proposal.made", row, {"reason": why})
    return ChangeOutcome(None, _line(session, row), replaces=replaces)


def _lock_entity(session: Session, content: Content) -> int | None:
    """Lock the entity whose fact or override would change against an erasure; None if the change is about more."""
    entity_id = entity_of(session, content)
    if entity_id is not None:
        lock_entities(session, [entity_id])
    return entity_id


def _one_person_suffices(session: Session, context: Context, content: Content) -> bool:
    """Return whether a change lowers nothing: no ruleset decides yet, or an override ends that kept a level down."""
    if isinstance(content, (*FACTS, ModelPromoted)):
        return False  # it is requested after a check that two people are required
    if isinstance(content, OverrideRevoked):
        return raises_without(session, context.actor, content.override)
    return not needs_two_people(session, context.organisation_id)


def _request_backtests(
    session: Session, context: Context, row: Proposal, rehearsed: Mapping[int, DecidingChange], now: int
) -> None:
    """Request backtests for the types of a change that have none under way."""
    types_under_way = {
        backtest.type_id for backtest in backtests_of_proposal(session, row.id) if backtest.state in OPEN
    }
    for type_id, pair in rehearsed.items():
        if type_id not in types_under_way and count_of_type(session, type_id):
            content = {"content_hash": pair.fingerprint, "canonical": ""}
            backtest = Backtest(**new_job(context, now), proposal_id=row.id, type_id=type_id, **content)
            session.add(backtest)
            session.flush()
            details = {"proposal_id": row.id, "content_hash": backtest.content_hash}
            rows = digests(session, "backtests", [backtest.id])
            context.record(session, "backtest.requested", ("backtest", backtest.id), details=details, rows=rows)


def request_proposal_backtests(context: Context, number: int) -> ProposalLine:
    """Request the backtests of a proposal again, for example after the deciding rulesets changed.

    Raises:
        NotFoundError: there is no such proposal.
        ConflictError: it was decided, or is impossible now.
    """
    now = context.now()
    with context.writing() as session:
        lock_deciding(session, context.organisation_id)
        row = _open(session, context, number)
        rehearsed = rehearse(session, context, read_content(row.kind, row.content), row.reason, now)
        _request_backtests(session, context, row, rehearsed, now)
        return _line(session, row)


def approve_proposal(
    context: Context,
    number: int,
    reason: str,
    role: Role = Role.ADMIN,
    champions: Champions | None = None,
    expected_backtests: Collection[int] | None = None,
    expected_versions: int | None = None,
    expected_proposed_us: int | None = None,
    expected_levels: str | None = None,
) -> ProposalLine:
    """Carry out what another person proposed, in one transaction with the approval.

    Args:
        context: who approves.
        number: the number of the proposal.
        reason: why.
        role: the role of the approver.
        champions: to promote a model.
        expected_backtests: the numbers of the `finished_backtests` that the caller saw; None for no check.
        expected_versions: how many versions the list had to which it adds some; None for no check, or without a list.
        expected_proposed_us: when the proposal seen was proposed, as a restore reuses numbers; None for no check.
        expected_levels: for a change about one entity, `hash_of_levels` of those seen; None for those of the proposal.

    Raises:
        ConfigError: the reason is empty.
        NotFoundError: there is no such proposal, or it is not seen in the role.
        ConflictError: the actor proposed it, or is not a member; it was decided; it is impossible now; a type that it
            reaches has no finished backtest that counts (`backtest_validity`); it is not for the role; a model is to be
            promoted without *champions*; its backtests, the versions of its list or its levels are not the expected
            ones; or it is another change.
        PromotionRefusedError: the gate does not allow it any more, or another version serves by now.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        lock_deciding(session, context.organisation_id)
        row = _open(session, context, number, role)
        refuse_same_person(session, context.actor, (row.proposed_by,), f"proposed {number}: another person approves it")
        refuse_role(number, row.kind, role, APPROVERS)
        refuse_unseen_moment(f"proposal {number}", expected_proposed_us, row.proposed_us)
        content = read_content(row.kind, row.content)
        _refuse_other_versions(session, context, content, expected_versions)
        entity_id = _lock_entity(session, content)
        refuse_moved(session, context, row, content, expected_levels, now)
        rehearsed = rehearse(session, context, content, row.reason, now, champions)
        finished = newest_backtests(session, row.id, finished=True)
        tests = backtests_that_count(session, row, finished, rehearsed, now)
        present = [each.id for each in finished.values()]
        refuse_unseen_numbers(f"the backtests of proposal {number}", expected_backtests, present)
        with behind(session, context.organisation_id, () if entity_id is None else (row.proposed_by,)):
            result = apply_content(session, context, content, row.reason, now, champions=champions)
        release_count = activate_releases(session, tests)
        decide(row, APPROVED, context, why, now)
        row.result = _plain(result) | ({"released": release_count} if release_count else {})
        session.flush()
        session.refresh(row)  # as above
        record_act(session, context, "proposal.approved", row, {"reason": why})
        withdraw_overtaken(session, context, content, f"proposal {number} was approved", now)
        return _line(session, row)


def _refuse_other_versions(session: Session, context: Context, content: Content, expected: int | None) -> None:
    if isinstance(content, ListVersionsAdded):
        present = count_list_versions(session, context.organisation_id, content.name)
        refuse_unseen(f"the number of versions of the list {content.name}", expected, present)


def _open(session: Session, context: Context, number: int, role: Role = Role.ADMIN) -> Proposal:
    """Lock an open proposal, which is the person's own or one that they see in the role."""
    return _require_open(_locked(session, context, number, role))


def _locked(session: Session, context: Context, number: int, role: Role) -> Proposal:
    row = proposal_numbered(session, context.organisation_id, number, locked=True)
    if row.proposed_by != context.actor.name:
        _refuse_unseen(context, row, role)
    return row


def _require_open(row: Proposal) -> Proposal:
    if row.state != PROPOSED:
        why = f": {row.decision_reason}" if row.state == WITHDRAWN and row.decision_reason else ""
        raise ConflictError(f"proposal {row.id} was {row.state} already{why}")
    return row


def _plain(result: Result) -> Any:
    return asdict(result) if is_dataclass(result) else {"families": list(result)} if result else {}


def refuse_proposal(
    context: Context,
    number: int,
    reason: str,
    role: Role = Role.ADMIN,
    expected_proposed_us: int | None = None,
) -> ProposalLine:
    """Refuse a proposal, or withdraw one's own; its waiting and running backtests are cancelled.

    The same call again, such as after its answer was lost, returns the same.

    Args:
        context: who refuses or withdraws.
        number: the number of the proposal.
        reason: why.
        role: the role of the person.
        expected_proposed_us: as of `approve_proposal`.

    Raises:
        ConfigError: the reason is empty.
        NotFoundError: there is no such proposal; or it is another person's, and not seen in the role.
        ConflictError: it was decided already; it is another person's, and not for the role; or it is another change
            than was expected.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        lock_deciding(session, context.organisation_id)
        row = _locked(session, context, number, role)
        if _is_refused_so(row, context.actor.name, why, expected_proposed_us):
            return _line(session, row)
        _require_open(row)
        if row.proposed_by != context.actor.name:
            refuse_role(number, row.kind, role, REFUSERS)
        refuse_unseen_moment(f"proposal {number}", expected_proposed_us, row.proposed_us)
        close_proposal(session, context, row, WITHDRAWN if row.proposed_by == context.actor.name else REFUSED, why, now)
        return _line(session, row)


def _is_refused_so(row: Proposal, actor: str, why: str, expected_proposed_us: int | None) -> bool:
    """Return whether the same person refused or withdrew the proposal that they saw, with the same words."""
    is_same = expected_proposed_us in (None, row.proposed_us)
    return is_same and row.state in (REFUSED, WITHDRAWN) and (row.decided_by, row.decision_reason) == (actor, why)


def list_proposals(
    context: Context, state: str | None = None, role: Role = Role.ADMIN, part: Part = WHOLE
) -> Page[ProposalLine]:
    """List proposals, of one state or of all, the newest first.

    Only those that the person may see in the role: an approver those about one entity, an investigator only their own
    among these. ConfigError if there is no such state.
    """
    require_known("state", [state], STATES)
    visible = proposals_seen_by(context.actor.name, role)
    with context.reading() as session:
        page = proposals_of(session, context.organisation_id, state, *visible, part)
        entities = _entities_of(session, context.organisation_id, page)
        backtests = newest_progress(session, (row.id for row in page))
        return page.map(lambda row: _line_with(row, entities, backtests.get(row.id, ())))


def read_proposal(context: Context, number: int, role: Role = Role.ADMIN) -> ProposalLine:
    """Show a proposal; NotFoundError if there is none of that number, or the person may not see it in the role."""
    with context.reading() as session:
        row = proposal_numbered(session, context.organisation_id, number)
        _refuse_unseen(context, row, role)
        return _line(session, row)


def _refuse_unseen(context: Context, row: Proposal, role: Role) -> None:
    if not proposals_seen_by(context.actor.name, role).has(row.kind, row.proposed_by):
        raise NotFoundError(f"there is no proposal {row.id}")


def finished_backtests(context: Context, number: int) -> tuple[ProposalBacktest, ...]:
    """List the newest finished backtest of a proposal on each type, as `approve_proposal` checks them.

    NotFoundError if no proposal has that number.
    """
    with context.reading() as session:
        row = proposal_numbered(session, context.organisation_id, number)
        return _backtest_lines(newest_progress(session, [row.id], finished=True).get(row.id, ()))


def waiting_beside(context: Context, number: int, role: Role = Role.ADMIN) -> tuple[int, ...]:
    """List the numbers of the other open proposals about the subject of an open one; empty if it was decided.

    Only those that the person may see in the role.

    NotFoundError if no proposal has that number.
    """
    with context.reading() as session:
        row = proposal_numbered(session, context.organisation_id, number)
        if row.state != PROPOSED:
            return ()
        beside = open_beside(session, context, read_content(row.kind, row.content))
        visible = proposals_seen_by(context.actor.name, role)
        return tuple(
            other.id for other, _ in beside if other.id != number and visible.has(other.kind, other.proposed_by)
        )


def _line(session: Session, row: Proposal) -> ProposalLine:
    backtests = newest_progress(session, [row.id]).get(row.id, ())
    return _line_with(row, _entities_of(session, row.organisation_id, [row]), backtests)


def _entities_of(session: Session, organisation_id: int, rows: Collection[Proposal]) -> dict[int, tuple[str, str]]:
    """Return type and present name of the entities that proposals are about, and of those that they would reach."""
    about = {row.entity_id for row in rows if row.entity_id is not None}
    return names_of_entities(session, organisation_id, about.union(*(entities_in(row.reach) for row in rows)))


def _line_with(row: Proposal, entities: Mapping[int, tuple[str, str]], backtests: Sequence[Row[Any]]) -> ProposalLine:
    """Describe a proposal with the newest backtest of each type, and an entity by its name instead of its number."""
    entity_type, external_id = entities.get(row.entity_id or 0, (None, None))
    return row_as(
        ProposalLine,
        row,
        subject=named_subject(row.subject, row.entity_id, external_id),
        entity_type=entity_type,
        external_id=external_id,
        reach=with_names(row.reach, entities),
        content={**row.content, "entity": external_id} if "entity" in row.content else row.content,
        backtests=_backtest_lines(backtests),
    )


def _backtest_lines(backtests: Sequence[Row[Any]]) -> tuple[ProposalBacktest, ...]:
    return tuple(row_as(ProposalBacktest, backtest) for backtest in backtests)
