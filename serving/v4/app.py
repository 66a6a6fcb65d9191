"""The HTTP routes: FastAPI documents all of them; scoring is answered in front of it."""

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fivefold.domain.errors import StoreError, UnknownOutcomeError
from fivefold.features import schema as c
from fivefold.features.catalogue.indicator import Catalogue
from fivefold.features.catalogue_page import empty_text
from fivefold.features.indicator_matrix import catalogue
from fivefold.features.reading.columns import ALLOWED_TIME
from fivefold.features.schema import LARGEST_MAGNITUDE
from fivefold.serving import responses as answers
from fivefold.serving.access_log import note_cause
from fivefold.serving.responses import ApiError, error_response, json_response
from fivefold.serving.v4.contract import ROWS
from fivefold.serving.v4.endpoint import ScoringEndpoint, refuse_any_parameter

SCORING = "/v4/scoring"
INDICATORS = "/v4/indicators"


class Exact(BaseModel):
    """Has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Problem(Exact):
    """What is wrong with one field of one row."""

    row: int
    field: str
    problem: str
    allowed: str


class Detail(Exact):
    """An error."""

    detail: str


class Listed(Detail):
    """An error, and where it arose."""

    errors: list[Problem]


class Contribution(Exact):
    """What one indicator did to a score."""

    indicator: str
    family: str
    value: float | None
    unit: str
    points: float
    sentence: str


class Model(Exact):
    """Which model answered."""

    name: str
    version: int
    fingerprint: str
    rates_date: str


class Score(Exact):
    """A customer's score."""

    user_id: str
    score: float = Field(ge=1, le=5)
    category: Literal["low", "medium", "high", "top"]


class History(Exact):
    """How far the rows of a customer reach, against the creation of the account."""

    from_: str = Field(alias="from")
    user_created: str
    days: int
    days_before_it: int
    short: bool


class Interval(Exact):
    """Between what the value will lie; a high end is null where too few customers were seen to say one."""

    level_percent: int = Field(ge=1, le=99)
    expected_value_low: float = Field(ge=0)
    expected_value_high: float | None
    score_low: float = Field(ge=1, le=5)
    score_high: float | None = Field(le=5)


class Explained(Score):
    """A customer's score and everything behind it, with explain=true."""

    expected_value: float
    interval: Interval | None
    consistency: float | None = Field(ge=0, le=1)
    currency: str
    horizon_days: int
    percentile: float = Field(ge=0, le=1)
    reference_date: str
    base: float
    contributions: list[Contribution]
    families: dict[str, float]
    history: History
    model: Model


class Described(Exact):
    """One indicator of the catalogue."""

    indicator: str
    family: str
    unit: str
    meaning: str
    window_days: int | None
    empty: str


class Described_catalogue(Exact):  # noqa: N801 (its name is in the OpenAPI document)
    """The catalogue."""

    fingerprint: str
    indicators: list[Described]


LISTED = (400, 413, 422)
"""Statuses of errors that list problems."""

EVERYWHERE = {
    "X-Request-Id": {"description": "Names this request in the log", "schema": {"type": "string"}},
    "X-Model-Version": {"description": "Which model answered, or none", "schema": {"type": "string"}},
}
QUOTA = {
    f"X-Quota-{what}-Left": {
        "description": f"{what} that the plan still allows this month",
        "schema": {"type": "integer"},
    }
    for what in ("Calls", "Users")
}
LATER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}

SIGN_IN = {"WWW-Authenticate": {"description": "How to sign in", "schema": {"type": "string"}}}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "model": list[Listed] if status in LISTED else list[Detail],
        "description": text,
        "headers": {
            **EVERYWHERE,
            **(SIGN_IN if status == 401 else {}),
            **(LATER if status in {429, 503} else {}),
            **(QUOTA if status == 429 else {}),
        },
    }
    for status, text in {
        400: answers.DATA_NOT_VALID,
        401: answers.NO_CREDENTIALS,
        403: "Not for the role of this token, or its plan is not there any more",
        405: answers.USER_TYPE,
        406: answers.TOO_MANY_ROWS,
        413: "More bytes, rows or users than the server takes",
        422: answers.UNPROCESSABLE,
        429: answers.USED_UP,
        500: "Internal Server Error",
        503: "No model is ready",
        504: "Gateway Timeout",
    }.items()
}
_LARGEST_WHOLE = 2**63 - 1
"""No whole number of the API is larger."""
_MAGNITUDE = {"minimum": -LARGEST_MAGNITUDE, "maximum": LARGEST_MAGNITUDE}
EXAMPLE = {
    "user_id": "user_123",
    "transaction_state": "SUCCEEDED",
    "transaction_currency": "EUR",
    "user_balance": 1000.0,
    "transaction_amount": 50.0,
    "user_created": "2024-01-01T12:00:00",
    "user_category": "WEB",
    "transaction_date": "2024-06-30T12:00:00",
}


