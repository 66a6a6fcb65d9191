"""The response to a call with many rows: counts of the stored rows, and the problems of the refused ones."""

from typing import Any, Self

from fivefold.serving.v1.errors import Row, row_lines
from fivefold.serving.v1.schemas import ResponseModel
from fivefold.usecases.shared.row_results import AcceptedRows

IN_PART = 207
"""Status of a response that refuses some rows."""


class TakenRows(ResponseModel):
    """What was taken. `refused` rows were not; what is wrong with them stands in `errors`, rows counted from 0."""

    refused: int
    errors: list[Row]

    @classmethod
    def in_part(cls, rows: AcceptedRows[Any]) -> Self:
        """Convert the result of a call with many rows."""
        more = {"refused": rows.refused, "errors": row_lines(rows.problems)}
        return cls.model_validate({**vars(rows.result), **more})
