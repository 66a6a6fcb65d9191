"""Assess a portfolio from files: levels, breakdowns, and the entities without a level."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.engine.deciding import KEPT_BY
from fivefold.risk.engine.explain.breakdown import Explanation, as_json_text, explain, explain_all
from fivefold.risk.engine.explain.rules import signed
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.backtest.compositions import PriorState, deciding_assessments
from fivefold.risk.governance.backtest.moves import failures
from fivefold.risk.governance.beside import composed
from fivefold.usecases.portfolio_files.levels import RULESET, read_deciding_rulesets, read_held_levels, read_overrides
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles, read_with_warnings, warn_of_unknown_entities


@dataclass(frozen=True)
class AssessedFamilies:
    """A portfolio, each entity assessed by the ruleset that decides on it.

    Attributes:
        entities: all of them, in the order of the portfolio.
        parts: the assessments by each ruleset that decides on an entity, and those of entities to which none applies.
    """

    entities: pl.DataFrame
    parts: tuple[Assessments, ...]

    def table(self) -> pl.DataFrame:
        """Return one plain row for each entity, with the ruleset that decided; null where none applies."""
        return in_order(self.entities, [table_of(part) for part in self.parts])

    def of(self, entity: str) -> Assessments:
        """Return the assessments that include an entity; ConfigError if it was not read."""
        for part in self.parts:
            if part.position(entity) is not None:
                return part
        raise no_such_entity(entity, self.entities)

    def without_level(self) -> dict[str, list[str]]:
        """Return the entities without a level by status, failed ones first."""
        return by_status(pl.concat([part.outcomes.select(ENTITY, STATUS) for part in self.parts]))

    def failures(self, most: int | None = None) -> pl.DataFrame:
        """Return what could not be assessed in full, and why, for *most* entities of each ruleset, or for all.

        Returns:
            `entity_id`, `rule` (or the part of the ruleset), `problem`: a row for each value that caused a failure.
        """
        return pl.concat([failures_of(part, most) for part in self.parts])

    def breakdown_lines(self) -> Iterator[str]:
        """Yield every breakdown as a line of JSON, ruleset by ruleset."""
        return (line for part in self.parts for line in lines_of(part))


def no_such_entity(entity: str, entities: pl.DataFrame) -> ConfigError:
    """Return the error for an entity that was not read."""
    return ConfigError(f"there is no entity {entity} among the {entities[ENTITY].n_unique():,} that were read")


class Assessed(Protocol):
    """Assessed entities, in one process or part by part; the methods are those of `AssessedFamilies`."""

    def table(self) -> pl.DataFrame:
        """Return one plain row for each entity."""

    def without_level(self) -> dict[str, list[str]]:
        """Return the entities without a level by status."""

    def failures(self, most: int | None = None) -> pl.DataFrame:
        """Return what could not be assessed in full."""

    def breakdown_lines(self) -> Iterator[str]:
        """Yield every breakdown."""


def table_of(part: Assessments) -> pl.DataFrame:
    """Return one plain row for each entity of one ruleset, with the names of that ruleset and of those that keep it.

    A name is null where the ruleset does not apply, or where none keeps the entity.
    """
    outcomes, name = part.outcomes, pl.lit(part.program.ruleset.name)
    kept_by = outcomes[KEPT_BY].list.join(" ") if KEPT_BY in outcomes.columns else pl.lit(None, pl.String)
    applies = outcomes[STATUS] != Status.NOT_APPLICABLE.value
    return part.table().with_columns(pl.when(applies).then(name).alias(RULESET), kept_by.alias(KEPT_BY))


def in_order(entities: pl.DataFrame, tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Join tables, in the order of the entities."""
    everyone = entities.select(pl.col(ENTITY).unique(maintain_order=True))  # each may have several rows
    return everyone.join(pl.concat(tables), on=ENTITY, how="left", maintain_order="left")


def by_status(frame: pl.DataFrame) -> dict[str, list[str]]:
    """Return the entities without a level by status, failed ones first; *frame* has the columns of both."""
    statuses = (Status.FAILED, Status.UNCLASSIFIED, Status.UNDETERMINED, Status.NOT_APPLICABLE)
    rows = {status: frame.filter(pl.col(STATUS) == status.value)[ENTITY].to_list() for status in statuses}
    return {str(status): entities for status, entities in rows.items() if entities}


def failures_of(part: Assessments, most: int | None) -> pl.DataFrame:
    """Return what one ruleset could not assess in full, as `AssessedFamilies.failures` does."""
    rows = [(one.entity, one.rule, one.problem) for one in failures(part, len(part) if most is None else most)]
    return pl.DataFrame(rows, schema=dict.fromkeys((ENTITY, "rule", "problem"), pl.String), orient="row")


