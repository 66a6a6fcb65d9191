"""The training configuration: YAML, checked before anything is read."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from fivefold.domain.clock import DAY_US, parse_moment, to_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.money import RateTable, ecb_rates
from fivefold.domain.rate_files import read_rates
from fivefold.domain.segments import DEFAULT_CUT_POINTS, check_cut_points
from fivefold.domain.text import unknown_name, why_unreadable
from fivefold.models.certainty.intervals import DEFAULT_LEVEL_PERCENT

if TYPE_CHECKING:
    from fivefold.features.catalogue.own import OwnIndicators

DEFAULT_NAME = "fivefold-value"
Positive = Annotated[int, Field(gt=0)]
Checked = TypeVar("Checked")
MOST_ORIGINS = 12
_LEAST_MICROSECONDS = 30 * DAY_US
"""The least distance of a moment from 1970; digits of a date, or seconds, taken as microseconds are closer."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class ValueSettings(_Section):
    """The value of a customer over (as-of, as-of + horizon]; coefficients may be negative, as for refunds.

    Attributes:
        deposit_fee: share of the settled deposits.
        withdrawal_fee: share of the settled withdrawals, by size.
        yearly_margin: share of a year's mean positive balance, each balance weighted by how long it was held.
    """

    deposit_fee: float = 0.005
    withdrawal_fee: float = 0.005
    yearly_margin: float = 0.02


class SnapshotSettings(_Section):
    """The as-of dates that training learns from.

    Attributes:
        spacing_days: days between them, counted back from the last one whose value is known by the test as-of.
        most: the largest number of dates; the latest are used.
        most_rows: the largest number of rows; above it, customers are sampled by a hash of their identifier.
    """

    spacing_days: Positive = 30
    most: Positive = 24
    most_rows: Positive = 1_000_000


class TreeSettings(_Section):
    """LightGBM's parameters under full names; `rounds: null` finds their number on the last training date.

    The defaults won out of time in the trials of docs/decisions/0003-objective.md.

    Attributes:
        monotone: by indicator, whether the expected value may only rise or only fall as the indicator rises, all else
            equal. The objective regression_l1 does not support it.
    """

    objective: Literal["tweedie", "poisson", "regression", "regression_l1"] = "tweedie"
    tweedie_power: Annotated[float, Field(gt=1, lt=2)] = 1.5
    rounds: Positive | None = None
    most_rounds: Positive = 1_000
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.06
    leaves: Annotated[int, Field(ge=2, le=4096)] = 31
    min_rows_in_leaf: Positive = 100
    feature_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    row_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    l2: Annotated[float, Field(ge=0)] = 1.0
    path_smooth: Annotated[float, Field(ge=0)] = 0.0
    monotone: dict[str, Literal["increasing", "decreasing"]] = {}
    threads: Positive = 2

    @field_validator("monotone")
    @classmethod
    def _refuse_limits(cls, value: dict[str, str], others: ValidationInfo) -> dict[str, str]:
        # LightGBM sets the leaves of this objective anew after a tree has grown, and ends with an error at a limit.
        if value and others.data.get("objective") == "regression_l1":
            raise ValueError("the objective regression_l1 takes no such limits; remove them, or take regression")
        return value


class CheckSettings(_Section):
    """What the data must have before anything is learnt from them.

    Attributes:
        least_customers: customers known at the test as-of; with fewer a percentile says little.
        least_active: known customers with a settled row in the test window; with fewer nothing can be judged.
        thin_share: a test window with fewer rows than this share of the usual number is refused. The usual number is
            the median of the windows before it, see `training.windows`.
        most_repeated_share: the largest share of rows without an identifier that equal another row in every column.
    """

    least_customers: Positive = 100
    least_active: Positive = 30
    thin_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    most_repeated_share: Annotated[float, Field(ge=0, le=1)] = 0.25


