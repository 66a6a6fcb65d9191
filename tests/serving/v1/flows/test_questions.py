"""What a run asks a person, over /v1: an answer names the question that was looked at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.v1.places import Place, settled
from tests.usecases.flows.documents import INQUIRED, INQUIRY, WHY, flow_document

AT = "/v1/flows/care"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with settled(tmp_path) as opened:
        ana, ben = (opened.join(name, "publisher")[0] for name in ("ana", "ben"))
        opened.good("PUT", "/v1/entities/customer/c-1", {"attributes": {}}, role="app")
        document = flow_document(steps=[INQUIRY], examples=INQUIRED)
        opened.good("POST", "/v1/flows", {"document": document}, token=ana)
        opened.good("POST", f"{AT}/commit", {"revision": 1, "accept_warnings": WHY}, token=ana)
        opened.good("POST", f"{AT}/activate", {"version": 1, "reason": WHY}, token=ben)
        yield opened


def test_an_answer_to_the_question_that_was_looked_at_is_to_no_other(place: Place) -> None:
    run = place.good("POST", f"{AT}/run", {"external_id": "c-1"}, role="app")["run"]
    asked_at = place.good("GET", f"/v1/flow-runs/{run}", role="investigator")["question"]["asked_at"]
    (item,) = place.good("GET", "/v1/queue?kind=question", role="investigator")
    assert item["since"] == asked_at
    path, body = f"/v1/flow-runs/{run}/answer", {"answer": "aye", "reason": WHY}
    other = {**body, "expected_asked_at": "2001-01-01T00:00:00Z"}
    refused = place.ask("POST", path, other, role="investigator")
    assert refused.status_code == 409
    assert f"the question of run f:{run} is another one now" in refused.json()[0]["detail"]
    done = place.good("POST", path, {**body, "expected_asked_at": asked_at}, role="investigator")
    assert (done["state"], done["question"]) == ("ended", None)
