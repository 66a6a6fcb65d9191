"""Loops that the compiled walk makes one of: they give what their functions give, bit for bit."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.features.catalogue import kernel
from fivefold.features.catalogue.indicator import Catalogue, collect
from fivefold.features.catalogue.kernel import Walk, interpret_walk, walk_source
from fivefold.features.catalogue.statistics import fill_decay, rows_until
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import walk_over, warm
from fivefold.features.indicators import CATALOGUE
from fivefold.features.reading.sources import read_histories
from tests.depth import examples
from tests.features.modules import load
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row

MOMENTS = np.array([AS_OFS[1] - 365 * DAY_US, AS_OFS[1], AS_OFS[1] + 90 * DAY_US])
HEAD = """
from math import inf, nan
from numba.extending import register_jitable
from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import mean_of, ratio

_LEAST = 2

@register_jitable
def doubled(value):
    return 2.0 * value

"""
JOINED = {
    "a sum": """
    total = 0.0
    for i in range(first_row, len(amount)):
        total += amount[i]
    return total""",
    "a condition within a condition": """
    total = 0.0
    for k in range(len(amount)):
        if amount[k] > 0.0:
            if k > _LEAST:
                total -= doubled(amount[k])
            else:
                total = total + 1.0
    return total""",
    "a value on conditions": """
    count = 0
    for i in range(0, len(kind)):
        count += kind[i] == 1
    if count > 3:
        return nan
    if count == 0:
        return float(len(kind))
    return ratio(1.0, float(count))""",
    "no rows": """
    if len(time) == 0:
        return -1.0
    last = nan
    for i in range(first_row, len(time)):
        last = float(time[i] - time[0])
    return last""",
    "a helper's loop": """
    return 1.0 - mean_of(balance, first_row) / 2.0""",
}
CALLED = {
    "no loop": "    return float(len(time) - first_row)",
    "two loops": """
    total = 0.0
    for i in range(first_row, len(amount)):
        total += amount[i]
    for i in range(first_row, len(amount)):
        total -= balance[i]
    return total""",
    "a way out": """
    total = 0.0
    for i in range(first_row, len(amount)):
        if amount[i] < 0.0:
            break
        total += amount[i]
    return total""",
    "a value within": """
    for i in range(first_row, len(amount)):
        if amount[i] < 0.0:
            return amount[i]
    return 0.0""",
    "backwards": """
    total = 0.0
    for i in range(len(amount) - 1, -1, -1):
        total += amount[i]
    return total""",
    "over values": """
    total = 0.0
    for value in amount[first_row:]:
        total += value
    return total""",
    "over rows in another order": """
    total = 0.0
    for i in reversed(range(first_row, len(amount))):
        total += amount[i]
    return total""",
    "not to the last row": """
    total = 0.0
    for i in range(first_row, len(amount) - 1):
        total += amount[i]
    return total""",
    "a first row that may not be": """
    total = amount[0] if len(amount) else 0.0
    for i in range(first_row, len(amount)):
        total += amount[i]
    return total""",
    "another condition before": """
    if len(time) < 3:
        return nan
    total = 0.0
    for i in range(first_row, len(time)):
        total += ratio(1.0, float(len(time) - 2))
    return total""",
    "the row after the loop": """
    i = -1
    for i in range(first_row, len(time)):
        pass
    return float(i)""",
    "what it was given": """
    for i in range(first_row, len(time)):
        first_row += 1
    return float(first_row)""",
    "two helpers' loops": "    return mean_of(balance, first_row) - mean_of(amount, first_row)",
    "a loop in a loop": """
    total = 0.0
    for i in range(first_row, len(time)):
        for k in range(i):
            total += amount[k]
    return total""",
}
PARAMETERS = "time, amount, balance, kind, first_row"


def made(forms: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    text = HEAD
    for number, body in enumerate(forms.values()):
        text += f'@indicator("made{number}_{{window}}", unit="count", empty=0.0, windows=(30, None), family="volume")\n'
        text += f'def made{number}({PARAMETERS}):\n    """Made {{window}}."""\n{body.lstrip(chr(10))}\n\n'
    return collect(load(text, folder, monkeypatch))


def joined(catalogue: Catalogue) -> Walk:
    """Run the text that is compiled as plain Python."""
    loops = kernel._loops(catalogue)
    names = {"np": np, "rows_until": rows_until, "fill_decay": fill_decay, **kernel.functions_of(catalogue)}
    names |= {name: helper for loop in loops.values() for name, helper in loop.helpers.items()}
    exec(compile(walk_source(catalogue, loops), "<walk>", "exec"), names)
    return names["walk"]


def agree(catalogue: Catalogue, histories: Histories, wanted: Collection[str] | None = None) -> bool:
    one, other = (
        walk_over(walk, histories, MOMENTS, catalogue, wanted)
        for walk in (joined(catalogue), interpret_walk(catalogue))
    )
    return one.values.tobytes() == other.values.tobytes() and one.row_counts.tolist() == other.row_counts.tolist()


@settings(max_examples=examples(40))
@given(ledgers(AS_OFS[1]))
def test_joint_loops_are_their_functions(ledger: list[Row]) -> None:
    assert agree(CATALOGUE, read_histories([*ledger, row()], RATES))


@settings(max_examples=examples(40))
@given(ledgers(AS_OFS[1]), st.sets(st.sampled_from(CATALOGUE.names)))
@example([row()], set(CATALOGUE.names))
@example([row()], set(CATALOGUE.names) - {CATALOGUE.names[0]})
@example([row()], set())
def test_some_of_the_indicators_are_the_same_as_among_all(ledger: list[Row], wanted: set[str]) -> None:
    assert agree(CATALOGUE, read_histories([*ledger, row()], RATES), wanted)


@settings(max_examples=examples(40))
@given(ledgers(AS_OFS[1]), st.sets(st.sampled_from(CATALOGUE.names)))
def test_compiled_loops_are_their_functions(ledger: list[Row], wanted: set[str]) -> None:
    """As the compiled walk runs them: together where all are wanted, and one by one where some are."""
    histories = read_histories([*ledger, row()], RATES)
    for names in (None, wanted):
        one, other = (
            walk_over(walk, histories, MOMENTS, CATALOGUE, names) for walk in (warm(), interpret_walk(CATALOGUE))
        )
        assert one.values.tobytes() == other.values.tobytes()


@pytest.mark.parametrize("forms", [JOINED, CALLED], ids=["joined", "called"])
@settings(max_examples=examples(15))
@given(ledger=ledgers(AS_OFS[1]))
def test_any_form_is_its_function(
    forms: dict[str, str], ledger: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        catalogue = made(forms, tmp_path_factory.mktemp("forms"), patch)
        assert agree(catalogue, read_histories([*ledger, row()], RATES))


@pytest.mark.parametrize(("forms", "are_joined"), [(JOINED, True), (CALLED, False)], ids=["joined", "called"])
def test_forms_that_are_joined_and_forms_that_are_not(
    forms: dict[str, str], are_joined: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops = kernel._loops(made(forms, tmp_path, monkeypatch))
    wanted = {f"{form}, {window}" for form in forms for window in ("30", "all")} if are_joined else set()
    assert {f"{form}, {window}" for place, form in enumerate(forms) for at, window in enumerate(("30", "all"))
            if 2 * place + at in loops} == wanted  # fmt: skip


def test_most_of_the_catalogue_is_joined() -> None:
    """Otherwise the compiled walk would lose most of its speed, and nothing else would show it."""
    loops = kernel._loops(CATALOGUE)
    assert len(loops) >= 46
    text = walk_source(CATALOGUE, loops)
    assert text.count("for row in range(") <= 8


def test_checked_indicators_are_called() -> None:
    """An error in an operator's own is then an error of that function."""
    text = kernel._module_source(CATALOGUE, checked=True)
    assert "for row in range(" not in text
    assert all(f"= {made.function.__name__}(" in text for made in CATALOGUE.indicators)
