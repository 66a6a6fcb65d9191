"""Every indicator against an independent oracle, and what the catalogue promises about itself."""

import ast
import inspect
from math import isclose, isnan
from statistics import pstdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.features.catalogue.indicator import FAMILIES, UNITS
from fivefold.features.indicator_matrix import indicator_matrix, snapshots
from fivefold.features.indicators import CATALOGUE
from fivefold.features.reading.sources import read_histories
from tests.features.oracle.events import History, history_of
from tests.features.oracle.indicators import DAY, REFERENCES
from tests.features.oracle.strategies import AS_OFS, RATES, Row, iso, ledgers, row
from tests.features.oracle.walks import interpreted

AS_OF = AS_OFS[1]


def computed(rows: list[Row], as_of: int) -> dict[str, dict[str, float]]:
    """Indicators by customer and name."""
    histories = read_histories(rows, RATES)
    values, _ = indicator_matrix(histories, as_of)
    users = histories.user_ids.to_pylist()
    return {
        user: dict(zip(CATALOGUE.names, found, strict=True)) for user, found in zip(users, values.tolist(), strict=True)
    }


def tolerance(unit: str, history: History) -> float:
    """What rounding may do where large numbers cancel: a billionth of what went in."""
    money = max((max(abs(event.amount), abs(event.balance)) for event in history), default=0.0)
    if unit == "money per day":
        spread_days = pstdev([event.time / DAY for event in history]) if history else 0.0
        return 1e-9 * money / spread_days if spread_days else 0.0
    return 1e-9 * {"money": money, "days": 1e-3}.get(unit, 0.0)


def assert_agree(history: History, as_of: int, found: dict[str, float]) -> None:
    for made in CATALOGUE.indicators:
        wanted = REFERENCES[made.name](history, as_of)
        got = found[made.name]
        both = isnan(got) and isnan(wanted)
        close = isclose(got, wanted, rel_tol=1e-9, abs_tol=tolerance(made.unit, history))
        assert both or close, f"{made.name} is {got!r}, the oracle says {wanted!r}"


def test_every_indicator_has_a_reference() -> None:
    """There may be references to spare, for windows that the catalogue has not."""
    assert set(CATALOGUE.names) <= set(REFERENCES)


@pytest.mark.parametrize("as_of", AS_OFS, ids=iso)
def test_agrees_with_the_oracle(as_of: int) -> None:
    @given(ledgers(as_of))
    def check(ledger: list[Row]) -> None:
        for user, found in computed(ledger, as_of).items():
            assert_agree(history_of(ledger, user, as_of, RATES), as_of, found)

    check()


@given(st.integers(2, 40), st.integers(1, 100 * DAY), st.data())
def test_agrees_with_the_oracle_on_a_regular_history(count: int, gap_us: int, data: st.DataObject) -> None:
    """Equal gaps of any length, from a microsecond on: where differences of times cancel most."""
    balances = data.draw(st.lists(st.integers(-(10**6), 10**6), min_size=count, max_size=count))
    ledger = [
        row(transaction_date=iso(AS_OF - back * gap_us), user_balance=balance / 100)
        for back, balance in enumerate(balances)
    ]
    assert_agree(history_of(ledger, "ann", AS_OF, RATES), AS_OF, computed(ledger, AS_OF)["ann"])


