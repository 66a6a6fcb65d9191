"""The queue: work that waits for a person, who works on it, and what comes next; actions on many items at once.

Overrides are always requested one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final
from urllib.parse import parse_qsl, urlencode

from fivefold.charts.bars import BarSpan, share_spans
from fivefold.console.filters import Listing, listing_of, type_names
from fivefold.console.queue.place import (
    QueueBar,
    bar_of,
    carried_filter,
    carried_place,
    filter_text,
    page_behind,
    page_of_item,
    subject_of_item,
    trail_to,
)
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, whole_number
from fivefold.domain.errors import ConfigError, ConflictError, InvalidDataError, NotFoundError
from fivefold.domain.paging import Key, Page, Part
from fivefold.usecases.accounts.organisations import MemberLine, list_members
from fivefold.usecases.accounts.settings import read_levels
from fivefold.usecases.changes import facts
from fivefold.usecases.levels import read
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.queue.items import (
    MINE,
    UNASSIGNED,
    QueueCount,
    QueueItem,
    change_item,
    count_items,
    flows_that_ask,
    key_of,
    list_items,
    may_take,
    next_item,
    own_number,
    read_item,
)
from fivefold.usecases.queue.seen import kinds_for
from fivefold.usecases.queue.views import (
    FILTERS,
    QueueViewShown,
    filters_of,
    list_views,
    may_change,
    remove_view,
    save_view,
)
from fivefold.usecases.shared.inputs import FEW_DIGITS, checked_reason, digits

QUEUE: Final = "GET /v1/queue"
WORK: Final = "PUT /v1/queue/{item}"

VIEW: Final = "PUT /v1/queue/views/{name}"
VIEW_END: Final = "DELETE /v1/queue/views/{name}"


@dataclass(frozen=True, kw_only=True)
class ItemLine:
    """An item, and the address where it is dealt with; the address carries the place in the queue."""

    item: QueueItem
    address: str

    @property
    def subject(self) -> str:
        """What it is about, in words."""
        return subject_of_item(self.item)


@dataclass(frozen=True, kw_only=True)
class Ageing:
    """The number of waiting items of a kind, with the spans of its bar: overdue, due within a day, and later."""

    count: QueueCount
    spans: tuple[BarSpan, ...]


@dataclass(frozen=True, kw_only=True)
class SavedView:
    """A named filter, and its address; `removable` by the present person."""

    view: QueueViewShown
    address: str
    removable: bool


@dataclass(frozen=True, kw_only=True)
class QueuePage:
    """The waiting items that the role may see and that match the filter.

    Attributes:
        chosen: the filter, by name.
        whose: the choices of whose items are shown, with their labels.
        flows: the flows that may ask; empty if flows do not ask this role.
        left: the name of the filter's member, if that member has left.
        ageing: of the shown kinds.
        start: the address of the first item.
        next: the address of the next page.
        views: the named filters.
        members: those who may take at least one of the shown items.
        filter: the chosen filter as the query of an address.
    """

    chosen: dict[str, str]
    whose: dict[str, str]
    left: str | None
    kinds: tuple[str, ...]
    types: tuple[str, ...]
    levels: tuple[str, ...]
    flows: tuple[str, ...]
    ageing: tuple[Ageing, ...]
    listing: Listing[ItemLine]
    start: str
    next: str | None
    views: tuple[SavedView, ...]
    members: tuple[MemberLine, ...]
    filter: str


@dataclass(frozen=True, kw_only=True)
class ItemPage:
    """One item, its subject, and the members who may take it; `address`: where it is dealt with, if elsewhere."""

    bar: QueueBar
    address: str | None
    subject: str
    members: tuple[MemberLine, ...]


def show_queue(visit: Visit) -> Rendered:
    """Show the waiting items, with their numbers by due date."""
    chosen = {name: visit.query.get(name, "") for name in FILTERS}
    now = visit.now()

    def lines(part: Part) -> Page[ItemLine]:
        filters = filters_of(chosen, now)
        items = list_items(visit, visit.role, filters, part)
        return items.map(lambda item: _line(visit, chosen, item, key_of(item, filters.order)))

    listing = listing_of(lines, visit.part("items"))
    items = [line.item for line in listing.rows]
    members = {str(member.id): member for member in list_members(visit)}
    theirs = members.get(chosen["assigned"])
    page = QueuePage(
        chosen=chosen,
        whose=_whose(theirs),
        left=theirs.name if theirs is not None and theirs.left_us is not None else None,
        kinds=tuple(kind.value for kind in kinds_for(visit.role)),
        types=type_names(visit),
        levels=read_levels(visit),
        flows=flows_that_ask(visit, visit.role),
        ageing=() if listing.problem else _ageing(count_items(visit, visit.role, filters_of(chosen, now))),
        listing=listing,
        start=_start(chosen),
        next=visit.next_of("items", listing.rows),
        views=tuple(
            SavedView(
                view=view,
                address=f"/console/queue?{filter_text(view.filters)}",
                removable=may_change(view, own_number(visit), visit.role),
            )
            for view in list_views(visit)
        ),
        members=tuple(member for member in members.values() if may_take(member, items)),
        filter=filter_text(chosen),
    )
    return Rendered(template="queue/queue.html", title=text("Queue"), page=page, status=listing.status)


def _whose(theirs: MemberLine | None) -> dict[str, str]:
    whose = {"": text("All"), MINE: text("Mine"), UNASSIGNED: text("Unassigned")}
    return whose if theirs is None else {**whose, str(theirs.id): theirs.name}


def _ageing(counts: list[QueueCount]) -> tuple[Ageing, ...]:
    most = max((count.total for count in counts), default=0)
    return tuple(
        Ageing(count=count, spans=share_spans((count.overdue, count.today, count.later), most)) for count in counts
    )


def _line(visit: Visit, chosen: dict[str, str], item: QueueItem, place: Key) -> ItemLine:
    return ItemLine(item=item, address=page_of_item(item) + trail_to(visit, chosen, place))


def _start(chosen: dict[str, str]) -> str:
    return f"/console/queue/next?{urlencode({'queue': filter_text(chosen)})}"


def show_next(visit: Visit) -> Redirect:
    """Lead to the item after the one in the address, or to the first one; after the last one, back to the queue."""
    chosen = carried_filter(visit)
    item_and_place = next_item(visit, visit.role, filters_of(chosen, visit.now()), carried_place(visit))
    if item_and_place is None:
        filters = filter_text(chosen)
        return Redirect(f"/console/queue?{filters}" if filters else "/console/queue", "queue-end")
    item, place = item_and_place
    return Redirect(page_of_item(item) + trail_to(visit, chosen, place))


def show_item(visit: Visit) -> Rendered:
    """Show one item; NotFoundError if there never was one of that name."""
    name = visit.parts["item"]
    item = read_item(visit, visit.role, name)
    items = () if item is None else (item,)
    page = ItemPage(
        bar=bar_of(visit, name),
        address=None if item is None else page_behind(item),
        subject="" if item is None else subject_of_item(item),
        members=tuple(member for member in list_members(visit) if may_take(member, items)),
    )
    return Rendered(template="queue/item.html", title=text("In the queue"), page=page)


def assign(visit: Visit) -> Answer:
    """Assign an item to a member, or to nobody."""
    chosen = visit.form.get("assigned_to", "").strip()
    number = whole_number(chosen, text("Assigned to")) if chosen else None
    item = change_item(visit, visit.role, visit.parts["item"], _revision(visit), assigned_to=number)
    where = visit.path if item is None else page_of_item(item)
    return Redirect(where + visit.trail, "unassigned" if number is None else "assigned")


def put_away(visit: Visit) -> Answer:
    """Finish a rise or a review, and continue with the next item of the queue, if there is one."""
    own, reason = own_number(visit), visit.form.get("reason", "").strip()
    change_item(visit, visit.role, visit.parts["item"], _revision(visit), assigned_to=own, done=True, reason=reason)
    led = show_next(visit)
    return replace(led, notice="put-away-last" if led.notice else "put-away")


def save_filter(visit: Visit) -> Answer:
    """Save the page's filter under a name, for the member or for all; a notice tells if it replaces an earlier one."""
    shared = visit.form.get("shared") == "yes"
    chosen = dict(parse_qsl(visit.form.get("filter", "")))
    name = visit.typed("name", text("Name"))
    is_there = any((each.name, each.shared) == (name, shared) for each in list_views(visit))
    save_view(visit, visit.role, name, chosen, shared=shared)
    address_after = f"/console/queue?{filter_text(chosen)}" if chosen else "/console/queue"
    return Redirect(address_after, "filter-replaced" if is_there else "filter-saved")


