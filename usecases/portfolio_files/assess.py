"""A portfolio from files assessed: levels, breakdowns, and the entities without a level."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.engine.explain.breakdown import Explanation, as_json_text, explain, explain_all
from fivefold.risk.engine.explain.rules import signed
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.backtest.moves import failures
from fivefold.usecases.portfolio_files.levels import read_held_levels, read_overrides
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles, read_with_warnings, warn_of_unknown_entities


def assess_files(
    ruleset: AnalysedRuleset,
    files: PortfolioFiles,
    as_of: int,
    *,
    previous: Path | None = None,
    overrides: Path | None = None,
) -> Assessments:
    """Assess every entity; *previous* holds the levels until now, *overrides* those that people set."""
    portfolio, held_levels, set_by_hand = read_with_levels(ruleset, files, as_of, previous, overrides)
    return assess(ruleset, portfolio, as_of, held_levels, set_by_hand)


def read_with_levels(
    ruleset: AnalysedRuleset, files: PortfolioFiles, as_of: int, previous: Path | None, overrides: Path | None
) -> tuple[Portfolio, pl.DataFrame | None, pl.DataFrame | None]:
    """Read a portfolio, the levels held until now, and the overrides that people set; None for what is not given."""
    portfolio = read_with_warnings(files, [ruleset], as_of)
    levels = ruleset.ruleset.levels
    set_by_hand = None if overrides is None else read_overrides(overrides, levels)
    if overrides is not None and set_by_hand is not None:
        warn_of_unknown_entities(overrides, set_by_hand, portfolio.entities, files.warn)
    held_levels = None if previous is None else read_held_levels(previous, levels, as_of)
    return portfolio, held_levels, set_by_hand


def without_level(assessments: Assessments) -> dict[str, list[str]]:
    """Give the entities without a level by status, those that failed first."""
    statuses = (Status.FAILED, Status.UNCLASSIFIED, Status.UNDETERMINED, Status.NOT_APPLICABLE)
    rows = {status: assessments.outcomes.filter(pl.col(STATUS) == status.value) for status in statuses}
    return {str(status): frame[ENTITY].to_list() for status, frame in rows.items() if len(frame)}


def failures_of(assessments: Assessments, most: int | None = None) -> pl.DataFrame:
    """Name what could not be assessed in full, and why, of the first so many entities or of all of them.

    Returns:
        `entity_id`, `rule` (or the part of the ruleset), `problem`: a row for each value that stood in the way.
    """
    found = failures(assessments, len(assessments) if most is None else most)
    rows = [(failure.entity, failure.rule, failure.problem) for failure in found]
    return pl.DataFrame(rows, schema=dict.fromkeys((ENTITY, "rule", "problem"), pl.String), orient="row")


def explain_entity(assessments: Assessments, entity: str) -> Explanation:
    """Explain the level of one entity; ConfigError where it was not read."""
    position = assessments.position(entity)
    if position is None:
        raise ConfigError(f"there is no entity {entity} among the {len(assessments):,} that were read")
    return explain(assessments, position)


def outcome_rows(explanation: Explanation) -> list[list[str]]:
    """Give the outcome of each rule as text: title, case, what it saw, points and floor."""
    return [
        [outcome.title, str(outcome.case), outcome.seen, signed(outcome.points), outcome.floor]
        for outcome in explanation.rules
    ]


def breakdown_lines(assessments: Assessments) -> Iterator[str]:
    """Write every breakdown as a line of JSON."""
    return (f"{as_json_text(explanation)}\n" for explanation in explain_all(assessments))
