"""What the levels of a time were worth, of one version of a ruleset or of all: ranking, capture, alerts, drift.

Measures are those of `risk.governance`. Where a figure would rest on too few, there is none, and it says so.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from fivefold.features.histories import Floats
from fivefold.models.drift import LEAST_CUSTOMERS, stability_index, stability_verdict
from fivefold.risk.engine.assessments import Status
from fivefold.risk.governance.validate.levels import NO_LEVEL, TOP_LEVELS
from fivefold.risk.governance.validate.ranking import RESAMPLES, Interval, Marks, rank, share
from fivefold.usecases.monitoring.history import CONFIRMED, NOT_CONFIRMED, OPEN, WITHOUT_OUTCOME, History
from fivefold.usecases.monitoring.measure_shapes import (
    LEAST,
    MEASURED,
    TOO_FEW,
    UNASSESSED,
    Caught,
    Drift,
    Group,
    LevelFigures,
    Measure,
    Ranked,
)


def group_of(
    history: History, names: Sequence[str], version: tuple[int, str, int] | None = None, resamples: int = RESAMPLES
) -> Group:
    """Measure one version - its row's number, its ruleset, which one it is - or all of them.

    What happened to an entity counts for the version by which it stood at that moment.
    """
    number = None if version is None else version[0]
    first = _by(history.first, number)
    began, ended = _by(history.began, number), _by(history.ended, number)
    caught, where = _caught(history, first, names, number)
    return Group(
        None if version is None else version[1],
        None if version is None else version[2],
        _ranked(history, first, number, resamples),
        caught,
        tuple(_levels(history, names, (began, ended), where, number)),
        _drift(began, ended, len(names)),
        dict(sorted(ended["status"].value_counts().iter_rows())),
    )


def _by(frame: pl.DataFrame, version: int | None) -> pl.DataFrame:
    """Keep what is by a version; by any, everybody's first."""
    if version is not None:
        return frame.filter(pl.col("version_id") == version)
    return frame.filter(pl.col("version_id").is_not_null()).sort("entity", "number").unique("entity", keep="first")


def measured(found: Interval | None, of: int, enough: bool) -> Measure:
    """Give a figure, or that it would rest on too few."""
    if found is None or not enough:
        return Measure(of, TOO_FEW)
    return Measure(of, MEASURED, found.estimate, found.low, found.high)


def _share(hits: int, of: int) -> Measure:
    return measured(share(hits, of), of, of >= LEAST)


def _ranked(history: History, first: pl.DataFrame, version: int | None, resamples: int) -> Ranked:
    since = pl.max_horizontal("as_of_us", pl.lit(history.period.from_us)).alias("since_us")
    pairs = first.select("entity", since).join(history.cases, on="entity")
    later = pl.col("opened_us") > pl.col("since_us")
    known = set(pairs.filter(pl.col("closed_us") <= pl.col("since_us"))["entity"])
    under_way = set(pairs.filter(~later)["entity"]) - known
    confirmed = pairs.filter(later if version is None else later & (pl.col("version_id") == version))["entity"]
    judged = first.filter(~pl.col("entity").is_in([*known, *under_way]), pl.col("status") == Status.ASSESSED.value)
    marks = judged["entity"].is_in(confirmed.unique().implode()).to_numpy()
    return Ranked(
        len(judged),
        int(marks.sum()),
        len(known),
        len(under_way),
        _gini(_places(judged), marks, resamples),
    )


def _places(judged: pl.DataFrame) -> Floats:
    """Give each total its place among those by the same version: totals of different ones cannot be compared."""
    total = pl.col("score").cast(pl.Float64)
    return judged.select((total.rank("average") / pl.len()).over("version_id")).to_series().to_numpy()


def _gini(score: Floats, marks: Marks, resamples: int) -> Measure:
    of = int(min(marks.sum(), (~marks).sum()))
    enough = of >= LEAST
    return measured(rank(score, marks, resamples=resamples).gini if enough else None, int(marks.sum()), enough)


def _caught(
    history: History, first: pl.DataFrame, names: Sequence[str], version: int | None
) -> tuple[Caught, pl.DataFrame]:
    """Measure who was caught; and give who was confirmed, with their levels."""
    in_time = pl.col("closed_us") >= history.period.from_us
    before = history.cases.filter(~in_time)["entity"].unique()
    new = history.cases.filter(in_time).sort("closed_us", "opened_us", "id").unique("entity", keep="first")
    known = new["entity"].is_in(before.implode())
    fresh = new.filter(~known)
    assessed = fresh.filter(pl.col("number").is_not_null())
    where = assessed if version is None else assessed.filter(pl.col("version_id") == version)
    of, lowest = len(where), len(names) - TOP_LEVELS
    top = int((where["level"] > lowest).sum())
    by_rules = ((where["level"] <= lowest).fill_null(True) & (where["rules_level"] > lowest).fill_null(False)).sum()
    possible = None
    if of and len(first):
        room, prevalence = float((first["level"] > lowest).sum() / len(first)), of / len(first)
        possible = min(1.0, room / prevalence)
    whole = version is None
    return (
        Caught(
            tuple(names[-TOP_LEVELS:]),
            of,
            _share(top, of),
            _share(of - top, of),
            possible,
            int(by_rules),
            len(fresh) - len(assessed) if whole else 0,
            int(known.sum()) if whole else 0,
        ),
        where,
    )


def _levels(
    history: History,
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
    return [
        _level(
            name,
            (len(sides[0].filter(by_rules)), len(sides[1].filter(by_rules)), len(sides[1].filter(held))),
            len(confirmed.filter(held)),
            alerts.filter(held),
            history,
        )
        for name, held, by_rules in slots
    ]


def _level(
    name: str, entities: tuple[int, int, int], confirmed: int, alerts: pl.DataFrame, history: History
) -> LevelFigures:
    begun = pl.col("opened_us") >= history.period.from_us
    decided = alerts.filter(pl.col("decided_us") >= history.period.from_us)
    hits, misses, silent = (
        int((decided["answer"] == answer).sum()) for answer in (CONFIRMED, NOT_CONFIRMED, WITHOUT_OUTCOME)
    )
    return LevelFigures(
        name,
        *entities,
        confirmed,
        len(alerts.filter(begun)),
        int((alerts["answer"] == OPEN).sum()),
        len(decided),
        hits,
        misses,
        silent,
        _share(hits, hits + misses),
        _share(misses, hits + misses),
    )


def _drift(began: pl.DataFrame, ended: pl.DataFrame, levels: int) -> Drift:
    counts = [
        np.array([int((side["rules_level"].fill_null(0) == level).sum()) for level in range(levels + 1)])
        for side in (began, ended)
    ]
    enough = len(began) >= LEAST_CUSTOMERS
    index = stability_index(*counts) if enough else None
    return Drift(index, stability_verdict(index), len(began), len(ended))
