"""Decision tables over HTTP: out of a draft and back, the same content where nothing was changed."""

import base64

from tests.serving.v1.places import OURS, THEIRS, Place
from tests.serving.v1.rulesets.bank_rulesets import document

NEW = "/v1/rulesets/new"


def saved(place: Place) -> None:
    place.good("PUT", f"{NEW}/draft", {"document": document("new")}, role="publisher")


def test_a_table_of_the_draft_comes_back_as_it_was_in_either_format(place: Place) -> None:
    saved(place)
    for format_ in ("csv", "xlsx"):
        asked = {"rule": "country", "format": format_}
        made = place.good("POST", f"{NEW}/tables/export", asked, role="publisher")
        assert made["file"] == f"country.{format_}"
        back = place.good("POST", f"{NEW}/tables/import", {**asked, "content": made["content"]}, role="publisher")
        assert (back["is_same"], back["changes"]) == (True, [])
        assert back["before_hash"] == back["after_hash"]
    assert base64.b64decode(made["content"]).startswith(b"PK")


def test_a_changed_table_says_what_it_changes_and_nothing_is_stored(place: Place) -> None:
    saved(place)
    table = {"rule": "country", "format": "csv", "content": "case,country,points\n1,in KP,50\n"}
    back = place.good("POST", f"{NEW}/tables/import", table, role="publisher")
    assert back["is_same"] is False
    assert back["changes"]
    assert place.good("GET", f"{NEW}/draft", role="publisher")["document"] == document("new")
    other = {**table, "document": document("new", rules=[])}
    assert place.ask("POST", f"{NEW}/tables/import", other, role="publisher").status_code == 422
    good = place.good("POST", f"{NEW}/tables/import", {**table, "document": back["document"]}, role="publisher")
    assert good["is_same"] is True


def test_what_cannot_be_read_is_named_by_its_cell(place: Place) -> None:
    saved(place)
    asked = {"rule": "country", "format": "csv", "content": "case,country,points\n1,NO,many\n"}
    answer = place.ask("POST", f"{NEW}/tables/import", asked, role="publisher")
    assert answer.status_code == 422
    (found,) = answer.json()[0]["errors"]
    assert "C2" in found["where"]
    for wrong in ({"content": "x", "format": "xlsx"}, {"rule": "none"}, {"content": ""}, {"format": "ods"}):
        assert place.ask("POST", f"{NEW}/tables/import", {**asked, **wrong}, role="publisher").status_code == 422


def test_only_authors_of_the_organisation_have_tables(place: Place) -> None:
    saved(place)
    body = {"rule": "country", "document": document("new")}
    assert place.ask("POST", f"{NEW}/tables/export", body, role="investigator").status_code == 403
    theirs = place.ask("POST", f"{NEW}/tables/export", body, token=place.tokens[THEIRS, "publisher"])
    assert theirs.status_code == 404
    assert place.good("POST", f"{NEW}/tables/export", body, token=place.tokens[OURS, "admin"])["format"] == "csv"
