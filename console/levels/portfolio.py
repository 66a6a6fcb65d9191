"""The portfolio: how many customers are at which level, what they are worth, and who they are."""

from dataclasses import dataclass

from fivefold.console.filters import Listing, chosen_type, listing_of, type_names
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit
from fivefold.domain.paging import Page, Part
from fivefold.usecases.accounts.settings import NO_LEVEL, means_no_level
from fivefold.usecases.portfolio.current_levels import (
    STATUSES,
    CurrentLevel,
    LevelFilters,
    list_current_levels,
)
from fivefold.usecases.portfolio.matrix import Matrix, MatrixCell, value_and_risk

SHADES = 4
"""Of the cells of the matrix, by their share of the customers."""


@dataclass(frozen=True, kw_only=True)
class LevelShare:
    """How many of a type are at a level, and the share of all of them."""

    level: str
    entities: int
    share: float


@dataclass(frozen=True, kw_only=True)
class MatrixField:
    """A field of the matrix.

    Attributes:
        cell: None where nobody is.
        share: of all who were assessed.
        shade: from 0 for nobody to `SHADES`.
        chosen: the list below is of this one.
        query: of the address that lists who is in it; None where they cannot be listed alone.
    """

    cell: MatrixCell | None
    share: float
    shade: int
    chosen: bool
    query: dict[str, str] | None


@dataclass(frozen=True, kw_only=True)
class PortfolioPage:
    """The levels of a type of entity, and who stands where: the riskiest first.

    Attributes:
        rows: of the matrix, the highest level first, None for those without one; a field for each of `segments`.
        segments: the highest first; None for those of whom the value model knows nothing.
        level: of the customers that are listed, as it was chosen; empty for all, as are `segment` and `status`.
        at_none: those without a level are listed.
    """

    types: tuple[str, ...]
    type: str
    matrix: Matrix
    counts: tuple[LevelShare, ...]
    rows: tuple[tuple[str | None, tuple[MatrixField, ...]], ...]
    segments: tuple[str | None, ...]
    level: str
    at_none: bool
    segment: str
    status: str
    listing: Listing[CurrentLevel]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class NobodyPage:
    """What an organisation without types of entities has: nothing."""


def show_nobody(title: str) -> Rendered:
    """Say in words that there is nobody yet, on any page about a type of entity."""
    return Rendered(template="levels/nobody.html", title=title, page=NobodyPage())


def show_portfolio(visit: Visit) -> Rendered:
    """Show the matrix of one type, and its customers: all of them, or those of a level or a field."""
    types = type_names(visit)
    if not types:
        return show_nobody(text("Portfolio"))
    typed_type, kind = chosen_type(visit, types)
    matrix = value_and_risk(visit, kind)
    choices = {"level": (*matrix.levels, NO_LEVEL), "segment": matrix.segments, "status": STATUSES}
    level, segment, status = visit.filters(choices).values()

    def customers(part: Part) -> Page[CurrentLevel]:
        chosen = [visit.choice(name, ("", *choices[name])) for name in choices]
        levels, segments, statuses = ((one,) if one else () for one in chosen)
        filters = LevelFilters(levels=levels, segments=segments, statuses=statuses)
        return list_current_levels(visit, typed_type, filters, part=part)

    listing = listing_of(customers, visit.part("customers"))
    columns = (*reversed(matrix.segments), None)
    page = PortfolioPage(
        types=types,
        type=kind,
        matrix=matrix,
        counts=tuple(
            LevelShare(level=name, entities=entities, share=entities / matrix.entities if matrix.entities else 0.0)
            for name, entities in matrix.by_level().items()
        ),
        rows=_rows(matrix, columns, (level, segment)),
        segments=columns,
        level=level,
        at_none=means_no_level(level, matrix.levels),
        segment=segment,
        status=status,
        listing=listing,
        next=visit.next_of("customers", listing.rows),
    )
    return Rendered(template="levels/portfolio.html", title=text("Portfolio"), page=page, status=listing.status)


def _rows(
    matrix: Matrix, segments: tuple[str | None, ...], chosen: tuple[str, str]
) -> tuple[tuple[str | None, tuple[MatrixField, ...]], ...]:
    """Lay the cells out; those without a level have a row where there are any."""
    by_place = {(cell.level, cell.segment): cell for cell in matrix.cells}
    levels = (*reversed(matrix.levels), *([None] if matrix.without_level else []))
    fullest = max((cell.entities for cell in matrix.cells), default=0)

    def field(level: str | None, segment: str | None) -> MatrixField:
        cell = by_place.get((level, segment))
        entities = 0 if cell is None else cell.entities
        name = NO_LEVEL if level is None else level
        listed = segment is not None and (level is not None or NO_LEVEL not in matrix.levels)
        return MatrixField(
            cell=cell,
            share=entities / matrix.entities if matrix.entities else 0.0,
            shade=-(-SHADES * entities // fullest) if fullest else 0,
            chosen=listed and chosen == (name, segment),
            query={"type": matrix.entity_type, "level": name, "segment": str(segment)} if listed else None,
        )

    return tuple((level, tuple(field(level, segment) for segment in segments)) for level in levels)
