"""Scores of rows that are sent; the service does not store them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from fivefold.client.answers.value import Catalogue, ExplainedScore, Score
from fivefold.client.calls import Call, Repeat, rows_of
from fivefold.client.connection import Connection

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
            NotSentError: *rows* are not dicts, as where a table is given: send `df.to_dict("records")` of it.
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
