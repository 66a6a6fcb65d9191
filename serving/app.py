"""The HTTP routes: FastAPI documents them all, and the hot one is a plain route in front of its documentation."""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.document import empty_text
from features.matrix import catalogue
from serving import answers
from serving.answers import Refusal, answered, refused
from serving.contract import ROWS
from serving.scoring import Desk

SCORING = "/v4/scoring"
INDICATORS = "/v4/indicators"


class Problem(BaseModel):
    """What is wrong with one field of one row."""

    row: int
    field: str
    problem: str
    allowed: str


class Detail(BaseModel):
    """An error."""

    detail: str
    errors: list[Problem] | None = None


class Contribution(BaseModel):
    """What one indicator did to a score."""

    indicator: str
    family: str
    value: float | None
    unit: str
    points: float
    sentence: str


class Model(BaseModel):
    """Which model answered."""

    name: str
    version: int
    fingerprint: str
    rates_date: str


class Score(BaseModel):
    """A customer's score; the fields from expected_value on are there with explain=true."""

    user_id: str
    score: float
    category: Literal["low", "medium", "high", "top"]
    expected_value: float | None = None
    currency: str | None = None
    horizon_days: int | None = None
    percentile: float | None = None
    base: float | None = None
    contributions: list[Contribution] | None = None
    families: dict[str, float] | None = None
    model: Model | None = None


class Described(BaseModel):
    """One indicator of the catalogue."""

    indicator: str
    family: str
    unit: str
    meaning: str
    window_days: int | None
    empty: str


class Described_catalogue(BaseModel):  # noqa: N801 (its name is shown in the document)
    """The catalogue."""

    fingerprint: str
    indicators: list[Described]


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": list[Detail], "description": text}
    for status, text in {
        400: answers.DATA_NOT_VALID,
        401: answers.NO_CREDENTIALS,
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


def build_app(desk: Desk) -> FastAPI:
    """Build the application around the desk of this worker."""
    app = FastAPI(title="fivefold", version="4", docs_url=None, redoc_url=None)
    app.add_exception_handler(Refusal, _refusal)  # type: ignore[arg-type]  # each handler gets its own exception
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]  # as above
    app.add_exception_handler(RequestValidationError, _validation)  # type: ignore[arg-type]  # as above

    async def scoring(request: Request) -> Response:
        try:
            return await desk.answer(request)
        except Refusal as refusal:
            return refusal.response()

    async def documented(
        request: Request,
        token: Annotated[str | None, Header(description="Your token")] = None,
        user_type: Annotated[str, Query(description="Only PERSON")] = "PERSON",
        as_of: Annotated[str | None, Query(description="ISO 8601 time; now by default")] = None,
        explain: Annotated[bool, Query(description="Add the breakdown of each score")] = False,
    ) -> Response:
        """Predict each customer's score from 1 to 5 and segment from deposits and withdrawals."""
        del token, user_type, as_of, explain  # named for the document alone: the desk reads them from the request
        return await scoring(request)

    app.add_api_route(
        SCORING,
        documented,
        methods=["POST"],
        responses={200: {"model": list[Score]}, **ERRORS},
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _rows_schema()}}}},
    )
    app.add_api_route(INDICATORS, indicators, methods=["GET"], responses={200: {"model": Described_catalogue}})
    # In front: FastAPI's dependency machinery costs a third of the throughput, and 401 must come before 422.
    app.router.routes.insert(0, Route(SCORING, scoring, methods=["POST"]))
    return app


def indicators() -> Response:
    """Describe the catalogue that scores are made of."""
    found = catalogue()
    described = [
        Described(
            indicator=made.name,
            family=made.family,
            unit=made.unit,
            meaning=made.meaning,
            window_days=made.window_days,
            empty=empty_text(made),
        ).model_dump()
        for made in found.indicators
    ]
    return answered({"fingerprint": found.fingerprint, "indicators": described})


def _rows_schema() -> dict[str, Any]:
    schema = ROWS.json_schema(ref_template="#/components/schemas/{model}")
    row = schema.pop("$defs")["Row"]
    row["properties"]["user_category"]["enum"] = ["API", "WEB"]
    return {"type": "array", "minItems": 1, "items": row}


async def _refusal(_: Request, refusal: Refusal) -> Response:
    return refusal.response()


async def _http(_: Request, error: HTTPException) -> Response:
    return refused(error.status_code, headers=error.headers)


async def _validation(_: Request, __: RequestValidationError) -> Response:
    return refused(422, answers.UNPROCESSABLE)
