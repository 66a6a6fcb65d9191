"""What could not be delivered to an endpoint, and sending it again."""

from dataclasses import dataclass

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, existing_number
from fivefold.domain.paging import Page
from fivefold.usecases.webhooks import endpoints
from fivefold.usecases.webhooks.endpoints import DeadLetter, EndpointLine


@dataclass(frozen=True, kw_only=True)
class EndpointPage:
    """An endpoint, and a part of what was given up, by the number of the event."""

    endpoint: EndpointLine
    letters: Page[DeadLetter]
    next: str | None


def show_endpoint(visit: Visit) -> Rendered:
    """Show what could not be delivered to an endpoint."""
    endpoint = endpoints.read_endpoint(visit, _number(visit))
    letters = endpoints.dead_letters(visit, endpoint.id, visit.part("letters"))
    page = EndpointPage(endpoint=endpoint, letters=letters, next=visit.next_of("letters", letters))
    return Rendered(template="webhooks/endpoint.html", title=text("Webhook {number}", number=endpoint.id), page=page)


def replay(visit: Visit) -> Answer:
    """Send one dead letter again, or all of an endpoint; nothing happens where they were sent again meanwhile."""
    number = visit.form.get("sequence", "").strip()
    sequence = visit.number("sequence", text("Event")) if number else None
    one = None if sequence is None else (sequence, sequence)
    sent = endpoints.replay_dead_letters(visit, _number(visit), one, dead_only=True)
    return Redirect(visit.path, "letters-sent" if sent else "letters-gone")


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["endpoint"], text("endpoint"))
