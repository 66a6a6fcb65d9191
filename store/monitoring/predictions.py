"""Predictions, stored until their horizon has passed, and their figures. Begins and ends no transaction."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Select, and_, case, delete, func, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import Page, Part
from fivefold.store.erasure.holds import held_entities, lock_related
from fivefold.store.levels.champions import is_recorded_as
from fivefold.store.sql.arrays import among
from fivefold.store.sql.clocks import LONGEST_LEASE_US, lease_is_over
from fivefold.store.sql.keyset import rows_of
from fivefold.store.sql.statements import UNSEEN, write_rows
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import Champion, PortfolioCount, Standing
from fivefold.store.tables.predictions import Prediction, PredictionDay

DUE, HOLDS, UNKNOWN = "due", "holds", "unknown"
"""The states of an evaluated day."""
_COMPARABLE: Final = (DUE, HOLDS)
_AT_ONCE: Final = 1_000
_SPREAD: Final = 2_654_435_761
_KEYS: Final = 1 << 32
"""A number times the first, modulo the second, spreads any numbers evenly (Knuth, volume 3, section 6.4)."""


class ValuedType(NamedTuple):
    """A type with entities that have a value: its organisation, and the number of these entities."""

    organisation_id: int
    type_id: int
    valued: int


def valued_types(
    session: Session, model: str, version: int, from_day: int, to_day: int, model_hash: str
) -> list[ValuedType]:
    """List the types with values for which a version has no predictions on any day of a period.

    Predictions of another model with the same name and number count only on the last day, as each day has one row.
    """
    has_day = select(PredictionDay.id).where(
        PredictionDay.type_id == PortfolioCount.type_id,
        PredictionDay.model == model,
        PredictionDay.model_version == version,
        PredictionDay.day.between(from_day, to_day),
        or_(PredictionDay.model_hash == model_hash, PredictionDay.day == to_day),
    )
    by = (PortfolioCount.organisation_id, PortfolioCount.type_id)
    entities = func.sum(PortfolioCount.entities)
    statement = select(*by, entities).where(PortfolioCount.segment != "", ~has_day.exists())
    rows = session.execute(statement.group_by(*by).having(entities > 0).order_by(*by))
    return [ValuedType(row[0], row[1], int(row[2])) for row in rows]


def sampled_entities(session: Session, kind: ValuedType, most: int) -> Sequence[int]:
    """List the entities of a type that have a value, by number; an evenly spread sample of about *most* if more do.

    A larger sample includes each smaller one: the same customers are followed from one day to the next.
    """
    statement = select(Standing.entity_id).where(Standing.type_id == kind.type_id, Standing.segment.is_not(None))
    if kind.valued > most:
        key = (Standing.entity_id * literal(_SPREAD, BigInteger)) % literal(_KEYS, BigInteger)
        statement = statement.where(key < literal(_KEYS * most // kind.valued, BigInteger))
    return session.scalars(statement.order_by(Standing.entity_id)).all()


def present_entities(session: Session, type_id: int, entity_ids: Sequence[int]) -> set[int]:
    """Return which entities of a type were not erased, and prevent erasure until the transaction ends."""
    # Erasing locks the types of the organisation: it waits for this lock, and then erases what was stored under it.
    session.execute(select(EntityType.id).where(EntityType.id == type_id).with_for_update(read=True))
    is_there = (among(session, Entity.id, entity_ids), Entity.erased_us.is_(None))
    return set(session.scalars(select(Entity.id).where(*is_there)))


def has_day(session: Session, day: PredictionDay) -> bool:
    """Return whether a version has predictions for a day."""
    same = (PredictionDay.type_id == day.type_id, PredictionDay.model == day.model)
    of = (PredictionDay.model_version == day.model_version, PredictionDay.day == day.day)
    return session.scalar(select(PredictionDay.id).where(*same, *of)) is not None


def store_predictions(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    """Store predictions in the order of the columns of `Prediction`."""
    write_rows(session, Prediction.__tablename__, [column.name for column in Prediction.__table__.columns], rows)


def predictions_of(session: Session, day_id: int) -> list[Prediction]:
    """Read the predictions of a day, by the numbers of the entities."""
    statement = select(Prediction).where(Prediction.day_id == day_id).order_by(Prediction.entity_id)
    return list(session.scalars(statement))


def claim_day(session: Session, now_us: int, until_us: int) -> PredictionDay | None:
    """Lease the day to evaluate whose horizon passed first; None without one.

    Each day of predictions is evaluated daily (UTC) from the end of its horizon until its predictions are removed. A
    day that could not be evaluated, and whose lease has ended, comes after those that were not tried.
    """
    day = PredictionDay
    today_us = now_us // DAY_US * DAY_US
    open_ = or_(day.lease_until_us.is_(None), lease_is_over(day.lease_until_us, now_us))
    unjudged = or_(day.judged_us.is_(None), day.judged_us < today_us, day.judged_us >= today_us + DAY_US)
    statement = (
        select(day)
        .where(day.forgotten_us.is_(None), day.horizon_ends_us <= now_us, open_, unjudged)
        .order_by(func.coalesce(day.lease_until_us, 0), day.horizon_ends_us, day.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    claimed_day = session.scalar(statement)
    if claimed_day is not None:
        claimed_day.lease_until_us = until_us
    return claimed_day


def forget_next(session: Session, before_us: int, now_us: int) -> bool:
    """Remove the predictions of one day whose horizon ended before a moment; False without such a day.

    That happens a day after the row was first found, and only if it is not being evaluated, as a clock may have been
    ahead. The moment when it was first found is stored as a lease that has ended.
    """
    day = PredictionDay
    old = (day.forgotten_us.is_(None), day.horizon_ends_us <= before_us)
    unseen = or_(day.lease_until_us.is_(None), day.lease_until_us > now_us + LONGEST_LEASE_US)
    session.execute(update(day).where(*old, unseen).values(lease_until_us=now_us), execution_options=UNSEEN)
    query = select(day).where(*old, day.lease_until_us <= now_us - DAY_US)
    old_day = session.scalar(query.order_by(day.id).limit(1).with_for_update(skip_locked=True))
    if old_day is None:
        return False
    lock_type(session, old_day.type_id)
    forget_predictions(session, old_day.id, now_us)
    old_day.forgotten_us, old_day.lease_until_us = now_us, None
    return True


def leased_day(session: Session, day_id: int, until_us: int) -> PredictionDay | None:
    """Lock a day whose lease is still held; None if another worker has it, or it was deleted."""
    row = lock_day(session, day_id)
    return row if row is not None and row.lease_until_us == until_us else None


def lock_day(session: Session, day_id: int) -> PredictionDay | None:
    """Lock a day, and read its current state; None if it was deleted."""
    return session.get(PredictionDay, day_id, with_for_update=True, populate_existing=True)


def lock_type(session: Session, type_id: int) -> None:
    """Lock a type until the transaction ends, against erasure of its entities and evaluations of its days by others.

    Lock a day before its type, and the type before entities: erasure locks types first, and no days.
    """
    session.execute(select(EntityType.id).where(EntityType.id == type_id).with_for_update(key_share=True))


def is_news(session: Session, row: PredictionDay) -> bool:
    """Return whether to announce a due day: no later day could be compared, and none was announced since a day held.

    Days of unknown state are ignored.
    """
    day = PredictionDay
    number = (day.model == row.model, day.model_version == row.model_version)
    same = (day.type_id == row.type_id, *number, day.model_hash == row.model_hash)
    later = select(day.id).where(*same, day.as_of_us > row.as_of_us, day.state.in_(_COMPARABLE))
    held_us = session.scalar(select(func.max(day.as_of_us)).where(*same, day.state == HOLDS))
    announced = select(day.id).where(*same, day.announced_us.is_not(None), day.as_of_us > (held_us or 0))
    return session.scalar(later.limit(1)) is None and session.scalar(announced.limit(1)) is None


def next_news(session: Session) -> int | None:
    """Find a day, still to be announced, by which the serving version is due; None without one."""
    champion = session.get(Champion, 1)
    if champion is None:
        return None
    of = _of_version(champion.model, champion.model_version, champion.content_hash)
    rows = session.execute(_deciding(PredictionDay.announced_us, of).order_by(PredictionDay.id))
    due_days = (row for row, _, announced_us in rows if row.state == DUE and announced_us is None)
    return next((row.id for row in due_days if is_news(session, row)), None)


def serves(session: Session, day: PredictionDay) -> bool:
    """Return whether the version that predicted on a day is the serving one, as the platform knows it."""
    champion = session.get(Champion, 1)
    return champion is not None and is_recorded_as(champion, day.model, day.model_version, day.model_hash)


def forget_predictions(session: Session, day_id: int, now_us: int) -> None:
    """Remove the predictions of a day, except of entities whose data must be kept now; its figures are kept.

    Predictions of earlier days that were kept are removed too if nothing keeps them any longer.
    """
    days = select(PredictionDay.id).where(or_(PredictionDay.id == day_id, PredictionDay.forgotten_us.is_not(None)))
    for block in _predicted_on(session, days):
        _remove_unheld(session, days, block, now_us)


def forget_released(session: Session, now_us: int) -> bool:
    """Remove the kept predictions of entities that are no longer held, on forgotten days; False if there are none."""
    days = select(PredictionDay.id).where(PredictionDay.forgotten_us.is_not(None))
    count = 0
    for block in _predicted_on(session, days):
        # Most are still held: only the others are locked.
        free = set(block) - held_entities(session, block, now_us)
        count += _remove_unheld(session, days, free, now_us) if free else 0
    return count > 0


def _predicted_on(session: Session, days: Select[int]) -> Iterator[Sequence[int]]:
    """Yield the entities with predictions on some days, in blocks."""
    whose = select(Prediction.entity_id).where(Prediction.day_id.in_(days)).distinct().order_by(Prediction.entity_id)
    entity_ids = session.scalars(whose).all()
    return (entity_ids[first : first + _AT_ONCE] for first in range(0, len(entity_ids), _AT_ONCE))


def _remove_unheld(session: Session, days: Select[int], entity_ids: Collection[int], now_us: int) -> int:
    """Remove entities' predictions on some days, unless their data must be kept; return how many were removed."""
    free = lock_related(session, entity_ids)
    free -= held_entities(session, free, now_us)
    of = (Prediction.day_id.in_(days), among(session, Prediction.entity_id, sorted(free)))
    result: Any = session.execute(delete(Prediction).where(*of), execution_options=UNSEEN)
    return int(result.rowcount)


