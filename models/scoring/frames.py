"""Scoring a frame of transactions in memory: the rows that `fivefold score` writes, without a file."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from fivefold.domain.clock import SECOND_US, day_text, now_microseconds, parse_moment
from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.features import schema as c
from fivefold.features.column_names import unread_columns
from fivefold.features.histories import Histories
from fivefold.features.reading.frames import Frame, histories_in_memory
from fivefold.features.reading.validate import TransactionReader
from fivefold.models.scoring.histories import ScoredBatch, Scoring, score_histories, with_origin
from fivefold.models.value_model import ValueModel

NOW = "now"
"""The as-of that is the present moment, in whole seconds."""


def needed_columns(model: ValueModel) -> tuple[str, ...]:
    """Return the columns that a frame of transactions must have for a model."""
    return (c.USER_ID, *(() if c.BALANCE in model.absent else (c.BALANCE,)), c.AMOUNT, c.DATE)


def optional_columns(model: ValueModel) -> tuple[str, ...]:
    """Return the columns that are read if a frame has them."""
    others = unread_columns(model.absent).union(needed_columns(model))
    return tuple(name for name in c.COLUMNS if name not in others)


def read_asked(parameters: Mapping[str, Any]) -> Scoring:
    """Read how customers are to be scored: the fields of `Scoring` by name, moments as text; None where not asked for.

    The as-of must be given, so that no score depends on a clock without a word of it: `now` is one of its values.

    >>> read_asked({"as_of": "1970-01-02", "level_percent": 95})
    Scoring(as_of=86400000000, explained=False, compare_as_of=None, level_percent=95)

    ConfigError names a field that there is not, a moment that is missing or cannot be read, and one to compare with
    that is not before the as-of.
    """
    names = [field.name for field in fields(Scoring)]
    unknown = [name for name in parameters if name not in names]
    if unknown:
        raise ConfigError(f"there is no parameter {', '.join(unknown)}; there are {', '.join(names)}")
    if parameters.get("as_of") is None:
        raise ConfigError(
            'as_of is missing: give params={"as_of": "2024-06-30"}, or "now". MLflow leaves out parameters that the '
            f"signature does not name; it names {', '.join(names)}"
        )
    as_of = (
        now_microseconds() // SECOND_US * SECOND_US
        if parameters["as_of"] == NOW
        else parse_moment(parameters["as_of"], "as_of")
    )
    before = parameters.get("compare_as_of")
    before = None if before is None else parse_moment(before, "compare_as_of")
    if before is not None and before >= as_of:
        raise ConfigError(f"compare_as_of is {day_text(before)}; it must be before {day_text(as_of)}, the as_of")
    explained, level = bool(parameters.get("explained")), parameters.get("level_percent")
    return Scoring(as_of, explained=explained, compare_as_of=before, level_percent=level)


def score_frame(model: ValueModel, transactions: Frame, how: Scoring) -> ScoredBatch:
    """Score every customer of a frame of transactions, in order of first appearance: the rows of `fivefold score`.

    A customer without a row by the as-of has no row in the table.

    Raises:
        InvalidDataError: rows with bad values, a line for each kind; they are named by their places in the frame,
            from 0.
        FileFormatError: no rows, a required column is missing, or a column is there twice.
        ConfigError: a level that an interval cannot have.
    """
    if not len(transactions):
        raise FileFormatError("the table has no rows")
    histories = frame_histories(model, transactions)
    batch = score_histories(model, histories, how)
    return replace(batch, table=with_origin(batch.table, model, how.as_of))


def frame_histories(model: ValueModel, transactions: Frame) -> Histories:
    """Read a frame of transactions as *model* reads them; the errors are those of `score_frame`."""
    # Without the name of a source, rows count from 0 as those of a frame do.
    return histories_in_memory(
        transactions, TransactionReader(model.rates, text=True, completes=True, absent=model.absent)
    )
