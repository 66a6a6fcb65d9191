"""The leases of workers, on rows of any kind: entities, runs of flows, deliveries, jobs."""

from typing import Final

from sqlalchemy import Engine, func, not_, select, update

from fivefold.store.sql.clocks import lease_is_over
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.accounts import Base

_END: Final = "lease_until_us"


def last_lease_end(engine: Engine, now_us: int, latest_us: int | None = None) -> int | None:
    """Return the end of the last lease that is valid now and ends by *latest_us*; None without one."""
    ends = list[int]()
    with reading(engine) as session:
        for table in Base.metadata.sorted_tables:
            if _END not in table.c:
                continue
            until = table.c[_END]
            last = select(func.max(until)).where(not_(lease_is_over(until, now_us)))
            end = session.scalar(last if latest_us is None else last.where(until <= latest_us))
            ends += [] if end is None else [end]
    return max(ends, default=None)


def end_leases(engine: Engine, at_us: int, present_us: int) -> None:
    """End, as of the past moment *at_us*, leases that are over by *present_us* and would be valid still then."""
    with writing(engine) as session:
        for table in Base.metadata.sorted_tables:
            if _END in table.c:
                until = table.c[_END]
                over = update(table).where(not_(lease_is_over(until, at_us)), until <= present_us)
                session.execute(over.values({_END: at_us}))
