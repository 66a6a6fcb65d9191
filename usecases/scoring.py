"""Scoring a request: the rows that came with it in, each customer's score out. Nothing of it is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from fivefold.domain.clock import CLOCK_SLACK_US, DAY_US, day_text
from fivefold.domain.errors import PROBLEMS_LISTED, InvalidDataError, Problem
from fivefold.features import schema as c
from fivefold.features.histories import Floats, Histories
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.fast_columns import as_arrow
from fivefold.features.reading.frames import table_from_rows
from fivefold.features.reading.request_body import BodyColumns
from fivefold.features.reading.validate import TransactionReader
from fivefold.models.explain import Explanations, explain
from fivefold.models.reach import HistoryReach, history_reaches, needed_row_text
from fivefold.models.value_model import Scores, ValueModel


class ScoredRows(NamedTuple):
    """The scores of a request's customers, in order of first appearance.

    Attributes:
        matrix: their indicators, n x F.
        explanations: None where they were not asked for.
        reaches: how far each customer's history reaches, where explanations were asked for.
    """

    user_ids: list[str]
    scores: Scores
    matrix: Floats
    explanations: Explanations | None
    reaches: Sequence[HistoryReach] = ()


@dataclass(frozen=True)
class RequestRows:
    """The rows of a request, checked and in order: nothing behind this can be wrong with them.

    Attributes:
        moment: as of when its customers are scored, microseconds.
    """

    histories: Histories
    moment: int

    def __len__(self) -> int:
        """Count the customers."""
        return len(self.histories.offsets) - 1


def check_rows(
    model: ValueModel, rows: BodyColumns | Sequence[Mapping[str, Any]], *, as_of: int | None, now: int
) -> RequestRows:
    """Check the rows of a request, which takes a small part of the time that scoring them does.

    Without *as_of* it is now (microseconds): rows dated up to a day ahead count as now, later ones are refused.
    With it, rows after it are ignored.

    Raises:
        InvalidDataError: rows with bad values, or a customer without a row by *as_of*; everything wrong is named.
    """
    errors = ErrorCollector()
    if not len(rows):
        errors.add(np.ones(1, dtype=np.bool_), "body", lambda _: "is an empty array", "at least one row")
        errors.raise_if_any()
    latest = now + CLOCK_SLACK_US if as_of is None else None
    reader = TransactionReader(model.rates, latest=latest, created_slack_us=DAY_US, absent=model.absent)
    if isinstance(rows, BodyColumns):
        histories = reader.read_body(rows, errors)
    else:
        histories = reader.read(table_from_rows(rows, errors), errors)
    if as_of is None:
        histories = replace(histories, time=np.minimum(histories.time, now))
    moment = now if as_of is None else as_of
    # The first row of each customer is the earliest.
    unseen = histories.time[histories.offsets[:-1]] > moment - model.settlement_lag_us
    if np.count_nonzero(unseen):  # `any` of an array takes twenty times as long
        raise _unseen(rows, histories, unseen, moment, model.settlement_lag_us)
    return RequestRows(histories, moment)


def score_checked(model: ValueModel, checked: RequestRows, *, explained: bool) -> ScoredRows:
    """Score the customers of a request whose rows were checked."""
    matrix, _ = model.matrix(checked.histories, checked.moment)
    user_ids: list[str] = checked.histories.user_ids.to_pylist()
    explanations = explain(model, matrix) if explained else None
    if explanations is None:
        return ScoredRows(user_ids=user_ids, scores=model.scores(matrix), matrix=matrix, explanations=None)
    return ScoredRows(
        user_ids=user_ids,
        scores=explanations.scores,
        matrix=matrix,
        explanations=explanations,
        reaches=history_reaches(checked.histories, checked.moment, model.settlement_lag_us),
    )


def not_computed(
    model: ValueModel, rows: BodyColumns | Sequence[Mapping[str, Any]], checked: RequestRows
) -> list[Problem]:
    """Name the customers of whom an indicator of the operator's own fails, each at the first row."""
    first, needed = _first_rows(rows), "customers of whom every indicator of the model can be computed"
    failures = islice(model.own_failures(checked.histories, checked.moment), PROBLEMS_LISTED)
    return [Problem(first[each.user_id], c.USER_ID, f"is {each.user_id!r}: {each.fault}", needed) for each in failures]


def _first_rows(rows: BodyColumns | Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Give the number of each customer's first row."""
    first: dict[str, int] = {}
    user_ids = (
        as_arrow(rows.columns[c.USER_ID]).to_pylist()
        if isinstance(rows, BodyColumns)
        else [row[c.USER_ID] for row in rows]
    )
    for number, user_id in enumerate(user_ids):
        first.setdefault(user_id, number)
    return first


def _unseen(
    rows: BodyColumns | Sequence[Mapping[str, Any]], histories: Histories, unseen: np.ndarray, as_of: int, lag_us: int
) -> InvalidDataError:
    """Name each customer who has no row by the as-of, at the customer's first row."""
    first = _first_rows(rows)
    by = day_text(as_of - lag_us) if lag_us else f"as_of {day_text(as_of)}"
    what, needed = f"is after {by} in every row of this user", f"at least one {needed_row_text(as_of, lag_us, 'as_of')}"
    ids = histories.user_ids.filter(unseen).to_pylist()
    return InvalidDataError([Problem(first[user_id], c.DATE, what, needed) for user_id in ids])
