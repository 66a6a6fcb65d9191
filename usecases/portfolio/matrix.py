"""Value and risk of a portfolio together: the number of customers and their value, at each level in each segment."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fivefold.domain.segments import SEGMENTS
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import type_named
from fivefold.store.levels.levels import NotInFullCount, count_failing, count_not_in_full, counted_cells
from fivefold.store.rulesets.rulesets import active_versions
from fivefold.usecases.shared.api_fields import schema
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class Money:
    """A sum of expected values, in one currency."""

    amount: float
    currency: str


@schema("MatrixCell")
@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """The entities at one level and in one segment.

    Attributes:
        level: the name of the level; None for entities without one.
        segment: the name of the segment; None for entities without a value.
        entities: the number of entities.
        worth: their expected value, by currency.
    """

    level: str | None
    segment: str | None
    entities: int
    worth: list[Money]


@schema("Matrix")
@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The assessed entities of a type by risk and by value; and how many could not be assessed.

    Attributes:
        levels: the organisation's, the lowest first.
        segments: the segments of the value, the lowest first.
        entities: the number of assessed entities.
        deciding: whether a ruleset is active for the type.
        not_in_full: how many entities were last not assessed in full, by status; statuses without any are left out.
        not_in_full_without_level: how many of these have no level. To all other entities without one, no ruleset
            applied when they were last assessed: none was active then, or no active one applied.
        failing: how many entities could not be assessed at the last attempt, also those never assessed.
        quarantined: how many of these failed too often to be tried again.
        cells: the cells that have entities.
    """

    entity_type: str
    levels: list[str]
    segments: list[str]
    entities: int
    deciding: bool
    not_in_full: dict[str, int]
    not_in_full_without_level: dict[str, int]
    failing: int
    quarantined: int
    cells: list[MatrixCell]

    def by_level(self) -> dict[str, int]:
        """Count the entities at each level, the highest first."""
        return {name: self._at(name) for name in reversed(self.levels)}

    @property
    def without_level(self) -> int:
        """The number of assessed entities without a level."""
        return self._at(None)

    @property
    def without_ruleset(self) -> int:
        """The number of entities without a level to which no ruleset applied at their last assessment."""
        return self.without_level - sum(self.not_in_full_without_level.values())

    def _at(self, level: str | None) -> int:
        return sum(cell.entities for cell in self.cells if cell.level == level)


def value_and_risk(context: Context, type_name: str) -> Matrix:
    """Return the matrix of a type, from counters: it takes as long for ten million entities as for ten.

    Entities that were not assessed in full, or that fail, have no counter: one statement each counts them.
    NotFoundError if there is no such type.
    """
    with context.at_one_moment() as then, then.reading() as session:  # counters and standings differ in between
        kind = type_named(session, context.organisation_id, type_name)
        names = levels_of(session, context.organisation_id)
        counts = counted_cells(session, context.organisation_id, kind.id)
        deciding = bool(active_versions(session, context.organisation_id, kind.id))
        counts_not_in_full = count_not_in_full(session, context.organisation_id, kind.id)
        failing = count_failing(session, context.organisation_id, kind.id)
    cells: dict[tuple[int, str], MatrixCell] = {}
    for cell in counts:
        key = (cell.level, cell.segment)
        before = cells.get(key)
        worth = [] if before is None else before.worth
        if cell.currency:
            worth = [*worth, Money(amount=cell.cents / 100, currency=cell.currency)]
        cells[key] = MatrixCell(
            level=names[cell.level - 1] if cell.level else None,
            segment=cell.segment or None,
            entities=cell.entities + (0 if before is None else before.entities),
            worth=worth,
        )
    return Matrix(
        entity_type=type_name,
        levels=list(names),
        segments=list(SEGMENTS),
        entities=sum(cell.entities for cell in cells.values()),
        deciding=deciding,
        not_in_full=_by_status(counts_not_in_full),
        not_in_full_without_level=_by_status(each for each in counts_not_in_full if not each.has_level),
        failing=failing.entities,
        quarantined=failing.quarantined,
        cells=list(cells.values()),
    )


def _by_status(counts: Iterable[NotInFullCount]) -> dict[str, int]:
    by_status = Counter[str]()
    for each in counts:
        by_status[each.status] += each.entities
    return dict(by_status)