class ScoringFastPath:
    """Answers POST /v4/scoring ahead of everything that a framework does for a request; passes the rest on.

    The frameworks' own way to the same endpoint cost a third of the throughput, and 401 must come before their 422.
    """

    def __init__(self, endpoint: ScoringEndpoint, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._endpoint = endpoint
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == SCORING and scope["method"] == "POST":
            await (await respond(self._endpoint, Request(scope, receive)))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def respond(endpoint: ScoringEndpoint, request: Request) -> Response:
    """Answer a request to score, errors included."""
    try:
        return await endpoint.answer(request)
    except ApiError as refusal:
        return refusal.response()
    except StoreError as error:
        note_cause(request.scope, error)
        if isinstance(error, UnknownOutcomeError):
            return error_response(504)
        return error_response(503, headers={"Retry-After": "10"})


class Documented(FastAPI):
    """Adds the ways to authenticate to its OpenAPI document, after the functions in `completing` have changed it."""

    def __init__(self, **parts: Any) -> None:
        """Take FastAPI's parameters."""
        super().__init__(**parts)
        self.completing: list[Callable[[dict[str, Any]], None]] = []

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, built once."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        document = super().openapi()
        _write_bounds_exactly(document)
        for complete in self.completing:
            complete(document)
        document.setdefault("components", {})["securitySchemes"] = {
            "token": {"type": "apiKey", "in": "header", "name": "token"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        document["security"] = [{"token": []}, {"bearer": []}]
        document["paths"].get(INDICATORS, {}).get("get", {})["security"] = []
        return document

    @cached_property
    def document_bytes(self) -> bytes:
        """The document as JSON, serialized once: that takes as long as hundreds of scores."""
        return to_json(self.openapi())


def _write_bounds_exactly(part: Any) -> None:
    """Write bounds of whole numbers as integers: the framework writes floats, which cannot represent the largest."""
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _write_bounds_exactly(below)
    if isinstance(part, dict) and part.get("type") == "integer":
        for word in part.keys() & {"minimum", "maximum"}:
            part[word] = min(int(part[word]), _LARGEST_WHOLE)


def build_app(endpoint: ScoringEndpoint) -> Documented:
    """Build the application around the endpoint of this worker; `ScoringFastPath` answers its main route."""
    app = Documented(title="fivefold", version="4", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]  # each handler gets its own exception
    app.add_exception_handler(RequestValidationError, _validation)  # type: ignore[arg-type]  # as above

    async def documented(
        request: Request,
        token: Annotated[str | SkipJsonSchema[None], Header(description="Your token")] = None,
        user_type: Annotated[str, Query(description="Only PERSON", json_schema_extra={"enum": ["PERSON"]})] = "PERSON",
        as_of: Annotated[
            str | SkipJsonSchema[None],
            Query(description="ISO 8601 time, up to 24 hours ahead; now by default", examples=["2024-07-01"]),
        ] = None,
        explain: Annotated[bool, Query(description="Add the breakdown of each score")] = False,
    ) -> Response:
        """Predict each customer's score from 1 to 5 and segment from deposits and withdrawals."""
        # Declared for the document alone: the endpoint reads them from the request.
        del token, user_type, as_of, explain
        return await respond(endpoint, request)

    app.add_api_route(
        SCORING,
        documented,
        methods=["POST"],
        tags=["Scoring"],
        summary="Score customers",
        operation_id="score_customers",
        responses={200: {"model": list[Explained] | list[Score], "headers": {**EVERYWHERE, **QUOTA}}, **ERRORS},
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _rows_schema()}}}},
    )
    indicator_responses: dict[int | str, dict[str, Any]] = {
        200: {"model": Described_catalogue, "headers": EVERYWHERE},
        400: ERRORS[400],
        500: ERRORS[500],
        504: ERRORS[504],
    }

    def indicators(request: Request) -> Response:
        """Describe the catalogue that scores are made of."""
        try:
            refuse_any_parameter(request)
        except ApiError as refusal:
            return refusal.response()
        served = endpoint.loader.current
        return catalogue_response(catalogue() if served is None else served.model.catalogue)

    app.add_api_route(
        INDICATORS,
        indicators,
        methods=["GET"],
        tags=["Scoring"],
        operation_id="list_indicators",
        responses=indicator_responses,
    )
    return app


def catalogue_response(described: Catalogue) -> Response:
    """Describe a catalogue."""
    rows = [
        Described(
            indicator=each.name,
            family=each.family,
            unit=each.unit,
            meaning=each.meaning,
            window_days=each.window_days,
            empty=empty_text(each),
        ).model_dump()
        for each in described.indicators
    ]
    return json_response({"fingerprint": described.fingerprint, "indicators": rows})


REQUIRED_WHERE = "Required where the served model was trained with it"
WHAT_IS_REQUIRED = (
    "One transaction; unknown fields are ignored. A model whose training data had "
    f"{', '.join(c.ABSENT)} needs them in every row, and answers 422 that names each one that is missing; a model "
    "whose training data lacked one reads rows without it."
)


def _rows_schema() -> dict[str, Any]:
    """Return the JSON schema of rows; only fields that every model needs are required."""
    schema = ROWS.json_schema(ref_template="#/components/schemas/{model}")
    row = schema.pop("$defs")["Row"]
    row["required"] = [name for name in row["required"] if name not in c.ABSENT]
    row["description"] = WHAT_IS_REQUIRED
    for field, more in {
        c.USER_ID: {"minLength": 1},
        c.CATEGORY: {"enum": list(c.CATEGORIES)},
        c.STATE: {"description": f"One of {', '.join(c.STATES)}, in any case; a row without one is settled"},
        c.CURRENCY: {"description": "ISO 4217 code that the model has a rate for"},
        c.AMOUNT: {"description": "Positive deposit, negative withdrawal", **_MAGNITUDE},
        c.BALANCE: {"description": "After the transaction", **_MAGNITUDE},
        c.DATE: {"description": ALLOWED_TIME},
        c.CREATED: {"description": ALLOWED_TIME},
    }.items():
        row["properties"][field] |= more
    for field in c.ABSENT:
        text = row["properties"][field].get("description", "")
        row["properties"][field]["description"] = f"{text}{'. ' if text else ''}{REQUIRED_WHERE}"
    return {"type": "array", "minItems": 1, "items": row, "examples": [[EXAMPLE]]}


async def _http(_: Request, error: HTTPException) -> Response:
    return error_response(error.status_code, headers=error.headers)


async def _validation(_: Request, __: RequestValidationError) -> Response:
    return error_response(422, answers.UNPROCESSABLE)
