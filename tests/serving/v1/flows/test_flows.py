"""Flows over HTTP: from a draft to what acts, by two people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.v1.places import Place, settled
from tests.usecases.flows.documents import EXAMPLES, INQUIRY, WHY, Data, flow_document

AT = "/v1/flows/care"
ASKING: list[Data] = [
    {
        "id": "capital",
        "title": "Its capital",
        "data": {
            "source": "companies",
            "send": {"country": {"field": "country"}},
            "gives": {"amount": "number", "live": "flag"},
        },
        "on_unknown": "nothing",
    },
    {**INQUIRY, "person": {**INQUIRY["person"], "answers": {"aye": "done", "nay": "nothing"}}},
]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with settled(tmp_path) as opened:
        yield opened


def test_a_flow_comes_to_act_and_is_switched_off(place: Place) -> None:
    ana, ben = (place.join(name, "publisher")[0] for name in ("ana", "ben"))
    begun = place.good("POST", "/v1/flows", {"document": flow_document()}, token=ana)
    assert (begun["flow"], begun["entity_type"], begun["revision"]) == ("care", "customer", 1)
    again = place.ask("POST", "/v1/flows", {"document": flow_document(title="Other")}, token=ben)
    assert again.status_code == 409, "there is a draft already"
    review = place.good("GET", f"{AT}/draft/review", token=ben)
    assert (review["errors"], review["warnings"], review["ways_percent"], review["pinned"]) == ([], [], "100.0", {})
    assert review["examples"][0] == {"name": "watched", "ends": "done", "actions": ["look"], "differences": []}
    made = place.good("POST", f"{AT}/commit", {"revision": 1}, token=ana)
    assert made["number"] == 1
    given = {"version": 1, "reason": WHY}
    assert place.ask("POST", f"{AT}/activate", given, token=ana).status_code == 409, "who wrote it"
    place.good("POST", f"{AT}/activate", given, token=ben)
    (line,) = place.good("GET", "/v1/flows", token=ana)
    assert line == {
        "name": "care",
        "entity_type": "customer",
        "title": "Care",
        "purpose": "aml",
        "active": 1,
        "shadow": None,
        "newest": 1,
        "draft_revision": None,
        "next_run_at": None,
    }
    version = place.good("GET", f"{AT}/versions/1", token=ben)
    assert (version["document"], version["content_hash"]) == (flow_document(), made["content_hash"])
    place.good("POST", f"{AT}/off", {"reason": WHY}, token=ana)
    kinds = [
        (each["kind"], each["version"], each["previous"]) for each in place.good("GET", f"{AT}/activations", token=ana)
    ]
    assert kinds == [("off", None, 1), ("active", 1, None)]


def test_a_text_is_checked_without_being_saved(place: Place) -> None:
    wrong = flow_document(examples=[{**EXAMPLES[0], "ends": "nothing"}, *EXAMPLES[1:]])
    told = place.good("POST", "/v1/flows/check", {"document": wrong}, role="publisher")
    assert [each["where"] for each in told["errors"]] == ["example watched"]
    (example,) = [each for each in told["examples"] if each["differences"]]
    assert (example["ends"], example["actions"]) == ("done", ["look"])
    assert place.good("GET", "/v1/flows", role="publisher") == []


def test_what_changes_is_told_before_and_after_the_commit(place: Place) -> None:
    (ana,) = place.join("ana", "publisher")
    place.good("POST", "/v1/flows", {"document": flow_document()}, token=ana)
    assert place.good("GET", f"{AT}/draft/review", token=ana)["changes"] == [], "there is no version to compare with"
    place.good("POST", f"{AT}/commit", {"revision": 1}, token=ana)
    text = flow_document(title="More care")
    told = place.good("POST", "/v1/flows/check", {"document": text}, token=ana)
    assert told["compared_with"] == 1
    assert [(each["where"], each["before"], each["after"]) for each in told["changes"]] == [
        ("title", "Care", "More care")
    ]
    place.good("PUT", f"{AT}/draft", {"document": text}, token=ana)
    place.good("POST", f"{AT}/commit", {"revision": 2}, token=ana)
    difference = place.good("GET", f"{AT}/versions/2/diff?before=1", token=ana)
    assert difference["changes"] == told["changes"]
    back = place.good("GET", f"{AT}/versions/1/diff?before=2", token=ana)["changes"]
    assert [(each["before"], each["after"]) for each in back] == [("More care", "Care")]
    assert place.ask("GET", f"{AT}/versions/3/diff?before=1", token=ana).status_code == 404


def test_a_customer_is_run_through_a_version_and_a_draft_and_nothing_acts(place: Place) -> None:
    (ana,) = place.join("ana", "publisher")
    place.good("PUT", "/v1/entities/customer/c-1", {"attributes": {"country": "NO"}}, role="app")
    place.good("POST", "/v1/flows", {"document": flow_document(steps=ASKING, examples=[])}, token=ana)
    at = {"external_id": "c-1"}
    stopped = place.good("POST", f"{AT}/try", at, token=ana)
    assert (stopped["version"], stopped["not_asked"], stopped["supposed"]) == (None, "capital", [])
    supposed = {"answers": {"inquiry": "aye"}, "outcomes": {"capital": {"amount": 10.5, "live": True}}}
    found = place.good("POST", f"{AT}/try", {**at, **supposed}, token=ana)
    assert (found["why"]["at"], found["supposed"], found["not_asked"]) == ("done", ["capital", "inquiry"], None)
    assert [each["step"] for each in found["why"]["steps"]] == ["capital", "inquiry", "done"]
    assert found["why"]["steps"][0]["gives"]["amount"] == "10.5"
    for wrong in ({"inquiry": "perhaps"}, {"done": "aye"}):
        told = place.ask("POST", f"{AT}/try", {**at, "answers": wrong}, token=ana)
        assert told.status_code == 422, told.text
    for strange, status in (({"version": 1}, 404), ({"version": 1, "document": "x"}, 422), ({"external_id": "z"}, 404)):
        assert place.ask("POST", f"{AT}/try", {**at, **strange}, token=ana).status_code == status
    assert place.good("GET", "/v1/flow-runs", token=ana) == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("draft", {"document": "flow: other\nentity_type: customer", "revision": 0}, 422),
        ("draft", {"document": "flow: care\nentity_type: ship", "revision": 0}, 404),
        ("commit", {"revision": 1}, 404),
        ("draft/discard", {"revision": 0}, 422),
        ("activate", {"version": 1}, 422),
    ],
)
def test_what_is_wrong_is_told(place: Place, path: str, body: Any, status: int) -> None:
    answer = place.ask("PUT" if path == "draft" else "POST", f"{AT}/{path}", body, role="publisher")
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("role", ["app", "investigator", "approver", "commercial"])
def test_who_writes_no_rules_sees_no_flow(place: Place, role: str) -> None:
    place.good("POST", "/v1/flows", {"document": flow_document()}, role="publisher")
    for path in ("/v1/flows", f"{AT}/draft", f"{AT}/versions", f"{AT}/activations"):
        assert place.ask("GET", path, role=role).status_code == 403
    assert place.ask("POST", f"{AT}/try", {"external_id": "c-1"}, role=role).status_code == 403
