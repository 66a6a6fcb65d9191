"""The routes as the world meets them: documented in full, and answered as documented."""

import asyncio
import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import jsonschema
import pytest

from fivefold.serving.v1.path_encoding import path_to
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.serving.v1.router import PartedRoute
from tests.serving.v1.examples import EXAMPLES
from tests.serving.v1.places import Place
from tests.serving.v1.places import routes as routes_of_platform

ERRORS = {"401", "403", "404", "409", "413", "422", "429", "500", "503", "504"}


@pytest.fixture(scope="module")
def document(furnished: Place) -> dict[str, Any]:
    return dict(furnished.ask("GET", "/openapi.json").json())


def test_what_only_reads_is_not_said_to_be_perhaps_done(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, described in methods.items() if path.startswith("/v1/") else ():
            words = described["responses"]["504"]["description"]
            assert ("may have been done" in words) is (method != "get"), (method, path)


def test_every_route_and_every_status_is_documented(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path): said
        for path, methods in document["paths"].items()
        if path.startswith("/v1/")
        for method, said in methods.items()
    }
    assert set(described) == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        said = described[route.method, route.path]
        good = set() if route.gives is type(None) else {str(route.status)}
        good |= {"204"} if route.may_give_nothing else set()
        good |= {"207"} if route.handler.__name__ in {"put_entities", "put_links", "post_transactions"} else set()
        assert set(said["responses"]) == good | ERRORS
        named = {parameter["name"] for parameter in said.get("parameters", []) if parameter["in"] == "path"}
        assert named == set(route.names)
        repeats = route.method != "GET" and not route.tells_secret
        for status in good or {"204"}:
            assert ("Idempotency-Replayed" in said["responses"][status]["headers"]) is repeats
        assert ("requestBody" in said) is ("body" in route.takes)


def test_what_a_query_is_without_a_parameter_is_of_the_type_of_that_parameter(document: dict[str, Any]) -> None:
    """A generated client sends the default, so an empty array for text would be the name `[]`."""
    types = {"string": str, "integer": int, "boolean": bool}
    parameters = [
        (path, each["name"], each["schema"])
        for path, methods in document["paths"].items()
        for said in methods.values()
        for each in said.get("parameters", [])
        if each["schema"].get("default") is not None and each["schema"].get("type") in types
    ]
    assert len(parameters) > 50
    wrong = [each for each in parameters if type(each[2]["default"]) is not types[each[2]["type"]]]
    assert wrong == []


def test_every_operation_has_a_short_name_of_its_own(document: dict[str, Any]) -> None:
    """A generated client calls its functions so."""
    names = [said["operationId"] for methods in document["paths"].values() for said in methods.values()]
    assert len(set(names)) == len(names)
    assert {"score_customers", "list_indicators"} < set(names)
    assert [name for name in names if not re.fullmatch("[a-z]+(_[a-z]+){0,4}", name)] == []


def test_no_parameter_is_null_which_no_query_can_say(document: dict[str, Any]) -> None:
    schemas = [
        each["schema"]
        for methods in document["paths"].values()
        for said in methods.values()
        for each in said.get("parameters", [])
    ]
    assert len(schemas) > 500
    assert [schema for schema in schemas if {"type": "null"} in schema.get("anyOf", [])] == []


def test_a_fuller_form_comes_before_one_that_it_fits_too(document: dict[str, Any]) -> None:
    """A generated client takes the first form that fits, and would drop the breakdown that was asked and paid for."""

    def fields(schema: dict[str, Any]) -> tuple[set[str], set[str]]:
        while "$ref" in schema or "items" in schema:
            name = schema.get("$ref", "").rpartition("/")[2]
            schema = document["components"]["schemas"][name] if name else schema["items"]
        return set(schema.get("required", [])), set(schema.get("properties", {}))

    def forms(part: Any) -> Iterator[list[dict[str, Any]]]:
        if isinstance(part, dict) and isinstance(part.get("anyOf"), list):
            yield [each for each in part["anyOf"] if fields(each)[1]]
        for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from forms(below)

    several = [each for each in forms(document) if len(each) > 1]
    assert len(several) > 5
    hidden = [
        (first, later)
        for each in several
        for first, later in combinations(each, 2)
        if fields(first)[0] <= fields(later)[1]
    ]
    assert hidden == []


