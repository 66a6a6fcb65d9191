"""What customers are worth, and nothing of how risky they are: the portfolio, the search and one customer.

The pages of people who may not know a level; what is shown here never comes from one.
"""

from dataclasses import dataclass
from math import isinf, nan
from typing import Final

from fivefold.charts.bars import Bar, waterfall_bars
from fivefold.charts.series import Sparkline, sparkline
from fivefold.charts.steps import SCORE_AXIS
from fivefold.charts.text.numbers import typeset
from fivefold.console.filters import Listing, chosen_type, listing_of, type_names
from fivefold.console.levels.portfolio import show_nobody
from fivefold.console.texts import text
from fivefold.console.visit import NOTICE, Answer, Redirect, Rendered, Visit, address
from fivefold.domain.breakdown import Breakdown, Contribution, TotalInterval
from fivefold.domain.clock import day_text, from_microseconds
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.domain.segments import DEFAULT_CUT_POINTS, SEGMENTS
from fivefold.models.explain import value_text
from fivefold.models.value_model import interval_ends
from fivefold.usecases.groups.members import EntityGroup, groups_of_entity
from fivefold.usecases.levels.value_scores import IndicatorLine, IndicatorYear, ValueView, read_value
from fivefold.usecases.portfolio.export import ExportedValue
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


@dataclass(frozen=True, kw_only=True)
class IndicatorRow:
    """One indicator of a customer.

    Attributes:
        part: its effect on the score; `seen` is the customer's number with its unit.
        median: of the reference portfolio, or what is known of it; a dash where nothing is.
    """

    part: Contribution
    median: str


@dataclass(frozen=True, kw_only=True)
class FamilyRows:
    """The indicators of one family that raise or lower the score, with the sum of their points."""

    name: str
    points: float
    rows: tuple[IndicatorRow, ...]


@dataclass(frozen=True, kw_only=True)
class ValueHalf:
    """What a customer is worth: by family, and by indicator within each.

    Attributes:
        reference: the day of the medians.
        between: the interval of the money, in words; empty where there is none.
    """

    value: ValueView
    bars: tuple[Bar, ...]
    families: tuple[FamilyRows, ...]
    reference: str
    between: str


def value_half(value: ValueView | None) -> ValueHalf | None:
    """Lay out a customer's value; None where there is none."""
    if value is None:
        return None
    breakdown, indicators = value.breakdown, value.indicators
    if breakdown is None or indicators is None:
        return ValueHalf(value=value, bars=(), families=(), reference="", between=interval_text(value))
    largest_first = [part for part in breakdown.largest_first() if part.points]
    families = tuple(
        FamilyRows(
            name=name,
            points=points,
            rows=tuple(
                IndicatorRow(part=part, median=median_text(indicators.lines[part.name], value.currency))
                for part in largest_first
                if part.family == name
            ),
        )
        for name, points in breakdown.families().items()
    )
    return ValueHalf(
        value=value,
        bars=_bars(breakdown, value.score_interval),
        families=families,
        reference=day_text(indicators.reference_us),
        between=interval_text(value),
    )


def interval_text(value: ValueView | ExportedValue) -> str:
    """Say between what the value will lie; nothing where the model kept no interval."""
    low, high, level = value.expected_value_low, value.expected_value_high, value.interval_level_percent
    if low is None or level is None:
        return ""
    low_text, high_text = interval_ends(low, high, value.currency)
    if not high_text:
        return text("{low} {currency} or more, {level} % sure", low=low_text, currency=value.currency, level=level)
    ends = {"low": low_text, "high": high_text}
    return text("between {low} and {high} {currency}, {level} % sure", **ends, currency=value.currency, level=level)


def median_text(of: IndicatorLine, currency: str) -> str:
    """Write the median of the reference portfolio, or the two numbers that it lies between; a dash for none."""
    if of.median is None:
        return "–"
    low, high = (typeset(value_text(bound, of.unit, currency)) for bound in of.median)
    if of.median[0] == of.median[1]:
        return low
    if isinf(of.median[1]):
        return text("above {low}", low=low)
    return text("below {high}", high=high) if isinf(of.median[0]) else text("{low} to {high}", low=low, high=high)


def _bars(breakdown: Breakdown, interval: TotalInterval | None) -> tuple[Bar, ...]:
    sums = tuple(
        Contribution(name, name, None, "points", points, "", label=name)
        for name, points in breakdown.families().items()
    )
    return waterfall_bars(
        Breakdown(breakdown.base, sums, DEFAULT_CUT_POINTS),
        base_label=text("Score of the average prediction"),
        total_label=text("Score"),
        axis=SCORE_AXIS,
        interval=interval,
    )


VALUES: Final = "/console/values"
SEARCH: Final = "/console/value-search"


@dataclass(frozen=True, kw_only=True)
class ValuesPage:
    """The segments of a type, and who is in them: the highest expected value first.

    Attributes:
        segment: of the customers that are listed, as it was chosen; empty for all who have a value.
        fullest: so many are in the largest segment.
    """

    types: tuple[str, ...]
    portfolio: PortfolioValue
    segment: str
    fullest: int
    listing: Listing[CustomerValue]
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
    listing: Listing[CustomerValue]
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
    types = type_names(visit)
    if not types:
        return show_nobody(text("Portfolio"))
    typed_type, kind = chosen_type(visit, types)
    portfolio = value_by_segment(visit, kind)

    def customers(part: Part) -> Page[CustomerValue]:
        segment = visit.choice("segment", ("", *SEGMENTS))
        return list_values(visit, typed_type, (segment,) if segment else (), part)

    listing = listing_of(customers, visit.part("values"))
    page = ValuesPage(
        types=types,
        portfolio=portfolio,
        segment=visit.filters(("segment",))["segment"],
        fullest=max((each.entities for each in portfolio.segments), default=0),
        listing=listing,
        next=visit.next_of("values", listing.rows),
    )
    return Rendered(template="levels/values.html", title=text("Portfolio"), page=page, status=listing.status)


