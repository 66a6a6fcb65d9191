"""Scores of rows that are sent, which the service does not store, and the values of stored customers."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, Literal

from pydantic import Field

from fivefold.client.answers import Answer
from fivefold.client.calls import Call, Repeat, rows_of
from fivefold.client.connection import Connection


class Score(Answer):
    """A customer's score, from 1 to 5, and its segment."""

    user_id: str
    score: float
    category: Literal["low", "medium", "high", "top"]


class Contribution(Answer):
    """One indicator's contribution to a score, in points, with a sentence."""

    indicator: str
    family: str
    value: float | None
    unit: str
    points: float
    sentence: str


class RowsReach(Answer):
    """The period that a customer's rows cover; `short` if more rows would make the score more certain."""

    begins: str = Field(alias="from")
    user_created: str
    days: int
    days_before_it: int
    short: bool


class ModelReference(Answer):
    """The model that answered."""

    name: str
    version: int
    fingerprint: str
    rates_date: str


class Interval(Answer):
    """The interval of the value at a confidence level; a high end is null if it is unknown."""

    level_percent: int
    expected_value_low: float
    expected_value_high: float | None
    score_low: float
    score_high: float | None


class ExplainedScore(Score):
    """A score with its explanation: `base` and the points of all contributions add up to it before rounding."""

    expected_value: float
    interval: Interval | None
    consistency: float | None
    currency: str
    horizon_days: int
    percentile: float
    reference_date: str
    base: float
    contributions: tuple[Contribution, ...]
    families: dict[str, float]
    history: RowsReach
    model: ModelReference


class Indicator(Answer):
    """An indicator that the model reads."""

    indicator: str
    family: str
    unit: str
    meaning: str
    window_days: int | None


class Catalogue(Answer):
    """The indicators of the model that serves."""

    fingerprint: str
    indicators: tuple[Indicator, ...]


class PartOfValue(Answer):
    """One indicator's contribution to a stored customer's score, in points."""

    name: str
    family: str
    value: float | str | None
    unit: str
    points: float
    sentence: str


class BreakdownOfValue(Answer):
    """The score of the average prediction and the contribution of each indicator; they add up to the score."""

    base: float
    contributions: tuple[PartOfValue, ...]


class ValueOfEntity(Answer):
    """A stored customer's value; `unexplained` says why `score`, or the breakdown, is null."""

    type: str
    external_id: str
    score: float | None
    segment: str | None
    expected_value: float | None
    expected_value_low: float | None
    expected_value_high: float | None
    interval_level_percent: int | None
    currency: str
    as_of: datetime
    horizon_days: int | None
    model: str
    model_version: int
    superseded_by: int | None
    breakdown: BreakdownOfValue | None
    unexplained: str


class RealisedGroup(Answer):
    """Predicted and realised money of all customers, a segment, or a tenth by prediction; null for few customers."""

    by: str
    group: str
    customers: int
    predicted_mean: float | None
    realised_mean: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    covered_share: float | None


class RealisedFigures(Answer):
    """Realised value beside the predictions of a day; `gone` customers are not in any figure."""

    customers: int
    gone: int
    normalised_gini: float | None
    spearman: float | None
    interval_level_percent: int | None
    groups: tuple[RealisedGroup, ...]


class RealisedDay(Answer):
    """A version's predictions for the customers of a type on one day, and the realised values.

    Attributes:
        state: waiting, due (for training), holds or unknown; `reasons` says why.
        figures: None if nothing was compared yet, or nothing could be.
    """

    model: str
    version: int
    entity_type: str
    day: date
    as_of: datetime
    horizon_ends_at: datetime
    valued: int
    predicted: int
    currency: str
    state: str
    reasons: tuple[str, ...]
    judged_at: datetime | None
    figures: RealisedFigures | None


class CustomerValue(Answer):
    """A line of the list of values; all fields but the identifier are null if nothing is known."""

    external_id: str
    score: float | None
    segment: str | None
    expected_value: float | None
    currency: str | None
    as_of: datetime | None


class Money(Answer):
    """A sum of expected values, in one currency."""

    amount: float
    currency: str


class SegmentValue(Answer):
    """The customers of one segment; customers without a value have no segment."""

    segment: str | None
    entities: int
    worth: tuple[Money, ...]


class PortfolioValue(Answer):
    """The value of the customers of a type, by segment."""

    type: str
    entities: int
    segments: tuple[SegmentValue, ...]


Row = dict[str, Any]
"""A transaction: the columns of `POST /v4/scoring`, such as `user_id`, `transaction_date` and `transaction_amount`."""

SCORE: Final[Call[list[Score]]] = Call(
    "POST", "/v4/scoring", list[Score], query=("as_of",), body=("rows",), repeat=Repeat.UNDONE
)
EXPLAIN: Final[Call[list[ExplainedScore]]] = Call(
    "POST", "/v4/scoring", list[ExplainedScore], query=("as_of", "explain"), body=("rows",), repeat=Repeat.UNDONE
)
INDICATORS: Final[Call[Catalogue]] = Call("GET", "/v4/indicators", Catalogue)


class Scoring:
    """The prediction endpoint. A call is charged to the token's plan, unless it fails."""

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
        self._connection = connection

    def score(self, rows: Sequence[Row], as_of: date | datetime | str | None = None) -> list[Score]:
        """Score every customer of some transactions, in the order in which they first appear.

        Args:
            rows: all transactions of these customers, or at least those of the last 365 days.
            as_of: later rows are ignored; now by default.

        Raises:
            NotSentError: *rows* are not dicts, such as those of a table: send its `df.to_dict("records")`.
            RefusedDataError: invalid rows, each in `problems`; none was scored.
            LimitError: more rows or calls than the plan allows.
        """
        return self._connection.ask(SCORE, query={"as_of": as_of}, body=rows_of(rows))

    def explain(self, rows: Sequence[Row], as_of: date | datetime | str | None = None) -> list[ExplainedScore]:
        """Score as `score` does, and explain each score; it raises the same errors."""
        return self._connection.ask(EXPLAIN, query={"as_of": as_of, "explain": True}, body=rows_of(rows))

    def indicators(self) -> Catalogue:
        """Describe the indicators that the serving model reads."""
        return self._connection.ask(INDICATORS)
