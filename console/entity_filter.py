"""The filter of a list by one entity: its type, and its identifier."""

from fivefold.console.visit import Visit
from fivefold.usecases.accounts.entity_types import list_types


def entity_filter(visit: Visit, chosen: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """Give the types to choose from, `customer` first, and the entity that is looked for, if any.

    *chosen* has the filters as they were typed, and gets the type that counts: one counts beside an identifier alone,
    and an identifier without one is looked for in the first type.
    """
    types = tuple(sorted((kind.name for kind in list_types(visit)), key=lambda name: (name != "customer", name)))
    if not chosen["external_id"]:
        chosen["type"] = ""
        return types, None
    chosen["type"] = chosen["type"] or next(iter(types), "")
    return types, (chosen["type"], chosen["external_id"])
