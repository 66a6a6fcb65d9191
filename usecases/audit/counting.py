"""Counters that differ from what they count are counted anew, as after a restore without triggers."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from fivefold.domain.errors import ConfigError
from fivefold.store.audit import counters
from fivefold.store.audit.counters import CounterDifference
from fivefold.store.sql.database import reading, writing
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import record
from fivefold.usecases.shared.correction_columns import MOST_REASON_CHARACTERS

REPAIRED = "counters.repaired"


@dataclass(frozen=True, order=True)
class RepairedCounters:
    """How many cells of a table of counters differed, for one organisation."""

    organisation_id: int
    table: str
    cells: int


@dataclass(frozen=True)
class CounterRepair:
    """The result of a repair of counters: the repaired ones, and the cells that were left as they are."""

    repaired: Sequence[RepairedCounters]
    left: Sequence[CounterDifference]


def repair_counters(engine: Engine, actor: str, reason: str) -> CounterRepair:
    """Correct the counters of all organisations; return those that differed, and those that cannot be counted anew.

    Each organisation is a transaction with an entry in the audit log. Assessments wait for it.

    Args:
        engine: the database.
        actor: who asks for it.
        reason: why, for the audit log.

    Raises:
        ConfigError: there is no reason.
        StoreError: the database is out of reach.
    """
    if not 1 <= len(reason.strip()) <= MOST_REASON_CHARACTERS:
        raise ConfigError(f"a repair needs a reason of 1 to {MOST_REASON_CHARACTERS} characters")
    with reading(engine) as session:
        differences = list(counters.differences(session.connection()))
    differing = {each.organisation_id for each in differences if not each.obstacle}
    repaired: list[RepairedCounters] = []
    for organisation_id in sorted(differing):
        with writing(engine) as session:
            cells = counters.repair(session.connection(), organisation_id)
            by, about = Actor(organisation_id, actor), ("organisation", organisation_id)
            if cells:
                record(session, by, REPAIRED, about, details={"reason": reason, **cells})
        repaired += [RepairedCounters(organisation_id, table, number) for table, number in sorted(cells.items())]
    return CounterRepair(repaired, [each for each in differences if each.obstacle])
