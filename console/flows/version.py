"""One version of a flow: its graph, changes, examples, text and activation; and the shadow beside what acts."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.flows.graph import FlowPicture, picture_of_text
from fivefold.console.flows.replays import ReplayShown, replay_shown
from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.rulesets.text import LineChange, TextLine, line_changes, numbered_lines
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address
from fivefold.domain.paging import Page
from fivefold.risk.governance.differences import DocumentDifference
from fivefold.usecases.audit.search import VersionEnd
from fivefold.usecases.flows.activate import activate_flow, replays_of_version, shadow_flow, what_stands_against_flow
from fivefold.usecases.flows.read import (
    FlowLine,
    FlowVersionView,
    compare_flow_versions,
    how_flow_version_ended,
    read_flow_line,
    read_flow_version,
)
from fivefold.usecases.flows.replays.jobs import FlowReplayLine, list_flow_replays, read_flow_replay
from fivefold.usecases.flows.runs.shadows import EndsOfBoth, ShadowPair, compare_shadow, list_shadow_pairs

MOST_REPLAYS: Final = 5
"""The most replays of a version that its page lists at once."""


@dataclass(frozen=True, kw_only=True)
class FlowVersionPage:
    """One version.

    Attributes:
        against: the number of the version that it is compared with; None if there is no other.
        others: numbers of versions to compare with: the one that acts, the one before, and the chosen one.
        changes: the lines that differ from that version.
        difference: the differences in meaning, from that version to this one; None if there is no other.
        replays: over history, the latest request first.
        next_replays: the address of the page of earlier ones.
        shown: the replay that its activation stores, or else the latest finished one; None if there is none.
        replay_kept: the number of the latest one that is finished beside the version that acts; None if there is none.
        bar: the item of the queue from which the person came.
        hindrances: why this person cannot activate it now; None if it acts already.
        ended: since when it last acted, and how that ended; None if it acts now, or never did.
    """

    flow: FlowLine
    address: str
    version: FlowVersionView
    picture: FlowPicture | None
    lines: tuple[TextLine, ...]
    against: int | None
    others: tuple[int, ...]
    changes: tuple[LineChange, ...]
    difference: DocumentDifference | None
    replays: Page[FlowReplayLine]
    next_replays: str | None
    shown: ReplayShown | None
    replay_kept: int | None
    bar: QueueBar | None
    hindrances: tuple[str, ...] | None
    ended: tuple[int, VersionEnd] | None


def show_version(visit: Visit) -> Rendered:
    """Show a version beside the one that acts, or beside the one before if it acts itself."""
    name, number = visit.version_of("flow")
    version, flow = read_flow_version(visit, name, number), read_flow_line(visit, name)
    chosen, others = visit.versions_beside(number, flow.active)
    replays = list_flow_replays(visit, name, visit.part("replays", MOST_REPLAYS), number)
    newest, kept_replay = replays_of_version(visit, name, number)
    shown = kept_replay or newest
    earlier = "" if chosen is None else read_flow_version(visit, name, chosen).document
    page = FlowVersionPage(
        flow=flow,
        address=address("flows", name, "versions", str(number)),
        version=version,
        picture=picture_of_text(version.document),
        lines=numbered_lines(version.document),
        against=chosen,
        others=others,
        changes=() if chosen is None else line_changes(earlier, version.document),
        difference=None if chosen is None else compare_flow_versions(visit, name, number, chosen),
        replays=replays,
        next_replays=visit.next_of("replays", replays),
        shown=None if shown is None else replay_shown(visit, read_flow_replay(visit, shown)),
        replay_kept=kept_replay,
        bar=queue_bar(visit),
        hindrances=None if version.active else what_stands_against_flow(visit, name, number),
        ended=None if version.active else how_flow_version_ended(visit, name, number),
    )
    title = text("{flow} version {number}", flow=name, number=number)
    return Rendered(template="flows/version.html", title=title, page=page)


def activate(visit: Visit) -> Answer:
    """Let a version act; a person who did not write it confirms that they have checked the changes."""
    name, number = visit.version_of("flow")
    read_flow_version(visit, name, number)
    reason = visit.confirmed_reason(text("confirm that you have checked what changes"))
    activate_flow(
        visit,
        name,
        number,
        reason,
        expected_active=visit.shown_number("active"),
        expected_replay=visit.shown_number("replay"),
        expected_hash=visit.shown_hash(),
    )
    return Redirect(visit.path + visit.trail, "flow-activated")


def shadow(visit: Visit) -> Answer:
    """Let a version run as a shadow, which takes no actions; one publisher is enough."""
    name, number = visit.version_of("flow")
    read_flow_version(visit, name, number)
    reason = visit.typed("reason", text("Reason"))
    shadow_flow(visit, name, number, reason, visit.shown_number("shadow"), visit.shown_hash())
    return Redirect(visit.path, "flow-shadowed")


@dataclass(frozen=True, kw_only=True)
class ShadowPage:
    """A shadow beside the version that acts.

    Attributes:
        ends: where runs of the same cause stopped, the most frequent first.
        total: the number of causes for which both versions ran.
        different: the number of these causes with different ends.
        not_comparable: the number that cannot be compared, because the shadow waits for an answer that was never given.
        acting_at: the end of the version that acts, for the listed customers; empty for any.
        shadow_at: the same for the shadow.
        people: the customers with different ends.
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
    """Show where the two versions differ, with the customers."""
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
