"""`fivefold train --when`: the exit code and the last line say what happened, and nothing is left half done."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from filelock import FileLock

from fivefold.cli.value_model.scheduled import ScheduledOutcome
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ModelError, PromotionRefusedError, RegistryError
from fivefold.domain.money import ecb_rates
from fivefold.domain.settings import Settings
from fivefold.models.registry import CHALLENGER, RATES_DIGEST_TAG, Registry
from fivefold.training.judging.due import DueVerdict
from fivefold.training.judging.gate import GateVerdict
from tests.cli.running import CONFIG, Done, Home, cells, refuse, run, succeed

THEN = "2024-10-02"
HOLDS = "due: {least_customers: 100, most_off_share: 9, most_coverage_distance: 0.9, most_gini_fall: 0.9}\n"


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fivefold.training.register.write_pictures", lambda *_: [])


@pytest.fixture
def scores(home: Home, tmp_path: Path) -> Path:
    path = tmp_path / "scores.parquet"
    succeed(home.var, "score", home.rows, "-o", path, "--as-of", THEN)
    return path


@pytest.fixture
def richer(home: Home, tmp_path: Path) -> Path:
    """The same customers, who move three times the money after the scores."""
    after = pl.col("transaction_date").dt.epoch("us") > parse_moment(THEN)
    columns = ("transaction_amount", "user_balance")
    path = tmp_path / "richer.parquet"
    home.table.with_columns(
        pl.when(after).then(pl.col(name) * 3).otherwise(pl.col(name)).alias(name) for name in columns
    ).write_parquet(path)
    return path


def configured(tmp_path: Path, due: str = HOLDS) -> Path:
    path = tmp_path / "scheduled.yaml"
    path.write_text(CONFIG + due)
    return path


def said(done: Done) -> dict[str, Any]:
    """Read the last line, and compare it with the exit code."""
    line: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    assert line["exit_code"] == done.code, done
    assert ScheduledOutcome[line["outcome"].upper()] == done.code
    return line


def versions(var: Path) -> dict[str, str]:
    """Give the alias of each version."""
    rows = cells(succeed(var, "models", columns=200), "fivefold-value")
    return {row[0]: row[1] if row[1] in {"champion", "challenger"} else "" for row in rows}


def test_a_champion_that_holds_is_left_alone(registry: Path, home: Home, scores: Path, tmp_path: Path) -> None:
    options = ("--data", home.rows, "--config", configured(tmp_path), "--when", "due", "--scores", scores)
    done = run(registry, "train", *options)
    line = said(done)
    assert (done.code, line["outcome"], line["due"]) == (0, "nothing_due", [])
    assert versions(registry) == {"1": "champion", "2": "challenger"}


def test_scores_from_before_a_recalibration_say_if_the_champion_is_due(
    registry: Path, home: Home, scores: Path, tmp_path: Path
) -> None:
    times = pl.when(pl.col("user_id").rank("dense") % 2 == 0).then(10.0).otherwise(1.0)
    columns = ("transaction_amount", "user_balance")
    home.table.with_columns(pl.col(name) * times for name in columns).write_parquet(tmp_path / "other.parquet")
    succeed(registry, "recalibrate", "--data", tmp_path / "other.parquet")
    promoted = succeed(registry, "promote", 3, "--force", "--reason", "the curve of other customers")
    assert promoted.startswith("Version 3 is the champion now")
    options = ("--data", home.rows, "--config", configured(tmp_path), "--when", "due", "--scores", scores)
    line = said(run(registry, "train", *options))
    assert line["outcome"] == "nothing_due"
    assert "it holds: version 1, which has the same trees: " in line["text"]


def test_scores_of_what_the_champion_learnt_from_do_not_say_that_it_holds(
    registry: Path, home: Home, tmp_path: Path
) -> None:
    known = tmp_path / "known.parquet"
    succeed(registry, "score", home.rows, "-o", known, "--as-of", "2024-10-01")
    options = ("--data", home.rows, "--config", configured(tmp_path), "--when", "due", "--scores", known)
    done = run(registry, "train", *options)
    assert said(done)["outcome"] == "not_enough_data"
    assert "it learnt from what came until then" in said(done)["text"]
    assert f"{len(pl.read_parquet(known))} predictions by version 1 are as of moments before {THEN}" in done.err
    assert len(versions(registry)) == 2


def test_too_few_customers_say_nothing(registry: Path, home: Home, scores: Path, tmp_path: Path) -> None:
    config = configured(tmp_path, "")
    done = run(registry, "train", "--data", home.rows, "--config", config, "--when", "due", "--scores", scores)
    assert done.code == ScheduledOutcome.NOT_ENOUGH_DATA
    line = said(done)
    assert "below 500 chance alone moves the figures" in line["text"]
    assert line["due"] == [], "it is not known"
    assert len(versions(registry)) == 2


def test_a_champion_that_is_due_is_trained_once(registry: Path, scores: Path, richer: Path, tmp_path: Path) -> None:
    bounds = "due: {least_customers: 100, most_off_share: 0.2}\n"
    options = ("--data", richer, "--config", configured(tmp_path, bounds), "--when", "due", "--scores", scores)
    done = run(registry, "train", *options)
    line = said(done)
    assert done.code in {ScheduledOutcome.PASSED, ScheduledOutcome.REFUSED}
    assert line["version"] == 3
    assert any("realised money is" in reason for reason in line["due"])
    assert line["promoted"] == (versions(registry)["3"] == "champion") == (done.code == ScheduledOutcome.PASSED)
    assert ("Not promoted: version 3 is the challenger" in done.out) == (done.code == ScheduledOutcome.REFUSED)
    if done.code == ScheduledOutcome.REFUSED:  # so the champion is due still, and the data are the same
        assert run(registry, "train", *options).code == ScheduledOutcome.SAME_DATA
    assert len(versions(registry)) == 3


@pytest.mark.parametrize("order", ["as they were", "another"])
def test_the_same_data_are_not_learnt_from_twice(registry: Path, home: Home, tmp_path: Path, order: str) -> None:
    rows = home.rows
    if order == "another":  # as an export without an order has them
        rows = tmp_path / "shuffled.parquet"
        home.table.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(rows)
    done = run(registry, "train", "--data", rows, "--config", home.config, "--when", "always")
    assert done.code == ScheduledOutcome.SAME_DATA
    assert said(done)["version"] == 2
    assert "was learnt from these data already" in said(done)["text"]
    assert versions(registry) == {"1": "champion", "2": "challenger"}


@pytest.mark.full
def test_corrected_rates_make_other_data(registry: Path, home: Home, tmp_path: Path) -> None:
    codes = sorted(set(home.table["transaction_currency"]) - {"EUR"})
    usual = "".join(f"{code},2024-01-01,{ecb_rates('EUR', date(2024, 1, 1)).per_unit(code)}\n" for code in codes)
    rates, config = tmp_path / "rates.csv", tmp_path / "rates.yaml"
    config.write_text(f"{CONFIG}rates: {rates}\n")

    def night(more: str) -> tuple[int, Any]:
        rates.write_text(f"currency,date,rate\n{usual}{more}")
        done = run(registry, "train", "--data", home.rows, "--config", config, "--when", "always")
        return done.code, said(done)["version"]

    trained = {ScheduledOutcome.PASSED, ScheduledOutcome.REFUSED}
    known = Registry(Settings(var=registry), "fivefold-value")
    for number in (1, 2):
        known.client.delete_model_version_tag(known.name, str(number), RATES_DIGEST_TAG)
    assert night("") == (ScheduledOutcome.SAME_DATA, 2), "of what an earlier release registered it is not known"
    known.client.set_model_version_tag(known.name, "1", RATES_DIGEST_TAG, "another")
    known.client.set_model_version_tag(known.name, "2", RATES_DIGEST_TAG, "another")
    code, version = night("")
    assert (code in trained, version) == (True, 3)
    assert night("") == (ScheduledOutcome.SAME_DATA, 3)
    assert night(f"{codes[0]},2025-06-01,1.0\n") == (ScheduledOutcome.SAME_DATA, 3), "of a day after the data"
    assert night(f"{codes[0]},2024-12-30,1.0\n") == (ScheduledOutcome.SAME_DATA, 3), "it had not come yet"
    usual = usual.replace(f"{codes[0]},2024-01-01,", f"{codes[0]},2024-01-01,1")
    code, version = night("")
    assert (code in trained, version) == (True, 4)


@pytest.mark.full
def test_the_same_data_without_balances_are_not_learnt_from_twice(registry: Path, home: Home, tmp_path: Path) -> None:
    """Without them a run has other settings than those that were given."""
    home.table.drop("user_balance").write_parquet(tmp_path / "bare.parquet")
    options = ("--data", tmp_path / "bare.parquet", "--config", home.config, "--when", "always")
    assert run(registry, "train", *options).code in {ScheduledOutcome.PASSED, ScheduledOutcome.REFUSED}
    assert run(registry, "train", *options).code == ScheduledOutcome.SAME_DATA
    assert len(versions(registry)) == 3


def test_a_champion_that_cannot_be_loaded_is_due(
    registry: Path, home: Home, scores: Path, richer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ModelError("its files are not there")

    monkeypatch.setattr(Registry, "load", broken)
    options = ("--data", richer, "--config", configured(tmp_path), "--when", "due", "--scores", scores)
    line = said(run(registry, "train", *options))
    assert line["due"] == ["the champion, version 1, cannot be loaded: its files are not there"]
    assert line["version"] == 3


def test_files_that_are_away_for_a_moment_begin_no_training(
    registry: Path, home: Home, scores: Path, richer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise RegistryError("the store of files does not answer")

    monkeypatch.setattr(Registry, "load", away)
    options = ("--data", richer, "--config", configured(tmp_path), "--when", "due", "--scores", scores)
    done = run(registry, "train", *options)
    assert (done.code, "the store of files does not answer" in done.err) == (2, True)
    assert len(versions(registry)) == 2


@pytest.mark.full
def test_a_version_that_passed_and_is_not_promoted_is_named(
    registry: Path, home: Home, richer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another person promoted another version meanwhile."""

    def refuse(*_: Any) -> None:
        raise PromotionRefusedError("another version is the champion now")

    passes = GateVerdict(promote=True, comparable=True, reasons=("it is better",))
    monkeypatch.setattr("fivefold.training.retrain.gate_verdict", lambda *_, **__: passes)
    monkeypatch.setattr("fivefold.usecases.changes.promotions.promote_where_one_may", refuse)
    done = run(registry, "train", "--data", richer, "--config", home.config, "--when", "always")
    line = said(done)
    assert (done.code, line["version"], line["promoted"]) == (ScheduledOutcome.PASSED, 3, False)
    assert "another version is the champion now" in line["text"]
    assert "Registered as fivefold-value version 3" in done.out
    assert "Not promoted: another version is the champion now" in done.out