def remove_filter(visit: Visit) -> Answer:
    """Remove a named filter."""
    remove_view(visit, visit.role, visit.typed("name", text("Name")), shared=visit.form.get("shared") == "yes")
    return Redirect("/console/queue", "filter-removed")


def _revision(visit: Visit) -> int:
    return visit.number("revision", text("Revision"))


MOST_AT_ONCE: Final = 50
SECONDS: Final = 10.0
"""Longer computing of levels would keep this person and others waiting."""
TAG: Final = "PUT /v1/entities/{type}/{external_id}/tags/{tag}"
COMPUTE: Final = "GET /v1/entities/{type}/{external_id}/risk"


@dataclass(frozen=True, kw_only=True)
class ManyPage:
    """The result of each selected item.

    Attributes:
        done: the items for which it was done, with the result if it is not obvious.
        refused: the items for which it was not done, and why.
        queue: the address of the filtered queue.
    """

    done: tuple[tuple[ItemLine, str], ...]
    refused: tuple[tuple[ItemLine | None, str], ...]
    queue: str


def assign_many(visit: Visit) -> Rendered:
    """Assign each selected item to one member, or to nobody; not an item that has changed since it was shown."""
    typed = visit.form.get("assigned_to", "").strip()
    member = whole_number(typed, text("Assigned to")) if typed else None

    def assign(item: QueueItem, revision: int) -> str:
        change_item(visit, visit.role, item.item, revision, assigned_to=member)
        return ""

    return _each(visit, assign)


