"""Figures by groups of customers: whether money and segments are right for each tenure, channel and currency."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.features.schema import CATEGORIES, CATEGORY, CREATED, CURRENCY

TENURES = ("under 90 days", "90 days to 1 year", "1 to 3 years", "3 years and more")
_TENURES_FROM = (90, 365, 3 * 365)
"""The days from which a customer is in the next group of tenure."""
LEAST_CUSTOMERS = 30
"""The mean of fewer customers says little, and may be that of one person; such groups are merged."""
OTHERS = "others"
KIND_OF_CODES: Final = np.int16
"""Two bytes for each of millions of customers: there are fewer currencies than that."""
_SCHEMA: dict[str, Any] = {
    "by": pl.String,
    "group": pl.String,
    "customers": pl.Int64,
    "predicted_mean": pl.Float64,
    "realised_mean": pl.Float64,
    "off_by_percent": pl.Float64,
    **{f"{segment}_percent": pl.Float64 for segment in SEGMENTS},
}


class Trait(NamedTuple):
    """A trait that groups customers: the names of the groups, and the position of the group of each of n customers."""

    names: tuple[str, ...]
    codes: npt.NDArray[np.integer[Any]]


def traits_of(
    part: Histories, moment: int, has_rows: npt.NDArray[np.bool_], column: Mapping[str, Floats], codes: Sequence[str]
) -> dict[str, Trait]:
    """Return the traits that group the customers of a part, as of a moment, without traits that the data lack.

    Args:
        part: histories of n customers.
        moment: microseconds; later rows are not used.
        has_rows: n marks of the customers with a row by then.
        column: the indicators of these customers, by name.
        codes: the codes of the currencies, by their positions in `part.currency`.
    """
    age = column["first_event_age" if CREATED in part.absent else "account_age"]
    age = np.where(np.isnan(age), column["first_event_age"], age)
    traits = {"tenure": Trait(TENURES, np.searchsorted(_TENURES_FROM, age, side="right").astype(KIND_OF_CODES))}
    if CATEGORY not in part.absent:
        latest = np.nan_to_num(column["channel_web"], nan=len(CATEGORIES))
        traits["channel"] = Trait((*CATEGORIES, "unknown"), latest.astype(KIND_OF_CODES))
    if CURRENCY not in part.absent:
        traits["currency"] = Trait(tuple(codes), main_currency(part, moment)[has_rows].astype(KIND_OF_CODES))
    return traits


def main_currency(part: Histories, moment: int) -> Integers:
    """Return the position of each customer's most frequent currency until a moment; the first one of equals."""
    customers = np.repeat(np.arange(part.customers), np.diff(part.offsets))
    earlier = part.time <= moment
    most = int(part.currency.max(initial=0)) + 1
    counts = np.bincount(customers[earlier] * most + part.currency[earlier], minlength=part.customers * most)
    positions: Integers = counts.reshape(part.customers, most).argmax(axis=1)
    return positions


def group_table(
    traits: Mapping[str, Trait], predicted: Floats, realised: Floats, segments: npt.NDArray[np.str_]
) -> pl.DataFrame:
    """Tabulate the figures of groups of customers.

    Args:
        traits: the traits that group n customers, by name.
        predicted: n expected values, money.
        realised: n values of the same window, money.
        segments: n segments.

    Returns:
        A row for each group: the number of customers, the means of money, how many percent of the realised money the
        prediction is off (null if nothing was realised), and the percentage of its customers in each segment. Groups
        below `LEAST_CUSTOMERS` are merged; if the merged group is still below, all but its number is null. A trait with
        one group is left out.
    """
    rows = []
    for by, trait in traits.items():
        large = np.bincount(trait.codes, minlength=len(trait.names)) >= LEAST_CUSTOMERS
        groups = [(name, trait.codes == code) for code, name in enumerate(trait.names) if large[code]]
        groups += [(OTHERS, ~large[trait.codes])]
        there = [(name, members) for name, members in groups if members.any()]
        if len(there) > 1:
            rows += [_row(by, name, predicted[of], realised[of], segments[of]) for name, of in there]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _row(by: str, name: str, predicted: Floats, realised: Floats, segments: npt.NDArray[np.str_]) -> dict[str, Any]:
    row = {"by": by, "group": name, "customers": len(predicted)}
    if len(predicted) < LEAST_CUSTOMERS:
        return row
    mean = float(realised.mean())
    return {
        **row,
        "predicted_mean": float(predicted.mean()),
        "realised_mean": mean,
        "off_by_percent": 100 * (float(predicted.mean()) / mean - 1) if mean else None,
        **{f"{segment}_percent": 100 * float((segments == segment).mean()) for segment in SEGMENTS},
    }
