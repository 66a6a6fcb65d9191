"""Measures of the levels of a period, by one version of a ruleset or by all: ranking, capture, alerts, drift.

`risk.governance.validate.measures` defines the measures; this module selects the rows for them. A measure that would
rest on too few entities is None, with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fivefold.features.histories import Floats, Integers
from fivefold.risk.engine.assessments import Status
from fivefold.risk.governance.validate.measures import (
    NO_LEVEL,
    TOP_LEVELS,
    Drift,
    Measure,
    drift_between,
    gini_measure,
    in_top_levels,
    share_measure,
)
from fivefold.risk.governance.validate.ranking import RESAMPLES
from fivefold.usecases.monitoring.history import (
    CONFIRMED,
    NOT_CONFIRMED,
    OPEN,
    WITHOUT_OUTCOME,
    LevelHistory,
)

UNASSESSED = "(never assessed)"


@dataclass(frozen=True, kw_only=True)
class RankingMeasures:
    """How well the rules' totals, at the beginning or a first assessment, ranked the entities confirmed later.

    Attributes:
        entities: how many were ranked: assessed in full, and not left aside.
        confirmed: how many of these were confirmed in the period by a case opened after that assessment.
        known: how many were left aside as confirmed before.
        under_way: how many were left aside as the case was open already, and may have counted in the total.
        under_another: how many were left aside as confirmed only by cases opened while another version held.
        gini: the Gini of the totals.
        level_gini: the Gini of the rules' levels, with floors and without overrides, on the same entities.
    """

    entities: int
    confirmed: int
    known: int
    under_way: int
    under_another: int
    gini: Measure
    level_gini: Measure


@dataclass(frozen=True, kw_only=True)
class CaptureMeasures:
    """The levels of entities confirmed in the period, just before the case that first confirmed them was opened.

    Attributes:
        top: the names of the upper levels.
        confirmed: how many entities were confirmed, each counted once.
        captured: the share of these in the upper levels.
        missed: the share of these below the upper levels, or without a level.
        possible: the largest share possible: the entities in the upper levels, at the beginning or just before they
            were confirmed, over the confirmed; None if none was confirmed.
        missed_by_override: how many missed ones were in the upper levels by the rules.
        unassessed: how many were confirmed and never assessed in time before; they count nowhere else.
        known: how many were confirmed before the period already; they count nowhere else.
    """

    top: tuple[str, ...]
    confirmed: int
    captured: Measure
    missed: Measure
    possible: float | None
    missed_by_override: int
    unassessed: int
    known: int


@dataclass(frozen=True, kw_only=True)
class LevelFigures:
    """The figures of one level, or of entities without one.

    Attributes:
        began: how many entities were at the level by the rules when the period began, without overrides.
        ended: how many were when it ended.
        held: how many were at the level when it ended, with overrides.
        confirmed: how many entities confirmed in the period were at the level just before.
        opened: how many alerts were opened in the period about an entity at this level.
        open: how many of its alerts, of any time, were open at the end.
        decided: how many alerts got an outcome or end in the period; the next three are parts of these.
        alerts_confirmed: how many were confirmed.
        not_confirmed: how many were false positives.
        without_outcome: how many were closed without an outcome, and so are in no share.
        conversion: the share of confirmed ones among those with an outcome.
        false_positives: the share of not confirmed ones among the same.
        of_alerts: `opened` as a share of all alerts that were opened in the period.
        of_confirmed: `confirmed` as a share of all confirmed entities.
    """

    level: str
    began: int
    ended: int
    held: int
    confirmed: int
    opened: int
    open: int
    decided: int
    alerts_confirmed: int
    not_confirmed: int
    without_outcome: int
    conversion: Measure
    false_positives: Measure
    of_alerts: Measure
    of_confirmed: Measure


@dataclass(frozen=True)
class LevelDrift(Drift):
    """The drift of the rules' levels from the beginning to the end, and the number of entities at both."""

    began: int
    ended: int


