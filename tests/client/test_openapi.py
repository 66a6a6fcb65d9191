"""Each route, parameter and field that the client names is in the document that the service gives of itself."""

import importlib
import inspect
import json
import pkgutil
from functools import cache
from typing import Any

import pytest

from fivefold.client import parts
from fivefold.client.calls import Call, Repeat
from fivefold.client.client import Client
from fivefold.serving.v1.permissions import ROUTES
from tests.client.documents import defaults_of, differences
from tests.serving.v1.places import routes

CALLS: dict[str, Call[Any]] = {
    f"{module.name}.{name}": call
    for module in pkgutil.iter_modules(parts.__path__)
    for name, call in vars(importlib.import_module(f"{parts.__name__}.{module.name}")).items()
    if isinstance(call, Call)
}


@cache
def document() -> str:
    return json.dumps(routes()[0].openapi())


def served() -> dict[str, Any]:
    """Give a copy, to be changed."""
    return dict(json.loads(document()))


read = cache(served)


def test_there_are_calls() -> None:
    assert {"scoring.SCORE", "entities.PUT", "levels.RISK", "work.DECIDE"} <= set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_what_a_call_names_is_served(name: str) -> None:
    assert list(differences(CALLS[name], read())) == []


def test_what_changes_something_is_sent_again_by_its_key_alone() -> None:
    """But for transactions, which are taken once by their own identifier, and for what keeps nothing."""
    free = {"scoring.SCORE", "scoring.EXPLAIN", "entities.ADD_TRANSACTIONS", "flows.TRY", "flows.IMPORT"}
    assert {name for name, call in CALLS.items() if call.method != "GET" and call.repeat is not Repeat.BY_KEY} == free
    secret = {route.path for route in ROUTES if route.tells_secret}
    assert not {call.path for call in CALLS.values()} & secret


def test_what_is_left_out_means_the_same_as_over_http() -> None:
    """A default of a method, other than None, is the default of its route."""
    with Client("https://scores.example.com", token="t") as client:
        methods = [each for part in vars(client).values() for _, each in inspect.getmembers(part, inspect.ismethod)]
    given = {
        (f"{method.__module__.rpartition('.')[2]}.{constant}", name): parameter.default
        for method in methods
        for constant in method.__code__.co_names
        for name, parameter in inspect.signature(method).parameters.items()
        if isinstance(parameter.default, (str, bool, int))
    }
    compared = {
        place: (default, defaults[place[1]])
        for place, default in given.items()
        if place[0] in CALLS and place[1] in (defaults := defaults_of(CALLS[place[0]], read()))
    }
    assert compared[("work.DECIDE", "freshness")][1] == "refresh"
    assert {place: pair for place, pair in compared.items() if pair[0] != pair[1]} == {}


def renamed(node: Any, old: str) -> Any:
    """The same document, in which every property *old* has another name."""
    if isinstance(node, dict):
        return {f"{key}_" if key == old else key: renamed(value, old) for key, value in node.items()}
    if isinstance(node, list):
        return [f"{each}_" if each == old else renamed(each, old) for each in node]
    return node


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("scoring.SCORE", "category"),
        ("scoring.EXPLAIN", "days_before_it"),
        ("levels.RISK", "stale_rates_days"),
        ("levels.RISK", "rationale"),
        ("entities.TRANSACTIONS", "corrections"),
        ("entities.PUT", "attributes"),
        ("work.DECIDE", "decision_key"),
        ("work.QUEUE", "has_left"),
    ],
)
def test_a_field_of_another_name_is_noticed(name: str, field: str) -> None:
    assert any(field in each for each in differences(CALLS[name], renamed(served(), field)))


def test_a_route_of_another_name_a_parameter_and_a_null_are_noticed() -> None:
    call, changed = CALLS["levels.HISTORY"], served()
    operation = changed["paths"][call.path]["get"]
    operation["parameters"] = [each for each in operation["parameters"] if each["name"] != "limit"]
    assert list(differences(call, changed)) == [f"{call.path}: no parameter limit"]
    changed["components"]["schemas"]["HistoryLine"]["properties"]["line"] = {"anyOf": [{"type": "null"}]}
    assert any("may be null" in each for each in differences(call, changed))
    del changed["paths"][call.path]
    assert list(differences(call, changed)) == [f"GET {call.path} is no route"]
