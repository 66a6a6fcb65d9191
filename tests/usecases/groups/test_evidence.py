"""Groups in the evidence of a quarter: each version as it was written, and who approved it."""

import json
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import Engine

from fivefold.usecases.evidence.build import build_evidence
from fivefold.usecases.shared.inputs import read_quarter
from tests.usecases.grouped import HIGH, WORTH, document, opened

pytestmark = pytest.mark.postgresql


def test_versions_and_approvals_of_groups_are_in_the_evidence_of_their_quarter(engine: Engine, tmp_path: Path) -> None:
    circle = opened(engine)
    circle.publish(HIGH)
    circle.propose(WORTH, "worth", purpose="commercial")
    found = {}
    for name in ("2026Q4", "2026Q3"):
        made = build_evidence(circle.bank.context, read_quarter(name), tmp_path / f"{name}.zip", None)
        with zipfile.ZipFile(made.path) as archive:
            found[name] = {each: archive.read(each) for each in archive.namelist()}
    now, before = found["2026Q4"], found["2026Q3"]
    versions = json.loads(now["groups/versions.json"])
    assert [(each["group"], each["approved_by"], each["purpose"]) for each in versions] == [
        ("watched", "member:2", "aml"),
        ("worth", None, "commercial"),
    ]
    assert now[versions[0]["document"]].decode() == document(HIGH)
    approvals = [each for each in json.loads(now["approvals.json"]) if each["what"] == "group"]
    assert [(each["asked_by"], each["by"], each["four_eyes"]) for each in approvals] == [
        (["member:1"], "member:2", True)
    ]
    assert json.loads(before["groups/versions.json"]) == []