def test_agrees_with_the_oracle_on_a_history_that_reaches_into_every_window() -> None:
    """Every five days and some hours for two years: deposits and withdrawals; each tenth row fails or is pending."""
    ledger = [
        row(
            transaction_date=iso(AS_OF - DAY // 3 - back * (5 * DAY + 7 * DAY // 24)),
            transaction_amount=(100.0 + back) * (1 if back % 3 else -1),
            transaction_state=("FAILED", "PENDING")[back % 20 // 10] if back % 10 == 0 else "COMPLETED",
            transaction_currency=("EUR", "USD")[back % 4 // 3],
            user_balance=(back * 37 % 50 - 10) * 12.5,
        )
        for back in range(140)
    ]
    found = computed(ledger, AS_OF)["ann"]
    assert_agree(history_of(ledger, "ann", AS_OF, RATES), AS_OF, found)
    assert not [name for name, value in found.items() if isnan(value) or (value == 0.0 and name != "channel_web")]


def test_the_night_ends_at_six() -> None:
    midnight, six = (AS_OF // DAY - 5) * DAY, DAY // 4
    ledger = [row(transaction_date=iso(midnight + at)) for at in (0, six - 1, six, DAY - 1)]
    assert computed(ledger, AS_OF)["ann"]["night_share_365d"] == 0.5


def test_a_customer_without_a_row_by_then_has_the_declared_empty_values() -> None:
    values, seen = indicator_matrix(read_histories([row(transaction_date=iso(AS_OF + 1))], RATES), AS_OF)
    declared = np.array([made.empty for made in CATALOGUE.indicators])
    assert seen.tolist() == [0]
    assert (values[0].view(np.int64) == declared.view(np.int64)).all()


def test_an_empty_history_interpreted_has_the_declared_empty_values() -> None:
    histories = read_histories([row(transaction_date=iso(AS_OF + 1))], RATES)
    taken = snapshots(histories, np.array([AS_OF]), interpreted(CATALOGUE))
    declared = np.array([made.empty for made in CATALOGUE.indicators])
    assert (taken.values[0, 0].view(np.int64) == declared.view(np.int64)).all()


def test_the_oracle_agrees_on_empty_histories() -> None:
    for made in CATALOGUE.indicators:
        wanted = REFERENCES[made.name]([], AS_OF)
        assert (isnan(made.empty) and isnan(wanted)) or made.empty == wanted, made.name


def test_a_history_of_failures_counts_no_money_but_keeps_balances() -> None:
    days_back = (400, 300, 40, 3)
    ledger = [
        row(transaction_state=state, transaction_date=iso(AS_OF - back * DAY), user_balance=float(back))
        for back in days_back
        for state in ("FAILED", "rejected", "Cancelled", "EXPIRED", "REVERSED")
    ]
    found = computed(ledger, AS_OF)["ann"]
    assert_agree(history_of(ledger, "ann", AS_OF, RATES), AS_OF, found)
    money = [name for name in found if name.startswith(("deposit_", "withdrawal_", "net_flow"))]
    assert all(isnan(found[name]) or found[name] == 0.0 for name in money)
    assert found["failed_share_365d"] == 1.0
    assert found["failed_count_90d"] == 10.0
    assert found["balance_last"] == 3.0


def test_one_row_has_no_deviation_gap_or_slope() -> None:
    found = computed([row(transaction_date=iso(AS_OF))], AS_OF)["ann"]
    undefined = {name for name, value in found.items() if isnan(value)}
    assert {name for name in found if "gap" in name or "deviation" in name or "slope" in name} <= undefined
    assert found["event_recency"] == 0.0
    assert found["balance_held_30d"] == 120.5  # held for no time at all, but held
    assert found["active_day_share_all"] == 1.0


def test_a_balance_that_was_held_for_no_time_is_the_last_of_its_moment() -> None:
    ledger = [row(transaction_id=str(n), user_balance=float(n), transaction_date=iso(AS_OF)) for n in (3, 1, 2)]
    found = computed(ledger, AS_OF)["ann"]
    assert (found["balance_held_30d"], found["balance_last"], found["balance_min_90d"]) == (3.0, 3.0, 1.0)


def test_nothing_is_shown_as_minus_zero() -> None:
    """A customer who stopped withdrawing has a trend of 0, not of -0."""
    back = (100, 60)
    ledger = [row(transaction_amount=-5.0, transaction_date=iso(AS_OF - days * DAY)) for days in back]
    found = computed([*ledger, row(user_balance=-0.0, transaction_date=iso(AS_OF))], AS_OF)["ann"]
    assert [name for name, value in found.items() if value == 0.0 and str(value) == "-0.0"] == []


@given(st.data())
def test_a_zero_amount_is_an_event_that_moves_no_money(data: st.DataObject) -> None:
    ledger = data.draw(ledgers(AS_OF, identified=False))
    zero = row(transaction_amount=0.0, transaction_date=iso(AS_OF - DAY), transaction_currency="EUR")
    before = computed([*ledger, row(transaction_date=iso(AS_OF + 1))], AS_OF).get("ann")
    after = computed([*ledger, zero], AS_OF)["ann"]
    moved = [name for name in after if name.startswith(("deposit_", "withdrawal_", "net_flow", "failed_count"))]
    assert before is not None
    assert [repr(after[name]) for name in moved] == [repr(before[name]) for name in moved]
    assert after["event_recency"] <= 1.0


@pytest.mark.parametrize("made", CATALOGUE.indicators, ids=lambda made: made.name)
def test_each_declares_itself_in_plain_words(made: object) -> None:
    assert made.unit in UNITS
    assert made.family in FAMILIES
    assert made.meaning.endswith(".")
    assert "{" not in made.meaning + made.name
    assert made.label[0].isupper()
    assert len(made.label) <= 32
    assert "{" not in made.label
    assert made.name == made.name.lower()
    assert isnan(made.empty) or made.empty == 0.0


def test_no_two_have_the_same_label() -> None:
    assert len({made.label for made in CATALOGUE.indicators}) == len(CATALOGUE.indicators)


def test_every_family_of_the_list_is_there() -> None:
    assert {made.family for made in CATALOGUE.indicators} == set(FAMILIES)


def test_indicators_add_in_scalar_loops() -> None:
    """NumPy's sum and mean add in another order than a loop, and differ in the last bit when compiled."""
    forbidden = {"sum", "mean", "std", "var", "dot", "cumsum", "prod", "average", "nansum", "nanmean"}
    for module in CATALOGUE.modules:
        called = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)]
        names = {getattr(call.func, "attr", getattr(call.func, "id", "")) for call in called}
        assert not names & forbidden, module.__name__


def test_indicators_use_only_code_that_the_fingerprint_covers() -> None:
    """A helper in another module would change values without changing the fingerprint: put it in one of these."""
    covered = {module.__name__ for module in CATALOGUE.modules}
    no_values = {
        "fivefold.domain.clock",
        "fivefold.features.histories",
        "fivefold.features.catalogue.indicator",
    }  # DAY_US, types and the decorator
    for module in CATALOGUE.modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom) and node.module:
                ours = node.module.split(".")[0] == "fivefold"
                assert not ours or node.module in covered | no_values, f"{module.__name__} imports {node.module}"
            assert not isinstance(node, ast.Import) or {alias.name for alias in node.names} <= {"numpy"}


def test_a_day_is_what_the_fingerprint_takes_it_for() -> None:
    from fivefold.domain.clock import DAY_US

    assert DAY_US == DAY == 86_400_000_000
