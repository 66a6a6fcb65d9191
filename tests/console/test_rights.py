"""Rights are those of `/v1`, cell by cell; another organisation's customers are not there."""

import pytest

from fivefold.console.table import VIEWS
from fivefold.console.visit import View
from fivefold.serving.console import RIGHTS
from fivefold.usecases.shared.actors import OF_MEMBERS, Role
from tests.console.visitors import Visitor
from tests.serving.v1.places import THEIRS, Place

PARTS = {
    "type": "company",
    "external_id": "acme",
    "assessment": "1.1",
    "validation": "1",
    "job": "1",
    "archive": "1",
    "item": "override-1-0",
    "member": "1",
    "version": "1",
    "family": "retail",
    "number": "2",
    "backtest": "1",
    "proposal": "5",
    "endpoint": "1",
    "list": "kept",
    "policy": "payments",
    "group": "high-ones",
    "flow": "care",
    "run": "1",
    "replay": "1",
    "decision": "1",
    "challenge": "1",
    "since": "2025-01-01",
}
PEOPLE = sorted(OF_MEMBERS)
OF_THE_MACHINE = "/console/models/"
"""The value model is one for all organisations."""


def test_every_view_stands_on_a_route_of_v1() -> None:
    free = {view.path for view in VIEWS if view.right is None}
    of_session = {"", "/choose-zone", "/take-role"}
    own = {"/console/sign-out", "/console/sign-out-everywhere", *(f"/console/session{end}" for end in of_session)}
    assert free == {"/console", *own}
    assert {view.right for view in VIEWS if view.right is not None} <= set(RIGHTS)


@pytest.mark.parametrize("role", PEOPLE)
def test_a_role_sees_what_v1_shows_it_and_nothing_else(furnished: Place, role: Role) -> None:
    visitor = Visitor(furnished).sign_in(role)
    for view in VIEWS:
        if view.method == "GET":
            status = visitor.go(view.path.format(**PARTS)).page.status_code
            allowed = view.right is None or role in RIGHTS[view.right]
            assert status == (200 if allowed else 403), view.path


def _needed(view: View) -> list[str]:
    """Give the rights of an action: its own, and those of each page that its refusal would show."""
    pages = [page for page in VIEWS if page.method == "GET" and page.handler is view.page]
    return [each.right for each in (view, *pages) if each.right is not None]


@pytest.mark.parametrize("role", PEOPLE)
def test_an_action_without_the_right_is_refused_before_it_is_read(furnished: Place, role: Role) -> None:
    visitor = Visitor(furnished).sign_in(role)
    form_token = visitor.go("/console/session").forms()[0].fields["form_token"]
    refused = [
        view for view in VIEWS if view.method == "POST" and any(role not in RIGHTS[right] for right in _needed(view))
    ]
    for view in refused:
        visitor.post(view.path.format(**PARTS), {"form_token": form_token})
        assert visitor.page.status_code == 403, view.path
        assert f"Your role, {role}, may not see this." in visitor.text
    assert bool(refused) is (role != Role.ADMIN)


@pytest.mark.parametrize("role", PEOPLE)
def test_no_button_is_shown_that_would_be_refused(furnished: Place, role: Role) -> None:
    visitor = Visitor(furnished).sign_in(role).go("/console/entities/company/acme")
    by_path = {view.path.format(**PARTS): view for view in VIEWS if view.method == "POST"}
    for form in visitor.forms():
        right = by_path[form.action].right
        assert right is None or role in RIGHTS[right], form.action


@pytest.mark.parametrize(
    "view",
    [view for view in VIEWS if "{" in view.path and not view.path.startswith(OF_THE_MACHINE)],
    ids=lambda view: f"{view.method} {view.path}",
)
def test_another_organisation_finds_nothing_of_ours(furnished: Place, view: View) -> None:
    visitor = Visitor(furnished).sign_in("admin", THEIRS)
    form_token = visitor.go("/console/session").forms()[0].fields["form_token"]
    address = view.path.format(**PARTS)
    if view.method == "GET":
        visitor.go(address)
    else:
        typed = {"override": "1", "reason": "mine", "level": "high", "tag": "kept", "revision": "0"}
        typed |= {"form_key": "once", "kept_hours": "0", "confirmed": "1"}
        typed |= {"version": "1", "document": "a: b", "since": "2199-01-01", "title": "T", "source": "S"}
        visitor.post(address, {"form_token": form_token, **typed})
    assert visitor.page.status_code == 404
    assert "Their data" not in visitor.text
