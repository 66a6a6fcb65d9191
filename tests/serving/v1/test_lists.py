"""Lists over HTTP: versions that are added and never changed."""

from tests.serving.v1.places import THEIRS, Place

PATH = "/v1/lists/watched/versions"
BODY = {"since": "2026-01-01", "members": ["IR", "KP"], "title": "Watched", "source": "Ourselves"}


def test_a_version_is_added_after_those_that_are_there(place: Place) -> None:
    first = place.good("POST", PATH, BODY, role="publisher")
    assert first["versions"] == [
        {
            "name": "watched",
            "title": "Watched",
            "source": "Ourselves",
            "since": "2026-01-01T00:00:00Z",
            "members": 2,
        }
    ]
    assert place.ask("POST", PATH, BODY, role="publisher").status_code == 409
    place.good("POST", PATH, {**BODY, "since": "2026-02-01", "members": []}, role="admin")
    assert [line["members"] for line in place.good("GET", "/v1/lists", role="publisher")] == [2, 0]
    assert place.good("GET", "/v1/lists", token=place.tokens[THEIRS, "publisher"]) == []


def test_what_is_no_version_is_422(furnished: Place) -> None:
    for changed in ({"members": "IR"}, {"members": [1]}, {"since": "soon"}, {"title": ""}):
        assert furnished.ask("POST", PATH, {**BODY, **changed}, role="publisher").status_code == 422, changed
