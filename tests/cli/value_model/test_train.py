"""`fivefold train`: what a run says, and what it is asked."""

import re
import weakref
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fivefold.domain.errors import NotEnoughDataError
from tests.cli.running import Home, cells, refuse, run, succeed
from tests.models.making import empty_database


def test_a_tie_keeps_the_champion_and_says_so(home: Home) -> None:
    out = home.retrained.out
    metrics = {row[0]: row[1:] for row in cells(out, _title(out))}
    assert list(metrics) == ["model", "champion", "persistence", "rfm"]
    assert metrics["model"] == metrics["champion"]
    assert len(metrics["persistence"]) == len(metrics["model"]) - 1, "of a baseline it is not judged"
    flat = " ".join(out.split())
    assert re.search(r"Registered as fivefold-value version 2; model hash [0-9a-f]{12}\. The gate: ", flat)
    assert re.search(
        r"normalised Gini (0\.\d{4}) does not beat champion \1: \+0\.0000, at least \+0\.0000 with 93.33 % confidence",
        flat,
    )
    assert f"predicted money is off by {metrics['model'][-1]} of the realised" in flat
    assert flat.endswith(
        "Not promoted: version 2 is the challenger, and the champion before it still serves. "
        "To overrule the gate: fivefold promote 2 --force --reason TEXT"
    )
    assert home.retrained.err == ""


def test_segments_are_told_with_what_they_were_worth(home: Home) -> None:
    rows = cells(home.retrained.out, "What each segment was worth in that window")
    assert [row[0] for row in rows] == ["low", "medium", "high", "top"]
    assert [float(row[2].replace(",", "")) for row in rows] == sorted(float(row[2].replace(",", "")) for row in rows)
    assert sum(float(row[3].rstrip("%")) for row in rows) == pytest.approx(100, abs=0.3)
    assert f"On {sum(int(row[1]) for row in rows)} customers of a window" in home.retrained.out


