"""How indicators of the catalogue change while nothing happens, by the histories that they are computed from.

Most stay constant until an event leaves a window. Ages grow. Some rise or fall all the time; between two events that
enter or leave a window they only rise or only fall, apart from rounding in the last digits of a float.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from heapq import merge
from itertools import groupby, islice
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.features.catalogue.indicator import MOVES_WITH_TIME
from fivefold.features.histories import Histories, Integers
from fivefold.features.indicator_matrix import catalogue, snapshots
from fivefold.risk.compiler.formulas import written_number
from fivefold.risk.facts.moments.anew import MOST_MOMENTS
from fivefold.risk.facts.moments.courses import ReadAs
from fivefold.risk.facts.moments.enclosures import Absence, Enclosed, between
from fivefold.risk.facts.moments.search import HORIZON_US
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio

_ROUNDED: Final = Fraction(1, 1 << 44)
"""The relative rounding error of an indicator, which is computed from many floats."""


class Way(NamedTuple):
    """How an indicator changes as time passes without new events.

    Attributes:
        days: the numbers of days after an event at which it may jump.
        moves: whether it rises or falls in between; otherwise it is constant.
    """

    days: tuple[int, ...] = ()
    moves: bool = False


_WAYS: Final[Mapping[str, Way]] = {
    **dict.fromkeys(("deposit_trend", "withdrawal_trend", "activity_trend"), Way((30, 120))),
    **dict.fromkeys(("deposit_year_ago", "withdrawal_year_ago", "balance_year_ago"), Way((275, 365))),
    **dict.fromkeys(("deposit_decayed", "withdrawal_decayed", "active_day_share"), Way(moves=True)),
    "balance_decayed": Way(),  # all weights fade alike, so their mean stays, apart from rounding
}
"""How functions that read as-of, or how far events have faded, change beyond what their windows imply."""
_HELD: Final = frozenset({"balance_held", "balance_empty_days"})
"""Functions that weigh balances by how long they were held in the window."""


@lru_cache(maxsize=128)
def way_of(name: str) -> Way:
    """Return how an indicator that is not an age changes; raises KeyError if it reads as-of and is not listed here."""
    each = next(each for each in catalogue().indicators if each.name == name)
    windows = () if each.window_days is None else (each.window_days,)
    function = each.function.__name__
    if function in _HELD:
        return Way(windows, moves=True)
    return _WAYS[function] if MOVES_WITH_TIME.intersection(each.parameters) else Way(windows)


@lru_cache(maxsize=128)
def _place_of(name: str) -> int:
    return catalogue().names.index(name)


@dataclass(frozen=True)
class IndicatorHistory:
    """What indicators of one entity are computed from.

    Attributes:
        events: the entity's history; None if it has none.
        as_of: the moment.
    """

    events: Histories | None
    as_of: int

    @cached_property
    def _times(self) -> Integers:
        return np.empty(0, np.int64) if self.events is None else self.events.time

    def waits(self, age: str) -> bool:
        """Check whether an age stands still: an account's age is never below 0, and may begin later."""
        return age == "account_age" and self._begins > self.as_of

    def restarts(self, age: str) -> list[int]:
        """Return the moments at which an age may restart: at events that are dated ahead, and when it begins."""
        moments = self._times[self._times > self.as_of][:1].tolist()
        return [*moments, self._begins] if self.waits(age) else moments

    @cached_property
    def _begins(self) -> int:
        """The beginning of the account, as stated so far."""
        if self.events is None or self._times[0] > self.as_of:
            return self.as_of
        return int(self.events.created[self._times <= self.as_of].min())

    def jumps(self, name: str) -> list[int]:
        """Return the next moments at which an indicator may jump, at most `MOST_MOMENTS`, in order."""
        lengths = [days * DAY_US for days in (0, *way_of(name).days)]
        begins = [np.searchsorted(self._times, self.as_of - length, "right") for length in lengths]
        coming = [map(int, self._times[begin:] + length) for begin, length in zip(begins, lengths, strict=True)]
        return [moment for moment, _ in islice(groupby(merge(*coming)), MOST_MOMENTS)]

    def values(self, name: str, moments: Sequence[int]) -> list[float | None]:
        """Compute an indicator as of some moments; None where it is undefined."""
        if self.events is None or not moments:
            return [None] * len(moments)
        snapshot = snapshots(self.events, np.array(moments, dtype=np.int64), wanted=[name])
        column = np.where(snapshot.row_counts[0] > 0, snapshot.values[0, :, _place_of(name)], np.nan).tolist()
        return [None if value != value else value for value in column]  # noqa: PLR0124 (NaN is not itself)


