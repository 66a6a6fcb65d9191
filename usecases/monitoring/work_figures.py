"""How long people took to decide, and how much came back to them: from stored moments, for a time that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fivefold.domain.clock import DAY_US, HOUR_US, day_text
from fivefold.domain.errors import ConfigError
from fivefold.store.monitoring.work import TimesTaken, came_back, times_taken
from fivefold.usecases.shared.api_fields import Moment
from fivefold.usecases.shared.context import Context

BACK_DAYS: Final = 30
"""What comes back later than this is new work."""
KINDS: Final = ("override", "change", "rise", "alert", "case")
MEASURED_BACK: Final = frozenset({"override", "change"})
"""Of other kinds it is not stored that they came back: a case that is opened again is one that is open."""


@dataclass(frozen=True, kw_only=True)
class WorkFigure:
    """How long what was decided took, and how much of it came back.

    `kind`: override and change, from the request to the decision; rise, until it was put away; alert and case, until
    it was closed. Hours are null where nothing was decided; what came back is null where that is not stored.

    Attributes:
        kind: of `KINDS`.
        decided: how many were decided in the time.
        median_hours: half of them took no longer.
        nine_of_ten_hours: nine of ten took no longer.
        came_back: refused and asked for again, or approved and ended by a person, within `BACK_DAYS`.
        came_back_share: of those decided.
    """

    kind: str
    decided: int
    median_hours: float | None
    nine_of_ten_hours: float | None
    came_back: int | None
    came_back_share: float | None


@dataclass(frozen=True, kw_only=True)
class WorkFigures:
    """The figures of a time, from `begins` until before `ends`."""

    begins: Moment
    ends: Moment
    figures: Sequence[WorkFigure]


def read_work_figures(context: Context, begins_us: int, ends_us: int) -> WorkFigures:
    """Measure what people decided in a time; ConfigError where it is empty."""
    if begins_us >= ends_us:
        raise ConfigError(
            f"the time from {day_text(begins_us)} until {day_text(ends_us)} is empty; it must end after it begins"
        )
    with context.reading() as session:
        of = (session, context.organisation_id, begins_us, ends_us)
        times, back = times_taken(*of), came_back(*of, BACK_DAYS * DAY_US)
    figures = tuple(_figure(kind, times.get(kind), back.get(kind, 0)) for kind in KINDS)
    return WorkFigures(begins=begins_us, ends=ends_us, figures=figures)


def _figure(kind: str, times: TimesTaken | None, came_back: int) -> WorkFigure:
    is_measured = kind in MEASURED_BACK and times is not None
    return WorkFigure(
        kind=kind,
        decided=0 if times is None else times.decided,
        median_hours=None if times is None else times.median_us / HOUR_US,
        nine_of_ten_hours=None if times is None else times.nine_of_ten_us / HOUR_US,
        came_back=came_back if is_measured else None,
        came_back_share=came_back / times.decided if is_measured and times is not None else None,
    )
