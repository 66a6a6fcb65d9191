"""Assess a portfolio part by part on an engine's workers, with the levels, breakdowns and failures of one process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa

from fivefold.features.partitions import Engine, Result
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.backtest.compositions import PriorState
from fivefold.risk.governance.beside import composed
from fivefold.usecases.portfolio_files.assess import (
    EntityExplanation,
    assess_portfolio,
    before_of,
    by_status,
    explain_entity,
    failures_of,
    in_order,
    lines_of,
    no_such_entity,
    table_of,
)
from fivefold.usecases.portfolio_files.by_parts.portfolio import (
    ENTITIES_A_PART,
    LocalPortfolio,
    PartWork,
    RulesetText,
    pickled_result,
    read_columns_alone,
    refuse_what_is_missing,
    unpickled,
    work_by_parts,
)
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles

_LINES: Final = "lines"


class _OfRuleset(NamedTuple):
    """The results of one ruleset on a part; `place` is its place among all, and the last for entities without one."""

    place: int
    table: pl.DataFrame
    failures: pl.DataFrame


@dataclass(frozen=True)
class AssessmentOutputs:
    """The outputs to compute beside the levels.

    Attributes:
        breakdowns: whether to write the breakdown of every entity.
        failures: for how many entities of each ruleset to list failures; None for all.
    """

    breakdowns: bool
    failures: int | None


@dataclass(frozen=True)
class AssessedParts:
    """A portfolio that was assessed part by part; the methods are those of `AssessedFamilies`.

    Attributes:
        entities: all of them, in the order of the portfolio.
        parts: the assessments by each ruleset of each part, in the order of rulesets and then of the portfolio.
        lines: the breakdowns, in the same order.
    """

    entities: pl.DataFrame
    parts: Sequence[_OfRuleset]
    lines: Sequence[pa.Array]

    def table(self) -> pl.DataFrame:
        """Return one plain row for each entity, with the ruleset that decided; null where none applies."""
        return in_order(self.entities, [part.table for part in self.parts])

    def without_level(self) -> dict[str, list[str]]:
        """Return the entities without a level by status, failed ones first."""
        return by_status(pl.concat([part.table.select(ENTITY, STATUS) for part in self.parts]))

    def failures(self, most: int | None = None) -> pl.DataFrame:
        """Return what could not be assessed in full, and why, for *most* entities of each ruleset, or for all."""
        by_ruleset: dict[int, list[pl.DataFrame]] = {}
        for part in self.parts:
            by_ruleset.setdefault(part.place, []).append(part.failures)
        return pl.concat([_of_first(pl.concat(frames), most) for frames in by_ruleset.values()])

    def breakdown_lines(self) -> Iterator[str]:
        """Yield every breakdown as a line of JSON, ruleset by ruleset."""
        return (line.as_py() for lines in self.lines for line in lines)


def _of_first(failures: pl.DataFrame, most: int | None) -> pl.DataFrame:
    if most is None:
        return failures
    first = failures[ENTITY].unique(maintain_order=True).head(most)
    return failures.filter(pl.col(ENTITY).is_in(first.implode()))


@dataclass(frozen=True)
class _AssessPart:
    """Assesses a part as `assess_portfolio` does."""

    rulesets: Sequence[RulesetText]
    as_of: int
    wanted: AssessmentOutputs

    def __call__(self, portfolio: Portfolio, before: PriorState) -> Iterator[Result]:
        rulesets = [each.analysed() for each in self.rulesets]
        names = [each.ruleset.name for each in rulesets]
        for each in assess_portfolio(rulesets, portfolio, self.as_of, before).parts:
            part = _OfRuleset(_place(each, names), table_of(each), failures_of(each, self.wanted.failures))
            lines = [list(lines_of(each)) if self.wanted.breakdowns else []]
            yield pickled_result(part, **{_LINES: pa.array(lines, pa.large_list(pa.large_string()))})


@dataclass(frozen=True)
class _ExplainEntity:
    """Explains one entity as `explain_entity` does, from a part that has it."""

    rulesets: Sequence[RulesetText]
    as_of: int
    entity: str

    def __call__(self, portfolio: Portfolio, before: PriorState) -> Iterator[Result]:
        rulesets = [each.analysed() for each in self.rulesets]
        yield pickled_result(explain_entity(assess_portfolio(rulesets, portfolio, self.as_of, before), self.entity))


def _place(part: Assessments, names: list[str]) -> int:
    """Return the place of the ruleset; the last place for entities to which none of several applies."""
    if len(names) > 1 and (part.outcomes[STATUS] == Status.NOT_APPLICABLE.value).all():
        return len(names)
    return names.index(part.program.ruleset.name)


@dataclass(frozen=True)
class AssessmentByParts:
    """An assessment of a portfolio that was read and checked, except for the rows of its transactions.

    Attributes:
        whole: the portfolio.
        rulesets: in the order in which they are tried.
        as_of: the moment, microseconds.
        warnings: warnings about files of levels, which come after those about the portfolio.
    """

    whole: LocalPortfolio
    rulesets: Sequence[RulesetText]
    as_of: int
    warnings: Sequence[str]

    @classmethod
    def read(
        cls,
        texts: Sequence[RulesetText],
        files: PortfolioFiles,
        as_of: int,
        *,
        previous: Path | None = None,
        overrides: Path | None = None,
    ) -> "AssessmentByParts":
        """Read the part of the data that this machine reads; arguments are those of `assess_files`.

        Raises:
            ConfigError: as `assess_files`.
        """
        rulesets = [each.analysed() for each in texts]
        composed(rulesets, files.lists)
        portfolio = read_columns_alone(files, rulesets, as_of)
        warnings: list[str] = []
        later = replace(files, warn=warnings.append)
        before = before_of(rulesets, later, portfolio, as_of, previous, overrides)
        whole = LocalPortfolio(files, texts, as_of, portfolio, before)
        refuse_what_is_missing(whole, rulesets[0])
        return cls(whole, texts, as_of, warnings)

    def on(self, engine: Engine, wanted: AssessmentOutputs, entities_a_part: int = ENTITIES_A_PART) -> AssessedParts:
        """Assess on the workers of an engine, and warn about the portfolio as one process does."""
        entities = self.whole.portfolio.entities
        tables = self._worked(engine, entities, _AssessPart(self.rulesets, self.as_of, wanted), entities_a_part)
        parts: list[_OfRuleset] = [unpickled(table) for table in tables]
        places = [part.place for part in parts]
        order = sorted(range(len(parts)), key=places.__getitem__)
        return AssessedParts(entities, [parts[each] for each in order], [_lines(tables[each]) for each in order])

    def entity_rows(self, entity: str) -> pl.DataFrame:
        """Return the rows of one entity; ConfigError if it was not read."""
        entities = self.whole.portfolio.entities
        rows = entities.filter(pl.col(ENTITY) == entity)
        if rows.is_empty():
            raise no_such_entity(entity, entities)
        return rows

    def explain(self, engine: Engine, rows: pl.DataFrame) -> EntityExplanation:
        """Explain the level of one entity, with the warnings of one process; *rows* come from `entity_rows`."""
        work = _ExplainEntity(self.rulesets, self.as_of, rows[ENTITY][0])
        explanation: EntityExplanation = unpickled(self._worked(engine, rows, work, 1)[0])
        return explanation

    def _worked(
        self, engine: Engine, entities: pl.DataFrame, work: PartWork, entities_a_part: int
    ) -> Sequence[pa.Table]:
        """Do *work* on *entities*, and warn about the portfolio as one process does."""
        worked = work_by_parts(engine, self.whole, entities, work, entities_a_part)
        worked.warn(self.whole)
        for warning in self.warnings:
            self.whole.files.warn(warning)
        return worked.tables


def _lines(table: pa.Table) -> pa.Array:
    return table[_LINES][0].values
