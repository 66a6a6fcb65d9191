"""The facts that flows saw at an earlier moment: events, levels and answers. Begins and ends no transaction."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, null, select
from sqlalchemy.orm import Session, aliased

from fivefold.store.flows.versions import ACTIVE, OFF, ROLLBACK
from fivefold.store.ingest.tags import lasts_on
from fivefold.store.levels.overrides import was_overridden
from fivefold.store.sql.arrays import among
from fivefold.store.tables.entities import Attributes, Record, Screening, Tag, Transaction, ValueScore
from fivefold.store.tables.flows import FlowAction, FlowActivation, FlowRun, FlowVersion, StepOutcome
from fivefold.store.tables.groups import GroupMove, NamedGroup
from fivefold.store.tables.levels import Assessment, Standing, Transition, level_source


class PastEvent(NamedTuple):
    """An event of an entity, as stored.

    Attributes:
        key: the number of a transaction; the row's number of a level, a tag, a screening or a case; the moment of a
            segment; the version of fields; the number of an entity's move in a group.
        before: the level, the segment or the fields (JSON) before; for a tag, a screening and a group, the name.
        after: the same since then; for a tag, whether it ended; for a screening, whether it had a match; for a group,
            whether the entity entered; for a case that opened, when it was closed.
    """

    entity_id: int
    at_us: int
    key: Any
    before: Any = None
    after: Any = None


def past_events(
    session: Session, kind: str, entity_ids: Sequence[int], from_us: int, until_us: int
) -> Iterator[PastEvent]:
    """Yield the events of one kind about some entities, from one moment until before another.

    They are in the order of time, with all beginnings of tags and cases before their ends, and segments by entity.

    Args:
        session: to read with.
        kind: transaction, level, segment, tag, case, alert, screening, field or group.
        entity_ids: their numbers.
        from_us: the first moment.
        until_us: the moment after the last.
    """
    if kind == "segment":
        yield from _segments(session, entity_ids, from_us, until_us)
        return
    if kind in {"case", "alert"}:
        for at, closed in ((Record.opened_us, Record.closed_us), (Record.closed_us, null())):
            columns: Any = (Record.entity_id, at, Record.id, null(), closed)
            of = (Record.kind == kind, *_within(session, Record.entity_id, at, entity_ids, from_us, until_us))
            yield from _rows(session, select(*columns).where(*of).order_by(at, Record.id))
        return
    if kind == "tag":
        yield from _tags(session, entity_ids, from_us, until_us)
        return
    if kind == "field":
        yield from _fields(session, entity_ids, from_us, until_us)
        return
    if kind == "group":
        yield from _moves(session, entity_ids, from_us, until_us)
        return
    statements: dict[str, Any] = {
        "transaction": (
            Transaction,
            (Transaction.entity_id, Transaction.at_us, Transaction.transaction_id),
        ),
        "level": (
            Transition,
            (
                *(Transition.entity_id, Transition.at_us, Transition.number),
                *(Transition.from_level, Transition.to_level),
            ),
        ),
        "screening": (
            Screening,
            (Screening.entity_id, Screening.recorded_us, Screening.id, Screening.screening, Screening.found),
        ),
    }
    table, columns = statements[kind]
    of = _within(session, table.entity_id, columns[1], entity_ids, from_us, until_us)
    yield from _rows(session, select(*columns).where(*of).order_by(columns[1], columns[2]))


def moments_sent(session: Session, kind: str, entity_ids: Sequence[int]) -> dict[int, list[int]]:
    """Return when cases or alerts about entities were added or changed, as the causes of runs of flows name it.

    Args:
        session: to read with.
        kind: case or alert.
        entity_ids: their numbers.

    Returns:
        The moments, the earliest first, by the number of the case.
    """
    of = (among(session, FlowRun.entity_id, list(entity_ids)), FlowRun.cause.startswith(f"{kind}:"))
    by_number: dict[int, list[int]] = {}
    for cause in session.scalars(select(FlowRun.cause).where(*of).distinct()):
        number, _, moment = cause.partition(":")[2].partition(".")
        by_number.setdefault(int(number), []).append(int(moment))
    return {number: sorted(moments) for number, moments in by_number.items()}


def _within(session: Session, entity: Any, at: Any, ids: Sequence[int], from_us: int, until_us: int) -> tuple[Any, ...]:
    return among(session, entity, list(ids)), at >= from_us, at < until_us


def _rows(session: Session, statement: Select[Any]) -> Iterator[PastEvent]:
    return (PastEvent(*row) for row in session.execute(statement))


def _tags(session: Session, ids: Sequence[int], from_us: int, until_us: int) -> Iterator[PastEvent]:
    """Yield the tags that were set, then those that ended, unless another row of the same tag continues it."""
    for at, ended in ((Tag.from_us, False), (Tag.until_us, True)):
        of = _within(session, Tag.entity_id, at, ids, from_us, until_us)
        columns: Any = (Tag.entity_id, at, Tag.id, Tag.tag)
        statement = select(*columns).where(*of, *([~lasts_on()] if ended else []))
        rows = _rows(session, statement.order_by(at, Tag.id))
        yield from (each._replace(after=ended) for each in rows)


def _fields(session: Session, ids: Sequence[int], from_us: int, until_us: int) -> Iterator[PastEvent]:
    """Yield the versions of fields, each with the previous one."""
    before = aliased(Attributes)
    of = _within(session, Attributes.entity_id, Attributes.known_us, ids, from_us, until_us)
    columns: Any = (Attributes.entity_id, Attributes.known_us, Attributes.number, before.content, Attributes.content)
    statement = (
        select(*columns)
        .outerjoin(before, (before.entity_id == Attributes.entity_id) & (before.number == Attributes.number - 1))
        .where(*of)
    )
    yield from _rows(session, statement.order_by(Attributes.known_us, Attributes.entity_id))


def _moves(session: Session, ids: Sequence[int], from_us: int, until_us: int) -> Iterator[PastEvent]:
    """Yield the entries into groups and the exits."""
    of = _within(session, GroupMove.entity_id, GroupMove.at_us, ids, from_us, until_us)
    columns: Any = (GroupMove.entity_id, GroupMove.at_us, GroupMove.number, NamedGroup.name, GroupMove.entered)
    moves = select(*columns).join(NamedGroup, NamedGroup.id == GroupMove.group_id).where(*of)
    yield from _rows(session, moves.order_by(GroupMove.at_us, GroupMove.group_id, GroupMove.number))


def _segments(session: Session, ids: Sequence[int], from_us: int, until_us: int) -> Iterator[PastEvent]:
    """Yield the moments at which the segment of the value changed."""
    columns = (ValueScore.entity_id, ValueScore.as_of_us, ValueScore.segment)
    statement = select(*columns).where(among(session, ValueScore.entity_id, list(ids)), ValueScore.as_of_us < until_us)
    before: dict[int, str | None] = {}
    for entity, at_us, segment in session.execute(statement.order_by(ValueScore.entity_id, ValueScore.as_of_us)):
        was, before[entity] = before.get(entity), segment
        if segment != was and at_us >= from_us:
            yield PastEvent(entity, at_us, at_us, was, segment)


class CausingRun(NamedTuple):
    """A run of a flow, with its cause.

    Attributes:
        about: the data of its cause, with the flows that caused it.
    """

    entity_id: int
    cause: str
    flow_id: int
    about: Mapping[str, Any]


def runs_begun_by(session: Session, kind: str, entity_ids: Sequence[int]) -> Iterator[CausingRun]:
    """Yield the runs of all flows about some entities, shadows too, that events of one kind began."""
    columns = (FlowRun.entity_id, FlowRun.cause, FlowRun.flow_id, FlowRun.about)
    of = (among(session, FlowRun.entity_id, list(entity_ids)), FlowRun.cause.startswith(f"{kind}:"))
    return (CausingRun(*row) for row in session.execute(select(*columns).where(*of)))


class ChangeByRun(NamedTuple):
    """A tag that a run set, or a case that it opened.

    Attributes:
        tag: None for a case.
    """

    at_us: int
    tag: str | None
    run: CausingRun


def changes_by_runs(session: Session, kinds: Sequence[str], entity_ids: Sequence[int]) -> Iterator[ChangeByRun]:
    """Yield the tags and cases that runs of any flow added to some entities, by actions of some kinds."""
    of_run = (FlowRun.entity_id, FlowRun.cause, FlowRun.flow_id, FlowRun.about)
    statement = select(FlowAction.at_us, FlowAction.content, *of_run).join(FlowRun, FlowRun.id == FlowAction.run_id)
    of = (among(session, FlowAction.entity_id, list(entity_ids)), FlowAction.kind.in_(kinds))
    for at_us, content, *run in session.execute(statement.where(*of)):
        yield ChangeByRun(at_us, content.get("tag"), CausingRun(*run))


def versions_that_acted(session: Session, flow_id: int) -> list[tuple[int, str | None]]:
    """List the changes of a flow's acting version: moment and canonical text, None for no version; the latest first."""
    statement = (
        select(FlowActivation.at_us, FlowVersion.canonical)
        .outerjoin(FlowVersion, FlowVersion.id == FlowActivation.version_id)
        .where(FlowActivation.flow_id == flow_id, FlowActivation.kind.in_((ACTIVE, ROLLBACK, OFF)))
        .order_by(FlowActivation.id.desc())
    )
    return [(at_us, canonical) for at_us, canonical in session.execute(statement)]


