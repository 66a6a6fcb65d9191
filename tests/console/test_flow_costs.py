"""What a step cost that asked the outside stands at that step: on the run's page, over /v1 and for agents."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client
from mcp.types import CallToolResult

from fivefold.flows.outside.outcomes import Cost, OutsideOutcome
from fivefold.usecases.flows.activate import activate_flow
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.shared.context import Context
from tests.console.visitors import Visitor
from tests.serving.mcp.asking import of_role
from tests.serving.v1.examples import CUSTOMER, WHY
from tests.serving.v1.places import OURS, Place
from tests.usecases.flow_documents import flow_document
from tests.usecases.flows.test_registrations import BY_LIVE, DATA, EXAMPLES, REGISTER, STEP

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
    activate_flow(other, "costly", commit_flow(author, "costly", draft.revision, WHY).number, WHY)

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