def forget_judgements_after(session: Session, latest_us: int) -> None:
    """Undo the judgements of days whose horizon ends after a moment: a clock was ahead.

    Figures whose predictions were removed are kept: they could not be computed again.
    """
    day = PredictionDay
    again = or_(day.forgotten_us.is_(None), day.figures.is_(None))
    early = (or_(day.judged_us.is_not(None), day.forgotten_us.is_not(None)), again, day.horizon_ends_us > latest_us)
    nothing = dict.fromkeys(("judged_us", "state", "reasons", "figures", "forgotten_us", "lease_until_us"))
    session.execute(update(day).where(*early).values(**nothing), execution_options=UNSEEN)


def forget_days_after(session: Session, model: str, version: int, latest_us: int) -> int:
    """Remove the days of a version that are dated after a moment, as a clock was ahead; return how many."""
    later = (PredictionDay.as_of_us > latest_us, PredictionDay.model == model, PredictionDay.model_version == version)
    ids = session.scalars(select(PredictionDay.id).where(*later)).all()
    for number in ids:
        session.execute(delete(Prediction).where(Prediction.day_id == number), execution_options=UNSEEN)
        session.execute(delete(PredictionDay).where(PredictionDay.id == number), execution_options=UNSEEN)
    return len(ids)


def type_name(session: Session, type_id: int) -> str:
    """Return the name of a type."""
    return session.get_one(EntityType, type_id).name


