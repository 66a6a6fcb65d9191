"""How far back rulesets look: which of an entity's transactions they do not need.

If only ends and extremes matter, a few transactions represent all up to a moment: the summary. They are unchanged
transactions, not combined ones, so they are read as all others are. Counts and sums of transactions must not be
computed from a summary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, Final

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.features.indicator_matrix import catalogue
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed
from fivefold.risk.compiler.figures import AGES
from fivefold.risk.compiler.value_types import column_of
from fivefold.risk.facts.inputs import Needs, in_short, part_of
from fivefold.risk.facts.moments.leaving import is_on_the_calendar
from fivefold.risk.facts.windows import fields_in, looked_at
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import DaysSince, IndicatorInput, Least, Most, Window
from fivefold.risk.language.fields import MONEY_FIELDS
from fivefold.risk.language.patterns import DormantThenActive
from fivefold.risk.language.quantities import Duration, back_to_begin

OF_ENDS: Final = AGES | {"balance_last", "channel_web", "currency_count"}
"""The indicators over all history that a summary answers: they read a first, a last, a least, or distinct kinds."""

GROUPED: Final = frozenset({"state", "direction", "currency"})
"""The fields of transactions that group a summary: a condition on these alone holds for all of a group or none."""

BOTH: Final = frozenset({"transactions", "indicators"})
"""The parts of a portfolio that come from transactions."""
RULES: Final = frozenset({"transactions"})
"""The parts that rules read directly."""

Length = tuple[Duration, Duration | None]
"""The length of a window, and how long before as-of it ends."""


@dataclass(frozen=True)
class LookBack:
    """The transactions that matter to some rulesets.

    Attributes:
        lengths: the lengths of the windows that they read.
        days: the days of the longest window of an indicator; 0 if none is read.
        summary: inputs that also read before all windows, but need only a summary there, in short form.
        everything: inputs that need every single transaction, in short form.
    """

    lengths: frozenset[Length] = frozenset()
    days: int = 0
    summary: tuple[str, ...] = ()
    everything: tuple[str, ...] = ()

    @classmethod
    def of(cls, analysed: Iterable[Analysed[Any]], parts: frozenset[str] = BOTH) -> "LookBack":
        """Join the look-backs of several rulesets or policies, for the inputs that read some *parts* of a portfolio.

        >>> from fivefold.risk.compiler.analysis import analyse_canonical
        >>> LookBack.of([])
        LookBack(lengths=frozenset(), days=0, summary=(), everything=())
        """
        each_one = [look_back(each, parts) for each in analysed]
        return cls(
            frozenset(length for one in each_one for length in one.lengths),
            max((one.days for one in each_one), default=0),
            tuple(dict.fromkeys(text for one in each_one for text in one.summary)),
            tuple(dict.fromkeys(text for one in each_one for text in one.everything)),
        )

    def opens_us(self, as_of_us: int) -> int | None:
        """Return the moment up to which a summary is enough; None if every transaction matters.

        A window excludes the moment at which it opens, so transactions of that very moment do not matter. As time
        passes, no window opens earlier: on the calendar, where a month ago may be the same day again, windows are
        taken to open at its midnight.
        """
        if self.everything:
            return None
        openings = [
            reduce(lambda moment, length: _first_before(length, moment), back_to_begin(over, ending), as_of_us)
            for over, ending in self.lengths
        ]
        return min((as_of_us - self.days * DAY_US, *openings))


def _first_before(length: Duration, moment: int) -> int:
    """Return the earliest moment that lies *length* before a moment or any later one."""
    before = length.moment_before(moment)
    return before - before % DAY_US if is_on_the_calendar(length) else before


@lru_cache(maxsize=VERSIONS_KEPT)
def look_back(analysed: Analysed[Any], parts: frozenset[str] = BOTH) -> LookBack:
    """Find how far back a ruleset or a policy looks; an input without a known limit needs every transaction."""
    return look_back_of(Needs.of(analysed), parts)


def look_back_of(needs: Needs, parts: frozenset[str] = BOTH) -> LookBack:
    """Find how far back inputs look; an input without a known limit needs every transaction."""
    lengths, days = set[Length](), 0
    summary, everything = list[str](), list[str]()
    for each in needs.facts:  # also of linked entities
        if part_of(each) not in parts:
            continue
        length = _length(each)
        if isinstance(each, IndicatorInput):
            window_days = _INDICATOR_DAYS.get(each.indicator)
            days = max(days, window_days or 0)
            # Some read the last row before their window: the balance that was carried into it.
            (everything if window_days is None and each.indicator not in OF_ENDS else summary).append(in_short(each))
        elif length is not None:
            lengths.add(length)
            if isinstance(each, DormantThenActive):
                summary.append(in_short(each))
        else:
            (summary if _is_of_ends(each) else everything).append(in_short(each))
    return LookBack(frozenset(lengths), days, tuple(summary), tuple(everything))


_INDICATOR_DAYS: Mapping[str, int | None] = {each.name: each.window_days for each in catalogue().indicators}


def _length(each: LanguageModel) -> Length | None:
    """Return the length of the window that an aggregate or a pattern reads; None if it reads all history."""
    if isinstance(each, Window):
        over = looked_at(each).over
        return None if over is None else (over, each.ending)
    over = getattr(each, "active" if isinstance(each, DormantThenActive) else "over", None)
    return (over, None) if isinstance(over, Duration) else None


def _is_of_ends(each: LanguageModel) -> bool:
    """Check whether an aggregate over all history is a first, last, least or most of a summary's groups."""
    if not isinstance(each, DaysSince | Least | Most) or each.ending is not None:
        return False
    return fields_in(each) <= GROUPED and (isinstance(each, DaysSince) or column_of(each) in MONEY_FIELDS)


