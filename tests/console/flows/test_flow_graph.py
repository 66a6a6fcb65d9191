"""The drawn graph of a flow: written by forms alone, what is at its ways, the path of a run, and what steps cost."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from mcp import Client
from mcp.types import CallToolResult

from fivefold.console.flows.graph import FlowPicture, picture_of, picture_of_text
from fivefold.console.rendering import environment
from fivefold.flows.language import read_flow
from fivefold.flows.outside.outcomes import Cost, OutsideOutcome
from fivefold.risk.language.documents import Document
from fivefold.usecases.flows.activate import activate_flow
from fivefold.usecases.flows.asked_files import bundled_flows, flow_text
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.shared.context import Context
from tests.console.flows.test_flows import EDIT, MINE, NEW, WHY, found_at, shown_document, written
from tests.console.visitors import Visitor, send_text
from tests.serving.mcp.asking import of_role
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.examples import WHY as REASON
from tests.serving.v1.places import OURS, Place
from tests.usecases.flows.documents import ASKS, flow_document
from tests.usecases.flows.outside.test_registrations import BY_LIVE, DATA, EXAMPLES, REGISTER, STEP

LIMITS = read_flow(flow_text("limits"))
RUN = [
    {"step": "usual", "to": "by-risk", "outcome": ""},
    {"step": "by-risk", "to": "ask", "outcome": "way 1 holds, as level is critical"},
    {"step": "ask", "to": None, "outcome": "waits for an answer"},
]


def svg_of(picture: FlowPicture) -> ET.Element:
    macros = environment().get_template("flows/macros.html").make_module({"visit": None, "now_us": 0})
    return ET.fromstring(str(macros.drawn(picture, "The steps")))[0]  # type: ignore[attr-defined]  # a macro of the template


def lit_words(picture: FlowPicture) -> list[tuple[tuple[str, str], str]]:
    """The lines of labels that are lit, each with the steps that it is between."""
    return [
        (label.of, words)
        for label in picture.plot.labels
        for words, look in zip(label.texts, picture.looks_of_label(label), strict=True)
        if look == "lit"
    ]


@pytest.mark.parametrize("name", bundled_flows())
def test_every_step_and_its_actions_are_drawn_and_every_way_has_its_words(name: str) -> None:
    flow = read_flow(flow_text(name))
    picture = picture_of(flow)
    assert [step.id for step in picture.steps] == [box.id for box in picture.plot.boxes] == [*flow.positions]
    for step in flow.steps:
        (line,) = [each for each in picture.steps if each.id == step.id]
        assert (not line.leads) == (step.kind == "end")
    drawn = svg_of(picture)
    assert (drawn.get("role"), drawn[0].tag, drawn[1].tag) == ("img", "title", "desc")
    assert len([each for each in drawn if each.tag == "rect"]) == len(flow.steps)
    assert not [each for each in drawn.iter() if each.get("style")]


def test_ways_say_what_must_hold_and_which_answer_leads_there() -> None:
    leads = {step.id: step.leads for step in picture_of(LIMITS).steps}
    assert leads["usual"] == (("", "How great the risk is"),)
    assert ("level is critical", "A person looks at a critical or unknown risk") in leads["by-risk"]
    assert ("not known", "A person looks at a critical or unknown risk") in leads["by-risk"]
    assert leads["ask"][-1] == ("no answer in time", "Stopped")


def test_the_path_of_a_run_is_lit_and_all_else_is_dim() -> None:
    picture = picture_of(LIMITS, RUN)
    looks = {box.id: picture.look_of_box(box) for box in picture.plot.boxes}
    assert {step for step, look in looks.items() if "lit" in look} == {"usual", "by-risk", "ask"}
    assert looks["ask"] == "lit stopped"
    assert {look for step, look in looks.items() if step not in {"usual", "by-risk", "ask"}} == {"dim"}
    lit = {pair for line in picture.plot.lines if picture.look_of_line(line) == "lit" for pair in line.of}
    assert {("usual", "by-risk"), ("by-risk", "ask")} <= lit
    assert {of for of, *_ in lit_words(picture)} == {("by-risk", "ask")}
    assert {box.id for box in picture.plot.boxes if picture.look_of_arrow(box) == "lit"} == {"by-risk", "ask"}
    plain = picture_of(LIMITS)
    assert {plain.look_of_line(line) for line in plain.plot.lines} == {""}
    assert {plain.look_of_box(box) for box in plain.plot.boxes} == {""}


@pytest.mark.parametrize(
    ("outcome", "with_conditions", "lit", "row"),
    [
        ("way 1 holds, as level is critical", True, "· level is critical", "level is critical"),
        ("way 1 holds", False, "· way 1", "way 1"),
        ("it is not known whether way 1 holds", False, "· not known", "not known"),
    ],
)
def test_of_two_ways_to_one_step_the_one_that_was_taken_is_lit(
    outcome: str, with_conditions: bool, lit: str, row: str
) -> None:
    run = [RUN[0], {**RUN[1], "outcome": outcome}, RUN[2]]
    picture = picture_of(LIMITS, run, with_conditions=with_conditions)
    assert lit_words(picture) == [(("by-risk", "ask"), lit)]
    (line,) = [step for step in picture.steps if step.id == "by-risk"]
    assert line.lit is not None
    assert line.leads[line.lit][0] == row
    table = environment().get_template("flows/macros.html").make_module({"visit": None, "now_us": 0})
    assert f"<strong>{row}: " in str(table.step_table(picture))  # type: ignore[attr-defined]  # a macro of the template


def test_a_way_without_words_is_lit_and_the_words_of_the_other_way_are_not() -> None:
    document = flow_document(steps=[{**ASKS, "then": "done"}])
    run = [{"step": "asks", "to": "done", "outcome": "asked"}, {"step": "done", "to": None, "outcome": "ended"}]
    picture = picture_of(read_flow(document), run)
    assert lit_words(picture) == []
    assert {picture.look_of_line(line) for line in picture.plot.lines} == {"lit"}


def test_what_cannot_be_read_is_not_drawn() -> None:
    assert picture_of_text("flow: [") is None
    assert picture_of_text(flow_text("limits")) == picture_of(LIMITS)


def test_a_flow_is_changed_tried_and_let_act_without_a_line_of_text(place: Place) -> None:
    publisher = Visitor(place).sign_in("publisher")
    send_text(publisher.go(NEW), "save", flow_document("mine"))  # a colleague's
    publisher.go(EDIT)
    assert "The action look" in written(publisher, "open:actions:look").text
    look = {"field-id": "look", "field-title": "Review within the week"}
    written(publisher, "put", **look, **{"field-review": "5 dayz"})
    assert "5 dayz" in found_at(publisher.page.text, "field-review"), "what is wrong is named at its field"
    written(publisher, "put", **look, **{"field-review": "5 days"})
    assert "look is changed in the text" in publisher.text
    written(publisher, "begin:triggers", new_kind_triggers="level")
    written(publisher, "put", **{"field-direction": "up"})
    data = Document(shown_document(publisher)).data
    assert data["triggers"] == [{"on": "level", "direction": "up"}]
    assert [each["review"] for each in data["actions"] if each["id"] == "look"] == ["5 days"]
    send_text(publisher, "save", shown_document(publisher))
    send_text(publisher, "commit", shown_document(publisher), accept_warnings="known")
    assert "The version is committed." in publisher.text
    assert publisher.go(f"{MINE}?through=1&customer={CUSTOMER}").page.status_code == 200
    assert "If it acted, it would do" in publisher.text
    other = Visitor(place).sign_in("admin").go(f"{MINE}/versions/1")
    other.submit("/activate", **WHY, confirmed="yes")
    assert "The version acts from now on." in other.text
    flows = {flow["name"]: flow["active"] for flow in place.good("GET", "/v1/flows", role="publisher")}
    assert flows["mine"] == 1


COST = Cost(milliseconds=1_234, tries=2)


@pytest.fixture
def run(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A run that asked a source, and went on by what it said."""
    path = tmp_path / "sources.yaml"
    register = {**REGISTER, "sends": sorted(DATA["send"])}
    allowed = {OURS: {"hosts": ["register.example"]}}
    path.write_text(yaml.safe_dump({"organisations": allowed, "sources": {"register": register}}))
    monkeypatch.setenv("FIVEFOLD_SOURCES_FILE", str(path))
    author, other = (Context(place.engine, place.actor(role)) for role in ("publisher", "admin"))
    draft = save_flow_draft(author, flow_document("costly", [STEP, BY_LIVE], examples=EXAMPLES))
    activate_flow(other, "costly", commit_flow(author, "costly", draft.revision, REASON).number, REASON)

    def said(_: Any, clock: Any) -> OutsideOutcome:
        return OutsideOutcome(values={"live": True}, source="register", at_us=clock(), digest="0" * 64, cost=COST)

    monkeypatch.setattr(asking, "ask_of", said)
    return call_flow(author, "costly", "customer", CUSTOMER).number


def test_a_cost_stands_at_its_step_wherever_a_run_is_read(place: Place, run: int) -> None:
    async def talk(client: Client) -> CallToolResult:
        return await client.call_tool("read_flow_run", {"run": run})

    over_v1 = place.good("GET", f"/v1/flow-runs/{run}", role="investigator")
    told = of_role(place, "investigator", talk).structured_content
    assert told is not None
    for why in (over_v1["why"], told["run"]["why"]):
        costs = {each["step"]: each.get("cost") for each in why["steps"]}
        assert costs == {"known": {"milliseconds": 1_234, "together": 1, "tries": 2}, "by-live": None, "nothing": None}
    page = Visitor(place).sign_in("investigator").go(f"/console/flow-runs/{run}")
    (row,) = [line for line in page.page.text.splitlines() if "came from register at" in line.lower() and "<th" in line]
    assert "took 1,234 ms, asked 2 times" in row
    assert page.text.count("took 1,234 ms") == 1, "other steps have none"
