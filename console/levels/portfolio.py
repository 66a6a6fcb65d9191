"""The portfolio: how many customers are at which level."""

from dataclasses import dataclass

from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit
from fivefold.domain.paging import Page
from fivefold.usecases.accounts.entity_types import list_types
from fivefold.usecases.levels.distribution import Distribution, distribution
from fivefold.usecases.portfolio.current_levels import CurrentLevel, LevelFilters, list_current_levels


@dataclass(frozen=True, kw_only=True)
class LevelCount:
    """How many of a type are at a level, and the share of all of them."""

    level: str
    entities: int
    share: float


@dataclass(frozen=True, kw_only=True)
class PortfolioPage:
    """The levels of a type of entity, and who stands where: the riskiest first.

    Attributes:
        level: of the customers that are listed; None for all.
    """

    types: tuple[str, ...]
    type: str
    distribution: Distribution
    counts: tuple[LevelCount, ...]
    level: str | None
    customers: Page[CurrentLevel]
    next: str | None


def show_portfolio(visit: Visit) -> Rendered:
    """Show the levels of one type, and its customers, of all levels or of the one that the address names."""
    types = tuple(each.name for each in list_types(visit))
    kind = visit.choice("type", types or ("customer",))
    found = distribution(visit, kind)
    level = visit.choice("level", ("", *found.levels)) or None
    filters = LevelFilters(levels=() if level is None else (level,))
    customers = list_current_levels(visit, kind, filters, part=visit.part("customers"))
    page = PortfolioPage(
        types=types,
        type=kind,
        distribution=found,
        counts=_counts(found),
        level=level,
        customers=customers,
        next=visit.next_of("customers", customers),
    )
    return Rendered(template="levels/portfolio.html", title=text("Portfolio"), page=page)


def _counts(found: Distribution) -> tuple[LevelCount, ...]:
    return tuple(
        LevelCount(level=level, entities=entities, share=entities / found.entities if found.entities else 0.0)
        for level, entities in found.by_level().items()
    )
