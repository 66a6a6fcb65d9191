"""Assessments: a compiled ruleset, its inputs and its outcomes, one row for each entity."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from typing import Final, Self

import polars as pl

from fivefold.domain.text import html_table
from fivefold.risk.engine.levels import (
    ENTERED,
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    LEVEL,
    MAY_MOVE_DOWN_ON,
    OVERRIDDEN,
    RAISED,
    RULES_LEVEL,
    WITHHELD,
    as_text,
)
from fivefold.risk.engine.program import (
    APPLIES,
    FLOOR,
    TOTAL,
    TOTAL_LEVEL,
    Program,
)
from fivefold.risk.facts.aggregates import quotient
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, ListVersion

STATUS, COMPUTED, VERSIONS = "status", "computed", "list_versions"


class Status(StrEnum):
    """The status of an assessment.

    FAILED: a rule met a value that it could not read, or no column of weights fits the entity. UNCLASSIFIED: no tier
    contains the total. UNDETERMINED: it is unknown whether the ruleset applies to the entity. In all three a triggered
    floor may still raise the level, and nothing lowers it. NOT_APPLICABLE: the ruleset's predicate is false for the
    entity, so it has no level.
    """

    ASSESSED = "assessed"
    FAILED = "failed"
    UNCLASSIFIED = "unclassified"
    UNDETERMINED = "undetermined"
    NOT_APPLICABLE = "not applicable"


NOT_IN_FULL: Final = frozenset({Status.FAILED.value, Status.UNCLASSIFIED.value, Status.UNDETERMINED.value})
"""Statuses of an assessment that was not made in full; `store.tables.levels.IS_FAILED` names them in SQL."""


@dataclass(frozen=True, kw_only=True)
class Assessments:
    """The assessments of n entities.

    Attributes:
        program: the compiled ruleset; if lists changed between as-ofs, that of the first of `versions`.
        inputs: n rows: `entity_id`, `as_of`, a column for each input; null where unknown.
        outcomes: n rows: `entity_id`, `as_of`, `status`, the columns of `Program.run` and `risk.engine.levels.LEVELS`,
            `computed` (the level by the rules alone now), `list_versions` (a position in *versions*).
        versions: the versions of the lists that were used, by name; several if as-ofs differ.
        base: the currency of money.
        moments: n rows: `entity_id`, and when time alone may change each input, by `risk.facts.moments`; None if that
            was not computed.
    """

    program: Program
    inputs: pl.DataFrame
    outcomes: pl.DataFrame
    _: KW_ONLY
    versions: tuple[Mapping[str, ListVersion], ...]
    base: str
    moments: pl.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.outcomes)

    def where(self, mask: pl.Series) -> Self:
        """Select the assessments of some entities."""
        if mask.all(ignore_nulls=False):
            return self
        moments = None if self.moments is None else self.moments.filter(mask)
        return replace(self, inputs=self.inputs.filter(mask), outcomes=self.outcomes.filter(mask), moments=moments)

    def table(self) -> pl.DataFrame:
        """Return one plain row for each entity: level names instead of numbers, points instead of units.

        The score of a failed assessment is the sum of the other rules, and has no level.
        """
        names = dict(enumerate(self.program.ruleset.levels, 1))

        def level_name(column: str, called: str | None = None) -> pl.Expr:
            level = pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)
            return level.alias(called or column)

        return self.outcomes.select(
            pl.col(ENTITY),
            pl.col(AS_OF).cast(pl.Datetime("us", "UTC")),
            level_name(LEVEL),
            pl.col(STATUS),
            pl.when(pl.col(APPLIES))
            .then(quotient(pl.col(TOTAL).cast(pl.Float64), self.program.total.scale))
            .alias("score"),
            pl.when(pl.col(STATUS) == Status.ASSESSED.value).then(level_name(TOTAL_LEVEL)).alias("score_level"),
            level_name(FLOOR, "floor"),
            pl.when(pl.col(APPLIES)).then(self.program.floor_by).alias("floor_by"),
            level_name(RULES_LEVEL, "rules_level"),
            pl.col(ENTERED).cast(pl.Datetime("us", "UTC")),
            pl.col(MAY_MOVE_DOWN_ON).cast(pl.Datetime("us", "UTC")),
            level_name(WITHHELD, "withheld_level"),
            pl.col(OVERRIDDEN, RAISED),
            level_name(HELD_FLOOR, "held_floor"),
            level_name(HELD_HARD_FLOOR, "held_hard_floor"),
            as_text(),
        )

    def _repr_html_(self) -> str:
        """Show the assessments in a notebook: how many are at each level, and the first rows."""
        table = self.table()
        counts = dict(table.group_by("level").len().rows())
        levels = (*self.program.ruleset.levels, None)
        rows = [[level or "none", f"{counts[level]:,}"] for level in levels if level in counts]
        caption = f"{len(self):,} assessed by {self.program.ruleset.name}"
        return html_table(caption, ["level", "entities"], rows) + table.head(_SHOWN)._repr_html_()

    def position(self, entity: str) -> int | None:
        """Find an entity's row; None if there is none."""
        row = (self.outcomes[ENTITY] == entity).arg_max()
        return row if row is not None and self.outcomes[ENTITY][row] == entity else None


_SHOWN = 10
"""How many entities a notebook shows."""
