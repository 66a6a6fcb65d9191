"""The service does what /openapi.json says: Schemathesis makes requests of it, and looks at the answers."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fivefold.store.accounts.plans import read_plans
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.organisations import actor_in, actor_in_new, add_member
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.flows.activate import activate_flow
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.replays.jobs import ReplayAsked, request_flow_replay
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.groups.versions import approve_group, propose_group
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.pace import slowness
from tests.serving.processes.service import Service
from tests.serving.v1.rulesets.bank_rulesets import document
from tests.usecases import platforms
from tests.usecases.flows.documents import WHY, flow_document
from tests.usecases.groups.grouped import HIGH
from tests.usecases.groups.grouped import document as group_document

NOT_SAID = "positive_data_acceptance"
"""No schema can say which currencies a model has rates for, or which texts are rulesets: such requests are refused."""
SCORING = ["--include-path-regex", "^/v4/", "--phases", "examples,coverage,fuzzing", "--max-examples", "40"]
FLOWS = [
    "--include-path-regex",
    "^/v1/(flow|groups)|/(flow-actions|groups)$",
    "--phases",
    "fuzzing",
    "--max-examples",
    "12",
]
PLATFORM = ["--include-path-regex", "^/v1/", "--phases", "fuzzing", "--max-examples", "4"]
HOOKS = Path(__file__).parents[1] / "document_hooks.py"
NAMED = {"type": "customer", "external_id": "a", "family": "retail"}
"""What there is in the organisation that is asked about: other names would be 404 and nothing else."""


@pytest.mark.full
@pytest.mark.parametrize("known", [True, False])
def test_answers_are_as_the_document_says(on_sqlite: Service, tmp_path: Path, known: bool) -> None:
    """With a token and without one; 150 requests and more, always the same ones."""
    token = on_sqlite.token() if known else "unknown"
    assert passed(on_sqlite, tmp_path, token, SCORING) >= 100


@pytest.mark.full
def test_the_platform_answers_as_the_document_says(service: Service, tmp_path: Path) -> None:
    """Whoever may do everything asks for anything, in an organisation of their own."""
    token = admin_of_a_bank(service)
    assert passed(service, tmp_path, token, PLATFORM, {**NAMED, **with_a_colleague(service, "fuzzed")}) >= 100


@pytest.mark.full
def test_flows_runs_replays_and_groups_that_are_there_answer_as_the_document_says(
    service: Service, tmp_path: Path
) -> None:
    """By names that there are: of others nothing but 404 could come."""
    token = admin_of_a_bank(service, "flowing")
    named = with_flows(service, "flowing")
    assert passed(service, tmp_path, token, FLOWS, {**NAMED, **named}) >= 100


def with_flows(service: Service, organisation: str) -> dict[str, str]:
    """Add a flow that acts, a run of it that did something, a replay and a group; give their names in paths."""
    actor = actor_in(service.engine, organisation, "cli:test")
    members = [add_member(Context(service.engine, actor), name, ["publisher"]).id for name in ("max", "eve")]
    one, two = (Context(service.engine, Actor(actor.organisation_id, f"member:{number}")) for number in members)
    version = commit_flow(one, "care", save_flow_draft(one, flow_document()).revision, WHY).number
    activate_flow(two, "care", version, WHY)
    run = call_flow(one, "care", "customer", "a", None, "k")
    assert run.taken
    replay, _ = request_flow_replay(one, "care", ReplayAsked(version=version))
    group = propose_group(one, group_document(HIGH), WHY, WHY)
    approve_group(two, group.name, group.number, WHY)
    named = {"flow": "care", "run": run.number, "action": run.taken[0].number, "replay": replay.id}
    return {**{name: str(each) for name, each in named.items()}, "group": group.name, "number": "1"}


def with_a_colleague(service: Service, organisation: str) -> dict[str, str]:
    """Add a member with a token; give their numbers in paths: who ends their own could ask for nothing more."""
    context = Context(service.engine, actor_in(service.engine, organisation, "cli:test"))
    member = add_member(context, "max", ["publisher"]).id
    plans = read_plans(service.plans_file)
    token, _ = create_token(
        service.engine, plans, plan="unlimited", organisation=organisation, role="publisher", member="max"
    )
    return {"member": str(member), "number": str(token)}


def admin_of_a_bank(service: Service, organisation: str = "fuzzed") -> str:
    """A token of one who may do everything, in an organisation with a customer and a ruleset."""
    actor = actor_in_new(service.engine, organisation, "cli:test")
    choose_levels(Context(service.engine, actor), ["low", "medium", "high"])
    define_type(Context(service.engine, actor), "customer", platforms.FIELDS, platforms.TRANSACTION_FIELDS)
    put_entities(Context(service.engine, actor), "customer", [EntityRow("a")])
    save_draft(Context(service.engine, actor), document("retail"))
    add_member(Context(service.engine, actor), "ada", ["admin"])
    return service.token(organisation=organisation, role="admin", member="ada")


def passed(service: Service, folder: Path, token: str, which: list[str], named: Mapping[str, str] = NAMED) -> int:
    """Let Schemathesis ask; how many of its requests were answered as they should be, which must be all."""
    before = errors(service)
    lines = ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in named.items())]
    (folder / "named.toml").write_text("\n".join(lines), encoding="utf-8")
    program = [str(Path(sys.executable).parent / "st"), "--config-file", str(folder / "named.toml")]
    command = [*program, "run", f"{service.url}/openapi.json", *which, "--generation-deterministic"]
    command += ["--checks", "all", "--exclude-checks", NOT_SAID, "--continue-on-failure", "--no-color"]
    command += ["--header", f"token: {token}"]
    environment = {**os.environ, "DO_NOT_TRACK": "1", "SCHEMATHESIS_HOOKS": str(HOOKS)}
    found = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240 * slowness(), check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    cases = re.search(r"(\d+) generated, (\d+) passed", found.stdout)
    assert cases, found.stdout
    assert errors(service) == before == 0
    if token != "unknown":
        assert service.get("/v1/members", headers={"token": token}).status_code != 401, "the token was ended on the way"
    return int(cases[1])


def errors(service: Service) -> float:
    """Count the answers that say that the service failed."""
    return sum(
        count
        for series, count in service.metrics().items()
        if series.startswith("fivefold_requests_total") and 'status="50' in series and "readyz" not in series
    )