def test_the_same_rows_and_configuration_give_the_same_model(home: Home) -> None:
    hashes = [re.search(r"model hash ([0-9a-f]{12})", done.out) for done in (home.demo, home.retrained)]
    assert hashes[0]
    assert hashes[1]
    assert hashes[0][1] == hashes[1][1]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run would be asked, instead of the run."""
    found: dict[str, Any] = {}

    def retrain(
        source: Path, config: Any, registry: Any, *, tune_trials: int, preset: str, refit_after: bool, show: Any,
        show_choice: Any, promote_by: Any, parts: Any,
    ) -> None:  # fmt: skip
        found.update(source=source, config=config, name=registry.name, trials=tune_trials, preset=preset)
        found.update(refit=refit_after)
        raise NotEnoughDataError("asked enough")

    monkeypatch.setattr("fivefold.training.retrain.retrain", retrain)
    return found


def test_options_reach_the_run(home: Home, asked: dict[str, Any]) -> None:
    said = refuse(home.var, "train", "--data", home.rows, "--config", home.config, "--tune", 7, "--name", "my.model-2")
    assert said == "asked enough"
    assert asked["source"].path == home.rows
    assert asked["config"].trees.leaves == 7
    assert asked["trials"] == 7
    assert asked["name"] == asked["config"].name == "my.model-2"


@pytest.mark.parametrize(
    ("options", "preset"),
    [
        ([], "choose"),
        (["--preset", "recent"], "recent"),
        (["--config"], ""),
        (["--tune", "7"], ""),
        (["--tune", "7", "--preset", "choose"], "choose"),
        (["--tune", "7", "--preset", "recent"], "recent"),
        (["--tune", "0"], "choose"),
        (["--config", "--preset", "choose"], "choose"),
        (["--config", "--preset", "small-trees"], "small-trees"),
    ],
)
def test_a_run_without_a_configuration_chooses_a_preset(
    options: list[str], preset: str, home: Home, asked: dict[str, Any]
) -> None:
    given = [part for option in options for part in ([option, home.config] if option == "--config" else [option])]
    refuse(home.var, "train", "--data", home.rows, *given)
    assert asked["preset"] == preset


@pytest.mark.parametrize(("options", "origins"), [([], 1), (["--origins", "4"], 4), (["--origins", "1"], 1)])
def test_so_many_origins_are_judged_as_are_asked_for(
    options: list[str], origins: int, home: Home, asked: dict[str, Any]
) -> None:
    refuse(home.var, "train", "--data", home.rows, "--config", home.config, *options)
    assert asked["config"].origins == origins


def test_an_option_goes_before_the_origins_of_the_configuration(
    home: Home, asked: dict[str, Any], tmp_path: Path
) -> None:
    written = tmp_path / "origins.yaml"
    written.write_text("origins: 3\n", encoding="utf-8")
    refuse(home.var, "train", "--data", home.rows, "--config", written)
    assert asked["config"].origins == 3
    refuse(home.var, "train", "--data", home.rows, "--config", written, "--origins", 2)
    assert asked["config"].origins == 2


def test_the_origins_are_shown_with_means_and_differences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fivefold.cli.value_model.train import show_origins
    from tests.training.origins.test_rules import two_origins

    monkeypatch.setenv("COLUMNS", "200")
    show_origins(two_origins("champion 7 was trained inside the test window"))
    out = capsys.readouterr().out
    rows = cells(out, "At each origin: normalised Gini / top-decile capture")
    assert [row[0] for row in rows] == ["1972-09-27", "1972-12-26", "mean", "spread"]
    assert "At 1972-09-27 the champion does not count: champion 7 was trained inside the test window." in out
    assert "The champion's mean is of the other origins alone: compare it by the differences." in out
    less = cells(out, "The model minus each rival, with 95 % intervals")
    assert [row[:2] for row in less] == [
        [name, figure]
        for name in ("champion", "persistence", "rfm")
        for figure in ("normalised Gini", "top-decile capture")
    ]
    assert less[0][2] == "-"


@pytest.mark.parametrize("options", [[], ["--refit"]])
def test_a_refit_is_done_where_it_is_asked_for(options: list[str], home: Home, asked: dict[str, Any]) -> None:
    refuse(home.var, "train", "--data", home.rows, "--config", home.config, *options)
    assert asked["refit"] == bool(options)


def test_an_unknown_preset_is_refused_with_the_names_of_all(home: Home, asked: dict[str, Any]) -> None:
    said = refuse(home.var, "train", "--data", home.rows, "--preset", "big")
    assert said == (
        "there is no preset 'big'; there are standard, small-trees, many-zeros, long-history, recent, and `choose`"
    )
    assert not asked


def test_the_choice_is_shown_as_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from fivefold.cli.value_model.plan_output import show_choice
    from fivefold.training.config import TrainingConfig
    from fivefold.training.presets.choose import PresetChoice, PresetTrial
    from fivefold.training.presets.named import PRESETS

    monkeypatch.delenv("COLUMNS", raising=False)
    two = PRESETS[:2]
    trials = tuple(
        PresetTrial(
            preset=each.name,
            origin=number * 90 * 86_400_000_000,
            customers=100,
            rows=500,
            rounds=9,
            normalised_gini=0.5 + number / 10,
            top_decile_capture=0.6,
        )
        for number in (1, 2)
        for each in two
    )
    show_choice(PresetChoice("small-trees", TrainingConfig(), two, trials, "small-trees: ahead"))
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "Presets on earlier windows: normalised Gini / top-decile capture"
    assert rows[1].split("  ")[0] == "preset"
    assert "from 1970-04-01" in rows[1]
    assert "0.6000 / 0.6000" in rows[3]
    assert rows[3].startswith("small-trees *")
    assert rows[-1] == "Preset small-trees: ahead."
    mine = TrainingConfig.model_validate({"trees": {"leaves": 6}, "snapshots": {"most": 12}})
    show_choice(PresetChoice("small-trees", mine, two, trials, "small-trees: ahead"))
    said = [row.split("  ")[-1].strip() for row in capsys.readouterr().out.splitlines()[2:4]]
    same = "Tweedie power 1.5, the last 12 dates, 30 days apart"
    assert said == [f"6 leaves, learning rate {rate}, {same}" for rate in ("0.06", "0.03")]
    show_choice(PresetChoice("standard", TrainingConfig(), two, (), "too short"))
    assert capsys.readouterr().out == "Preset standard: too short.\n"


def test_a_verdict_that_is_piped_on_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fivefold.cli.value_model.scheduled import TrainingEnd
    from fivefold.cli.value_model.train import _show_end
    from fivefold.training.config import TrainingConfig

    monkeypatch.delenv("COLUMNS", raising=False)
    verdict = "normalised Gini 0.9600 beats persistence 0.9405; " * 9
    _show_end(TrainingEnd(version=2, promoted=True, passed=True, verdict=verdict, refusal=""), TrainingConfig())
    assert capsys.readouterr().out == f"The gate: {verdict}.\nVersion 2 is the champion now.\n"


def test_a_plan_with_other_dates_says_nothing_again(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    from fivefold.cli.value_model.plan_output import show_plan
    from fivefold.training.config import read_config
    from fivefold.training.data import TransactionSource
    from fivefold.training.plan import make_plan, with_settings, with_warnings

    config = read_config(home.config)
    portfolio = TransactionSource(home.rows, config.rate_table())
    first = with_warnings(make_plan(portfolio, config), ("the data lack a day",))
    fewer = config.snapshots.model_copy(update={"most": 2})
    second = with_warnings(
        with_settings(first, portfolio, config.model_copy(update={"snapshots": fewer})), ("a new one",)
    )
    second = with_warnings(second, ("the data lack a day",))
    show_plan(first)
    before = capsys.readouterr()
    assert before.out.startswith("Data: ")
    assert "the data lack a day" in before.err
    show_plan(second, first.warnings)
    after = capsys.readouterr()
    assert after.out.startswith("Trains as of 2 dates")
    assert "a new one" in after.err
    assert "the data lack a day" not in after.err


def test_the_rows_of_a_plan_are_not_kept_once_it_is_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many customers they are most of the memory, and nothing reads them once the trees are fitted."""
    from fivefold.cli.value_model import train
    from fivefold.training.config import TrainingConfig, read_config
    from fivefold.training.data import TransactionSource
    from fivefold.training.plan import make_plan

    are_kept = list[bool]()

    def retrain(_: object, config: TrainingConfig, *__: object, show: Any, **___: object) -> None:
        plan = make_plan(TransactionSource(home.rows, config.rate_table()), config)
        show(plan)
        rows = weakref.ref(plan.rows)
        del plan
        are_kept.append(rows() is not None)

    monkeypatch.setattr("fivefold.training.retrain.retrain", retrain)
    monkeypatch.setattr(train, "create_registry", lambda _: None)
    train.run(home.rows, read_config(home.config))
    assert are_kept == [False]


