"""An operator's own indicators: what a file may hold, and that two versions of one work beside each other."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fivefold.domain.errors import ConfigError, ModelError
from fivefold.features import schema as c
from fivefold.features.catalogue.indicator import Catalogue
from fivefold.features.catalogue.own import OwnIndicators, read_own_indicators
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import catalogue, fingerprint, indicator_matrix, select_columns, snapshots
from fivefold.features.indicators import CATALOGUE
from fivefold.features.reading.sources import read_histories
from tests.features.own import changed, example, one
from tests.features.strategies import AS_OFS, RATES, iso, row

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
    with pytest.raises(ConfigError, match=r"broken\.py cannot be imported: RuntimeError"):
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
    with pytest.raises(ConfigError, match=r"bank\.py is no text in UTF-8"):
        read_own_indicators(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("from math import nan", "from math import nan\nimport scipy.stats", r"line 4 imports scipy\.stats; a file of"),
        ("from math import nan", "from .other import nan", r"line 3 imports \.other; .* may import collections\.abc"),
        ("from math import nan", "from time import time", r"imports time; "),
        ("LARGE = 500.0", "LARGE = float(open('l').read())", r"line 7 uses open; its text alone"),
        ("LARGE = 500.0", "LARGE = = 500.0", r"own_indicators\.py, line 7 is not Python: invalid syntax"),
        ("LARGE = 500.0", "LARGE = 1 / 0", r"own_indicators\.py cannot be imported: ZeroDivisionError"),
        ('"balance_cover"', '"balance_last"', "indicator balance_last is one of the catalogue already"),
        ('"balance_cover"', '"Balance cover"', "indicator Balance cover must be named in small letters"),
        ('"balance_cover"', '"large_deposit_count_30d"', "declared more than once: large_deposit_count_30d"),
        ('"Balance over deposits"', '"Last balance"', "label 'Last balance', which balance_last has already"),
        ('"Balance over deposits"', '""', "has the label 'Last balance over the sum of all settled deposits'; give la"),
        ('unit="ratio"', 'unit="euros"', r"has the unit 'euros'; allowed: days, money"),
        (', family="balance"', "", r"has the family none; allowed: recency"),
        ("windows=(30, 365)", "windows=(0, 365)", "has a window of 0 days; it is 1 to"),
        ("empty=nan", "empty=1.0", r"has empty=1; it is 0 or nan"),
        ("all settled deposits.", "all settled deposits", "has no meaning: its docstring"),
        ("(amount: Floats, kind: Integers, balance", "(amounts, kind: Integers, balance", "asks for amounts; "),
        ("def balance_cover", "def fill_decay", "the function fill_decay has a name that the kernel uses itself"),
    ],
)  # fmt: skip
def test_what_is_declared_wrongly_is_refused_by_name(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        catalogue((), changed(old, new))
    assert str(caught.value).startswith("own_indicators.py")


def test_a_file_without_an_indicator_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"bank\.py declares no indicator; mark a function with @indicator"):
        catalogue((), OwnIndicators("bank.py", "LARGE = 500.0\n"))


def test_an_error_in_the_middle_of_a_batch_is_refused_by_the_name_of_the_file(histories: Histories) -> None:
    own = one("return 1.0 / (amount[0] - 700.0) if len(amount) else 0.0")
    with pytest.raises(ModelError, match=r"bank\.py ended with ZeroDivisionError: .*; divide by `ratio`"):
        indicator_matrix(histories, AS_OF, own)


def test_the_shipped_fingerprint_is_that_of_the_shipped_indicators() -> None:
    assert catalogue() is CATALOGUE
    assert Catalogue(CATALOGUE.indicators).fingerprint == CATALOGUE.fingerprint
