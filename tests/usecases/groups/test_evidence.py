"""Groups in the evidence of a quarter: each version as it was written, and who approved it."""

import json
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import Engine

from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.evidence.build import build_evidence
from fivefold.usecases.groups.versions import retire_group
from fivefold.usecases.shared.inputs import read_quarter
from tests.usecases.erasure.removals import keep, remove
from tests.usecases.groups.grouped import HIGH, WORTH, Circle, document, opened

pytestmark = pytest.mark.postgresql


def test_versions_and_approvals_of_groups_are_in_the_evidence_of_their_quarter(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    circle = opened(engine)
    circle.publish(HIGH)
    circle.propose(WORTH, "worth", purpose="commercial")
    monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: circle.bank.now)
    retire_group(circle.context(2), "worth", 1, "Too wide.")
    found = {}
    for name in ("2026Q4", "2026Q3"):
        made = build_evidence(circle.bank.context, read_quarter(name), tmp_path / f"{name}.zip", None)
        with zipfile.ZipFile(made.archive) as archive:
            found[name] = {each: archive.read(each) for each in archive.namelist()}
    now, before = found["2026Q4"], found["2026Q3"]
    versions = json.loads(now["groups/versions.json"])
    assert [(each["group"], each["approved_by"], each["purpose"]) for each in versions] == [
        ("watched", "member:2", "aml"),
        ("worth", None, "commercial"),
    ]
    assert now[versions[0]["document"]].decode() == document(HIGH)
    approvals = json.loads(now["approvals.json"])
    assert [(each["what"], each["asked_by"], each["by"], each["four_eyes"]) for each in approvals] == [
        ("group", ["member:1"], "member:2", True),
        ("group refused", ["member:1"], "member:2", True),
    ]
    assert json.loads(before["groups/versions.json"]) == []


def moves_archived(circle: Circle, path: Path, quarter: str) -> tuple[list[int], str | None]:
    """How many entered and left by the evidence of a quarter, and before which moment moves are left out."""
    made = build_evidence(circle.bank.context, read_quarter(quarter), path, None)
    with zipfile.ZipFile(made.archive) as archive:
        moves, removed = (json.loads(archive.read(f"groups/{name}.json")) for name in ("moves", "removed"))
    return [each["moves"] for each in moves], removed["moves_removed_before"]


def test_the_evidence_says_what_retention_removed_of_moves(engine: Engine, tmp_path: Path) -> None:
    circle = opened(engine)
    bank = circle.bank
    circle.publish(HIGH)
    circle.settle()
    bank.wait(1)
    circle.retire()
    circle.settle()
    assert moves_archived(circle, tmp_path / "1.zip", "2026Q4") == ([1, 1], None)
    bank.wait(days=1826 + 20)
    keep(bank, flows_days=1826)
    assert remove(bank) == {"flows": 1}
    assert moves_archived(circle, tmp_path / "2.zip", "2026Q4") == ([1], "2026-12-11T00:00:00+00:00")
    assert moves_archived(circle, tmp_path / "3.zip", "2027Q1") == ([], None)
    bank.wait(days=300)
    remove(bank)
    assert moves_archived(circle, tmp_path / "4.zip", "2026Q4") == ([1], "2026-12-19T00:00:00+00:00")


def test_the_evidence_says_how_many_were_erased_whose_moves_went(engine: Engine, tmp_path: Path) -> None:
    circle = opened(engine)
    bank = circle.bank
    circle.publish(HIGH)
    circle.settle()
    left = {}
    for name in ("before", "after"):
        made = build_evidence(bank.context, read_quarter("2026Q4"), tmp_path / f"{name}.zip", None)
        with zipfile.ZipFile(made.archive) as archive:
            moves, removed = (json.loads(archive.read(f"groups/{each}.json")) for each in ("moves", "removed"))
        left[name] = len(moves), removed["entities_erased"]
        if name == "before":
            bank.wait(days=6 * 366)
            erase_entity(bank.context, "customer", min(circle.members()), tmp_path / "register")
    assert left == {"before": (1, 0), "after": (0, 1)}
    bank.wait(days=92)
    later = build_evidence(bank.context, read_quarter("2033Q1"), tmp_path / "later.zip", None)
    with zipfile.ZipFile(later.archive) as archive:
        assert json.loads(archive.read("groups/removed.json"))["entities_erased"] == 0
