"""Evidence of a quarter: complete, of one organisation, the same bytes each time, and nobody's name in it."""

import json
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.settings import Settings
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes.asks import switch_family
from fivefold.usecases.changes.backtests import BACKTESTS, request_backtest
from fivefold.usecases.evidence import build as evidence
from fivefold.usecases.evidence.archive import MANIFEST, check_archive
from fivefold.usecases.evidence.build import Evidence, build_evidence
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import RecordGiven, put_record, set_tag
from fivefold.usecases.levels.overrides import approve_override, refuse_override, request_override
from fivefold.usecases.monitoring.peers import attach_peer
from fivefold.usecases.monitoring.revalidation import register_change, sign_off
from fivefold.usecases.monitoring.validate import validate_levels
from fivefold.usecases.rulesets.activate import activate
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.inputs import Quarter, read_quarter
from fivefold.usecases.shared.jobs import run_next_job
from tests.store.audits import bind_unnamed, forged
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version, revoke_override, roll_back
from tests.usecases.governed import DAY, NOW, add_entities, agreed, document, founded, rows_of, stand

QUARTER = read_quarter("2026Q4")
NAME, REASON = "Wolfgang Amadeus", "Salieri vouches for them"
Content = dict[str, bytes]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the audit log be of the quarter, too."""
    monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: NOW)


def version(engine: Engine, people: tuple[Actor, Actor, Actor], medium: int) -> int:
    saved = save_draft(Context(engine, people[0]).at(NOW), document(medium=medium))
    number = commit(Context(engine, people[1]).at(NOW), "retail", saved.revision).number
    request_backtest(Context(engine, people[0]).at(NOW), "retail", number)
    assert run_next_job(engine, BACKTESTS, NOW)
    return number


@pytest.fixture
@filled_once
def people(engine: Engine) -> tuple[Actor, Actor, Actor]:
    """Rulesets, customers, overrides, a validation and a change, all in one quarter."""
    three = founded(engine)
    ana, ben, cyd = three
    put_list_version(Context(engine, ana).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    add_member(Context(engine, ana).at(NOW), "Constanze Weber", ["approver"])
    put_entities(Context(engine, ana).at(NOW), "customer", [EntityRow(NAME, {"country": "IR", "income": 98765})])
    for entity_id in add_entities(engine, ana, [f"{NAME} {number}" for number in range(20)]):
        stand(engine, entity_id, 3)
    activate(Context(engine, cyd).at(NOW), "retail", version(engine, three, 30), "as agreed")
    activate(Context(engine, cyd).at(NOW + 1), "retail", version(engine, three, 25), "a lower line")
    roll_back(Context(engine, ana).at(NOW + 2), "retail", 1, "too low")
    asked = [
        request_override(Context(engine, ana).at(NOW), "customer", f"{NAME} {number}", "low", REASON)
        for number in range(3)
    ]
    approve_override(Context(engine, ben).at(NOW + 3), asked[0].id, REASON)
    refuse_override(Context(engine, ben).at(NOW + 4), asked[1].id, REASON)
    revoke_override(Context(engine, cyd).at(NOW + 5), asked[0].id, REASON)
    set_tag(Context(engine, ana).at(NOW), "customer", NAME, f"tag of {NAME}")
    put_record(
        Context(engine, ana).at(NOW),
        "customer",
        NAME,
        "case",
        RecordGiven(external_id=f"case of {NAME}", opened_us=NOW),
    )
    change = register_change(Context(engine, ana).at(NOW), "product", "Instant payments.")
    made = validate_levels(Context(engine, ana).at(NOW + 6), NOW - 90 * DAY, NOW, "the quarter", resamples=20)
    sign_off(Context(engine, ben).at(NOW + 7), change.id, made.id, "Nothing changes.")
    with forged(engine) as connection:
        for table in ("standings", "portfolio_counts"):  # which no assessment made
            connection.execute(text(f"DELETE FROM {table}"))
    bind_unnamed(engine, NOW)
    return three


def build(engine: Engine, actor: Actor, folder: Path, quarter: Quarter = QUARTER, name: str = "made.zip") -> Evidence:
    return build_evidence(
        Context(engine, actor).at(max(NOW, quarter.from_us)), quarter, folder / name, Settings(var=folder)
    )


def read(made: Evidence) -> Content:
    with zipfile.ZipFile(made.archive) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def parsed(content: Content, name: str) -> Any:
    return json.loads(content[name])


def test_everything_that_decided_is_there(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    made = build(engine, people[0], tmp_path)
    content = read(made)
    assert made.counts == {
        "models": 0, "promotions": 0, "promotions_lost": 0, "rulesets": 2, "activations": 3, "backtests": 2,
        "overrides": 3, "approvals": 5, "challenges": 0,
        "material_changes": 1, "proposals": 0, "validations": 1, "lists": 1,
        "rate_tables": 0, "records": 1, "links_ended": 0, "policies": 0, "groups": 0, "members": 1,
        "flows": 0, "flow_activations": 0, "flow_runs": 0, "flow_replays": 0, "flow_actions_taken_back": 0,
        "audit_entries": len(rows_of(engine, AuditEntry)),
    }  # fmt: skip
    assert content["rulesets/retail/0001.yaml"].decode() == document(medium=30)
    assert content["rulesets/retail/0002.yaml"].decode() == document(medium=25)
    assert content["rulesets/retail/0002-diff.txt"] == b"score, points, thresholds: 30, 60 \xe2\x86\x92 25, 60\n"
    difference = parsed(content, "rulesets/retail/0002-diff.json")
    assert (difference["before_version"], difference["after_version"]) == (1, 2)
    assert "rulesets/retail/0001-diff.txt" not in content, "there is nothing before the first"
    found = [(each["kind"], each["version"], each["previous"], each["by"], each["why"]) for each in parsed(content, "rulesets/activations.json")]  # fmt: skip # noqa: E501 (a row of the table)
    assert found == [
        ("activation", 1, None, "member:3", "as agreed"),
        ("activation", 2, 1, "member:3", "a lower line"),
        ("rollback", 1, 2, "member:1", "too low"),
    ]
    assert parsed(content, "backtests/000001.json")["report"]["content_hash"] == difference["before_hash"]
    assert parsed(content, "validations/000001.json")["reason"] == "the quarter"
    assert content["validations/000001.html"].startswith(b"<!doctype html>")
    (change,) = parsed(content, "material-changes.json")
    assert (change["signed_by"], change["validation"], change["conclusion"]) == ("member:2", 1, "Nothing changes.")
    assert b"2026Q4" in content["read-me.txt"]
    (watched,) = parsed(content, "lists.json")
    assert (watched["list"], watched["members"]) == ("watched", ["IR"])
    assert parsed(content, "policies/versions.json") == []
    settings = parsed(content, "settings.json")
    assert (settings["entity_types"]["customer"]["fields"]["country"], settings["base_currency"]) == ("country", "EUR")
    assert (settings["challenge_days"], settings["assessments_days"], settings["lowest_alert_percent"]) == (30, 0, 25)
    assert "salt" not in settings
    (member,) = parsed(content, "roster.json")
    assert (member["member"], member["roles_when_archived"], member["left"]) == ("member:1", ["approver"], None)


def test_the_read_me_names_every_file(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    content = read(build(engine, people[0], tmp_path))
    named = {line.split(" ")[0] for line in content["read-me.txt"].decode().splitlines()}
    tops = {"".join(name.partition("/")[:2]) for name in content}
    assert tops - named == {"read-me.txt"}


def test_who_approved_what_of_whom(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    approvals = parsed(read(build(engine, people[0], tmp_path)), "approvals.json")
    assert [(each["what"], each["number"], each["asked_by"], each["by"]) for each in approvals] == [
        ("activation", 1, ["member:1", "member:2"], "member:3"),
        ("activation", 2, ["member:1", "member:2"], "member:3"),
        ("override", 1, ["member:1"], "member:2"),
        ("override refused", 2, ["member:1"], "member:2"),
        ("material change", 1, ["member:1"], "member:2"),
    ]
    assert {each["four_eyes"] for each in approvals} == {True}


def test_overrides_are_there_without_a_word_of_whom(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    overrides = parsed(read(build(engine, people[0], tmp_path)), "overrides.json")
    assert [(each["override"], each["state"], each["level"]) for each in overrides] == [
        (1, "revoked", "low"), (2, "refused", "low"), (3, "requested", "low"),
    ]  # fmt: skip
    assert overrides[0]["entity"] == 2
    assert overrides[0]["revoked_by"] == "member:3"


def test_nobodys_name_is_in_it(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    """Of customers: names, attributes, tags, numbers of cases; of people: names; and what they said of customers."""
    whole = b"\n".join(read(build(engine, people[0], tmp_path)).values())
    for word in ("Wolfgang", "Amadeus", "98765", "Salieri", "Constanze", "Weber"):
        assert word.encode() not in whole, word
    with engine.connect() as connection:
        found = connection.execute(text("SELECT external_id FROM entities")).scalars().all()
    assert [name for name in found if "Wolfgang" in name], "which are in the database"


def test_the_audit_log_is_there_and_can_be_verified(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    from fivefold.store.audit.chain import hash_of_entry

    content = read(build(engine, people[0], tmp_path))
    entries = [json.loads(line) for line in content["audit/entries.jsonl"].splitlines()]
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    assert all(hash_of_entry(entry) == entry["hash"] for entry in entries)
    proof = parsed(content, "audit/verification.json")
    assert (proof["whole"], proof["entries"], proof["findings"]) == (True, len(entries), [])
    assert proof["head"] == {"number": entries[-1]["number"], "hash": entries[-1]["hash"]}
    assert b"salt" not in content["audit/entries.jsonl"]


def test_a_log_that_is_not_whole_is_told(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE audit_entries SET actor = 'member:9' WHERE number = 3"))
    made = build(engine, people[0], tmp_path)
    assert made.findings == 1
    proof = parsed(read(made), "audit/verification.json")
    assert proof["whole"] is False
    assert "entry 3: was changed" in proof["findings"][0]


def test_the_manifest_is_complete(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    made = build(engine, people[0], tmp_path)
    content = read(made)
    manifest = parsed(content, MANIFEST)
    assert {file["name"]: file["sha256"] for file in manifest["files"]} == {
        name: sha256(data).hexdigest() for name, data in content.items() if name != MANIFEST
    }
    assert manifest["counts"] == made.counts
    assert manifest["quarter"]["name"] == "2026Q4"
    assert manifest["quarter"]["from"] == "2026-10-01T00:00:00+00:00"
    assert manifest["organisation"] == {"number": people[0].organisation_id, "name": "acme"}
    assert manifest["program"]
    checked = check_archive(tmp_path / "made.zip")
    assert (checked.problems, checked.manifest_sha256) == ((), made.manifest_sha256)


def test_the_same_database_gives_the_same_bytes(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    build(engine, people[0], tmp_path)
    build(engine, Actor(people[0].organisation_id, "cli:somebody"), tmp_path, name="again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "made.zip").read_bytes()
    assert verify(engine, print).findings == 0


def test_it_changes_nothing(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    before = rows_of(engine, AuditEntry)
    build(engine, people[0], tmp_path)
    assert rows_of(engine, AuditEntry) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".db" and "db-" not in path.name) == [
        "made.zip"
    ]


def test_another_organisation_has_its_own(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    before = read(build(engine, people[0], tmp_path))
    other = founded(engine, "other")
    put_list_version(Context(engine, other[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    version(engine, other, 20)
    assert read(build(engine, people[0], tmp_path)) == before
    made = build(engine, other[0], tmp_path)
    assert (made.counts["rulesets"], made.counts["overrides"], made.counts["activations"]) == (1, 0, 0)
    assert b"member:3" not in b"\n".join(read(made).values())


def test_what_a_proposal_was_tested_by_is_there(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    asked = switch_family(Context(engine, people[0]).at(NOW + 10), "retail", False, "not needed any more")
    agreed(engine, people[1], asked, NOW + 10)
    made = build(engine, people[0], tmp_path)
    content = read(made)
    (proposal,) = parsed(content, "proposals.json")
    assert made.counts["backtests"] == 3
    tested = parsed(content, "backtests/000003.json")
    assert (tested["ruleset"], tested["proposal"], tested["entity_type"]) == (None, proposal["proposal"], "customer")
    assert (tested["state"], tested["report"]["customers"]) == ("done", 21)
    assert parsed(content, "backtests/000001.json")["proposal"] is None
    assert NAME.encode() not in content["backtests/000003.json"]


def test_a_version_is_there_as_long_as_it_decides(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    """In the next quarter version 1 decides still, and version 2 does not."""
    following = build(engine, people[0], tmp_path, read_quarter("2027Q1"))
    content = read(following)
    assert (following.counts["rulesets"], following.counts["activations"], following.counts["approvals"]) == (1, 0, 0)
    (line,) = parsed(content, "rulesets/versions.json")
    assert line["version"] == 1
    assert [force["until"] for force in line["in_force"]] == [None], "since it was rolled back to"
    assert [each["override"] for each in parsed(content, "overrides.json")] == [3], "which waits still"
    assert following.counts["audit_entries"] == 0
    assert parsed(content, "audit/verification.json")["entries"] > 0
    before = build(engine, people[0], tmp_path, read_quarter("2026Q3"))
    assert {before.counts[kind] for kind in ("rulesets", "activations", "overrides", "material_changes")} == {0}
    assert before.counts["validations"] == 1, "it looks at some of that quarter"


def test_an_organisation_that_did_nothing_yet(engine: Engine, tmp_path: Path) -> None:
    from tests.usecases.governed import organisation

    made = build(engine, Actor(organisation(engine, "new"), "cli:x"), tmp_path)
    assert set(made.counts.values()) == {0}
    content = read(made)
    assert content["models/none.txt"].startswith(b"There was no registry")
    assert parsed(content, "audit/verification.json")["head"] is None


def test_nothing_half_written_is_left(
    engine: Engine, people: tuple[Actor, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def broken(*_: object) -> Any:
        raise RuntimeError

    monkeypatch.setattr(evidence, "entries_in", broken)
    with pytest.raises(RuntimeError):
        build(engine, people[0], folder)
    assert list(folder.iterdir()) == []


def test_figures_of_peers_are_there_as_they_were_attached(
    engine: Engine, people: tuple[Actor, ...], tmp_path: Path
) -> None:
    peer = '{"name": "North Bank",   "missed": {"hits": 10, "of": 50}}'
    attach_peer(Context(engine, people[1]).at(NOW), 1, "north.json", peer)
    content = read(build(engine, people[0], tmp_path))
    assert content["validations/000001.peer-1.json"] == peer.encode()
    (kept,) = json.loads(content["validations/000001.json"])["peers"]
    assert (kept["peer"], kept["file"], kept["attached_by"]) == ("North Bank", "north.json", people[1].name)
    assert kept["sha256"] == sha256(peer.encode()).hexdigest()
    assert "Beside the figures of North Bank" in content["validations/000001.html"].decode()


def test_quarters_bounds_are_the_evidences(engine: Engine, people: tuple[Actor, ...], tmp_path: Path) -> None:
    """What happened in the first moment is in it, and what happened at the end is not."""
    for quarter, count in (
        (replace(QUARTER, from_us=NOW, until_us=NOW + 1), 1),
        (replace(QUARTER, from_us=NOW + 1, until_us=NOW + 2), 1),
        (replace(QUARTER, from_us=NOW + 1, until_us=NOW + 3), 2),
        (replace(QUARTER, from_us=NOW + 3, until_us=NOW + 9), 0),
    ):
        assert build(engine, people[0], tmp_path, quarter).counts["activations"] == count
