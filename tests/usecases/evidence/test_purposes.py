"""Evidence of purposes: what decided and what it read, and a check that believes the documents alone."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import iso_text
from fivefold.domain.settings import Settings
from fivefold.usecases.changes import asks
from fivefold.usecases.evidence.archive import MANIFEST, File, check_archive, write_archive
from fivefold.usecases.evidence.build import build_evidence, check_evidence
from fivefold.usecases.rulesets.activate import activate
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import read_quarter
from tests.usecases.accounts.test_purposes import (
    LEVEL,
    LISTED,
    WHY,
    WORTH,
    People,
    committed,
    decides,
    offered,
    policy_text,
    prepared,
    ruleset_text,
    say,
)
from tests.usecases.at_once import switch_family
from tests.usecases.governed import DAY, NOW, agreed, document


@pytest.fixture(autouse=True)
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the audit log be of the quarter, too."""

    def set_to(now_us: int) -> None:
        monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: now_us)

    set_to(NOW)
    return set_to


@pytest.fixture
def three(engine: Engine, set_clock: Callable[[int], None]) -> People:
    """The organisation of the other tests, with an audit log of that time."""
    set_clock(NOW - DAY)
    people = prepared(engine)
    set_clock(NOW)
    return people


def built(engine: Engine, people: People, folder: Path) -> tuple[Path, Any]:
    made = build_evidence(Context(engine, people[0]), read_quarter("2026Q4"), folder / "made.zip", Settings(var=folder))
    with zipfile.ZipFile(made.archive) as archive:
        return folder / "made.zip", json.loads(archive.read("purposes.json"))


def rewritten(path: Path, name: str, change: Callable[[str], str]) -> Path:
    """Write the archive with another file, and a manifest that fits it."""
    with zipfile.ZipFile(path) as archive:
        content = {each: archive.read(each) for each in archive.namelist() if each != MANIFEST}
        quarter = {"quarter": json.loads(archive.read(MANIFEST))["quarter"]}
    content[name] = change(content[name].decode()).encode()
    other = path.with_name("other.zip")
    write_archive(other, [File(each, lambda piece=piece: [piece]) for each, piece in content.items()], lambda: quarter)
    assert not check_archive(other).problems
    return other


@pytest.mark.postgresql
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


def test_a_type_counts_by_what_it_said_while_it_was_read(
    engine: Engine, three: People, tmp_path: Path, set_clock: Callable[[int], None]
) -> None:
    offered(engine, three, policy_text({"field": "income", "above": 5}, purposes={"fields": {"income": "both"}}))
    set_clock(NOW + 1)
    retired = asks.retire_policy(Context(engine, three[0]).at(NOW + 1), "welcome-offer", 1, WHY)
    agreed(engine, three[1], retired, NOW + 1)
    set_clock(NOW + 2)
    say(engine, three, {"fields": {"income": "aml"}, "tags": {"vip": "aml"}})
    path, content = built(engine, three, tmp_path)
    (line,) = content["deciding"]
    assert [each["gathered_for"] for each in line["reads"]] == ["both"]
    assert line["declared"]["fields"] == {"country": "both", "income": "both"}
    assert content["entity_types"][-1]["purposes"]["fields"]["income"] == "aml"
    assert not content["feeds_commerce"]
    assert check_evidence(path).problems == ()