class GateSettings(_Section):
    """What a new model must show before it is promoted without a person's decision.

    Attributes:
        margin: the lead in normalised Gini that the model needs over every baseline and the champion.
        confidence: the confidence that the differences are above the margin, for all tries on a window together: the
            first try uses half of the chance of error, each later one less, see `compare.error_of_try`. The bounds of
            money use the full chance at every try.
        resamples: bootstrap draws of the customers.
        most_calibration_error: the share of the realised money that predicted money must not surely be off by more
            than. A model that is too high by exactly this share is refused somewhat more often than the confidence
            says.
        most_moved_share: the largest share of customers that a refit may put in another segment than the judged model.
        most_below_champion: with several origins, how far their mean normalised Gini may be below the champion's.
        least_gini: with several origins, the normalised Gini that the worst of them must reach.
        least_beaten_share: with several origins, the share of them at which each baseline must be beaten.
    """

    margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 1_000
    most_calibration_error: Annotated[float, Field(gt=0)] = 0.25
    most_moved_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    most_below_champion: Annotated[float, Field(ge=0, lt=1)] = 0.0
    least_gini: Annotated[float, Field(ge=-1, lt=1)] = 0.0
    least_beaten_share: Annotated[float, Field(ge=0, le=1)] = 0.75


class IntervalSettings(_Section):
    """The interval about an expected value.

    Attributes:
        level_percent: how many of a hundred intervals should hold the value, by default.
        windows: the number of windows before the test window, one horizon apart, on which predictions are compared with
            realised values; each costs a fit. Four are a year of quarters. A short history uses fewer.
    """

    level_percent: Annotated[int, Field(ge=1, le=99)] = DEFAULT_LEVEL_PERCENT
    windows: Annotated[int, Field(ge=1, le=12)] = 4


