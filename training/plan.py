"""The plan of a run: what it will learn from and be judged on, checked before anything is fitted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.domain.money import Rate
from fivefold.domain.text import perhaps
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.column_names import absence_texts
from fivefold.features.indicator_matrix import catalogue
from fivefold.features.reading.tables import Source
from fivefold.features.reading.text_files import MappedFile
from fivefold.features.schema import BALANCE
from fivefold.models.reach import one_sided_text
from fivefold.training.config import TrainingConfig
from fivefold.training.continuation import digest_of
from fivefold.training.data import ComparedRates, SourceSummary, TrainingRows, TransactionSource, training_rows
from fivefold.training.dates import Dates, choose_dates
from fivefold.training.origins.moments import origin_moments, origin_refusals, tuning_refusals


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """The data, dates and settings of a run.

    Attributes:
        source: the name of the data, for people.
        summary: the summary of the data.
        dates: training dates and the test as-of.
        rows: the rows to learn from.
        config: the settings, without those that need columns which the data lack.
        assumptions: what replaces these columns.
        warnings: doubts that do not prevent learning.
        refusals: reasons why nothing may be learnt from these data; empty if it may.
        own: the operator's own indicators, as read at the beginning; None without any.
        is_tuned: whether trees are tuned, which needs more history.
    """

    source: str
    summary: SourceSummary
    dates: Dates
    rows: TrainingRows
    config: TrainingConfig
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]
    own: OwnIndicators | None = None
    is_tuned: bool = False

    @property
    def origins(self) -> tuple[int, ...]:
        """The moments (microseconds) as of which the settings are judged, the test as-of last."""
        return origin_moments(self.config, self.dates.test)

    def check(self) -> None:
        """Raise NotEnoughDataError with every reason if the data do not allow learning."""
        if self.refusals:
            raise NotEnoughDataError("\n".join(["nothing was learnt from these data:", *self.refusals]))


def make_plan(portfolio: TransactionSource, config: TrainingConfig, *, is_tuned: bool = False) -> TrainingPlan:
    """Summarise the data, choose the dates, compute the rows to learn from, and collect warnings.

    Args:
        portfolio: the transactions.
        config: the settings.
        is_tuned: whether trees are to be tuned, as of the first origin.
    """
    summary = portfolio.summary(config.seed)
    summary = replace(summary, rates=_compared_rates(config, summary))
    assumptions = assumptions_for(summary.absent, config, portfolio.own)
    config = adapt_config(config, summary.absent)
    check_monotone(config, summary.absent, portfolio.own)
    dates = choose_dates(config, summary.period)
    return _checked(portfolio, config, summary, assumptions, dates, is_tuned=is_tuned)


def _checked(
    portfolio: TransactionSource,
    config: TrainingConfig,
    summary: SourceSummary,
    assumptions: tuple[str, ...],
    dates: Dates,
    *,
    is_tuned: bool,
) -> TrainingPlan:
    """Compute the rows of the dates, and collect warnings and refusals."""
    rows = training_rows(portfolio, dates, config, summary)
    checks: tuple[tuple[list[str], list[str]], ...] = (
        summary.quality.refusals_and_warnings(config.checks, portfolio.rates, summary.absent),
        ([], one_sided_warnings(summary, config)),
        rows.windows.refusals_and_warnings(config.checks, summary.quality),
        (origin_refusals(portfolio, config, summary, dates), []),
        (tuning_refusals(config, summary.period.first, dates.test) if is_tuned else [], []),
    )
    return TrainingPlan(
        source=source_name(portfolio.source),
        summary=summary,
        dates=dates,
        rows=rows,
        config=config,
        assumptions=assumptions,
        warnings=tuple(warning for _, warnings in checks for warning in warnings),
        refusals=tuple(refusal for refusals, _ in checks for refusal in refusals),
        own=portfolio.own,
        is_tuned=is_tuned,
    )


def with_settings(plan: TrainingPlan, portfolio: TransactionSource, config: TrainingConfig) -> TrainingPlan:
    """Return a plan with other settings for the same test window.

    If the snapshot settings differ, dates, rows, warnings and refusals are computed anew.
    """
    if config.snapshots == plan.config.snapshots:
        return replace(plan, config=config)
    dates = choose_dates(config, plan.summary.period)
    return _checked(portfolio, config, plan.summary, plan.assumptions, dates, is_tuned=plan.is_tuned)


def rates_digest(config: TrainingConfig, days: Mapping[str, date | None]) -> str:
    """Return the digest of rates, each as known on the day of its currency in *days*."""
    tables = {day: _rates_known_on(config, day) for day in set(days.values()) if day}
    rates = {code: tables[day].get(code) if day else None for code, day in days.items()}
    return digest_of(config.base_currency, {code: rate and rate.per_unit for code, rate in rates.items()})


def _rates_known_on(config: TrainingConfig, day: date) -> Mapping[str, Rate]:
    try:
        return config.model_copy(update={"rates_on": day}).rate_table().rates
    except ConfigError:  # the file has no such rates for that day; for the day of the training, it was read already
        return {}


def _last_rates_day(config: TrainingConfig, summary: SourceSummary) -> date:
    """Return the last day of the data, or `rates_on` if that is earlier: a later rate is new, not corrected."""
    last = from_microseconds(summary.period.last).date()
    return min(config.rates_on or last, last)


def _compared_rates(config: TrainingConfig, summary: SourceSummary) -> ComparedRates:
    """Return the rates of the currencies of the data, by which a later run detects corrections."""
    known_on = _last_rates_day(config, summary)
    rates = _rates_known_on(config, known_on)
    days = {code: rates[code].known_on if code in rates else None for code in summary.quality.currencies}
    return ComparedRates(rates_digest(config, days), known_on, days)


def has_rates_of(plan: TrainingPlan, digest: str, days_text: str | None) -> bool:
    """Check whether a plan has the rates that an earlier run on the same rows had.

    Each rate is compared as of its day then: a rate published since is new, not corrected, even for a day of the data.
    An earlier release kept the digest alone, without the text of the days.
    """
    known_on = _last_rates_day(plan.config, plan.summary)
    if days_text is None:
        return rates_digest(plan.config, dict.fromkeys(plan.summary.quality.currencies, known_on)) == digest
    earlier = ComparedRates.read(digest, days_text)
    return known_on == earlier.known_on and rates_digest(plan.config, earlier.days) == digest


def with_warnings(plan: TrainingPlan, warnings: tuple[str, ...]) -> TrainingPlan:
    """Return the plan with more warnings, each once."""
    return replace(plan, warnings=(*plan.warnings, *(text for text in warnings if text not in plan.warnings)))


def adapt_config(config: TrainingConfig, absent: tuple[str, ...]) -> TrainingConfig:
    """Remove the margin from the value if balances are absent; ConfigError if no other part remains."""
    if BALANCE not in absent or not config.value.yearly_margin:
        return config
    value = config.value.model_copy(update={"yearly_margin": 0.0})
    if not (value.deposit_fee or value.withdrawal_fee):
        raise ConfigError(
            f"value: a margin on balances is all that is asked for, and the data have no {BALANCE}; "
            "give deposit_fee or withdrawal_fee"
        )
    return config.model_copy(update={"value": value})


def check_monotone(config: TrainingConfig, absent: tuple[str, ...], own: OwnIndicators | None) -> None:
    """Raise ConfigError if a monotone limit names no indicator, or one that the data cannot give."""
    every, there = catalogue((), own).names, catalogue(absent, own).names
    for name in config.trees.monotone:
        if name not in every:
            raise ConfigError(f"trees.monotone: {name!r} is not an indicator{perhaps(name, every)}")
        if name not in there:
            raise ConfigError(f"trees.monotone: {name} cannot be computed from data without {BALANCE}")


def assumptions_for(absent: tuple[str, ...], config: TrainingConfig, own: OwnIndicators | None) -> tuple[str, ...]:
    """Describe what replaces the columns that the data lack."""
    fewer = len(catalogue((), own).names) - len(catalogue(absent, own).names)
    margin = config.value.yearly_margin
    left_out = f", and the yearly margin of {margin:g} is left out of the value" if margin else ""
    texts = {
        BALANCE: f"no {BALANCE}: trained without {fewer} balance indicators{left_out}",
        **absence_texts(absent, config.base_currency),
    }
    return tuple(text for name, text in texts.items() if name in absent)


def one_sided_warnings(summary: SourceSummary, config: TrainingConfig) -> list[str]:
    """Warn if every amount has the same sign and the value has a fee on the other: signs were probably lost."""
    kinds, value = summary.quality.kinds, config.value
    text = one_sided_text(kinds["withdrawals"], kinds["deposits"], least=1)
    has_fee = value.withdrawal_fee if kinds["deposits"] else value.deposit_fee
    return [text] if text and has_fee else []


def source_name(source: Source) -> str:
    """Return the name of a source for people."""
    return str(source) if isinstance(source, str | Path | MappedFile) else f"a {type(source).__name__} in memory"
