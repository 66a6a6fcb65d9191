"""The rows of the benchmark's file as named NumPy columns and conditions, for pandas to aggregate.

It relies on the file's order: neighbours are whole columns moved by one row.
"""

from functools import reduce

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.features.plan import LN2_A_DAY, RECENT_US, SEASON_US, Plan
from fivefold.domain.clock import DAY_US

Numbers = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_DICTIONARIES = ["user_id", "transaction_state", "transaction_currency", "user_category"]


class Columns:
    """The rows up to as-of. Names with a number are made from it: `inside 7776000000000`, `held 2592000000000`.

    Attributes:
        customer: the key to group by.
    """

    def __init__(self, plan: Plan) -> None:
        frame = pd.read_parquet(plan.path, read_dictionary=_DICTIONARIES)
        frame = frame[frame["transaction_date"] <= pd.Timestamp(plan.as_of, unit="us")]
        self.customer = frame["user_id"]
        self._code = self.customer.cat.codes.to_numpy()
        self._time: Integers = frame["transaction_date"].to_numpy().view(np.int64)
        self._age: Integers = plan.as_of - self._time
        same = self._code[1:] == self._code[:-1]
        self._follows: Mask = np.append(np.False_, same)
        self._previous_age: Integers = np.append(0, self._age[:-1])
        self._next_age: Integers = np.append(np.where(same, self._age[1:], 0), 0)
        self._currency = frame["transaction_currency"].cat
        self._values = self._first_values(frame, plan)
        self._masks = self._first_masks(frame["transaction_state"])

    def masked(self, what: str, condition: str) -> npt.NDArray[np.generic]:
        """Give a column, missing where the condition does not hold; `one` gives the condition itself."""
        if what == "one":
            return self._holds(condition)
        if condition == "all":
            return self._value(what)
        return np.where(self._holds(condition), self._value(what), np.nan)

    def _first_values(self, frame: pd.DataFrame, plan: Plan) -> dict[str, Numbers]:
        rates = np.array([plan.per_unit[code] for code in self._currency.categories])
        per_unit = rates[self._currency.codes.to_numpy()]
        category = frame["user_category"].cat
        is_web = np.asarray(category.categories == "WEB", dtype=np.float64)
        amount = frame["transaction_amount"].to_numpy() * per_unit
        return {
            "deposit": amount,  # under the condition of the same name
            "withdrawal": -amount,
            "balance": frame["user_balance"].to_numpy() * per_unit,
            "age": self._age / DAY_US,
            "account_age": (plan.as_of - frame["user_created"].to_numpy().view(np.int64)) / DAY_US,
            "gap": (self._previous_age - self._age) / DAY_US,
            "day": (self._time // DAY_US).astype(np.float64),
            "web": is_web[category.codes.to_numpy()],
        }

    def _first_masks(self, of_row: pd.Series) -> dict[str, Mask]:
        state = of_row.cat
        words = state.categories.str.upper()
        code = state.codes.to_numpy()  # -1, the last of each lookup, where there is no state
        settled = np.append(words.isin(["SUCCEEDED", "COMPLETED"]), np.True_)[code]
        pending = np.append(words == "PENDING", np.False_)[code]
        day = self._time // DAY_US
        amount = self._values["deposit"]
        return {
            "all": np.ones(len(amount), np.bool_),
            "follows": self._follows,
            "deposit": settled & (amount > 0),
            "withdrawal": settled & (amount < 0),
            "failed": ~settled & ~pending,
            "decided": ~pending,
            "new_day": ~self._follows | np.append(np.True_, day[1:] != day[:-1]),
            "empty": self._values["balance"] <= 0,
            "night": self._time % DAY_US < DAY_US // 4,
            "recent": self._age < RECENT_US,
            "before": self._age >= RECENT_US,
            "season": self._age >= SEASON_US,
        }

    def _holds(self, condition: str) -> Mask:
        if condition not in self._masks:
            parts = condition.split(" & ")
            made = self._simple(condition) if len(parts) == 1 else reduce(np.logical_and, map(self._holds, parts))
            self._masks[condition] = made
        return self._masks[condition]

    def _simple(self, condition: str) -> Mask:
        name, parameter = condition.split()
        if name == "currency":
            return np.asarray(self._currency.codes == self._currency.categories.get_indexer(pd.Index([parameter]))[0])
        number = int(parameter)
        match name:
            case "weekday":
                return (self._time // DAY_US + 3) % 7 == number
            case "inside":
                return self._age < number
            case "holding":
                return (self._next_age < number) | (self._next_age == 0)
            case "gap_inside":
                return self._follows & (self._previous_age < number)
            case "opens":
                return self._holds(f"inside {number}") & (self._holds("new_day") | (self._previous_age >= number))
        raise KeyError(condition)

    def _value(self, what: str) -> Numbers:
        if what in self._values:
            return self._values[what]
        name, parameter = what.split(maxsplit=1)
        match name:
            case "weight":
                return self._kept(what, np.exp(self._age * (-LN2_A_DAY / int(parameter))))
            case "held":
                held_us = np.minimum(self._age, int(parameter)) - self._next_age
                return self._kept(what, np.maximum(held_us, 0) / DAY_US)
            case "off_age" | "off_balance":
                return self._kept(what, self._off_mean(name.removeprefix("off_"), parameter))
            case _:
                first, second = name.split("*")
                plain = first in self._values
                return self._value(first if plain else f"{first} {parameter}") * self._value(f"{second} {parameter}")

    def _kept(self, what: str, values: Numbers) -> Numbers:
        self._values[what] = values
        return values

    def _off_mean(self, what: str, condition: str) -> Numbers:
        masked = pd.Series(self.masked(what, condition))
        means = masked.groupby(self.customer.array, observed=False).mean().to_numpy()
        return self._values[what] - means[self._code]