@dataclass(frozen=True, kw_only=True)
class VersionGroup:
    """All figures of one version of a ruleset; or of all, and then `ruleset` and `version` are None.

    Attributes:
        statuses: the number of assessments that held at the end, by status.
    """

    ruleset: str | None
    version: int | None
    ranked: RankingMeasures
    caught: CaptureMeasures
    levels: tuple[LevelFigures, ...]
    drift: LevelDrift
    statuses: Mapping[str, int]


def version_group(
    history: LevelHistory, names: Sequence[str], version: tuple[int, str, int] | None = None, resamples: int = RESAMPLES
) -> VersionGroup:
    """Measure one version, given as the number of its row, its ruleset and its number, or all versions together.

    An event of an entity counts for the version that gave its level at that moment.
    """
    number = None if version is None else version[0]
    first = _by(history.first, number)
    began, ended = _by(history.began, number), _by(history.ended, number)
    caught, where = _caught(history, first, names, number)
    return VersionGroup(
        ruleset=None if version is None else version[1],
        version=None if version is None else version[2],
        ranked=_ranked(history, first, number, resamples),
        caught=caught,
        levels=tuple(_levels(history, names, (began, ended), where, number)),
        drift=_drift(began, ended, len(names)),
        statuses=dict(sorted(ended["status"].value_counts().iter_rows())),
    )


def _by(frame: pl.DataFrame, version: int | None) -> pl.DataFrame:
    """Select the rows of a version; for None, the first row of each entity by any version."""
    if version is not None:
        return frame.filter(pl.col("version_id") == version)
    return frame.filter(pl.col("version_id").is_not_null()).sort("entity", "number").unique("entity", keep="first")


def _ranked(history: LevelHistory, first: pl.DataFrame, version: int | None, resamples: int) -> RankingMeasures:
    since = pl.max_horizontal("as_of_us", pl.lit(history.period.from_us)).alias("since_us")
    pairs = first.select("entity", since).join(history.cases, on="entity")
    later = pl.col("opened_us") > pl.col("since_us")
    confirmed_before = set(pairs.filter(pl.col("closed_us") <= pl.col("since_us"))["entity"])
    under_way = set(pairs.filter(~later)["entity"]) - confirmed_before
    aside = confirmed_before | under_way
    confirmed_later = pairs.filter(later & ~pl.col("entity").is_in([*aside]))
    # an entity without a ruleset just before the case does not count as under another version
    of_version = pl.col("version_id").fill_null(pl.lit(version))
    own = confirmed_later if version is None else confirmed_later.filter(of_version == version)
    confirmed = set(own["entity"])
    # ranked as not confirmed, they would make a version look worse that had ranked them high
    under_another = set(confirmed_later["entity"]) - confirmed
    ranked_rows = first.filter(
        ~pl.col("entity").is_in([*aside, *under_another]), pl.col("status") == Status.ASSESSED.value
    )
    marks = ranked_rows["entity"].is_in([*confirmed]).to_numpy()
    return RankingMeasures(
        entities=len(ranked_rows),
        confirmed=int(marks.sum()),
        known=len(confirmed_before),
        under_way=len(under_way),
        under_another=len(under_another),
        gini=gini_measure(_places(ranked_rows), marks, resamples),
        level_gini=gini_measure(_numbers(ranked_rows, "rules_level"), marks, resamples),
    )


def _places(ranked_rows: pl.DataFrame) -> Floats:
    """Return the rank of each total among those of its version, as totals of different versions cannot be compared."""
    total = pl.col("score").cast(pl.Float64)
    return ranked_rows.select((total.rank("average") / pl.len()).over("version_id")).to_series().to_numpy()


