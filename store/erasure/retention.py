"""The rows that the retention policy removes: the old rows that nothing refers to.

Each kind has one function that looks at old rows, a part at a time in a fixed order. A dry run counts with it, and a
run removes with it, so both cover the same rows. Assessments lose their inputs and breakdowns; their facts and
transitions are kept. Nothing here begins or ends a transaction.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, or_, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from fivefold.store.audit.removals import line_of_removed
from fivefold.store.changes.proposals import PROPOSED
from fivefold.store.erasure.holds import held_entities, lock_related
from fivefold.store.erasure.old_flows import look_at_flows, remove_flows
from fivefold.store.erasure.old_rows import (
    NOTHING,
    OldRow,
    OldRows,
    Removal,
    RemovedRows,
    ResumePoint,
    RetentionScope,
    delete_rows,
    free_once_locked,
    without_held,
)
from fivefold.store.rulesets.jobs import EARLIER_REVIEWS
from fivefold.store.sql.arrays import among, rows_among
from fivefold.store.sql.jobs import OPEN
from fivefold.store.sql.statements import UNSEEN
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.events import Decision, Delivery, Endpoint, EvidenceJob, OutboxEvent, ValidationJob
from fivefold.store.tables.levels import (
    Assessment,
    AssessmentInputs,
    OverrideReading,
    OverrideRow,
    Standing,
    Transition,
)
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import (
    Backtest,
    BacktestMover,
    Family,
    PointsJob,
    Proposal,
    ReferenceJob,
    RulesetVersion,
    ThresholdReview,
)
from fivefold.store.webhooks.deliveries import is_in
from fivefold.store.webhooks.outbox import NOBODY, settled_number

STATED: Final = "statement.given"
"""The action of audit entries about a statement that a person received; each names its assessment."""
_KEY: Final = (Assessment.entity_id, Assessment.number)
_INPUTS_KEY: Final = (AssessmentInputs.entity_id, AssessmentInputs.number)

Name = tuple[int, int]
"""The numbers of an entity and of one of its assessments."""


def look_at_assessments(session: Session, scope: RetentionScope, position: ResumePoint, most: int) -> OldRows:
    """Look at assessments that still have their breakdown, by moment; a part may end anywhere within a batch."""
    behind = tuple(position or (-(1 << 62), 0, 0))
    statement = select(Assessment.as_of_us, *_KEY).where(
        Assessment.organisation_id == scope.organisation_id,
        Assessment.as_of_us < scope.before_us,
        Assessment.as_of_us >= behind[0],
        Assessment.breakdown.is_not(None),
        tuple_(Assessment.as_of_us, *_KEY) > behind,
    )
    rows = session.execute(statement.order_by(Assessment.as_of_us, *_KEY).limit(most)).all()
    if not rows:
        return NOTHING
    moments = {(row.entity_id, row.number): row.as_of_us for row in rows}
    needed_names = _find_needed(session, scope, moments)
    removable = [OldRow(name, at_us, name[0]) for name, at_us in moments.items() if name not in needed_names]
    last = rows[-1]
    goes_on = [last.as_of_us, last.entity_id, last.number] if len(rows) == most else None
    return OldRows(removable, len(rows) - len(removable), goes_on)


def remove_assessments(session: Session, scope: RetentionScope, rows: Sequence[OldRow]) -> RemovedRows:
    """Empty assessments, except those needed by now; no new reference is possible until the transaction ends.

    Entities that another transaction has locked are left for the next run, so that no part waits.
    """
    moments = {(row.key[0], row.key[1]): row.at_us for row in rows}
    locked = lock_related(session, {entity for entity, _ in moments})
    mine = {name: at_us for name, at_us in moments.items() if name[0] in locked}
    needed_names = _find_needed(session, scope, mine)
    names = [name for name in mine if name not in needed_names]  # in the order of their moments, as given
    if not names:
        return RemovedRows(())
    columns = select(*_INPUTS_KEY, AssessmentInputs.sha256).where(rows_among(session, _INPUTS_KEY, names))
    hashes = {(row.entity_id, row.number): row.sha256 for row in session.execute(columns)}
    names = [name for name in names if name in hashes]
    inputs = update(AssessmentInputs).where(rows_among(session, _INPUTS_KEY, names))
    emptied = inputs.values(content=None, salt=None, removed_by=scope.run_id)
    session.execute(emptied.execution_options(**UNSEEN))  # first, as the guard of assessments checks for it
    breakdowns = update(Assessment).where(rows_among(session, _KEY, names)).values(breakdown=None)
    session.execute(breakdowns.execution_options(**UNSEEN))
    emptied_rows = [OldRow(name, mine[name], name[0]) for name in names]
    return RemovedRows(emptied_rows, [line_of_removed(*name, hashes[name]) for name in names])


def _find_needed(session: Session, scope: RetentionScope, moments: Mapping[Name, int]) -> set[Name]:
    """Return which of some assessments, given with their moments, are still needed."""
    ids = sorted({entity for entity, _ in moments})
    held_ids = held_entities(session, ids, scope.now_us) if ids else set()
    referenced = set(_find_referenced(session, scope, ids)) if ids else set()
    present = session.scalars(select(Standing).where(among(session, Standing.entity_id, ids)))
    standings = {row.entity_id: row for row in present}
    return {
        name
        for name, at_us in moments.items()
        if name[0] in held_ids or name in referenced or _holds_up(standings.get(name[0]), name[1], at_us, scope.now_us)
    }


def _holds_up(standing: Standing | None, number: int, at_us: int, now_us: int) -> bool:
    """Return whether the present level rests on an assessment: the newest, or the one that entered the rules' level.

    If a floor, an override or a cooldown holds, every later one is needed too: one of them began it.
    """
    if standing is None or number >= standing.number or standing.entered_us is None:
        return True
    is_held = bool(standing.floor or standing.hard_floor or standing.floors_lost or standing.override_id)
    cooling = standing.may_move_down_us is not None and standing.may_move_down_us > now_us
    return at_us == standing.entered_us or (at_us > standing.entered_us and (is_held or cooling))


def _find_referenced(session: Session, scope: RetentionScope, ids: Sequence[int]) -> Iterator[Name]:
    """Yield the assessments that decisions, challenges, overrides, statements or levels refer to."""
    latest_transitions = select(Transition.entity_id, func.max(Transition.number)).group_by(Transition.entity_id)
    yield from _pairs(session, latest_transitions.where(among(session, Transition.entity_id, ids)))
    # The first of those by the deciding version: a roll-back of it continues from the state before.
    other = or_(Assessment.version_id.is_(None), Assessment.version_id != Standing.version_id)
    first = (
        select(Standing.entity_id, func.coalesce(func.max(Assessment.number), 0) + 1)
        .outerjoin(Assessment, (Assessment.entity_id == Standing.entity_id) & other)
        .where(among(session, Standing.entity_id, ids))
        .group_by(Standing.entity_id)
    )
    yield from _pairs(session, first)
    of_decisions = select(Decision.entity_id, Decision.assessment_number)
    yield from _pairs(session, of_decisions.where(among(session, Decision.entity_id, ids)).distinct())
    contested = among(session, Challenge.entity_id, ids)
    yield from _pairs(session, select(Challenge.entity_id, Challenge.number).where(contested))
    yield from _pairs(session, select(Challenge.entity_id, Challenge.settled_number).where(contested))
    for number in (OverrideReading.number, OverrideReading.opened_number):
        read = select(OverrideRow.entity_id, number).join(
            OverrideReading, OverrideReading.override_id == OverrideRow.id
        )
        yield from _pairs(session, read.where(among(session, OverrideRow.entity_id, ids)))
    of_statements = select(AuditEntry.details).where(
        AuditEntry.organisation_id == scope.organisation_id,
        AuditEntry.subject_kind == "entity",
        among(session, AuditEntry.subject_id, [str(number) for number in ids]),
        AuditEntry.action == STATED,
    )
    for details in session.scalars(of_statements):
        entity, _, number = json.loads(details)["assessment"].partition(".")
        yield int(entity), int(number)


def _pairs(session: Session, statement: Any) -> Iterator[Name]:
    for entity, number in session.execute(statement):
        if number is not None:
            yield entity, number


def _look_at_events(session: Session, scope: RetentionScope, position: ResumePoint, most: int) -> OldRows:
    """Look at events by their numbers, which follow time, up to the first part without an old event.

    A fast clock may have dated some too late: a part with such an event does not end the search. An event is needed
    while an endpoint, even a disabled one, has yet to plan it, or has a delivery of it. The last event is kept too:
    SQLite would reuse its number.
    """
    columns = select(OutboxEvent.id, OutboxEvent.entity_id, OutboxEvent.at_us)
    of = (OutboxEvent.organisation_id == scope.organisation_id, OutboxEvent.id > (position[0] if position else 0))
    rows = session.execute(columns.where(*of).order_by(OutboxEvent.id).limit(most)).all()
    old = [row for row in rows if row.at_us < scope.before_us]
    behind = [rows[-1].id] if len(rows) == most else None
    if not old:
        return OldRows((), 0, behind if any(row.at_us > scope.now_us for row in rows) else None)
    of_endpoints = select(Endpoint.id, Endpoint.planned_id).where(Endpoint.organisation_id == scope.organisation_id)
    endpoints = session.execute(of_endpoints).all()
    last = session.scalar(select(func.max(OutboxEvent.id))) or 0
    upto = min([settled_number(session), last - 1, *(endpoint.planned_id for endpoint in endpoints)])
    has_delivery = select(Delivery.event_number).where(
        among(session, Delivery.endpoint_id, [endpoint.id for endpoint in endpoints]),
        Delivery.event_number.between(old[0].id, old[-1].id),
    )
    with_delivery = set(session.scalars(has_delivery))
    free = [_about(row, row.id) for row in old if row.id <= upto and row.id not in with_delivery]
    return without_held(session, scope.now_us, free, behind, len(old) - len(free))


def _about(row: Any, *key: int) -> OldRow:
    return OldRow(key, row.at_us, None if row.entity_id == NOBODY else row.entity_id)


def _remove_events(session: Session, scope: RetentionScope, rows: Sequence[OldRow]) -> RemovedRows:
    return delete_rows(session, OutboxEvent, [OutboxEvent.id], free_once_locked(session, scope.now_us, rows))


_ENDED: Final = {"dead": Delivery.next_us, "delivered": Delivery.delivered_us}
"""The states in which a delivery may be removed, and the column with the time of that state."""


def _ended_deliveries(state: str, before_us: int, *of: ColumnElement[bool]) -> Select[int, int, int, int | None]:
    """The statement of deliveries that ended in a state before a moment, as `_about_deliveries` takes them."""
    at = _ENDED[state]
    columns = select(Delivery.endpoint_id, Delivery.event_number, Delivery.entity_id, at.label("at_us"))
    return columns.where(is_in(state), at < before_us, *of)


def _about_deliveries(rows: Sequence[Any]) -> list[OldRow]:
    return [_about(row, row.endpoint_id, row.event_number) for row in rows]


def _delete_deliveries(session: Session, now_us: int, rows: Sequence[OldRow], *states: str) -> RemovedRows:
    """Remove deliveries that are still in one of some states: those sent again since they were looked at are kept."""
    key = [Delivery.endpoint_id, Delivery.event_number]
    return delete_rows(session, Delivery, key, free_once_locked(session, now_us, rows), Delivery.state.in_(states))


def _look_at_deliveries(session: Session, scope: RetentionScope, position: ResumePoint, most: int) -> OldRows:
    """Look at delivered and abandoned deliveries: endpoint by endpoint, one state after the other."""
    of = select(Endpoint.id).where(Endpoint.organisation_id == scope.organisation_id).order_by(Endpoint.id)
    begin = position or (0, "", 0, 0)
    for number in session.scalars(of).all():
        for state, at in _ENDED.items():
            if (number, state) < tuple(begin[:2]):
                continue
            behind = tuple(begin[2:]) if (number, state) == tuple(begin[:2]) else (0, 0)
            left = (Delivery.endpoint_id == number, tuple_(at, Delivery.event_number) > behind)
            statement = _ended_deliveries(state, scope.before_us, *left).order_by(at, Delivery.event_number)
            rows = session.execute(statement.limit(most)).all()
            if rows:
                old = _about_deliveries(rows)
                return without_held(session, scope.now_us, old, [number, state, rows[-1].at_us, rows[-1].event_number])
    return NOTHING


def _remove_deliveries(session: Session, scope: RetentionScope, rows: Sequence[OldRow]) -> RemovedRows:
    return _delete_deliveries(session, scope.now_us, rows, *_ENDED)


def prune_arrived(
    session: Session, before_us: int, now_us: int, position: ResumePoint, most: int
) -> tuple[int, ResumePoint]:
    """Delete deliveries that arrived before a moment, except those of held entities, in organisations without a policy.

    Up to *most* are looked at, of all these organisations. Returns how many were deleted, and the next position.
    """
    with_policy = select(OrganisationSettings.organisation_id).where(OrganisationSettings.deliveries_days > 0)
    endpoints = select(Endpoint.id).where(Endpoint.organisation_id.not_in(with_policy))
    key = (Delivery.endpoint_id, Delivery.delivered_us, Delivery.event_number)
    behind = tuple_(*key) > tuple(position or (0, 0, 0))
    statement = _ended_deliveries("delivered", before_us, Delivery.endpoint_id.in_(endpoints), behind)
    rows = session.execute(statement.order_by(*key).limit(most)).all()
    pruned = _delete_deliveries(session, now_us, _about_deliveries(rows), "delivered")
    last = [rows[-1].endpoint_id, rows[-1].at_us, rows[-1].event_number] if len(rows) == most else None
    return len(pruned.rows), last


_JOBS: Final[tuple[type[Any], ...]] = (EvidenceJob, ValidationJob, ReferenceJob, PointsJob, ThresholdReview)
"""Jobs whose rows are removed; their results, such as a validation, a version of a list or a draft, are stored apart.
"""
_MOVERS: Final = len(_JOBS)
"""The place after the jobs: customers whom a backtest would move."""


def _look_at_reports(session: Session, scope: RetentionScope, position: ResumePoint, most: int) -> OldRows:
    """Look at ended jobs, and then at the customers whom backtests would move; keys begin with a place."""
    begin = position or (0, 0, 0)
    for place, table in enumerate(_JOBS):
        if place >= begin[0]:
            is_over = (table.state.not_in(OPEN), table.finished_us < scope.before_us)
            of = (table.organisation_id == scope.organisation_id, table.id > (begin[1] if place == begin[0] else 0))
            needed = (_is_smoothed_with() if table is ThresholdReview else false()).label("needed")
            statement = select(table.id, table.finished_us, needed).where(*of, *is_over).order_by(table.id).limit(most)
            rows = session.execute(statement).all()
            if rows:
                free = [OldRow((place, row.id), row.finished_us) for row in rows if not row.needed]
                return OldRows(free, len(rows) - len(free), [place, rows[-1].id, 0])
    return _look_at_movers(session, scope, begin[1:] if begin[0] == _MOVERS else (0, 0), most)


def _is_smoothed_with() -> ColumnElement[bool]:
    """The condition that the next mean includes a review's thresholds: few later reviews have the same rules."""
    later = aliased(ThresholdReview)
    same = (later.family_id == ThresholdReview.family_id, later.rules_hash == ThresholdReview.rules_hash)
    later_count = select(func.count()).where(
        *same, later.quarter > ThresholdReview.quarter, later.thresholds.is_not(None)
    )
    number = later_count.correlate(ThresholdReview).scalar_subquery()
    return and_(ThresholdReview.thresholds.is_not(None), number < EARLIER_REVIEWS)


