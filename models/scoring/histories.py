"""Scoring histories: one row a customer out; one customer is a batch of one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.provenance import hash_text
from fivefold.features.catalogue.probe import outside_units
from fivefold.features.histories import AmountChecks, Histories, Stateless, Ties, ties
from fivefold.models.explain import explain
from fivefold.models.reach import (
    SimilarNames,
    doubts_of_newest,
    doubts_of_rows,
    doubts_of_units,
    other_currencies_text,
)
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
        rows: how many transactions were read, without repeats of a transaction_id.
        ties: what rows of one moment without a transaction_id leave open; for balances at the last visible one.
        outside_units: of indicators of the operator's own, how many of the scored customers have a value that their
            unit does not allow, by name.
        absent: columns of `features.column_names.ABSENCES` that the rows lack, or whose content is not read.
        stateless: the rows without a state, where the source has the column.
        amount_checks: of the rows.
    """

    table: pl.DataFrame
    left_out: int
    newest: int | None
    currencies: frozenset[str]
    rows: int
    ties: Ties
    outside_units: dict[str, int]
    absent: tuple[str, ...]
    stateless: Stateless
    amount_checks: AmountChecks


@dataclass(frozen=True)
class Scoring:
    """How to score customers.

    Attributes:
        as_of: the moment, microseconds; nothing later is seen.
        explained: adds `base` and one column of points for each indicator: their sum is the score within 1e-9.
        compare_as_of: adds `score_before`, `category_before` and `move`: null for customers not yet known then.
        level_percent: the level of the interval, by default the model's own.
    """

    as_of: int
    explained: bool = False
    compare_as_of: int | None = None
    level_percent: int | None = None


def doubts_of(model: ValueModel, batches: Sequence[ScoredBatch], as_of: int, *, is_now: bool, option: str) -> list[str]:
    """Say why the scores of a whole source, in all of its *batches*, may be wrong; nothing of a source without rows.

    *as_of*, *is_now* and *option* are those of `doubts_of_newest`.
    """
    newest = max((batch.newest for batch in batches if batch.newest is not None), default=None)
    if newest is None:
        return []
    outside = sum((Counter(batch.outside_units) for batch in batches), Counter[str]())
    tied, rows = Ties.joined(batch.ties for batch in batches), sum(batch.rows for batch in batches)
    stateless = Stateless.joined(batch.stateless for batch in batches)
    amount_checks = AmountChecks.joined(batch.amount_checks for batch in batches)
    return [
        *doubts_of_rows(batches[0].absent, model.absent, model.currency, tied, rows, stateless, amount_checks),
        *doubts_of_units(outside, sum(len(batch.table) for batch in batches)),
        *doubts_of_newest(newest, as_of, is_now=is_now, option=option),
    ]


def doubts_of_portfolio(model: ValueModel, batches: Sequence[ScoredBatch]) -> list[str]:
    """Return doubts about the customers of a whole portfolio: no amount is in the base currency, or some look alike.

    In a request of a few customers that is normal.
    """
    currencies, names = frozenset[str]().union(*(batch.currencies for batch in batches)), SimilarNames()
    for batch in batches:
        names.add(batch.table["user_id"])
    return [text for text in (other_currencies_text(currencies, model.currency), names.text) if text]


def score_histories(model: ValueModel, histories: Histories, how: Scoring) -> ScoredBatch:
    """Score the customers of one container; one customer is a batch of one."""
    matrix, row_counts = model.matrix(histories, how.as_of)
    is_known = (row_counts > 0) & ~model.unknown(histories, how.as_of)
    of_scored = matrix[is_known]
    scores = model.scores(of_scored)
    consistency = model.consistency_of(of_scored)
    intervals = model.intervals_of(scores.expected_value, consistency, how.level_percent)
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
    if how.compare_as_of is not None:
        table = table.with_columns(_before(model, histories, how.compare_as_of, is_known, scores.score))
    if how.explained:
        explanations = explain(model, of_scored)
        points = {f"points_{name}": explanations.points[:, number] for number, name in enumerate(model.catalogue.names)}
        table = table.with_columns(pl.Series("base", np.full(len(table), explanations.base)), **_series(points))
    newest = int(histories.time.max()) if histories.rows else None
    currencies = frozenset(model.rates.codes[position] for position in np.flatnonzero(np.bincount(histories.currency)))
    return ScoredBatch(
        table,
        int((~is_known).sum()),
        newest,
        currencies,
        histories.rows,
        ties(histories, how.as_of - model.settlement_lag_us),
        outside_units(model.catalogue, of_scored),
        histories.absent,
        histories.stateless,
        histories.amount_checks,
    )


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
