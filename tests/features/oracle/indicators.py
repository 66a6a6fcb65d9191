"""The independent oracle: every indicator once more, slow and obvious, from its meaning and the raw rows alone.

Nothing of `features` is used. Sums are exact (`math.fsum`, fractions), so that the oracle itself does not round.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import fsum, nan
from statistics import fmean, stdev

from tests.features.oracle.events import Event, History

DAY = 24 * 60 * 60 * 1_000_000

Reference = Callable[[History, int], float]


def days(microseconds_: int) -> float:
    return microseconds_ / DAY


def within(history: History, as_of: int, window_days: int | None) -> History:
    return [event for event in history if window_days is None or event.time > as_of - window_days * DAY]


def between(history: History, as_of: int, from_days: int, to_days: int) -> History:
    """Events after *from_days* before as-of, up to and with *to_days* before it."""
    return [event for event in history if as_of - from_days * DAY < event.time <= as_of - to_days * DAY]


def amounts(history: History, kind: str) -> list[float]:
    """Sizes, never negative, of the settled deposits or withdrawals."""
    return [abs(event.amount) for event in history if event.kind == kind]


def mean(values: list[float]) -> float:
    return fmean(values) if values else nan


def deviation(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else nan


def share(part: float, whole: float) -> float:
    return part / whole if whole else nan


def moment(time_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)


def gaps(history: History) -> list[float]:
    return [days(later.time - earlier.time) for earlier, later in pairwise(history)]


def regularity(history: History) -> float:
    found = gaps(history)
    return share(mean(found), mean(found) + deviation(found)) if len(found) > 1 else nan


def calendar_days(history: History) -> int:
    return len({moment(event.time).date() for event in history})


def holdings(history: History, as_of: int, window_days: int) -> list[tuple[float, int]]:
    """Each balance held in the window, with the microseconds for which it was: the one carried in comes first."""
    opens = as_of - window_days * DAY
    ends = [*(event.time for event in history[1:]), as_of][: len(history)]
    held = [
        (event.balance, end - max(event.time, opens), event.time > opens)
        for event, end in zip(history, ends, strict=True)
    ]
    return [(balance, duration) for balance, duration, inside in held if inside or duration > 0]


def held_mean(history: History, as_of: int, window_days: int) -> float:
    held = holdings(history, as_of, window_days)
    total = sum(duration for _, duration in held)
    if total == 0:
        return history[-1].balance if history else nan
    return float(sum(Fraction(balance) * duration for balance, duration in held) / total)


def slope(history: History) -> float:
    if len({event.time for event in history}) < 2:
        return nan
    xs = [Fraction(event.time, DAY) for event in history]
    ys = [Fraction(event.balance) for event in history]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    joint = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return float(joint / sum((x - x_mean) ** 2 for x in xs))


def decay(event: Event, as_of: int, half_life_days: int) -> float:
    return float(0.5 ** (days(as_of - event.time) / half_life_days))


def decayed_sum(history: History, as_of: int, kind: str, half_life_days: int) -> float:
    found = [event for event in history if event.kind == kind]
    return fsum(abs(event.amount) * decay(event, as_of, half_life_days) for event in found)


def decayed_mean(history: History, as_of: int, half_life_days: int) -> float:
    weights = [decay(event, as_of, half_life_days) for event in history]
    weighted = fsum(event.balance * weight for event, weight in zip(history, weights, strict=True))
    return share(weighted, fsum(weights))


REFERENCES: dict[str, Reference] = {}


def reference(name: str) -> Callable[[Reference], Reference]:
    def keep(function: Reference) -> Reference:
        assert name not in REFERENCES
        REFERENCES[name] = function
        return function

    return keep


def windows(*lengths: int | None) -> list[tuple[int | None, str]]:
    return [(length, "all" if length is None else f"{length}d") for length in lengths]


def recency(kind: str | None) -> Reference:
    def compute(history: History, as_of: int) -> float:
        found = [event.time for event in history if kind in {None, event.kind}]
        return days(as_of - max(found)) if found else nan

    return compute


reference("deposit_recency")(recency("deposit"))
reference("withdrawal_recency")(recency("withdrawal"))
reference("event_recency")(recency(None))


@reference("account_age")
def account_age(history: History, as_of: int) -> float:
    return max(0.0, days(as_of - min(event.created for event in history))) if history else nan


@reference("first_event_age")
def first_event_age(history: History, as_of: int) -> float:
    return days(as_of - history[0].time) if history else nan


@reference("active_day_share_all")
def active_day_share(history: History, as_of: int) -> float:
    if not history:
        return nan
    passed = (moment(as_of).date() - moment(history[0].time).date()).days + 1
    return calendar_days(history) / passed


for _length, _label in windows(30, 90, 365):
    reference(f"active_days_{_label}")(lambda h, t, w=_length: float(calendar_days(within(h, t, w))))
    reference(f"net_flow_{_label}")(
        lambda h, t, w=_length: fsum(
            [*amounts(within(h, t, w), "deposit"), *(-size for size in amounts(within(h, t, w), "withdrawal"))]
        )
    )
    reference(f"balance_held_{_label}")(lambda h, t, w=_length: held_mean(h, t, w))

for _kind in ("deposit", "withdrawal"):
    for _length, _label in windows(30, 90, 365, None):
        reference(f"{_kind}_count_{_label}")(lambda h, t, w=_length, k=_kind: float(len(amounts(within(h, t, w), k))))
        reference(f"{_kind}_sum_{_label}")(lambda h, t, w=_length, k=_kind: fsum(amounts(within(h, t, w), k)))
    reference(f"{_kind}_mean_365d")(lambda h, t, k=_kind: mean(amounts(within(h, t, 365), k)))
    reference(f"{_kind}_max_365d")(lambda h, t, k=_kind: max(amounts(within(h, t, 365), k), default=nan))
    reference(f"{_kind}_trend")(
        lambda h, t, k=_kind: share(
            fsum(amounts(between(h, t, 30, 0), k)), fsum(amounts(between(h, t, 120, 30), k)) / 3
        )
    )
    for _half_life in (15, 45, 120):
        reference(f"{_kind}_decayed_{_half_life}d")(lambda h, t, k=_kind, d=_half_life: decayed_sum(h, t, k, d))
    reference(f"{_kind}_year_ago")(lambda h, t, k=_kind: fsum(amounts(between(h, t, 365, 275), k)))

for _length, _label in windows(365, None):
    reference(f"gap_mean_{_label}")(lambda h, t, w=_length: mean(gaps(within(h, t, w))))
    reference(f"gap_deviation_{_label}")(lambda h, t, w=_length: deviation(gaps(within(h, t, w))))

reference("regularity_365d")(lambda h, t: regularity(within(h, t, 365)))


@reference("busiest_weekday_share_365d")
def busiest_weekday_share(history: History, as_of: int) -> float:
    found = within(history, as_of, 365)
    on_day = Counter(moment(event.time).isoweekday() for event in found)
    return share(max(on_day.values(), default=0), len(found))


@reference("weekend_share_365d")
def weekend_share(history: History, as_of: int) -> float:
    found = within(history, as_of, 365)
    return share(sum(moment(event.time).strftime("%a") in {"Sat", "Sun"} for event in found), len(found))


@reference("night_share_365d")
def night_share(history: History, as_of: int) -> float:
    found = within(history, as_of, 365)
    return share(sum(moment(event.time).hour < 6 for event in found), len(found))


reference("balance_last")(lambda h, _: h[-1].balance if h else nan)
reference("balance_mean_90d")(lambda h, t: mean([event.balance for event in within(h, t, 90)]))
reference("balance_deviation_90d")(lambda h, t: deviation([event.balance for event in within(h, t, 90)]))
for _length, _label in windows(90, 365):
    reference(f"balance_min_{_label}")(
        lambda h, t, w=_length: min((balance for balance, _ in holdings(h, t, w)), default=nan)
    )
    reference(f"balance_max_{_label}")(
        lambda h, t, w=_length: max((balance for balance, _ in holdings(h, t, w)), default=nan)
    )
    reference(f"balance_empty_days_{_label}")(
        lambda h, t, w=_length: days(sum(duration for balance, duration in holdings(h, t, w) if balance <= 0))
    )
    reference(f"balance_slope_{_label}")(lambda h, t, w=_length: slope(within(h, t, w)))
for _half_life in (15, 45, 120):
    reference(f"balance_decayed_{_half_life}d")(lambda h, t, d=_half_life: decayed_mean(h, t, d))
reference("balance_year_ago")(lambda h, t: mean([event.balance for event in between(h, t, 365, 275)]))

reference("activity_trend")(lambda h, t: share(len(between(h, t, 30, 0)), len(between(h, t, 120, 30)) / 3))
reference("failed_count_90d")(lambda h, t: float(sum(event.kind == "failed" for event in within(h, t, 90))))


@reference("failed_share_365d")
def failed_share(history: History, as_of: int) -> float:
    decided = [event.kind for event in within(history, as_of, 365) if event.kind != "pending"]
    return share(decided.count("failed"), len(decided))


reference("currency_count")(lambda h, _: float(len({event.currency for event in h})))
reference("currency_main_share")(
    lambda h, _: share(max(Counter(event.currency for event in h).values(), default=0), len(h))
)
reference("channel_web")(lambda h, _: float(h[-1].category == "WEB") if h else nan)