def test_the_second_of_two_at_once_ends(registry: Path, home: Home) -> None:
    options = ("--data", home.rows, "--config", home.config, "--when", "always")
    with FileLock(registry / "train-fivefold-value.lock"):
        done = run(registry, "train", *options)
        assert done.code == ScheduledOutcome.ANOTHER_RUNS
        assert "under way" in said(done)["text"]
    assert run(registry, "train", *options).code == ScheduledOutcome.SAME_DATA


def test_its_lock_that_cannot_be_written_is_named_with_the_variable(home: Home, tmp_path: Path) -> None:
    (tmp_path / "train-fivefold-value.lock").mkdir()
    done = run(tmp_path, "train", "--data", home.rows, "--config", home.config, "--when", "always")
    assert done.code == 2
    assert "train-fivefold-value.lock cannot be made (Is a directory); FIVEFOLD_VAR must name" in done.err


@pytest.mark.full
def test_a_run_that_dies_before_its_version_has_an_alias_is_finished_by_the_next(
    registry: Path, richer: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--data", richer, "--config", home.config, "--when", "always")
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "set_alias", lambda *_: (_ for _ in ()).throw(SystemExit(137)))
        assert run(registry, "train", *options).code == 137
    assert versions(registry) == {"1": "champion", "2": "challenger", "3": ""}
    done = run(registry, "train", *options)
    assert (done.code, said(done)["version"]) == (ScheduledOutcome.REFUSED, 3)
    assert versions(registry) == {"1": "champion", "2": "", "3": CHALLENGER}
    assert run(registry, "train", *options).code == ScheduledOutcome.SAME_DATA


