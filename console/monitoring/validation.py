"""Validation: how well the levels predicted, the triggers of another one, proposals; and what waits for workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fivefold.charts.series import SeriesFigure, SeriesPlot, series_plot
from fivefold.console.filters import Listing, listing_of, period, types_to_choose
from fivefold.console.repeats import once
from fivefold.console.rulesets.tables import sent_file
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Download, Redirect, Rendered, Visit, row_number
from fivefold.domain.clock import DAY_US, day_text, from_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Page, Part
from fivefold.domain.text import percent
from fivefold.models.drift import SHIFTED
from fivefold.risk.governance.reports.page import ReportPage
from fivefold.risk.governance.validate.measures import LEAST_CONFIRMED, Measure
from fivefold.risk.governance.validate.verdicts import AcceptanceLimits
from fivefold.usecases.evidence import jobs as evidence
from fivefold.usecases.evidence.jobs import EvidenceJobLine
from fivefold.usecases.ingest.import_progress import ImportLine, list_imports
from fivefold.usecases.levels.read import Freshness, read_level
from fivefold.usecases.monitoring import revalidation
from fivefold.usecases.monitoring.operations import OperationsFigures, read_figures
from fivefold.usecases.monitoring.page import validation_sections
from fivefold.usecases.monitoring.peers import AttachedPeer, attach_peer, list_peers
from fivefold.usecases.monitoring.people import WorkFigures, read_work_figures
from fivefold.usecases.monitoring.revalidation import ChangeLine, RevalidationTrigger
from fivefold.usecases.monitoring.series import ValidationPoint, read_point, sign_off_validation, validation_series
from fivefold.usecases.monitoring.validate import (
    ValidationJobLine,
    list_open_validations,
    read_validation,
    read_validation_job,
    request_validation,
)
from fivefold.usecases.monitoring.validate import revalidation as triggers_of
from fivefold.usecases.portfolio.lists_by_time import FailureFilters, FailureFound, search_failures
from fivefold.usecases.rulesets.points_jobs import PointsJobLine, list_recent_points
from fivefold.usecases.rulesets.threshold_reviews import RecentReview, list_recent_reviews
from fivefold.usecases.shared.inputs import read_quarter
from fivefold.usecases.webhooks.endpoints import EndpointLine, list_endpoints

SHOWN_PROPOSALS = 8
"""Of points, and of thresholds."""


@dataclass(frozen=True, kw_only=True)
class ProposedChanges:
    """Points and thresholds that were proposed or are in progress; the latest first."""

    points: Sequence[PointsJobLine]
    thresholds: Sequence[RecentReview]


def proposed(visit: Visit, rulesets: Sequence[str] | None = None) -> ProposedChanges | None:
    """Read what was proposed for some rulesets, or for all; None for people who may not see rulesets."""
    if not visit.may("GET /v1/rulesets/{family}/points"):
        return None
    return ProposedChanges(
        points=list_recent_points(visit, SHOWN_PROPOSALS, rulesets),
        thresholds=list_recent_reviews(visit, SHOWN_PROPOSALS, rulesets),
    )


SHOWN = 12
"""Validations that fit into a picture; older ones are on the next page of the list."""
SIGNED_CHANGES = 20
QUARTERS = 9
WORK_DAYS = 90
"""Without a validation."""
_LIMITS: Final = AcceptanceLimits()


@dataclass(frozen=True, kw_only=True)
class FigureSeries:
    """One figure over the validations of a page.

    Attributes:
        name: of the picture, for ids on the page.
        limit: the limit to compare with, in words.
        measured: validations that could measure it.
    """

    name: str
    title: str
    limit: str
    plot: SeriesPlot
    ticks: tuple[str, ...]
    measured: int


@dataclass(frozen=True, kw_only=True)
class ValidationPage:
    """How well the levels predicted, and the triggers of a revalidation.

    Attributes:
        quarters: the present one and earlier ones, the latest first.
        under_way: validations that a worker is carrying out, or will carry out.
        evidence: recently requested evidence; empty for people who may not see it.
        work: of the time of the validation that looks furthest; without one of the last 90 days, today's among them.
        reached: the triggers that are reached now.
        latest: the validation that looks furthest, whichever stand on the page; None for none.
        points: validations, the one that looks furthest first.
        open_changes: every material change that is not signed off, the oldest first.
        made_since: the validations since the earliest of these was registered, in the same order.
        signed_changes: the others, the newest first.
        least: confirmed, or alerts with an outcome, that a figure must rest on.
        limits: what the Gini and the missed are held against.
        proposed: points and thresholds of every ruleset; None for people who may not see rulesets.
    """

    triggers: Sequence[RevalidationTrigger]
    reached: Sequence[RevalidationTrigger]
    latest: ValidationPoint | None
    points: Page[ValidationPoint]
    figures: tuple[FigureSeries, ...]
    least: int
    limits: AcceptanceLimits
    next: str | None
    open_changes: Sequence[ChangeLine]
    made_since: Sequence[ValidationPoint]
    signed_changes: Page[ChangeLine]
    next_signed_changes: str | None
    kinds: tuple[str, ...]
    quarters: tuple[str, ...]
    under_way: Sequence[ValidationJobLine]
    evidence: Sequence[EvidenceJobLine]
    work: WorkFigures
    proposed: ProposedChanges | None


@dataclass(frozen=True, kw_only=True)
class FoundPage:
    """One validation with all its results.

    Attributes:
        peers: whose figures are compared with it.
        proposed: points and thresholds of its rulesets; None for people who may not see rulesets.
    """

    point: ValidationPoint
    report: ReportPage
    work: WorkFigures
    peers: Sequence[AttachedPeer]
    proposed: ProposedChanges | None


@dataclass(frozen=True)
class JobPage:
    """The job of a validation."""

    job: ValidationJobLine


@dataclass(frozen=True, kw_only=True)
class EvidencePage:
    """The job that collects the evidence of a quarter; `kept_days`: how long it can be downloaded."""

    job: EvidenceJobLine
    kept_days: int


def show_validation(visit: Visit) -> Rendered:
    """Show the stored results of validations, and the triggers of the next one."""
    part = visit.part("validations", SHOWN)
    points = validation_series(visit, part)
    latest = next(iter(points if part.after is None else validation_series(visit, Part(1))), None)
    open_changes = revalidation.list_changes(visit, signed=False, oldest_first=True)
    triggers = triggers_of(visit)
    signed = revalidation.list_changes(visit, visit.part("changes", SIGNED_CHANGES, beside=True), signed=True)
    page = ValidationPage(
        triggers=triggers,
        reached=[trigger for trigger in triggers if trigger.answer == revalidation.REACHED],
        latest=latest,
        points=points,
        figures=_figures(list(reversed(points))),
        least=LEAST_CONFIRMED,
        limits=_LIMITS,
        next=visit.next_of("validations", points),
        open_changes=open_changes,
        made_since=_made_since(visit, open_changes),
        signed_changes=signed,
        next_signed_changes=visit.next_of("changes", signed, beside=True),
        kinds=revalidation.KINDS,
        quarters=_quarters(visit.now()),
        under_way=list_open_validations(visit),
        evidence=evidence.list_evidence(visit) if visit.may("GET /v1/audit") else (),
        work=_work(visit, latest),
        proposed=proposed(visit),
    )
    return Rendered(template="monitoring/validation.html", title=text("Validation"), page=page)


def _made_since(visit: Visit, changes: Sequence[ChangeLine]) -> Sequence[ValidationPoint]:
    """List the validations since the earliest of changes; a clock that was ahead may have dated the first one late."""
    earliest_us = min((change.registered_us for change in changes), default=None)
    return () if earliest_us is None else validation_series(visit, made_after_us=earliest_us)


def show_found(visit: Visit) -> Rendered:
    """Show one validation for people to read, and who signed it off."""
    number = row_number(visit.parts["validation"], text("row"))
    validation = read_validation(visit, number)
    point, peers = read_point(visit, number), list_peers(visit, number)
    rulesets = sorted({group["ruleset"] for group in validation.report["groups"] if group["ruleset"] is not None})
    page = FoundPage(
        point=point,
        work=_work(visit, point),
        report=validation_sections(
            validation.id, validation.reason, validation.report, [peer.comparison for peer in peers]
        ),
        peers=peers,
        proposed=proposed(visit, rulesets),
    )
    return Rendered(template="monitoring/found.html", title=text("Validation {number}", number=number), page=page)


def _work(visit: Visit, point: ValidationPoint | None) -> WorkFigures:
    """Return the figures of a validation's period; without one, of whole days up to the end of today in UTC."""
    tomorrow = (visit.now() // DAY_US + 1) * DAY_US
    begins, ends = (tomorrow - WORK_DAYS * DAY_US, tomorrow) if point is None else (point.begins, point.ends)
    return read_work_figures(visit, begins, ends)


def sign_off(visit: Visit) -> Answer:
    """Sign a validation off, with its consequences."""
    sign_off_validation(
        visit, row_number(visit.parts["validation"], text("row")), visit.typed("conclusion", text("Conclusion"))
    )
    return Redirect(visit.path, "validation-signed-off")


def take_peer(visit: Visit) -> Answer:
    """Attach the figures of a file to a validation."""
    number, file = row_number(visit.parts["validation"], text("row")), sent_file(visit)
    try:
        content = file.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(text("{file} is not text in UTF-8", file=file.name)) from None
    _, is_new = attach_peer(visit, number, file.name, content)
    return Redirect(visit.path, "peer-attached" if is_new else "peer-there")


def validate(visit: Visit) -> Answer:
    """Request the validation of a completed quarter; the page of its progress follows."""
    quarter = read_quarter(visit.typed("quarter", text("Quarter")))
    job, is_new = request_validation(visit, quarter.from_us, quarter.until_us, visit.typed("reason", text("Reason")))
    return Redirect(f"{visit.path}/jobs/{job.id}", "validation-asked" if is_new else "validation-under-way")


def show_job(visit: Visit) -> Rendered:
    """Show the progress of a validation, and its result."""
    job = read_validation_job(visit, row_number(visit.parts["job"], text("row")))
    return Rendered(template="monitoring/job.html", title=text("Validation under way"), page=JobPage(job))


def ask_for_evidence(visit: Visit) -> Answer:
    """Request the evidence of a quarter; the page of its progress follows."""
    quarter = read_quarter(visit.typed("quarter", text("Quarter")))
    job, is_new = evidence.request_evidence(visit, quarter)
    return Redirect(f"{visit.path}/evidence/{job.id}", "evidence-asked" if is_new else "evidence-under-way")


def show_evidence(visit: Visit) -> Rendered:
    """Show the progress of the evidence of a quarter, and the archive to download."""
    page = EvidencePage(job=evidence.read_evidence_job(visit, _archive(visit)), kept_days=evidence.KEPT_DAYS)
    return Rendered(template="monitoring/evidence.html", title=text("Evidence of a quarter"), page=page)


def take_evidence(visit: Visit) -> Answer:
    """Download an archive; the audit log records it."""
    archive = evidence.take_evidence(visit, _archive(visit))
    return Download(name=f"evidence-{archive.quarter}.zip", media_type="application/zip", content=archive.content)


def _archive(visit: Visit) -> int:
    return row_number(visit.parts["archive"], text("row"))


def _quarters(now_us: int) -> tuple[str, ...]:
    """Name the present quarter and those before it, the latest first.

    >>> _quarters(0)[:2]
    ('1970Q1', '1969Q4')
    """
    today = from_microseconds(now_us)
    latest = 4 * today.year + (today.month - 1) // 3
    return tuple(f"{number // 4}Q{number % 4 + 1}" for number in range(latest, latest - QUARTERS, -1))


def register_change(visit: Visit) -> Answer:
    """Register a material change, which requires a revalidation. The same form sent twice registers one."""
    kind, description = visit.typed("kind", text("Kind")), visit.typed("description", text("What changes"))

    def registered() -> Answer:
        revalidation.register_change(visit, kind, description)
        return Redirect(visit.path, "change-registered")

    return once(visit, registered)


def sign_off_change(visit: Visit) -> Answer:
    """Close a material change that another person registered, with a later validation."""
    revalidation.sign_off(
        visit,
        row_number(visit.typed("change", text("Change")), text("row")),
        row_number(visit.typed("validation", text("Validation")), text("row")),
        visit.typed("conclusion", text("Conclusion")),
    )
    return Redirect(visit.path, "change-signed-off")


def _figures(points: Sequence[ValidationPoint]) -> tuple[FigureSeries, ...]:
    """Draw each figure of validations, the earliest first; nothing without validations."""
    if not points:
        return ()

    def of(
        measure: Callable[[ValidationPoint], Measure], limit: Callable[[ValidationPoint], float | None]
    ) -> list[SeriesFigure]:
        return [
            SeriesFigure(label=_label(point), value=each.estimate, low=each.low, high=each.high, limit=limit(point))
            for point in points
            for each in [measure(point)]
        ]

    drift = [SeriesFigure(label=_label(point), value=point.drift, limit=SHIFTED) for point in points]
    downward = [
        SeriesFigure(label=_label(point), value=point.downward_share, limit=point.cap_percent / 100) for point in points
    ]
    shifted = text("shifted at {limit} or more", limit=SHIFTED)
    floor = text("recalibrate below {limit}", limit=f"{_LIMITS.recalibrate:.2f}")
    most = text("at most {share}", share=percent(_LIMITS.misses, 0))
    room = text("the most that the upper levels can capture")
    cap = text("the organisation's cap")
    return (
        _series("gini", text("Gini"), floor, of(lambda point: point.gini, lambda _: _LIMITS.recalibrate), (0.0, 1.0)),
        _series("captured", text("Captured"), room, of(lambda point: point.captured, lambda point: point.possible)),
        _series("missed", text("Missed"), most, of(lambda point: point.missed, lambda _: _LIMITS.misses)),
        _series("drift", text("Drift of the levels"), shifted, drift, (0.0, SHIFTED)),
        _series("overrides", text("Overridden downwards"), cap, downward, (0.0, 0.1)),
        _series("conversion", text("Alerts confirmed"), "", of(lambda point: point.conversion, lambda _: None)),
    )


def _series(
    name: str, title: str, limit: str, figures: Sequence[SeriesFigure], axis: tuple[float, float] = (0.0, 1.0)
) -> FigureSeries:
    plot = series_plot(figures, axis)
    plain = name in {"gini", "drift"}
    return FigureSeries(
        name=name,
        title=title,
        limit=limit,
        plot=plot,
        ticks=tuple(f"{value:.2f}" if plain else percent(value, 0) for _, value in plot.ticks),
        measured=sum(figure.value is not None for figure in figures),
    )


def _label(point: ValidationPoint) -> str:
    """Name the period of a validation by its last day."""
    return day_text(point.ends - DAY_US)


OPERATIONS: Final = "/console/operations"
FAILURES: Final = f"{OPERATIONS}/failures"
ENDPOINTS: Final = Part(50)


@dataclass(frozen=True, kw_only=True)
class OperationsPage:
    """Waiting work, the workers, the endpoints, the audit log's last proof, and the imports."""

    figures: OperationsFigures
    endpoints: Page[EndpointLine]
    imports: Page[ImportLine]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class FailuresPage:
    """Customers that could not be assessed in full, in the order of their addition; `chosen`: the filters as typed."""

    chosen: dict[str, str]
    types: tuple[str, ...]
    listing: Listing[FailureFound]
    next: str | None


def show_operations(visit: Visit) -> Rendered:
    """Show each stored figure with its moment; the page computes nothing that takes long."""
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

    def rows(part: Part) -> Page[FailureFound]:
        since, until = period(chosen)
        filters = FailureFilters(
            entity_type=chosen["type"] or None,
            external_id=chosen["external_id"] or None,
            since_us=since,
            until_us=until,
        )
        return search_failures(visit, filters, part)

    listing = listing_of(rows, visit.part("failures"))
    page = FailuresPage(
        chosen=chosen,
        types=types_to_choose(visit),
        listing=listing,
        next=visit.next_of("failures", listing.rows),
    )
    return Rendered(template="monitoring/failures.html", title=text("Failures"), page=page, status=listing.status)


def retry(visit: Visit) -> Answer:
    """Assess a customer again, now."""
    of = (visit.typed("type", text("Type")), visit.typed("external_id", text("Identifier")))
    level = read_level(visit, *of, Freshness.NOW, valuer=visit.valuer)
    return Redirect(visit.path, "assessed" if level.is_in_full else "failed-again")
