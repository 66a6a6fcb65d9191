"""`fivefold train`: from a file of transactions to a registered, judged model."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.platform.changes import TokenOption, print_proposal, promoting_person
from fivefold.cli.terminal import (
    MapOption,
    NameOption,
    OrganisationOption,
    actor,
    create_registry,
    echo,
    mapped,
    open_current_database,
    open_registry,
    paragraph,
    require_scores,
    require_source,
    show_table,
    still_serving,
    warn,
)
from fivefold.cli.value_model.engines import (
    EngineName,
    EngineOption,
    FolderOption,
    MasterOption,
    open_engine,
    read_by,
    require_engine,
)
from fivefold.cli.value_model.parts import RestartOption, conditions, continued, end_registered_by, trainings_folder
from fivefold.cli.value_model.plan_output import show_choice, show_plan
from fivefold.cli.value_model.registry import log_champion, warn_of_money
from fivefold.cli.value_model.scheduled import TrainingEnd, When, require_schedule, run_scheduled
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import protect_folder
from fivefold.domain.money import rounded_words
from fivefold.domain.parts import Parts, Task, left_by, remove_leftover
from fivefold.domain.settings import read_settings, require_model_name
from fivefold.domain.text import percent
from fivefold.training.config import DEFAULT_NAME, MOST_ORIGINS, TrainingConfig, read_config
from fivefold.training.presets.named import asked_presets, preset_by_default

if TYPE_CHECKING:
    from fivefold.features.partitions import Engine
    from fivefold.features.reading.text_files import MappedFile
    from fivefold.models.promotions import Promotion
    from fivefold.models.registry import Registry
    from fivefold.models.value_model import ValueModel
    from fivefold.training.judging.evaluate import Evaluation
    from fivefold.training.origins.rolling import Rolling
    from fivefold.training.plan import TrainingPlan
    from fivefold.training.retrain import TrainingResult
    from fivefold.usecases.shared.context import Context

DEMO_CUSTOMERS = 5_000
OriginsOption = Annotated[
    int | None,
    typer.Option(
        "--origins",
        min=1,
        max=MOST_ORIGINS,
        help="Judge as of this many moments, one horizon apart; by default `origins` of the configuration.",
    ),
]
RefitOption = Annotated[bool, typer.Option("--refit", help="If the gate passes, train again on all data up to today.")]
PresetOption = Annotated[
    str,
    typer.Option(
        "--preset",
        help="Name of a preset, or `choose`, the default without --config and without --tune.",
    ),
]

WhenOption = Annotated[
    When | None,
    typer.Option("--when", help="For a scheduler such as cron: the exit code and the last line say what happened."),
]
ScoresOption = Annotated[
    list[Path] | None,
    typer.Option("--scores", help="With --when due: files of earlier scores, to compare with realised values."),
]
PlatformOption = Annotated[
    bool, typer.Option("--platform", help="With --when due: use what the platform's workers stored and compared.")
]


def train(
    data: Annotated[Path | None, typer.Option("--data", help="Transactions; simulated ones by default.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Training configuration, YAML.")] = None,
    tune: Annotated[int, typer.Option("--tune", min=0, help="Try this many configurations first (Optuna).")] = 0,
    preset: PresetOption = "",
    refit: RefitOption = False,
    origins: OriginsOption = None,
    name: NameOption = "",
    names: MapOption = None,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
    when: WhenOption = None,
    scores: ScoresOption = None,
    platform: PlatformOption = False,
    engine: EngineOption = EngineName.PROCESS,
    spark_master: MasterOption = None,
    spark_folder: FolderOption = None,
    restart: RestartOption = False,
) -> None:
    """Train, judge, register, and promote if the gate allows it. Where promotions need two people, it proposes one.

    On Spark, workers read the rows and compute indicators and values; this machine fits the trees. The model is the
    same, bit for bit.

    The same command continues an interrupted run. With --when, a run whose data or settings have changed starts over.
    """
    if data:
        require_source(data)
    require_schedule(when, scores, data, on_platform=platform)
    _require_engine(engine, spark_master, spark_folder, data)
    settings = _settings(config, name, origins)
    _require_scores(scores or [], settings.name)
    preset = preset or preset_by_default(config is not None, tune)
    asked_presets(preset)  # an unknown name is refused before anything is simulated
    import fivefold.training.retrain  # noqa: F401 (where that cannot be imported, nothing is simulated for it)

    who = promoting_person(open_current_database(), organisation, token) if token else None
    source = mapped(data or simulated_file(), names, settings.columns if data else {})
    open_workers = partial(open_engine, engine, spark_master, spark_folder, None)
    options = {"--tune": tune or None, "--preset": preset or None, "--refit": refit}
    begun = partial(_task, settings, source, {**options, "--map": ", ".join(names or []) or None})

    def whole(check: "Callable[[TrainingPlan], None] | None" = None) -> TrainingEnd:
        open_current_database().dispose()  # a promotion needs it: where it does not answer, nothing is learnt for it
        with _parts_of(settings, begun(), restart=restart, replaces=when is not None) as parts:
            end = _registered_before(settings, parts, who)
            if end is None:
                with open_workers() as on:
                    outcome = run(
                        source, settings, tune, preset, refit=refit, check=check, engine=on, by=who, parts=parts
                    )
                end = _show_whole(outcome, settings, refit=refit)
            _propose(who, organisation, settings.name, end)
        return end

    if when is None:
        whole()
    else:
        end_registered = partial(_end_registered, settings, begun)
        run_scheduled(when, scores or [], source, settings, whole, open_workers, end_registered)


def _show_whole(outcome: "TrainingResult", config: TrainingConfig, *, refit: bool) -> TrainingEnd:
    """Print the result of a training and, if requested, of its refit; return its end."""
    show_outcome(outcome, config)
    if refit:
        echo(refit_text(outcome))
    return TrainingEnd.of(outcome)


def _settings(config: Path | None, name: str, origins: int | None) -> TrainingConfig:
    """Read the settings; options go before those of the file."""
    settings = read_config(config)
    if name:
        settings = settings.model_copy(update={"name": name})
    if origins is not None:
        settings = settings.model_copy(update={"origins": origins})
    require_model_name(settings.name)
    return settings


def _require_scores(scores: list[Path], name: str) -> None:
    """Look for files of scores where it is known without MLflow that there is a champion to judge by them."""
    from fivefold.models.embedded import embedded_champion

    if embedded_champion(read_settings(), name) is not None:
        require_scores(scores)


def _require_engine(engine: EngineName, master: str | None, folder: Path | None, data: Path | None) -> None:
    """Check the options of Spark before anything starts; ConfigError for what would be read by this process alone."""
    if engine is EngineName.SPARK and data is None:
        raise ConfigError("--engine spark needs --data: Parquet that every machine has at the same path")
    if data is not None:
        require_engine(engine, master, folder, data, None, writes=False)
    elif master is not None or folder is not None:
        raise ConfigError("--spark-master and --spark-folder are for --engine spark")


def _task(config: TrainingConfig, source: "MappedFile", options: Mapping[str, object]) -> Task:
    """Say what a training depends on: its settings one by one, the rates and own indicators that it reads, its rows."""
    from fivefold.training.continuation import digest_of

    folder = trainings_folder()
    read_settings().protect_var()
    protect_folder(folder)
    rates, own = config.rate_table(), config.own_indicators()
    day = rates.as_known_on.isoformat()
    sections = config.model_copy(update={"rates_on": rates.as_known_on}).model_dump(mode="json", exclude_none=True)
    settings = {
        (f"{name}.{key}" if key else name): str(value)
        for name, section in sections.items()
        for key, value in (section if isinstance(section, dict) else {"": section}).items()
    }
    read = {
        "the rates": digest_of(rates),
        "the own indicators": None if own is None else own.digest,
        "the registry": read_settings().registry_shown,
    }
    return Task(
        command="train",
        output=folder / config.name,
        conditions=conditions({**options, **settings, **read}, source),
        more="" if config.rates_on else f"`rates_on: {day}` in its configuration (needed once that day is over)",
        subject=f"the training of {config.name}",
    )


def _registered_before(config: TrainingConfig, parts: Parts, by: "Context | None") -> TrainingEnd | None:
    """End the training whose version an interrupted run registered: promote it if the gate allows that, and say so.

    What people decided on that version in between holds.
    """
    from fivefold.training.continuation import registered_before
    from fivefold.training.retrain import promoted_by
    from fivefold.usecases.changes.promotions import decided_since

    if not parts.begun_with:
        return None
    registry = create_registry(config.name)
    version = registered_before(registry, parts)
    if version is None:
        return None
    passed, is_champion, refusal = version.tags["gate_promote"] == "true", "champion" in version.aliases, ""
    if passed and not is_champion:
        if decided := decided_since(open_current_database(), registry, version.number):
            refusal = f"{decided}. To make it champion: fivefold promote {version.number}{_name_option(config)}"
        else:
            is_champion, refusal = promoted_by(registry, version.number, partial(_promote, by))
    else:
        log_champion(registry, version, adds_organisation=True)
    end = TrainingEnd(
        version=version.number,
        promoted=is_champion,
        passed=passed,
        verdict=version.tags["gate_reasons"],
        refusal=refusal,
    )
    echo(
        f"The interrupted run had already registered {config.name} version {end.version}; model hash "
        f"{version.tags['content_hash'][:12]}."
    )
    _show_end(end, config)
    return end


def _parts_of(config: TrainingConfig, task: Task, *, restart: bool, replaces: bool) -> AbstractContextManager[Parts]:
    """Give the parts of a training; what interrupted runs registered whose parts are to go is ended before."""
    for each in left_by(task) if restart or replaces else ():
        if restart or each.folder != task.folder:
            end_registered_by(each, config.name)
    return continued(task, restart=restart, replaces=replaces)


def _end_registered(config: TrainingConfig, begun: Callable[[], Task]) -> None:
    """Remove the parts of interrupted runs that registered their version, where nothing is due that would."""
    for each in left_by(begun()):
        if end_registered_by(each, config.name):
            remove_leftover(each)


def _propose(proposer: "Context | None", organisation: str, name: str, end: TrainingEnd) -> None:
    """Propose a version that passed and waits for a second person, where there is a person to propose it."""
    if proposer is not None and end.passed and not (end.promoted or end.refusal):
        from fivefold.usecases.changes.promotions import propose_promotion

        print_proposal(propose_promotion(proposer, open_registry(name), end.version), organisation)


def run(
    path: "Path | MappedFile",
    config: TrainingConfig,
    tune: int = 0,
    preset: str = "",
    *,
    refit: bool = False,
    check: "Callable[[TrainingPlan], None] | None" = None,
    engine: "Engine | None" = None,
    by: "Context | None" = None,
    parts: Parts | None = None,
) -> "TrainingResult":
    """Run the training with the registry of the settings; *check* may end it before anything is fitted.

    An *engine* reads Parquet in place of this process. A promotion is recorded as *by* a member, where one is known.
    What is finished in *parts* is not done again.
    """
    from fivefold.training.retrain import retrain

    warned: list[tuple[str, ...]] = []  # not the plans: their rows are most of the memory

    def show(plan: "TrainingPlan") -> None:
        show_plan(plan, warned[-1] if warned else None)
        warned.append(plan.warnings)
        if check is not None:
            check(plan)

    registry = create_registry(config.name)
    return retrain(
        read_by(engine, path), config, registry, tune_trials=tune, preset=preset, refit_after=refit, show=show,
        show_choice=show_choice, promote_by=partial(_promote, by), parts=parts,
    )  # fmt: skip


def _promote(by: "Context | None", registry: "Registry", number: int) -> "Promotion | None":
    """Make a version champion, where one person may; *by* a member, where one is known."""
    from fivefold.usecases.changes.promotions import promote_where_one_may

    database = open_current_database()
    promotion = promote_where_one_may(database, registry, number, actor(), None if by is None else by.actor)
    if promotion is not None:
        warn_of_money(database, registry, promotion)
    return promotion


def simulated_file() -> Path:
    """Give the file of simulated customers, which is created if needed."""
    from fivefold.training.simulation.simulator import Simulation, write_simulation

    settings = read_settings()
    path = settings.var / "demo" / "transactions.parquet"
    if not path.exists():
        settings.protect_var()
        rows = write_simulation(Simulation(customers=DEMO_CUSTOMERS), path)
        echo(f"Simulated {DEMO_CUSTOMERS:,} customers with {rows:,} transactions: {path}")
    return path


def show_outcome(outcome: "TrainingResult", config: TrainingConfig) -> None:
    """Print the result of a run: metrics, segments, the gate's verdict."""
    evaluation = outcome.evaluation
    errors = evaluation.calibration_errors
    rows = [
        [
            name,
            *(f"{figure:.4f}" for figure in (metrics.normalised_gini, metrics.top_decile_capture, metrics.spearman)),
            percent(errors[name]) if name in errors else "",
        ]
        for name, metrics in evaluation.by_name.items()
    ]
    echo()
    columns = ("", "normalised Gini", "top-decile capture", "Spearman", "calibration error")
    show_table(f"On {evaluation.customers:,} customers of a window that the model never saw", columns, rows)
    echo()
    segments = [
        [
            row["segment"],
            f"{row['customers']:,}",
            rounded_words(row["value_mean"], config.base_currency),
            percent(row["value_share"]),
        ]
        for row in evaluation.segments.to_dicts()
    ]
    money = f"mean value ({config.base_currency})"
    show_table(
        "What each segment was worth in that window", ("segment", "customers", money, "share of value"), segments
    )
    echo(coverage_text(outcome.model, evaluation, outcome.lineage.lack_judged))
    if outcome.lineage.tuning is not None:
        from fivefold.training.report.preset_card import tuning_sentence

        echo(f"Tuned: {tuning_sentence(outcome.lineage.tuning)}")
    if evaluation.coverage is not None and evaluation.coverage.doubt:
        warn(
            f"intervals contained {percent(evaluation.coverage.covered_share)} of the values, "
            f"{evaluation.coverage.doubt}"
        )
    if outcome.lineage.rolling is not None:
        show_origins(outcome.lineage.rolling)
    echo()
    echo(f"Registered as {config.name} version {outcome.version}; model hash {outcome.model.content_hash[:12]}.")
    _show_end(TrainingEnd.of(outcome), config)