class PredictionDayRow(NamedTuple):
    """A day of predictions, and the name of the type."""

    day: PredictionDay
    entity_type: str


def days_of(session: Session, organisation_id: int, version: int, part: Part) -> Page[PredictionDayRow]:
    """List the days on which a version of the model in use made predictions for an organisation, the latest first."""
    day = PredictionDay
    statement = (
        select(day, EntityType.name)
        .join(EntityType, EntityType.id == day.type_id)
        .where(day.organisation_id == organisation_id, day.model_version == version, _is_of_model_in_use())
    )
    return rows_of(session, statement, (day.as_of_us, day.id), part, descending=True).map(
        lambda row: PredictionDayRow(*row)
    )


class DecidingDay(NamedTuple):
    """The day by which a version is judged, for one type of an organisation.

    Attributes:
        day: the latest day that could be compared; if none could, the latest that was evaluated.
        entity_type: the name of the type.
        unknown_from: the first later day (days since 1970) with an unknown result; None without one.
    """

    day: PredictionDay
    entity_type: str
    unknown_from: int | None


def deciding_days(session: Session, organisation_id: int, version: int) -> list[DecidingDay]:
    """Return the days by which a version is judged for an organisation, by the names of the types."""
    day, later = PredictionDay, aliased(PredictionDay)
    of = (day.organisation_id == organisation_id, day.model_version == version, _is_of_model_in_use())
    same = (later.type_id == day.type_id, later.model == day.model, later.model_version == day.model_version)
    unknown = select(func.min(later.day)).where(*same, later.judged_us.is_not(None), later.as_of_us > day.as_of_us)
    statement = _deciding(unknown.scalar_subquery(), of).order_by(EntityType.name)
    return [DecidingDay(*row) for row in session.execute(statement)]


