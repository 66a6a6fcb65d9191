"""Adds the table of routes to FastAPI: documented from the handlers, answered by the dispatcher."""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import Body, Header, Path, Query
from fastapi.routing import APIRoute
from pydantic.json_schema import SkipJsonSchema
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fivefold.serving.responses import NO_CREDENTIALS, UNPROCESSABLE, error_response
from fivefold.serving.v1.dispatch import Dispatcher
from fivefold.serving.v1.errors import IN_PART, Faults, TakenRows
from fivefold.serving.v1.examples import add_examples
from fivefold.serving.v1.idempotency import HEADER, KEY, REPLAYED
from fivefold.serving.v1.paging import LINK
from fivefold.serving.v1.path_encoding import PartedPath
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.serving.v1.schemas import InDocument
from fivefold.serving.v4.app import EVERYWHERE, LATER, SIGN_IN, Documented

_SCHEMAS = "#/components/schemas/"
_NULL = {"type": "null"}
_NEXT = {LINK: {"description": "The next page, as rel=next; absent on the last one", "schema": {"type": "string"}}}
_ERRORS: Mapping[int, str] = {
    401: NO_CREDENTIALS,
    403: "Not for this role",
    404: "Nothing of that name for this organisation",
    409: "A rule of the platform forbids it now",
    413: "More bytes, rows, fields or values than the route takes",
    422: UNPROCESSABLE,
    429: "Too many requests of this token in a minute, or too many of this organisation that wait",
    500: "Internal Server Error",
    503: "The database is out of reach, or too much waits already",
    504: "Gateway Timeout",
}
_WHICH: Mapping[str, Any] = {"query": Query(), "body": Body()}
_TOKEN = Annotated[str | SkipJsonSchema[None], Header(description="Your token; Authorization: Bearer does as well")]


_KEY = Annotated[
    Annotated[str, InDocument(pattern=KEY)] | SkipJsonSchema[None],
    Header(
        alias=HEADER,
        min_length=1,
        max_length=200,
        description="A name of this request: sent again within a day, it is carried out once and answered alike",
    ),
]


