"""A retraining run, from top to bottom."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from fivefold.domain.errors import ConflictError, FivefoldError, ModelError, PromotionRefusedError, RegistryError
from fivefold.domain.parts import Parts
from fivefold.domain.provenance import release
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.catalogue.probe import check_own_indicators
from fivefold.features.indicator_matrix import fingerprint
from fivefold.features.reading.tables import Source
from fivefold.models.certainty.intervals import IntervalTable
from fivefold.models.estimator import ValueRegressor
from fivefold.models.promotions import Promotion, promote
from fivefold.models.reach import absent_columns_text
from fivefold.models.registry import OWN_TAG, RegisteredVersion, Registry
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig, TreeSettings
from fivefold.training.data import SourceSummary, TransactionSource, training_rows
from fivefold.training.dates import Dates, dates_before, lack_of_intervals
from fivefold.training.fit import build_model, find_rounds, fit, measure_intervals, validation_fold
from fivefold.training.judging.compare import times_judged
from fivefold.training.judging.evaluate import Evaluation, evaluate
from fivefold.training.judging.gate import GateVerdict, gate_verdict, with_origins
from fivefold.training.judging.predictions import predict_test_window
from fivefold.training.on_engine import EngineFile, open_source
from fivefold.training.origins.judge import JudgedOrigin, judge_origin, last_origin
from fivefold.training.origins.rolling import Rolling, roll
from fivefold.training.plan import TrainingPlan, make_plan, with_settings, with_warnings
from fivefold.training.presets.choose import PresetChoice, choose_preset
from fivefold.training.presets.named import Preset, asked_presets, rounds_warnings
from fivefold.training.refit import refit
from fivefold.training.register import log_refused_refit, register
from fivefold.training.report.datasets import LoggedDataset, learnt_datasets
from fivefold.training.report.model_card import Lineage
from fivefold.training.tune import Tuning, tune
from fivefold.training.windows import holes


@dataclass(frozen=True)
class TrainingResult:
    """The result of a run.

    Attributes:
        version: the number under which the model is registered.
        promoted: whether it is the champion now.
        model: the registered model; the refitted one after a refit.
        evaluation, verdict: those of the judged model.
        refusal: why a version that the gate allows could not become champion, such as another champion by then; empty
            if it did, or waits for a second person.
    """

    version: int
    promoted: bool
    model: ValueModel
    evaluation: Evaluation
    verdict: GateVerdict
    lineage: Lineage
    refusal: str = ""


def retrain(
    source: Source | EngineFile,
    config: TrainingConfig,
    registry: Registry,
    *,
    tune_trials: int = 0,
    preset: str = "",
    refit_after: bool = False,
    show: Callable[[TrainingPlan], None] | None = None,
    show_choice: Callable[[PresetChoice], None] | None = None,
    promote_by: Callable[[Registry, int], Promotion | None] = promote,
    parts: Parts | None = None,
) -> TrainingResult:
    """Load, take snapshots, fit, judge on the test window, report, register, and promote if the gate allows it.

    Args:
        source: the transactions; workers read those of an `EngineFile`, and the model is the same.
        config: everything else that the run depends on; of several origins the model of the last is registered.
        registry: the registry that the version is added to.
        tune_trials: the number of configurations to try first.
        preset: `choose` to choose one on windows before the test window, or the name of one; *config* takes precedence.
        refit_after: once the gate has passed, learn again from everything up to today, and register that model instead.
        show: called with the plan before anything is fitted, and again if a choice among presets changes its dates.
        show_choice: called with the choice among presets, if there was one.
        promote_by: makes a version champion if the gate allows it; returns None if a person has to approve it.
        parts: the finished parts of the same run, if interrupted; the caller must find a version that it registered.

    Raises:
        InvalidDataError, FileFormatError: the source cannot be read; nothing was learnt or written.
        ConfigError: there is no such preset, or the operator's own indicators are wrong.
        PromotionRefusedError: the refitted model is too far from the judged one; no version was registered.
        NotEnoughDataError: the data cover no training and test window, or too few origins, customers or rows.
    """
    presets, portfolio = asked_presets(preset), _portfolio(source, config, parts)
    plan = _plan(portfolio, config, presets, tune_trials, show or _nothing)
    plan, choice = _chosen(plan, portfolio, presets, show or _nothing, show_choice or _nothing)
    config, dates, absent = plan.config, plan.dates, plan.summary.absent
    trees_of_all, tuning = _trees(portfolio, plan, tune_trials)
    trees, rounds = _with_rounds(plan, trees_of_all)
    plan, fitted, intervals, learnt = _learn(plan, trees, rounds)
    rival = _rival(registry, plan, portfolio.own)
    test_window = predict_test_window(portfolio, dates, config, fitted.booster_, rival.model, absent)
    model = build_model(fitted, test_window, portfolio, config, dates, absent, intervals)
    with registry.judging():  # from the count of earlier judgements until this one is counted
        times = times_judged(registry, dates, model.content_hash, plan.summary.digest)
        evaluation = evaluate(test_window, model, config, times)
        last = last_origin(dates, len(plan.rows.values), rounds, test_window, evaluation, rival.left_out or "")
        rolling = _rolling(registry, portfolio, plan, trees_of_all, rival, last, model.content_hash)
        lacking = holes(plan.summary.quality, dates.test, config.horizon_days)
        verdict = gate_verdict(evaluation, config.gate, rival.left_out, lacking, currency=config.base_currency)
        verdict = with_origins(verdict, rolling, config.gate)
        lineage = Lineage(
            plan.source, plan.summary, dates, plan.rows, learnt, config, trees, release(), plan.warnings,
            plan.assumptions, preset if choice is None else choice.preset, choice, rolling=rolling, tuning=tuning,
        )  # fmt: skip
        if refit_after and verdict.promote:
            lineage = _refitted(registry, portfolio, plan, model, evaluation, lineage, verdict, rival.number)
        number = register(registry, model, test_window, evaluation, lineage, verdict, rival.number, rival.model)
    promoted, refusal = promoted_by(registry, number, promote_by) if verdict.promote else (False, "")
    return TrainingResult(number, promoted, lineage.served(model), evaluation, verdict, lineage, refusal)


def _plan(
    portfolio: TransactionSource,
    config: TrainingConfig,
    presets: Sequence[Preset],
    tune_trials: int,
    show: Callable[[TrainingPlan], None],
) -> TrainingPlan:
    """Make the plan of the first preset, show it and check it."""
    plan = make_plan(portfolio, presets[0].over(config), is_tuned=tune_trials > 0)
    plan = with_warnings(plan, rounds_warnings(presets, config))
    show(plan)
    plan.check()
    return plan


def promoted_by(
    registry: Registry, number: int, promote_by: Callable[[Registry, int], Promotion | None]
) -> tuple[bool, str]:
    """Make a version champion; return whether it is one now, and why it was refused: the version exists anyway."""
    try:
        return promote_by(registry, number) is not None, ""
    except (PromotionRefusedError, ConflictError) as error:
        return False, str(error)


def _learn(
    plan: TrainingPlan, trees: TreeSettings, rounds: int
) -> tuple[TrainingPlan, ValueRegressor, IntervalTable | None, dict[str, LoggedDataset]]:
    """Fit the trees on all dates; measure the intervals, and digest the rows that were learnt from.

    The plan is returned without its matrix: later steps need the memory.
    """
    config, rows = plan.config, plan.rows
    intervals = measure_intervals(rows, plan.dates, trees, config.seed, rounds, config.interval)
    fitted = fit(rows, trees, config.seed, rounds)
    learnt = learnt_datasets(plan.source, rows, plan.dates)
    return replace(plan, rows=rows.without_matrix()), fitted, intervals, learnt


def _portfolio(source: Source | EngineFile, config: TrainingConfig, parts: Parts | None) -> TransactionSource:
    """Open the transactions, and try the operator's own indicators."""
    own = config.own_indicators()
    portfolio = open_source(source, config.rate_table(), own=own, parts=parts)
    if own is not None:
        check_own_indicators(own)
    return portfolio


