"""Runs of flows in the evidence of a quarter: a line for each, with all versions, and with nothing of a person."""

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from fivefold.store.audit.bound_rows import digests
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.evidence import flows as lines_of
from fivefold.usecases.evidence.archive import File, check_archive, write_archive
from fivefold.usecases.evidence.build import check_evidence
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.execute import run_flows
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.usecases.decisions.deciding import WORTH, Desk
from tests.usecases.erasure.removals import keep, remove
from tests.usecases.evidence.test_flows import content_of, desk, rewritten
from tests.usecases.flows.documents import INQUIRED, INQUIRY, acting, asking, flow_document

__all__ = ["desk"]
RUNS = "flows/runs.jsonl"
SAID = "Ana Silva told me on the telephone."


def called(desk: Desk, names: Sequence[str], flow: str = "care", key: str = "k") -> list[int]:
    """Call a flow for some customers; give the numbers of the runs."""
    context = desk.bank.context.at(desk.bank.now)
    return [call_flow(context, flow, "customer", name, run_key=key).number for name in names]


def person(desk: Desk) -> Context:
    return Context(desk.bank.engine, Actor(desk.bank.of, "member:7")).at(desk.bank.now)


def read(content: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content[RUNS].splitlines()]


@pytest.mark.postgresql
def test_each_run_is_there_with_who_answered_and_what_it_did(desk: Desk, tmp_path: Path) -> None:
    bank = desk.bank
    acting(desk, flow_document(steps=[INQUIRY], examples=INQUIRED))
    first, second, third = called(desk, ("ada", "bo", "cy"))
    stopped = answer_run(person(desk), Role.INVESTIGATOR, first, "nay", SAID)
    take_back_action(person(desk), Role.INVESTIGATOR, stopped.taken[0].number, SAID)
    answer_run(person(desk), Role.INVESTIGATOR, second, "aye", SAID)
    path, content = content_of(bank.context, tmp_path)
    runs = read(content)
    assert [(each["run"], each["state"], each["at"], each["entity"], each["cause"]) for each in runs] == [
        (f"f:{first}", "ended", "done", bank.id_of("ada"), "call:k"),
        (f"f:{second}", "ended", "nothing", bank.id_of("bo"), "call:k"),
        (f"f:{third}", "waiting", "inquiry", bank.id_of("cy"), "call:k"),
    ]
    (step,) = runs[0]["steps"]
    assert (step["step"], step["kind"], step["by"], step["failed"]) == ("inquiry", "person", "member:7", False)
    (action,) = runs[0]["actions"]
    assert (action["flow_action"], action["action"], action["taken_back"] is not None) == (
        stopped.taken[0].number,
        "look",
        True,
    )
    assert [each["actions"] for each in runs[1:]] == [[], []]
    version = json.loads(content["flows/versions.json"])[0]
    assert {(each["flow"], each["version"], each["content_hash"]) for each in runs} == {
        ("care", 1, version["content_hash"])
    }
    with Session(bank.engine) as session:
        bound = digests(session, "flow_runs", [first, second, third])["flow_runs"]
    assert [each["row_sha256"] for each in runs] == [bound[f"{each['entity']}.{each['run'][2:]}"] for each in runs]
    assert replay_record(bank.context, runs[0]["run"]).same
    for words in (b"Ana Silva", b'"ada"', b'"nay"', b"NO"):
        assert words not in content[RUNS], "no name, no answer, no reason, and no fact of a customer"
    assert check_evidence(path).problems == ()


@pytest.mark.postgresql
def test_what_a_run_rests_on_is_named_in_its_version(desk: Desk, tmp_path: Path) -> None:
    bank = desk.bank
    desk.publish(WORTH)
    acting(desk, asking())
    called(desk, ("ada",), key="one")
    bank.wait(days=1)
    desk.publish(WORTH, {**WORTH, "id": "again"})
    called(desk, ("ada",), key="two")
    path, content = content_of(bank.context, tmp_path)
    one, two = read(content)
    asked = [each["rests_on"]["policies"]["payments"] for each in (one, two)]
    assert [each["version"] for each in asked] == [1, 2]
    assert all(len(each["content_hash"]) == 64 for each in asked)
    assert (one["rests_on"]["base_currency"], one["engine"], one["rests_on"]["lists"]) == ("EUR", "1", {})
    assert check_evidence(path).problems == ()


def test_a_run_that_ends_in_a_later_quarter_is_in_both_archives(desk: Desk, tmp_path: Path) -> None:
    bank = desk.bank
    acting(desk, flow_document(steps=[INQUIRY], examples=INQUIRED))
    called(desk, ("ada",))
    bank.wait(days=100)
    while run_flows(bank.engine, clock=lambda: bank.now) is not None:
        pass
    first, second = (content_of(bank.context, tmp_path, quarter) for quarter in ("2026Q4", "2027Q1"))
    assert [each["run"] for each in read(first[1])] == [each["run"] for each in read(second[1])] == ["f:1"]
    assert json.loads(second[1]["flows/runs.json"]) == [], "it began before"
    (ended,) = json.loads(second[1]["flows/runs-ended.json"])
    assert (ended["flow"], ended["version"], ended["state"], ended["runs"]) == ("care", 1, "ended", 1)
    assert json.loads(first[1]["flows/runs-ended.json"]) == []
    assert [each["action"] for each in json.loads(second[1]["flows/actions.json"])] == ["look"]
    assert [check_evidence(path).problems for path, _ in (first, second)] == [(), ()]
    line = second[1][RUNS].decode()
    assert any(
        "has 0 runs of flow care" in each for each in check_evidence(rewritten(second[0], RUNS, line, "")).problems
    )
    without = {name: content for name, content in second[1].items() if name != "flows/runs-ended.json"}
    assert check_evidence(archived(second[0].with_name("older.zip"), without)).problems == ()


