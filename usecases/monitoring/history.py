"""What happened in a period, each thing as it was known at its own moment: levels, cases and alerts.

A case or an alert is looked at with the level that held just before it was opened, and it counts in the time in which
its outcome became known: so each counts once, however long it took. What became known after the end does not count.

An assessment that was made long after its moment knew what was stored until then: it was no level at its moment,
so it is left out of everything but the count of those left out.
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
"""An assessment that was made later than this after its moment was made in hindsight; a worker that was off is not."""


Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and what that counts, in words."""


def no_progress(_done: int, _total: int, _part: str) -> None:
    """Report to nobody how far it is."""


@dataclass(frozen=True)
class ValidationPeriod:
    """From a moment on, and up to another one, which is not in it; microseconds."""

    from_us: int
    until_us: int


@dataclass(frozen=True)
class Late:
    """What is left out because it was made in hindsight.

    Attributes:
        assessments: made later than `LATE_US` after their moment.
        of: all that would have been looked at with them.
        entities: with no other assessment than these.
        batches: of the calls that made late ones, until the end of the time.
    """

    assessments: int
    of: int
    entities: int
    batches: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class LevelHistory:
    """What is looked back on; the frames have the columns of `store.monitoring.validation`.

    Attributes:
        began: the assessment of each entity that held when the period began.
        ended: the assessment that held when it ended.
        first: of each entity and ruleset version the first assessment of the period, or the one that held then.
        cases: confirmed, with where the entity stood just before each was opened; `number` is null where it was never
            assessed by then.
        alerts: the same, with `answer` and `decided_us`: the outcome of each, and since when it is known.
        late: what is in none of these.
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
    """Read what happened; outcomes that are among *confirmed* are. *progress* is called with the entities looked at."""
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
    """Count the late assessments, all of them, and the entities with none but late ones."""
    only = part.group_by("entity").agg(pl.col("late").all())
    return int(part["late"].sum()), len(part), int(only["late"].sum())


def _frames_in_period(part: pl.DataFrame, period: ValidationPeriod) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Keep what is looked at of assessments that are in the order of entities and numbers."""
    began = part.filter(pl.col("as_of_us") <= period.from_us)
    ended = part.unique("entity", keep="last", maintain_order=True)
    by_rulesets = part.filter(pl.col("version_id").is_not_null())
    return began, ended, by_rulesets.unique(["entity", "version_id"], keep="first", maintain_order=True)


def known_by(records: pl.DataFrame, until_us: int) -> pl.DataFrame:
    """Forget the ends and outcomes that became known at a moment, or after it."""
    by_then = pl.col("closed_us") < until_us
    return records.with_columns(
        pl.when(by_then).then("closed_us").alias("closed_us"), pl.when(by_then).then("outcome").alias("outcome")
    )


def alert_outcomes(alerts: pl.DataFrame, cases: pl.DataFrame, confirmed: Sequence[str]) -> pl.DataFrame:
    """Give the outcomes of alerts: `answer`, and since when it is known, `decided_us`.

    An alert is confirmed by its own outcome, or by that of a case about the same entity that was opened while the alert
    was open. It stays open as long as such a case is, and is not confirmed once it and all of these are closed.
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
    """Find the cases that were opened while an alert was open, and give each alert the outcome of all of them.

    They count for the same entity, or are about the same one, such as an account that had another owner by then.
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
        .group_by("id", "entity")  # one about a joint account is there once for each owner
        .agg(
            pl.col("case_closed_us").filter(is_confirmed).min().alias("confirmed_us"),
            pl.col("case_closed_us").is_null().any().alias("any_open"),
            pl.col("case_closed_us").max().alias("last_us"),
            pl.col("case_outcome").is_not_null().any().alias("said"),
        )
    )
