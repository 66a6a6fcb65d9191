"""An operator's own indicators: what a file may hold, and that two versions of one work beside each other."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fivefold.domain.errors import ConfigError, ModelError, OwnIndicatorError
from fivefold.features import schema as c
from fivefold.features.catalogue.indicator import Catalogue
from fivefold.features.catalogue.own import RESULT_COLUMNS, OwnIndicators, read_own_indicators
from fivefold.features.catalogue.own_text import require_closed_text as check_text
from fivefold.features.catalogue.probe import check_own_indicators
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import (
    catalogue,
    fingerprint,
    indicator_matrix,
    own_failures,
    select_columns,
    snapshots,
)
from fivefold.features.indicators import CATALOGUE
from fivefold.features.reading.sources import read_histories
from fivefold.models.scoring.histories import Scoring, score_histories, with_origin
from tests.features.oracle.strategies import AS_OFS, RATES, iso, row
from tests.features.own import changed, example, one
from tests.models.making import AS_OF as MAKING_AS_OF
from tests.models.making import simulated, value_model

AS_OF = AS_OFS[1]
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def histories() -> Histories:
    amounts = {40: 700.0, 20: 900.0, 10: 100.0, 5: -600.0}
    rows = [
        row(transaction_amount=amount, transaction_currency="EUR", transaction_date=iso(AS_OF - days * DAY))
        for days, amount in amounts.items()
    ]
    later = row(transaction_amount=5_000.0, transaction_currency="EUR", transaction_date=iso(AS_OF + 1))
    return read_histories([*rows, later, {**later, "user_id": "new"}], RATES)


def test_they_come_after_the_catalogue_with_the_numbers_that_a_person_counts(histories: Histories) -> None:
    matrix, seen = indicator_matrix(histories, AS_OF, example())
    plain, same = indicator_matrix(histories, AS_OF)
    assert seen.tolist() == same.tolist() == [4, 0]
    assert matrix[:, : len(CATALOGUE.names)].tobytes() == plain.tobytes()
    assert matrix[0, len(CATALOGUE.names) :].tolist() == [1.0, 2.0, 120.5 / 1700.0]
    assert matrix[1, len(CATALOGUE.names) :].tolist()[:2] == [0.0, 0.0]
    columns = catalogue((), example())
    assert columns.names[-3:] == ("large_deposit_count_30d", "large_deposit_count_365d", "balance_cover")
    assert columns.indicators[-3].meaning == "Number of settled deposits of 500 or more in the last 30 days."
    assert columns.indicators[-3].label == "Large deposits, 30 days"


def test_without_balances_what_reads_them_is_left_out(histories: Histories) -> None:
    columns = catalogue((c.BALANCE,), example())
    assert columns.names[-2:] == ("large_deposit_count_30d", "large_deposit_count_365d")
    assert columns.own == 2
    matrix = select_columns(indicator_matrix(histories, AS_OF, example())[0], (c.BALANCE,), example())
    assert matrix.shape[1] == len(columns.names)
    assert matrix[0, -2:].tolist() == [1.0, 2.0]


def test_a_row_without_a_balance_makes_what_reads_it_undefined(histories: Histories) -> None:
    unknown = np.full((2, len(c.NULLABLE)), np.iinfo(np.int64).max)
    unknown[0, c.NULLABLE.index(c.BALANCE)] = AS_OF - 15 * DAY
    taken = snapshots(
        replace(histories, unknown_from=unknown), np.array([AS_OF - 18 * DAY, AS_OF]), own=example()
    ).values[0, :, -3:]
    assert np.isnan(taken).tolist() == [[False] * 3, [False, False, True]]


@pytest.mark.parametrize("absent", [(), (c.BALANCE,)])
def test_every_sign_is_in_the_fingerprint_which_needs_no_code_to_run(absent: tuple[str, ...]) -> None:
    texts = [example(), changed("LARGE = 500.0", "LARGE = 501.0"), changed("Bank of", "bank of"), None]
    assert len({fingerprint(absent, own) for own in texts}) == 4
    assert fingerprint(absent) == catalogue(absent).fingerprint
    assert fingerprint(absent, example()) == catalogue(absent, example()).fingerprint
    broken = OwnIndicators("broken.py", "raise RuntimeError")
    assert len(fingerprint(absent, broken)) == 64
    with pytest.raises(ConfigError, match=r"broken\.py, line 1 runs when it is imported"):
        catalogue(absent, broken)


def test_two_versions_of_one_file_work_in_one_process(histories: Histories) -> None:
    other = changed("LARGE = 500.0", "LARGE = 800.0")
    found = [indicator_matrix(histories, AS_OF, own)[0][0, -2] for own in (example(), other, example())]
    assert found == [2.0, 1.0, 2.0]
    names = {each.catalogue.indicators[0].function.__module__ for each in (example(), other)}
    assert len(names) == 2
    assert names <= sys.modules.keys()


def test_a_file_is_read_and_nothing_of_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "bank.py"
    path.write_bytes(b"\xef\xbb\xbfraise RuntimeError\r\n")
    assert read_own_indicators(path) == OwnIndicators("bank.py", "raise RuntimeError\n")
    with pytest.raises(ConfigError, match=r"indicators: .*none\.py cannot be read: No such file"):
        read_own_indicators(tmp_path / "none.py")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bank\.py is not text in UTF-8"):
        read_own_indicators(path)


_COLUMNS = sorted(RESULT_COLUMNS)  # in one order in each process of xdist


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("from math import nan", "from math import nan\nimport scipy.stats", r"line 4 imports scipy\.stats; a file of"),
        ("from math import nan", "from .other import nan", r"line 3 imports \.other; .* may import collections\.abc"),
        ("from math import nan", "from time import time", r"imports time; "),
        ("LARGE = 500.0", "LARGE = = 500.0", r"own_indicators\.py, line 7 is not Python: invalid syntax"),
        ("LARGE = 500.0", "LARGE = 1 / 0", r"own_indicators\.py cannot be imported: ZeroDivisionError"),
        ('"balance_cover"', '"balance_last"', "indicator balance_last is one of the catalogue already"),
        ('"balance_cover"', '"Balance cover"', "indicator Balance cover must be named in small letters"),
        ('"balance_cover"', '"large_deposit_count_30d"', "declared more than once: large_deposit_count_30d"),
        ('"Balance over deposits"', '"Last balance"', "label 'Last balance', which balance_last has already"),
        ('"Balance over deposits"', '"Large deposits, 30 days"', "label 'Large deposits, 30 days', as another one has"),
        ('"Balance over deposits"', '""', "has the label 'Last balance over the sum of all settled deposits'; give la"),
        (
            '"Large deposits, {window}"',
            '"Deposits of 500 or more, {window}"',
            r"label 'Deposits of 500 or more, 365 days'; .* the window in place of \{window\}: this one has 33",
        ),
        ('unit="ratio"', 'unit="euros"', r"has the unit 'euros'; allowed: days, money"),
        (', family="balance"', "", r"has the family none; allowed: recency"),
        ("windows=(30, 365)", "windows=(0, 365)", "has a window of 0 days; it is 1 to"),
        ("empty=nan", "empty=1.0", r"has empty=1; it is 0 or nan"),
        ("all settled deposits.", "all settled deposits", "has no meaning: its docstring"),
        ("(amount: Floats, kind: Integers, balance", "(amounts, kind: Integers, balance", "asks for amounts; "),
        ("def balance_cover", "def fill_decay", "the function fill_decay has a name that the kernel uses itself"),
        ("def balance_cover", "def first_30", "the function first_30 has a name that the kernel uses itself"),
        ("empty=nan", "empty=None", r"indicator balance_cover is declared with empty=None, which is neither 0\.0 nor"),
        ("empty=nan", "empty='nan'", r"is declared with empty='nan', which is neither"),
        ("empty=nan", "empty=True", r"is declared with empty=True, which is neither"),
        ("windows=(30, 365)", "windows=('30',)", r"declared with windows=\('30',\); give whole numbers of days, or N"),
        ("windows=(30, 365)", "windows=30", r"is declared with windows=30; give whole numbers"),
        ("windows=(30, 365)", "windows=(30.0,)", r"is declared with windows=\(30\.0,\); give whole numbers"),
        ("empty=nan", "variants=(7,), empty=nan", r"declared with variants=\(7,\); give constants by name"),
        ('"Balance over deposits"', "None", r"is declared with label=None, which is not a text"),
        ("Last balance over", "Last {x} over", r"has braces in its docstring, 'Last \{x\} .*; there are \{window\}"),
        ("Last balance over", "Last {} over", r"has braces in its docstring, "),
        ("Last balance over", "Last {window.real} over", r"has braces in its docstring, "),
        ('"Balance over deposits"', '"Over {deposits"', r"has braces in its label, 'Over \{deposits'"),
        ('"balance_cover"', '"balance_{cover}"', r"has braces in its name, 'balance_\{cover\}'"),
        ("return ratio(balance[len(balance) - 1], total) if", "total += ratio(balance[len(balance) - 1], total) if",
         r"own_indicators\.py, line 34 declares an indicator without a `return`; it returns one number"),
        ("LARGE = 500.0", "LARGE = 500.0\0", r"own_indicators\.py is not Python: source code .*null byte"),
    ],
)  # fmt: skip
def test_what_is_declared_wrongly_is_refused_by_name(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        catalogue((), changed(old, new))
    assert str(caught.value).startswith("own_indicators.py")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        *(
            ('"balance_cover"', f'"{name}"', f"indicator {name} has the name of a column")
            for name in sorted(RESULT_COLUMNS)
        ),
        ('"Balance over deposits"', r'"My \x1b[31mx"', r"control or invisible characters in its label, 'My \\x1b"),
        ("Last balance over", r"Last \x1b over", "control or invisible characters in its docstring"),
    ],
)
def test_what_no_new_model_may_have_is_refused_and_one_that_has_it_goes_on(old: str, new: str, message: str) -> None:
    own = changed(old, new)
    assert catalogue((), own).own == 3
    with pytest.raises(ConfigError, match=message) as caught:
        check_own_indicators(own)
    assert str(caught.value).startswith("own_indicators.py")


def test_no_name_of_an_indicator_may_be_that_of_a_column_of_scores() -> None:
    scored = score_histories(
        value_model(), simulated(), Scoring(MAKING_AS_OF, explained=True, compare_as_of=MAKING_AS_OF)
    )
    table = with_origin(scored.table, value_model(), MAKING_AS_OF)
    assert {name for name in table.columns if not name.startswith("points_")} | {"as_of"} == RESULT_COLUMNS


def test_two_functions_may_differ_by_an_underscore_before_the_name(histories: Histories) -> None:
    second = "@indicator('other', label='Other', unit='money', empty=0.0, family='volume')\n{}"
    function = "def _mine(amount):\n    'Other.'\n    return 2.0 if len(amount) else 0.0\n"
    own = one("return 1.0 if len(amount) else 0.0", head=f"\n{second.format(function)}")
    assert indicator_matrix(histories, AS_OF, own)[0][0, -2:].tolist() == [2.0, 1.0]


def test_a_file_without_an_indicator_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"bank\.py declares no indicator; mark a function with @indicator"):
        catalogue((), OwnIndicators("bank.py", "LARGE = 500.0\n"))


def test_an_error_in_the_middle_of_a_batch_names_the_customer_and_the_indicator(histories: Histories) -> None:
    own = one("return 1.0 / (amount[0] - 700.0) if len(amount) else 0.0")
    first = r"bank\.py: indicator mine of the customer 'ann' ended with ZeroDivisionError: .*; divide by `ratio`"
    with pytest.raises(OwnIndicatorError, match=first) as caught:
        indicator_matrix(histories, AS_OF, own)
    assert caught.value.user_id == histories.user_ids[0].as_py()
    assert caught.value.fault == "bank.py: indicator mine ended with ZeroDivisionError"


SECOND = """
@indicator('other', label='Other', unit='money', empty=0.0, family='volume')
def other(amount):
    'Other.'
    if len(amount) == 60:
        raise ValueError('sixty')
    return math.inf if len(amount) and amount[0] == 9.0 else 0.0
