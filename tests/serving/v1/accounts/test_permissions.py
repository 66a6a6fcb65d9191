"""Every cell of the table of routes and roles, asked of the routes themselves; others' things are not there."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.store.tables.accounts import Token
from fivefold.usecases.accounts.credentials import hash_of
from fivefold.usecases.shared.actors import OF_MEMBERS, Role
from tests.serving.v1.examples import EXAMPLES
from tests.serving.v1.places import OURS, THEIRS, Place, copied, entries

NO_CREDENTIALS = [{"detail": "Could not validate credentials"}]
WITH_PARTS = [route for route in ROUTES if EXAMPLES[route.handler.__name__].own]


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


ONCE = {
    *("ask_for_token", "change_queue_item", "save_draft", "remove_endpoint", "revoke_override"),
    *("discard_draft", "save_flow_draft", "discard_flow_draft", "roll_back_flow", "switch_flow_off"),
    *("finish_flow_review", "retry_flow_run", "attach_peer", "request_flow_replay", "approve_proposal"),
}
"""Whose examples do not hold any more once the others were asked."""

every_route = pytest.mark.parametrize("route", ROUTES, ids=name_of)


def ask(place: Place, route: Route, token: str, **other: str) -> httpx.Response:
    example = EXAMPLES[route.handler.__name__]
    return place.ask(route.method, example.path(route, **other), example.body, token=token, params=dict(example.query))


def test_every_route_has_an_example_and_each_handler_a_route() -> None:
    names = [route.handler.__name__ for route in ROUTES]
    assert sorted(names) == sorted(set(names)) == sorted(EXAMPLES)
    assert len({name_of(route) for route in ROUTES}) == len(ROUTES)


def test_roles_are_never_empty_and_an_admin_may_do_everything() -> None:
    assert not [name_of(route) for route in ROUTES if Role.ADMIN not in route.roles]


@every_route
def test_who_has_the_role_is_answered(furnished: Place, tmp_path: Path, route: Route) -> None:
    example = EXAMPLES[route.handler.__name__]
    with copied(furnished, tmp_path) as first:
        for number, role in enumerate(sorted(route.roles)):
            changed = number > 0 and route.method != "GET"
            with copied(furnished, tmp_path) if changed else nullcontext(first) as place:
                answer = ask(place, route, place.tokens[OURS, role], **example.parts_for(role))
                wanted = {example.status or route.status, 204}
                assert answer.status_code in wanted, (role, answer.text)
                assert (answer.status_code == 204) is (not answer.content)


@every_route
def test_who_has_another_role_is_refused_and_nothing_happens(furnished: Place, route: Route) -> None:
    before = entries(furnished)
    for role in set(Role) - route.roles:
        answer = ask(furnished, route, furnished.tokens[OURS, role])
        (error,) = answer.json()
        assert answer.status_code == 403, role
        assert error["detail"].startswith(f"Not for the role {role}; for: ")
        assert set(error["detail"].partition("for: ")[2].split(", ")) == route.roles
    assert entries(furnished) == before


@every_route
def test_without_a_token_that_is_known_nobody_is_told_anything(furnished: Place, route: Route) -> None:
    for token in ("", "unknown"):
        for other in ({}, dict.fromkeys(route.names, "missing")):
            answer = ask(furnished, route, token, **other)
            assert (answer.status_code, answer.json()) == (401, NO_CREDENTIALS)
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", WITH_PARTS, ids=name_of)
def test_what_is_another_organisations_is_not_there(furnished: Place, route: Route) -> None:
    """In the very words of what nobody has."""
    refuses_strangers(furnished, route)


def missing_like(part: str) -> str:
    """Name something that nobody has, in the form of a part: 999999 for 7, 999999.999999 for 12.3, else missing."""
    return re.sub(r"[0-9]+", "999999", part) if re.fullmatch(r"[0-9.]+", part) else "missing"


def refuses_strangers(place: Place, route: Route) -> None:
    before = entries(place)
    example = EXAMPLES[route.handler.__name__]
    for role in route.roles:
        answer = ask(place, route, place.tokens[THEIRS, role])
        assert answer.status_code == 404, (role, answer.text)
        for name in example.own[:1]:
            missing = missing_like(example.parts[name])
            nobodys = ask(place, route, place.tokens[THEIRS, role], **{name: missing})
            assert nobodys.status_code == 404
            assert nobodys.text.replace(missing, example.parts[name]) == answer.text
            ours = ask(place, route, place.tokens[OURS, role], **{name: missing})
            assert ours.text == nobodys.text
    assert entries(place) == before


def test_each_part_that_names_something_of_ours_is_looked_for(furnished: Place) -> None:
    for route in WITH_PARTS:
        example = EXAMPLES[route.handler.__name__]
        for name in example.own:
            missing = missing_like(example.parts[name])
            answer = ask(furnished, route, furnished.tokens[OURS, "admin"], **{name: missing})
            assert answer.status_code == 404, (name_of(route), name)


@pytest.fixture(scope="module")
def spare(furnished: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A copy in which the role of a token is changed, and nothing else: all that is asked with it is refused."""
    with copied(furnished, tmp_path_factory.mktemp("spare")) as place:
        yield place


