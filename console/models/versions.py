"""The versions of the value model: which one serves, since when and why, its drift, and one with its evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fivefold.charts.series import (
    CHANCE,
    Curve,
    SeriesFigure,
    SeriesPlot,
    at_even_distances,
    ranked_curves,
    series_plot,
)
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, row_number
from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import Page
from fivefold.domain.segments import SEGMENTS
from fivefold.models.comparison import CalibrationGroup, IndicatorEffect, SegmentGroup, SegmentMove, VersionComparison
from fivefold.models.drift import LEAST_CUSTOMERS
from fivefold.usecases.changes.promotions import (
    money_changes,
    needs_force_now,
    promote_by_member,
    roll_back_by_member,
    roll_back_warnings,
    values_others,
)
from fivefold.usecases.models.read import (
    ModelVersionLine,
    ModelVersionView,
    PromotionLine,
    ServingVersion,
    asking,
    list_promotions,
    list_versions,
    present,
    read_serving,
    read_version,
    version_served_before,
)
from fivefold.usecases.monitoring.drift import ColumnDrift, drift_key, measure_drift, week_of
from fivefold.usecases.monitoring.realised.read import RealisedLine, RealisedVerdict, list_realised, verdicts_on

VERSIONS, CHANGES = 20, 20
DRIFT_DAYS: Final = 30
DRIFT_SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True)
class DriftHalf:
    """The drift between recently scored customers and those of the training.

    Attributes:
        since: the Monday of the first week that counts.
        customers: the most customers that were scored in one of these weeks.
        least: the fewest customers for a comparison.
        furthest: the columns that moved most.
    """

    version: int
    since: str
    customers: int
    least: int
    furthest: list[ColumnDrift]


@dataclass(frozen=True, kw_only=True)
class VersionsPage:
    """The versions, the newest first.

    Attributes:
        serving: the champion, and since when it serves; None if no version serves.
        before: the version that would serve after a rollback, also if the champion was deleted; None if none served
            before.
        drift: None if no model serves, or if `counts_others`.
        counts_others: the counts include customers of other organisations, so they are not shown.
        warnings: differences of the money after a rollback; none for people who may not roll back.
        verdicts: on the champion, for each entity type whose predictions were judged.
    """

    versions: Page[ModelVersionLine]
    next: str | None
    promotions: Page[PromotionLine]
    next_promotions: str | None
    serving: ServingVersion | None
    before: int | None
    warnings: list[str]
    drift: DriftHalf | None
    counts_others: bool
    verdicts: tuple[RealisedVerdict, ...]


def show_versions(visit: Visit) -> Rendered:
    """List the versions, with the verdict of the gate on each, and every change of the version that serves."""
    versions = list_versions(visit.registry, visit.part("versions", VERSIONS))
    part = visit.part("changes", CHANGES, beside=True)
    promotions = list_promotions(visit.registry, part)
    serving, before = read_serving(visit.registry), version_served_before(visit.registry)
    counts_others = values_others(visit)
    page = VersionsPage(
        versions=versions,
        next=visit.next_of("versions", versions),
        promotions=promotions,
        next_promotions=visit.next_of("changes", promotions, beside=True),
        serving=serving,
        before=before,
        warnings=_warnings(visit) if before is not None and visit.may("POST /v1/model-promotions/rollback") else [],
        drift=None if counts_others else _drift(visit),
        counts_others=counts_others,
        verdicts=verdicts_on(visit, serving.number) if serving else (),
    )
    return Rendered(template="models/versions.html", title=text("Models"), page=page)


def _warnings(visit: Visit) -> list[str]:
    with asking(visit.registry) as registry:
        return roll_back_warnings(visit, present(registry))


def _drift(visit: Visit) -> DriftHalf | None:
    """Compare the counts of scored customers with the reference of the model that serves."""
    serving = visit.valuer
    if serving is None:
        return None
    since = week_of(visit.now() - DRIFT_DAYS * DAY_US)
    key = drift_key(serving.name, serving.model)
    columns = measure_drift(visit.engine, serving.model.reference, key, serving.version, since)
    return DriftHalf(
        version=serving.version,
        since=since,
        customers=max((column.customers for column in columns), default=0),
        least=LEAST_CUSTOMERS,
        furthest=columns[:DRIFT_SHOWN],
    )


def roll_back(visit: Visit) -> Answer:
    """Make the previous version serve again."""
    reason = visit.typed("reason", text("Reason"))
    with asking(visit.registry) as registry:
        roll_back_by_member(visit, present(registry), reason, serving=serving_of(visit))
    return Redirect(visit.path, "model-rolled-back")


EFFECTS = 15
"""The most indicators shown; many others have less effect."""
_TENTHS = (10, 20, 30, 50)
"""Shares of the customers at which the table reads the curves, in per cent."""


@dataclass(frozen=True, kw_only=True)
class CalibrationHalf:
    """Predicted and realised money of one version, by tenths of the customers."""

    title: str
    name: str
    plot: SeriesPlot
    groups: Sequence[CalibrationGroup]
    error: float | None


@dataclass(frozen=True, kw_only=True)
class ComparisonHalf:
    """The comparison of both versions that training stored, laid out for the page.

    Attributes:
        curves: the lift curves, the best first.
        lift: for each curve, the share of the value in the first customers.
        tenths: how many customers these are, in per cent.
        segments: by name, of the version and of the rival; None if a segment is empty.
        moves: by segment of the rival, then of the version; None if no customer made that move.
        moved: the number of customers in another segment than by the rival; None without a rival.
        effects: the effects of the indicators, the largest first.
        largest: the largest effect of either.
    """

    stored: VersionComparison
    curves: tuple[Curve, ...]
    lift: Mapping[str, Sequence[float]]
    tenths: tuple[int, ...]
    calibration: tuple[CalibrationHalf, ...]
    segments: Mapping[str, tuple[SegmentGroup | None, SegmentGroup | None]]
    moves: Mapping[str, Mapping[str, SegmentMove | None]]
    moved: int | None
    effects: Sequence[IndicatorEffect]
    largest: float


@dataclass(frozen=True, kw_only=True)
class ModelVersionPage:
    """One version; `serving` is the one that serves, None if none does; `warnings` tell if its money differs.

    It `needs_force` to serve if the gate's verdict does not allow that now.
    """

    version: ModelVersionView
    serving: int | None
    needs_force: bool
    warnings: Sequence[str]
    comparison: ComparisonHalf | None


def show_version(visit: Visit) -> Rendered:
    """Show a version as training stored it; nothing is computed from models or customers."""
    version = read_version(visit.registry, row_number(visit.parts["version"], text("version")))
    stored = version.comparison
    with asking(visit.registry) as opened, visit.reading() as session:
        registry = present(opened)
        champion = registry.champion()
        serving = None if champion is None else champion.number
        needs_force = needs_force_now(registry, version.number)
        warnings = money_changes(session, registry, serving, version.number, visit.organisation_id)
    page = ModelVersionPage(
        version=version,
        serving=serving,
        needs_force=needs_force,
        warnings=warnings,
        comparison=None if stored is None else _half(stored, _own_title(version)),
    )
    title = text("Version {number}", number=version.number)
    return Rendered(template="models/version.html", title=title, page=page)


def _own_title(version: ModelVersionView) -> str:
    """Return whose figures are shown beside those of the rival: for a refitted version, the judged model's."""
    if version.judged_as_of_us is not None:
        return text("The judged model")
    return text("Version {version}", version=version.number)


