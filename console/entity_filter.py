"""The filter of a list by one entity: its type, and its identifier."""

from collections.abc import Mapping

from fivefold.console.visit import Visit
from fivefold.usecases.accounts.entity_types import list_types


def entity_filter(visit: Visit, chosen: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """Give the types to choose from, `customer` first, and the entity that is looked for, if any.

    *chosen* has the filters as they were typed. A type counts beside an identifier alone; an identifier without one is
    looked for in the first type.
    """
    types = tuple(sorted((kind.name for kind in list_types(visit)), key=lambda name: (name != "customer", name)))
    if not chosen["external_id"]:
        return types, None
    return types, (chosen["type"] or next(iter(types), ""), chosen["external_id"])