@every_route
def test_an_admins_token_without_a_member_is_refused(spare: Place, route: Route) -> None:
    """As there were before there were members: nobody could tell who approves with it."""
    token = spare.tokens[OURS, "app"]
    for role in OF_MEMBERS & route.roles:
        with Session(spare.engine) as session, session.begin():
            session.execute(update(Token).where(Token.sha256 == hash_of(token)).values(role=role))
        answer = ask(spare, route, token)
        assert (answer.status_code, answer.json()) == (
            403,
            [{"detail": "This token belongs to no member, so the person behind it is unknown"}],
        )


@pytest.mark.full
def test_the_rights_are_the_same_on_postgresql(on_postgresql: Place) -> None:
    """Those who may not, others' things, and whoever may, as far as one does not take away what another asks about."""
    for route in ROUTES:
        for role in set(Role) - route.roles:
            assert ask(on_postgresql, route, on_postgresql.tokens[OURS, role]).status_code == 403
        if route in WITH_PARTS:
            refuses_strangers(on_postgresql, route)
    in_turn = [route for route in ROUTES if route.handler.__name__ not in ONCE]
    for route in sorted(in_turn, key=lambda route: route.method == "DELETE"):
        answer = ask(on_postgresql, route, on_postgresql.tokens[OURS, Role.ADMIN])
        wanted = {EXAMPLES[route.handler.__name__].status or route.status, 204}
        assert answer.status_code in wanted, (name_of(route), answer.text)


def test_numbers_that_no_database_holds_name_nothing(on_postgresql: Place) -> None:
    """Nor do they in a query or in a body: never a fault of ours."""
    token = on_postgresql.tokens[OURS, Role.ADMIN]
    for route in ROUTES:
        example = EXAMPLES[route.handler.__name__]
        for name in example.parts:
            if example.parts[name].isdecimal():
                for large in (2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30):
                    answer = ask(on_postgresql, route, token, **{name: str(large)})
                    assert answer.status_code == 404, (name_of(route), large)
    path = "/v1/rulesets/retail/versions/2/diff?before={}"
    for large in (2**31, 2**63 - 1, 2**63):
        assert on_postgresql.ask("GET", path.format(large), token=token).status_code in {404, 422}


def test_whatever_others_list_has_nothing_of_ours(furnished: Place) -> None:
    """Not even a name; the same lists of ours have all of these."""
    told = {OURS: "", THEIRS: ""}
    for route in ROUTES:
        if route.method == "GET" and route not in WITH_PARTS:
            for organisation, role in product(told, route.roles):
                answer = ask(furnished, route, furnished.tokens[organisation, role])
                told[organisation] += answer.text if answer.status_code < 400 else ""  # a refusal repeats the question
    names = ("retail", "second", "maker", "example.com", "company", '"requested_by"')
    assert [name for name in names if name not in told[OURS]] == []
    assert [name for name in names if name in told[THEIRS]] == []
