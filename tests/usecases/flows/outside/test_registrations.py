"""What flows ask outside is registered: looked at when they are committed, activated, and when a worker starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError
from fivefold.domain.settings import read_settings
from fivefold.usecases.flows.activate import activate_flow, roll_back_flow, switch_flow_off, what_stands_against_flow
from fivefold.usecases.flows.registrations import refuse_unregistered
from fivefold.usecases.flows.review import check_flow
from tests.usecases.decisions.deciding import Desk
from tests.usecases.flows.documents import BY_COUNTRY, LOOK, WHY, Data, acting, as_, committed, flow_document

REGISTER: Data = {
    "title": "Register",
    "url": "https://register.example/",
    "sends": ["country"],
    "gives": {"live": "/live"},
    "answer": {"properties": {"share": {"minimum": 0.5}}},
}
DATA: Data = {"source": "register", "send": {"country": {"field": "country"}}, "gives": {"live": "flag"}}
STEP: Data = {"id": "known", "title": "Known", "rationale": "R.", "data": DATA, "on_unknown": "done"}
BY_LIVE: Data = {
    "id": "by-live",
    "title": "By live",
    "rationale": "R.",
    "route": [{"when": {"step": "known", "output": "live", "equals": True}, "to": "nothing"}],
    "otherwise": "done",
    "on_unknown": "done",
}
EXAMPLES: list[Data] = [
    {"name": "live", "given": {"country": "NO"}, "outcomes": {"known": {"live": True}}, "ends": "nothing"},
    {"name": "gone", "given": {"country": "NO"}, "outcomes": {"known": {"live": False}}, "ends": "done"},
    {"name": "not said", "given": {"country": "NO"}, "outcomes": {"known": {}}, "ends": "done"},
    {"name": "failed", "given": {"country": "NO"}, "outcomes": {"known": "failed"}, "ends": "done"},
]
Register = Callable[..., None]


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Write the operator's file anew, with the source as given; without any, where nothing is given."""
    path = tmp_path / "sources.yaml"
    monkeypatch.setenv("FIVEFOLD_SOURCES_FILE", str(path))

    def write(**sources: Any) -> None:
        allowed = {"bank": {"hosts": ["register.example"]}}
        path.write_text(yaml.safe_dump({"organisations": allowed, "sources": sources}))

    write()
    return write


def document(**parts: Any) -> str:
    return flow_document("live", [{**STEP, **parts}, BY_LIVE], examples=EXAMPLES)


@pytest.mark.parametrize(
    ("sources", "problem"),
    [
        ({}, "there is no source register that may be asked; there are none"),
        ({"registry": REGISTER}, r"there is no source register that .* there are registry; perhaps registry was meant"),
        ({"register": {**REGISTER, "sends": ["name"]}}, "sends country; the source register takes name"),
        ({"register": {**REGISTER, "gives": {"alive": "/a"}}}, "takes live of the source register, which gives alive"),
    ],
)
def test_a_source_that_is_not_registered_so_is_no_version(
    desk: Desk, register: Register, sources: Data, problem: str
) -> None:
    register(**sources)
    with pytest.raises(InvalidRulesetError, match=problem):
        committed(desk, document())
    [found] = check_flow(as_(desk, desk.ana), document()).errors
    assert (found.where, document().splitlines()[(found.line or 0) - 1].strip()) == ("step known, data", '"data": {')


def test_a_file_of_sources_that_is_wrong_lets_nothing_be_committed_and_says_nothing_of_it(
    desk: Desk, register: Register
) -> None:
    register(register={**REGISTER, "url": "http://register.example/"})
    with pytest.raises(InvalidRulesetError, match=r"settings of what may be asked are wrong$") as refused:
        committed(desk, document())
    assert "register.example" not in str(refused.value)


def test_an_agent_that_is_not_set_up_is_no_version(desk: Desk, register: Register) -> None:
    agent = {"question": "Live?", "facts": {"country": {"field": "country"}}, "answers": ["aye", "nay"]}
    step = {"id": "known", "title": "Known", "rationale": "R.", "agent": agent, "on_unknown": "nothing"}
    with pytest.raises(InvalidRulesetError, match=r"none is set up \(FIVEFOLD_AGENT_URL\)"):
        committed(desk, flow_document("live", [{**step, "then": "nothing"}], examples=[]))


def test_an_agent_alone_gives_no_tag_on_which_another_flow_blocks(desk: Desk, register: Register) -> None:
    """The flow that blocks is sound by itself, so the one that gives the tag is where the agent is stopped."""
    blocks: Data = {"id": "block", "title": "Block", "status": "blocked"}
    end: Data = {"id": "blocked", "title": "Blocked", "end": ["block"]}
    register()
    listens: Data = {"triggers": [{"on": "tag", "tag": "odd"}], "actions": [LOOK, blocks], "examples": []}
    assert check_flow(as_(desk, desk.ana), flow_document("blocks", [end], **listens)).errors == ()
    agent = {"question": "Odd?", "facts": {"country": {"field": "country"}}, "answers": ["aye", "nay"]}
    asks: Data = {"id": "known", "title": "Known", "rationale": "R.", "agent": agent, "on_unknown": "nothing"}
    aye: Data = {"step": "known", "output": "answer", "equals": "aye"}
    gives: Data = {"id": "give", "title": "Give", "tag": "odd"}
    parts: Data = {"actions": [LOOK, gives], "examples": []}
    by_answer = {**BY_COUNTRY, "id": "by-answer", "route": [{"when": aye, "to": "odd"}], "on_unknown": "nothing"}
    odd: Data = {"id": "odd", "title": "Odd", "end": ["give"]}
    with pytest.raises(
        InvalidRulesetError, match="give: an agent could be the only reason, by known → by-answer → odd"
    ):
        committed(desk, flow_document("live", [asks, by_answer, odd], **parts))
    by_answer["route"] = [{"when": {"all": [aye, {"field": "country", "equals": "IR"}]}, "to": "odd"}]
    document = flow_document("live", [asks, by_answer, odd], **parts)
    found = check_flow(as_(desk, desk.ana), document).errors
    assert [each.where for each in found] == ["step known, agent"], "none is set up, and that is all"


def test_a_version_whose_source_was_taken_away_does_not_act(desk: Desk, register: Register) -> None:
    register(register=REGISTER)
    first = acting(desk, document())
    second = committed(desk, document(title="Known better"))
    register()
    here = as_(desk, desk.ben)
    why = f"version {second.number} of the flow live cannot run now: step known, data: there is no source register"
    with pytest.raises(ConflictError, match=why):
        activate_flow(here, "live", second.number, WHY)
    assert any(why in each for each in what_stands_against_flow(here, "live", second.number))
    switch_flow_off(here, "live", WHY)
    with pytest.raises(ConflictError, match="cannot run now"):
        roll_back_flow(here, "live", first.number, WHY)
    register(register=REGISTER)
    assert what_stands_against_flow(here, "live", second.number) == ()
    roll_back_flow(here, "live", first.number, WHY)


def test_a_worker_does_not_start_where_a_flow_that_acts_asks_what_was_taken_away(
    desk: Desk, register: Register
) -> None:
    register(register=REGISTER)
    acting(desk, document())
    refuse_unregistered(desk.bank.engine, read_settings())
    register(register={**REGISTER, "sends": ["name"]})
    said = "the flow live of bank, version 1, which is active: step known, data: sends country; the source register"
    with pytest.raises(ConfigError, match=said):
        refuse_unregistered(desk.bank.engine, read_settings())
    switch_flow_off(as_(desk, desk.ana), "live", WHY)
    refuse_unregistered(desk.bank.engine, read_settings())
