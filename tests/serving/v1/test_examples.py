"""The examples of /docs: every body and parameter has one, and they are of the form that is asked for."""

from typing import Any

import jsonschema
import pytest

from fivefold.serving.v1.examples import BODY_EXAMPLES
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from tests.serving.v1.places import Place

WITH_BODY = [route for route in ROUTES if "body" in route.takes]
NOT_FILLED_IN = {"after", "expected_asked_at", "expected_created_at", "expected_since", "token", "Idempotency-Key"}
"""Nobody knows a good one before."""


@pytest.fixture(scope="module")
def document(furnished: Place) -> dict[str, Any]:
    return dict(furnished.ask("GET", "/openapi.json").json())


def operation(document: dict[str, Any], route: Route) -> dict[str, Any]:
    return dict(document["paths"][route.path][route.method.lower()])


def test_every_writing_route_has_an_example_of_its_body(document: dict[str, Any]) -> None:
    assert {route.handler.__name__ for route in WITH_BODY} == set(BODY_EXAMPLES)
    for route in WITH_BODY:
        content = operation(document, route)["requestBody"]["content"]["application/json"]
        schema = {**content["schema"], "components": document["components"]}
        jsonschema.validate(content["example"], schema)
        assert content["example"] == BODY_EXAMPLES[route.handler.__name__]


def test_every_parameter_has_an_example_of_its_form(document: dict[str, Any]) -> None:
    for route in ROUTES:
        for parameter in operation(document, route).get("parameters", []):
            if parameter["name"] in NOT_FILLED_IN:
                assert "example" not in parameter
            else:
                assert "example" in parameter, (route.path, parameter["name"])
                schema = {**parameter["schema"], "components": document["components"]}
                jsonschema.validate(parameter["example"], schema)