def test_a_run_that_dies_before_it_registers_leaves_nothing_and_is_repeated(
    registry: Path, richer: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--data", richer, "--config", home.config, "--when", "always")
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "add", lambda *_: (_ for _ in ()).throw(SystemExit(137)))
        assert run(registry, "train", *options).code == 137
    assert versions(registry) == {"1": "champion", "2": "challenger"}
    done = run(registry, "train", *options)
    assert (done.code in {ScheduledOutcome.PASSED, ScheduledOutcome.REFUSED}, said(done)["version"]) == (True, 3)


def test_data_whose_refit_was_refused_are_not_judged_again_until_there_are_later_ones(
    registry: Path, home: Home, richer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three nights: the refit is refused, the data are the same, the data are later ones."""

    def refuse(*_: Any) -> None:
        raise PromotionRefusedError("the refitted model is too far from the judged one")

    def judged() -> list[str]:
        known = Registry(Settings(var=registry), "fivefold-value")
        runs = known.client.search_runs([known.experiment(known.name)])
        return [run.data.tags["data_digest"] for run in runs if "test_as_of" in run.data.tags]

    passes = GateVerdict(promote=True, comparable=True, reasons=("it is better",))
    monkeypatch.setattr("fivefold.training.retrain.gate_verdict", lambda *_, **__: passes)
    before, later = len(judged()), tmp_path / "later.parquet"
    home.table.with_columns(pl.col("transaction_amount") * 2).write_parquet(later)

    def night(data: Path) -> tuple[Done, dict[str, Any]]:
        done = run(registry, "train", "--data", data, "--config", home.config, "--when", "always", "--refit")
        return done, said(done)

    with monkeypatch.context() as patch:
        patch.setattr("fivefold.training.retrain.refit", refuse)
        first, line = night(richer)
        assert (first.code, line["version"]) == (ScheduledOutcome.REFUSED, None)
        assert line["text"].endswith("judged on. Train without a refit, or allow more")
        assert len(judged()) == before + 1
        second, line = night(richer)
        assert (second.code, line["version"], line["promoted"]) == (ScheduledOutcome.SAME_DATA, None, False)
        assert line["text"] == (
            "an earlier run on these data was refused, and has no version: the refitted model is too far from the "
            "judged one. Nothing was learnt: give later data, or train without --when"
        ), "without the advice to the run that was refused"
        assert len(judged()) == before + 1
    third, line = night(later)
    assert (third.code, line["version"]) == (ScheduledOutcome.PASSED, 3)
    assert len(judged()) == before + 2
    assert len(set(judged())) == 3
    assert night(richer)[0].code == ScheduledOutcome.SAME_DATA


@pytest.mark.full
def test_a_refusal_of_other_settings_or_another_release_is_no_refusal_of_this_run(
    registry: Path, home: Home, richer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PromotionRefusedError("the refitted model is too far from the judged one")

    passes = GateVerdict(promote=True, comparable=True, reasons=("it is better",))
    monkeypatch.setattr("fivefold.training.retrain.gate_verdict", lambda *_, **__: passes)
    monkeypatch.setattr("fivefold.training.retrain.refit", refuse)
    options = ("--data", richer, "--config", home.config, "--when", "always", "--refit")
    assert run(registry, "train", *options).code == ScheduledOutcome.REFUSED
    with monkeypatch.context() as patch:
        patch.setattr("fivefold.domain.provenance.release", lambda: "9.9.9")
        assert run(registry, "train", *options).code == ScheduledOutcome.REFUSED
    assert run(registry, "train", *options).code == ScheduledOutcome.SAME_DATA
    # A person who trains without a clock is not held up.
    assert run(registry, "train", "--data", richer, "--config", home.config).code == 0


@pytest.mark.parametrize(("state", "code"), [("holds", 0), ("waiting", 0), ("unknown", 12), ("due", 14)])
def test_the_platform_says_if_the_champion_is_due(
    state: str, code: int, registry: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def judged(_: Any, model: str, hashes: dict[int, str]) -> DueVerdict:
        ((version, content_hash),) = hashes.items()
        assert content_hash == Registry(Settings(registry), model).load(version).content_hash
        asked.append((model, version))
        return DueVerdict(state, ("bank, customer: it says so",))  # type: ignore[arg-type]  # of the states

    monkeypatch.setattr("fivefold.usecases.monitoring.realised.read.verdict_of_all", judged)
    done = run(registry, "train", "--data", home.rows, "--config", home.config, "--when", "due", "--platform")
    line, reason = said(done), "bank, customer: it says so"
    assert (done.code, line["due"]) == (code, [reason] if state == "due" else [])
    assert (reason in line["text"]) == (state != "due")
    assert asked == [("fivefold-value", 1)]


def test_a_platform_without_predictions_says_nothing(registry: Path, home: Home) -> None:
    done = run(registry, "train", "--data", home.rows, "--config", home.config, "--when", "due", "--platform")
    assert done.code == ScheduledOutcome.NOT_ENOUGH_DATA
    assert "the workers of the platform kept no predictions by this version 1" in said(done)["text"]


def test_every_exit_code_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "realised.md").read_text(encoding="utf-8")
    documented = {int(code): name for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)}
    assert documented == {int(outcome): outcome.name.lower() for outcome in ScheduledOutcome}


def test_scores_need_not_be_there_before_there_is_a_champion(
    registry: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--data", home.rows, "--when", "due", "--scores", tmp_path / "none.parquet", "--preset", "odd")
    assert "none.parquet" in refuse(registry, "train", *options)
    assert "odd" in refuse(tmp_path / "new", "train", *options)
    monkeypatch.setattr(Settings, "embedded", property(lambda _: False))  # as where MLFLOW_TRACKING_URI names a server
    assert "odd" in refuse(tmp_path / "new", "train", *options)
