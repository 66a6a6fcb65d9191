"""The shadow of a flow beside the version that acts: how many come to which ends, and who comes to others."""

from dataclasses import dataclass

from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, address
from fivefold.domain.paging import Page
from fivefold.usecases.flows.read import FlowLine, read_flow_line
from fivefold.usecases.flows.runs.shadows import EndsOfBoth, ShadowPair, compare_shadow, list_shadow_pairs


@dataclass(frozen=True, kw_only=True)
class ShadowPage:
    """A shadow beside the version that acts.

    Attributes:
        ends: where runs of the same cause came to, the most first.
        total: so many causes had both versions run.
        different: so many of them came to different ends.
        not_comparable: the number that cannot be compared, as the shadow waits for an answer that was never given.
        acting_at: the end of the version that acts, of those who are listed; empty for any.
        shadow_at: the same of the shadow.
        people: who came to different ends.
    """

    flow: FlowLine
    address: str
    ends: tuple[EndsOfBoth, ...]
    total: int
    different: int
    not_comparable: int
    acting_at: str
    shadow_at: str
    people: Page[ShadowPair]
    next: str | None


def show_shadow(visit: Visit) -> Rendered:
    """Show where the two versions differ, with the people."""
    name = visit.parts["flow"]
    flow = read_flow_line(visit, name)
    ends = compare_shadow(visit, name)
    acting_at, shadow_at = visit.query.get("acting", ""), visit.query.get("shadow", "")
    people = list_shadow_pairs(visit, name, acting_at or None, shadow_at or None, visit.part("people"))
    page = ShadowPage(
        flow=flow,
        address=address("flows", name, "shadow"),
        ends=ends,
        total=sum(each.runs for each in ends),
        different=sum(each.runs for each in ends if each.comparable and not each.same),
        not_comparable=sum(each.runs for each in ends if not each.comparable),
        acting_at=acting_at,
        shadow_at=shadow_at,
        people=people,
        next=visit.next_of("people", people),
    )
    return Rendered(template="flows/shadow.html", title=text("The shadow of {flow}", flow=name), page=page)
