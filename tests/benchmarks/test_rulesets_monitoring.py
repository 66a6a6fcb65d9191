"""The figures of `transaction-monitoring`: payments are mapped as they were made, and labels change no level."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import benchmarks
from benchmarks.rulesets.monitoring import LAST_YEAR, Payments, amlgentex, amlsim_run, amlsim_sample, assessed, judged
from fivefold.features.schema import AMOUNT, DATE, USER_ID
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.program import TOTAL
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset

DATA = Path(benchmarks.__file__).parent.parent.parent / "shared" / "data"
GATHERER = 60


@pytest.fixture
def sample(tmp_path: Path) -> Payments:
    """Give sixty accounts that pay the next one each week, and one that gathers from thirty and pays thirty."""
    folder = tmp_path / "amlsim" / "small"
    folder.mkdir(parents=True)
    rows = [(own, (own + 1) % GATHERER, 100 + own, 1 + 7 * week) for own in range(GATHERER) for week in range(12)]
    rows += [(payer, GATHERER, 90, 50) for payer in range(30)] + [(GATHERER, payee, 88, 52) for payee in range(30, 60)]
    lines = ["sourceNodeId,targetNodeId,value,time", *(",".join(map(str, row)) for row in rows)]
    (folder / "transactions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    nodes = [f"{node},{int(node == GATHERER)},500,-1" for node in range(GATHERER + 1)]
    (folder / "nodes.csv").write_text(
        "\n".join(["nodeid,isFraud,init_balance,fraudStep", *nodes]) + "\n", encoding="utf-8"
    )
    return amlsim_sample("small", tmp_path)


def test_a_payment_is_a_withdrawal_of_the_payer_and_a_deposit_of_the_payee(sample: Payments) -> None:
    rows = sample.portfolio.transactions
    assert rows is not None
    gathered = rows.filter(pl.col(USER_ID) == str(GATHERER)).group_by(pl.col(AMOUNT)).len().sort(AMOUNT)
    assert gathered.rows() == [(-88.0, 30), (90.0, 30)]
    assert rows[AMOUNT].sum() == 0
    assert str(rows[DATE].max()) == "2018-03-20 00:00:00"


def test_the_account_that_gathers_and_spreads_stands_above_everyone(sample: Payments) -> None:
    table = judged(sample)
    assert "| **the ruleset** | 1.000 " in table
    assert all(f"| `{rule.id}` alone | " in table for rule in bundled_ruleset("transaction-monitoring").rules)


def test_labels_change_no_total(sample: Payments) -> None:
    ruleset = AnalysedRuleset(bundled_ruleset("transaction-monitoring"))
    other = replace(sample, confirmed=np.logical_not(sample.confirmed))
    first, second = (assessed(ruleset, each).outcomes[TOTAL] for each in (sample, other))
    assert first.to_list() == second.to_list()


def test_reports_of_the_year_are_confirmed_and_accounts_at_rest_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "amlsim" / "run"
    folder.mkdir(parents=True)
    tables = {
        "accounts": ["acct_id", "3", "1", "2", "4"],
        "sar_accounts": ["ACCOUNT_ID,EVENT_DATE,IS_SAR", "1,20180102,YES", "2,20170101,YES", "4,20180102,NO"],
        "transactions": [
            "orig_acct,bene_acct,base_amt,tran_timestamp",
            "2,3,5.0,2017-01-01T00:00:00Z",
            "1,4,7.5,2018-12-21T00:00:00Z",
        ],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    everyone = amlsim_run("run", LAST_YEAR, tmp_path)
    assert everyone.confirmed.tolist() == [True, False, False, False]
    active = amlsim_run("run", LAST_YEAR, tmp_path, active=True)
    assert active.portfolio.entities["entity_id"].to_list() == ["1", "4"]
    assert active.confirmed.tolist() == [True, False]
    assert active.as_of == everyone.as_of


@pytest.mark.full
def test_the_figure_of_the_page_comes_out_again() -> None:
    if not (DATA / "amlgentex").is_dir():
        pytest.skip(f"the data set is not there: {DATA / 'amlgentex'}")
    assert "| **the ruleset** | 0.763 (0.730 to 0.798) |" in judged(amlgentex(DATA))