def _caught(
    history: LevelHistory, first: pl.DataFrame, names: Sequence[str], version: int | None
) -> tuple[CaptureMeasures, pl.DataFrame]:
    """Return the capture measures, and the confirmed entities with their levels."""
    in_time = pl.col("closed_us") >= history.period.from_us
    before = history.cases.filter(~in_time)["entity"].unique()
    new = history.cases.filter(in_time).sort("closed_us", "opened_us", "id").unique("entity", keep="first")
    confirmed_before = new["entity"].is_in(before.implode())
    fresh = new.filter(~confirmed_before)
    assessed = fresh.filter(pl.col("number").is_not_null())
    where = assessed if version is None else assessed.filter(pl.col("version_id") == version)
    of = len(where)
    top, top_by_rules = (in_top_levels(_numbers(where, name), len(names)) for name in ("level", "rules_level"))
    possible = None
    if of:
        in_top = in_top_levels(_numbers(first, "level"), len(names))
        room = {*first.filter(pl.Series(in_top))["entity"], *where.filter(pl.Series(top))["entity"]}
        possible = min(1.0, len(room) / of)
    whole = version is None
    return (
        CaptureMeasures(
            top=tuple(names[-TOP_LEVELS:]),
            confirmed=of,
            captured=share_measure(int(top.sum()), of),
            missed=share_measure(int((~top).sum()), of),
            possible=possible,
            missed_by_override=int((~top & top_by_rules).sum()),
            unassessed=len(fresh) - len(assessed) if whole else 0,
            known=int(confirmed_before.sum()) if whole else 0,
        ),
        where,
    )


def _numbers(frame: pl.DataFrame, name: str) -> Integers:
    """Return levels as numbers from 1; 0 for no level."""
    return frame[name].fill_null(0).cast(pl.Int64).to_numpy()


def _levels(
    history: LevelHistory,
    names: Sequence[str],
    sides: tuple[pl.DataFrame, pl.DataFrame],
    confirmed: pl.DataFrame,
    version: int | None,
) -> list[LevelFigures]:
    alerts = history.alerts if version is None else history.alerts.filter(pl.col("version_id") == version)
    slots: list[tuple[str, pl.Expr, pl.Expr]] = [
        (name, pl.col("level") == number, pl.col("rules_level") == number) for number, name in enumerate(names, 1)
    ]
    there = pl.col("number").is_not_null()
    slots.append((NO_LEVEL, there & pl.col("level").is_null(), there & pl.col("rules_level").is_null()))
    if version is None:
        slots.append((UNASSESSED, ~there, ~there))
    opened = len(alerts.filter(_begun(history)))
    return [
        _level(
            name,
            (len(sides[0].filter(by_rules)), len(sides[1].filter(by_rules)), len(sides[1].filter(in_level))),
            (len(confirmed.filter(in_level)), len(confirmed)),
            (alerts.filter(in_level), opened),
            history,
        )
        for name, in_level, by_rules in slots
    ]


def _begun(history: LevelHistory) -> pl.Expr:
    """Return the condition that an alert was opened in the period."""
    return pl.col("opened_us") >= history.period.from_us


def _level(
    name: str,
    entities: tuple[int, int, int],
    confirmed: tuple[int, int],
    alerts_of: tuple[pl.DataFrame, int],
    history: LevelHistory,
) -> LevelFigures:
    """Return the figures of one level; *confirmed* and *alerts_of* also have the number at all levels."""
    alerts, opened_anywhere = alerts_of
    opened = len(alerts.filter(_begun(history)))
    decided = alerts.filter(pl.col("decided_us") >= history.period.from_us)
    hits, misses, silent = (
        int((decided["answer"] == answer).sum()) for answer in (CONFIRMED, NOT_CONFIRMED, WITHOUT_OUTCOME)
    )
    began, ended, in_force = entities
    return LevelFigures(
        level=name,
        began=began,
        ended=ended,
        held=in_force,
        confirmed=confirmed[0],
        opened=opened,
        open=int((alerts["answer"] == OPEN).sum()),
        decided=len(decided),
        alerts_confirmed=hits,
        not_confirmed=misses,
        without_outcome=silent,
        conversion=share_measure(hits, hits + misses),
        false_positives=share_measure(misses, hits + misses),
        of_alerts=share_measure(opened, opened_anywhere),
        of_confirmed=share_measure(*confirmed),
    )


def _drift(began: pl.DataFrame, ended: pl.DataFrame, levels: int) -> LevelDrift:
    counts = [np.bincount(_numbers(side, "rules_level"), minlength=levels + 1) for side in (began, ended)]
    drift = drift_between(*counts)
    return LevelDrift(drift.index, drift.verdict, len(began), len(ended))
