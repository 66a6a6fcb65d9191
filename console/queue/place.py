"""A person's place in the queue: a filter and a position, which addresses carry from item to item."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from fivefold.console.changes.words import change_subject
from fivefold.console.texts import text
from fivefold.console.visit import Visit, address
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Key, cursor_of, key_of
from fivefold.store.queue.items import QueueOrder
from fivefold.usecases.queue.items import QueueItem, item_at, own_number, read_item, role_sees
from fivefold.usecases.queue.views import FILTERS

_PAGES: Final = {
    "change": "proposals",
    "challenge": "challenges",
    "question": "flow-runs",
}
"""Where items with a page of their own are dealt with, by kind."""
_OF_VERSIONS: Final = {"policy": "policies", "group": "groups", "ruleset": "rulesets", "flow": "flows"}
_WITHOUT_BAR: Final = {
    "token": address("administration", "tokens"),
    "validation": address("validation"),
    "material": address("validation"),
}
"""Where items are dealt with on pages without a link to the next item; the item's own page links to both."""


@dataclass(frozen=True, kw_only=True)
class QueueBar:
    """The bar on the page of an item: what it is, and the link to the next one.

    Attributes:
        name: of the item, such as rise-12-3.
        item: None if it has left the queue.
        queue: the address of the filtered queue.
        next: the address that leads to the next item.
        own: the number of the present member.
    """

    name: str
    item: QueueItem | None
    queue: str
    next: str
    own: int | None


def filter_text(chosen: Mapping[str, str]) -> str:
    """Write the filter of an address as the query of the queue's page, always in the same order.

    >>> filter_text({"kind": "rise", "assigned": "mine", "level": "", "after": "x"})
    'kind=rise&assigned=mine'
    """
    return urlencode([(name, chosen[name]) for name in FILTERS if chosen.get(name)])


def carried_filter(visit: Visit) -> dict[str, str]:
    """Return the filter in the address of an item."""
    return dict(parse_qsl(visit.query.get("queue", "")))


def carried_place(visit: Visit) -> Key | None:
    """Return the place in the queue from the address; ConfigError if it belongs to another queue."""
    place = visit.query.get("place", "")
    return key_of(_queue_name(visit, carried_filter(visit)), place) if place else None


def trail_to(visit: Visit, chosen: Mapping[str, str], place: Key) -> str:
    """Write the part of an item's address with the filter and the place in the queue."""
    cursor = cursor_of(_queue_name(visit, chosen), place)
    return f"?{urlencode({'queue': filter_text(chosen), 'place': cursor})}"


def _queue_name(visit: Visit, chosen: Mapping[str, str]) -> str:
    return f"{visit.organisation_id} queue {chosen.get('order') or QueueOrder.DUE}"


def page_of_item(item: QueueItem) -> str:
    """Return the address where an item is dealt with: of its customer, of its subject, or its own."""
    if item.kind in _OF_VERSIONS:
        return address(_OF_VERSIONS[item.kind], item.about, "versions", str(item.version))
    if item.kind in _PAGES:
        return address(_PAGES[item.kind], item.item.split("-")[1])
    if item.entity_type is None or item.external_id is None:
        return address("queue", "items", item.item)
    return address("entities", item.entity_type, item.external_id)


def page_behind(item: QueueItem) -> str | None:
    """Return the address to which an item's own page links; None if there is none."""
    if item.kind in _WITHOUT_BAR:
        number = f"/{item.item.split('-')[1]}" if item.kind == "validation" else ""
        return _WITHOUT_BAR[item.kind] + number
    return None if item.external_id is None else page_of_item(item)


def subject_of_item(item: QueueItem) -> str:
    """Name the subject of an item: the customer, or what is changed or decided."""
    if item.external_id is not None:
        return item.external_id
    if item.kind == "change":
        kind, _, subject = item.about.partition(": ")
        return change_subject(kind, subject)
    if item.version is not None:
        return text("{name} version {number}", name=item.about, number=item.version)
    if item.kind == "token":
        return text("token of the role {role}", role=item.about)
    return item.about or text("validation {number}", number=item.item.split("-")[1])


def queue_bar(visit: Visit) -> QueueBar | None:
    """Return the bar of the item that the person came for; None if they did not come from the queue.

    Also None for an address copied from a person of another role, if the reader's role may not see such items.
    """
    place = carried_place(visit)
    if place is None:
        return None
    name = item_at(place)
    return bar_of(visit, name) if role_sees(visit, visit.role, name) else None


def bar_of(visit: Visit, name: str) -> QueueBar:
    """Return the bar of an item; an item whose customer was erased has left the queue."""
    try:
        item = read_item(visit, visit.role, name)
    except NotFoundError:
        item = None
    chosen = filter_text(carried_filter(visit))
    return QueueBar(
        name=name,
        item=item,
        queue=f"/console/queue?{chosen}" if chosen else "/console/queue",
        next=f"/console/queue/next{visit.trail}",
        own=own_number(visit),
    )
