"""Families of rulesets with a draft among them, backtested part by part on the workers of an engine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from fivefold.features.partitions import Engine, Result
from fivefold.risk.facts.portfolio import NamedList, Portfolio
from fivefold.risk.governance.backtest.compositions import Composition, PriorState
from fivefold.risk.governance.backtest.families import (
    FamiliesBacktest,
    FamiliesComparison,
    compare_families,
    families_evidence,
    joined_families,
)
from fivefold.risk.governance.backtest.run import HeldLevels, check_levels
from fivefold.usecases.portfolio_files.by_parts.portfolio import (
    ENTITIES_A_PART,
    LocalPortfolio,
    draw_part,
    pickled_result,
    read_columns_alone,
    unpickled,
    work_by_parts,
)
from fivefold.usecases.portfolio_files.by_parts.rulesets import RulesetText
from fivefold.usecases.portfolio_files.families import compositions_of
from fivefold.usecases.portfolio_files.governance import Draw, StandingLevels
from fivefold.usecases.portfolio_files.levels import read_deciding_rulesets
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles


@dataclass(frozen=True, kw_only=True)
class FamilyTexts:
    """The families of a backtest as workers get them.

    Attributes:
        draft: the ruleset that would decide.
        present: the one whose place it takes; None where it is a new family.
        first: the families that are tried before it.
        then: those that are tried after it.
    """

    draft: RulesetText
    present: RulesetText | None
    first: Sequence[RulesetText]
    then: Sequence[RulesetText]

    @property
    def all(self) -> list[RulesetText]:
        """All of them: those that decide now, in their order, and the draft."""
        return [*self.first, *([] if self.present is None else [self.present]), *self.then, self.draft]

    def compositions(self, lists: Mapping[str, NamedList]) -> tuple[Composition, Composition, str]:
        """Give what decides now, what would, and the family of the draft, as `compositions_of` does."""
        present = None if self.present is None else self.present.analysed()
        first, then = ([each.analysed() for each in texts] for texts in (self.first, self.then))
        return compositions_of(self.draft.analysed(), present, first, then, lists)


@dataclass(frozen=True)
class _CompareFamilies:
    """Compares the families on a part as `compare_families` does on a whole."""

    families: FamilyTexts
    as_of: int
    entered: int | None

    def __call__(self, portfolio: Portfolio, before: PriorState) -> Iterator[Result]:
        now, then, _ = self.families.compositions(portfolio.lists)
        held_levels = HeldLevels(before.standing, self.entered)
        yield pickled_result(compare_families(now, then, portfolio, self.as_of, held_levels, before.families))


@dataclass(frozen=True)
class FamiliesByParts:
    """A backtest of families on a portfolio that was read and checked, but for the rows of its transactions.

    Attributes:
        whole: the portfolio.
        work: on each part.
        drawn: the entities that are assessed.
        entities: how many the whole has.
        seed: of the sample.
        warnings: about the levels until now, which come after those about the portfolio.
    """

    whole: LocalPortfolio
    work: _CompareFamilies
    drawn: pl.DataFrame
    entities: int
    seed: int
    warnings: Sequence[str]

    @classmethod
    def read(
        cls, families: FamilyTexts, files: PortfolioFiles, as_of: int, standing: StandingLevels, drawn: Draw
    ) -> "FamiliesByParts":
        """Read what this machine reads, and draw the sample; errors are those of `backtest_families_of_files`.

        Raises:
            ConfigError: as of `backtest_families_of_files`.
        """
        before, after, _ = families.compositions(files.lists)
        rulesets = [each.analysed() for each in families.all]
        portfolio = read_columns_alone(files, rulesets, as_of)
        previous, warnings = standing.previous, list[str]()
        decided = {} if previous is None else read_deciding_rulesets(previous, rulesets, warnings.append)
        held_levels = standing.read(families.draft.analysed().ruleset.levels, as_of)
        check_levels(held_levels, [each.ruleset for each in rulesets])
        whole = LocalPortfolio(files, families.all, as_of, portfolio, PriorState(held_levels.levels, decided))
        sample = draw_part(whole, drawn, [each for side in (before, after) for each in [*side.rulesets.values()][:1]])
        work = _CompareFamilies(families, as_of, held_levels.entered)
        return cls(whole, work, sample.portfolio.entities, sample.entities, drawn.seed, warnings)

    def on(self, engine: Engine, entities_a_part: int = ENTITIES_A_PART) -> FamiliesBacktest:
        """Assess on the workers of an engine, and warn of the portfolio as one process does."""
        worked = work_by_parts(engine, self.whole, self.drawn, self.work, entities_a_part)
        worked.warn(self.whole)
        for warning in self.warnings:
            self.whole.files.warn(warning)
        parts: list[FamiliesComparison] = [unpickled(table) for table in worked.tables]
        _, after, family = self.work.families.compositions(self.whole.files.lists)
        return families_evidence(joined_families(parts), after, family, self.work.as_of, self.entities, self.seed)