def lines_of(part: Assessments) -> Iterator[str]:
    """Yield every breakdown by one ruleset as a line of JSON."""
    return (f"{as_json_text(explanation)}\n" for explanation in explain_all(part))


def assess_files(
    rulesets: Sequence[AnalysedRuleset],
    files: PortfolioFiles,
    as_of: int,
    *,
    previous: Path | None = None,
    overrides: Path | None = None,
) -> AssessedFamilies:
    """Assess every entity by the first ruleset that applies to it, as `risk.engine.deciding` says.

    Args:
        rulesets: in the order in which they are tried; one at least.
        files: the portfolio.
        as_of: the moment, microseconds.
        previous: a file of the levels until now; its columns `ruleset` and `kept_by`, if present, name what decided.
        overrides: a file of the levels that people set.

    Raises:
        ConfigError: two rulesets have the same name, different levels or entity types, or a file cannot be used.
    """
    portfolio = read_with_warnings(files, rulesets, as_of)
    before = before_of(rulesets, files, portfolio, as_of, previous, overrides)
    return assess_portfolio(rulesets, portfolio, as_of, before)


def assess_portfolio(
    rulesets: Sequence[AnalysedRuleset], portfolio: Portfolio, as_of: int, before: PriorState
) -> AssessedFamilies:
    """Assess a portfolio that was read already, as `assess_files` does.

    Args:
        rulesets: in the order in which they are tried; one at least.
        portfolio: all that they read.
        as_of: the moment, microseconds.
        before: the levels until now, what decided, and the levels that people set.
    """
    first, *others = rulesets
    composition = composed(rulesets, portfolio.lists)
    entities, held_levels, set_by_hand = portfolio.entities, before.standing, before.overrides
    if not others:
        return AssessedFamilies(entities, (assess(first, portfolio, as_of, held_levels, set_by_hand),))
    parts = [part for _, part in deciding_assessments(composition, portfolio, as_of, before)]
    for part in parts:
        entities = entities.join(part.outcomes.select(ENTITY), on=ENTITY, how="anti", maintain_order="left")
    if len(entities) or not parts:
        parts.append(assess(first, replace(portfolio, entities=entities), as_of, held_levels, set_by_hand))
    return AssessedFamilies(portfolio.entities, tuple(parts))


def before_of(
    rulesets: Sequence[AnalysedRuleset],
    files: PortfolioFiles,
    portfolio: Portfolio,
    as_of: int,
    previous: Path | None,
    overrides: Path | None,
) -> PriorState:
    """Read the levels until now, what decided, and the levels that people set; *portfolio* is already read."""
    held_levels, set_by_hand = _read_levels(rulesets, files, portfolio, as_of, previous, overrides)
    deciding = {} if previous is None else read_deciding_rulesets(previous, rulesets, files.warn)
    return PriorState(held_levels, deciding, set_by_hand)


def _read_levels(
    rulesets: Sequence[AnalysedRuleset],
    files: PortfolioFiles,
    portfolio: Portfolio,
    as_of: int,
    previous: Path | None,
    overrides: Path | None,
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    levels = rulesets[0].ruleset.levels
    set_by_hand = None if overrides is None else read_overrides(overrides, levels)
    if overrides is not None and set_by_hand is not None:
        warn_of_unknown_entities(overrides, set_by_hand, portfolio.entities, files.warn)
    held_levels = None if previous is None else read_held_levels(previous, levels, as_of)
    if previous is not None and held_levels is not None:
        warn_of_unknown_entities(previous, held_levels, portfolio.entities, files.warn)
    return held_levels, set_by_hand


@dataclass(frozen=True)
class EntityExplanation:
    """The breakdown of one entity, and the names of the rulesets that keep it (decision 13)."""

    breakdown: Explanation
    kept_by: tuple[str, ...]


def explain_entity(assessed: AssessedFamilies, entity: str) -> EntityExplanation:
    """Explain the level of one entity; ConfigError if it was not read."""
    part = assessed.of(entity)
    position = part.position(entity)
    assert position is not None
    names = part.outcomes[KEPT_BY][position] if KEPT_BY in part.outcomes.columns else None
    return EntityExplanation(explain(part, position), () if names is None else tuple(names))


def outcome_rows(breakdown: Explanation) -> list[list[str]]:
    """Return the outcome of each rule as text: title, case, what it saw, points and floor."""
    return [
        [outcome.title, str(outcome.case), outcome.seen, signed(outcome.points), outcome.floor]
        for outcome in breakdown.rules
    ]