def test_bounds_of_whole_numbers_are_whole_numbers(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "e+18" not in text
    assert f'"maximum": {2**63 - 1}' in text


def test_errors_are_described_without_a_validator_each(document: dict[str, Any]) -> None:
    app, _ = routes_of_platform()
    routes = [route for route in app.routes if isinstance(route, PartedRoute)]
    assert len(routes) == len(ROUTES)
    assert max(len(route.response_fields.keys() & set(map(int, ERRORS))) for route in routes) == 1
    history = document["paths"]["/v1/entities/{type}/{external_id}/history"]["get"]["responses"]
    bodies = {status: history[status]["content"]["application/json"]["schema"] for status in ERRORS}
    items = {"$ref": "#/components/schemas/Faults"}
    assert bodies == {
        status: {"type": "array", "items": items, "title": f"Response {status} Read History"} for status in ERRORS
    }


def test_no_field_is_a_moment_in_microseconds(document: dict[str, Any]) -> None:
    """A comparison of models is shown as training stored it in the registry."""
    schemas = document["components"]["schemas"]
    named = {(name, field) for name, schema in schemas.items() for field in schema.get("properties", {})}
    assert {name for name, field in named if field.endswith("_us")} == {"VersionComparison"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.handler.__name__)
def test_answers_are_as_documented(place: Place, document: dict[str, Any], route: Route) -> None:
    """A good one, one for another role, and one of a request that cannot be read."""
    example = EXAMPLES[route.handler.__name__]
    path, query = example.path(route), dict(example.query)
    answers = [
        place.ask(route.method, path, example.body, role="admin", params=query),
        place.ask(route.method, path, example.body, params=query),
        place.ask(route.method, path, b"{", role="admin", params=query),
        place.ask(route.method, path, example.body, role="admin", params={**query, "unknown": "x"}),
    ]
    responses = document["paths"][route.path][route.method.lower()]["responses"]
    for answer in answers:
        said = responses[str(answer.status_code)]
        if "content" in said:
            schema = said["content"]["application/json"]["schema"]
            jsonschema.validate(answer.json(), {**schema, "components": document["components"]})
        else:
            assert answer.content == b""
    assert answers[1].status_code == 401
    assert (answers[2].status_code, answers[3].status_code) == (422, 422)


def test_a_schema_is_called_by_its_title(document: dict[str, Any]) -> None:
    """Results of use cases have names of their own there; where two are called alike, both have the module's too."""
    schemas = document["components"]["schemas"]
    others = {name for name, schema in schemas.items() if schema.get("title", name) != name}
    assert {name for name in others if "__" not in name} == set()
    assert list(schemas) == sorted(schemas)
    assert "Tag" in schemas
    assert "TagLine" not in schemas


def test_another_method_names_those_that_a_path_has(furnished: Place) -> None:
    path = path_to("/v1/entities/{type}/{external_id}/tags/{tag}", type="customer", external_id="a/b", tag="c")
    answer = furnished.ask("POST", path, {}, role="admin")
    assert (answer.status_code, answer.json()) == (405, [{"detail": "Method Not Allowed"}])
    assert answer.headers["allow"] == "DELETE, PUT"


def test_what_there_is_no_route_for_is_not_there(furnished: Place) -> None:
    for path in ("/v1/nothing", "/v1", "/v1/settings/", "/v1/entities/a/b/c"):
        answer = furnished.ask("GET", path, role="admin")
        assert (answer.status_code, answer.json()) == (404, [{"detail": "Not Found"}]), path


def test_requests_are_counted_by_the_patterns_of_their_paths(furnished: Place) -> None:
    """So that no identifier becomes a label."""
    from tests.serving.inprocess import client

    async def scopes() -> None:
        async with client(furnished.edge) as asking:
            await asking.get("/v1/members/77/roles")
            await asking.put("/v1/members/77/roles")

    asyncio.run(scopes())
    assert furnished.watching.routes[-2:] == [None, "/v1/members/{member}/roles"]
