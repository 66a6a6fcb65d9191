"""Decisions on transactions: a filtered list, and one decision with its recorded reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fivefold.console.filters import Listing, entity_filter, listing_of, period
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, existing_number
from fivefold.domain.paging import Page, Part
from fivefold.usecases.decisions.decide import DecisionMade
from fivefold.usecases.decisions.read import (
    DecisionFilters,
    DecisionFound,
    DecisionReasons,
    read_decision,
    search_decisions,
    view_decision,
    whole_answer,
)
from fivefold.usecases.shared.inputs import MOST_DIGITS

DECISIONS: Final = "/console/decisions"
FILTERS: Final = ("policy", "action", "type", "external_id", "actor", "since", "until")


@dataclass(frozen=True, kw_only=True)
class DecisionsPage:
    """Decisions, the latest first.

    Attributes:
        chosen: the filters as typed; the type is that of the identifier, and empty without one.
        types: of entities.
    """

    chosen: dict[str, str]
    types: tuple[str, ...]
    listing: Listing[DecisionFound]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class DecisionPage:
    """One decision.

    Attributes:
        reasons: the part that the person may see; None once they were erased.
        answer: all of it, with the rules that did not hold; None for people who may not see conditions.
        entity: its type and identifier; None once it was erased.
        rate: how the amount was converted into the base currency; None if it is not recorded.
    """

    decision: DecisionMade
    reasons: DecisionReasons | None
    answer: Mapping[str, Any] | None
    entity: tuple[str, str] | None
    rate: Mapping[str, Any] | None


def show_decisions(visit: Visit) -> Rendered:
    """List the decisions that match the filters."""
    chosen = visit.filters(FILTERS)
    types, entity = entity_filter(visit, chosen)

    def rows(part: Part) -> Page[DecisionFound]:
        since, until = period(chosen)
        filters = DecisionFilters(
            action=chosen["action"] or None,
            entity=entity,
            policy=chosen["policy"] or None,
            actor=chosen["actor"] or None,
            since_us=since,
            until_us=until,
        )
        return search_decisions(visit, filters, part)

    listing = listing_of(rows, visit.part("decisions"))
    page = DecisionsPage(chosen=chosen, types=types, listing=listing, next=visit.next_of("decisions", listing.rows))
    return Rendered(template="decisions/decisions.html", title=text("Decisions"), page=page, status=listing.status)


def show_decision(visit: Visit) -> Rendered:
    """Show one decision as recorded; people who may see policies also see conditions and what did not hold."""
    number = _number(visit)
    decision = read_decision(visit, number)
    about = None if decision.answer is None else decision.answer["entity"]
    page = DecisionPage(
        decision=decision,
        reasons=view_decision(visit, number),
        answer=whole_answer(visit, number) if visit.may("GET /v1/policies/{policy}/versions/{number}") else None,
        entity=None if about is None else (about["type"], about["external_id"]),
        rate=None if decision.answer is None else decision.answer.get("rate"),
    )
    return Rendered(template="decisions/decision.html", title=text("Decision {number}", number=number), page=page)


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["decision"], text("decision"), MOST_DIGITS)