"""


def test_everybody_of_whom_an_indicator_fails_is_named_and_nobody_else(long_history: Histories) -> None:
    own = one("return 1.0 / (amount[0] - 7.0) if len(amount) else 0.0", head=SECOND)
    failures = list(own_failures(long_history, np.array([AS_OF]), own))
    assert [(each.user_id, each.fault) for each in failures] == [
        ("a", "bank.py: indicator mine ended with ZeroDivisionError"),
        ("b", "bank.py: indicator other ended with ValueError"),
        ("c", "bank.py: indicator other is infinite; give nan where it is undefined"),
    ]
    assert str(failures[1]).endswith("of the customer 'b' ended with ValueError: sixty"), "no hint for an own `raise`"
    assert list(own_failures(long_history, np.array([AS_OF]), example())) == []


def test_what_cannot_be_compiled_here_is_a_fault_of_the_model_and_of_nobody(histories: Histories) -> None:
    with pytest.raises(ModelError, match=r"bank\.py cannot be compiled here: TypingError") as caught:
        indicator_matrix(histories, AS_OF, one("return 'text' + amount[0]"))
    assert not isinstance(caught.value, OwnIndicatorError)


@pytest.fixture(scope="module")
def long_history() -> Histories:
    """60 rows of one customer, in eleven years, between the rows of two others."""
    amounts = [("a", 7.0, 1)] + [("b", 1.0, 66 * number) for number in range(60)] + [("c", 9.0, 1)]
    rows = [
        row(
            user_id=user,
            transaction_amount=amount,
            transaction_currency="EUR",
            transaction_date=iso(AS_OF - days * DAY),
            user_created="2001-01-15",
        )
        for user, amount, days in amounts
    ]
    return read_histories(rows, RATES)


def test_an_infinite_value_ends_a_batch_by_the_name_of_the_indicator(long_history: Histories) -> None:
    own = one("return math.inf if len(amount) > 45 else 0.0")
    with pytest.raises(ModelError, match=r"bank\.py: indicator mine of the customer 'b' is infinite; give nan where"):
        indicator_matrix(long_history, AS_OF, own)


OUTSIDE = {
    "of the next customer": "return amount[len(amount)] if len(amount) > 45 else 0.0",
    "of the last customer": "return amount[-len(amount) - 1] if len(amount) > 45 else 0.0",
    "of the last customer, by a loop of the library": (
        "return mean_of(amount, -len(amount) - 1) if len(amount) > 45 else 0.0"
    ),
    "of the last customer, by a loop that a loop calls": (
        "return deviation_of(amount, -len(amount) - 1) if len(amount) > 45 else 0.0"
    ),
    "by a function of its own": "return outside(amount) if len(amount) > 45 else 0.0",
    "by a function of its function": "return further(amount) if len(amount) > 45 else 0.0",
    "behind a table of its own": (
        f"months = np.zeros(36)\nfor i in range(len(time)):\n    months[(as_of - time[i]) // {30 * DAY}] += 1.0\n"
        "return months[0]"
    ),
}
LOOPS = """
from fivefold.features.own_indicators import deviation_of, mean_of, shared
@shared
def outside(values):
    return values[len(values)]
