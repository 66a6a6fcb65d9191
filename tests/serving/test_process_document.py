"""The service does what /openapi.json says: Schemathesis makes requests of it, and looks at the answers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.organisations import actor_in_new, add_member
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.pace import slowness
from tests.serving.process_service import Service
from tests.serving.v1.bank_rulesets import document
from tests.usecases import platforms

NOT_SAID = "positive_data_acceptance"
"""No schema can say which currencies a model has rates for, or which dates there are: such rows are 400."""


SCORING = ["--include-path-regex", "^/v4/", "--phases", "examples,coverage,fuzzing", "--max-examples", "40"]
PLATFORM = ["--include-path-regex", "^/v1/", "--phases", "fuzzing", "--max-examples", "4"]
NAMED = """
[parameters]
"path.type" = "customer"
"path.external_id" = "a"
"path.family" = "retail"
"""
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
    assert passed(service, tmp_path, admin_of_a_bank(service), PLATFORM) >= 100


def admin_of_a_bank(service: Service) -> str:
    """A token of one who may do everything, in an organisation with a customer and a ruleset."""
    actor = actor_in_new(service.engine, "fuzzed", "cli:test")
    choose_levels(Context(service.engine, actor), ["low", "medium", "high"])
    define_type(Context(service.engine, actor), "customer", platforms.FIELDS, platforms.TRANSACTION_FIELDS)
    put_entities(Context(service.engine, actor), "customer", [EntityRow("a")])
    save_draft(Context(service.engine, actor), document("retail"))
    add_member(Context(service.engine, actor), "ada", ["admin"])
    return service.token(organisation="fuzzed", role="admin", member="ada")


def passed(service: Service, folder: Path, token: str, which: list[str]) -> int:
    """Let Schemathesis ask; how many of its requests were answered as they should be, which must be all."""
    before = errors(service)
    (folder / "named.toml").write_text(NAMED, encoding="utf-8")
    program = [str(Path(sys.executable).parent / "st"), "--config-file", str(folder / "named.toml")]
    command = [*program, "run", f"{service.url}/openapi.json", *which, "--generation-deterministic"]
    command += ["--checks", "all", "--exclude-checks", NOT_SAID, "--continue-on-failure", "--no-color"]
    command += ["--header", f"token: {token}"]
    environment = {**os.environ, "DO_NOT_TRACK": "1"}
    found = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240 * slowness(), check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    cases = re.search(r"(\d+) generated, (\d+) passed", found.stdout)
    assert cases, found.stdout
    assert errors(service) == before == 0
    return int(cases[1])


def errors(service: Service) -> float:
    """Count the answers that say that the service failed."""
    return sum(
        count
        for series, count in service.metrics().items()
        if series.startswith("fivefold_requests_total") and 'status="50' in series and "readyz" not in series
    )
