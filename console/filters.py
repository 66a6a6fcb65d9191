"""What the filters of a list ask for, and its rows; a wrong filter is refused where the rows would stand."""

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
    """The rows that filters ask for.

    Attributes:
        problem: why there are none: a filter cannot be read, or names nothing; empty otherwise.
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
    """Read the *rows* of a list; a wrong filter leaves the form with all that was chosen, and says what is wrong.

    *wrong*: what a filter can raise; a list of one customer has no page where that customer is not there.
    """
    try:
        return Listing(rows=rows(part))
    except wrong as error:
        status = http_status(error) or HTTPStatus.UNPROCESSABLE_ENTITY
        return Listing(rows=Page(), problem=str(error), status=status)


def period(chosen: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Read from when and before when a list's rows are, of its filters; ConfigError where one is not a moment."""
    since = read_moment(chosen["since"], text("From")) if chosen["since"] else None
    until = read_moment(chosen["until"], text("Before")) if chosen["until"] else None
    return since, until


def type_names(visit: Visit) -> tuple[str, ...]:
    """Name the types of entities, by name."""
    return tuple(kind.name for kind in list_types(visit))


def chosen_type(visit: Visit, types: tuple[str, ...]) -> tuple[str, str]:
    """Give the type that the address asks for, and the one that the page is of: the first where that is unknown."""
    query_type = visit.query.get("type") or types[0]
    return query_type, query_type if query_type in types else types[0]


def types_to_choose(visit: Visit) -> tuple[str, ...]:
    """Name the types of entities, `customer` first."""
    return tuple(sorted(type_names(visit), key=lambda name: (name != "customer", name)))


def entity_filter(visit: Visit, chosen: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """Give the types to choose from, `customer` first, and the entity that is looked for, if any.

    *chosen* has the filters as they were typed, and gets the type that counts: one counts beside an identifier alone,
    and an identifier without one is looked for in the first type.
    """
    types = types_to_choose(visit)
    if not chosen["external_id"]:
        chosen["type"] = ""
        return types, None
    chosen["type"] = chosen["type"] or next(iter(types), "customer")
    return types, (chosen["type"], chosen["external_id"])
