"""What customers are worth, and nothing of how risky they are: the portfolio, the search and one customer.

The pages of people who may not know a level; what is shown here never comes from one.
"""

from dataclasses import dataclass
from typing import Final

from fivefold.console.levels.portfolio import show_nobody
from fivefold.console.levels.value_half import ValueHalf, value_half
from fivefold.console.texts import text
from fivefold.console.visit import NOTICE, Answer, Redirect, Rendered, Visit, address
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Page
from fivefold.domain.segments import SEGMENTS
from fivefold.usecases.accounts.entity_types import list_types
from fivefold.usecases.groups.members import EntityGroup, groups_of_entity
from fivefold.usecases.portfolio.search import EntitiesCounted
from fivefold.usecases.portfolio.values import (
    CustomerValue,
    PortfolioValue,
    count_values,
    list_values,
    read_value_alone,
    search_values,
    value_by_segment,
)

VALUES: Final = "/console/values"
SEARCH: Final = "/console/value-search"


@dataclass(frozen=True, kw_only=True)
class ValuesPage:
    """The segments of a type, and who is in them: the highest expected value first.

    Attributes:
        segment: of the customers that are listed; None for all who have a value.
        fullest: so many are in the largest segment.
    """

    types: tuple[str, ...]
    portfolio: PortfolioValue
    segment: str | None
    fullest: int
    customers: Page[CustomerValue]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class ValueSearchPage:
    """What was looked for, and whose identifiers begin so.

    Attributes:
        counts: of each type of entity, so many are found; empty before anything was looked for.
        type: of those that are listed.
    """

    text: str
    counts: dict[str, EntitiesCounted]
    type: str
    customers: Page[CustomerValue]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class CustomerValuePage:
    """What one customer is worth."""

    external_id: str
    type: str
    value: ValueHalf | None
    groups: tuple[EntityGroup, ...]


def show_values(visit: Visit) -> Rendered:
    """Show the segments of one type, and its customers: all who have a value, or those of a segment."""
    _require_filters(visit, "type", "segment")
    types = _types(visit)
    if not types:
        return show_nobody(text("Portfolio"))
    kind = visit.choice("type", types)
    portfolio = value_by_segment(visit, kind)
    segment = visit.choice("segment", ("", *SEGMENTS)) or None
    wanted = () if segment is None else (segment,)
    customers = list_values(visit, kind, wanted, visit.part("values"))
    page = ValuesPage(
        types=types,
        portfolio=portfolio,
        segment=segment,
        fullest=max((each.entities for each in portfolio.segments), default=0),
        customers=customers,
        next=visit.next_of("values", customers),
    )
    return Rendered(template="levels/values.html", title=text("Portfolio"), page=page)


def search_by_identifier(visit: Visit) -> Answer:
    """Find customers by the beginnings of words of identifiers; go straight to the one of a whole identifier."""
    _require_filters(visit, "type", "text")
    typed = visit.query.get("text", "").strip()
    types = _types(visit)
    counts = {kind: count_values(visit, kind, typed) for kind in types if typed}
    with_most = sorted(types, key=lambda kind: -counts[kind].count) if counts else types
    kind = visit.choice("type", tuple(with_most) or ("customer",))
    customers = search_values(visit, kind, typed, visit.part("found")) if counts else Page[CustomerValue]()
    is_only_one = sum(counted.count for counted in counts.values()) == 1 and "type" not in visit.query
    if is_only_one and [line.external_id for line in customers] == [typed]:
        return Redirect(address("values", kind, typed))
    page = ValueSearchPage(
        text=typed, counts=counts, type=kind, customers=customers, next=visit.next_of("found", customers)
    )
    return Rendered(template="levels/value_search.html", title=text("Search"), page=page)


def show_customer_value(visit: Visit) -> Rendered:
    """Show what one customer is worth, and why."""
    kind, external_id = visit.parts["type"], visit.parts["external_id"]
    value = value_half(read_value_alone(visit, kind, external_id, valuer=visit.valuer))
    groups = groups_of_entity(visit, kind, external_id, with_aml=False)
    page = CustomerValuePage(external_id=external_id, type=kind, value=value, groups=groups)
    return Rendered(template="levels/customer_value.html", title=external_id, page=page)


def _types(visit: Visit) -> tuple[str, ...]:
    return tuple(each.name for each in list_types(visit))


def _require_filters(visit: Visit, *names: str) -> None:
    """Raise ConfigError where the address asks for more than these pages filter by, such as a level or a tag."""
    others = sorted(visit.query.keys() - {*names, "after", NOTICE})
    if others:
        words = {"names": ", ".join(others), "known": ", ".join(names)}
        raise ConfigError(text("values are not filtered by {names}; they are by {known}", **words))