class LevelAt(NamedTuple):
    """The level of an entity at a moment.

    Attributes:
        assessed_us: when it was last assessed by then; None if that is not stored: an assessment with the same result
            as the one before has no row.
    """

    entity_id: int
    status: str
    source: str
    level: int | None
    rules_level: int | None
    assessed_us: int | None


def levels_at(session: Session, entity_ids: Sequence[int], at_us: int) -> list[LevelAt]:
    """Return the levels of entities at a moment; those not assessed by then are left out."""
    ids = list(entity_ids)
    now = (Standing.entity_id, Standing.status, Standing.level_source, Standing.level, Standing.rules_level)
    standing = select(*now, Standing.assessed_us).where(
        among(session, Standing.entity_id, ids), Standing.assessed_us <= at_us
    )
    levels = [LevelAt(*row) for row in session.execute(standing)]
    earlier = sorted(set(ids) - {each.entity_id for each in levels})
    last = (
        select(Assessment.entity_id, func.max(Assessment.number).label("number"))
        .where(among(session, Assessment.entity_id, earlier), Assessment.as_of_us <= at_us)
        .group_by(Assessment.entity_id)
        .subquery()
    )
    then = (Assessment.entity_id, Assessment.status, _source_then(), Assessment.level, Assessment.rules_level)
    same = (Assessment.entity_id == last.c.entity_id) & (Assessment.number == last.c.number)
    return levels + [LevelAt(*row, None) for row in session.execute(select(*then).join(last, same))]