def _look_at_movers(session: Session, scope: RetentionScope, behind: Sequence[int], most: int) -> OldRows:
    """Look at customers whom backtests would move, except if an open proposal or the active version needs them."""
    active = exists().where(
        Family.active_version_id == RulesetVersion.id, RulesetVersion.content_hash == Backtest.content_hash
    )
    has_open_proposal = exists().where(Proposal.id == Backtest.proposal_id, Proposal.state == PROPOSED)
    statement = (
        select(Backtest.id, BacktestMover.entity_id, Backtest.finished_us, (active | has_open_proposal).label("needed"))
        .join(BacktestMover, BacktestMover.backtest_id == Backtest.id)
        .where(Backtest.organisation_id == scope.organisation_id, Backtest.finished_us < scope.before_us)
        .where(Backtest.state.not_in(OPEN), tuple_(Backtest.id, BacktestMover.entity_id) > tuple(behind))
    )
    rows = session.execute(statement.order_by(Backtest.id, BacktestMover.entity_id).limit(most)).all()
    if not rows:
        return NOTHING
    free = [OldRow((_MOVERS, row.id, row.entity_id), row.finished_us, row.entity_id) for row in rows if not row.needed]
    return without_held(session, scope.now_us, free, [_MOVERS, rows[-1].id, rows[-1].entity_id], len(rows) - len(free))


