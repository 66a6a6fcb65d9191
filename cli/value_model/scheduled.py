"""`fivefold train --when`: a training that a clock starts, whose exit code and last line say what happened."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from filelock import Timeout

from fivefold.cli.terminal import create_registry, echo, open_current_database, open_registry
from fivefold.cli.value_model.realised import judge, print_doubts
from fivefold.cli.value_model.registry import log_champion
from fivefold.domain.errors import (
    ConfigError,
    FivefoldError,
    ModelError,
    NotEnoughDataError,
    PromotionRefusedError,
    RegistryError,
)
from fivefold.domain.settings import read_settings

if TYPE_CHECKING:
    from fivefold.cli.value_model.engines import OpenWorkers
    from fivefold.features.reading.text_files import MappedFile
    from fivefold.models.registry import RegisteredVersion
    from fivefold.training.config import TrainingConfig
    from fivefold.training.judging.due import DueVerdict
    from fivefold.training.plan import TrainingPlan
    from fivefold.training.retrain import TrainingResult


class When(StrEnum):
    """When a scheduled run trains."""

    DUE = "due"
    ALWAYS = "always"


class ScheduledOutcome(IntEnum):
    """The result of a scheduled run; the number is its exit code. A refused command ends with 2."""

    NOTHING_DUE = 0
    PASSED = 10
    REFUSED = 11
    NOT_ENOUGH_DATA = 12
    ANOTHER_RUNS = 13
    SAME_DATA = 14


class SameDataError(FivefoldError):
    """These data were learnt from already."""

    def __init__(self, text: str, version: int | None = None) -> None:
        """Keep the result, and the number of the *version*; None where its refit was refused."""
        super().__init__(f"{text}. Nothing was learnt: give later data, or train without --when")
        self.version = version


@dataclass(frozen=True)
class Report:
    """The result of a scheduled run.

    Attributes:
        version: that was registered, or that has learnt from the data already; None where there is none.
        promoted: by this run.
        due: why the champion is due for training; empty where it is not, or where that is not known.
    """

    outcome: ScheduledOutcome
    text: str
    version: int | None = None
    promoted: bool = False
    due: tuple[str, ...] = ()

    def line(self, name: str) -> str:
        """Write it as one line of JSON."""
        content = {
            "outcome": self.outcome.name.lower(),
            "exit_code": int(self.outcome),
            "model": name,
            "version": self.version,
            "promoted": self.promoted,
            "due": list(self.due),
            "text": self.text,
        }
        return json.dumps(content, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class TrainingEnd:
    """The result of a training, also of one whose version an interrupted run had registered.

    Attributes:
        passed: the gate.
        verdict: of the gate, as text.
        refusal: see `training.retrain.TrainingResult`.
    """

    version: int
    promoted: bool
    passed: bool
    verdict: str
    refusal: str

    @classmethod
    def of(cls, result: "TrainingResult") -> "TrainingEnd":
        """Give the end of a whole run."""
        return cls(
            version=result.version,
            promoted=result.promoted,
            passed=result.verdict.promote,
            verdict=str(result.verdict),
            refusal=result.refusal,
        )


Run = Callable[[Callable[["TrainingPlan"], None]], TrainingEnd]
"""Trains; what it is given is called with the plan before anything is fitted, and may end the run."""


def require_schedule(when: When | None, scores: list[Path] | None, data: Path | None, *, on_platform: bool) -> None:
    """Raise ConfigError where the options of a scheduled run do not go together."""
    if when is When.DUE and bool(scores) == on_platform:
        both = " Only one of them." if scores else ""
        raise ConfigError(
            "--when due needs --scores, files of earlier scores to compare with realised values, or --platform, "
            f"whose workers compared stored predictions.{both or ' For the first version, train without --when.'}"
        )
    if when is not When.DUE and (scores or on_platform):
        raise ConfigError(
            f"{'--scores' if scores else '--platform'} decides whether training is due, so it needs --when due"
        )
    if when is not None and data is None:
        raise ConfigError("--when needs --data: simulated customers do not change")


def run_scheduled(
    when: When,
    scores: list[Path],
    source: "MappedFile",
    config: "TrainingConfig",
    run: Run,
    open_workers: "OpenWorkers",
    end_registered: Callable[[], None],
) -> None:
    """Train if that is due, or always; print what happened as a line of JSON, and end with its exit code.

    Without *scores* the platform says what is due. Workers read the transactions, where *open_workers* gives some.
    Where nothing is due, *end_registered* ends what an earlier run registered and could not end.
    """
    try:
        with _only_run(config.name):
            report = _run(partial(_verdict, when, scores, source, config, open_workers), run, end_registered)
    except Timeout:
        report = Report(ScheduledOutcome.ANOTHER_RUNS, f"another scheduled training of {config.name} is under way")
    echo(report.line(config.name))
    raise typer.Exit(int(report.outcome))


@contextmanager
def _only_run(name: str) -> Iterator[None]:
    """Hold the lock of a model's scheduled trainings."""
    settings = read_settings()
    settings.protect_var()
    with settings.lock(settings.var / f"train-{name}.lock", wait=False):
        yield


