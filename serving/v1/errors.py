"""Writes errors as arrays that list every problem, with the status of `domain.errors`; and the problems of rows."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, to_json
from starlette.responses import Response
from starlette.types import Scope

from fivefold.domain.errors import (
    PROBLEMS_LISTED,
    Finding,
    FivefoldError,
    InvalidDataError,
    InvalidRulesetError,
    LockedError,
    Problem,
    UnderWayError,
    http_status,
)
from fivefold.serving.access_log import note_cause
from fivefold.serving.responses import ARRAY, UNPROCESSABLE, error_response
from fivefold.serving.v1.schemas import ResponseModel
from fivefold.serving.v4.contract import unreadable
from fivefold.usecases.shared.row_results import AcceptedRows

LATER = {"Retry-After": "10"}
SOON = {"Retry-After": "2"}
"""For a request that is already under way: most end within a second."""
MOST_CHARACTERS = 2_000
"""Longest text that an error repeats from a request."""
IN_PART = 207
"""Status of a response that refuses some rows."""


class Row(BaseModel):
    """What is wrong with one field of one row, counted from 0."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    row: int
    field: str
    problem: str
    allowed: str


def row_lines(problems: Sequence[Problem]) -> list[Row]:
    """Convert the problems of rows, each text cut to MOST_CHARACTERS."""
    return [Row(**_cut(asdict(problem))) for problem in problems]


class Place(BaseModel):
    """What is wrong at one place of a request, or of a ruleset, with its line where that is known."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    where: str
    problem: str
    line: int | None
    fatal: bool


def places_of(findings: Sequence[Finding]) -> list[Place]:
    """Convert the errors and warnings found in a text."""
    return [Place.model_validate(finding) for finding in findings]


class Faults(BaseModel):
    """An error; with 422 what is wrong, as far as the problems can be listed one by one."""

    model_config = ConfigDict(extra="forbid")

    detail: str
    errors: list[Row] | list[Place] | None = None


def refuse(scope: Scope, error: FivefoldError) -> Response:
    """Write the response to an error, and note its cause for the log; raise an internal error."""
    note_cause(scope, error)
    response = response_to(error)
    if response is None:
        raise error
    return response


def response_to(error: FivefoldError) -> Response | None:
    """Write the response to an error; None for an internal one."""
    status = http_status(error)
    if status is None:
        return None
    if isinstance(error, InvalidDataError):
        return _listed(_headline(error), [_cut(asdict(problem)) for problem in error.problems])
    if isinstance(error, InvalidRulesetError):
        more = _rest(sum(finding.problems for finding in error.findings))
        return _listed(_headline(error) + more, [_cut(_finding(each)) for each in error.findings[:PROBLEMS_LISTED]])
    if status == 503 and not isinstance(error, LockedError):
        return error_response(503, headers=LATER)  # the caller need not know how the database fails
    headers = SOON if isinstance(error, UnderWayError) else LATER if status == 503 else None
    return error_response(status, str(error), headers=headers)


def _finding(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in Place.model_fields}


def _headline(error: FivefoldError) -> str:
    """Return the message of an error without its list of problems, which an answer holds separately."""
    return str(error).partition("\n")[0].removesuffix(":")


def _cut(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: _short(value) if isinstance(value, str) else value for name, value in entry.items()}


def invalid_request(what: str, error: ValidationError, form: Any = None) -> Response:
    """Write the validation problems of a body or a query, up to PROBLEMS_LISTED; *form* is its type."""
    problems = error.errors(include_url=False, include_input=error.error_count() == 1)  # unreadable JSON is one problem
    places = [_place(what, each, form) for each in problems[:PROBLEMS_LISTED]]
    return _listed(f"{UNPROCESSABLE}{_rest(len(problems))}", places)


def invalid_rows(problems: Sequence[ErrorDetails], form: Any = None) -> Response:
    """Write the problems of rows; the caller collects up to one more than are listed."""
    more = f": the first {PROBLEMS_LISTED} problems, and there are more" if len(problems) > PROBLEMS_LISTED else ""
    return _listed(f"{UNPROCESSABLE}{more}", [_place("body", each, form) for each in problems[:PROBLEMS_LISTED]])


def _rest(count: int) -> str:
    return f": the first {PROBLEMS_LISTED} of {count} problems" if count > PROBLEMS_LISTED else ""


def invalid_part(where: str, problem: str) -> Response:
    """Write one problem of a request."""
    return _listed(UNPROCESSABLE, [_entry(where, problem)])


def _place(what: str, details: ErrorDetails, form: Any) -> dict[str, Any]:
    if details["type"] == "json_invalid":
        return _entry(what, f"{unreadable(details)}; allowed: JSON in UTF-8, uncompressed")
    where = ".".join([what, *map(str, details["loc"])])
    if details["type"] == "extra_forbidden":
        return _entry(where, _unknown_name(what, details["loc"], form))
    text = details["msg"].removeprefix("Value error, ")
    return _entry(where, text[:1].lower() + text[1:])


def _unknown_name(what: str, place: Sequence[int | str], form: Any) -> str:
    """Describe an unknown name, with the names that the form itself, or each row of a list, takes."""
    problem = "is not a parameter of this route" if what == "query" else "is not a field here"
    while get_origin(form) in {Annotated, list}:
        form = get_args(form)[0]
    is_inside = len([name for name in place if not isinstance(name, int)]) > 1
    fields = {} if is_inside else getattr(form, "model_fields", {})
    names = ", ".join(field.alias or name for name, field in fields.items())
    return f"{problem}; allowed: {names}" if names else problem


def _entry(where: str, problem: str) -> dict[str, Any]:
    return {"where": _short(where), "problem": _short(problem), "line": None, "fatal": True}


def _short(text: str) -> str:
    """Cut text from the request: an answer must not repeat a name of a megabyte a hundred times."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


def _listed(detail: str, errors: Sequence[dict[str, Any]]) -> Response:
    body = [{"detail": detail, "errors": errors}]
    return Response(to_json(body), 422, media_type="application/json", headers={ARRAY: "1"})


class TakenRows(ResponseModel):
    """What was taken. `refused` rows were not; what is wrong with them stands in `errors`, rows counted from 0."""

    refused: int
    errors: list[Row]

    @classmethod
    def in_part(cls, rows: AcceptedRows[Any]) -> Self:
        """Convert the result of a call with many rows."""
        more = {"refused": rows.refused, "errors": row_lines(rows.problems)}
        return cls.model_validate({**vars(rows.result), **more})
