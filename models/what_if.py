"""What would move a customer's segment: hypothetical events, scored by the same kernel and model as any other.

One more deposit or withdrawal at the moment of the score, no withdrawal in the days before it, or nothing at all in the
days after it. The trees are neither rising nor smooth in any of these, so sums are tried on a grid and then narrowed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

import numpy as np

from fivefold.domain.clock import DAY_US
from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Histories, concatenate, flags_of
from fivefold.features.reading.layout.histories import FOREVER
from fivefold.features.schema import BALANCE, DEPOSIT, WITHDRAWAL
from fivefold.models.value_model import Scores, ValueModel

AMOUNTS = tuple(float(digit * 10**power) for power in range(1, 7) for digit in (1, 2, 5))
"""The sums that are tried, in the base currency: 10 to 5,000,000."""
DAYS = (7, 14, 30, 60, 90, 180, 365)
"""The lengths of time that are tried."""


class ValueEvent(StrEnum):
    """A hypothetical event."""

    DEPOSIT = "one more deposit"
    WITHDRAWAL = "one more withdrawal"
    NO_WITHDRAWAL = "no withdrawal in the days before"
    QUIET = "no transaction in the days after"


@dataclass(frozen=True)
class EventOutcome:
    """The effect of one event.

    Attributes:
        event: the kind of event.
        size: the sum in the base currency, or the days.
        score: the new score, unrounded.
        change: the difference from the present score.
        category: the segment.
        expected_value: money in the base currency.
    """

    event: ValueEvent
    size: float
    score: float
    change: float
    category: str
    expected_value: float

    @property
    def is_money(self) -> bool:
        """Check whether the size is a sum, and not a number of days."""
        return self.event in {ValueEvent.DEPOSIT, ValueEvent.WITHDRAWAL}

    def words(self, currency: str) -> str:
        """Describe the event.

        >>> EventOutcome(ValueEvent.QUIET, 30.0, 2.0, -0.1, "medium", 5.0).words("EUR")
        'no transaction in the 30 days after'
        """
        if self.is_money:
            return f"{self.event.value} of {self.size:,.0f} {currency}"
        return self.event.value.replace("days", f"{self.size:.0f} days")


@dataclass(frozen=True)
class ValueWhatIf:
    """What would move a customer's segment.

    Attributes:
        score: the present one, unrounded.
        category: the present segment.
        tried: every event of the grid, by kind and rising size.
        smallest: for each kind the least event that gives a higher segment, and the least that gives a lower one.
    """

    score: float
    category: str
    tried: tuple[EventOutcome, ...]
    smallest: tuple[EventOutcome, ...]

    @property
    def farthest(self) -> tuple[EventOutcome, ...]:
        """Return, for each kind that moves no segment, the event that moves the score farthest."""
        moving = {outcome.event for outcome in self.smallest}
        kinds = dict.fromkeys(outcome.event for outcome in self.tried if outcome.event not in moving)
        return tuple(
            max((one for one in self.tried if one.event is event), key=lambda one: abs(one.change)) for event in kinds
        )


def what_if(model: ValueModel, history: Histories, as_of: int) -> ValueWhatIf:
    """Try hypothetical events of one customer.

    Args:
        model: the model that scores.
        history: the history of one customer, with a row that counts by *as_of*.
        as_of: the moment of the score, microseconds.
    """
    tries = _Tries(model, history, as_of)
    grid = {
        ValueEvent.DEPOSIT: AMOUNTS,
        ValueEvent.WITHDRAWAL: tuple(amount for amount in AMOUNTS if amount <= tries.balance),
        ValueEvent.NO_WITHDRAWAL: tuple(float(days) for days in tries.days_with_withdrawals()),
        ValueEvent.QUIET: tuple(map(float, DAYS)),
    }
    tried = {event: tries.outcomes(event, sizes) for event, sizes in grid.items()}
    smallest = [
        tries.narrowed(outcomes, moves)
        for outcomes in tried.values()
        for moves in (_above(tries.category), _below(tries.category))
        if any(map(moves, outcomes))
    ]
    flat = tuple(outcome for outcomes in tried.values() for outcome in outcomes)
    return ValueWhatIf(tries.score, tries.category, flat, tuple(smallest))


def _above(category: str) -> Callable[[EventOutcome], bool]:
    return lambda outcome: SEGMENTS.index(outcome.category) > SEGMENTS.index(category)


def _below(category: str) -> Callable[[EventOutcome], bool]:
    return lambda outcome: SEGMENTS.index(outcome.category) < SEGMENTS.index(category)


class _Tries:
    """One customer's history, changed and scored."""

    def __init__(self, model: ValueModel, history: Histories, as_of: int) -> None:
        self._model, self._as_of = model, as_of
        self._moment = as_of - model.settlement_lag_us
        self._known_rows = _rows_until(history, self._moment)
        now = self._scores([self._known_rows], [as_of])[0]
        self.score, self.category = float(now.score[0]), str(now.category[0])
        self.balance = inf if BALANCE in history.absent else float(self._known_rows.balance[-1])

    def days_with_withdrawals(self) -> Iterator[int]:
        """Give the lengths of time before the moment in which there is a withdrawal, and longer ones with another.

        Without one who has no other row would have no history, and no score.
        """
        before = 0
        for days in DAYS:
            count = int(self._withdrawn(days).sum())
            if before < count < len(self._known_rows.time):
                yield days
            before = count

    def outcomes(self, event: ValueEvent, sizes: Sequence[float]) -> list[EventOutcome]:
        """Score the history with each of some events."""
        if not sizes:
            return []
        histories = [self._changed(event, size) for size in sizes]
        moments = [self._as_of + int(size) * DAY_US if event is ValueEvent.QUIET else self._as_of for size in sizes]
        return [
            EventOutcome(
                event,
                size,
                float(scores.score[0]),
                float(scores.score[0]) - self.score,
                str(scores.category[0]),
                float(scores.expected_value[0]),
            )
            for size, scores in zip(sizes, self._scores(histories, moments), strict=True)
        ]

    def narrowed(self, outcomes: Sequence[EventOutcome], moves: Callable[[EventOutcome], bool]) -> EventOutcome:
        """Narrow the least size that moves the segment: sums to a whole unit of money, days as they were tried."""
        place = next(number for number, outcome in enumerate(outcomes) if moves(outcome))
        least = outcomes[place]
        if not least.is_money:
            return least
        low = outcomes[place - 1].size if place else 0.0
        while least.size - low > 1.0:
            middle = float((low + least.size) // 2)
            (between,) = self.outcomes(least.event, [middle])
            if moves(between):
                least = between
            else:
                low = middle
        return least

    def _scores(self, histories: Sequence[Histories], moments: Sequence[int]) -> list[Scores]:
        """Score histories, each as of its moment, by the kernel and the model that score everyone."""
        scored = []
        for history, moment in zip(histories, moments, strict=True):
            matrix, _ = self._model.matrix(history, moment)
            scored.append(self._model.scores(matrix))
        return scored

    def _withdrawn(self, days: float) -> np.ndarray:
        recent = self._known_rows.time > self._moment - int(days) * DAY_US
        return np.asarray(recent & (self._known_rows.kind == WITHDRAWAL))

    def _changed(self, event: ValueEvent, size: float) -> Histories:
        if event is ValueEvent.QUIET:
            return self._known_rows
        if event is ValueEvent.NO_WITHDRAWAL:
            gone = self._withdrawn(size)
            given_back = np.cumsum(np.where(gone, -self._known_rows.amount, 0.0))
            return _rows(replace(self._known_rows, balance=self._known_rows.balance + given_back), ~gone)
        is_deposit = event is ValueEvent.DEPOSIT
        return self._with_row(size if is_deposit else -size, DEPOSIT if is_deposit else WITHDRAWAL)

    def _with_row(self, amount: float, kind: int) -> Histories:
        """Add a row at the moment; what else it has, or lacks, is that of the last row."""
        histories, last = self._known_rows, len(self._known_rows.time) - 1
        row = replace(
            _rows(histories, np.arange(len(histories.time)) == last),
            time=np.array([self._moment], dtype=np.int64),
            amount=np.array([amount]),
            balance=np.array([histories.balance[last] + amount]),
            kind=np.array([kind], dtype=np.int8),
            currency=np.array([self._model.rates.codes.index(histories.base)], dtype=np.int16),
        )
        return replace(
            concatenate([histories, row]),
            user_ids=histories.user_ids,
            offsets=np.array([0, last + 2], dtype=np.int64),
            unknown_from=histories.unknown_from,
        )


def _rows_until(history: Histories, moment: int) -> Histories:
    """Return the rows of one customer up to a moment: a value that only a later row lacks is not unknown."""
    unknown = history.unknown_from
    return replace(
        _rows(history, history.time <= moment),
        unknown_from=None if unknown is None else np.where(unknown <= moment, unknown, FOREVER),
    )


def _rows(history: Histories, mask: np.ndarray) -> Histories:
    """Return some rows of one customer."""
    return replace(
        history,
        offsets=np.array([0, int(mask.sum())], dtype=np.int64),
        identified=flags_of(history.identified, mask),
        **{
            name: getattr(history, name)[mask]
            for name in ("time", "amount", "balance", "kind", "currency", "category", "created")
        },
    )
