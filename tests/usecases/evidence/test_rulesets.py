"""Evidence of rulesets: when each version decided, and backtests without anybody's values."""

from typing import Any

from fivefold.store.tables.rulesets import Activation
from fivefold.usecases.evidence.rulesets import InForce, in_force, without_problems
from fivefold.usecases.shared.inputs import Quarter

QUARTER = Quarter("2026Q4", 100, 200)


def changed(family: int, at_us: int, version: int | None) -> Activation:
    return Activation(family_id=family, at_us=at_us, version_id=version)


def forces(*rows: Activation) -> list[InForce]:
    return list(in_force(rows, QUARTER, lambda row: row.family_id))


def test_a_version_decides_until_another_one_does() -> None:
    assert forces(changed(1, 50, 1), changed(1, 150, 2)) == [InForce(1, 50, 150), InForce(2, 150, None)]


def test_what_ended_as_the_quarter_began_did_not_decide_in_it() -> None:
    assert forces(changed(1, 50, 1), changed(1, 100, 2)) == [InForce(2, 100, None)]
    assert forces(changed(1, 50, 1), changed(1, 101, 2)) == [InForce(1, 50, 101), InForce(2, 101, None)]


def test_what_begins_as_the_quarter_ends_does_not() -> None:
    assert forces(changed(1, 199, 1), changed(1, 200, 2)) == [InForce(1, 199, 200)]


def test_while_a_family_is_off_none_of_it_decides() -> None:
    rows = [changed(1, 50, 1), changed(1, 120, None), changed(1, 180, 1)]
    assert forces(*rows) == [InForce(1, 50, 120), InForce(1, 180, None)]


def test_families_go_their_own_ways() -> None:
    rows = [changed(1, 50, 1), changed(2, 110, 5), changed(1, 150, 2)]
    assert sorted(force.version_id for force in forces(*rows)) == [1, 2, 5]
    assert [force for force in forces(*rows) if force.version_id == 5] == [InForce(5, 110, None)]


def test_a_value_that_could_not_be_read_is_left_out() -> None:
    report: dict[str, Any] = {
        "customers": 2,
        "backtest": {
            "draft": {"failed": 1, "failures": [{"entity": "7", "rule": "age", "problem": "born 'in May'"}]},
            "movers": [{"entity": "8", "reasons": ["age: 3 → 5"], "steps": 1}],
            "present": None,
        },
    }
    found = without_problems(report)
    assert found["backtest"]["draft"]["failures"] == [{"entity": "7", "rule": "age"}]
    assert found["backtest"]["movers"] == report["backtest"]["movers"]
    assert "May" not in str(found)
    assert "May" in str(report), "which is left as it was"
