"""How far back rulesets look: which of an entity's transactions they can do without.

Where only ends and extremes matter, a few transactions stand for all up to a moment. They are transactions as they are,
and not made of several, so whatever reads them reads them as it reads all others. Nothing that is a number of
transactions, or is added up over them, may be asked of them.
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
"""The indicators of all history that a summary of it answers: they look at a first, a last or a least, or at kinds."""

GROUPED: Final = frozenset({"state", "direction", "currency"})
"""The fields of transactions that group a summary: a condition on these alone holds for all of a group or for none."""

BOTH: Final = frozenset({"transactions", "indicators"})
"""The parts of a portfolio that are made of transactions."""
RULES: Final = frozenset({"transactions"})
"""What rules read themselves."""

Length = tuple[Duration, Duration | None]
"""How long a window is, and how long before as-of it ends."""


@dataclass(frozen=True)
class LookBack:
    """Which transactions matter to some rulesets.

    Attributes:
        lengths: of the windows that they look at.
        days: of the longest window of an indicator; 0 where none is read.
        summary: inputs that look at what came before all windows too, where a summary of it is enough, in short.
        everything: inputs that need every single transaction, in short.
    """

    lengths: frozenset[Length] = frozenset()
    days: int = 0
    summary: tuple[str, ...] = ()
    everything: tuple[str, ...] = ()

    @classmethod
    def of(cls, analysed: Iterable[Analysed[Any]], parts: frozenset[str] = BOTH) -> "LookBack":
        """Join those of several rulesets or policies; of the inputs alone that read some *parts* of a portfolio.

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
        """Give the moment up to which no single transaction matters by itself; None where every one does.

        A window that opens at a moment does not hold it, so what happened at that very moment matters no more. Later
        moments of assessment, to which time alone leads, open no window earlier: on the calendar, where a month ago
        may be the same day again, windows open at its midnight.
        """
        if self.everything:
            return None
        openings = [
            reduce(lambda moment, length: _first_before(length, moment), back_to_begin(over, ending), as_of_us)
            for over, ending in self.lengths
        ]
        return min((as_of_us - self.days * DAY_US, *openings))


def _first_before(length: Duration, moment: int) -> int:
    """Give the earliest of the moments that lie so long before a moment or any later one."""
    before = length.moment_before(moment)
    return before - before % DAY_US if is_on_the_calendar(length) else before


@lru_cache(maxsize=VERSIONS_KEPT)
def look_back(analysed: Analysed[Any], parts: frozenset[str] = BOTH) -> LookBack:
    """Tell how far back a ruleset or a policy looks; what is not known to look less far needs every transaction."""
    return look_back_of(Needs.of(analysed), parts)


def look_back_of(needs: Needs, parts: frozenset[str] = BOTH) -> LookBack:
    """Tell how far back inputs look; what is not known to look less far needs every transaction."""
    lengths, days = set[Length](), 0
    summary, everything = list[str](), list[str]()
    for each in needs.facts:  # of those linked too
        if part_of(each) not in parts:
            continue
        length = _length(each)
        if isinstance(each, IndicatorInput):
            window_days = _INDICATOR_DAYS.get(each.indicator)
            days = max(days, window_days or 0)
            # Some look at the last row before their window: the balance that was carried into it.
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
    """Give the length of the one window that an aggregate or a pattern looks at; None where it looks at more."""
    if isinstance(each, Window):
        over = looked_at(each).over
        return None if over is None else (over, each.ending)
    over = getattr(each, "active" if isinstance(each, DormantThenActive) else "over", None)
    return (over, None) if isinstance(over, Duration) else None


def _is_of_ends(each: LanguageModel) -> bool:
    """Tell whether an aggregate of all time is a first, last, least or most of groups of a summary."""
    if not isinstance(each, DaysSince | Least | Most) or each.ending is not None:
        return False
    return fields_in(each) <= GROUPED and (isinstance(each, DaysSince) or column_of(each) in MONEY_FIELDS)


_ENTITY, _AT = "entity", "at_us"
LARGEST_AMOUNT: Final = 1e11
"""Larger ones may not fit once they are converted, and the first of those is named: who has one has no summary."""
FEWEST: Final = 500
"""Fewer transactions than these are read as fast as a summary is looked up."""
_LACKING: Final = ("balance", "category", "account_created_us")
"""Where one transaction lacks one of these, indicators that read it are undefined."""
SUMMARY_READS: Final = frozenset({"state", "currency", "amount", *_LACKING})
"""The columns that a summary is made by, beside those that every transaction has."""


def summary_of(rows: pl.DataFrame, until_us: int) -> pl.DataFrame:
    """Choose the transactions that stand for all up to a moment.

    Of each state, direction and currency they are the first and the last, that with the least and the greatest amount,
    and that with the earliest creation of the account; and of each entity the first that lacks what indicators read.
    The summary of some, with what happened since, has the summary of all: so one is made of another and of new rows.

    Args:
        rows: transactions of entities in the order of time, `store.levels.bulk_reads.transactions` with what the value
            model needs; of those who have a summary, those that it is of, and all later ones.
        until_us: the moment, itself inside.

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
    """Give what came up to a moment, and what came later; rows in the order of time are not copied."""
    at = rows[_AT]
    if at.is_sorted():
        place = at.search_sorted(until_us, side="right")
        return rows.head(place), rows.slice(place)
    return rows.filter(at <= until_us), rows.filter(at > until_us)


def with_summary(rows: pl.DataFrame, until_us: int, *, needed: bool) -> pl.DataFrame:
    """Let a summary stand for what came up to a moment, in the order of time; nothing where none is *needed*.

    Of an entity that has no summary all rows stay, and so they do of one with few: to choose some takes longer than to
    read all.

    Args:
        rows: as `summary_of` takes them.
        until_us: the moment.
        needed: anything looks at what came before.
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
    if rows[_ENTITY][0] == rows[_ENTITY][-1]:  # rows of one entity are in order as they come
        is_chosen = early["transaction_id"].is_in(chosen["transaction_id"].implode())
        return pl.concat([early.filter(is_chosen) if len(chosen) else early, later])
    summary = early.join(chosen, on=[_ENTITY, "transaction_id"], how="semi", maintain_order="left")
    whole = early.filter(~pl.col(_ENTITY).is_in(chosen[_ENTITY].unique().implode()))
    return pl.concat([summary, whole, later]).sort(_ENTITY, _AT, "transaction_id")
