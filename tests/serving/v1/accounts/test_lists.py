"""Lists over HTTP: versions that are added and never changed."""

from pathlib import Path

from tests.serving.v1.places import THEIRS, Place, copied

PATH = "/v1/lists/watched/versions"
BODY = {"since": "2026-01-01", "members": ["IR", "KP"], "title": "Watched", "source": "Ourselves", "reason": "why"}


def test_a_version_is_added_after_those_that_are_there_by_two_people(place: Place) -> None:
    asked = place.good("POST", PATH, BODY, role="publisher")
    assert (asked["versions"], asked["proposal"]["state"]) == ([], "proposed")
    assert place.good("GET", "/v1/lists", role="publisher") == []
    number = asked["proposal"]["id"]
    done = place.good("POST", f"/v1/proposals/{number}/approve", {"reason": "seen"}, role="admin")
    assert [(line["name"], line["members"]) for line in done["result"]["versions"]] == [("watched", 2)]
    listed = place.good("GET", "/v1/lists", role="publisher")
    assert listed == [
        {
            "name": "watched",
            "title": "Watched",
            "source": "Ourselves",
            "since": "2026-01-01T00:00:00Z",
            "members": 2,
        }
    ]
    assert place.good("POST", PATH, BODY, role="publisher") == {"versions": [], "touched": 0, "proposal": None}
    other = {**BODY, "members": ["IR"]}
    assert place.ask("POST", PATH, other, role="publisher").status_code == 409
    assert place.good("GET", "/v1/lists", token=place.tokens[THEIRS, "publisher"]) == []


def test_before_anything_decides_it_is_added_at_once(furnished: Place, tmp_path: Path) -> None:
    with copied(furnished, tmp_path) as place:
        body = {name: value for name, value in BODY.items() if name != "reason"}
        made = place.good("POST", PATH, body, token=place.tokens[THEIRS, "publisher"])
        assert ([line["members"] for line in made["versions"]], made["proposal"]) == ([2], None)


def test_what_is_no_version_is_422(furnished: Place) -> None:
    for changed in ({"members": "IR"}, {"members": [1]}, {"since": "soon"}, {"title": ""}):
        assert furnished.ask("POST", PATH, {**BODY, **changed}, role="publisher").status_code == 422, changed
