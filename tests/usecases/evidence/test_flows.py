"""Flows in the evidence of a quarter: what acted and why, where runs came to, who answered, what was taken back."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.usecases.evidence.archive import MANIFEST, File, check_archive, write_archive
from fivefold.usecases.evidence.build import build_evidence, check_evidence
from fivefold.usecases.flows.activate import WITHOUT_REPLAY, activate_flow, switch_flow_off
from fivefold.usecases.flows.replays.jobs import REPLAYS, ReplayAsked, request_flow_replay
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.execute import run_flows
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import read_quarter
from fivefold.usecases.shared.jobs import run_next_job
from tests.usecases.decisions.deciding import WORTH as WORTH_4
from tests.usecases.decisions.deciding import Desk
from tests.usecases.decisions.deciding import opened as opened_desk
from tests.usecases.flows.documents import (
    INQUIRED,
    INQUIRY,
    WHY,
    acting,
    as_,
    asking,
    committed,
    flow_document,
    shadowing,
)
from tests.usecases.groups.grouped import HIGH, Circle, opened

SAID = "Ana Silva told me on the telephone."


@pytest.fixture
def desk(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = opened_desk(engine)
    monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: made.bank.now)
    return made


def content_of(context: Context, folder: Path, quarter: str = "2026Q4") -> tuple[Path, dict[str, bytes]]:
    made = build_evidence(context, read_quarter(quarter), folder / f"{quarter}.zip", None)
    with zipfile.ZipFile(made.archive) as archive:
        return folder / f"{quarter}.zip", {each: archive.read(each) for each in archive.namelist()}


def parsed(content: dict[str, bytes], name: str) -> Any:
    return json.loads(content[name])


def rewritten(path: Path, name: str, before: str, after: str) -> Path:
    """Write the archive with another file, and a manifest that fits it."""
    with zipfile.ZipFile(path) as archive:
        content = {each: archive.read(each) for each in archive.namelist() if each != MANIFEST}
        quarter = {"quarter": json.loads(archive.read(MANIFEST))["quarter"]}
    assert before in content[name].decode(), content[name].decode()
    content[name] = content[name].decode().replace(before, after).encode()
    other = path.with_name("other.zip")
    write_archive(other, [File(each, lambda piece=piece: [piece]) for each, piece in content.items()], lambda: quarter)
    assert not check_archive(other).problems
    return other


@pytest.mark.postgresql
def test_what_acted_and_what_became_of_its_runs_is_there_and_no_words_about_a_person(
    desk: Desk, tmp_path: Path
) -> None:
    bank = desk.bank
    acting(desk, flow_document(steps=[INQUIRY], examples=INQUIRED))
    shadowing(desk, flow_document())
    person = Context(bank.engine, Actor(bank.of, "member:7")).at(bank.now)
    for name, answer in (("ada", "nay"), ("bo", "aye"), ("cy", None)):
        called = call_flow(bank.context.at(bank.now), "care", "customer", name, run_key="k")
        if answer is not None:
            answered = answer_run(person, Role.INVESTIGATOR, called.number, answer, SAID)
        if answer == "nay":
            take_back_action(person, Role.INVESTIGATOR, answered.taken[0].number, SAID)
    while run_flows(bank.engine, clock=lambda: bank.now) is not None:
        pass
    bank.wait(days=1)
    switch_flow_off(as_(desk, desk.ana), "care", "It asks too much.")
    path, content = content_of(bank.context, tmp_path)
    assert content["flows/care/0001.yaml"].decode() == flow_document(steps=[INQUIRY], examples=INQUIRED)
    assert content["flows/care/0002-diff.txt"]
    first, second = parsed(content, "flows/versions.json")
    assert (first["editors"], first["committed_by"], second["acted"]) == (["member:1"], "member:1", [])
    assert [len(first["acted"]), len(second["ran_as_shadow"])] == [1, 1]
    assert first["acted"][0]["until"] is not None
    changes = [(each["kind"], each["version"], each["by"], each["why"]) for each in parsed(content, "flows/activations.json")]  # fmt: skip # noqa: E501 (a row of the table)
    assert changes == [
        ("active", 1, "member:2", WHY),
        ("shadow", 2, "member:1", WHY),
        ("off", None, "member:1", "It asks too much."),
    ]
    approvals = [each for each in parsed(content, "approvals.json") if each["what"] == "flow active"]
    assert [(each["asked_by"], each["by"], each["four_eyes"]) for each in approvals] == [
        (["member:1"], "member:2", True)
    ]
    runs = {(each["version"], each["acting"], each["state"], each["at"]): each["runs"] for each in parsed(content, "flows/runs.json")}  # fmt: skip # noqa: E501 (a row of the table)
    assert (
        runs[1, True, "ended", "done"] == runs[1, True, "ended", "nothing"] == runs[1, True, "waiting", "inquiry"] == 1
    )
    assert sum(count for key, count in runs.items() if not key[1]) == 3
    answers = [json.loads(line) for line in content["flows/answers.jsonl"].splitlines()]
    assert [(each["answer"], each["by"], each["reason_kept"]) for each in answers] == [
        ("nay", "member:7", True),
        ("aye", "member:7", True),
    ]
    (action,) = parsed(content, "flows/actions.json")
    assert (action["action"], action["actions"], action["taken_back_when_archived"]) == ("look", 1, 1)
    (back,) = parsed(content, "flows/taken-back.json")
    assert (back["by"], back["entity"]) == ("member:7", bank.id_of("ada"))
    shadows = parsed(content, "flows/shadows.json")
    assert sum(each["runs"] for each in shadows) == 3
    everything = b"".join(content.values()).decode()
    assert "Ana Silva" not in everything, "reasons about a person stay where they are"
    assert check_evidence(path).problems == ()
    _, before = content_of(bank.context, tmp_path, "2026Q3")
    assert parsed(before, "flows/versions.json") == parsed(before, "flows/runs.json") == []
    assert before["flows/answers.jsonl"] == b""


def test_replays_are_there_and_activations_say_whether_they_had_one(desk: Desk, tmp_path: Path) -> None:
    acting(desk, flow_document())
    made = committed(desk, flow_document(title="Two"))
    number = request_flow_replay(as_(desk, desk.ana), "care", ReplayAsked())[0].id
    assert run_next_job(desk.bank.engine, REPLAYS, desk.bank.now)
    activate_flow(as_(desk, desk.ben), "care", made.number, WHY)
    path, content = content_of(desk.bank.context, tmp_path)
    lines = [(each["version"], each["replay"], each["warning"]) for each in parsed(content, "flows/activations.json")]
    assert lines == [(1, None, WITHOUT_REPLAY), (2, number, None)]
    (replay,) = parsed(content, "flows/replays.json")
    assert (replay["replay"], replay["version"], replay["compared_with"]) == (number, 2, 1)
    assert (replay["requested_by"], replay["report"]["entities"] > 0) == ("member:1", True)
    assert len(replay["report_hash"]) == 64
    assert check_evidence(path).problems == ()


def test_the_same_database_gives_the_same_bytes(desk: Desk, tmp_path: Path) -> None:
    acting(desk, flow_document())
    call_flow(desk.bank.context.at(desk.bank.now), "care", "customer", "ada", run_key="k")
    of, quarter = desk.bank.context, read_quarter("2026Q4")
    made = [build_evidence(of, quarter, tmp_path / f"{number}.zip", None) for number in range(2)]
    assert made[0].manifest_sha256 == made[1].manifest_sha256
    assert made[0].counts["flows"] == made[0].counts["flow_runs"] == 1


def test_what_a_flow_asked_and_read_is_told_for_each_time_and_can_be_worked_out_anew(
    desk: Desk, tmp_path: Path
) -> None:
    desk.publish(WORTH_4)
    acting(desk, asking())
    desk.bank.wait(days=1)
    desk.publish(WORTH_4, {**WORTH_4, "id": "again"})
    desk.bank.wait(days=1)
    path, content = content_of(desk.bank.context, tmp_path)
    (line,) = [each for each in parsed(content, "purposes.json")["deciding"] if each["kind"] == "flow"]
    assert [each["asked"] for each in line["asked"]] == [{"policy/payments": 1}, {"policy/payments": 2}]
    assert line["asked"][0]["until"] == line["asked"][1]["from"]
    assert any("policy payments" in step for each in line["reads"] for step in each["path"])
    assert check_evidence(path).problems == ()
    changed = rewritten(path, "purposes.json", '"policy/payments": 2', '"policy/payments": 1')
    assert any("reads something else than is listed" in each for each in check_evidence(changed).problems)
    other = rewritten(path, line["document"], "value", "vaIue")
    assert check_evidence(other).problems
    told = rewritten(path, "flows/versions.json", '"acted": [', '"acted": [], "was": [')
    assert any("no other file says that flow care 1 decided" in each for each in check_evidence(told).problems)


def test_a_group_is_among_what_decided_while_it_was_in_force(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    circle = opened(engine)
    monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: circle.bank.now)
    circle.publish(HIGH)
    circle.bank.wait(days=2)
    circle.retire()
    circle.bank.wait(days=1)
    path, content = content_of(circle.bank.context, tmp_path)
    (version,) = parsed(content, "groups/versions.json")
    assert [(each["what"], each["by"], each["why"]) for each in version["said"]] == [
        ("group.proposed", "member:1", "Why not."),
        ("group.approved", "member:2", "Fine."),
        ("group.retired", version["said"][2]["by"], version["said"][2]["why"]),
    ]
    assert version["decided"]["until"] is not None
    (line,) = [each for each in parsed(content, "purposes.json")["deciding"] if each["kind"] == "group"]
    assert line["reads"]
    assert (line["name"], line["purpose"], line["reads"][0]["gathered_for"]) == ("watched", "aml", "aml")
    assert check_evidence(path).problems == ()
    commerce = rewritten(path, "purposes.json", '"gathered_for": "aml"', '"gathered_for": "both"')
    assert any("reads something else" in each for each in check_evidence(commerce).problems)
    forgotten = rewritten(path, "groups/versions.json", '"decided": {', '"was": {')
    assert any("no other file says that group watched 1" in each for each in check_evidence(forgotten).problems)


def test_groups_that_a_flow_listens_to_are_named_with_their_purposes(desk: Desk, tmp_path: Path) -> None:
    Circle(desk.bank).publish(HIGH)
    acting(desk, flow_document(triggers=[{"on": "group", "group": "watched", "change": "entered"}]))
    desk.bank.wait(days=1)
    path, content = content_of(desk.bank.context, tmp_path)
    (line,) = [each for each in parsed(content, "purposes.json")["deciding"] if each["kind"] == "flow"]
    assert line["listens_to"] == [{"group": "watched", "purpose": "aml"}]
    assert ("the group watched", "aml") in [(each["what"], each["gathered_for"]) for each in line["reads"]]
    assert check_evidence(path).problems == ()
    other = rewritten(path, "purposes.json", '"group": "watched"', '"group": "others"')
    assert any("reads something else than is listed" in each for each in check_evidence(other).problems)
