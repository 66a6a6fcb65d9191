"""Quality: how often transactions fail."""

from math import nan

from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import ratio
from fivefold.features.histories import Integers
from fivefold.features.schema import FAILED_ROW, PENDING_ROW


@indicator("failed_count_{window}", label="Failures, {window}", unit="count", empty=0.0, windows=(90,))
def failed_count(kind: Integers, first_row: int) -> float:
    """Number of failed, rejected, cancelled, reversed and expired transactions {window}."""
    count = 0
    for i in range(first_row, len(kind)):
        if kind[i] == FAILED_ROW:
            count += 1
    return float(count)


@indicator("failed_share_{window}", label="Share of failures, {window}", unit="share", empty=nan, windows=(365,))
def failed_share(kind: Integers, first_row: int) -> float:
    """Share of failed, rejected, cancelled, reversed and expired transactions among all but pending ones {window}."""
    failed = 0
    decided = 0
    for i in range(first_row, len(kind)):
        if kind[i] != PENDING_ROW:
            decided += 1
            if kind[i] == FAILED_ROW:
                failed += 1
    return ratio(float(failed), float(decided))
