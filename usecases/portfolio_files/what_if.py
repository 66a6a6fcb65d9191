"""What would move the level of one entity of a file."""

from dataclasses import replace
from pathlib import Path

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.governance.beside import ALONE, Beside
from fivefold.risk.governance.what_if.answers import WhatIf, what_if
from fivefold.risk.governance.what_if.search import ChangedAssessment, WantedDirection
from fivefold.usecases.portfolio_files.assess import assess_portfolio, before_of
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles, read_with_warnings


def what_if_of_file(
    ruleset: AnalysedRuleset,
    files: PortfolioFiles,
    as_of: int,
    entity: str,
    direction: WantedDirection,
    level: str | None = None,
    *,
    previous: Path | None = None,
    overrides: Path | None = None,
    beside: Beside = ALONE,
) -> tuple[WhatIf, str]:
    """Find what would move the level of one entity of a file, and the name of the ruleset that decides on it.

    The others are not assessed. Where no ruleset applies, it is what the first one says.

    Raises:
        ConfigError: there is no such entity, or no such level; or the rulesets cannot decide side by side.
    """
    rulesets = beside.around(ruleset)
    portfolio = read_with_warnings(files, rulesets, as_of)
    before = before_of(rulesets, files, portfolio, as_of, previous, overrides)
    alone = portfolio.entities.filter(portfolio.entities[ENTITY] == entity)
    if alone.is_empty():
        raise ConfigError(f"there is no entity {entity} among the {len(portfolio.entities):,} that were read")
    (assessments,) = assess_portfolio(rulesets, replace(portfolio, entities=alone), as_of, before).parts
    subject = ChangedAssessment.of(assessments, 0, before.standing, before.overrides)
    decides = assessments.program.ruleset
    wished = None if level is None else level_wished(level, decides.levels)
    return what_if(subject, direction, wished), decides.name


def level_wished(level: str, levels: tuple[str, ...]) -> int:
    """Give the number of a level; ConfigError where there is none of that name."""
    if level not in levels:
        raise ConfigError(f"there is no level {level!r}; there are {', '.join(levels)}{perhaps(level, levels)}")
    return levels.index(level) + 1
