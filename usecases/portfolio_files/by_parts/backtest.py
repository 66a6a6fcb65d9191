"""Backtest a ruleset, or families with a draft, part by part on an engine, with the evidence of one process."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

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
from fivefold.risk.governance.backtest.run import (
    MOVERS,
    BacktestResult,
    HeldLevels,
    backtest,
    check_levels,
    joined_backtests,
)
from fivefold.usecases.portfolio_files.by_parts.portfolio import (
    ENTITIES_A_PART,
    LocalPortfolio,
    RulesetText,
    draw_part,
    pickled_result,
    read_columns_alone,
    unpickled,
    work_by_parts,
)
from fivefold.usecases.portfolio_files.families import compositions_of
from fivefold.usecases.portfolio_files.governance import Draw, StandingLevels
from fivefold.usecases.portfolio_files.levels import read_deciding_rulesets
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles


class _PartResult(NamedTuple):
    """The backtest of a part, and the exact sort key of each mover, as the evidence has rounded numbers alone."""

    backtest: BacktestResult
    order: list[tuple[int, float]]


@dataclass(frozen=True)
class _BacktestPart:
    """Backtests a part as `backtest` does a whole."""

    draft: RulesetText
    present: RulesetText | None
    as_of: int
    entered: int | None
    seed: int

    def __call__(self, portfolio: Portfolio, before: PriorState) -> Iterator[Result]:
        present = None if self.present is None else self.present.analysed()
        held_levels = HeldLevels(before.standing, self.entered)
        order: list[pl.DataFrame] = []
        result = backtest(
            self.draft.analysed(),
            portfolio,
            self.as_of,
            present,
            held_levels,
            seed=self.seed,
            keep_furthest=order.append,
        )
        part = _PartResult(result, [(-size, -points) for size, points in order[0].select("size", "points").iter_rows()])
        yield pickled_result(part)


@dataclass(frozen=True)
class BacktestByParts:
    """A backtest of a portfolio that was read and checked, except for the rows of its transactions.

    Attributes:
        whole: the portfolio.
        work: the work on each part.
        drawn: the entities that are assessed.
        entities: how many entities the whole has.
    """

    whole: LocalPortfolio
    work: _BacktestPart
    drawn: pl.DataFrame
    entities: int

    @classmethod
    def read(
        cls,
        draft: RulesetText,
        present: RulesetText | None,
        files: PortfolioFiles,
        as_of: int,
        standing: StandingLevels,
        drawn: Draw,
    ) -> "BacktestByParts":
        """Read the part of the data that this machine reads, and draw the sample; arguments as of `backtest_files`.

        Raises:
            ConfigError: as `backtest_files`.
        """
        texts = [each for each in (draft, present) if each is not None]
        rulesets = [each.analysed() for each in texts]
        portfolio = read_columns_alone(files, rulesets, as_of)
        held_levels = standing.read(rulesets[0].ruleset.levels, as_of)
        check_levels(held_levels, [each.ruleset for each in rulesets])
        whole = LocalPortfolio(files, texts, as_of, portfolio, PriorState(held_levels.levels))
        sample = draw_part(whole, drawn, reversed(rulesets))
        work = _BacktestPart(draft, present, as_of, held_levels.entered, drawn.seed)
        return cls(whole, work, sample.portfolio.entities, sample.entities)

    def on(self, engine: Engine, entities_a_part: int = ENTITIES_A_PART) -> BacktestResult:
        """Assess on the workers of an engine, and warn of the portfolio as one process does."""
        worked = work_by_parts(engine, self.whole, self.drawn, self.work, entities_a_part)
        worked.warn(self.whole)
        parts: list[_PartResult] = [unpickled(table) for table in worked.tables]
        far = [
            (*order, mover.entity, mover)
            for part in parts
            for order, mover in zip(part.order, part.backtest.movers, strict=True)
        ]
        movers = tuple(mover for *_, mover in sorted(far, key=lambda each: each[:3])[:MOVERS])
        return replace(joined_backtests([part.backtest for part in parts]), entities=self.entities, movers=movers)


@dataclass(frozen=True, kw_only=True)
class FamilyTexts:
    """The families of a backtest in the form for workers.

    Attributes:
        draft: the ruleset that would decide.
        present: the ruleset that it replaces; None for a new family.
        first: the families that are tried before it.
        then: the families that are tried after it.
    """

    draft: RulesetText
    present: RulesetText | None
    first: Sequence[RulesetText]
    then: Sequence[RulesetText]

    @property
    def all(self) -> list[RulesetText]:
        """All texts: those that decide now, in their order, and the draft."""
        return [*self.first, *([] if self.present is None else [self.present]), *self.then, self.draft]

    def compositions(self, lists: Mapping[str, NamedList]) -> tuple[Composition, Composition, str]:
        """Return what decides now, what would decide, and the family of the draft, as `compositions_of` does."""
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
    """A backtest of families on a portfolio that was read and checked, except for the rows of its transactions.

    Attributes:
        whole: the portfolio.
        work: the work on each part.
        drawn: the entities that are assessed.
        entities: how many entities the whole has.
        seed: the seed of the sample.
        warnings: warnings about the levels until now, which come after those about the portfolio.
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
        """Read the part of the data that this machine reads, and draw the sample.

        Raises:
            ConfigError: as `backtest_families_of_files`.
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