def _half(stored: VersionComparison, title: str) -> ComparisonHalf:
    sides = (stored.version, stored.rival)
    groups = [{group.segment: group for group in side.segments} if side else {} for side in sides]
    moves = {(move.before, move.after): move for move in stored.moves}
    moved = sum(each.customers for each in stored.moves if each.before != each.after)
    effects = stored.effects[:EFFECTS]
    calibration = [_calibration(title, "own", stored.version.calibration, stored.version.calibration_error)]
    if stored.rival is not None:
        rival = stored.rival
        theirs = text("Version {version}", version=rival.version)
        calibration.append(_calibration(theirs, "rival", rival.calibration, rival.calibration_error))
    return ComparisonHalf(
        stored=stored,
        curves=ranked_curves({name: at_even_distances(lift) for name, lift in stored.lift.items()}),
        lift={
            **{name: [lift[tenth] for tenth in _TENTHS] for name, lift in stored.lift.items()},
            CHANCE: [tenth / 100 for tenth in _TENTHS],
        },
        tenths=_TENTHS,
        calibration=tuple(calibration),
        segments={name: (groups[0].get(name), groups[1].get(name)) for name in SEGMENTS},
        moves={before: {after: moves.get((before, after)) for after in SEGMENTS} for before in SEGMENTS},
        moved=None if stored.rival is None else moved,
        effects=effects,
        largest=max((max(each.points, each.rival or 0.0) for each in effects), default=0.0) or 1.0,
    )


def _calibration(title: str, name: str, groups: Sequence[CalibrationGroup], error: float | None) -> CalibrationHalf:
    figures = [
        SeriesFigure(label=str(group.decile), value=group.predicted_mean, limit=group.realised_mean) for group in groups
    ]
    return CalibrationHalf(
        title=title,
        name=name,
        plot=series_plot(figures, (0.0, 0.0)),
        groups=groups,
        error=error,
    )


def promote(visit: Visit) -> Answer:
    """Make this version serve; a proposal if two people are needed."""
    number = row_number(visit.parts["version"], text("version"))
    reason = visit.typed("reason", text("Reason"))
    with asking(visit.registry) as registry:
        outcome = promote_by_member(
            visit, present(registry), number, reason, force="force" in visit.form, serving=serving_of(visit)
        )
    return Redirect(visit.path, "model-promoted" if outcome.proposal is None else "promotion-proposed")


def serving_of(visit: Visit) -> int:
    """Return the version that served when the form was shown; 0 if none did."""
    shown = visit.form.get("serving", "")
    return row_number(shown, text("version")) if shown else 0


DAYS: Final = 20


@dataclass(frozen=True, kw_only=True)
class LatestDay:
    """The day that decides for one entity type; `plot` is None if no tenth could be compared."""

    verdict: RealisedVerdict
    plot: SeriesPlot | None


@dataclass(frozen=True, kw_only=True)
class RealisedPage:
    """The days on which a version predicted, the latest first; for each type the day that decides."""

    version: int
    latest: Sequence[LatestDay]
    days: Page[RealisedLine]
    next: str | None


def show_realised(visit: Visit) -> Rendered:
    """Show predicted beside realised value, as workers stored it."""
    number = row_number(visit.parts["version"], text("version"))
    days = list_realised(visit, visit.registry, number, visit.part("days", DAYS))
    page = RealisedPage(
        version=number,
        latest=[LatestDay(verdict=each, plot=_plot(each.line)) for each in verdicts_on(visit, number)],
        days=days,
        next=visit.next_of("days", days),
    )
    title = text("Version {number}: predicted and realised", number=number)
    return Rendered(template="models/realised.html", title=title, page=page)


def _plot(line: RealisedLine) -> SeriesPlot | None:
    tenths = [] if line.figures is None else line.figures.by("decile")
    figures = [
        SeriesFigure(label=each.group, value=each.predicted_mean, limit=each.realised_mean)
        for each in tenths
        if each.predicted_mean is not None
    ]
    return series_plot(figures, (0.0, 0.0)) if figures else None
