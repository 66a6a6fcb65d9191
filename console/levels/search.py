"""Finding a customer by the identifier that people have before them."""

from dataclasses import dataclass

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address
from fivefold.domain.errors import NotFoundError
from fivefold.usecases.accounts.entity_types import list_types
from fivefold.usecases.levels.entity_profile import EntityShown, read_entity


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """What was looked for, and the entities of that identifier, of whichever type."""

    text: str
    found: tuple[EntityShown, ...]


def search(visit: Visit) -> Answer:
    """Find an identifier among all types; go straight to the entity where there is one."""
    identifier = visit.query.get("text", "").strip()
    found = tuple(_of_any_type(visit, identifier)) if identifier else ()
    if len(found) == 1:
        return Redirect(address("entities", found[0].entity_type, found[0].external_id))
    page = SearchPage(text=identifier, found=found)
    return Rendered(template="levels/search.html", title=text("Search"), page=page)


def _of_any_type(visit: Visit, identifier: str) -> list[EntityShown]:
    found = []
    for kind in list_types(visit):
        try:
            found.append(read_entity(visit, kind.name, identifier))
        except NotFoundError:
            continue
    return found
