"""Webhooks: where an organisation's events are sent, the state of delivery, and what could not be delivered."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.repeats import once
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, existing_number
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Page, Part
from fivefold.usecases.shared.inputs import MOST_DIGITS
from fivefold.usecases.webhooks import endpoints, progress
from fivefold.usecases.webhooks.endpoints import DeadLetter, EndpointMade
from fivefold.usecases.webhooks.plan import KEPT_DAYS
from fivefold.usecases.webhooks.progress import EndpointProgress, FailingDelivery

WEBHOOKS: Final = "/console/operations/webhooks"
FAILING: Final = Part(20)


@dataclass(frozen=True, kw_only=True)
class EndpointsPage:
    """The endpoints, in the order in which they were added; `kinds`: the kinds of events."""

    endpoints: Page[EndpointProgress]
    kinds: tuple[str, ...]
    kept_days: int
    next: str | None


@dataclass(frozen=True, kw_only=True)
class EndpointPage:
    """An endpoint, and a part of the events that were given up, by number.

    Attributes:
        failing: the deliveries to be tried again, the next one first.
        kinds: the kinds of events.
        kept_days: how long arrived deliveries are stored.
        kept_hours: how long an older secret may continue to sign.
    """

    endpoint: EndpointProgress
    failing: Page[FailingDelivery]
    letters: Page[DeadLetter]
    kinds: tuple[str, ...]
    kept_days: int
    kept_hours: int
    next: str | None


@dataclass(frozen=True, kw_only=True)
class SecretPage:
    """A secret, shown only in the answer to the form: no address leads to it; `is_new`: of a new endpoint."""

    endpoint: EndpointMade
    is_new: bool


def show_endpoints(visit: Visit) -> Rendered:
    """List the endpoints, each with its state of delivery."""
    endpoints_shown = progress.list_progress(visit, visit.part("endpoints"))
    page = EndpointsPage(
        endpoints=endpoints_shown,
        kinds=endpoints.KINDS,
        kept_days=KEPT_DAYS,
        next=visit.next_of("endpoints", endpoints_shown),
    )
    return Rendered(template="webhooks/endpoints.html", title=text("Webhooks"), page=page)


def show_endpoint(visit: Visit) -> Rendered:
    """Show an endpoint: what arrived last, what fails, and what was given up."""
    endpoint = progress.read_endpoint(visit, _number(visit))
    letters = endpoints.dead_letters(visit, endpoint.id, visit.part("letters"))
    page = EndpointPage(
        endpoint=endpoint,
        failing=progress.list_failing(visit, endpoint.id, FAILING),
        letters=letters,
        kinds=endpoints.KINDS,
        kept_days=KEPT_DAYS,
        kept_hours=endpoints.KEPT_HOURS,
        next=visit.next_of("letters", letters),
    )
    return Rendered(template="webhooks/endpoint.html", title=text("Webhook {number}", number=endpoint.id), page=page)


def add(visit: Visit) -> Answer:
    """Add an endpoint, and show its secret; the same form sent twice adds one."""
    url = visit.typed("url", text("Address"))
    return once(visit, lambda: _shown(endpoints.add_endpoint(visit, url, kinds=_kinds(visit)), is_new=True))


def change_kinds(visit: Visit) -> Answer:
    """Let an endpoint receive other kinds of events; refused if another person changed it meanwhile."""
    changed = endpoints.change_kinds(visit, _number(visit), _kinds(visit), revision=_revision(visit))
    return Redirect(visit.path, "webhook-kinds-changed" if changed else "webhook-same")


def rotate(visit: Visit) -> Answer:
    """Create a new secret for an endpoint, and show it; the same form sent twice creates one."""
    number, hours = _number(visit), visit.number("kept_hours", text("Hours"))
    return once(
        visit,
        lambda: _shown(
            endpoints.rotate_secret(visit, number, kept_hours=hours, revision=_revision(visit)), is_new=False
        ),
    )


def drop_old(visit: Visit) -> Answer:
    """End the older secrets, so that only the newest one signs."""
    dropped = endpoints.drop_old_secrets(visit, _number(visit))
    return Redirect(visit.path, "webhook-secrets-dropped" if dropped else "webhook-same")


def switch(visit: Visit) -> Answer:
    """Pause or resume an endpoint; nothing happens if it is already in that state."""
    enabled = visit.form.get("enabled") == "1"
    endpoints.set_enabled(visit, _number(visit), enabled=enabled)
    return Redirect(visit.path, "webhook-goes-on" if enabled else "webhook-paused")


def remove(visit: Visit) -> Answer:
    """Remove an endpoint with its waiting events; the list of the others follows."""
    if not visit.form.get("confirmed"):
        raise ConfigError(text("tick the box first: a removed endpoint cannot be restored"))
    endpoints.remove_endpoint(visit, _number(visit), revision=_revision(visit))
    return Redirect(WEBHOOKS, "webhook-removed")


def replay(visit: Visit) -> Answer:
    """Send one dead letter of an endpoint again, or all; nothing happens if they were sent again meanwhile."""
    number = visit.form.get("sequence", "").strip()
    sequence = visit.number("sequence", text("Event"), MOST_DIGITS) if number else None
    one = None if sequence is None else (sequence, sequence)
    letters = endpoints.replay_dead_letters(visit, _number(visit), one, dead_only=True)
    return Redirect(visit.path, "letters-sent" if letters else "letters-gone")


def _shown(endpoint: EndpointMade, *, is_new: bool) -> Rendered:
    page = SecretPage(endpoint=endpoint, is_new=is_new)
    return Rendered(template="webhooks/secret.html", title=text("The secret of a webhook"), page=page)


def _kinds(visit: Visit) -> list[str]:
    return visit.form.get("kinds", "").replace(",", " ").split()


def _revision(visit: Visit) -> str:
    return visit.form.get("revision", "")


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["endpoint"], text("endpoint"))
