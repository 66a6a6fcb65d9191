"""Scoring histories: one row a customer out, and how far its rows reach; one customer is a batch of one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.clock import CLOCK_SLACK_US, DAY_US, day_text
from fivefold.domain.provenance import hash_text
from fivefold.domain.text import count_text
from fivefold.features.histories import Histories
from fivefold.models.explain import explain
from fivefold.models.value_model import ValueModel


@dataclass(frozen=True)
class ScoredBatch:
    """The scores of some customers.

    Attributes:
        table: user_id, score (unrounded), category, expected_value (money), currency, percentile, the ends of the
            interval and its level, consistency (0 to 1); null where it is unknown. More if asked for.
        left_out: customers without a row by the as-of, or with a row that lacks a value which the model reads; they
            have no score.
        newest: time of the newest row read, whatever the as-of, microseconds; None where there was no row.
        currencies: codes of the amounts that were read, before they were converted.
        rows: how many transactions were read, without exact repeats.
    """

    table: pl.DataFrame
    left_out: int
    newest: int | None
    currencies: frozenset[str]
    rows: int


@dataclass(frozen=True)
class Scoring:
    """How customers are to be scored; the attributes are the arguments of `score_histories`."""

    as_of: int
    explained: bool = False
    compare_as_of: int | None = None
    level_percent: int | None = None


def score_histories(
    model: ValueModel,
    histories: Histories,
    as_of: int,
    *,
    explained: bool = False,
    compare_as_of: int | None = None,
    level_percent: int | None = None,
) -> ScoredBatch:
    """Score the customers of one container; one customer is a batch of one."""
    matrix, row_counts = model.matrix(histories, as_of)
    is_known = (row_counts > 0) & ~model.unknown(histories, as_of)
    scores = model.scores(matrix[is_known])
    consistency = model.consistency_of(matrix[is_known])
    intervals = model.intervals_of(scores.expected_value, consistency, level_percent)
    user_ids = histories.user_ids.filter(is_known)
    table = pl.DataFrame(
        {
            "user_id": pl.Series(user_ids, dtype=pl.String),
            "score": scores.score,
            "category": pl.Series(scores.category, dtype=pl.String),
            "expected_value": scores.expected_value,
            "currency": pl.Series([model.currency] * len(user_ids), dtype=pl.String),
            "percentile": scores.percentile,
            **{name: pl.Series(ends).fill_nan(None) for name, ends in intervals.columns().items()},
            "interval_level_percent": pl.Series([intervals.level_percent] * len(user_ids), dtype=pl.Int64),
            "consistency": pl.Series(consistency).fill_nan(None),
        }
    )
    if compare_as_of is not None:
        table = table.with_columns(_before(model, histories, compare_as_of, is_known, scores.score))
    if explained:
        explanations = explain(model, matrix[is_known])
        points = {f"points_{name}": explanations.points[:, number] for number, name in enumerate(model.catalogue.names)}
        table = table.with_columns(pl.Series("base", np.full(len(table), explanations.base)), **_series(points))
    newest = int(histories.time.max()) if histories.rows else None
    currencies = frozenset(model.rates.codes[position] for position in np.flatnonzero(np.bincount(histories.currency)))
    return ScoredBatch(table, int((~is_known).sum()), newest, currencies, histories.rows)


def _before(
    model: ValueModel, histories: Histories, as_of: int, is_known: np.ndarray, now: np.ndarray
) -> list[pl.Series]:
    matrix, row_counts = model.matrix(histories, as_of)
    is_scored = row_counts[is_known] > 0
    before = model.scores(matrix[is_known])
    scores = pl.Series("score_before", np.where(is_scored, before.score, np.nan)).fill_nan(None)
    category = pl.Series("category_before", np.where(is_scored, before.category, ""), dtype=pl.String).replace("", None)
    return [scores, category, (pl.Series(now) - scores).alias("move")]


def _series(columns: dict[str, np.ndarray]) -> dict[str, pl.Series]:
    return {name: pl.Series(name, values) for name, values in columns.items()}


def with_origin(table: pl.DataFrame, model: ValueModel, as_of: int) -> pl.DataFrame:
    """Say beside each percentile among whom it is (the customers known on a day), and of each row as of when, by what.

    The moment and the model let `fivefold realised` compare the row with what came.
    """
    place = table.get_column_index("percentile") + 1
    origin = {
        "reference_date": day_text(model.test_as_of),
        "as_of": day_text(as_of),
        "model_hash": hash_text(model.content_hash),
    }
    columns = (pl.lit(text).alias(name) for name, text in origin.items())
    return table.select(*table.columns[:place], *columns, *table.columns[place:])


STALE_DAYS = 7
"""Rows that end so long before the as-of are worth a warning."""


def doubts_of_newest(newest: int, as_of: int, *, is_now: bool, option: str) -> Iterator[str]:
    """Say why scores may not be of the day that is meant; nothing where the rows fit the as-of.

    Args:
        newest: time of the newest row that was read, whatever the as-of, microseconds.
        as_of: of the scores, microseconds.
        is_now: the as-of is the present, as none was given.
        option: how to give another as-of, with `{}` for the day.
    """
    if is_now and newest > as_of + CLOCK_SLACK_US:
        yield f"the newest row is dated {day_text(newest)}, in the future: no row after now was seen"
    if newest < as_of - STALE_DAYS * DAY_US:
        days, midnight = (as_of - newest) // DAY_US, day_text(-(-newest // DAY_US) * DAY_US)
        moment_text = "which is now" if is_now else day_text(as_of)
        yield (
            f"the newest row is {days:,} days older than the as-of, {moment_text}: if rows are missing, "
            f"customers only seem to have paused. For scores as of the end of the data: {option.format(midnight)}"
        )


ENOUGH_DAYS = 365
"""With so many days a few per cent of the segments differ from those of whole histories; see docs/results.md."""
GAP_DAYS = 30
"""So many days may lie between the opening of an account and its first transaction though no row is missing."""


@dataclass(frozen=True)
class HistoryReach:
    """The time that a history covers, microseconds.

    Attributes:
        first: its first row.
        created: when the account was created, as its rows say.
        until: the last moment whose rows count for the score.
    """

    first: int
    created: int
    until: int

    @property
    def days(self) -> int:
        """Whole days from the first row to the last moment that counts."""
        return (self.until - self.first) // DAY_US

    @property
    def missing_days(self) -> int:
        """Whole days from the creation of the account to the first row; 0 where the first row came before."""
        return max(0, (self.first - self.created) // DAY_US)

    @property
    def short(self) -> bool:
        """Whether rows are probably missing that would change the score."""
        return self.days < ENOUGH_DAYS and self.missing_days > GAP_DAYS

    def __str__(self) -> str:
        """Write it for people.

        >>> print(HistoryReach(10 * DAY_US, 0, 20 * DAY_US))
        10 days of history, from 10 days after the account was created
        >>> print(HistoryReach(DAY_US, 0, 2 * DAY_US))
        1 day of history, from 1 day after the account was created
        """
        days, missing = count_text(self.days, "day"), count_text(self.missing_days, "day")
        text = f"{days} of history, from {missing} after the account was created"
        if self.short:
            text += f": with less than {ENOUGH_DAYS} days sent, an old customer is scored as a new one"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return {
            "from": day_text(self.first),
            "user_created": day_text(self.created),
            "days": self.days,
            "days_before_it": self.missing_days,
            "short": self.short,
        }


def history_reaches(histories: Histories, as_of: int, lag_us: int = 0) -> list[HistoryReach]:
    """Give the reach of every customer as a model with this settlement lag sees it; each must have at least one row."""
    starts = histories.offsets[:-1]
    created = np.minimum.reduceat(histories.created, starts)
    firsts = zip(histories.time[starts].tolist(), created.tolist(), strict=True)
    return [HistoryReach(*pair, as_of - lag_us) for pair in firsts]


def needed_row_text(as_of: int, lag_us: int, name: str = "") -> str:
    """Say which row a score needs, for whom there is none; *name* stands in place of the day of the as-of.

    >>> needed_row_text(20 * DAY_US, 0)
    'row by 1970-01-21'
    >>> needed_row_text(20 * DAY_US, 14 * DAY_US)
    'row by 1970-01-07, 14 days before 1970-01-21, as this model counts later rows as incomplete'
    """
    named = name or day_text(as_of)
    if not lag_us:
        return f"row by {named}"
    days = count_text(lag_us // DAY_US, "day")
    return f"row by {day_text(as_of - lag_us)}, {days} before {named}, as this model counts later rows as incomplete"
