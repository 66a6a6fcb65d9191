"""BG/NBD × Gamma-Gamma: what is counted of a history, and that a fit which fails says so."""

import shlex
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import benchmarks
from benchmarks.yardstick.purchases import environment, predict, summarise
from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.features.reading.sources import read_histories
from fivefold.training.config import ValueSettings
from tests.depth import examples
from tests.features.oracle.strategies import AS_OFS, RATES, iso, ledgers, row

ENVIRONMENT = Path(benchmarks.__file__).parent.parent / "build" / "purchases"
SHOP = ValueSettings(deposit_fee=1, withdrawal_fee=0, yearly_margin=0)
AS_OF = AS_OFS[0]


def summary_of(*purchases: tuple[str, float, float], value: ValueSettings = SHOP, as_of: int = AS_OF) -> pl.DataFrame:
    """Sum up purchases: who, how many days before the as-of, how much."""
    rows = [
        row(user_id=user, transaction_date=iso(AS_OF - int(days * DAY_US)), transaction_amount=amount)
        for user, days, amount in purchases
    ]
    return summarise(read_histories(rows, RATES), as_of, value)


def test_purchases_are_days_after_the_first_and_money_is_of_these() -> None:
    found = summary_of(("ann", 70, 100.0), ("ann", 35, 10.0), ("ann", 35, 20.0), ("ann", 7, 6.0), ("bob", 14, 5.0))
    assert found.rows() == [(2, 9.0, 10.0, 18.0), (0, 0.0, 2.0, None)]


def test_what_comes_after_the_as_of_changes_nothing() -> None:
    before = (("ann", 70, 100.0), ("ann", 7, 6.0), ("ann", 0, 8.0))
    assert summary_of(*before, ("ann", -1e-9, 900.0), ("ann", -30, 9.0)).rows() == summary_of(*before).rows()


def test_who_bought_nothing_yet_is_unknown_and_not_zero() -> None:
    found = summary_of(("ann", 70, -5.0), ("bob", -3, 7.0))
    assert found.rows() == [(None, None, None, None)] * 2


def test_a_withdrawal_is_a_purchase_where_the_value_has_a_share_of_it() -> None:
    value = ValueSettings(deposit_fee=0, withdrawal_fee=0.5, yearly_margin=0)
    found = summary_of(("ann", 21, -5.0), ("ann", 14, 7.0), ("ann", 7, -8.0), value=value)
    assert found.rows() == [(1, 2.0, 3.0, 4.0)]


@settings(max_examples=examples(60))
@given(st.sampled_from(AS_OFS).flatmap(lambda as_of: st.tuples(st.just(as_of), ledgers(as_of))))
def test_a_summary_is_one_that_the_models_take(drawn: tuple[int, list[dict[str, object]]]) -> None:
    as_of, rows = drawn
    histories = read_histories(rows, RATES)
    found = summarise(histories, as_of, SHOP)
    assert len(found) == histories.customers
    known = found.drop_nulls("frequency")
    assert (known["recency"] <= known["age"]).all()
    assert ((known["frequency"] == 0) == (known["recency"] == 0)).all()
    assert (known["money"].is_null() == (known["frequency"] == 0)).all()


def python_that(path: Path, code: str) -> Path:
    """Write a program that stands in for the Python of the environment."""
    program = path / "bin" / "python"
    program.parent.mkdir()
    script = path / "script.py"
    script.write_text(f"import json, sys\nfrom pathlib import Path\n{code}\n", encoding="utf-8")
    command = shlex.join([sys.executable, str(script)])  # a first line of `#!` takes no path with a space
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program


BOUGHT = (("ann", 70, 100.0), ("ann", 7, 6.0), ("bob", 70, 5.0), ("bob", 3, 5.0), ("cid", 9, -5.0))


def test_customers_without_a_purchase_are_not_sent_and_are_predicted_nothing(tmp_path: Path) -> None:
    program = python_that(
        tmp_path,
        "lines = Path(sys.argv[2]).read_text().splitlines()\n"
        "Path(sys.argv[3]).write_text('purchases,money\\n' + ''.join(f'1,{n}\\n' for n in range(1, len(lines))))\n"
        "Path(sys.argv[4]).write_text(json.dumps({'reasons': ['it still rises'], 'r': float(sys.argv[6])}))",
    )
    found = predict(summary_of(*BOUGHT), 91, program)
    assert found.money.tolist() == [1.0, 2.0, 0.0]
    assert found.reasons == ("it still rises",)
    assert found.report == {"r": 13.0}


def test_a_script_that_fails_is_a_reason(tmp_path: Path) -> None:
    found = predict(summary_of(*BOUGHT), 91, python_that(tmp_path, "sys.exit('no optimum')"))
    assert found.reasons == ("purchases_fit.py ended with 1: no optimum",)


def test_nothing_is_fitted_where_nobody_came_back(tmp_path: Path) -> None:
    found = predict(summary_of(("ann", 7, 6.0), ("bob", 8, 6.0)), 91, tmp_path / "none")
    assert found.reasons == ("0 of 2 customers bought a second time",)


def test_an_environment_that_cannot_be_made_says_where_and_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cannot be made in .*file"):
        environment(tmp_path / "file" / "folder")


@pytest.mark.full
@pytest.mark.skipif(not (ENVIRONMENT / "complete.txt").is_file(), reason="pymc-marketing is not there")
def test_the_models_find_what_customers_were_drawn_from() -> None:
    """Drawn as the papers say; another currency changes nothing but the unit."""
    random = np.random.default_rng(7)
    rate, drop = random.gamma(0.8, 1 / 6.0, 2_500), random.beta(0.9, 2.5, 2_500)
    lines = []
    for number in range(2_500):
        age, at, times = float(random.integers(20, 60)), 0.0, []
        while random.random() > (drop[number] if times else 0.0) or not times:
            at += random.exponential(1 / rate[number])
            if at > age:
                break
            times.append(at)
        often = max(len(times), 1)
        mean = random.gamma(6.0 * often, 1 / (random.gamma(4.0, 1 / 15.0) * often)) if times else None
        lines.append((len(times), times[-1] if times else 0.0, age, mean))
    customers = pl.DataFrame(lines, ["frequency", "recency", "age", "money"], orient="row")
    python = environment(ENVIRONMENT)
    found = predict(customers, 91, python)
    assert found.reasons == ()
    assert found.report["r"] == pytest.approx(0.8, rel=0.2)
    assert found.report["alpha"] == pytest.approx(6.0, rel=0.2)
    other = predict(customers.with_columns(pl.col("money") * 25), 91, python)
    assert other.money == pytest.approx(found.money * 25, rel=1e-4)
