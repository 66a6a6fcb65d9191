"""The input of every engine of the feature benchmark: the file, the moment, the rates and the indicators.

It imports nothing heavy, so that a measured process holds only what its own engine needs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import RateTable

Expression = TypeVar("Expression")

RECENT_US = 30 * DAY_US
"""What trends compare with the days before it."""

SEASON_US = 275 * DAY_US
"""The same season a year before: events so old or older, inside a window of 365 days."""

LN2_A_DAY = 0.6931471805599453 / DAY_US
"""Divided by a half-life in days: how fast a weight decays, per microsecond."""


@dataclass(frozen=True)
class Wanted:
    """One indicator of the catalogue, as plain data.

    Attributes:
        name: its column.
        statistic: the name of the function that defines it, by which engines look up their expression.
        window_days: its window; None for all history.
        half_life_days: of decayed ones; None for the others.
    """

    name: str
    statistic: str
    window_days: int | None
    half_life_days: int | None

    @property
    def window_us(self) -> int | None:
        """The window in microseconds."""
        return None if self.window_days is None else self.window_days * DAY_US


@dataclass(frozen=True)
class Plan:
    """One task for every engine: these indicators of every customer in *path*, as of one moment (microseconds)."""

    path: str
    as_of: int
    rates: RateTable
    wanted: tuple[Wanted, ...]

    def save(self, path: Path) -> None:
        """Write the plan where `load_plan` finds it."""
        data = {
            "path": self.path,
            "as_of": self.as_of,
            "rates": self.rates.to_dict(),
            "wanted": [asdict(one) for one in self.wanted],
        }
        path.write_text(json.dumps(data), encoding="utf-8")

    @property
    def per_unit(self) -> dict[str, float]:
        """What one unit of each currency is worth in the base currency."""
        return {code: self.rates.per_unit(code) for code in self.rates.codes}


def load_plan(path: Path) -> Plan:
    """Read what `Plan.save` wrote."""
    data = json.loads(path.read_text(encoding="utf-8"))
    wanted = tuple(Wanted(**one) for one in data["wanted"])
    return Plan(data["path"], data["as_of"], RateTable.from_dict(data["rates"]), wanted)


def pick(expressions: Mapping[str, Expression], one: Wanted) -> Expression:
    """Give the expression of one indicator; KeyError, naming it, where the engine has none."""
    if one.statistic not in expressions:
        raise KeyError(f"no expression for {one.name} ({one.statistic}); there are {', '.join(expressions)}")
    return expressions[one.statistic]


def wanted_of(indicators: Sequence[Any]) -> tuple[Wanted, ...]:
    """Turn the catalogue's indicators (`features.catalogue.indicator.Indicator`) into plain data."""
    columns = []
    for one in indicators:
        constants = dict(one.constants)
        half_life = constants.get("half_life_days")
        columns.append(
            Wanted(one.name, one.function.__name__, one.window_days, None if half_life is None else int(half_life))
        )
    return tuple(columns)
