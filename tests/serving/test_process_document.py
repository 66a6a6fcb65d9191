"""The service does what /openapi.json says: Schemathesis makes requests of it, and looks at the answers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.process_service import Service

CASES = 40
NOT_SAID = "positive_data_acceptance"
"""No schema can say which currencies a model has rates for, or which dates there are: such rows are 400."""


@pytest.mark.parametrize("known", [True, False])
def test_answers_are_as_the_document_says(on_sqlite: Service, tmp_path: Path, known: bool) -> None:
    """With a token and without one; 150 requests and more, always the same ones."""
    before = errors(on_sqlite)
    command = [str(Path(sys.executable).parent / "st"), "run", f"{on_sqlite.url}/openapi.json"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(CASES), "--generation-deterministic"]
    command += ["--checks", "all", "--exclude-checks", NOT_SAID, "--continue-on-failure", "--no-color"]
    command += ["--header", f"token: {on_sqlite.token() if known else 'unknown'}"]
    environment = {**os.environ, "DO_NOT_TRACK": "1"}
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    cases = re.search(r"(\d+) generated, (\d+) passed", found.stdout)
    assert cases, found.stdout
    assert int(cases[1]) >= 100
    assert errors(on_sqlite) == before == 0


def errors(service: Service) -> float:
    """Count the answers that say that the service failed."""
    return sum(
        count
        for series, count in service.metrics().items()
        if series.startswith("fivefold_requests_total") and 'status="50' in series and "readyz" not in series
    )