_ENTITY, _AT = "entity", "at_us"
LARGEST_AMOUNT: Final = 1e11
"""Larger amounts may not fit once converted, and the first such is reported: an entity with one has no summary."""
FEWEST: Final = 500
"""Fewer transactions than these are read as fast as a summary."""
_LACKING: Final = ("balance", "category", "account_created_us")
"""Columns whose absence in one transaction makes the indicators that read them undefined."""
SUMMARY_READS: Final = frozenset({"state", "currency", "amount", *_LACKING})
"""The columns that a summary needs, besides those that every transaction has."""


def summary_of(rows: pl.DataFrame, until_us: int) -> pl.DataFrame:
    """Choose the transactions that represent all up to a moment.

    For each state, direction and currency they are the first and the last, those with the least and the greatest
    amount, and the one with the earliest creation of the account; for each entity the first that lacks what indicators
    read. The summary of a summary and newer rows is the summary of all rows, so summaries can be built on earlier ones.

    Args:
        rows: transactions of entities in order of time, from `store.levels.bulk_reads.transactions` with what the value
            model needs; for entities with a summary, the transactions of that, and all later ones.
        until_us: the moment, included.

    Returns:
        `entity` and `transaction_id`, each once. Entities with an amount that is too large are left out.
    """
    early, _ = _cut(rows, until_us)
    large = early.filter(~(pl.col("amount").abs() <= LARGEST_AMOUNT))["entity"].unique()
    early = early.filter(~pl.col(_ENTITY).is_in(large.implode())) if len(large) else early
    size, name = pl.col("amount").abs(), pl.col("transaction_id")
    groups = early.group_by(_ENTITY, "state", "currency", pl.col("amount").sign().alias("direction"))
    ends = groups.agg(
        first=name.first(),
        last=name.last(),
        least=name.get(size.arg_min()),
        most=name.reverse().get(size.reverse().arg_max()),
        created=name.get(pl.col("account_created_us").arg_min()),
    )
    lacking = [
        early.filter(pl.col(column).is_null()).unique(_ENTITY, keep="first", maintain_order=True) for column in _LACKING
    ]
    choices = [ends.select(_ENTITY, pl.col(end).alias("transaction_id")) for end in ends.columns[4:]]
    choices += [each.select(_ENTITY, "transaction_id") for each in lacking]
    return pl.concat(choices).drop_nulls().unique().sort(_ENTITY, "transaction_id")


def of_many(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out the transactions of entities with fewer than `FEWEST`."""
    many = rows.group_by(_ENTITY).len().filter(pl.col("len") >= FEWEST)[_ENTITY]
    return rows.filter(pl.col(_ENTITY).is_in(many.implode()))


def _cut(rows: pl.DataFrame, until_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows into those up to a moment and later ones; rows in order of time are not copied."""
    at = rows[_AT]
    if at.is_sorted():
        place = at.search_sorted(until_us, side="right")
        return rows.head(place), rows.slice(place)
    return rows.filter(at <= until_us), rows.filter(at > until_us)


def with_summary(rows: pl.DataFrame, until_us: int, *, needed: bool) -> pl.DataFrame:
    """Replace the rows up to a moment by a summary, in order of time; drop them if none is *needed*.

    An entity without a summary keeps all rows, and so does one with few: choosing some takes longer than reading all.

    Args:
        rows: as in `summary_of`.
        until_us: the moment.
        needed: whether any input reads what came before.
    """
    if len(rows) < FEWEST:
        return rows
    early, later = _cut(rows, until_us)
    if len(early) < FEWEST:
        return rows
    if not needed:
        return later
    many = of_many(early)
    if not len(many):
        return rows
    chosen = summary_of(many, until_us)
    if rows[_ENTITY][0] == rows[_ENTITY][-1]:  # rows of one entity are already in order
        is_chosen = early["transaction_id"].is_in(chosen["transaction_id"].implode())
        return pl.concat([early.filter(is_chosen) if len(chosen) else early, later])
    summary = early.join(chosen, on=[_ENTITY, "transaction_id"], how="semi", maintain_order="left")
    whole = early.filter(~pl.col(_ENTITY).is_in(chosen[_ENTITY].unique().implode()))
    return pl.concat([summary, whole, later]).sort(_ENTITY, _AT, "transaction_id")
