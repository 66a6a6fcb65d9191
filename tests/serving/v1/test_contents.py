"""Every GET route answers whatever there is to tell: what is wrong, what failed, what waits."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from tests.serving.v1.examples import EXAMPLES
from tests.serving.v1.places import Place
from tests.serving.v1.rulesets.bank_rulesets import document

NEW = "/v1/rulesets/new"
ON_ANSWERS = [route for route in ROUTES if route.gives is not type(None)]


def forms_in(made: Any) -> Iterator[type[BaseModel]]:
    """The forms of which an answer is made, the inner ones too."""
    if isinstance(made, type) and issubclass(made, BaseModel):
        yield made
        for field in made.model_fields.values():
            yield from forms_in(field.annotation)
    for part in get_args(made):
        yield from forms_in(part)


@pytest.mark.parametrize("route", ON_ANSWERS, ids=lambda route: route.handler.__name__)
def test_every_form_inside_an_answer_is_read_from_what_use_cases_give(route: Route) -> None:
    """An answer whose inner form takes mappings alone is whole as long as it is empty, and 500 as soon as it is not."""
    assert [form.__name__ for form in forms_in(route.gives) if not form.model_config.get("from_attributes")] == []


def test_a_draft_with_faults_and_doubts_is_reviewed(place: Place) -> None:
    wrong = json.loads(document("new"))
    wrong["rules"][0]["cases"][0]["points"] = "many"
    place.good("PUT", f"{NEW}/draft", {"document": json.dumps(wrong, indent=1)}, role="publisher")
    review = place.good("GET", f"{NEW}/draft/review", role="publisher")
    assert review["content_hash"] is None
    (fault,) = review["errors"]
    assert (fault["where"], fault["fatal"]) == ("rule country, case 1, points", True)
    assert json.dumps(wrong, indent=1).splitlines()[fault["line"] - 1].strip().startswith('"points": "many"')


def test_a_draft_whose_example_comes_out_otherwise_is_reviewed(place: Place) -> None:
    wrong = json.loads(document("new"))
    wrong["examples"][0]["expect"]["level"] = "high"
    wrong["coverage"] = {"rules": 100, "cases": 100}
    del wrong["rules"][0]["rationale"]
    place.good("PUT", f"{NEW}/draft", {"document": json.dumps(wrong)}, role="publisher")
    review = place.good("GET", f"{NEW}/draft/review", role="publisher")
    assert [each["where"] for each in review["errors"]].count("example a neighbour") == 1
    assert review["warnings"]
    assert {each["fatal"] for each in review["warnings"]} == {False}
    (example,) = review["examples"]
    assert example["differences"]
    assert review["not_reached"]


def test_a_delivery_that_was_given_up_is_listed(place: Place) -> None:
    with Session(place.engine) as session, session.begin():
        event = session.scalars(select(OutboxEvent).limit(1)).one()
        endpoint = session.scalars(select(Endpoint)).one()
        dead = {"state": "dead", "attempts": 12, "next_us": 0, "error": "it answered 500", "delivered_us": None}
        made = Delivery(endpoint_id=endpoint.id, event_number=event.id, entity_id=event.entity_id, **dead)
        session.merge(made)
    (letter,) = place.good("GET", "/v1/webhooks/1/dead-letters", role="admin")
    assert (letter["attempts"], letter["error"]) == (12, "it answered 500")


def test_what_is_listed_is_not_empty_where_one_of_everything_is_there(furnished: Place) -> None:
    """So that an answer of 200 in the tests of rights means that its forms were filled."""
    empty = set()
    for route in ROUTES:
        example = EXAMPLES[route.handler.__name__]
        if route.method == "GET" and example.status is None:
            path = example.path(route)
            told = furnished.good("GET", path, role="admin", params=dict(example.query))
            if told in ([], {}):
                empty.add(route.handler.__name__)
    assert empty <= NOT_FURNISHED, empty


NOT_FURNISHED = {"list_movers", "list_screenings", "list_cases", "list_alerts", "list_failures", "list_current_levels",
                 "list_dead_letters", "list_entities", "list_failing", "list_migrated", "list_values",
                 "list_points", "list_references", "search_failures", "list_groups_of_entity", "list_group_members",
                 "list_group_moves", "read_group_sizes", "list_replay_people", "compare_flow_shadow",
                 "list_shadow_pairs", "list_realised", "list_peers"}  # fmt: skip
"""Filled in tests of their own: of facts, of lists, of the portfolio, and above."""
