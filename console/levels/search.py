"""Finding a customer by what people have before them: a part of an identifier, a name, a tag; or by an error."""

from dataclasses import dataclass
from http import HTTPStatus

from fivefold.console.filters import type_names
from fivefold.console.levels.portfolio import show_nobody
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address
from fivefold.domain.errors import ConfigError, NotFoundError, http_status
from fivefold.domain.paging import Page
from fivefold.usecases.levels.entity_profile import read_entity
from fivefold.usecases.portfolio.search import EntitiesCounted, EntityFound, Search, count_entities, search_entities


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """What was looked for, and who is found.

    Attributes:
        counts: of each type of entity, so many are found; empty before anything was looked for.
        type: of those that are listed.
        next: the address of the next page.
        problem: why nothing can be looked for; empty otherwise.
    """

    wanted: Search
    counts: dict[str, EntitiesCounted]
    type: str
    entities: Page[EntityFound]
    next: str | None
    problem: str = ""


def search(visit: Visit) -> Answer:
    """Find entities by the beginnings of words, by a tag or an error; go straight to the one of a whole identifier.

    A script that asks at each letter gets results alone: what is typed so far may begin a longer identifier.
    """
    words, tag = (visit.query.get(name, "").strip() for name in ("text", "tag"))
    failing = visit.choice("failing", ("", "true")) == "true"
    wanted = Search(text=words, tag=tag or None, failing=failing or None)
    types = type_names(visit)
    if not types:
        return show_nobody(text("Search"))
    goes_on = wanted == Search(text=words) and "type" not in visit.query and not visit.is_of_script
    typed = dict.fromkeys((visit.query.get("text", ""), words)) if goes_on and words else ()
    whole = [(kind, name) for kind in types for name in typed if _is_there(visit, kind, name)]
    if len(whole) == 1:
        return Redirect(address("entities", *whole[0]))
    try:
        page, status = _results_page(visit, types, wanted), HTTPStatus.OK
    except (ConfigError, NotFoundError) as error:
        # It is said where the results stand: a script puts that part alone into the open page.
        page = SearchPage(wanted=wanted, counts={}, type="", entities=Page(), next=None, problem=str(error))
        status = HTTPStatus(http_status(error) or HTTPStatus.UNPROCESSABLE_ENTITY)
    return Rendered(template="levels/search.html", title=text("Search"), page=page, status=status)


def _results_page(visit: Visit, types: tuple[str, ...], wanted: Search) -> SearchPage:
    counts = {kind: count_entities(visit, kind, wanted) for kind in types if wanted != Search()}
    with_most = sorted(types, key=lambda kind: -counts[kind].count) if counts else types
    kind = visit.query.get("type") or with_most[0]
    entities = search_entities(visit, kind, wanted, visit.part("found")) if counts else Page[EntityFound]()
    return SearchPage(wanted=wanted, counts=counts, type=kind, entities=entities, next=visit.next_of("found", entities))


def _is_there(visit: Visit, kind: str, identifier: str) -> bool:
    try:
        read_entity(visit, kind, identifier)
    except NotFoundError:
        return False
    return True
