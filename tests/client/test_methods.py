"""Every route of `/v1` has a method of the client, or a reason why programs have none."""

import importlib
import re
from pathlib import Path

import pytest

from fivefold.client import parts
from fivefold.client.client import Client
from fivefold.serving.v1.permissions import ROUTES
from tests.client.test_openapi import CALLS

_ONE = r"/entities/\{type\}/\{external_id\}"
WITHOUT: dict[str, str] = {
    "people write, test and decide what decides, in the console and by commands": (
        r"\w+ /v1/(rulesets/|rulesets$|backtests|policies|proposals|lists|rates|model-promotions|entity-types|settings)"
        r"|\w+ /v1/groups/(check|\{group\}/versions)"
        r"|POST /v1/groups$"
    ),
    "people write and activate flows, in the console": (
        r"(GET|POST) /v1/flows$|POST /v1/flows/check$"
        r"|\w+ /v1/flows/\{flow\}/(draft|draft/discard|draft/review|tables/export|tables/import|commit)$"
        r"|\w+ /v1/flows/\{flow\}/(versions|versions/\{number\}|versions/\{number\}/diff|activations)$"
        r"|POST /v1/flows/\{flow\}/(activate|rollback|off|shadow|shadow/end)$"
    ),
    "people ask for other levels and answer whom they concern, in the console": (
        rf"\w+ /v1/(overrides|challenges|assessments/\{{assessment\}}/(sources|difference|statement|challenges)$)"
        rf"|(GET|POST) /v1{_ONE}/overrides$"
    ),
    "pages of the console show it": (
        rf"GET /v1{_ONE}/(timeline|screenings|links|cases|alerts|transactions/days)$"
        r"|GET /v1/(search/count|values/search|decisions/search|matrix|distribution|migration|failures|work-figures)"
        r"|\w+ /v1/queue/views"
    ),
    "people validate what decides": r"\w+ /v1/(validation|revalidation|material-changes|models)",
    "administrators look after tokens, members and the platform": (
        r"\w+ /v1/(webhooks|operations|retention|imports|members|plans|tokens|token-requests|audit)"
    ),
    "links come in bulk, from files": r"POST /v1/links/\{type\}$",
}
"""Routes by the reason why they have no method. Of flows and entities, those without are named one by one."""
SERVED = {f"{route.method} {route.path}" for route in ROUTES}
ASKED = {f"{call.method} {call.path}" for call in CALLS.values()}


def test_every_route_has_a_method_or_a_reason() -> None:
    assert sorted(name for name in SERVED - ASKED if not any(re.match(each, name) for each in WITHOUT.values())) == []


@pytest.mark.parametrize("reason", WITHOUT)
def test_every_reason_is_one_of_a_route_still(reason: str) -> None:
    assert any(re.match(WITHOUT[reason], name) for name in SERVED - ASKED)


@pytest.mark.parametrize("name", CALLS)
def test_every_call_is_that_of_a_method(name: str) -> None:
    module, _, constant = name.partition(".")
    written = Path(str(importlib.import_module(f"{parts.__name__}.{module}").__file__)).read_text()
    assert len(re.findall(rf"\b{constant}\b", written.rpartition(" = Call(")[2].partition("\nclass ")[2])) == 1


def test_the_page_lists_the_methods_of_every_part() -> None:
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*) \|$", page, re.MULTILINE))
    with Client("https://scores.example.com", token="t") as client:
        offered = {name: part for name, part in vars(client).items() if not name.startswith("_")}
    for name, part in offered.items():
        methods = {each for each in dir(part) if not each.startswith("_")}
        assert set(re.findall(r"`(\w+)`", rows[name])) == methods, name
