"""Inputs that leak the label: one column alone separates the confirmed from the others almost always."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.governance.validate.ranking import Marks, Numbers, Paired, auc, compare_all
from fivefold.risk.language.expressions import input_key

SUSPICIOUS_AUC = 0.98
"""What separates better than this was probably made from the label, or after it."""

MOST_WORDS = 20
"""The most frequent words of a text are looked at, each alone."""

BEST_SHOWN = 5


@dataclass(frozen=True)
class Single:
    """One input column as if it were the whole model.

    Attributes:
        column: what it is, in words.
        auc: of the column alone, in the direction that suits it (which is known only with hindsight).
        suspected: it separates so well that it was probably made from the label.
        paired: Gini of the total, less Gini of the column alone; None where it was not compared.
    """

    column: str
    auc: float
    suspected: bool
    paired: Paired | None = None


def singles(
    assessments: Assessments, total: Numbers, included: Marks, confirmed: Marks, seed: int, resamples: int
) -> tuple[Single, ...]:
    """Rank by every input column alone, the best first; the best few, and all suspected ones, are compared.

    Args:
        assessments: the assessments of n entities.
        total: the totals of those who are *included*.
        included: n marks: the entities that are ranked.
        confirmed: n marks.
        seed: of the resamples.
        resamples: how many.
    """
    names, marked = input_names(assessments), confirmed[included]
    columns = [(words, _turned(score[included], marked)) for words, score in columns_alone(assessments.inputs, names)]
    ranked = sorted(((auc(score, marked), words, score) for words, score in columns), key=lambda one: (-one[0], one[1]))
    suspects = sum(area > SUSPICIOUS_AUC for area, _, _ in ranked)
    compared_columns = ranked[: max(BEST_SHOWN, suspects)]
    compared = compare_all(total, [score for _, _, score in compared_columns], marked, seed, resamples)
    return tuple(
        Single(words, area, area > SUSPICIOUS_AUC, paired)
        for (area, words, _), paired in zip(compared_columns, compared, strict=True)
    )


def input_names(assessments: Assessments) -> dict[str, str]:
    """Name the columns of inputs in words."""
    return {input_key(each): input_words(each) for each in assessments.program.analysed.inputs}


def columns_alone(inputs: pl.DataFrame, names: Mapping[str, str]) -> Iterator[tuple[str, Numbers]]:
    """Give the scores that one input column alone allows: its values, each word, and whether it is known.

    Args:
        inputs: a column for each input; others are left out.
        names: the columns, and what they are called.
    """
    for key, words in names.items():
        column = inputs[key]
        if column.null_count():
            yield f"{words} is known", column.is_not_null().cast(pl.Int64).to_numpy()
        if column.dtype == pl.String or isinstance(column.dtype, pl.List):
            yield from _words_alone(column, words)
        else:
            yield words, column.cast(pl.Float64).fill_null(-np.inf).to_numpy()


def _words_alone(column: pl.Series, words: str) -> Iterator[tuple[str, Numbers]]:
    listed = (
        column if isinstance(column.dtype, pl.List) else column.to_frame().select(pl.concat_list(pl.all())).to_series()
    )
    every = listed.explode().drop_nulls()
    for word in every.value_counts(sort=True).head(MOST_WORDS)[:, 0]:
        yield f"{words} is {word}", listed.list.contains(word).fill_null(False).cast(pl.Int64).to_numpy()


def _turned(score: Numbers, confirmed: Marks) -> Numbers:
    """Turn a score round where a low one means risk."""
    return score if auc(score, confirmed) >= 0.5 else -score