_REPLAYED: Mapping[str, Any] = {
    REPLAYED: {
        "description": "This is the answer of the first time that the Idempotency-Key was sent",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


class PartedRoute(PartedPath, APIRoute):
    """A route of the table: matched part by part, and answered without FastAPI's own validation."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint itself, which does its own validation."""
        answer: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return answer

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for this route's path; 405 names all methods of the path."""
        if scope["method"] in (self.methods or ()):
            await super().handle(scope, receive, send)
        else:
            others = sorted(route.method for route in ROUTES if route.path == self.path)
            await error_response(405, headers={"Allow": ", ".join(others)})(scope, receive, send)


def add_platform(app: Documented, dispatcher: Dispatcher) -> None:
    """Add the routes of the table to an application, and their examples to its OpenAPI document."""
    app.completing += [_name_schemas, add_examples, _drop_attributes, _drop_empty_names, _drop_nulls]
    for route in ROUTES:
        app.router.add_api_route(
            route.path,
            _endpoint(dispatcher, route),
            methods=[route.method],
            status_code=_status(route),
            response_model=None,
            summary=route.summary,
            description=route.description,
            tags=[group_of(route)],
            operation_id=route.handler.__name__,
            responses=_responses(route),
            route_class_override=PartedRoute,
        )


def _name_schemas(document: dict[str, Any]) -> None:
    """Name the schema of a use case's result by its declared title, not by its class."""
    schemas = document["components"]["schemas"]
    names = {name: schema.get("title", name) for name, schema in schemas.items() if "__" not in name}
    new = {f"{_SCHEMAS}{name}": f"{_SCHEMAS}{title}" for name, title in names.items() if name != title}
    for node in _nodes(document):
        if node.get("$ref") in new:
            node["$ref"] = new[node["$ref"]]
    renamed = {names.get(name, name): schema for name, schema in schemas.items()}
    document["components"]["schemas"] = {name: renamed[name] for name in sorted(renamed)}


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a document."""
    if isinstance(part, dict):
        yield part
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _nodes(below)


def _drop_attributes(document: dict[str, Any]) -> None:
    """Cut the attributes off the description of a use case's result: they are for readers of the code."""
    for schema in document["components"]["schemas"].values():
        if "description" in schema:
            schema["description"] = schema["description"].partition("\n\nAttributes:")[0]


def _drop_empty_names(document: dict[str, Any]) -> None:
    """Remove the empty array as the default of names: a query has text, and a program would send `[]` as a name."""
    for node in _nodes(document["paths"]):
        schema = node.get("schema", {})
        if schema.get("type") == "string" and schema.get("default") == []:
            del schema["default"]


def _drop_nulls(document: dict[str, Any]) -> None:
    """Remove null from the types of parameters: a query has no null, and a program would send the text `null`."""
    for node in _nodes(document["paths"]):
        schema = node.get("schema", {}) if "in" in node else {}
        if _NULL in schema.get("anyOf", []):
            kinds = [kind for kind in schema.pop("anyOf") if kind != _NULL]
            schema.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def group_of(route: Route) -> str:
    """Name the group of a route: the first word of its path.

    >>> from fivefold.serving.v1.permissions import ROUTES
    >>> group_of(ROUTES[0])
    'entities'
    """
    return route.path.split("/")[2]


def _endpoint(dispatcher: Dispatcher, route: Route) -> Callable[..., Any]:
    """Make the endpoint of a route, with a signature that FastAPI reads to document it."""

    async def answer(request: Request) -> Response:
        return await dispatcher.answer(route, request)

    headers = {"token": _TOKEN} | ({} if route.method == "GET" else {"idempotency_key": _KEY})
    parameters = headers | {
        name: Annotated[type_, _WHICH[name] if name in _WHICH else Path()] for name, type_ in route.takes.items()
    }
    answer.__signature__ = Signature(  # type: ignore[attr-defined]  # a function may have one of its own
        [
            Parameter(
                name, Parameter.KEYWORD_ONLY, annotation=type_, default=None if name in headers else Parameter.empty
            )
            for name, type_ in parameters.items()
        ]
    )
    return answer


def _status(route: Route) -> int:
    return 204 if route.gives is type(None) else route.status


def _body_of_error(route: Route, status: int) -> dict[str, Any]:
    """Describe the body of an error: by its model for one status of each route, else as FastAPI would write it.

    FastAPI makes a validator for each model that it is given, which is never used: for two thousand errors that took
    half a second at the start of every process.
    """
    if status == min(_ERRORS):
        return {"model": list[Faults]}
    title = f"Response {status} {route.handler.__name__.replace('_', ' ').title()}"
    schema = {"type": "array", "items": {"$ref": f"{_SCHEMAS}{Faults.__name__}"}, "title": title}
    return {"content": {"application/json": {"schema": schema}}}


def _responses(route: Route) -> dict[int | str, dict[str, Any]]:
    changes = route.method != "GET"
    replayed = _REPLAYED if changes and not route.tells_secret else {}
    success: dict[str, Any] = {"headers": {**EVERYWHERE, **replayed, **(_NEXT if route.is_paged else {})}}
    if _status(route) != 204:
        success["model"] = route.gives
    errors: dict[int | str, dict[str, Any]] = {
        status: {
            **_body_of_error(route, status),
            "description": f"{text}; what was asked may have been done" if status == 504 and changes else text,
            "headers": {
                **EVERYWHERE,
                **(LATER if status in {409, 429, 503} else {}),
                **(SIGN_IN if status == 401 else {}),
            },
        }
        for status, text in _ERRORS.items()
    }
    nothing: dict[int | str, dict[str, Any]] = (
        {204: {"headers": {**EVERYWHERE, **replayed}}} if route.may_give_nothing else {}
    )
    if isinstance(route.gives, type) and issubclass(route.gives, TakenRows):
        errors[IN_PART] = {**success, "description": "Some rows were refused, and the others are stored"}
    return {**nothing, _status(route): success, **errors}