def _nothing(_: TrainingPlan | PresetChoice) -> None:
    """Show nothing."""


def _trees(portfolio: TransactionSource, plan: TrainingPlan, tune_trials: int) -> tuple[TreeSettings, Tuning | None]:
    """Return the trees of every origin, and their tuning; without trials, the configured trees and None.

    Tuning uses only what is known as of the first origin. Its best trees are returned.
    """
    config, rows, dates = plan.config, plan.rows, plan.dates
    if not tune_trials:
        return config.trees, None
    has_origins = len(plan.origins) > 1
    if has_origins:
        dates = dates_before(config, plan.summary.period.first, plan.origins[0])
        rows = training_rows(portfolio, dates, config, plan.summary)
    lack = lack_of_intervals(config, plan.summary.period.first, dates)
    tuning = tune(validation_fold(rows, dates), config.trees, config.seed, tune_trials, dates.validation, lack)
    trees = tuning.best.trees
    # Each of several origins finds its own number of rounds.
    return trees.model_copy(update={"rounds": config.trees.rounds}) if has_origins else trees, tuning


def _with_rounds(plan: TrainingPlan, trees: TreeSettings) -> tuple[TreeSettings, int]:
    """Return the trees of the last origin, with the number of rounds found on its last training date."""
    rounds = find_rounds(validation_fold(plan.rows, plan.dates), trees, plan.config.seed)
    return trees.model_copy(update={"rounds": rounds}), rounds


class _Rival(NamedTuple):
    """The champion of a run: its version and model, and why it cannot be judged; each may be None."""

    version: RegisteredVersion | None
    model: ValueModel | None
    left_out: str | None

    @property
    def number(self) -> int | None:
        """The number of the version."""
        return self.version.number if self.version else None


