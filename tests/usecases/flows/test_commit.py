"""Flows are written by publishers, and committed once they are sound: lint, examples, what they ask."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, InvalidRulesetError, NotFoundError
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.flows import FlowDraft, FlowRow, FlowVersion
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import discard_flow_draft, save_flow_draft
from fivefold.usecases.flows.read import list_flow_versions, list_flows, read_flow_draft, read_flow_version
from fivefold.usecases.flows.review import check_flow, review_flow_draft
from tests.store.audits import bind_unnamed
from tests.usecases.decisions.deciding import CASH, WORTH, Desk, opened
from tests.usecases.flows.documents import BY_COUNTRY, EXAMPLES, WHY, as_, asking, committed, flow_document, saved
from tests.usecases.governed import audited, rows_of, together


def findings(error: pytest.ExceptionInfo[InvalidRulesetError]) -> list[str]:
    return [finding.where for finding in error.value.findings]


@pytest.mark.postgresql
def test_a_draft_is_saved_as_it_is_written_even_if_wrong(desk: Desk) -> None:
    text = json.dumps({"flow": "care", "entity_type": "customer", "steps": "none yet"})
    assert saved(desk, text).revision == 1
    assert saved(desk, text, 1).revision == 1, "the same again"
    made = save_flow_draft(as_(desk, desk.ben), flow_document(), 1)
    assert (made.revision, made.editors) == (2, ("member:1", "member:2"))
    shown = read_flow_draft(as_(desk, desk.ana), "care")
    assert (shown.document, shown.revision, shown.editors) == (flow_document(), 2, ("member:1", "member:2"))
    assert rows_of(desk.bank.engine, OrganisationSettings)[0]["locked_us"] is not None
    (line,) = list_flows(as_(desk, desk.ana))
    assert (line.name, line.entity_type, line.active, line.newest, line.draft_revision) == (
        "care",
        "customer",
        None,
        None,
        2,
    )


@pytest.mark.parametrize("text", ["{]", "just words", '{"flow": "care"}', '{"flow": "Two Words", "entity_type": "x"}'])
def test_what_names_no_flow_and_no_type_is_no_draft(desk: Desk, text: str) -> None:
    with pytest.raises(InvalidRulesetError):
        saved(desk, text)
    assert check_flow(as_(desk, desk.ana), text).errors
    assert rows_of(desk.bank.engine, FlowRow) == []


@pytest.mark.postgresql
def test_that_payments_of_what_is_owned_begin_no_run_is_a_doubt_once_something_is_owned(desk: Desk) -> None:
    summing = {"when": {"sum": "amount", "over": "30 days", "above": 1000}, "to": "done"}
    steps = [{**BY_COUNTRY, "route": [*BY_COUNTRY["route"], summing]}]
    stored, settled = {"on": "transaction"}, {"on": "transaction", "change": "settled"}

    def doubts(*triggers: Any) -> list[str]:
        checked = check_flow(as_(desk, desk.ana), flow_document(steps=steps, triggers=triggers))
        return [each.problem for each in checked.findings if each.where.startswith("triggers")]

    desk.bank.add_type("account", {}, {})
    desk.bank.put("other", kind="account")
    assert doubts(stored, settled) == []
    desk.bank.put("owner")
    desk.bank.put("acc", ("customer", "owner"), kind="account")
    (doubt,) = doubts(stored, settled)
    assert "those of what it owns too (account), which begin no run of it; listen to level or group" in doubt
    assert doubts({"on": "level"}) == []


def test_who_edited_something_older_is_told(desk: Desk) -> None:
    saved(desk, flow_document())
    for revision in (0, 2):
        with pytest.raises(ConflictError, match="has a draft of revision 1"):
            save_flow_draft(as_(desk, desk.ben), flow_document(title="Other"), revision)
        with pytest.raises(ConflictError, match="has a draft of revision 1"):
            commit_flow(as_(desk, desk.ben), "care", revision)
        with pytest.raises(ConflictError, match="has a draft of revision 1"):
            discard_flow_draft(as_(desk, desk.ben), "care", revision)
    assert read_flow_draft(as_(desk, desk.ana), "care").document == flow_document()


def test_what_was_discarded_comes_not_back_by_an_old_revision(desk: Desk) -> None:
    saved(desk, flow_document())
    discard_flow_draft(as_(desk, desk.ben), "care", 1)
    with pytest.raises(NotFoundError, match="there is no draft of the flow care"):
        read_flow_draft(as_(desk, desk.ana), "care")
    with pytest.raises(NotFoundError, match="there is no draft of the flow care"):
        discard_flow_draft(as_(desk, desk.ben), "care", 1)
    assert saved(desk, flow_document(title="Other")).revision == 2
    with pytest.raises(ConflictError):
        saved(desk, flow_document(), 1)
    assert [entry[1] for entry in audited(desk.bank.engine)][-3:] == [
        "flow.draft_saved",
        "flow.draft_discarded",
        "flow.draft_saved",
    ]


def test_a_flow_is_of_one_type_for_good(desk: Desk) -> None:
    desk.bank.add_type("account", {}, {})
    saved(desk, flow_document())
    other = flow_document(entity_type="account")
    with pytest.raises(ConflictError, match="the flow care is of another entity type than account, for good"):
        saved(desk, other, 1)
    assert [each.where for each in check_flow(as_(desk, desk.ana), other).errors if "for good" in each.problem] == [
        "entity_type"
    ]
    with pytest.raises(NotFoundError):
        saved(desk, flow_document("new", entity_type="ship"))


def test_what_is_sound_is_committed_and_stays(desk: Desk) -> None:
    made = committed(desk, flow_document())
    assert (made.flow, made.number, made.editors) == ("care", 1, ("member:1",))
    assert rows_of(desk.bank.engine, FlowDraft) == []
    view = read_flow_version(as_(desk, desk.ben), "care", 1)
    assert (view.title, view.purpose, view.document, view.pinned) == ("Care", "aml", flow_document(), {})
    assert (view.active, view.shadow, view.committed_by, view.content_hash) == (
        False,
        False,
        "member:1",
        made.content_hash,
    )
    assert [each["ends"] for each in view.tests["examples"]] == ["done", "nothing", "done"]
    assert (view.tests["ways_percent"], view.tests["not_taken"]) == ("100.0", [])
    with desk.bank.engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.exec_driver_sql("UPDATE flow_versions SET document = ''")
    assert committed(desk, flow_document(title="More care")).number == 2
    assert [line.number for line in list_flow_versions(as_(desk, desk.ana), "care")] == [2, 1]
    bind_unnamed(desk.bank.engine)
    assert verify(desk.bank.engine, pytest.fail).entries


def test_the_same_is_not_committed_twice(desk: Desk) -> None:
    committed(desk, flow_document())
    draft = saved(desk, f"# a remark\n{flow_document()}")
    with pytest.raises(ConflictError, match="version 1 of the flow care has this content already"):
        commit_flow(as_(desk, desk.ana), "care", draft.revision)


WRONG: dict[str, dict[str, Any]] = {
    "no steps": {"steps": []},
    "no such action": {"on_failure": ["other"]},
    "nothing for failures": {"on_failure": []},
    "other levels": {"levels": ["low", "high", "higher"]},
    "a field that the type does not have": {"fields": {"country": "country", "shoes": "number"}},
    "a field of another type": {"fields": {"country": "text"}},
    "a list that is not there": {
        "steps": [
            {**BY_COUNTRY, "route": [{"when": {"field": "country", "in_list": "none"}, "to": "done"}]},
            {"id": "done", "title": "Done", "end": ["look"]},
            {"id": "nothing", "title": "Nothing", "end": []},
        ]
    },
    "an example that comes out otherwise": {"examples": [{**EXAMPLES[0], "ends": "nothing"}, *EXAMPLES[1:]]},
    "an example with a level that is not there": {"examples": [{**EXAMPLES[0], "given": {"level": "hihg"}}]},
    "an example without such an end": {"examples": [{**EXAMPLES[0], "ends": "elsewhere"}]},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_and_not_committed(desk: Desk, wrong: dict[str, Any]) -> None:
    text = flow_document(**wrong)
    saved(desk, text)
    checked = check_flow(as_(desk, desk.ana), text)
    assert checked.errors
    assert review_flow_draft(as_(desk, desk.ana), "care").findings == checked.findings
    with pytest.raises(InvalidRulesetError) as error:
        commit_flow(as_(desk, desk.ana), "care", 1, WHY)
    assert set(findings(error)) >= {each.where for each in checked.errors}
    assert rows_of(desk.bank.engine, FlowVersion) == []


def test_doubts_are_accepted_with_a_reason_that_stays(desk: Desk) -> None:
    saved(desk, flow_document(rationale=None))
    with pytest.raises(InvalidRulesetError) as error:
        commit_flow(as_(desk, desk.ana), "care", 1)
    assert findings(error) == ["flow", "accept_warnings"]
    commit_flow(as_(desk, desk.ana), "care", 1, "It speaks for itself.")
    kept = read_flow_version(as_(desk, desk.ana), "care", 1).tests
    assert (len(kept["warnings"]), kept["warnings_accepted"]) == (1, "It speaks for itself.")


def test_a_policy_that_is_asked_is_pinned_and_must_be_there(desk: Desk) -> None:
    saved(desk, asking())
    assert any(
        "there is no policy payments" in each.problem for each in check_flow(as_(desk, desk.ana), asking()).errors
    )
    line = desk.publish(WORTH)
    desk.publish(CASH, name="other")
    told = {"policies": {"payments": {"version": 1, "content_hash": line.content_hash}}}
    commit_flow(as_(desk, desk.ana), "care", 1)
    assert read_flow_version(as_(desk, desk.ana), "care", 1).pinned == told


def test_flows_of_others_are_not_there(desk: Desk, engine: Engine) -> None:
    committed(desk, flow_document())
    other = opened(engine, "other")
    assert list(list_flows(as_(other, other.ana))) == []
    for read in (read_flow_draft, list_flow_versions, lambda context, name: read_flow_version(context, name, 1)):
        with pytest.raises(NotFoundError, match="there is no flow 'care'"):
            read(as_(other, other.ana), "care")  # type: ignore[operator]  # functions of a kind
    assert committed(other, flow_document()).number == 1


@pytest.mark.postgresql
def test_of_two_who_commit_at_once_one_is_told(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> Desk:
        desk = opened(engine)
        saved(desk, flow_document())
        return desk

    def begin(engine: Engine, desk: Desk) -> object:
        desk.bank.engine = engine
        return commit_flow(as_(desk, desk.ana), "care", 1)

    ended = sorted(type(each).__name__ for each in together(kind, tmp_path, prepare, begin, begin))
    assert ended.count("FlowCommitted") == 1
    assert set(ended) <= {"FlowCommitted", "ConflictError", "NotFoundError"}


def test_findings_have_the_lines_of_the_text(desk: Desk) -> None:
    text = flow_document(steps=[{**BY_COUNTRY, "otherwise": "nowhere"}], levels=["low", "high", "higher"])
    lines = text.splitlines()
    found = check_flow(as_(desk, desk.ana), text).errors
    assert found
    by_problem = {each.problem: each for each in found}
    way = next(each for problem, each in by_problem.items() if "there is no step nowhere" in problem)
    assert way.line is not None
    assert '"nowhere"' in lines[way.line - 1]
    assert [each.line for each in found] == sorted(each.line or 0 for each in found)


@pytest.mark.postgresql
def test_a_check_stores_nothing(desk: Desk) -> None:
    desk.publish(WORTH)
    before = len(audited(desk.bank.engine))
    checked = check_flow(as_(desk, desk.ana), asking())
    assert (checked.errors, checked.flow, checked.compared_with) == ((), "care", None)
    assert [(each.name, each.ends, each.actions, each.differences) for each in checked.examples] == [
        ("worth", "done", ("look",), ()),
        ("not worth", "nothing", (), ()),
    ]
    assert "step by-action, on_unknown" in checked.not_taken
    assert rows_of(desk.bank.engine, FlowRow) == []
    assert len(audited(desk.bank.engine)) == before


def test_examples_take_as_many_ways_as_the_organisation_asks_for(desk: Desk) -> None:
    with Session(desk.bank.engine) as session, session.begin():
        session.get_one(OrganisationSettings, desk.bank.of).minimum_coverage_percent = 80
    saved(desk, flow_document(examples=EXAMPLES[:1]))
    with pytest.raises(InvalidRulesetError) as error:
        commit_flow(as_(desk, desk.ana), "care", 1)
    (found,) = error.value.findings
    assert found.where == "examples"
    assert all(way in found.problem for way in ("40.0", "80", "step home, otherwise", "end nothing"))
    saved(desk, flow_document(examples=EXAMPLES), 1)
    assert commit_flow(as_(desk, desk.ana), "care", 2).number == 1
