"""All rulesets, and one ruleset: its versions, who committed and activated them, and roll-back."""

from collections.abc import Mapping
from dataclasses import dataclass

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, existing_number
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Page, Part
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.backtests import BacktestLine, list_backtests
from fivefold.usecases.changes.reference_fit import ReferenceState, read_reference_state
from fivefold.usecases.changes.references import ReferenceJobLine, list_reference_jobs
from fivefold.usecases.rulesets.activate import ActivationLine, list_activations
from fivefold.usecases.rulesets.read import (
    Activated,
    RulesetLine,
    VersionState,
    list_rulesets,
    list_version_states,
    read_ruleset,
)
from fivefold.usecases.rulesets.threshold_reviews import ThresholdReviewLine, list_threshold_reviews

LONG_LIST, SHORT_LIST, SHORTER_LIST = 20, 10, 4
EARLIER = 100
"""The most versions to which the page can roll back; the command can roll back to any."""


@dataclass(frozen=True, kw_only=True)
class RulesetsPage:
    """The rulesets, by type in the order in which they are tried.

    Attributes:
        orders: by type, the names in order; only for types with several, if the page has all rulesets.
        next: the address of the next page.
    """

    rulesets: Page[RulesetLine]
    orders: Mapping[str, tuple[str, ...]]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class RulesetPage:
    """One ruleset.

    Attributes:
        versions: the newest first; earlier ones are on the next page.
        activations: the changes of what decides, the latest first, as in the lists below.
        reviews: the reviews of the thresholds, by quarter.
        reference: the reference for peers; None if it reads none.
        references: the requested references.
        earlier: the versions that decided before and do not decide now, each with its last activation.
    """

    ruleset: RulesetLine
    address: str
    versions: Page[VersionState]
    next: str | None
    activations: Page[ActivationLine]
    next_activations: str | None
    backtests: Page[BacktestLine]
    next_backtests: str | None
    reviews: Page[ThresholdReviewLine]
    next_reviews: str | None
    reference: ReferenceState | None
    references: Page[ReferenceJobLine]
    next_references: str | None
    earlier: tuple[tuple[VersionState, Activated], ...]


def show_rulesets(visit: Visit) -> Rendered:
    """List the rulesets, with the version that decides and who activated it."""
    rulesets = list_rulesets(visit, visit.part("rulesets"))
    names: dict[str, tuple[str, ...]] = {}
    if rulesets.next is None and "after" not in visit.query:
        for line in rulesets:
            names[line.entity_type] = (*names.get(line.entity_type, ()), line.name)
    page = RulesetsPage(
        rulesets=rulesets,
        orders={kind: order for kind, order in names.items() if len(order) > 1},
        next=visit.next_of("rulesets", rulesets),
    )
    return Rendered(template="rulesets/rulesets.html", title=text("Rulesets"), page=page)


def change_order(visit: Visit) -> Answer:
    """Propose the order in which the rulesets of a type are tried; another person has to approve it."""
    kind, shown_order = visit.typed("type", text("Type")), visit.form.get("seen", "").split(",")
    places = [(visit.number(f"place-{name}", text("Place of {ruleset}", ruleset=name)), name) for name in shown_order]
    if len({place for place, _ in places}) < len(places):
        raise ConfigError(text("two rulesets have the same place; give each a place of its own"))
    order = [name for _, name in sorted(places)]
    if order == shown_order:
        raise ConfigError(text("the order has not changed; give a ruleset another place"))
    outcome = asks.order_families(visit, kind, order, visit.typed("reason", text("Reason")), expected_order=shown_order)
    if outcome.proposal is None:
        return Redirect(visit.path, "order-changed")
    return Redirect(address("proposals", str(outcome.proposal.id)), "order-proposed")


def switch(visit: Visit) -> Answer:
    """Propose to switch a ruleset on or off; another person has to approve it."""
    family, on = visit.parts["family"], visit.form.get("on") == "yes"
    read_ruleset(visit, family)
    reason, active = visit.typed("reason", text("Reason")), visit.shown_number("active")
    outcome = asks.switch_family(visit, family, on, reason, expected_active=active)
    if outcome.proposal is None:
        return Redirect(visit.path, "ruleset-switched")
    return Redirect(address("proposals", str(outcome.proposal.id)), "switch-proposed")


def show_ruleset(visit: Visit) -> Rendered:
    """Show one ruleset: its versions, its activations, and its backtests."""
    family = visit.parts["family"]
    versions = list_version_states(visit, family, visit.part("versions", LONG_LIST))
    activations = list_activations(visit, family, visit.part("activations", SHORT_LIST, beside=True))
    backtests = list_backtests(visit, family, visit.part("backtests", SHORT_LIST, beside=True))
    reviews = list_threshold_reviews(visit, family, visit.part("reviews", SHORTER_LIST, beside=True))
    references = list_reference_jobs(visit, family, visit.part("references", SHORTER_LIST, beside=True))
    decided = list_version_states(visit, family, Part(EARLIER), activated=True)
    page = RulesetPage(
        ruleset=read_ruleset(visit, family),
        address=address("rulesets", family),
        versions=versions,
        next=visit.next_of("versions", versions),
        activations=activations,
        next_activations=visit.next_of("activations", activations, beside=True),
        backtests=backtests,
        next_backtests=visit.next_of("backtests", backtests, beside=True),
        reviews=reviews,
        next_reviews=visit.next_of("reviews", reviews, beside=True),
        reference=read_reference_state(visit, family),
        references=references,
        next_references=visit.next_of("references", references, beside=True),
        earlier=tuple((each, each.activated) for each in decided if each.activated is not None and not each.active),
    )
    return Rendered(template="rulesets/ruleset.html", title=family, page=page)


def roll_back(visit: Visit) -> Answer:
    """Propose that an earlier version decides again; another person has to approve it."""
    family = visit.parts["family"]
    read_ruleset(visit, family)
    version = existing_number(visit.typed("version", text("Version")), text("version"))
    reason = visit.typed("reason", text("Reason"))
    outcome = asks.roll_back(
        *(visit, family, version, reason),
        release="release" in visit.form,
        expected_active=visit.shown_number("active"),
        expected_hash=visit.shown_hash(version),
    )
    if outcome.proposal is None:
        return Redirect(visit.path, "rolled-back")
    return Redirect(address("proposals", str(outcome.proposal.id)), "rollback-proposed")
