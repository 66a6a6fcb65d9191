"""The rulesets that are judged on real data: what they may read, and that the pages' figures come out again."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import benchmarks
from benchmarks.rulesets.data import AMLGENTEX_BANNED, RULESETS, Trial, read_trial, transfers
from benchmarks.rulesets.trials import Trials
from fivefold.domain.errors import InvalidRulesetError
from fivefold.features.schema import DATE, USER_ID
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.governance.validate.labels import refuse_leaks
from fivefold.risk.language.reading import read_ruleset
from tests.risk.linted import lint

DATA = Path(benchmarks.__file__).parent.parent.parent / "shared" / "data"
NAMES = ("amlgentex", "berka")
FIRST_SPLIT = {"amlgentex": 0.754, "berka": 0.788}
"""Gini of the first split in docs/results-rules.md."""


@pytest.fixture(params=NAMES)
def trial(request: pytest.FixtureRequest) -> Trial:
    if not (DATA / str(request.param)).is_dir():
        pytest.skip(f"the data set is not there: {DATA / str(request.param)}")
    return read_trial(str(request.param), DATA)


def rows(*made: tuple[str, str, str, int]) -> pl.DataFrame:
    columns = {
        USER_ID: [user for user, _, _, _ in made],
        "counterparty_id": [other for _, other, _, _ in made],
        "counterparty_kind": [kind for _, _, kind, _ in made],
        DATE: [datetime(2023, 1, day) for _, _, _, day in made],  # noqa: DTZ001 (as the file has them)
    }
    return pl.DataFrame(columns).with_columns(
        transaction_amount=1.0,
        transaction_currency=pl.lit("SEK"),
        transaction_state=pl.lit("COMPLETED"),
        user_balance=9.0,
    )


def test_transfers_between_customers_alone_are_kept_and_a_first_one_is_told_from_the_others() -> None:
    made = transfers(
        rows(
            ("a", "x", "account", 3),
            ("a", "x", "account", 1),
            ("a", "y", "external_sink", 1),
            ("a", "y", "account", 2),
            ("b", "x", "account", 4),
        )
    )
    assert made.select(USER_ID, "counterparty_id", "met_before").rows() == [
        ("a", "x", True),
        ("a", "x", False),
        ("a", "y", False),
        ("b", "x", False),
    ]
    assert not {"user_balance", "counterparty_kind"} & set(made.columns)


def test_what_gives_the_label_away_is_refused() -> None:
    text = (RULESETS / "amlgentex.yaml").read_text(encoding="utf-8")
    refuse_leaks(AnalysedRuleset(read_ruleset(text)), AMLGENTEX_BANNED)
    for banned in ("{count: transactions, over: 180 days}", "{min: user_balance, over: 180 days}"):
        changed = text.replace("input: {max: amount, over: 180 days}", f"input: {banned}")
        changed = changed.replace("met_before: flag}", "met_before: flag, user_balance: number}")
        with pytest.raises(InvalidRulesetError, match="is banned from this validation"):
            refuse_leaks(AnalysedRuleset(read_ruleset(changed)), AMLGENTEX_BANNED)


@pytest.mark.parametrize("name", ["amlgentex", "berka-loans"])
def test_the_rulesets_are_lint_clean_but_for_examples(name: str) -> None:
    found = lint(AnalysedRuleset(read_ruleset((RULESETS / f"{name}.yaml").read_text(encoding="utf-8"))))
    assert [finding.problem for finding in found] == ["has no examples, so nobody sees what it comes to"]


def test_portfolios_hold_nothing_else(trial: Trial) -> None:
    transactions = trial.judging.transactions
    assert isinstance(transactions, pl.DataFrame)
    if trial.name == "amlgentex":
        assert (len(transactions), trial.confirmed.sum(), len(trial.confirmed)) == (68_402, 541, 3_000)
        assert trial.judging.entities.columns == ["entity_id", "salary"]
        return
    assert (trial.confirmed.sum(), len(trial.confirmed)) == (76, 682)
    assert trial.judging.entities.columns == ["entity_id", "payments"]
    days = pl.read_parquet(DATA / "berka" / "loans.parquet").select(USER_ID, "loan_date")
    seen = transactions.join(days, on=USER_ID)
    assert (seen[DATE].dt.date() < seen["loan_date"]).all()
    assert set(transactions[USER_ID]) == set(days[USER_ID])


def test_tuning_does_not_see_what_comes_later(trial: Trial) -> None:
    """With every later transaction taken away, the inputs as of the moment of tuning are the same."""
    trials, transactions = Trials(trial, 1), trial.tuning.transactions
    assert isinstance(transactions, pl.DataFrame)
    days = pl.DataFrame({USER_ID: trial.tuning.entities["entity_id"], "at": trial.tuning_as_of})
    early = transactions.join(days, on=USER_ID).filter(pl.col(DATE).cast(pl.Int64) <= pl.col("at")).drop("at")
    assert (len(early) < len(transactions)) == (trial.name == "amlgentex")
    known = replace(trial.tuning, transactions=early)
    assert_frame_equal(assess(AnalysedRuleset(trials.shape), known, trial.tuning_as_of).inputs, trials.tuning.inputs)


@pytest.mark.full
def test_the_first_split_comes_out_again(trial: Trial) -> None:
    """The committed points are those of the first split; another machine may round one by a point."""
    trials = Trials(trial, 1)
    tuned, committed = trials.rulesets[0], read_ruleset(trial.ruleset.read_text(encoding="utf-8"))
    pairs = [
        (float(case.points or 0), float(again.points or 0))
        for rule, made in zip(committed.rules, tuned.rules, strict=True)
        for case, again in zip(rule.cases, made.cases, strict=True)
    ]
    assert np.abs(np.subtract(*zip(*pairs, strict=True))).max() <= 2
    split = trials.split(trials.judged[0], committed, 20)
    assert split.validation.ranking is not None
    assert split.validation.ranking.gini.estimate == pytest.approx(FIRST_SPLIT[trial.name], abs=0.005)
    assert split.validation.population.failed == 0
