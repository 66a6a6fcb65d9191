"""What the counters of the portfolio must equal: a count of every standing."""

from sqlalchemy import Connection, case, func, select
from sqlalchemy.orm import Session

from fivefold.store.levels.levels import CountedCell, counted_cells
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Standing


def assert_counted(connection: Connection) -> None:
    """Compare the counters of every type with a recount."""
    with Session(bind=connection) as session:
        types = session.execute(select(Standing.organisation_id, Standing.type_id).distinct()).all()
        for organisation_id, type_id in types:
            counted = counted_cells(session, organisation_id, type_id)
            assert counted == recounted_cells(session, organisation_id, type_id)


def recounted_cells(session: Session, organisation_id: int, type_id: int) -> list[CountedCell]:
    """Count the cells from the standing of every entity that was not erased."""
    segment, currency = func.coalesce(Standing.segment, ""), func.coalesce(Standing.value_currency, "")
    by = (func.coalesce(Standing.level, 0), segment, currency)
    hundredths = func.round(Standing.expected_value * 100)
    cents = func.sum(case((Standing.expected_value.is_(None), 0), else_=hundredths))
    statement = (
        select(*by, func.count(), cents)
        .join(Entity, Entity.id == Standing.entity_id)
        .where(Standing.organisation_id == organisation_id, Standing.type_id == type_id, Entity.erased_us.is_(None))
        .group_by(*by)
        .order_by(*by)
    )
    rows = session.execute(statement).all()
    return [
        CountedCell(level, segment, currency, int(entities), int(cents))
        for level, segment, currency, entities, cents in rows
    ]