def _remove_reports(session: Session, scope: RetentionScope, rows: Sequence[OldRow]) -> RemovedRows:
    """Remove jobs and movers; a backtest that loses movers records the time."""
    free = free_once_locked(session, scope.now_us, rows)
    for place, table in enumerate(_JOBS):
        delete_rows(session, table, [table.id], [row._replace(key=row.key[1:]) for row in free if row.key[0] == place])
    movers = [row._replace(key=row.key[1:]) for row in free if row.key[0] == _MOVERS]
    delete_rows(session, BacktestMover, [BacktestMover.backtest_id, BacktestMover.entity_id], movers)
    backtests = sorted({row.key[0] for row in movers})
    note_removal = update(Backtest).where(Backtest.id.in_(backtests)).values(movers_removed_us=scope.now_us)
    session.execute(note_removal.execution_options(**UNSEEN))
    return RemovedRows(free)


REMOVALS: Final[Mapping[str, Removal]] = {
    "outbox": Removal(_look_at_events, _remove_events),
    "deliveries": Removal(_look_at_deliveries, _remove_deliveries),
    "reports": Removal(_look_at_reports, _remove_reports),
    "assessments": Removal(look_at_assessments, remove_assessments),
    "flows": Removal(look_at_flows, remove_flows),
}
"""Everything that the policy removes, by the names of its settings."""
