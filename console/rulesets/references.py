"""What workers compute for a ruleset from its customers: references for peers, and points learnt from cases."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, existing_number
from fivefold.domain.clock import DAY_US, day_text, parse_moment
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Page
from fivefold.usecases.changes.list_overview import ListState, ListVersionState, list_version_states, read_list_state
from fivefold.usecases.changes.reference_fit import PeerGroupLine, ReferenceShown, is_reference, read_reference_version
from fivefold.usecases.changes.references import request_reference
from fivefold.usecases.rulesets.points_jobs import PointsJobLine, PointsWanted, list_points_jobs, request_points
from fivefold.usecases.rulesets.read import RulesetLine, read_ruleset


@dataclass(frozen=True, kw_only=True)
class PeersPage:
    """A version of a reference for peers, and its other versions.

    Attributes:
        reference: None if the list is not a reference.
        groups: the groups with figures.
        since: the start of the shown version.
        versions: the newest first.
    """

    list: ListState
    address: str
    reference: ReferenceShown | None
    groups: tuple[PeerGroupLine, ...]
    since: str
    versions: Page[ListVersionState]
    next: str | None


def show_reference(visit: Visit) -> Rendered:
    """Show a version of a reference: the one in force, or the one in the address."""
    name = visit.parts["list"]
    state = read_list_state(visit, name)
    reference = _reference(visit, name)
    versions = list_version_states(visit, name, visit.part("versions", 20))
    page = PeersPage(
        list=state,
        address=address("lists", name),
        reference=reference,
        groups=() if reference is None else reference.groups,
        since="" if reference is None else day_text(reference.since_us),
        versions=versions,
        next=visit.next_of("versions", versions),
    )
    return Rendered(template="rulesets/peers.html", title=text("Peers of {name}", name=name), page=page)


def _reference(visit: Visit, name: str) -> ReferenceShown | None:
    since = visit.query.get("since", "")
    if not since:
        return read_reference_version(visit, name) if is_reference(visit, name) else None
    try:
        return read_reference_version(visit, name, parse_moment(since))
    except ConfigError:
        raise NotFoundError(text("there is no version {since}", since=repr(since[:40]))) from None


def build_reference(visit: Visit) -> Answer:
    """Request a reference of all customers on whom the ruleset decides; one that is under way does not start again."""
    family = visit.parts["family"]
    read_ruleset(visit, family)
    version = existing_number(visit.typed("version", text("Version")), text("version"))
    _, is_new = request_reference(visit, family, version)
    return Redirect(visit.path, "reference-asked" if is_new else "reference-under-way")


ASKED: Final = 5
"""The most requests on a page: each may have a table of a hundred lines."""
USUAL_DAYS: Final = 180
"""The offered period: half a year of cases."""


@dataclass(frozen=True, kw_only=True)
class PointsPage:
    """The requested points of a ruleset.

    Attributes:
        as_of: the offered day.
        jobs: the newest first.
    """

    ruleset: RulesetLine
    address: str
    as_of: str
    jobs: Page[PointsJobLine]
    next: str | None


def show_points(visit: Visit) -> Rendered:
    """Show the requested points, with the verdict on each request and every change."""
    family = visit.parts["family"]
    ruleset = read_ruleset(visit, family)
    jobs = list_points_jobs(visit, family, visit.part("points", ASKED))
    page = PointsPage(
        ruleset=ruleset,
        address=address("rulesets", family),
        as_of=day_text(visit.now() // DAY_US * DAY_US - USUAL_DAYS * DAY_US),
        jobs=jobs,
        next=visit.next_of("points", jobs),
    )
    return Rendered(template="rulesets/points.html", title=text("Points of {name}", name=family), page=page)


def ask_for_points(visit: Visit) -> Answer:
    """Request points, learnt from cases; a request that is under way does not start again."""
    family = visit.parts["family"]
    read_ruleset(visit, family)
    wanted = PointsWanted(
        as_of_us=visit.moment("as_of", text("Judged as of")),
        learn_as_of_us=visit.moment_if_any("learn_as_of", text("Learnt as of")),
    )
    _, is_new = request_points(visit, family, wanted)
    return Redirect(visit.path, "points-asked" if is_new else "points-under-way")