class Verdict(NamedTuple):
    """The verdict of the deciding day of a version, for one type of an organisation.

    Attributes:
        organisation: the name of the organisation.
        state: `due`, `holds` or `unknown`.
        reasons: sentences.
    """

    organisation_id: int
    organisation: str
    entity_type: str
    state: str
    reasons: Sequence[str]


def verdicts_now(session: Session) -> list[Verdict]:
    """Return the verdicts on the serving version, for all organisations and types that have one."""
    champion = session.get(Champion, 1)
    return (
        [] if champion is None else verdicts_on(session, champion.model, champion.model_version, champion.content_hash)
    )


def verdicts_on(session: Session, model: str, version: int, model_hash: str | None) -> list[Verdict]:
    """Return the verdicts on a version, for all organisations and types; with a hash, only on that model."""
    day = PredictionDay
    whose = select(Organisation.name).where(Organisation.id == day.organisation_id).scalar_subquery()
    statement = _deciding(whose, _of_version(model, version, model_hash))
    rows = session.execute(statement.order_by(day.organisation_id, day.type_id))
    return [
        Verdict(row.organisation_id, organisation, type_name, row.state or UNKNOWN, row.reasons or ())
        for row, type_name, organisation in rows
    ]


def has_days(session: Session, model: str, version: int, model_hash: str) -> bool:
    """Return whether predictions of a version are stored for any day."""
    of = _of_version(model, version, model_hash)
    return session.scalar(select(PredictionDay.id).where(*of).limit(1)) is not None


def _of_version(model: str, version: int, model_hash: str | None) -> tuple[Any, ...]:
    day = PredictionDay
    is_same = () if model_hash is None else (day.model_hash == model_hash,)
    return (day.model == model, day.model_version == version, *is_same)


def _is_of_model_in_use() -> Any:
    """Build the condition that a day is of the model in use: version numbers repeat across model names."""
    in_use = select(Champion.model).where(Champion.id == 1).scalar_subquery()
    return PredictionDay.model == func.coalesce(in_use, PredictionDay.model)


def _deciding(beside: Any, which: tuple[Any, ...]) -> Any:
    """Select for each type the deciding day among those of one version, the type's name, and the column *beside*.

    If two models have one number, as after a registry was recreated, the one that predicted last counts.
    """
    day, last = PredictionDay, aliased(PredictionDay)
    same = (last.type_id == day.type_id, last.model == day.model, last.model_version == day.model_version)
    newest = select(last.model_hash).where(*same).order_by(last.as_of_us.desc()).limit(1).correlate(day)
    is_judged = (day.judged_us.is_not(None), day.model_hash == newest.scalar_subquery(), *which)
    comparable = func.max(case((day.state.in_(_COMPARABLE), day.as_of_us)))
    at = select(day.type_id, func.coalesce(comparable, func.max(day.as_of_us)).label("as_of_us")).where(*is_judged)
    latest = at.group_by(day.type_id).subquery()
    is_chosen = and_(day.type_id == latest.c.type_id, day.as_of_us == latest.c.as_of_us)
    return (
        select(day, EntityType.name, beside)
        .join(latest, is_chosen)
        .join(EntityType, EntityType.id == day.type_id)
        .where(*is_judged)
    )
