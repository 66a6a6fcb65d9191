"""Currency: in how many currencies the customer moves money."""

from math import nan

import numpy as np
from numba.extending import register_jitable

from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import ratio
from fivefold.features.histories import Integers


@register_jitable
def _counts(currency: Integers) -> Integers:
    highest = 0
    for i in range(len(currency)):
        highest = max(highest, currency[i])
    counts = np.zeros(highest + 1, dtype=np.int64)
    for i in range(len(currency)):
        counts[currency[i]] += 1
    return counts


@indicator("currency_count", label="Currencies used", unit="count", empty=0.0)
def currency_count(currency: Integers) -> float:
    """Number of currencies among all events."""
    counts = _counts(currency)
    used = 0
    for i in range(len(counts)):
        if counts[i] > 0:
            used += 1
    return float(used)


@indicator("currency_main_share", label="Share of main currency", unit="share", empty=nan)
def currency_main_share(currency: Integers) -> float:
    """Share of all events that are in the customer's most used currency."""
    counts = _counts(currency)
    most = 0
    for i in range(len(counts)):
        most = max(most, counts[i])
    return ratio(float(most), float(len(currency)))
