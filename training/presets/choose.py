"""The choice among presets: each learns and predicts as of earlier moments, whose windows end by the test as-of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.text import count_text
from fivefold.features.histories import Integers
from fivefold.models.prediction import expected_value
from fivefold.training.config import TrainingConfig
from fivefold.training.data import SourceSummary, TrainingRows, TransactionSource, training_rows
from fivefold.training.dates import Dates, dates_before
from fivefold.training.fit import find_rounds, fit, validation_fold
from fivefold.training.judging.metrics import normalised_gini, top_decile_capture
from fivefold.training.presets.named import UNTRIED, Preset
from fivefold.training.target import floor_at_zero

ORIGINS = 3
"""Windows that presets are judged on, one horizon after the other, where the history allows as many."""
MOST_ROWS = 100_000
"""Rows of all dates of all presets together; above it, customers are sampled. It bounds time and memory."""
TIE = 0.002
"""The first preset that no later one leads by more than this mark is chosen: seeds alone move marks as much."""


@dataclass(frozen=True, kw_only=True)
class PresetTrial:
    """The result of one preset as of one moment.

    Attributes:
        preset: the name of the preset.
        origin: the moment, microseconds; the window after it ends at the test as-of or before.
        customers: number of customers predicted for.
        rows: number of rows learnt from.
        rounds: number of rounds found on the last date learnt from.
        normalised_gini, top_decile_capture: metrics of the predictions in the window.
    """

    preset: str
    origin: int
    customers: int
    rows: int
    rounds: int
    normalised_gini: float
    top_decile_capture: float

    @property
    def mark(self) -> float:
        """The mean of normalised Gini and top-decile capture: the single criterion of the choice."""
        return (self.normalised_gini + self.top_decile_capture) / 2

    def figures(self) -> dict[str, float]:
        """Return every number by its name in the registry."""
        return {name: float(value) for name, value in vars(self).items() if name not in {"preset", "origin"}}


@dataclass(frozen=True)
class PresetChoice:
    """The preset of a run, and the trials that it was chosen by.

    Attributes:
        preset: the name of the preset.
        settings: the settings without any preset.
        presets: the presets to choose from, the simpler first.
        trials: the trials of every preset at every origin; empty if nothing was tried.
        reason: a sentence for people.
        share: share of the customers that presets were tried on; the rest were left out to bound the rows.
    """

    preset: str
    settings: TrainingConfig
    presets: tuple[Preset, ...]
    trials: tuple[PresetTrial, ...]
    reason: str
    share: float = 1.0

    @property
    def config(self) -> TrainingConfig:
        """The settings with the preset."""
        return next(each for each in self.presets if each.name == self.preset).over(self.settings)

    @property
    def origins(self) -> tuple[int, ...]:
        """The moments (microseconds) as of which the presets were tried, the earliest first."""
        return tuple(sorted({trial.origin for trial in self.trials}))

    def of(self, name: str) -> tuple[PresetTrial, ...]:
        """Return the trials of one preset, the earliest origin first."""
        return tuple(sorted((each for each in self.trials if each.preset == name), key=lambda each: each.origin))

    def mark(self, name: str) -> float:
        """Return the mean mark of a preset over the origins."""
        return float(np.mean([trial.mark for trial in self.of(name)]))

    def figures(self, name: str) -> dict[str, float]:
        """Return a preset's means over the origins by their names in the registry."""
        trials = self.of(name)
        return {
            "mean_normalised_gini": float(np.mean([trial.normalised_gini for trial in trials])),
            "mean_top_decile_capture": float(np.mean([trial.top_decile_capture for trial in trials])),
            "mark": self.mark(name),
        }