def histories_of(portfolio: Portfolio, entities: pl.DataFrame) -> list[IndicatorHistory]:
    """Return the history of each entity, in the order of *entities*, which has `entity_id` and `as_of`."""
    names, as_ofs = entities[ENTITY].to_list(), entities[AS_OF].to_list()
    whole = portfolio.histories
    if whole is None:
        return [IndicatorHistory(None, as_of) for as_of in as_ofs]
    places = dict(zip(whole.user_ids.to_pylist(), range(whole.customers), strict=True)) if len(names) > 1 else {}
    positions = [places.get(name) if places else whole.position(name) for name in names]
    parts = [None if place is None else whole.select(place, place + 1) for place in positions]
    return [IndicatorHistory(part, as_of) for part, as_of in zip(parts, as_ofs, strict=True)]


def require_histories(portfolio: Portfolio, name: str) -> None:
    """Refuse an indicator that was given without the history that it was computed from."""
    if portfolio.histories is None:
        problem = "is given alone; when time changes it follows from the transactions that it was computed from"
        raise InvalidRulesetError([Finding(f"indicator {name}", problem)], "the inputs")


def steps_of(history: IndicatorHistory, name: str) -> tuple[list[tuple[int, float | None]], int | None]:
    """Return the jumps of an indicator that is otherwise constant: moments and values; and the last of many moments."""
    moments = history.jumps(name)
    steps = list(zip(moments, history.values(name, moments), strict=True))
    return steps, moments[-1] if len(moments) == MOST_MOMENTS else None


@dataclass(frozen=True, eq=False)
class Going:
    """An indicator that rises or falls all the time.

    Attributes:
        history: the history of one entity.
        name: the indicator.
    """

    history: IndicatorHistory
    name: str
    _values: dict[int, float | None] = field(default_factory=dict)

    @cached_property
    def _jumps(self) -> list[int]:
        """The moments at which the indicator may jump, in microseconds ahead."""
        return [moment - self.history.as_of for moment in self.history.jumps(self.name)]

    @property
    def end(self) -> int:
        """How many microseconds ahead the indicator is known: after many jumps it is computed again."""
        return self._jumps[-1] if len(self._jumps) == MOST_MOMENTS else HORIZON_US

    def until(self, first: int) -> int:
        """Return the last moment before the next possible jump."""
        return next((jump - 1 for jump in self._jumps if jump > first), HORIZON_US)

    def at(self, ahead: int) -> float | None:
        """Return the value that many microseconds ahead."""
        if ahead not in self._values:
            self._values[ahead] = self.history.values(self.name, [self.history.as_of + ahead])[0]
        return self._values[ahead]

    def enclosed(self, first: int, last: int, reading: ReadAs) -> Enclosed:
        """Enclose the indicator between its values at both ends, as it only rises or only falls."""
        ends = [value for value in map(self.at, (first, last)) if value is not None]
        if len(ends) < 2:
            return Absence.PERHAPS if ends else Absence.THROUGHOUT
        low, high = sorted(map(written_number if reading is ReadAs.CALCULATED else Fraction, ends))
        off = max(-low, high) * _ROUNDED
        return between(last - first, low - off, high + off)
