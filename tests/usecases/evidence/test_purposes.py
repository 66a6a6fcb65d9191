"""Evidence of purposes: what decided and what it read, and a check that believes the documents alone."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.settings import Settings
from fivefold.usecases.changes import asks
from fivefold.usecases.evidence.archive import MANIFEST, File, check_archive, write_archive
from fivefold.usecases.evidence.build import build_evidence
from fivefold.usecases.evidence.purposes import check_evidence
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import read_quarter
from tests.usecases.accounts.test_purposes import (
    LEVEL,
    LISTED,
    WHY,
    WORTH,
    People,
    decides,
    offered,
    policy_text,
    ruleset_text,
    three,
)
from tests.usecases.at_once import switch_family
from tests.usecases.governed import DAY, NOW, agreed, document

pytestmark = pytest.mark.postgresql
__all__ = ["three"]  # the fixture


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the audit log be of the quarter, too."""
    monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: NOW)


def built(engine: Engine, people: People, folder: Path) -> tuple[Path, Any]:
    made = build_evidence(Context(engine, people[0]), read_quarter("2026Q4"), folder / "made.zip", Settings(var=folder))
    with zipfile.ZipFile(made.path) as archive:
        return made.path, json.loads(archive.read("purposes.json"))


def rewritten(path: Path, name: str, change: Callable[[str], str]) -> Path:
    """Write the archive with another file, and a manifest that fits it."""
    with zipfile.ZipFile(path) as archive:
        content = {each: archive.read(each) for each in archive.namelist() if each != MANIFEST}
    content[name] = change(content[name].decode()).encode()
    other = path.with_name("other.zip")
    write_archive(other, [File(each, lambda piece=piece: [piece]) for each, piece in content.items()], dict)
    assert not check_archive(other).problems
    return other


def test_what_decided_is_there_with_what_it_read(engine: Engine, three: People, tmp_path: Path) -> None:
    decides(engine, three, ruleset_text(WORTH, LISTED))
    offered(
        engine,
        three,
        policy_text(
            {"calculation": "worth", "above": 3}, calculate={"worth": {"unit": "ratio", "of": {"value": "score"}}}
        ),
    )
    decides(engine, three, document("retail"), "retail")
    offered(engine, three, policy_text({"all": [LEVEL, WORTH]}, policy="holds", purpose="aml"))
    path, content = built(engine, three, tmp_path)
    lines = {line["name"]: line for line in content["deciding"]}
    assert {name: line["purpose"] for name, line in lines.items()} == {
        "good-customers": "commercial",
        "welcome-offer": "commercial",
        "retail": "aml",
        "holds": "aml",
    }
    (read,) = lines["welcome-offer"]["reads"]
    assert read["path"] == [
        "policy welcome-offer",
        "action offer",
        "rule big-spender",
        "calculation worth",
        "value score",
    ]
    assert {each["what"]: each["gathered_for"] for each in lines["good-customers"]["reads"]} == {
        "value score": "both",
        "field country": "both",
        "list watched": "both",
    }
    assert lines["holds"]["reads"][0]["gathered_for"] == "aml"
    assert not content["feeds_commerce"]
    assert check_evidence(path).problems == ()


def test_a_list_counts_as_it_was_while_it_was_read(engine: Engine, three: People, tmp_path: Path) -> None:
    decides(engine, three, ruleset_text(LISTED))
    switch_family(Context(engine, three[0]).at(NOW + 1), "good-customers", on=False, reason=WHY)
    context = Context(engine, three[0]).at(NOW + 2)
    asked = asks.put_list_version(context, "watched", NOW + DAY, ["KP"], "Watched", "us", WHY, purpose="aml")
    agreed(engine, three[1], asked, NOW + 2)
    path, content = built(engine, three, tmp_path)
    assert [line["lists"] for line in content["deciding"]] == [{"watched": "both"}]
    assert [line["says"] for line in content["lists"]] == ["both", "aml"]
    assert not content["feeds_commerce"]
    assert check_evidence(path).problems == ()


def test_a_reader_finds_what_the_archive_does_not_admit(engine: Engine, three: People, tmp_path: Path) -> None:
    decides(engine, three, ruleset_text(WORTH, LISTED))
    path, _ = built(engine, three, tmp_path)

    def with_aml(text: str) -> str:
        return text.replace('"watched": "both"', '"watched": "aml"')

    def with_nothing(text: str) -> str:
        return json.dumps({**json.loads(text), "deciding": []})

    problems = check_evidence(rewritten(path, "purposes.json", with_aml)).problems
    assert any("rule worth → list watched" in problem for problem in problems)
    (missing,) = check_evidence(rewritten(path, "purposes.json", with_nothing)).problems
    assert "good-customers 1" in missing
    document_name = "rulesets/good-customers/0001.yaml"
    changed = rewritten(path, document_name, lambda text: text.replace('"purpose": "commercial"', '"purpose": "aml"'))
    assert len(check_evidence(changed).problems) == 2
    assert check_evidence(rewritten(path, document_name, lambda _text: "{")).problems
