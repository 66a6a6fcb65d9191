"""What waits and who works on it; files on their way in; customers that could not be assessed."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, period
from fivefold.domain.paging import Page, Part
from fivefold.usecases.ingest.import_progress import ImportLine, list_imports
from fivefold.usecases.levels.read import Freshness, read_level
from fivefold.usecases.monitoring.operations import OperationsFigures, read_figures
from fivefold.usecases.portfolio.searches import FailureFilters, FailureFound, search_failures
from fivefold.usecases.webhooks.endpoints import EndpointLine, list_endpoints

OPERATIONS: Final = "/console/operations"
FAILURES: Final = f"{OPERATIONS}/failures"
ENDPOINTS: Final = Part(50)


@dataclass(frozen=True, kw_only=True)
class OperationsPage:
    """What waits, the workers, the endpoints, the audit log's last proof, and the imports."""

    figures: OperationsFigures
    endpoints: Page[EndpointLine]
    imports: Page[ImportLine]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class FailuresPage:
    """Customers that could not be assessed in full, the one added first comes first; `chosen`: the filters as typed."""

    chosen: dict[str, str]
    failures: Page[FailureFound]
    next: str | None


def show_operations(visit: Visit) -> Rendered:
    """Show each figure as of its moment; nothing is computed that a person has to wait for."""
    imports = list_imports(visit, visit.part("imports"))
    page = OperationsPage(
        figures=read_figures(visit),
        endpoints=list_endpoints(visit, ENDPOINTS),
        imports=imports,
        next=visit.next_of("imports", imports),
    )
    return Rendered(template="monitoring/operations.html", title=text("Operations"), page=page)


def show_failures(visit: Visit) -> Rendered:
    """List customers that could not be assessed in full."""
    chosen = visit.filters(("type", "external_id", "since", "until"))
    since, until = period(chosen)
    filters = FailureFilters(
        entity_type=chosen["type"] or None,
        external_id=chosen["external_id"] or None,
        since_us=since,
        until_us=until,
    )
    failures = search_failures(visit, filters, visit.part("failures"))
    page = FailuresPage(chosen=chosen, failures=failures, next=visit.next_of("failures", failures))
    return Rendered(template="monitoring/failures.html", title=text("Failures"), page=page)


def retry(visit: Visit) -> Answer:
    """Assess a customer again, now."""
    of = (visit.typed("type", text("Type")), visit.typed("external_id", text("Identifier")))
    level = read_level(visit, *of, Freshness.NOW, valuer=visit.valuer)
    return Redirect(visit.path, "assessed" if level.is_in_full else "failed-again")