def search_by_identifier(visit: Visit) -> Answer:
    """Find customers by the beginnings of words of identifiers; go straight to the one of a whole identifier."""
    _require_filters(visit, "type", "text")
    typed = visit.query.get("text", "").strip()
    types = type_names(visit)
    if not types:
        return show_nobody(text("Search"))
    counts = {kind: count_values(visit, kind, typed) for kind in types if typed}
    with_most = sorted(types, key=lambda kind: -counts[kind].count) if counts else types
    kind = visit.query.get("type") or with_most[0]

    def customers(part: Part) -> Page[CustomerValue]:
        return search_values(visit, kind, typed, part) if counts else Page[CustomerValue]()

    listing = listing_of(customers, visit.part("found"), wrong=(NotFoundError,))
    is_only_one = sum(counted.count for counted in counts.values()) == 1 and "type" not in visit.query
    if is_only_one and [line.external_id for line in listing.rows] == [typed]:
        return Redirect(address("values", kind, typed))
    page = ValueSearchPage(
        text=typed, counts=counts, type=kind, listing=listing, next=visit.next_of("found", listing.rows)
    )
    return Rendered(template="levels/value_search.html", title=text("Search"), page=page, status=listing.status)


def show_customer_value(visit: Visit) -> Rendered:
    """Show what one customer is worth, and why."""
    kind, external_id = visit.parts["type"], visit.parts["external_id"]
    value = value_half(read_value_alone(visit, kind, external_id, valuer=visit.valuer))
    groups = groups_of_entity(visit, kind, external_id, with_aml=False)
    page = CustomerValuePage(external_id=external_id, type=kind, value=value, groups=groups)
    return Rendered(template="levels/customer_value.html", title=external_id, page=page)


def _require_filters(visit: Visit, *names: str) -> None:
    """Raise ConfigError where the address asks for more than these pages filter by, such as a level or a tag."""
    others = sorted(visit.query.keys() - {*names, "after", NOTICE})
    if others:
        words = {"names": ", ".join(others), "known": ", ".join(names)}
        raise ConfigError(text("values are not filtered by {names}; they are by {known}", **words))


@dataclass(frozen=True, kw_only=True)
class IndicatorSeries:
    """One indicator over the year.

    Attributes:
        row: as the page of the customer has it.
        line: None where the indicator was never defined.
        description: the line in words; empty without one.
        months: the number at each moment of the year; a dash before the first transaction.
    """

    row: IndicatorRow
    line: Sparkline | None
    description: str
    months: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ValueYearPage:
    """The indicators over the year.

    Attributes:
        customer: the address of their page.
        half: the value; None where there is none.
        moments: what stands above the numbers: twelve months, and the day of the score.
        families: by name, without those that do not move the score; none where nothing is explained.
    """

    external_id: str
    customer: str
    half: ValueHalf | None
    moments: tuple[str, ...]
    families: tuple[tuple[str, tuple[IndicatorSeries, ...]], ...]


def show_value_year(visit: Visit) -> Rendered:
    """Show each indicator that moves the score, with its number at the end of each month."""
    entity_type, external_id = visit.parts["type"], visit.parts["external_id"]
    value = read_value(visit, entity_type, external_id, valuer=visit.valuer, over_year=True)
    page = value_year(external_id, address("entities", entity_type, external_id), value)
    title = text("Indicators over the year of {name}", name=external_id)
    return Rendered(template="levels/value_year.html", title=title, page=page)


def value_year(external_id: str, customer: str, value: ValueView | None) -> ValueYearPage:
    """Lay out the year of a value that was read over the year."""
    half, year = value_half(value), None if value is None else value.indicators
    if half is None or year is None:
        return ValueYearPage(external_id=external_id, customer=customer, half=half, moments=(), families=())
    *months, at_score = map(from_microseconds, year.moments_us)
    moments = (*(f"{end:%Y-%m}" for end in months), f"{at_score:%Y-%m-%d}")
    families = tuple(
        (family.name, tuple(_course(row, year, moments, half.value.currency) for row in family.rows))
        for family in half.families
        if family.rows
    )
    return ValueYearPage(external_id=external_id, customer=customer, half=half, moments=moments, families=families)


def _course(row: IndicatorRow, year: IndicatorYear, moments: tuple[str, ...], currency: str) -> IndicatorSeries:
    of = year.lines[row.part.name]

    def shown(value: float | None) -> str:
        return typeset(value_text(nan if value is None else value, of.unit, currency))

    months = (*["–"] * year.before_first, *map(shown, of.values[year.before_first :]))
    line, description = sparkline(year.moments_us, of.values), ""
    if line is not None:
        known_places = [place for place, value in enumerate(of.values) if value is not None]
        description = text(
            "From {first} ({since}) to {last} ({until}); the lowest is {lowest}, the highest {highest}.",
            first=months[known_places[0]],
            since=moments[known_places[0]],
            last=months[known_places[-1]],
            until=moments[known_places[-1]],
            lowest=shown(line.lowest),
            highest=shown(line.highest),
        )
    return IndicatorSeries(row=row, line=line, description=description, months=months)
