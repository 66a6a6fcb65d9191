"""What would move the level of one entity of a file."""

from dataclasses import replace
from pathlib import Path

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.governance.what_if.answers import WhatIf, what_if
from fivefold.risk.governance.what_if.search import Direction, Subject
from fivefold.usecases.portfolio_files.assess import read_with_levels
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles


def what_if_of_file(
    ruleset: AnalysedRuleset,
    files: PortfolioFiles,
    as_of: int,
    entity: str,
    direction: Direction,
    level: str | None = None,
    *,
    previous: Path | None = None,
    overrides: Path | None = None,
) -> WhatIf:
    """Find what would move the level of one entity of a file; the others are not assessed.

    Raises:
        ConfigError: there is no such entity, or no such level.
    """
    portfolio, held_levels, set_by_hand = read_with_levels([ruleset], files, as_of, previous, overrides)
    alone = portfolio.entities.filter(portfolio.entities[ENTITY] == entity)
    if alone.is_empty():
        raise ConfigError(f"there is no entity {entity} among the {len(portfolio.entities):,} that were read")
    assessments = assess(ruleset, replace(portfolio, entities=alone), as_of, held_levels, set_by_hand)
    subject = Subject.of(assessments, 0, held_levels, set_by_hand)
    return what_if(subject, direction, None if level is None else level_wished(level, ruleset.ruleset.levels))


def level_wished(level: str, levels: tuple[str, ...]) -> int:
    """Give the number of a level; ConfigError where there is none of that name."""
    if level not in levels:
        raise ConfigError(f"there is no level {level!r}; there are {', '.join(levels)}{perhaps(level, levels)}")
    return levels.index(level) + 1
