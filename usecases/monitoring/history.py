"""The levels, cases and alerts of a period, each as it was known at its own moment.

A case or an alert is compared with the level that held just before it was opened, and it counts in the period in which
its outcome became known. So each counts once, however long it took. Outcomes known after the end do not count.

An assessment that was made long after its moment read facts that were stored since, so it does not show the level at
its moment. It is left out of everything except the count of what is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.monitoring.validation import (
    CONFIRMED_OUTCOME,
    ENTITIES_AT_ONCE,
    NO_ASSESSMENTS,
    assessment_frames,
    count_standing,
    late_batches,
    records_before,
)

CONFIRMED, NOT_CONFIRMED, WITHOUT_OUTCOME, OPEN = CONFIRMED_OUTCOME, "not confirmed", "without outcome", "open"
"""Outcomes of an alert."""

READS = "customers whose levels are read"
LATE_US = DAY_US
"""How long after its moment an assessment may be made and not count as hindsight, as when a worker was off."""


Progress = Callable[[int, int, str], None]
"""Called with how much is done, the total, and what is counted, in words."""


def no_progress(_done: int, _total: int, _part: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class ValidationPeriod:
    """A period from a moment until another one, which is not in it; microseconds."""

    from_us: int
    until_us: int


@dataclass(frozen=True)
class Late:
    """The assessments left out because they were made in hindsight.

    Attributes:
        assessments: how many were made later than `LATE_US` after their moment.
        of: how many there are, late ones included.
        entities: how many entities have no other assessment.
        batches: the batches of the calls that made late ones, until the end of the period.
    """

    assessments: int
    of: int
    entities: int
    batches: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class LevelHistory:
    """The history of a period; the frames have the columns of `store.monitoring.validation`.

    Attributes:
        began: the assessment of each entity that held when the period began.
        ended: the assessment of each entity that held when the period ended.
        first: the first assessment of the period by entity and ruleset version, or the one that held when it began.
        cases: confirmed cases, with the entity's assessment just before each was opened; `number` is null if it was
            never assessed by then.
        alerts: alerts, likewise, with the outcome, `answer`, and since when it is known, `decided_us`.
        late: assessments that are in none of these.
    """

    period: ValidationPeriod
    began: pl.DataFrame
    ended: pl.DataFrame
    first: pl.DataFrame
    cases: pl.DataFrame
    alerts: pl.DataFrame
    late: Late


def read_level_histories(
    session: Session,
    organisation_id: int,
    period: ValidationPeriod,
    confirmed: Sequence[str],
    progress: Progress = no_progress,
) -> LevelHistory:
    """Read the history of a period; the outcomes *confirmed* mean confirmed. *progress* gets the entities read."""
    total = count_standing(session, organisation_id)
    progress(0, total, READS)
    batches = late_batches(session, organisation_id, period.until_us, LATE_US)
    parts, counted = [_frames_in_period(NO_ASSESSMENTS, period)], []
    for part in assessment_frames(session, organisation_id, period.from_us, period.until_us, batches):
        parts.append(_frames_in_period(part.filter(~pl.col("late")), period))
        counted.append(_counted(part))
        progress(min(len(counted) * ENTITIES_AT_ONCE, total), total, READS)
    began, ended, first = (pl.concat(frames) for frames in zip(*parts, strict=True))
    records = known_by(records_before(session, organisation_id, period.until_us, batches), period.until_us)
    cases = records.filter(pl.col("kind") == "case")
    alerts = records.filter(pl.col("kind") == "alert")
    return LevelHistory(
        period=period,
        began=began,
        ended=ended,
        first=first,
        cases=cases.filter(pl.col("outcome").is_in(list(confirmed))),
        alerts=alert_outcomes(alerts, cases, confirmed),
        late=_late(counted, batches),
    )


def _late(counted: Sequence[tuple[int, int, int]], batches: Sequence[int]) -> Late:
    assessments, of, entities = (sum(each[place] for each in counted) for place in range(3))
    return Late(assessments, of, entities, batches)


def _counted(part: pl.DataFrame) -> tuple[int, int, int]:
    """Return the number of late assessments, of all assessments, and of entities with late ones only."""
    only = part.group_by("entity").agg(pl.col("late").all())
    return int(part["late"].sum()), len(part), int(only["late"].sum())


def _frames_in_period(part: pl.DataFrame, period: ValidationPeriod) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Select the frames `began`, `ended` and `first` from assessments in the order of entities and numbers."""
    began = part.filter(pl.col("as_of_us") <= period.from_us)
    ended = part.unique("entity", keep="last", maintain_order=True)
    by_rulesets = part.filter(pl.col("version_id").is_not_null())
    return began, ended, by_rulesets.unique(["entity", "version_id"], keep="first", maintain_order=True)