def _show_end(end: TrainingEnd, config: TrainingConfig) -> None:
    """Print the gate's verdict, and what follows from it."""
    paragraph(f"The gate: {end.verdict}.")
    if end.promoted:
        echo(f"Version {end.version} is the champion now.")
        return
    if end.refusal:
        echo(f"Not promoted: {end.refusal}")
        return
    name = _name_option(config)
    if end.passed:
        echo(
            f"Not promoted yet: a promotion needs two people here, and {still_serving(config.name)}. To propose it: "
            f"fivefold promote {end.version}{name}, with your token in FIVEFOLD_TOKEN; then another person "
            "approves it"
        )
        return
    echo(
        f"Not promoted: version {end.version} is the challenger, and {still_serving(config.name)}. "
        f"To overrule the gate: fivefold promote {end.version}{name} --force --reason TEXT",
    )


def _name_option(config: TrainingConfig) -> str:
    """Give what a command about this model needs beside the number of a version."""
    return "" if config.name == DEFAULT_NAME else f" --name {config.name}"


def show_origins(rolling: "Rolling") -> None:
    """Print how the settings did at each origin, and by how much they are above each rival."""
    from fivefold.training.report.quality_card import (
        difference_columns,
        difference_rows,
        left_out_lines,
        origin_columns,
        origin_rows,
    )

    echo()
    columns = origin_columns(rolling)
    show_table("At each origin: normalised Gini / top-decile capture", columns, origin_rows(rolling), left=1)
    echo()
    columns = difference_columns(rolling)
    title = f"The model minus each rival, with {percent(rolling.confidence, 0)} intervals"
    show_table(title, columns, difference_rows(rolling), left=2)
    for line in left_out_lines(rolling):
        echo(line)


def refit_text(outcome: "TrainingResult") -> str:
    """Say which model is registered if a refit was requested."""
    refit = outcome.lineage.refit
    if refit is None:
        return "Not refitted: the gate did not pass, so the judged model itself is registered."
    return (
        f"Refitted at {len(refit.dates.training)} dates up to {day_text(refit.dates.validation)}. The figures above "
        f"are those of model {refit.judged_hash[:12]}; the registered model is {refit.model.content_hash[:12]}. It "
        f"puts {percent(refit.moved_share)} of today's customers in another segment."
    )


def coverage_text(model: "ValueModel", evaluation: "Evaluation", lack: str) -> str:
    """Say how many values of the window lay in the intervals that were given before it; *lack*: why there are none."""
    judged = evaluation.coverage
    if judged is None:
        return f"No interval was judged: {lack}."
    by_segment = ", ".join(f"{row['segment']} {percent(row['covered_share'], 0)}" for row in judged.segments.to_dicts())
    return (
        f"Intervals of {judged.level_percent} % contained {percent(judged.covered_share)} of the values "
        f"({by_segment}), and {percent(judged.expected_share)} of those that they were measured on; mean width "
        f"{rounded_words(judged.width_mean, model.currency)} {model.currency}."
    )
