"""The filters of a list, and its rows; an invalid filter is refused in place of the rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Generic, TypeVar

from fivefold.console.texts import text
from fivefold.console.visit import Visit
from fivefold.domain.errors import ConfigError, FivefoldError, NotFoundError, http_status
from fivefold.domain.paging import Page, Part
from fivefold.usecases.accounts.entity_types import list_types
from fivefold.usecases.shared.inputs import read_moment

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Listing(Generic[T]):
    """The rows that match the filters.

    Attributes:
        problem: why there are no rows: a filter cannot be read, or names something unknown; empty otherwise.
        status: of the page.
    """

    rows: Page[T]
    problem: str = ""
    status: int = HTTPStatus.OK


def listing_of(
    rows: Callable[[Part], Page[T]],
    part: Part,
    wrong: tuple[type[FivefoldError], ...] = (ConfigError, NotFoundError),
) -> Listing[T]:
    """Read the *rows* of a list; after an invalid filter the form stays as it was filled in, with the problem.

    *wrong*: the errors that a filter can raise; a list of one customer has no page if there is no such customer.
    """
    try:
        return Listing(rows=rows(part))
    except wrong as error:
        status = http_status(error) or HTTPStatus.UNPROCESSABLE_ENTITY
        return Listing(rows=Page(), problem=str(error), status=status)


def period(chosen: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Read the period of a list's filters, from and before; ConfigError if one is not a moment."""
    since = read_moment(chosen["since"], text("From")) if chosen["since"] else None
    until = read_moment(chosen["until"], text("Before")) if chosen["until"] else None
    return since, until


def type_names(visit: Visit) -> tuple[str, ...]:
    """Name the types of entities, by name."""
    return tuple(kind.name for kind in list_types(visit))


def chosen_type(visit: Visit, types: tuple[str, ...]) -> tuple[str, str]:
    """Return the type in the address, and the type of the page: the first one if that in the address is unknown."""
    query_type = visit.query.get("type") or types[0]
    return query_type, query_type if query_type in types else types[0]


def types_to_choose(visit: Visit) -> tuple[str, ...]:
    """Name the types of entities, `customer` first."""
    return tuple(sorted(type_names(visit), key=lambda name: (name != "customer", name)))


def entity_filter(visit: Visit, chosen: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """Return the types to choose from, `customer` first, and the entity of the filters, if any.

    *chosen* has the filters as typed. Its type is set to the one that counts: a type counts only with an identifier,
    and an identifier without a type is searched in the first type.
    """
    types = types_to_choose(visit)
    if not chosen["external_id"]:
        chosen["type"] = ""
        return types, None
    chosen["type"] = chosen["type"] or next(iter(types), "customer")
    return types, (chosen["type"], chosen["external_id"])