@pytest.mark.postgresql
def test_what_was_activated_while_its_ruleset_was_off_decides_from_the_switch_on(
    engine: Engine, three: People, tmp_path: Path
) -> None:
    context = Context(engine, three[0])

    def switch(on: bool, at_us: int) -> None:
        switch_family(context.at(at_us), "good-customers", on=on, reason=WHY)

    def forces() -> list[tuple[int, str, str | None]]:
        """Every time in which a version decided, as two files say."""
        path, content = built(engine, three, tmp_path)
        assert check_evidence(path).problems == ()
        with zipfile.ZipFile(path) as archive:
            versions = json.loads(archive.read("rulesets/versions.json"))
            settings = json.loads(archive.read("settings.json"))
            (*_, activation) = json.loads(archive.read("rulesets/activations.json"))
        listed = [(row["version"], each["from"], each["until"]) for row in versions for each in row["in_force"]]
        assert sorted(listed) == sorted((row["version"], row["from"], row["until"]) for row in content["deciding"])
        decided = {row["version"] for row in content["rulesets_that_decided"]}
        assert decided == {version for version, _, _ in listed}
        assert (activation["version"], activation["while_off"]) == (2, not settings["rulesets"]["good-customers"]["on"])
        return listed

    decides(engine, three, ruleset_text(WORTH))
    switch(False, NOW + 1)
    second = committed(engine, three, ruleset_text(WORTH, LISTED))
    activate(Context(engine, three[2]).at(NOW + 2), "good-customers", second, WHY)
    assert forces() == [(1, iso_text(NOW), iso_text(NOW + 1))]
    switch(True, NOW + 3)
    assert forces() == [(1, iso_text(NOW), iso_text(NOW + 1)), (2, iso_text(NOW + 3), None)]


def test_what_is_activated_first_in_a_ruleset_that_is_off_decides_from_the_switch_on(
    engine: Engine, three: People, tmp_path: Path
) -> None:
    """No activation tells of the switch-off, as no version was active then."""
    first = committed(engine, three, ruleset_text(WORTH))
    switch_family(Context(engine, three[0]).at(NOW), "good-customers", on=False, reason=WHY)
    activate(Context(engine, three[2]).at(NOW + 1), "good-customers", first, WHY)
    assert built(engine, three, tmp_path)[1]["deciding"] == []
    switch_family(Context(engine, three[0]).at(NOW + 2), "good-customers", on=True, reason=WHY)
    switch_family(Context(engine, three[0]).at(NOW + 3), "good-customers", on=False, reason=WHY)
    (line,) = built(engine, three, tmp_path)[1]["deciding"]
    assert (line["version"], line["from"], line["until"]) == (first, iso_text(NOW + 2), iso_text(NOW + 3))


def test_a_reader_finds_what_the_archive_does_not_admit(engine: Engine, three: People, tmp_path: Path) -> None:
    decides(engine, three, ruleset_text(WORTH, LISTED))
    offered(engine, three, policy_text({"field": "income", "above": 5}, purposes={"fields": {"income": "both"}}))
    path, content = built(engine, three, tmp_path)

    def problems_of(**changed: Any) -> str:
        other = rewritten(path, "purposes.json", lambda _text: json.dumps(content | changed))
        return "\n".join(check_evidence(other).problems)

    lists, types, deciding = content["lists"], content["entity_types"], content["deciding"]
    aml = [{**row, "says": "aml"} for row in lists]
    assert "rule worth → list watched" in problems_of(lists=aml)  # whatever the line of the ruleset says
    assert "of the list watched" in problems_of(lists=[])
    silent = [{**row, "purposes": {}} for row in types]
    assert "rule big-spender → field income" in problems_of(entity_types=silent)
    assert "good-customers 1 is not among" in problems_of(rulesets_that_decided=[])
    for line in deciding:
        others = [each for each in deciding if each is not line]
        assert f"does not say that {line['kind']} {line['name']} 1" in problems_of(deciding=others)
        shorter = [*others, {**line, "until": line["from"]}]
        assert f"no other file says that {line['kind']} {line['name']} 1" in problems_of(deciding=shorter)
    document_name = "rulesets/good-customers/0001.yaml"
    changed = rewritten(path, document_name, lambda text: text.replace('"purpose": "commercial"', '"purpose": "aml"'))
    assert len(check_evidence(changed).problems) == 3
    assert check_evidence(rewritten(path, document_name, lambda _text: "{")).problems
    assert check_evidence(rewritten(path, "groups/versions.json", lambda _text: "[null]")).problems
