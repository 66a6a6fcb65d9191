"""The plan of a run: what it will learn from and be judged on, said and checked before anything is fitted."""

from dataclasses import dataclass
from pathlib import Path

from domain.errors import NotEnoughData
from features.paths import MappedFile
from features.tables import Source
from training.config import TrainingConfig
from training.data import LearningRows, Overview, Portfolio, learning_rows
from training.dates import Dates, choose_dates


@dataclass(frozen=True)
class Plan:
    """What a run is about to do.

    Attributes:
        source: the data, as the operator named them.
        overview: what the data hold.
        dates: what is learnt from and judged on.
        rows: what is learnt from.
        warnings: what is doubtful, and is no obstacle.
        refusals: why nothing must be learnt from these data; empty where all is well.
    """

    source: str
    overview: Overview
    dates: Dates
    rows: LearningRows
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]

    def check(self) -> None:
        """Go no further where the data do not allow it; NotEnoughData names every reason."""
        if self.refusals:
            raise NotEnoughData("\n".join(["nothing was learnt from these data:", *self.refusals]))


def make_plan(portfolio: Portfolio, config: TrainingConfig) -> Plan:
    """Look through the data, choose the dates, take the rows to learn from, and say what is doubtful."""
    overview = portfolio.overview(config.seed)
    dates = choose_dates(config, overview.period)
    rows = learning_rows(portfolio, dates, config, overview)
    found = (
        overview.quality.doubts(config.checks, config.base_currency),
        rows.windows.doubts(config.checks, overview.quality),
    )
    return Plan(
        name_of(portfolio.source),
        overview,
        dates,
        rows,
        tuple(warning for _, warnings in found for warning in warnings),
        tuple(refusal for refusals, _ in found for refusal in refusals),
    )


def name_of(source: Source) -> str:
    """Name a source for people."""
    return str(source) if isinstance(source, str | Path | MappedFile) else f"a {type(source).__name__} in memory"