def _rival(registry: Registry, plan: TrainingPlan, own: OwnIndicators | None) -> _Rival:
    """Load the champion if it can fairly be judged on the test window."""
    champion = registry.champion()
    unfair = incomparability(champion, plan.config, plan.dates, plan.summary, own)
    return _Rival(champion, *load_comparable_champion(registry, champion, unfair))


def _rolling(
    registry: Registry,
    portfolio: TransactionSource,
    plan: TrainingPlan,
    trees: TreeSettings,
    rival: _Rival,
    last: JudgedOrigin,
    content_hash: str,
) -> Rolling | None:
    """Judge every origin before the last, and the champion if it learnt nothing of the window; None for one origin.

    *content_hash* is the hash of the model of the last origin.
    """
    config, summary, earlier = plan.config, plan.summary, []
    for moment in plan.origins[:-1]:
        dates = dates_before(config, summary.period.first, moment)
        unfair = incomparability(rival.version, config, dates, summary, portfolio.own)
        left_out = rival.left_out or unfair or ""
        comparable = None if left_out else rival.model
        times = times_judged(registry, dates, content_hash, summary.digest)
        earlier.append(judge_origin(portfolio, config, summary, dates, trees, comparable, left_out, times))
    return roll((*earlier, last), summary.first_rows, config.gate, config.seed) if earlier else None


def _chosen(
    plan: TrainingPlan,
    portfolio: TransactionSource,
    presets: Sequence[Preset],
    show: Callable[[TrainingPlan], None],
    show_choice: Callable[[PresetChoice], None],
) -> tuple[TrainingPlan, PresetChoice | None]:
    """Choose among two presets or more, and return the plan with the settings of the chosen one.

    The choice is made before the first origin: nothing is chosen on a window that is judged.

    A plan whose dates differ from those shown before is shown and checked too.
    """
    if len(presets) == 1:
        return plan, None
    choice = choose_preset(portfolio, plan.config, plan.summary, plan.origins[0], presets)
    show_choice(choice)
    used = with_warnings(with_settings(plan, portfolio, choice.config), rounds_warnings(presets, plan.config))
    if used.dates is not plan.dates:
        show(used)
        used.check()
    return used, choice


def _refitted(
    registry: Registry,
    portfolio: TransactionSource,
    plan: TrainingPlan,
    model: ValueModel,
    evaluation: Evaluation,
    lineage: Lineage,
    verdict: GateVerdict,
    judged_against: int | None,
) -> Lineage:
    """Learn again from everything up to today; if that is refused, the run is logged without a version."""
    try:
        return replace(lineage, refit=refit(portfolio, plan, lineage.trees, model))
    except FivefoldError as error:
        # A person who tries again has seen this judgement: the window counts as judged on.
        log_refused_refit(registry, model, evaluation, lineage, verdict, judged_against, str(error))
        if isinstance(error, PromotionRefusedError):  # the log has the reason without this advice
            raise PromotionRefusedError(
                f"{error}. Nothing was registered; the window counts as judged on. Train without a refit, or allow more"
            ) from error
        raise


def incomparability(
    champion: RegisteredVersion | None,
    config: TrainingConfig,
    dates: Dates,
    summary: SourceSummary,
    own: OwnIndicators | None = None,
) -> str | None:
    """Return the reason why the champion cannot fairly be judged on this test window; None if it can, or is absent."""
    if champion is None:
        return None
    if other := _other_data(champion, dates, summary):
        return other
    if champion.tags.get("fingerprint") != fingerprint(summary.absent, own):
        is_own = champion.tags.get(OWN_TAG, "").rpartition(" ")[2] != ("" if own is None else own.digest)
        other = "other indicators of the operator's own" if is_own else "another catalogue of indicators"
        return f"champion {champion.number} has {other}"
    if champion.definition != config.definition():
        return f"champion {champion.number} has another definition of value"
    if champion.test_as_of > dates.test:
        return f"champion {champion.number} was trained inside the test window"
    return None


def _other_data(champion: RegisteredVersion, dates: Dates, summary: SourceSummary) -> str:
    """Describe how the champion's data differed from these, in columns or states; empty if they did not."""
    if champion.absent != summary.absent:
        theirs, ours = absent_columns_text(champion.absent), absent_columns_text(summary.absent)
        return f"champion {champion.number} was learnt {theirs}, this version {ours}"
    if lost := summary.quality.lost_states_text(champion, dates.test, dates.horizon_days):
        return f"champion {champion.number} was learnt with nearly all states, and {lost}"
    return ""


def load_comparable_champion(
    registry: Registry, champion: RegisteredVersion | None, incomparable: str | None
) -> tuple[ValueModel | None, str | None]:
    """Load the champion if it is comparable; a champion that cannot be loaded is not.

    Raises:
        RegistryError: the registry, or the store of its files, does not answer now; the champion may be comparable
            later.
    """
    if champion is None or incomparable:
        return None, incomparable
    try:
        return registry.load(champion.number), None
    except RegistryError:
        raise
    except ModelError as error:
        return None, f"champion {champion.number} cannot be loaded ({error})"
