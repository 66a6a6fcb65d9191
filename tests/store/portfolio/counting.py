"""What the counters of the portfolio must equal: a count of every standing."""

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from fivefold.store.portfolio.counts import counted_cells, recounted_cells
from fivefold.store.tables.levels import Standing


def assert_counted(connection: Connection) -> None:
    """Compare the counters of every type with a recount."""
    with Session(bind=connection) as session:
        types = session.execute(select(Standing.organisation_id, Standing.type_id).distinct()).all()
        for organisation_id, type_id in types:
            counted = counted_cells(session, organisation_id, type_id)
            assert counted == recounted_cells(session, organisation_id, type_id)