def known_by(records: pl.DataFrame, until_us: int) -> pl.DataFrame:
    """Remove the ends and outcomes that became known at a moment or later."""
    by_then = pl.col("closed_us") < until_us
    return records.with_columns(
        pl.when(by_then).then("closed_us").alias("closed_us"), pl.when(by_then).then("outcome").alias("outcome")
    )


def alert_outcomes(alerts: pl.DataFrame, cases: pl.DataFrame, confirmed: Sequence[str]) -> pl.DataFrame:
    """Return alerts with their outcome, `answer`, and since when it is known, `decided_us`.

    An alert is confirmed by its own outcome, or by that of a case about the same entity that was opened while the alert
    was open. It stays open as long as such a case is open. Once all are closed without that, it is not confirmed, or
    has no outcome if none of them has one.
    """
    came = _came_of(alerts, cases, confirmed)
    joined = alerts.join(came, on=["id", "entity"], how="left")
    own = pl.when(pl.col("outcome").is_in(list(confirmed))).then("closed_us")
    confirmed_us = pl.min_horizontal(own, "confirmed_us")
    is_open = pl.col("closed_us").is_null() | pl.col("any_open").fill_null(False)
    outcome_known = pl.col("outcome").is_not_null() | pl.col("said").fill_null(False)
    closed_us = pl.max_horizontal("closed_us", "last_us")
    return joined.select(
        *alerts.columns,
        pl.when(confirmed_us.is_not_null())
        .then(pl.lit(CONFIRMED))
        .when(is_open)
        .then(pl.lit(OPEN))
        .when(outcome_known)
        .then(pl.lit(NOT_CONFIRMED))
        .otherwise(pl.lit(WITHOUT_OUTCOME))
        .alias("answer"),
        pl.when(confirmed_us.is_not_null()).then(confirmed_us).when(~is_open).then(closed_us).alias("decided_us"),
    )


def _came_of(alerts: pl.DataFrame, cases: pl.DataFrame, confirmed: Sequence[str]) -> pl.DataFrame:
    """Return for each alert the joint outcome of the cases that were opened while it was open.

    These count for the same entity, or are about the same one, such as an account that had another owner by then.
    """
    when = {"case_us": "opened_us", "case_closed_us": "closed_us", "case_outcome": "outcome"}
    open_alerts = alerts.select("id", "entity", "about", "opened_us", "closed_us")
    pairs = pl.concat(
        open_alerts.join(cases.select(key, **when), on=key).select("id", "entity", "opened_us", "closed_us", *when)
        for key in ("entity", "about")
    )
    while_open = (pl.col("case_us") >= pl.col("opened_us")) & (
        pl.col("closed_us").is_null() | (pl.col("case_us") <= pl.col("closed_us"))
    )
    is_confirmed = pl.col("case_outcome").is_in(list(confirmed))
    return (
        pairs.filter(while_open)
        .group_by("id", "entity")  # an alert about a joint account has a row for each owner
        .agg(
            pl.col("case_closed_us").filter(is_confirmed).min().alias("confirmed_us"),
            pl.col("case_closed_us").is_null().any().alias("any_open"),
            pl.col("case_closed_us").max().alias("last_us"),
            pl.col("case_outcome").is_not_null().any().alias("said"),
        )
    )
