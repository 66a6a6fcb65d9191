"""References for peers: what a version says of whom, and how a new one is asked for."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, existing_number
from fivefold.domain.clock import day_text, parse_moment
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Page
from fivefold.usecases.changes.list_overview import ListState, ListVersionState, list_version_states, read_list_state
from fivefold.usecases.changes.reference_fit import PeerGroupLine, ReferenceShown, is_reference, read_reference_version
from fivefold.usecases.changes.references import request_reference
from fivefold.usecases.rulesets.overview import read_ruleset

MOST_GROUPS: Final = 200
"""Groups that a page shows; `/v1` has all."""


@dataclass(frozen=True, kw_only=True)
class PeersPage:
    """A version of a reference for peers, and which others there are.

    Attributes:
        reference: None where the list is none.
        groups: of which there are figures on the page, and how many there are besides.
        since: when the version begins that is shown.
        versions: the newest first.
    """

    list: ListState
    address: str
    reference: ReferenceShown | None
    groups: tuple[PeerGroupLine, ...]
    more_groups: int
    since: str
    versions: Page[ListVersionState]
    next: str | None


def show_reference(visit: Visit) -> Rendered:
    """Show a version of a reference: the one in force, or the one that the address names."""
    name = visit.parts["list"]
    state = read_list_state(visit, name)
    reference = _reference(visit, name)
    groups = () if reference is None else reference.groups
    versions = list_version_states(visit, name, visit.part("versions", 20))
    page = PeersPage(
        list=state,
        address=address("lists", name),
        reference=reference,
        groups=groups[:MOST_GROUPS],
        more_groups=max(len(groups) - MOST_GROUPS, 0),
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
    """Ask for a reference of everyone on whom the ruleset decides; one that is under way is not begun again."""
    family = visit.parts["family"]
    read_ruleset(visit, family)
    version = existing_number(visit.typed("version", text("Version")), text("version"))
    _, is_new = request_reference(visit, family, version)
    return Redirect(visit.path, "reference-asked" if is_new else "reference-under-way")
