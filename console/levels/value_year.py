"""The indicators behind a customer's value over the year before it."""

from dataclasses import dataclass
from math import nan

from fivefold.charts.series import Sparkline, sparkline
from fivefold.console.levels.value_half import IndicatorRow, ValueHalf, value_half
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, address
from fivefold.domain.clock import from_microseconds
from fivefold.models.explain import value_text
from fivefold.usecases.levels.value_scores import IndicatorYear, ValueView, read_value


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
        return value_text(nan if value is None else value, of.unit, currency)

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
