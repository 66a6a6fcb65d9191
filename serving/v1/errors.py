"""One table from error to status, and how errors are written: as arrays, with what is wrong listed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, to_json
from starlette.responses import Response

from fivefold.domain.errors import (
    PROBLEMS_LISTED,
    ActionRefused,
    ConfigError,
    DataNotValid,
    FivefoldError,
    LayoutError,
    NotEnoughData,
    NotThere,
    OutcomeUnknown,
    Problem,
    RulesetNotValid,
    StoreError,
)
from fivefold.serving.responses import ARRAY, UNPROCESSABLE, refused

STATUS: tuple[tuple[type[FivefoldError], int], ...] = (
    (NotThere, 404),
    (ActionRefused, 409),
    (NotEnoughData, 409),
    (DataNotValid, 422),
    (RulesetNotValid, 422),
    (LayoutError, 422),
    (ConfigError, 422),
    (OutcomeUnknown, 504),
    (StoreError, 503),
)
"""Whatever else is raised is a 500, of which only the place is logged."""

LATER = {"Retry-After": "10"}
MOST_CHARACTERS = 2_000
"""Of any text that an error repeats."""


class Row(BaseModel):
    """What is wrong with one field of one row, counted from 0."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    row: int
    field: str
    problem: str
    allowed: str


def row_lines(problems: Sequence[Problem]) -> list[Row]:
    """Write what is wrong with rows, each text cut to what an error repeats."""
    return [Row(**_cut(asdict(problem))) for problem in problems]


class Place(BaseModel):
    """What is wrong at one place of a request, or of a ruleset, whose line is told where it is known."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    where: str
    problem: str
    line: int | None
    fatal: bool


class Faults(BaseModel):
    """An error; with 422 what is wrong, as far as that can be told one by one."""

    model_config = ConfigDict(extra="forbid")

    detail: str
    errors: list[Row] | list[Place] | None = None


def answer_of(error: FivefoldError) -> Response | None:
    """Write an error that somebody may be told; None for one that is nobody's business."""
    status = next((status for kind, status in STATUS if isinstance(error, kind)), None)
    if status is None:
        return None
    if isinstance(error, DataNotValid):
        return _listed(_headline(error), [_cut(asdict(problem)) for problem in error.problems])
    if isinstance(error, RulesetNotValid):
        more = _rest(len(error.findings))
        return _listed(_headline(error) + more, [_cut(asdict(each)) for each in error.findings[:PROBLEMS_LISTED]])
    if status == 503:
        return refused(503, headers=LATER)  # whoever asks need not know how the database fails
    return refused(status, str(error))


def _headline(error: FivefoldError) -> str:
    return str(error).partition("\n")[0]


def _cut(said: dict[str, Any]) -> dict[str, Any]:
    return {name: _short(value) if isinstance(value, str) else value for name, value in said.items()}


def not_as_asked(what: str, error: ValidationError) -> Response:
    """Write what is wrong with the form of a request: its body or its query."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return _listed(f"{UNPROCESSABLE}{_rest(len(found))}", [_place(what, each) for each in found[:PROBLEMS_LISTED]])


def rows_not_as_asked(found: Sequence[ErrorDetails]) -> Response:
    """Write what is wrong with rows, as far as it was looked for: to one more than are listed."""
    more = f": the first {PROBLEMS_LISTED} problems, and there are more" if len(found) > PROBLEMS_LISTED else ""
    return _listed(f"{UNPROCESSABLE}{more}", [_place("body", each) for each in found[:PROBLEMS_LISTED]])


def _rest(count: int) -> str:
    return f": the first {PROBLEMS_LISTED} of {count} problems" if count > PROBLEMS_LISTED else ""


def misplaced(where: str, problem: str) -> Response:
    """Write one thing that is wrong with a request."""
    return _listed(UNPROCESSABLE, [_said(where, problem)])


def _place(what: str, found: ErrorDetails) -> dict[str, Any]:
    if found["type"] == "json_invalid":
        return _said(what, "is not JSON")
    words = found["msg"].removeprefix("Value error, ")
    return _said(".".join([what, *map(str, found["loc"])]), words[:1].lower() + words[1:])


def _said(where: str, problem: str) -> dict[str, Any]:
    return {"where": _short(where), "problem": _short(problem), "line": None, "fatal": True}


def _short(text: str) -> str:
    """Cut what was sent itself: a name of a megabyte, a hundred times, is no answer."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


def _listed(detail: str, errors: Sequence[dict[str, Any]]) -> Response:
    body = [{"detail": detail, "errors": errors}]
    return Response(to_json(body), 422, media_type="application/json", headers={ARRAY: "1"})