def _run(judge_champion: Callable[[], "DueVerdict"], run: Run, end_registered: Callable[[], None]) -> Report:
    due = tuple[str, ...]()
    try:
        verdict = judge_champion()
        if verdict.state != "due":
            end_registered()
            outcome = ScheduledOutcome.NOT_ENOUGH_DATA if verdict.state == "unknown" else ScheduledOutcome.NOTHING_DUE
            return Report(outcome, f"the champion: {verdict}")
        due = verdict.reasons
        result = run(_refuse_same_data)
    except SameDataError as same:
        return Report(ScheduledOutcome.SAME_DATA, str(same), same.version, due=due)
    except NotEnoughDataError as error:
        return Report(ScheduledOutcome.NOT_ENOUGH_DATA, str(error), due=due)
    except PromotionRefusedError as error:  # of a refit, before it was registered
        return Report(ScheduledOutcome.REFUSED, str(error), due=due)
    outcome = ScheduledOutcome.PASSED if result.passed else ScheduledOutcome.REFUSED
    text = f"version {result.version} is registered; the gate: {result.verdict}"
    if result.refusal:
        text = f"version {result.version} is registered and passed the gate; it is not the champion: {result.refusal}"
    return Report(outcome, text, result.version, promoted=result.promoted, due=due)


def _verdict(
    when: When, scores: list[Path], source: "MappedFile", config: "TrainingConfig", open_workers: "OpenWorkers"
) -> "DueVerdict":
    """Judge the champion by realised values; it is due too with --when always, or if no champion can be judged.

    Raises:
        RegistryError: the registry, or the store of its files, does not answer now: that says nothing of the champion.
    """
    from fivefold.training.judging.due import DueVerdict, due_verdict
    from fivefold.training.judging.realised import Realised
    from fivefold.usecases.monitoring.realised.read import verdict_of_all

    if when is When.ALWAYS:
        return DueVerdict("due", ("asked for, due or not",))
    registry = create_registry(config.name)
    champion = registry.champion()
    if champion is None:
        return DueVerdict("due", ("there is no champion",))
    try:
        model = registry.load(champion.number)
    except RegistryError:
        raise
    except ModelError as error:
        return DueVerdict("due", (f"the champion, version {champion.number}, cannot be loaded: {error}",))
    # What was predicted before a recalibration tells of the same trees, for as long as nothing later was judged.
    same = registry.with_trees_of(champion)
    hashes = {each.number: each.tags["content_hash"] for each in same if "content_hash" in each.tags}
    hashes |= {champion.number: model.content_hash}
    if not scores:
        return verdict_of_all(open_current_database(), config.name, hashes)
    judged, left_out = judge(scores, source, config.name, config.due, only=hashes, open_workers=open_workers)
    print_doubts(judged, left_out)
    if not judged:
        return due_verdict(Realised(()), config.due, None)
    latest = next((each for each in reversed(judged) if each.realised.days), judged[-1])
    return latest.verdict if latest.is_champion else latest.verdict.by_version(latest.number)


def _refuse_same_data(plan: "TrainingPlan") -> None:
    """End the run where the same rows were learnt from, by the same rates, definition and indicators, before.

    A run that died between registering and naming its version left it without an alias; it gets that now, and its
    promotion the entry that it lacks. A run whose refit was refused left no version.
    """
    from fivefold.models.registry import REFUSED_TAG
    from fivefold.training.continuation import name_newest

    registry = open_registry(plan.config.name)
    for version in registry.versions():
        if version.parent is None and _is_same(version.tags, version.judged_as_of or version.test_as_of, plan):
            name_newest(registry, version)
            log_champion(registry, version)
            raise SameDataError(_same_text(version), version.number)
    for tags in registry.refused_refits(plan.summary.digest):
        if _is_same(tags, int(tags["test_as_of"]), plan):
            raise SameDataError(f"an earlier run on these data was refused, and has no version: {tags[REFUSED_TAG]}")


def _is_same(tags: Mapping[str, str], judged_as_of: int, plan: "TrainingPlan") -> bool:
    """Tell whether a run with such tags, judged as of a moment (microseconds), had what a plan has."""
    from fivefold.domain.provenance import release
    from fivefold.features.indicator_matrix import fingerprint
    from fivefold.models.registry import DATA_DIGEST_TAG, RATES_DAYS_TAG, RATES_DIGEST_TAG
    from fivefold.training.plan import has_rates_of

    return (
        tags.get(DATA_DIGEST_TAG) == plan.summary.digest
        and tags.get("fingerprint") == fingerprint(plan.summary.absent, plan.own)
        and tags.get("code_version") == release()
        and json.loads(tags.get("definition", "null")) == plan.config.definition()
        and judged_as_of == plan.dates.test
        and (  # earlier releases did not write it
            RATES_DIGEST_TAG not in tags or has_rates_of(plan, tags[RATES_DIGEST_TAG], tags.get(RATES_DAYS_TAG))
        )
    )


def _same_text(version: "RegisteredVersion") -> str:
    passed = version.tags.get("gate_promote") == "true"
    verdict = "passed the gate" if passed else "was refused by the gate"
    state = "is the champion" if "champion" in version.aliases else "is not the champion"
    return f"version {version.number} was learnt from these data already; it {verdict} and {state}"
