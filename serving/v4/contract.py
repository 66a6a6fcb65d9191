"""The contract of /v4/scoring: the form of a body, and of a score."""

import json
import re
import sys
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, NotRequired, get_type_hints

from pydantic import FailFast, Strict, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from fivefold.domain.errors import PROBLEMS_LISTED, Problem
from fivefold.domain.segments import rounded_score
from fivefold.domain.settings import Limits
from fivefold.domain.text import cut_text
from fivefold.features import schema as c
from fivefold.features.column_names import unread_columns
from fivefold.features.reading.columns import short_text
from fivefold.features.reading.request_body import BodyColumns, measure_body
from fivefold.models.explain import explanation_content
from fivefold.models.value_model import ValueModel
from fivefold.serving.responses import UNPROCESSABLE, ApiError
from fivefold.serving.v4.decoding import decode_body
from fivefold.usecases.scoring import ScoredRows

Text = Annotated[str, Strict()]
Number = Annotated[float, Strict()]


class Row(TypedDict):
    """One transaction; unknown fields are ignored."""

    user_id: Text
    transaction_state: NotRequired[Text | None]
    transaction_currency: Text
    user_balance: Number
    transaction_amount: Number
    user_created: Text
    user_category: Text
    transaction_date: Text
    transaction_id: NotRequired[Text | None]


ROWS = TypeAdapter(Annotated[list[Row], FailFast()])
"""Stops at the first invalid row: a list of all problems of a large body would take seconds, and gigabytes."""
_ALLOWED = {"user_balance": "a number", "transaction_amount": "a number"}
TOO_LARGE = "Request Entity Too Large"
_PLACE = re.compile(r" at line (\d+) column (\d+)$")
WIDEST = 1_000
"""Most fields of one object: each problem carries a copy of its object."""
VALUES_PER_ROW = 20
"""Most values of a row on average: twice as many as the contract's fields."""


@dataclass(frozen=True)
class Form:
    """Validators of rows: `of_list` stops at the first invalid row, `of_row` lists every problem of one."""

    of_list: TypeAdapter[Any]
    of_row: TypeAdapter[Any]


@lru_cache(maxsize=32)
def form_of(absent: tuple[str, ...]) -> Form:
    """Return the validators for a model whose training data lacked columns (`ValueModel.absent`).

    These columns are ignored like unknown fields, except those of `features.column_names.READ_ANYWAY`,
    which are optional.
    """
    if not absent:
        return Form(ROWS, TypeAdapter(Row))
    unread = unread_columns(absent)
    fields = {name: kind for name, kind in get_type_hints(Row, include_extras=True).items() if name not in unread}
    if c.CURRENCY in absent:
        fields[c.CURRENCY] = NotRequired[Text | None]
    row: Any = TypedDict("Row", fields)  # type: ignore[misc]  # its fields are known only at run time
    return Form(TypeAdapter(Annotated[list[row], FailFast()]), TypeAdapter(row))


def read_rows(body: bytes, limits: Limits, absent: tuple[str, ...] = ()) -> BodyColumns | list[Row]:
    """Read a body; ApiError 413 beyond the server's limits, 422 if it is not an array of rows.

    A flat body with every field is scanned into columns; `form_of(absent)` reads any other, and lists its problems.
    """
    form = form_of(absent)
    columns = decode_body(body, min(limits.rows, limits.users))  # n rows have at most n users
    if columns is not None:
        return columns
    require_shape(body, limits.rows)
    try:
        rows: list[Row] = form.of_list.validate_json(body)
    except ValidationError as error:
        objects = _parse_leniently(body)
        _require_small(objects, limits)
        problems = _problems(objects, form) or [_problem(error.errors(include_url=False)[0])]
        raise ApiError(422, UNPROCESSABLE, problems) from None
    _require_small(rows, limits)
    return rows


def require_shape(body: bytes, most_rows: int | None, rows_worth: int | None = None) -> None:
    """Raise ApiError 413 if a body is too large or too wide to be parsed.

    Args:
        body: the bytes of the request, perhaps not JSON.
        most_rows: most elements of the outermost array; None for a body that is not an array of rows.
        rows_worth: most rows whose number of values the body may have; *most_rows* by default.
    """
    shape = measure_body(body)
    if most_rows is not None and shape.rows > most_rows:
        raise _too_large(most_rows, "body", f"has {shape.rows:,} rows", f"{most_rows:,} rows")
    if shape.widest > WIDEST:
        raise _too_large(shape.widest_row, "row", f"has {shape.widest:,} fields", f"{WIDEST:,} fields")
    most_values = VALUES_PER_ROW * max(WIDEST, rows_worth or most_rows or 0)
    if shape.values > most_values:
        raise _too_large(0, "body", f"has {shape.values:,} values", f"{most_values:,} values")


