"""A fault of the machine in a run, as a program is told of it over /v1: while it is tried again, and once it is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.flows.runs import calling, execute
from fivefold.usecases.flows.runs.execute import run_flows
from fivefold.usecases.levels.worker import MAX_ATTEMPTS
from tests.serving.v1.places import Place, settled
from tests.usecases.flows.documents import BY_COUNTRY, WHY, flow_document

AT = "/v1/flows/care"
CALLED = {"external_id": "c-1", "run_key": "k"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A customer of Norway, and a flow that acts."""
    with settled(tmp_path) as opened:
        opened.good("PUT", "/v1/entities/customer/c-1", {"attributes": {"country": "NO"}}, role="app")
        yield opened


def let_act(place: Place, document: str) -> None:
    ana, ben = (place.join(name, "publisher")[0] for name in ("ana", "ben"))
    place.good("POST", "/v1/flows", {"document": document}, token=ana)
    place.good("POST", f"{AT}/commit", {"revision": 1, "accept_warnings": WHY}, token=ana)
    place.good("POST", f"{AT}/activate", {"version": 1, "reason": WHY}, token=ben)


def broken(*_: Any) -> Any:
    raise RuntimeError("Ana Silva is broken")


def test_a_program_is_told_why_its_run_is_tried_again_and_what_was_done_once_it_is_given_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_act(place, flow_document())
    with monkeypatch.context() as patched:
        for module in (calling, execute):
            patched.setattr(module, "begin_of", broken)
        called = place.good("POST", f"{AT}/run", CALLED, role="app")
        assert (called["state"], called["at"], called["taken"], called["due_at"] is None) == ("queued", None, [], False)
        assert called["error"].startswith("RuntimeError in usecases.flows.runs")
        assert "Ana Silva" not in called["error"]
        again = place.good("POST", f"{AT}/run", CALLED, role="app")
        assert (again["run"], again["error"]) == (called["run"], called["error"])
        with Session(place.engine) as session, session.begin():
            run = session.get_one(FlowRun, called["run"])
            run.attempts, run.due_us = MAX_ATTEMPTS - 1, run.begun_us
        while run_flows(place.engine) is not None:
            pass
    found = place.good("GET", f"/v1/flow-runs/{called['run']}", role="app")
    assert (found["state"], found["error"], found["due_at"]) == ("quarantined", called["error"], None)
    assert [(each["action"], each["kind"]) for each in found["taken"]] == [("look", "review")]
    assert place.good("POST", f"{AT}/run", CALLED, role="app") == found, "called again, it is the same run"
    shown = place.good("GET", f"/v1/flow-runs/{called['run']}", role="investigator")
    assert (shown["state"], shown["error"], shown["why"]) == ("quarantined", called["error"], None)
    retried = place.good("POST", f"/v1/flow-runs/{called['run']}/retry", role="investigator")
    assert (retried["state"], retried["error"]) == ("queued", None)
    while run_flows(place.engine) is not None:
        pass
    done = place.good("GET", f"/v1/flow-runs/{called['run']}", role="app")
    assert (done["state"], done["at"], done["error"]) == ("ended", "nothing", None)
    assert [each["action"] for each in done["taken"]] == ["look"], "what was done for the failure stays for a person"


def test_of_a_step_that_failed_a_program_is_told_which_one_alone(place: Place) -> None:
    undecided = {name: part for name, part in BY_COUNTRY.items() if name != "on_unknown"}
    let_act(
        place,
        flow_document(
            steps=[{**undecided, "route": [{"when": {"value": "score", "above": 1}, "to": "done"}]}], examples=[]
        ),
    )
    run = place.good("POST", f"{AT}/run", CALLED, role="app")
    assert (run["state"], run["error"]) == ("failed", "the step home failed")
    assert [each["action"] for each in run["taken"]] == ["look"]
    shown = place.good("GET", f"/v1/flow-runs/{run['run']}", role="investigator")
    said = "Failed at Where they live, as it is not known whether way 1 holds: Review tomorrow"
    assert (shown["error"], shown["why"]["line"]) == (said, said)
    assert [each["error"] for each in place.good("GET", "/v1/flow-runs", role="approver")] == [said]
    whole = place.good("GET", f"/v1/flow-runs/{run['run']}", role="publisher")
    assert "it is not known whether value score is above 1 (way 1)" in whole["error"]