def test_lines_are_read_some_at_a_time_and_are_the_same(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting(desk, flow_document())
    for key in ("k", "l"):
        called(desk, ("ada", "bo", "cy")[: 3 if key == "k" else 2], key=key)
    _, whole = content_of(desk.bank.context, tmp_path)
    monkeypatch.setattr(lines_of, "_RUNS_AT_A_TIME", 2)
    after, most = lines_of.rows_of.runs_after, []

    def noted(*arguments: Any) -> Any:
        found = after(*arguments)
        most.append(len(found))
        return found

    monkeypatch.setattr(lines_of.rows_of, "runs_after", noted)
    _, again = content_of(desk.bank.context, tmp_path)
    assert most == [2, 2, 1, 0]
    assert again[RUNS] == whole[RUNS]
    assert len(read(again)) == 5


@pytest.mark.postgresql
def test_a_line_that_is_taken_away_or_changed_is_noticed(desk: Desk, tmp_path: Path) -> None:
    acting(desk, flow_document())
    called(desk, ("ada", "bo"))
    path, content = content_of(desk.bank.context, tmp_path)
    assert check_evidence(path).problems == ()
    line = content[RUNS].splitlines(keepends=True)[0].decode()
    with_manifest = path.with_name("kept.zip")
    others = {**content, RUNS: content[RUNS].replace(line.encode(), b"")}
    _with_the_manifest_of(with_manifest, others)
    assert check_evidence(with_manifest).problems == (f"{RUNS}: was changed: its SHA-256 is another",)
    # A person who writes another manifest as well contradicts the other files.
    taken = check_evidence(rewritten(path, RUNS, line, "")).problems
    assert any(f"{RUNS}: has 0 runs of flow care, version 1" in each for each in taken)
    assert any("has 0 actions of flow care" in each for each in taken)
    for before, after, words in (
        ('"state": "ended"', '"state": "failed"', "state ended"),
        ('"action": "look"', '"action": "lock"', "action lock"),
        ('"run": "f:2"', '"run": "f:1"', "each run has one line"),
        ('"content_hash": "', '"content_hash": "0', "has another hash of care 1"),
        (line, line + line, "each run has one line"),
        (line, "{}\n", "cannot be checked"),
        (line, "no line\n", "cannot be checked"),
    ):
        changed = check_evidence(rewritten(path, RUNS, before, after)).problems
        assert any(words in each for each in changed), (before, changed)


def _with_the_manifest_of(path: Path, content: dict[str, bytes]) -> None:
    """Write files beside a manifest that is not of them."""

    with zipfile.ZipFile(path, "w") as archive:
        for name, piece in content.items():
            archive.writestr(name, piece)


def archived(path: Path, content: dict[str, bytes]) -> Path:
    """Write files beside a manifest that is of them."""
    quarter = {"quarter": json.loads(content["manifest.json"])["quarter"]}
    files = [File(name, lambda piece=piece: [piece]) for name, piece in content.items() if name != "manifest.json"]
    write_archive(path, files, lambda: quarter)
    return path


def test_an_archive_from_before_runs_were_in_it_is_checked_as_before(desk: Desk, tmp_path: Path) -> None:
    acting(desk, flow_document())
    path, content = content_of(desk.bank.context, tmp_path)
    other = archived(path.with_name("older.zip"), {name: piece for name, piece in content.items() if name != RUNS})
    assert not check_archive(other).problems
    assert check_evidence(other).problems == ()


@pytest.mark.postgresql
def test_who_is_erased_is_in_no_line_and_what_retention_emptied_says_so(desk: Desk, tmp_path: Path) -> None:
    bank = desk.bank
    acting(desk, flow_document(actions=[{"id": "look", "title": "Note it", "tag": "seen"}]))
    erased, emptied = called(desk, ("ada", "bo"))
    bank.wait(days=6 * 366)
    erase_entity(person(desk), "customer", "ada", tmp_path / "register")
    keep(bank, flows_days=1826)
    assert remove(bank)["flows"] == 1
    path, content = content_of(bank.context, tmp_path)
    (line,) = read(content)
    assert (line["run"], line["removed_by_retention"]) == (f"f:{emptied}", True)
    assert (line["rests_on"], line["engine"], line["state"], line["at"]) == (None, None, "ended", "nothing")
    assert f"f:{erased}" not in content[RUNS].decode()
    assert re.fullmatch(r"\d+:[0-9a-f]{64}", line["row_sha256"]), "the log binds what stays, over a new salt"
    assert check_evidence(path).problems == ()


def test_whether_a_step_failed_is_not_said_once_retention_removed_its_outcome(desk: Desk, tmp_path: Path) -> None:
    bank = desk.bank
    acting(desk, flow_document(steps=[INQUIRY], examples=INQUIRED))
    (run,) = called(desk, ("ada",))
    answer_run(person(desk), Role.INVESTIGATOR, run, "aye", SAID)
    (step,) = read(content_of(bank.context, tmp_path)[1])[0]["steps"]
    assert (step["by"], step["failed"]) == ("member:7", False)
    bank.wait(days=6 * 366)
    keep(bank, flows_days=1826)
    assert remove(bank)["flows"] == 1
    (step,) = read(content_of(bank.context, tmp_path)[1])[0]["steps"]
    assert (step["by"], step["failed"]) == ("member:7", None)
