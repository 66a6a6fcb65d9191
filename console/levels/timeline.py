"""What happened about a customer, on one timeline with two clocks."""

from dataclasses import dataclass

from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, address
from fivefold.domain.paging import Page
from fivefold.store.levels.timeline import LABELS, Clock
from fivefold.usecases.portfolio.timeline import TimelineEvent, list_events


@dataclass(frozen=True, kw_only=True)
class TimelinePage:
    """A part of what happened, the latest first.

    Attributes:
        group: of events that are shown; empty for all.
        clock: by which they are ordered.
    """

    external_id: str
    customer: str
    groups: tuple[str, ...]
    group: str
    clock: str
    events: Page[TimelineEvent]
    next: str | None


def show_timeline(visit: Visit) -> Rendered:
    """Show what happened about a customer, all of it or one group, by one of the clocks."""
    group = visit.choice("group", ("", *LABELS))
    clock = visit.choice("clock", tuple(each.value for each in Clock)[::-1])
    of = visit.parts["type"], visit.parts["external_id"]
    kinds = (group,) if group else ()
    events = list_events(visit, *of, visit.part("timeline"), kinds=kinds, clock=Clock(clock))
    page = TimelinePage(
        external_id=of[1],
        customer=address("entities", *of),
        groups=tuple(LABELS),
        group=group,
        clock=clock,
        events=events,
        next=visit.next_of("timeline", events),
    )
    return Rendered(template="levels/timeline.html", title=text("Timeline of {name}", name=of[1]), page=page)