@shared
def further(values):
    return outside(values)
"""


@pytest.mark.parametrize("how", OUTSIDE)
def test_no_row_of_another_customer_is_ever_read(how: str, long_history: Histories) -> None:
    """What no probe found ends a batch by name, where compiled code would give the memory there, or end the process."""
    own = one(OUTSIDE[how], arguments="amount, time, as_of", head=LOOPS)
    outside = r"mine of the customer 'b' ended with IndexError: .*; it reads outside its rows, which end"
    with pytest.raises(OwnIndicatorError, match=outside):
        indicator_matrix(long_history, AS_OF, own)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("LARGE = float(open('l').read())", "makes more than a constant; give a number, or arithmetic of numbers"),
        ("LARGE = float(np.loadtxt('limit.txt'))", "makes more than a constant"),
        ("LARGE = np.random.random()", "makes more than a constant"),
        ("LARGE = np.pi.real", r"uses \.real; of arrays and lists there are add, all"),
        ("LARGE = typing.sys.modules", r"uses sys of typing, which"),
        ("LARGE = __builtins__", "uses __builtins__; its text alone must decide the values"),
        ("LARGE = __builtins__['open']('l')", "makes more than a constant"),
        ("LARGE = open", "uses open; its text alone"),
        ("LARGE = np", "uses np alone; name what it needs of it, such as np.sqrt"),
        ("LARGE = [500.0 for i in range(3)][0]", "makes more than a constant"),
        ("LARGE: float(math.e) = 500.0", "has a type that is computed"),
        ("LARGE = 500.0\nnp.pi = 3.0", "makes more than a constant"),
        ("LARGE = 500.0\nprint('here')", "runs when it is imported; a file has imports, constants and functions"),
        ("LARGE = 500.0\nfor i in (1, 2):\n    LARGE = i", "runs when it is imported"),
        ("LARGE = 500.0\nclass Limit:\n    pass", "runs when it is imported"),
        ("LARGE = 500.0\nLARGE = 600.0", "declares LARGE once more, or a name of"),
        ("LARGE = 500.0\ndef __getattr__(name):\n    return 1.0", "declares __getattr__ once more, or a name of"),
        ("from numpy import loadtxt\nLARGE = 500.0", "uses loadtxt of numpy, which a file of indicators may not"),
        ("from numpy import *\nLARGE = 500.0", r"uses \* of numpy"),
        ("import collections.abc\nLARGE = 500.0", "imports collections.abc as a whole; write from collections.abc imp"),
        ("LARGE = 500.0\n@np.sort\ndef f(x):\n    return x", "has another decorator than @indicator"),
        ("LARGE = 500.0\n@abs(open('l'))\ndef f(x):\n    return x", "has another decorator than @indicator"),
        ("LARGE = 500.0\ndef f(x=open('l')):\n    return x", "has a default that is computed; give a constant"),
        ("LARGE = 500.0\ndef f(x: open('l')):\n    return x", "has a type that is computed; name it"),
        ("LARGE = 500.0\ndef f(x):\n    return np.load(x)", "uses load of numpy"),
        ("LARGE = 500.0\ndef f(x):\n    return np.random.random()", "uses random of numpy"),
        ("LARGE = 500.0\ndef f(x):\n    return np.empty(3)[0]", "uses empty of numpy.*numpy there are .* zeros"),
        ("LARGE = 500.0\ndef f(x):\n    return x.flat[9]", r"uses \.flat; of arrays"),
        ("LARGE = 500.0\ndef f(x):\n    return x.__class__", r"uses \.__class__; of arrays"),
        ("LARGE = 500.0\ndef f(x):\n    m = np\n    return m.load(x)", "uses np alone|uses .load; of arrays"),
        ("LARGE = 500.0\ndef f(x):\n    import math\n    return x", "imports inside a function; put the import"),
        ("LARGE = 500.0\ndef f(x):\n    return getattr(x, 'a')", "uses getattr; its text alone"),
        ("LARGE = 500.0\ndef f(x):\n    global LARGE\n    return x", "changes a name outside its function"),
    ],
)  # fmt: skip
def test_what_does_not_follow_from_the_text_alone_is_refused_by_its_line(line: str, message: str) -> None:
    head = "import math\nimport typing\nimport numpy as np\n"
    with pytest.raises(ConfigError, match=message) as caught:
        check_text("bank.py", f"{head}{line}\nTWICE = LARGE * 2.0 + math.pi\n")
    assert re.match(r"bank\.py, line [4-7] ", str(caught.value))
    check_text("bank.py", f"{head}LARGE: typing.Final = -500.0\n'''Of it.'''\nTWICE = LARGE * 2.0 + math.pi\n")


@pytest.mark.parametrize(
    ("cookie", "message"),
    [
        ("# coding: utf-7", "line 1 or 2 names the encoding utf-7; it is UTF-8: remove that comment"),
        ("#!/usr/bin/python\n# -*- coding: latin-1 -*-", "names the encoding iso-8859-1"),
        ("# coding: nothing", "line 1 or 2 names an encoding that is not known"),
    ],
)
def test_the_text_that_is_checked_is_the_text_that_runs(cookie: str, message: str) -> None:
    hidden = f"{cookie}\n# +AAo-import os\n{example().text}"
    with pytest.raises(ConfigError, match=message):
        catalogue((), OwnIndicators("bank.py", hidden))
    assert catalogue((), OwnIndicators("bank.py", f"# coding: utf-8\n{example().text}")).own == 3


def test_the_shipped_fingerprint_is_that_of_the_shipped_indicators() -> None:
    assert catalogue() is CATALOGUE
    assert Catalogue(CATALOGUE.indicators).fingerprint == CATALOGUE.fingerprint