def tag_many(visit: Visit) -> Rendered:
    """Set a tag on the customer of each selected item; it is proposed if a level would fall."""
    tag = visit.typed("tag", text("Tag"))
    reason = visit.form.get("reason", "").strip()
    if reason:
        checked_reason(reason)

    def set_tag(item: QueueItem, _: int) -> str:
        outcome = facts.request_tag(visit, *_customer(item), tag, reason=reason)
        if outcome.proposal is not None:
            return text("proposed, because it may lower the level")
        return "" if outcome.changes else text("already had the tag, so nothing was changed")

    return _each(visit, set_tag)


def compute_many(visit: Visit) -> Rendered:
    """Compute the level of each selected customer again, for at most `SECONDS`."""
    until = monotonic() + SECONDS

    def compute(item: QueueItem, _: int) -> str:
        if monotonic() > until:
            raise ConflictError(text("not started: the earlier ones took {seconds} seconds", seconds=int(SECONDS)))
        level = read.read_level(visit, *_customer(item), Freshness.NOW, valuer=visit.valuer)
        moved = ""
        if item.level != level.level:
            moved = text("{before} → {after}", before=item.level or "–", after=level.level or "–")
        if level.is_in_full:
            return moved
        status = level.status if level.problem is None else read.FAILED
        problem = text("it could not be assessed in full: {status}", status=status)
        raise ConflictError(f"{problem}; {moved}" if moved else problem)

    return _each(visit, compute)


def _customer(item: QueueItem) -> tuple[str, str]:
    if item.entity_type is None or item.external_id is None:
        raise ConflictError(text("it does not concern a customer"))
    return item.entity_type, item.external_id


def _each(visit: Visit, act: Callable[[QueueItem, int], str]) -> Rendered:
    """Apply an action to each selected item, and report each result."""
    chosen = {name.removeprefix("item-"): value for name, value in visit.form.items() if name.startswith("item-")}
    if not chosen:
        raise ConfigError(text("select at least one"))
    if len(chosen) > MOST_AT_ONCE:
        raise ConfigError(text("{count} are selected; select 1 to {most}", count=len(chosen), most=MOST_AT_ONCE))
    done: list[tuple[ItemLine, str]] = []
    refused: list[tuple[ItemLine | None, str]] = []
    for name, revision in chosen.items():
        line = None
        try:
            line = _chosen(visit, name)
            shown_revision = digits(revision, FEW_DIGITS)
            done.append((line, act(line.item, -1 if shown_revision is None else shown_revision)))
        except (ConfigError, ConflictError, InvalidDataError, NotFoundError) as error:
            refused.append((line, str(error)))
    filters = filter_text(dict(parse_qsl(visit.form.get("filter", ""))))
    queue = f"/console/queue?{filters}" if filters else "/console/queue"
    page = ManyPage(done=tuple(done), refused=tuple(refused), queue=queue)
    return Rendered(template="queue/many.html", title=text("What was done"), page=page)


def _chosen(visit: Visit, name: str) -> ItemLine:
    item = read_item(visit, visit.role, name)
    if item is None:
        raise ConflictError(text("item {name} has left the queue", name=name))
    return ItemLine(item=item, address=page_of_item(item))
