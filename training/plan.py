"""The plan of a run: what it will learn from and be judged on, said and checked before anything is fitted."""

from dataclasses import dataclass
from pathlib import Path

from fivefold.domain.errors import ConfigError, NotEnoughData
from fivefold.features.indicator_matrix import catalogue
from fivefold.features.reading.paths import MappedFile
from fivefold.features.reading.tables import Source
from fivefold.features.schema import BALANCE, CATEGORY, CREATED, CURRENCY
from fivefold.training.config import TrainingConfig
from fivefold.training.data import LearningRows, Overview, Portfolio, learning_rows
from fivefold.training.dates import Dates, choose_dates


@dataclass(frozen=True)
class Plan:
    """What a run is about to do.

    Attributes:
        source: the data, as the operator named them.
        overview: what the data hold.
        dates: what is learnt from and judged on.
        rows: what is learnt from.
        config: the settings, less what columns that the data lack leave without a meaning.
        assumptions: what stands in for those columns.
        warnings: what is doubtful, and is no obstacle.
        refusals: why nothing must be learnt from these data; empty where all is well.
    """

    source: str
    overview: Overview
    dates: Dates
    rows: LearningRows
    config: TrainingConfig
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]

    def check(self) -> None:
        """Go no further where the data do not allow it; NotEnoughData names every reason."""
        if self.refusals:
            raise NotEnoughData("\n".join(["nothing was learnt from these data:", *self.refusals]))


def make_plan(portfolio: Portfolio, config: TrainingConfig) -> Plan:
    """Look through the data, choose the dates, take the rows to learn from, and say what is doubtful."""
    overview = portfolio.overview(config.seed)
    assumptions = assumed(overview.absent, config)
    config = adapted(config, overview.absent)
    dates = choose_dates(config, overview.period)
    rows = learning_rows(portfolio, dates, config, overview)
    found: tuple[tuple[list[str], list[str]], ...] = (
        overview.quality.doubts(config.checks, config.base_currency, overview.absent),
        ([], one_sided(overview, config)),
        rows.windows.doubts(config.checks, overview.quality),
    )
    return Plan(
        name_of(portfolio.source),
        overview,
        dates,
        rows,
        config,
        assumptions,
        tuple(warning for _, warnings in found for warning in warnings),
        tuple(refusal for refusals, _ in found for refusal in refusals),
    )


def adapted(config: TrainingConfig, absent: tuple[str, ...]) -> TrainingConfig:
    """Take out of the value what data without balances cannot say; ConfigError where nothing is left of it."""
    if BALANCE not in absent or not config.value.yearly_margin:
        return config
    value = config.value.model_copy(update={"yearly_margin": 0.0})
    if not (value.deposit_fee or value.withdrawal_fee):
        raise ConfigError(
            f"value: a margin on balances is all that is asked for, and the data have no {BALANCE}; "
            "give deposit_fee or withdrawal_fee"
        )
    return config.model_copy(update={"value": value})


def assumed(absent: tuple[str, ...], config: TrainingConfig) -> tuple[str, ...]:
    """Say what stands in for the columns that the data lack."""
    fewer = len(catalogue().names) - len(catalogue(absent).names)
    margin = config.value.yearly_margin
    left_out = f", and the yearly margin of {margin:g} is left out of the value" if margin else ""
    said = {
        BALANCE: f"no {BALANCE}: trained without {fewer} balance indicators{left_out}",
        CURRENCY: f"no {CURRENCY}: every amount is taken as {config.base_currency}",
        CATEGORY: f"no {CATEGORY}: every row is taken as WEB",
        CREATED: f"no {CREATED}: an account is taken as opened with its first row",
    }
    return tuple(text for name, text in said.items() if name in absent)


def one_sided(overview: Overview, config: TrainingConfig) -> list[str]:
    """Warn where every amount has one sign, and the value has a fee on the other: the sign tells what a row is."""
    kinds, value = overview.quality.kinds, config.value
    if value.withdrawal_fee and kinds["deposits"] and not kinds["withdrawals"]:
        return ["no amount is below 0, so every row is a deposit: a withdrawal is a negative amount"]
    if value.deposit_fee and kinds["withdrawals"] and not kinds["deposits"]:
        return ["no amount is above 0, so every row is a withdrawal: a deposit is a positive amount"]
    return []


def name_of(source: Source) -> str:
    """Name a source for people."""
    return str(source) if isinstance(source, str | Path | MappedFile) else f"a {type(source).__name__} in memory"
