"""Identifiers in paths come back as they were meant, whatever is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.routing import Match, Route

from fivefold.serving.v1.path_encoding import in_parts, parts_of, path_to
from tests.serving.v1.places import Place

PATH = "/v1/entities/{type}/{external_id}/tags/{tag}"
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)


def read(path: str) -> dict[str, str] | None:
    """Read a path as a server and a router do; None where it is no path of that form."""
    from urllib.parse import unquote

    scope = {"type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "headers": []}
    match, child = Route(PATH, lambda _: None).matches(in_parts(scope))  # type: ignore[arg-type, return-value]  # never called
    return dict(parts_of(Request({**scope, **child}))) if match is Match.FULL else None


@given(names.filter(lambda name: name not in {".", ".."}), names, names)
def test_every_identifier_survives(kind: str, external_id: str, tag: str) -> None:
    parts = {"type": kind, "external_id": external_id, "tag": tag}
    assert read(path_to(PATH, **parts)) == parts


@pytest.mark.parametrize("path", ["/v1/entities/a/b/c/tags/d", "/v1/entities/a%2Fb/tags/d", "/v1/entities//b/tags/d"])
def test_slashes_between_parts_are_no_part_of_them(path: str) -> None:
    assert read(path) is None


def test_a_path_without_its_raw_form_is_left_as_it_is() -> None:
    scope = {"type": "http", "path": "/a/b"}
    assert in_parts(scope) is scope


def test_names_in_another_encoding_are_not_taken_for_one_another(place: Place) -> None:
    """A system that writes Latin-1 put Müller and Möller into one customer."""
    for name in ("M%FCller", "M%F6ller", "%ed%a0%80"):
        answer = place.ask("PUT", f"/v1/entities/customer/{name}", {}, role="app")
        assert answer.status_code == 422
        assert answer.json()[0]["errors"][0]["where"] == "path"
    assert place.ask("PUT", "/v1/entities/customer/M%C3%BCller", {}, role="app").json()["new"] == 1
    assert place.ask("PUT", "/v1/entities/customer/M%EF%BF%BDller", {}, role="app").json()["new"] == 1
