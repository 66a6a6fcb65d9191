"""The target: the value of a customer over a window after the as-of."""

from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from fivefold.domain.clock import DAY_US
from fivefold.features.catalogue.statistics import held_days, held_from, rows_until
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.features.schema import DEPOSIT, WITHDRAWAL
from fivefold.training.config import ValueSettings

DAYS_A_YEAR = 365


def realised_values(histories: Histories, starts: Integers, horizon_days: int, value: ValueSettings) -> Floats:
    """Compute each customer's value (money, n x k) over (start, start + horizon] for k starts (microseconds).

    deposit fee x deposits + withdrawal fee x withdrawals by size + yearly margin x days / 365 x time-weighted mean
    of max(balance, 0). The balance before the window is carried in; before a customer's first row it is 0. Only
    settled rows move money, and balances count in every state. Not floored: a refund may cost more than the rest.
    """
    sums = np.empty((histories.customers, len(starts), 3))
    _sums()(
        histories.offsets,
        histories.time,
        histories.amount,
        histories.balance,
        histories.kind,
        starts,
        horizon_days * DAY_US,
        sums,
    )
    per_balance_day = value.yearly_margin / DAYS_A_YEAR
    weighted: npt.NDArray[np.float64] = (
        value.deposit_fee * sums[..., 0] + value.withdrawal_fee * sums[..., 1] + per_balance_day * sums[..., 2]
    )
    return weighted


def floor_at_zero(values: Floats) -> Floats:
    """Raise values below 0 to 0, as fitting and metrics need them."""
    return np.maximum(values, 0.0)


def window_sums(
    offsets: Any, time: Any, amount: Any, balance: Any, kind: Any, starts: Any, horizon_us: Any, sums: Any
) -> None:
    """Fill n x k x 3: settled deposits, settled withdrawals by size, and positive balance x days held."""
    for c in range(len(offsets) - 1):
        begin = offsets[c]
        for s in range(len(starts)):
            stop = starts[s] + horizon_us
            end = rows_until(time, begin, offsets[c + 1], stop)
            first = rows_until(time, begin, end, starts[s]) - begin
            times = time[begin:end]
            deposits = 0.0
            withdrawals = 0.0
            for i in range(begin + first, end):
                if kind[i] == DEPOSIT:
                    deposits += amount[i]
                elif kind[i] == WITHDRAWAL:
                    withdrawals -= amount[i]
            balance_days = 0.0
            for i in range(held_from(times, first, starts[s]), end - begin):
                balance_days += max(balance[begin + i], 0.0) * held_days(times, i, starts[s], stop)
            sums[c, s, 0] = deposits
            sums[c, s, 1] = withdrawals
            sums[c, s, 2] = balance_days


@lru_cache(maxsize=1)
def _sums() -> Any:
    return numba.njit(nogil=True)(window_sums)