def choose_preset(
    portfolio: TransactionSource,
    config: TrainingConfig,
    summary: SourceSummary,
    test: int,
    presets: Sequence[Preset],
) -> PresetChoice:
    """Try every preset as of moments before the test as-of, and choose the simplest that is as good as any later one.

    Nothing after *test* is used: the windows of the origins are one horizon apart and end there or before.

    Args:
        portfolio: the transactions; rows after *test* make no difference.
        config: the settings; every preset keeps those that a person made.
        summary: the summary of the transactions.
        test: the test as-of, microseconds.
        presets: one or more, the simpler first. One whose dates span less than a horizon is left out, and the reason
            says so. If none can be tried, `UNTRIED` is chosen, or the first if that is not among them.
    """
    different = _different(presets, config)
    if len(different) == 1:
        reason = "the settings leave nothing to choose: they set all that the presets differ in"
        return PresetChoice(different[0].name, config, tuple(different), (), reason)
    left_out = {each.name: text for each in different if (text := _never_tried(each.over(config)))}
    choice = _choice(portfolio, config, summary, test, [each for each in different if each.name not in left_out])
    if choice is None:
        choice = PresetChoice(_untried(different), config, tuple(different), (), "no preset can be tried")
    never = "".join(f"; {name} cannot be tried: {text}" for name, text in left_out.items())
    return replace(choice, reason=choice.reason + never)


def _choice(
    portfolio: TransactionSource, config: TrainingConfig, summary: SourceSummary, test: int, presets: list[Preset]
) -> PresetChoice | None:
    """Choose among presets that can be tried if the history is long enough; None without presets."""
    if len(presets) < 2:
        return (
            PresetChoice(presets[0].name, config, (presets[0],), (), "it alone is left to choose") if presets else None
        )
    origins = _origins(config, summary, test, presets)
    if not origins:
        return PresetChoice(_untried(presets), config, tuple(presets), (), _too_short(config, test))
    rows = _rows(portfolio, config, summary, origins)
    usable = [each for each in origins if _can_be_judged(rows, each, config)]
    if not usable:
        return PresetChoice(_untried(presets), config, tuple(presets), (), _too_few(config, test))
    trials = tuple(_trials(rows, usable, config, presets))
    return replace(_best(config, tuple(presets), trials), share=rows.share)


def _untried(presets: Sequence[Preset]) -> str:
    """Return the name of the preset to use if none can be tried."""
    return next((each.name for each in presets if each.name == UNTRIED), presets[0].name)


def _never_tried(config: TrainingConfig) -> str:
    """Explain why the dates of some settings allow no trial, however long the history is; empty if they allow one."""
    snapshots = config.snapshots
    days = (snapshots.most - 1) * snapshots.spacing_days
    if days >= config.horizon_days:
        return ""
    return (
        f"its last {count_text(snapshots.most, 'date')}, {count_text(snapshots.spacing_days, 'day')} apart, span "
        f"{count_text(days, 'day')}, and to find its number of rounds they must span the horizon of "
        f"{config.horizon_days}"
    )


Origin = tuple[int, tuple[Dates, ...]]
"""A moment, and the dates that each preset learns from as of it."""


def _different(presets: Sequence[Preset], config: TrainingConfig) -> list[Preset]:
    """Remove presets that give the same settings as a simpler one."""
    preset_by_settings: dict[str, Preset] = {}
    for each in presets:
        preset_by_settings.setdefault(each.over(config).model_dump_json(), each)
    return list(preset_by_settings.values())


def _origins(config: TrainingConfig, summary: SourceSummary, test: int, presets: Sequence[Preset]) -> list[Origin]:
    """Return the origins whose history lets every preset find its number of rounds, the latest first."""
    origins: list[Origin] = []
    for number in range(1, ORIGINS + 1):
        origin = test - number * config.horizon_days * DAY_US
        dates = tuple(dates_before(each.over(config), summary.period.first, origin) for each in presets)
        if any(not len(each.training) or not len(each.before_validation) for each in dates):
            break
        origins.append((origin, dates))
    return origins


def _rows(
    portfolio: TransactionSource, config: TrainingConfig, summary: SourceSummary, origins: Sequence[Origin]
) -> TrainingRows:
    """Compute, in one pass, the rows of every date of every preset and of the origins themselves."""
    moments = {origin for origin, _ in origins}
    for _, dates in origins:
        moments.update(moment for each in dates for moment in each.training.tolist())
    every = Dates(
        np.array(sorted(moments), dtype=np.int64), max(moments), config.horizon_days, config.settlement_lag_days
    )
    most = min(MOST_ROWS, config.snapshots.most_rows)
    bounded = config.model_copy(update={"snapshots": config.snapshots.model_copy(update={"most_rows": most})})
    return training_rows(portfolio, every, bounded, summary)


