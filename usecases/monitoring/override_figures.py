"""Overrides of a period: what was decided in it, and what held at its end."""

from dataclasses import dataclass

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.usecases.monitoring.history import ValidationPeriod


@dataclass(frozen=True, kw_only=True)
class OverrideFigures:
    """Overrides of a time; shares are of the entities that had a level at its end.

    Attributes:
        requested: asked for in the time, and so on with the others.
        expired: ended by themselves.
        live: held at the end.
        live_share: of the portfolio; None where no entity had a level.
        downward: of these, below what the rules said.
        downward_share: of the portfolio; the cap is for these.
        cap_percent: so many may be downward, at most.
        mean_age_days: of those that were live, since they were approved; None without any.
        with_level: entities that had a level.
    """

    requested: int
    approved: int
    refused: int
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
        overrides: as `store.monitoring.validation.overrides_before` reads them.
        ended: the levels at the end of the period.
        period: the time.
        cap_percent: the organisation's.
    """
    granted = pl.col("state").is_in(["approved", "revoked"])
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
        refused=len(overrides.filter((pl.col("state") == "refused") & _within("decided_us", period))),
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
    """Tell which of the overrides that were approved, early or late, held at a moment."""
    decided = pl.col("decided_us") <= moment_us
    not_revoked = (pl.col("state") == "approved") | (pl.col("revoked_us") > moment_us).fill_null(False)
    return decided & not_revoked & (pl.col("until_us").is_null() | (pl.col("until_us") > moment_us))
