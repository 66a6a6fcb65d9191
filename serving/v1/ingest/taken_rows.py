"""The answer to a call about many rows: what was taken, and what is wrong with each row that was not."""

from typing import Any, Self

from fivefold.serving.v1.errors import Row, row_lines
from fivefold.serving.v1.schemas import Shown
from fivefold.usecases.shared.row_results import AcceptedRows

IN_PART = 207
"""Status of an answer that refuses some rows."""


class TakenRows(Shown):
    """What was taken. `refused` rows were not; what is wrong with them stands in `errors`, rows counted from 0."""

    refused: int
    errors: list[Row]

    @classmethod
    def in_part(cls, taken: AcceptedRows[Any]) -> Self:
        """Give the form of what became of the rows of a call."""
        more = {"refused": taken.refused, "errors": row_lines(taken.problems)}
        return cls.model_validate({**vars(taken.made), **more})