def _too_large(row: int, field: str, problem: str, allowed: str) -> ApiError:
    return ApiError(413, TOO_LARGE, [Problem(row, field, problem, allowed)])


def _parse_leniently(body: bytes) -> list[Any]:
    try:
        content = from_json(body)
    except ValueError:
        return []
    return content if isinstance(content, list) else []


def _require_small(rows: Sequence[Any], limits: Limits) -> None:
    users = {row.get("user_id") for row in rows if isinstance(row, dict) and isinstance(row.get("user_id"), str)}
    if len(users) > limits.users:
        raise _too_large(0, "body", f"has {len(users):,} users", f"{limits.users:,} users")


def _problems(rows: Sequence[Any], form: Form) -> list[Problem]:
    """List the problems of rows, up to PROBLEMS_LISTED."""
    problems: list[Problem] = []
    for number, row in enumerate(rows):
        try:
            form.of_row.validate_json(to_json(row))  # as JSON: Python's numbers are validated by other rules
        except ValidationError as error:
            problems += [_problem(details, number) for details in error.errors(include_url=False)]
        if len(problems) >= PROBLEMS_LISTED:
            break
    return problems[:PROBLEMS_LISTED]


def _problem(details: Mapping[str, Any], row: int | None = None) -> Problem:
    if details["type"] == "json_invalid":
        return Problem(0, "body", unreadable(details), "a JSON array of objects, in UTF-8 and not compressed")
    if row is None:
        return Problem(0, "body", f"is {_shown(details['input'])}", "a JSON array of objects")
    if not details["loc"]:
        return Problem(row, "row", f"is {_shown(details['input'])}", "an object with the fields of a transaction")
    field = str(details["loc"][0])
    what = "is missing" if details["type"] == "missing" else f"is {_shown(details['input'])}"
    return Problem(row, field, what, _ALLOWED.get(field, "text"))


def unreadable(details: Mapping[str, Any]) -> str:
    """Describe why a body cannot be parsed, from its first bytes or the parser's words; Python limits the digits."""
    body = details.get("input")
    if isinstance(body, bytes) and body.startswith(BOM_UTF8):
        return "begins with a byte order mark"
    if isinstance(body, bytes) and (body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or (len(body) > 1 and 0 in body[:2])):
        return "is in UTF-16 or UTF-32"
    words = str(details["ctx"]["error"])
    if "recursion limit" in words:
        return "is nested too deeply"
    if "number out of range" in words:
        return f"has a number of more than {sys.int_info.default_max_str_digits} digits"
    place = _PLACE.search(words)
    if place is None or not isinstance(body, bytes) or not body.strip():
        return "is not JSON"
    return f"is not JSON at {_place_for_people(body, int(place[1]), int(place[2]))}"


def _place_for_people(body: bytes, line: int, column: int) -> str:
    """Convert the parser's place, whose column counts bytes and is 0 for the end of the line before, to characters."""
    start = 0
    for _ in range(line - 1):
        start = body.index(b"\n", start) + 1
    *lines, last = body[: max(start + column - 1, 0)].split(b"\n")
    return f"line {len(lines) + 1:,}, column {len(last.decode(errors='replace')) + 1:,}"


def _shown(value: Any) -> str:
    """Write a value as the caller wrote it: null and true, not None and True."""
    return short_text(value) if isinstance(value, str) else cut_text(json.dumps(value, ensure_ascii=False))


def response_rows(answer: ScoredRows, model: ValueModel, model_description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Convert scores to the contract's form, with their explanations if they were requested."""
    scores = answer.scores
    elements = [
        {"user_id": user_id, "score": rounded_score(score, category, model.cut_points), "category": category}
        for user_id, score, category in zip(
            answer.user_ids, scores.score.tolist(), scores.category.tolist(), strict=True
        )
    ]
    if answer.explanations is not None:
        return [
            {
                **element,
                **explanation_content(model, answer.explanations, number),
                "history": reach.to_dict(),
                "model": model_description,
            }
            for number, (element, reach) in enumerate(zip(elements, answer.reaches, strict=True))
        ]
    return elements
