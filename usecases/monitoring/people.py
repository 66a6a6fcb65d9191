"""How people decide: the overrides of a period, how long decisions took, and how much came back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from fivefold.domain.clock import DAY_US, HOUR_US, day_text
from fivefold.domain.errors import ConfigError
from fivefold.store.monitoring.work import HandlingTimes, count_reopened, handling_times
from fivefold.usecases.monitoring.history import ValidationPeriod
from fivefold.usecases.shared.actors import SYSTEM
from fivefold.usecases.shared.api_fields import Moment
from fivefold.usecases.shared.context import Context

BACK_DAYS: Final = 30
"""Within how many days work counts as having come back; later it is new work."""
KINDS: Final = ("override", "change", "rise", "alert", "case")
MEASURED_BACK: Final = frozenset({"override", "change"})
"""The kinds for which coming back is stored; a case that is opened again, for example, is only open."""


@dataclass(frozen=True, kw_only=True)
class OverrideFigures:
    """The overrides of a period; shares are of the entities that had a level at its end.

    Attributes:
        requested: how many were requested in the period; `approved`, `refused` and `revoked` likewise.
        lapsed: how many the program refused, as no person decided before their own end.
        expired: how many ended by themselves.
        live: how many held at the end.
        live_share: their share of the portfolio; None if no entity had a level.
        downward: how many of the live ones were below the level by the rules.
        downward_share: their share of the portfolio, which the cap limits.
        cap_percent: the most that may be downward, in percent.
        mean_age_days: the mean age of the live ones since their approval; None if there are none.
        with_level: how many entities had a level.
    """

    requested: int
    approved: int
    refused: int
    lapsed: int
    revoked: int
    expired: int
    live: int
    live_share: float | None
    downward: int
    downward_share: float | None
    cap_percent: int
    mean_age_days: float | None
    with_level: int


def override_figures(
    overrides: pl.DataFrame, ended: pl.DataFrame, period: ValidationPeriod, cap_percent: int
) -> OverrideFigures:
    """Count overrides.

    Args:
        overrides: overrides from `store.monitoring.validation.overrides_before`.
        ended: the levels at the end of the period.
        period: the period.
        cap_percent: the organisation's cap.
    """
    granted = pl.col("state").is_in(["approved", "revoked"])
    refused = (pl.col("state") == "refused") & _within("decided_us", period)
    by_program = pl.col("decided_by").eq_missing(SYSTEM)
    revoked = (pl.col("state") == "revoked") & _within("revoked_us", period)
    over = pl.col("until_us").is_not_null() & _within("until_us", period)
    ended_before = pl.col("revoked_us").is_not_null() & (pl.col("revoked_us") < pl.col("until_us"))
    live = overrides.filter(granted & _held_at(period.until_us))
    with_level = ended.filter(pl.col("level").is_not_null())
    beneath = live.join(ended.select("entity", "rules_level"), on="entity")
    downward = len(beneath.filter(pl.col("level") < pl.col("rules_level")))
    ages = (period.until_us - live["decided_us"]) / DAY_US
    of = len(with_level)
    return OverrideFigures(
        requested=len(overrides.filter(_within("requested_us", period))),
        approved=len(overrides.filter(granted & _within("decided_us", period))),
        refused=len(overrides.filter(refused & ~by_program)),
        lapsed=len(overrides.filter(refused & by_program)),
        revoked=len(overrides.filter(revoked)),
        expired=len(overrides.filter(granted & over & ~ended_before)),
        live=len(live),
        live_share=len(live) / of if of else None,
        downward=downward,
        downward_share=downward / of if of else None,
        cap_percent=cap_percent,
        mean_age_days=float(ages.sum()) / len(live) if len(live) else None,
        with_level=of,
    )


def _within(moment: str, period: ValidationPeriod) -> pl.Expr:
    return pl.col(moment).is_between(period.from_us, period.until_us, closed="left").fill_null(False)


def _held_at(moment_us: int) -> pl.Expr:
    """Return the condition that an approved override held at a moment."""
    decided = pl.col("decided_us") <= moment_us
    not_revoked = (pl.col("state") == "approved") | (pl.col("revoked_us") > moment_us).fill_null(False)
    return decided & not_revoked & (pl.col("until_us").is_null() | (pl.col("until_us") > moment_us))


@dataclass(frozen=True, kw_only=True)
class WorkFigure:
    """How long what was decided took, and how much of it came back.

    `kind`: override and change, from the request to the decision; rise, until it was put away; alert and case, until
    it was closed. Hours are null where nothing was decided; what came back is null where that is not stored.

    Attributes:
        kind: one of `KINDS`.
        decided: how many were decided in the period.
        median_hours: within how many hours half of them were decided.
        nine_of_ten_hours: within how many hours nine of ten were decided.
        came_back: how many were refused and requested again, or approved and ended by a person, within `BACK_DAYS`.
        came_back_share: their share of those decided.
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
    """Measure what people decided in a period; ConfigError if it is empty."""
    if begins_us >= ends_us:
        raise ConfigError(
            f"the time from {day_text(begins_us)} until {day_text(ends_us)} is empty; it must end after it begins"
        )
    with context.reading() as session:
        of = (session, context.organisation_id, begins_us, ends_us)
        times, back = handling_times(*of), count_reopened(*of, BACK_DAYS * DAY_US)
    figures = tuple(_figure(kind, times.get(kind), back.get(kind, 0)) for kind in KINDS)
    return WorkFigures(begins=begins_us, ends=ends_us, figures=figures)


def _figure(kind: str, times: HandlingTimes | None, came_back: int) -> WorkFigure:
    is_measured = kind in MEASURED_BACK and times is not None
    return WorkFigure(
        kind=kind,
        decided=0 if times is None else times.decided,
        median_hours=None if times is None else times.median_us / HOUR_US,
        nine_of_ten_hours=None if times is None else times.nine_of_ten_us / HOUR_US,
        came_back=came_back if is_measured else None,
        came_back_share=came_back / times.decided if is_measured and times is not None else None,
    )
