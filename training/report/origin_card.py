"""Several origins, for people: what the same settings did at each, and by how much they are above each rival."""

from collections.abc import Sequence
from math import isfinite

from fivefold.domain.clock import day_text
from fivefold.domain.text import percent
from fivefold.training.origins.judge import JudgedOrigin
from fivefold.training.origins.rolling import CAPTURE, FIGURES, GINI, FigureDifference, Rolling
from fivefold.training.report.card import CardSection, paragraph, text_table

NONE = "-"
"""In place of a figure that is not defined, or of a champion that is not judged."""
_WORDS = {GINI: "normalised Gini", CAPTURE: "top-decile capture"}


def origin_columns(rolling: Rolling) -> list[str]:
    """Give the head of the table of origins."""
    return ["window from", "customers", "learnt from", "judged", *rolling.names, "calibration error"]


def origin_rows(rolling: Rolling) -> list[list[str]]:
    """Give a line for each origin, the earliest first, then the mean and the spread (standard deviation)."""
    names = rolling.names
    rows = [
        [
            day_text(each.moment),
            f"{each.customers:,}",
            f"{each.rows:,} rows",
            "once" if each.times_judged == 1 else f"{each.times_judged} times",
            *(_at(each, name) for name in names),
            percent(each.calibration_error),
        ]
        for each in rolling.origins
    ]
    errors = sum(each.calibration_error for each in rolling.origins) / len(rolling.origins)
    means = [_pair([rolling.mean(name, figure) for figure in FIGURES]) for name in names]
    spreads = [_pair([rolling.spread(name, figure) for figure in FIGURES]) for name in names]
    return [*rows, ["mean", "", "", "", *means, percent(errors)], ["spread", "", "", "", *spreads, ""]]


def difference_columns(rolling: Rolling) -> list[str]:
    """Give the head of the table of differences."""
    return ["less", "figure", *(day_text(each.moment) for each in rolling.origins), "mean"]


def difference_rows(rolling: Rolling) -> list[list[str]]:
    """Give a line for each rival and figure: the difference at each origin and its mean, with their intervals."""
    moments: Sequence[int | None] = [*(each.moment for each in rolling.origins), None]
    return [
        [name, _WORDS[figure], *(_interval(rolling.difference(name, figure, moment)) for moment in moments)]
        for name in rolling.names[1:]
        for figure in FIGURES
    ]


def left_out_lines(rolling: Rolling) -> list[str]:
    """Say at which origins the champion was not judged, and why; nothing where it was at all, or there is none."""
    return [
        f"At {day_text(each.moment)} the champion does not count: {each.champion_left_out}."
        for each in rolling.origins
        if each.champion_left_out
    ]


def origin_sections(rolling: Rolling | None, *, refitted: bool = False) -> list[CardSection]:
    """Write, for a model card, how the settings did at every origin; nothing where there is one alone."""
    if rolling is None:
        return []
    model = "the judged model" if refitted else "this version's model"
    about = paragraph(
        "The same settings learnt and were judged as of {origins} moments, one horizon after the other. Each time "
        "they knew only what was known then, and every value that they learnt from was complete by then. "
        f"The latest is {model}; the models of the others were not kept.",
        origins=len(rolling.origins),
    )
    intervals = paragraph(
        "The model less each rival, with intervals of {confidence:whole_percent} by paired bootstrap: a "
        "customer who is drawn twice is so in every window. These intervals do not grow with the number of times "
        "that a window was judged on.",
        confidence=rolling.confidence,
    )
    at_each = "The model and others at each origin: normalised Gini / top-decile capture"
    blocks = (
        about,
        text_table(origin_columns(rolling), origin_rows(rolling), at_each),
        paragraph("Normalised Gini / top-decile capture. The spread is the standard deviation over the origins."),
        text_table(difference_columns(rolling), difference_rows(rolling), "The model less others, at each origin"),
        intervals,
        *(paragraph("{left_out}", left_out=line) for line in left_out_lines(rolling)),
    )
    return [CardSection(name="origins", title="At other origins", blocks=blocks)]


def _at(origin: JudgedOrigin, name: str) -> str:
    if name not in origin.by_name:
        return NONE
    return _pair([float(getattr(origin.by_name[name], figure)) for figure in FIGURES])


def _pair(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.4f}" if isfinite(value) else NONE for value in values)


def _interval(difference: FigureDifference | None) -> str:
    if difference is None:
        return NONE
    if not isfinite(difference.low):
        return f"{difference.estimate:+.4f}"
    return f"{difference.estimate:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