def _can_be_judged(rows: TrainingRows, origin: Origin, config: TrainingConfig) -> bool:
    """Check whether an origin has enough customers to judge on, and every preset something to learn before it.

    The customers are counted as for a test window: all of them, whatever share the rows are sampled to.
    """
    moment, dates = origin
    windows, there = rows.windows, rows.as_of == moment
    number = int(np.flatnonzero(windows.as_of == moment)[0])
    enough = int(windows.known_customers[number]) >= config.checks.least_customers
    active = int(windows.active[number]) >= config.checks.least_active
    ranked = bool((rows.values[there] > 0).any())  # without any value in the sample, no order is better
    return enough and active and ranked and all(validation_fold(rows, each) is not None for each in dates)


def _trials(
    rows: TrainingRows, origins: Sequence[Origin], config: TrainingConfig, presets: Sequence[Preset]
) -> Iterator[PresetTrial]:
    """Try every preset at every origin; presets with the same dates and trees share one fit."""
    trial_by_settings: dict[tuple[int, bytes, str], PresetTrial] = {}
    with tqdm(desc="trying presets", total=len(origins) * len(presets), disable=None, leave=False) as bar:
        for moment, dates in origins:
            for each, learnt in zip(presets, dates, strict=True):
                settings = each.over(config)
                key = (moment, learnt.training.tobytes(), settings.trees.model_dump_json())
                if key not in trial_by_settings:
                    trial_by_settings[key] = _trial(rows, moment, learnt, settings, each.name)
                yield replace(trial_by_settings[key], preset=each.name)
                bar.update()


def _trial(rows: TrainingRows, moment: int, dates: Dates, config: TrainingConfig, name: str) -> PresetTrial:
    """Learn as of a moment, as a run does as of its test as-of, and judge the predictions for the window after it."""
    rounds = find_rounds(validation_fold(rows, dates), config.trees, config.seed)
    learnt = _at(rows, dates.training)
    fitted = fit(learnt, config.trees, config.seed, rounds)
    judged = _at(rows, np.array([moment], dtype=np.int64))
    predicted, realised = expected_value(fitted.booster_, judged.matrix), floor_at_zero(judged.values)
    return PresetTrial(
        preset=name,
        origin=moment,
        customers=len(realised),
        rows=len(learnt.values),
        rounds=rounds,
        normalised_gini=normalised_gini(predicted, realised),
        top_decile_capture=top_decile_capture(predicted, realised),
    )


def _at(rows: TrainingRows, moments: Integers) -> TrainingRows:
    """Return the rows of some dates."""
    there = np.isin(rows.as_of, moments)
    return replace(rows, matrix=rows.matrix[there], values=rows.values[there], as_of=rows.as_of[there])


def _best(config: TrainingConfig, presets: tuple[Preset, ...], trials: tuple[PresetTrial, ...]) -> PresetChoice:
    """Choose the simplest preset that no later one beats by more than a tie."""
    unchosen = PresetChoice(presets[0].name, config, presets, trials, "")
    marks = [unchosen.mark(each.name) for each in presets]
    best = next(
        each
        for number, each in enumerate(presets)
        if not any(later > marks[number] + TIE for later in marks[number + 1 :])
    )
    windows = count_text(len(unchosen.origins), "earlier window")
    ahead = unchosen.mark(best.name) - unchosen.mark(presets[0].name)
    reason = (
        f"{best.name}: no preset is ahead of it by more than {TIE:g} on {windows}"
        if best is presets[0]
        else f"{best.name}: ahead of {presets[0].name} by {ahead:.4f} on {windows}, and no later preset is ahead of "
        f"it by more than {TIE:g}"
    )
    return replace(unchosen, preset=best.name, reason=reason)


def _too_short(config: TrainingConfig, test: int) -> str:
    return (
        f"the history before {day_text(test)} is too short to try presets: that needs three windows of "
        f"{config.horizon_days} days, one to judge on, one to find the number of rounds and one to learn from"
    )


def _too_few(config: TrainingConfig, test: int) -> str:
    return (
        f"too few customers are known before {day_text(test)} to try presets: a window needs "
        f"{config.checks.least_customers:,} (checks.least_customers), and {config.checks.least_active:,} of them with "
        "a settled row in it (checks.least_active)"
    )