class DueSettings(_Section):
    """When predictions whose horizon has passed show that a model is due for training.

    Attributes:
        least_customers: the fewest customers of one version and day to judge; chance alone moves figures of fewer.
        most_off_share: realised money may be off by this share of the predicted money.
        most_coverage_distance: how far the share of values in their intervals may be from the level.
        most_gini_fall: how far normalised Gini may be below that of the model card.
        confidence: the confidence that a figure out of bounds is not due to chance alone.
    """

    least_customers: Annotated[int, Field(ge=30)] = 500
    most_off_share: Annotated[float, Field(gt=0)] = 0.15
    most_coverage_distance: Annotated[float, Field(gt=0, lt=1)] = 0.03
    most_gini_fall: Annotated[float, Field(gt=0, lt=1)] = 0.05
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class TrainingConfig(_Section):
    """Everything that a training run depends on, besides the data.

    Attributes:
        name: the name of the registered model.
        base_currency: the currency that every amount is converted into.
        rates: the operator's own table, CSV with currency, date and rate (1 unit of the currency = rate units of the
            base), or the ECB's own file eurofxref-hist.csv; by default the ECB's shipped history.
        rates_on: the day whose last known rates are used; by default today.
        columns: the API's names for the columns of the data, such as {customer_id: user_id}.
        indicators: a Python file of the operator's own indicators, beside the configuration; its text is stored with
            the model.
        horizon_days: length of the value window.
        test_as_of: where the test window begins; by default the latest moment whose window the data cover.
        origins: the number of moments, one horizon apart and the test as-of last, at which the same settings learn and
            are judged. The model of the last is registered; the gate judges all.
        settlement_lag_days: how many days late rows may arrive. As many last days of the data are not used for judging,
            and indicators leave out as many days before their as-of, in training and in serving.
        cut_points: scores between low, medium, high and top.
        seed: the seed of everything random.
    """

    name: Annotated[str, Field(min_length=1, pattern=r"^[\w.-]+$")] = DEFAULT_NAME
    base_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    rates: Path | None = None
    rates_on: date | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    indicators: Path | None = None
    horizon_days: Annotated[int, Field(gt=0, le=3650)] = 90
    test_as_of: int | None = None
    origins: Annotated[int, Field(ge=1, le=MOST_ORIGINS)] = 1
    settlement_lag_days: Annotated[int, Field(ge=0, le=365)] = 0
    snapshots: SnapshotSettings = SnapshotSettings()
    value: ValueSettings = ValueSettings()
    trees: TreeSettings = TreeSettings()
    checks: CheckSettings = CheckSettings()
    gate: GateSettings = GateSettings()
    interval: IntervalSettings = IntervalSettings()
    due: DueSettings = DueSettings()
    cut_points: tuple[float, float, float] = DEFAULT_CUT_POINTS
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1

    @field_validator("test_as_of", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        if isinstance(value, date | datetime):  # YAML turns dates into Python's own
            return to_microseconds(value)
        return _or_value_error(parse_moment, value) if isinstance(value, str) else _no_date_as_number(value)

    @field_validator("rates_on", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        return _no_date_as_number(value)

    @field_validator("cut_points", mode="before")
    @classmethod
    def _cuts(cls, value: Any) -> tuple[float, float, float]:
        return _or_value_error(check_cut_points, value)

    def definition(self) -> dict[str, Any]:
        """Return the definition of the value: two models are comparable only if it is equal."""
        fields = {"horizon_days": self.horizon_days, "currency": self.base_currency, **self.value.model_dump()}
        return {**fields, "settlement_lag_days": self.settlement_lag_days} if self.settlement_lag_days else fields

    @field_validator("indicators")
    @classmethod
    def _is_python(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix != ".py":
            raise ValueError(f"{value} is not a Python file; give one that ends with .py, such as own_indicators.py")
        return value

    def own_indicators(self) -> "OwnIndicators | None":
        """Read the operator's own indicators without running them; ConfigError if the file cannot be read."""
        from fivefold.features.catalogue.own import read_own_indicators  # noqa: PLC0415 (it imports Numba)

        return None if self.indicators is None else read_own_indicators(self.indicators)

    def rate_table(self) -> RateTable:
        """Build the rate table of the training day."""
        day = self.rates_on or date.today()  # noqa: DTZ011 (the operator's own day)
        if self.rates:
            return read_rates(self.rates, self.base_currency, day)
        return ecb_rates(self.base_currency, day)


def _no_date_as_number(value: Any) -> Any:
    """Refuse a small number: `20240101` was meant as a date, and in microseconds is 20 s after 1970."""
    if isinstance(value, int | float) and abs(value) < _LEAST_MICROSECONDS:
        raise ValueError(f"{value} is a number; write a date as 2024-01-01")
    return value


def _or_value_error(check: Callable[[Any], Checked], value: Any) -> Checked:
    """Turn the errors of our checks into ValueError, so that pydantic collects them with all others."""
    try:
        return check(value)
    except (ConfigError, TypeError) as error:
        raise ValueError(str(error)) from None


def checked_config(content: object, source: str) -> TrainingConfig:
    """Check settings that are in *source*; ConfigError names every field that is wrong."""
    try:
        return TrainingConfig.model_validate(content)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, problem['loc'])) or 'the file'}: {_problem_text(problem)}"
            for problem in error.errors()
        ]
        raise ConfigError("\n".join([f"{source} is not a training configuration:", *lines])) from None


def _problem_text(problem: ErrorDetails) -> str:
    """Describe what is wrong with a setting; for an unknown one, list the settings at its place."""
    if problem["type"] != "extra_forbidden":
        return problem["msg"]
    form: Any = TrainingConfig
    for name in problem["loc"][:-1]:
        form = form.model_fields[name].annotation
    return unknown_name(problem["loc"][-1], "setting", form.model_fields)


def read_config(path: Path | None) -> TrainingConfig:
    """Read a YAML file, or take the defaults; ConfigError names every field that is wrong."""
    if path is None:
        return TrainingConfig()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        config = checked_config(content, str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # text that is not UTF-8, a date such as 2024-13-45
        raise ConfigError(f"{path} is not YAML: {why_unreadable(error)}") from None
    files = {"rates": config.rates, "indicators": config.indicators}
    beside = {name: path.parent / file for name, file in files.items() if file and not file.is_absolute()}
    return config.model_copy(update=beside)