def _source_then() -> ColumnElement[str]:
    """Return, in SQL, the source of an assessment's level, as `Standing.level_source` is that of the present level."""
    overridden = was_overridden(Assessment.entity_id, Assessment.as_of_us)
    by = Transition.entity_id == Assessment.entity_id, Transition.number <= Assessment.number
    moved = select(Transition.source).where(*by).order_by(Transition.number.desc()).limit(1)
    reached = moved.correlate_except(Transition).scalar_subquery()
    return level_source(overridden, reached, Assessment.source)


class RecordedAnswer(NamedTuple):
    """An answer at a step of an acting run, by a person or from outside.

    Attributes:
        outcome: canonical JSON.
        canonical: the canonical text of the version that ran.
    """

    entity_id: int
    cause: str
    step: str
    kind: str
    outcome: str
    canonical: str


def answers_of(
    session: Session, flow_id: int, entity_ids: Sequence[int], until_us: int | None = None
) -> Iterator[RecordedAnswer]:
    """Yield the answers in the acting runs of a flow about entities by a moment, the earliest first.

    Answers that the retention policy removed are left out.
    """
    columns = (
        FlowRun.entity_id,
        FlowRun.cause,
        StepOutcome.step,
        StepOutcome.kind,
        StepOutcome.outcome,
        FlowVersion.canonical,
    )
    statement = (
        select(*columns)
        .join(FlowRun, FlowRun.id == StepOutcome.run_id)
        .join(FlowVersion, FlowVersion.id == FlowRun.version_id)
        .where(FlowRun.flow_id == flow_id, FlowRun.acting, FlowRun.removed_by.is_(None))
        .where(among(session, StepOutcome.entity_id, list(entity_ids)))
    )
    if until_us is not None:
        statement = statement.where(StepOutcome.at_us <= until_us)
    return (RecordedAnswer(*row) for row in session.execute(statement.order_by(StepOutcome.at_us, StepOutcome.run_id)))
