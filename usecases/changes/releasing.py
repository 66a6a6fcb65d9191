"""Levels that only a withdrawn version raised: the levels that entities would have had without its decisions.

For each entity that the withdrawn version assessed last, the rulesets that decide after the roll-back are tried as of
every assessment that it made, and once a day in between, beginning with the state before its first one. If that ends at
a lower level, only the withdrawn version raised it. If it cannot be computed, the level is held as usual.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl
from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.risk.engine.levels import (
    ENTERED,
    FLOOR_LOST,
    HARD_FLOOR_LOST,
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    RULES_LEVEL,
    as_text,
)
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.backtest.compositions import (
    Composition,
    PriorState,
    deciding_assessments,
    families_after,
)
from fivefold.store.audit.standings import COLUMNS, standing_in
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.tables.levels import LevelRelease
from fivefold.usecases.levels.assess import held_before
from fivefold.usecases.levels.content.inputs import previous_of
from fivefold.usecases.rulesets.run_backtest import named_families_before

MOST_MOMENTS = 400
"""Entities on which the withdrawn version decided for longer, or more often, are held."""


@dataclass(frozen=True)
class Releases:
    """The releases of a part of a portfolio.

    Attributes:
        rows: the released entities, as stored in `level_releases`; with `entity`.
        raised: entities on which the withdrawn version decided last.
        unknown: how many of these are held because their history was erased or is too long.
    """

    rows: pl.DataFrame
    raised: int
    unknown: int


def releases_of(
    session: Session, ids: Sequence[int], version_id: int, after: Composition, portfolio: Portfolio, as_of_us: int
) -> Releases:
    """Compute which entities would have a lower level if a version had never decided; nothing is stored.

    Args:
        session: to read with.
        ids: the entities of the part.
        version_id: the withdrawn version.
        after: the rulesets that decide without it.
        portfolio: the entities, with the future lists, and all their facts.
        as_of_us: the current time, microseconds.
    """
    standing = loading.current_levels(session, ids).filter(
        pl.col("version_id") == version_id, pl.col("rules_level").is_not_null()
    )
    runs = loading.runs_of_version(session, standing["entity"].to_list(), version_id)
    before = held_before(standing.clear())
    moments: dict[str, list[int]] = {}
    deciding: list[tuple[int, int | None, str | None]] = []
    for (entity,), run in runs.group_by("entity", maintain_order=True):
        content, version_before, content_before = run.select("content", "version_before", "content_before").row(0)
        times = _moments(run["as_of_us"].to_list(), as_of_us)
        if content is None or len(times) > MOST_MOMENTS or (version_before is not None and content_before is None):
            continue
        deciding.append((int(run["entity"][0]), version_before, _kept_by(content_before)))
        moments[str(entity)] = times
        state_before = previous_of(json.loads(content)["previous"], str(entity))
        if state_before is not None:
            before = pl.concat([before, state_before.select(before.columns)])
    rows_before = pl.DataFrame(deciding, schema=_DECIDING, orient="row")
    state = _through(after, portfolio, moments, PriorState(before, named_families_before(session, rows_before)))
    previous = standing.with_columns(pl.col("entity").cast(pl.String).alias(ENTITY)).join(state, on=ENTITY)
    rows = previous.filter(pl.col("level_right") < pl.col("rules_level")).select(
        "entity",
        "version_id",
        "assessed_us",
        pl.col("level_right").alias("level"),
        pl.col("entered").alias("entered_us"),
        pl.col("floor_right").alias("floor"),
        pl.col("hard_floor_right").alias("hard_floor"),
        as_text(),
        held_level="rules_level",
        held_entered_us="entered_us",
    )
    return Releases(rows, len(standing), len(standing) - len(moments))


def _moments(assessed_us: list[int], as_of_us: int) -> list[int]:
    days = range(assessed_us[0] + DAY_US, as_of_us, DAY_US) if as_of_us - assessed_us[0] < MOST_MOMENTS * DAY_US else ()
    return sorted({*assessed_us, *days, as_of_us})


_DECIDING = {"entity": pl.Int64, "version_id": pl.Int64, "kept_by": pl.String}
"""What `named_families_before` reads."""


def _kept_by(content: str | None) -> str | None:
    """Read which families kept an entity by an assessment, from its content."""
    standing = dict(zip(COLUMNS, standing_in(content) or (), strict=False))
    kept_by: str | None = standing.get("kept_by")
    return kept_by


def _through(
    after: Composition, portfolio: Portfolio, moments: dict[str, list[int]], before: PriorState
) -> pl.DataFrame:
    """Assess everyone from moment to moment; return the levels and floors at the end, for those that have a level.

    *before* has the levels and floors to begin with, and what decided until then.
    """
    assert before.standing is not None
    state, families, schema = before.standing, dict(before.families), before.standing.schema
    for turn in range(max(map(len, moments.values()), default=0)):
        now = {entity: of_entity[turn] for entity, of_entity in moments.items() if turn < len(of_entity)}
        entities = portfolio.entities.filter(pl.col(ENTITY).is_in(list(now)))
        as_of = pl.Series("as_of", [now[entity] for entity in entities[ENTITY]], dtype=pl.Int64)
        parts = [state.filter(~pl.col(ENTITY).is_in(list(now)))]
        deciding = list(
            deciding_assessments(after, replace(portfolio, entities=entities), as_of, PriorState(state, families))
        )
        for _, assessments in deciding:
            with_level = assessments.outcomes.filter(pl.col(RULES_LEVEL).is_not_null()).select(
                ENTITY,
                *(pl.col(column).cast(schema[name]).alias(name) for name, column in _NEXT.items() if name in schema),
            )
            parts.append(with_level.select(state.columns))
        state = pl.concat(parts)
        families = {entity: of for entity, of in families.items() if entity not in now} | families_after(deciding)
    return state


_NEXT = {
    "level": RULES_LEVEL,
    "entered": ENTERED,
    "floor": HELD_FLOOR,
    "hard_floor": HELD_HARD_FLOOR,
    FLOOR_LOST: FLOOR_LOST,
    HARD_FLOOR_LOST: HARD_FLOOR_LOST,
}
"""The state to continue from, and the outcome that provides it."""


def keep_releases(session: Session, organisation_id: int, backtest_id: int, rows: pl.DataFrame) -> None:
    """Store the releases of a part. They take effect when the proposal is approved."""
    rows_given = [
        {**row, "entity_id": row["entity"], "organisation_id": organisation_id, "backtest_id": backtest_id}
        for row in rows.iter_rows(named=True)
    ]
    for row in rows_given:
        row.pop("entity")
        row["active"] = False
    if rows_given:
        session.execute(insert(LevelRelease), rows_given)


def forget_releases(session: Session, backtest_id: int) -> None:
    """Delete the results of an earlier attempt."""
    session.execute(delete(LevelRelease).where(LevelRelease.backtest_id == backtest_id))


def activate_releases(session: Session, backtest_ids: Sequence[int]) -> int:
    """Put the results of backtests in force from the next assessment on; return how many."""
    activation = update(LevelRelease).where(LevelRelease.backtest_id.in_(backtest_ids)).values(active=True)
    return int(session.execute(activation).rowcount)  # type: ignore[attr-defined]  # of an update
