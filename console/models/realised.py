"""What a version of the value model predicted, and what came: the verdict, the latest day in tenths, all days."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fivefold.charts.series import SeriesFigure, SeriesPlot, series_plot
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, row_number
from fivefold.domain.paging import Page
from fivefold.usecases.monitoring.realised.read import RealisedLine, RealisedVerdict, list_realised, verdicts_on

DAYS: Final = 20


@dataclass(frozen=True, kw_only=True)
class LatestDay:
    """The day that decides for one type of entities; `plot` is None where no tenth could be compared."""

    verdict: RealisedVerdict
    plot: SeriesPlot | None


@dataclass(frozen=True, kw_only=True)
class RealisedPage:
    """The days on which a version predicted, the latest first; of each type the one that decides."""

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
