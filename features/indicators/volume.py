"""Volume: how many settled deposits and withdrawals there are, and how large."""

from math import nan

from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import ratio
from fivefold.features.histories import Floats, Integers
from fivefold.features.schema import DEPOSIT, WITHDRAWAL

_SUMS = (30, 90, 365)
_COUNTS = (90, 365)


@indicator("deposit_count_{window}", label="Deposit count, {window}", unit="count", empty=0.0, windows=(*_COUNTS, None))
def deposit_count(kind: Integers, first_row: int) -> float:
    """Number of settled deposits {window}."""
    count = 0
    for i in range(first_row, len(kind)):
        if kind[i] == DEPOSIT:
            count += 1
    return float(count)


@indicator("deposit_sum_{window}", label="Deposits, {window}", unit="money", empty=0.0, windows=(*_SUMS, None))
def deposit_sum(amount: Floats, kind: Integers, first_row: int) -> float:
    """Sum of settled deposits {window}."""
    total = 0.0
    for i in range(first_row, len(kind)):
        if kind[i] == DEPOSIT:
            total += amount[i]
    return total


@indicator("deposit_mean_{window}", label="Mean deposit, {window}", unit="money", empty=nan, windows=(365,))
def deposit_mean(amount: Floats, kind: Integers, first_row: int) -> float:
    """Mean settled deposit {window}."""
    total = 0.0
    count = 0
    for i in range(first_row, len(kind)):
        if kind[i] == DEPOSIT:
            total += amount[i]
            count += 1
    return ratio(total, float(count))


@indicator("deposit_max_{window}", label="Largest deposit, {window}", unit="money", empty=nan, windows=(365,))
def deposit_max(amount: Floats, kind: Integers, first_row: int) -> float:
    """Largest settled deposit {window}."""
    largest = nan
    for i in range(first_row, len(kind)):
        if kind[i] == DEPOSIT and not amount[i] <= largest:
            largest = amount[i]
    return largest


@indicator("withdrawal_count_{window}", label="Withdrawal count, {window}", unit="count", empty=0.0, windows=_COUNTS)
def withdrawal_count(kind: Integers, first_row: int) -> float:
    """Number of settled withdrawals {window}."""
    count = 0
    for i in range(first_row, len(kind)):
        if kind[i] == WITHDRAWAL:
            count += 1
    return float(count)


@indicator("withdrawal_sum_{window}", label="Withdrawals, {window}", unit="money", empty=0.0, windows=_SUMS)
def withdrawal_sum(amount: Floats, kind: Integers, first_row: int) -> float:
    """Sum of settled withdrawals, by size, {window}."""
    total = 0.0
    for i in range(first_row, len(kind)):
        if kind[i] == WITHDRAWAL:
            total -= amount[i]
    return total


@indicator("withdrawal_mean_{window}", label="Mean withdrawal, {window}", unit="money", empty=nan, windows=(365,))
def withdrawal_mean(amount: Floats, kind: Integers, first_row: int) -> float:
    """Mean settled withdrawal, by size, {window}."""
    total = 0.0
    count = 0
    for i in range(first_row, len(kind)):
        if kind[i] == WITHDRAWAL:
            total -= amount[i]
            count += 1
    return ratio(total, float(count))


@indicator("withdrawal_max_{window}", label="Largest withdrawal, {window}", unit="money", empty=nan, windows=(365,))
def withdrawal_max(amount: Floats, kind: Integers, first_row: int) -> float:
    """Largest settled withdrawal, by size, {window}."""
    largest = nan
    for i in range(first_row, len(kind)):
        if kind[i] == WITHDRAWAL and not -amount[i] <= largest:
            largest = -amount[i]
    return largest


@indicator("net_flow_{window}", label="Net deposits, {window}", unit="money", empty=0.0, windows=_SUMS)
def net_flow(amount: Floats, kind: Integers, first_row: int) -> float:
    """Settled deposits less settled withdrawals {window}."""
    total = 0.0
    for i in range(first_row, len(kind)):
        if kind[i] == DEPOSIT or kind[i] == WITHDRAWAL:
            total += amount[i]
    return total