def test_without_a_file_the_simulated_customers_are_taken(home: Home, asked: dict[str, Any]) -> None:
    before = home.rows.stat().st_mtime_ns
    assert refuse(home.var, "train", "--config", home.config) == "asked enough"
    assert asked["source"].path == home.rows
    assert asked["name"] == "fivefold-value"
    assert asked["trials"] == 0
    assert home.rows.stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["a/b", "it's", "a:b", " "])
def test_a_name_that_no_model_can_have_is_refused_at_once(name: str, home: Home, asked: dict[str, Any]) -> None:
    said = refuse(home.var, "train", "--data", home.rows, "--name", name)
    assert said == f"the model's name is {name!r}; it may hold letters, digits and the signs . _ -"
    assert not asked


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("horizon: 3\ntrees: {leafs: 4}\n", ["is not a training configuration:", "trees.leafs: ", "horizon: "]),
        ("horizon_days: many\n", ["horizon_days: Input should be a valid integer"]),
        ("horizon_days: [3\n", ["is not YAML: "]),
        ("- a\n- b\n", ["is not a training configuration:", "the file: "]),
        ("test_as_of: soon\n", ["test_as_of"]),
        ("cut_points: [4, 3, 2]\n", ["three rising scores between 1 and 5"]),
        ("test_as_of: 2024-12-31\n", ["test as-of 2024-12-31 plus 90 days ends 2025-03-31, but the data cover 2023-"]),
        ("horizon_days: 3000\n", ["nothing can be learnt before the test window: the data cover 2023-"]),
    ],
)
def test_a_configuration_that_cannot_be_used_is_told_field_by_field(
    content: str, words: list[str], home: Home, tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    said = refuse(home.var, "train", "--data", home.rows, "--config", path)
    assert [word for word in words if word not in said] == []


def test_a_configuration_that_is_not_there_is_named(home: Home, tmp_path: Path) -> None:
    said = refuse(home.var, "train", "--config", tmp_path / "none.yaml")
    assert said == f"{tmp_path / 'none.yaml'} cannot be read: No such file or directory"


def test_nothing_is_registered_of_a_run_that_is_refused(registry: Path, home: Home, tmp_path: Path) -> None:
    home.table.drop("transaction_amount").write_parquet(tmp_path / "lacking.parquet")
    said = refuse(registry, "train", "--data", tmp_path / "lacking.parquet", "--config", home.config)
    assert "has no column transaction_amount" in said
    assert [row[0] for row in cells(succeed(registry, "models"), "fivefold-value")] == ["2", "1"]


def test_a_refusal_of_the_data_is_said_once(home: Home, tmp_path: Path) -> None:
    bare = home.table.drop("transaction_id", strict=False)
    pl.concat([bare, bare]).sort("user_id", maintain_order=True).write_parquet(tmp_path / "twice.parquet")
    done = run(home.var, "train", "--data", tmp_path / "twice.parquet", "--config", home.config)
    assert done.code == 2
    assert done.err.count("repeat another row of their customer") == 1


def _title(out: str) -> str:
    return next(line for line in out.splitlines() if line.endswith("customers of a window that the model never saw"))


def test_customer_date_and_amount_are_trained_scored_and_explained_and_the_lack_is_said(
    home: Home, tmp_path: Path
) -> None:
    """A newcomer has three columns under names of his own. A model that reads balances refuses the same file."""
    var, own = tmp_path / "var", tmp_path / "own.csv"
    var.mkdir()
    (var / "mlflow.db").write_bytes(empty_database())
    (var / "kernels").symlink_to(home.var / "kernels")
    rows = pl.read_parquet(home.rows).filter(pl.col("transaction_currency") == "EUR")
    rows.select(pl.col("user_id").alias("who"), date="transaction_date", amount="transaction_amount").write_csv(own)
    named = ["--map", "who=user_id", "--map", "date=transaction_date", "--map", "amount=transaction_amount"]
    out = " ".join(succeed(var, "train", "--data", own, "--config", home.config, *named).split())
    assert "Absent: no user_balance: trained without 16 balance indicators, and the yearly margin of 0.02" in out
    assert "Absent: no user_created: an account is taken as opened with its first row" in out
    lack = "trained without user_balance, user_category, user_created"
    model, as_of = ("--model", "models:/fivefold-value/1"), ("--as-of", "2025-01-01")
    assert lack in " ".join(succeed(var, "score", own, *named, *model, *as_of).split())
    explained = succeed(var, "explain", own, "--user", rows["user_id"][0], *named, *model, *as_of)
    assert lack in " ".join(explained.split())
    assert "balance" not in explained.partition("This model was")[0].lower()
    events = succeed(var, "explain", own, "--user", rows["user_id"][0], *named, *model, *as_of, "--what-if")
    assert "one more withdrawal" in events
    every = "user_balance, transaction_currency, user_category, user_created, transaction_state"
    assert f"Version 1 was trained without {every}." in " ".join(succeed(var, "models").split())
    assert "This model reads user_balance" in refuse(home.var, "score", own, *named, *as_of)
