"""Challenges of assessments: those that wait and those that were settled, one of them, and what is done with it."""

from dataclasses import dataclass
from typing import Final, Literal, cast

from fivefold.console.filters import Listing, listing_of, types_to_choose
from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.recourse.statement import json_of_reply
from fivefold.console.texts import text
from fivefold.console.visit import (
    Answer,
    Download,
    FieldError,
    Redirect,
    Rendered,
    Visit,
    address,
    existing_number,
    without_nul,
)
from fivefold.domain.paging import Page, Part
from fivefold.store.recourse.challenges import CORRECTED, OVERRIDDEN
from fivefold.store.recourse.changed_facts import KINDS
from fivefold.usecases.recourse import challenges
from fivefold.usecases.recourse.challenges import ChallengeFilters, ChallengeLine, ChallengeSummary
from fivefold.usecases.recourse.reply import Reply, give_reply
from fivefold.usecases.recourse.settlement import Outcome, Settlement, own_contested_override, settle_challenge
from fivefold.usecases.shared.inputs import MOST_DIGITS, read_moment

CHALLENGES: Final = "/console/queue/challenges"
FILTERS: Final = ("state", "type", "external_id", "due_before")
OUTSTANDING, *_OUTCOMES = challenges.STATES
OUTCOMES: Final = tuple(_OUTCOMES)
SETTLES: Final = "POST /v1/challenges/{challenge}/settle"


@dataclass(frozen=True, kw_only=True)
class ChallengesPage:
    """Challenges, ordered by due date.

    Attributes:
        chosen: the filters as they were typed; an identifier without a type is looked for in the first of `types`.
    """

    chosen: dict[str, str]
    states: tuple[str, ...]
    types: tuple[str, ...]
    listing: Listing[ChallengeSummary]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class ChallengePage:
    """A challenge.

    Attributes:
        bar: the item of the queue that the person came for.
        customer: the address of the page of whom it is about.
        outcomes: how it can be settled.
        kinds: of facts that can have been corrected.
        hindrance: why this person cannot settle it; empty where they can.
    """

    bar: QueueBar | None
    challenge: ChallengeLine
    customer: str
    outcomes: tuple[str, ...]
    kinds: tuple[str, ...]
    hindrance: str


def show_challenges(visit: Visit) -> Rendered:
    """List challenges, as far as the filters ask for them."""
    chosen = visit.filters(FILTERS)
    types = types_to_choose(visit)
    if chosen["external_id"]:
        chosen["type"] = chosen["type"] or next(iter(types), "customer")

    def rows(part: Part) -> Page[ChallengeSummary]:
        due_before = chosen["due_before"]
        filters = ChallengeFilters(
            state=chosen["state"] or None,
            type_name=chosen["type"] or None,
            entity=(chosen["type"], chosen["external_id"]) if chosen["external_id"] else None,
            due_before_us=read_moment(due_before, text("Due before")) if due_before else None,
        )
        return challenges.summarise_challenges(visit, filters, part)

    listing = listing_of(rows, visit.part("challenges"))
    page = ChallengesPage(
        chosen=chosen,
        states=challenges.STATES,
        types=types,
        listing=listing,
        next=visit.next_of("challenges", listing.rows),
    )
    return Rendered(template="recourse/challenges.html", title=text("Challenges"), page=page, status=listing.status)


def show_challenge(visit: Visit) -> Rendered:
    """Show a challenge, and whether the record that it contests is what it was."""
    challenge = challenges.read_challenge(visit, _number(visit))
    customer = address("entities", challenge.entity_type, challenge.external_id)
    page = ChallengePage(
        bar=queue_bar(visit),
        challenge=challenge,
        customer=customer,
        outcomes=OUTCOMES,
        kinds=KINDS,
        hindrance=_hindrance(visit, challenge),
    )
    return Rendered(
        template="recourse/challenge.html", title=text("Challenge {number}", number=challenge.id), page=page
    )


def _hindrance(visit: Visit, challenge: ChallengeLine) -> str:
    if challenge.state != OUTSTANDING or not visit.may(SETTLES):
        return ""
    override = own_contested_override(visit, challenge.id)
    if override is None:
        return ""
    return text(
        "You took part in override {number}, which is contested, so another person has to settle it.", number=override
    )


def open_challenge(visit: Visit) -> Answer:
    """Write down that a person contests the assessment that the customer's page shows."""
    challenge = challenges.open_challenge(
        visit,
        visit.typed("assessment", text("Assessment")),
        visit.typed("words", text("Words of the person")),
        visit.moment_if_any("received", text("Received on")),
    )
    return Redirect(address("challenges", str(challenge.id)), "challenge-opened")


def settle(visit: Visit) -> Answer:
    """Settle a challenge."""
    override = visit.form.get("override_number", "").strip()
    facts = [line for line in without_nul(visit.form.get("facts", "")).split("\n") if line.strip()]
    outcome = visit.typed("outcome", text("Outcome"))
    if bool(facts) != (outcome == CORRECTED):
        wrong = text("Name what was corrected if the outcome is corrected; otherwise leave it empty")
        raise FieldError("facts", wrong)
    if bool(override) != (outcome == OVERRIDDEN):
        wrong = text("Give the number of the override if the outcome is overridden; otherwise leave it empty")
        raise FieldError("override_number", wrong)
    settlement = Settlement(
        outcome=cast("Outcome", outcome),
        reason=visit.typed("reason", text("Reason")),
        answer=visit.form.get("answer", ""),
        facts=facts,
        override=visit.number("override_number", text("Override"), MOST_DIGITS) if override else None,
        expected_opened_us=visit.shown_moment("opened"),
    )
    settle_challenge(visit, _number(visit), settlement, valuer=visit.valuer)
    return Redirect(visit.path + visit.trail, "challenge-settled")


def reply_json(visit: Visit) -> Download:
    """Give the reply to a challenge as JSON."""
    reply = _reply(visit, "json")
    return Download(f"reply-{reply.challenge}.json", "application/json", json_of_reply(reply))


def reply_pdf(visit: Visit) -> Download:
    """Give the reply to a challenge as PDF."""
    from fivefold.console.recourse.pdf import pdf_of_reply  # noqa: PLC0415 (imports ReportLab, for a rare request)

    reply = _reply(visit, "pdf")
    return Download(f"reply-{reply.challenge}.pdf", "application/pdf", pdf_of_reply(reply, visit.session.zone))


def _reply(visit: Visit, form: Literal["json", "pdf"]) -> Reply:
    return give_reply(visit, _number(visit), form)


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["challenge"], text("challenge"))
