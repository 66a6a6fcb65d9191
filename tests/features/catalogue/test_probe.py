"""The guards of own indicators: what looks ahead, at others or at nothing is refused before anything is learnt."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from fivefold.domain.errors import ConfigError
from fivefold.features.catalogue import own as own_module
from fivefold.features.catalogue import probe
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.catalogue.probe import check_own_indicators, check_own_values
from fivefold.features.indicator_matrix import catalogue
from tests.features.own import changed, example, one

MONTH = 30 * 86_400_000_000


def test_the_example_of_the_page_passes() -> None:
    check_own_indicators(example())


@pytest.mark.parametrize(
    "own",
    [
        one("return amount[len(amount) - 1] if len(amount) else 0.0"),
        one("return amount[0] if len(amount) else nan", empty="nan"),
        one("return 1.0 * (currency[0] != currency[-1]) if len(currency) else 0.0", arguments="currency", unit="flag"),
        one("return float(np.sum(amount))"),
        one("return math.sqrt(float(len(amount)))", unit="ratio"),
        one("return 1.0 if len(amount) > 3 else 0.0", unit="flag"),
    ],
    ids=["last", "first", "currencies", "numpy", "math", "flag"],
)
def test_what_keeps_the_rules_passes(own: OwnIndicators) -> None:
    check_own_indicators(own)


@pytest.mark.parametrize(
    "loop", ["while len(amount):\n    count += 1.0", "for i in range(10 ** 9 * len(amount)):\n    count += 1.0"]
)
def test_a_loop_that_does_not_end_is_refused_by_the_name_of_its_indicator(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_MOST_LINES", 100_000)
    tracer = sys.gettrace()
    with pytest.raises(
        ConfigError, match=r"indicator mine ran more than 100,000 lines .*: one of its loops does not end"
    ):
        check_own_indicators(one(f"count = 0.0\n{loop}\nreturn count"))
    assert sys.gettrace() is tracer


REFUSED = {
    "the next row": ("return amount[len(amount)]", {}, r"ends with IndexError: .*reads outside its rows"),
    "the next row, where there are many": (
        "total = 0.0\nfor i in range(len(amount) + 1):\n    total += amount[i]\nreturn total",
        {},
        "reads outside its rows, which end at as-of",
    ),
    "the last of nothing": ("return amount[-1]", {}, "reads outside its rows"),
    "the next row, where there are 50": (
        "if len(amount) < 50:\n    return 0.0\nreturn amount[len(amount)]",
        {},
        "ends with IndexError: .*reads outside its rows",
    ),
    "the next row, where there are thousands": (
        "if len(amount) < 2000:\n    return 0.0\nreturn amount[len(amount)]",
        {},
        "reads outside its rows",
    ),
    "the first row of years ago": (
        f"counts = np.zeros(36)\nfor i in range(len(time)):\n    counts[(as_of - time[i]) // {MONTH}] += 1\nreturn 1",
        {"arguments": "time, as_of"},
        "reads outside its rows",
    ),
    "a table of few currencies": (
        "counts = np.zeros(40)\nfor i in range(len(currency)):\n    counts[currency[i]] += 1.0\nreturn counts.max()",
        {"arguments": "currency"},
        "reads outside its rows",
    ),
    "a share of amounts that are small": (
        "return min(abs(amount[len(amount) - 1]) / 1e6, 2.0) if len(amount) else 0.0",
        {"unit": "share"},
        "is not a share from 0 to 1",
    ),
    "the number of a currency": (
        "return float(currency[0]) if len(currency) else 0.0",
        {"arguments": "currency"},
        "changes with the numbers of the currencies, which mean nothing; it may only ask if two are equal",
    ),
    "a division": ("return amount[0] / 0.0 if len(amount) > 1 else 0.0", {}, "is infinite|ZeroDivisionError"),
    "a sum of ones": ("return float(len(amount))", {"unit": "share"}, "is not a share from 0 to 1"),
    "two": ("return 2.0 if len(amount) else 0.0", {"unit": "flag"}, "is neither 0 nor 1"),
    "less than nothing": ("return -float(len(amount))", {"unit": "count"}, "is below 0, which no count is"),
    "an empty value": ("return 1.0", {}, "has another value for a customer without a row than its `empty`"),
    "nan where 0 is declared": ("return 0.0 if len(amount) else nan", {}, "than its `empty`; make them equal"),
    "infinity": ("return math.inf if len(amount) else 0.0", {}, "is infinite for some history"),
    "text": ("return 'much'", {}, "ends with ValueError|cannot be compiled"),
    "writing": ("if len(amount):\n    amount[0] = 0.0\nreturn 0.0", {}, "ends with ValueError: .*can only be read"),
    "a plain helper": (
        "return helper(amount)",
        {"head": "def helper(values):\n    return float(len(values))\n"},
        "cannot be compiled: .*a function that it calls is marked with `shared`",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_breaks_a_rule_is_refused_by_file_and_indicator(what: str) -> None:
    body, more, message = REFUSED[what]
    with pytest.raises(ConfigError, match=message) as caught:
        check_own_indicators(one(body, **more))
    assert str(caught.value).startswith("bank.py")
    assert "indicator mine " in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "more = np.lib.stride_tricks.as_strided(amount, (len(amount) + 1,), (8,))\nreturn more[len(amount)]",
            # Behind the last row lies whatever does, and that may be something else the second time.
            "changes with what comes after the as-of|gives other numbers the second time",
        ),
        ("return np.random.random()", "gives other numbers"),
    ],
    ids=["the future, by strides", "chance"],
)
def test_what_the_rules_of_the_text_would_let_through_is_found_by_its_values(
    body: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_module, "require_closed_text", lambda _name, _text: None)
    with pytest.raises(ConfigError, match=message):
        check_own_indicators(replace(one(body), name="unchecked.py"))


def test_values_of_real_customers_outside_the_unit_are_refused_before_anything_is_learnt() -> None:
    own = one("return float(len(amount) > 5000)", unit="flag")
    columns = catalogue((), own)
    matrix = np.full((3, len(columns.names)), 7.0)
    matrix[:, -1] = (0.0, 1.0, np.nan)
    check_own_values(own, columns, matrix)
    matrix[1, -1] = 0.5
    with pytest.raises(ConfigError, match=r"bank\.py cannot be used:\n  indicator mine is neither 0 nor 1"):
        check_own_values(own, columns, matrix)


def test_every_wrong_indicator_is_named_at_once_and_no_right_one() -> None:
    own = changed("return float(large_deposits(amount, kind, first_row))", "return -1.0 * len(amount)")
    with pytest.raises(ConfigError) as caught:
        check_own_indicators(own)
    lines = str(caught.value).splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["large_deposit_count_30d", "large_deposit_count_365d"]
