"""Settings and types over HTTP."""

from pathlib import Path

from tests.serving.v1.places import THEIRS, Place, settled


def test_settings_change_and_stay_within_the_organisation(tmp_path: Path) -> None:
    with settled(tmp_path) as place:
        theirs = place.good("GET", "/v1/settings", token=place.tokens[THEIRS, "admin"])
        chosen = place.good("PUT", "/v1/settings/levels", {"levels": ["a", "b", "c", "d"]}, role="admin")
        assert (chosen["levels"], chosen["locked_at"]) == (["a", "b", "c", "d"], None)
        changed = place.good("PATCH", "/v1/settings", {"base_currency": "SEK", "retention_days": 10}, role="admin")
        assert changed == {**chosen, "base_currency": "SEK", "retention_days": 10}
        assert place.good("GET", "/v1/settings", role="investigator") == changed
        assert place.good("GET", "/v1/settings", token=place.tokens[THEIRS, "admin"]) == theirs


def test_types_gain_fields_and_lose_none(place: Place) -> None:
    path = "/v1/entity-types/session"
    place.good("PUT", path, {"fields": {"device": "text"}}, role="admin")
    made = place.good(
        "PUT", path, {"fields": {"kind": {"one_of": ["a", "b"]}}, "case_fields": {"x": "flag"}}, role="admin"
    )
    assert made == {
        "name": "session",
        "fields": {"device": "text", "kind": {"one_of": ["a", "b"]}},
        "transaction_fields": {},
        "case_fields": {"x": "flag"},
    }
    assert made in place.good("GET", "/v1/entity-types", role="publisher")
    other = place.ask("PUT", path, {"fields": {"device": "number"}}, role="admin")
    assert other.status_code == 409
    assert place.ask("PUT", path, {"fields": {"x": "colour"}}, role="admin").status_code == 422
