"""Who answered a run, or caused it, has no part in what follows: also by way of a level, a group, and other flows."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.sql.database import writing
from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.flows.runs.answering import answer_run, bars_to_take_back, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import end_tag, set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.ingest.tags import announce_ended_tags
from fivefold.usecases.levels.overrides import approve_override, request_override
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.runs.test_calls import WHY, person
from tests.usecases.flows.triggers.test_chains import RISES, WATCH, settle
from tests.usecases.groups.grouped import Circle
from tests.usecases.levels.groups import linking

FINE = {
    "input": {"linked": {"by": "household", "any": {"tag": "fine", "is": "present"}}},
    "cases": [{"when": {"equals": False}, "points": 65}],
}


def asking(name: str, triggers: list[dict[str, Any]], tag: str) -> str:
    """A flow that asks an investigator, and gives a tag where the answer is yes."""
    question = {
        "question": "Is it so?",
        "role": "investigator",
        "within": "2 days",
        "answers": {"yes": "done", "no": "nothing"},
        "otherwise": "nothing",
    }
    return json.dumps(
        {
            "flow": name,
            "title": name,
            "entity_type": "customer",
            "levels": platforms.LEVELS,
            "triggers": triggers,
            "actions": [{"id": "mark", "title": "Mark", "tag": tag}],
            "steps": [
                {"id": "ask", "title": "In order?", "person": question},
                {"id": "done", "title": "Done", "end": ["mark"]},
                {"id": "nothing", "title": "Nothing", "end": []},
            ],
            "on_failure": ["mark"],
        }
    )


@pytest.fixture
@filled_once
def bank(engine: Engine) -> FlowBank:
    """Ada is low; who has the tag `watch` is high. The first flow gives it, and the second runs where a level rises."""
    bank = FlowBank(engine, "")
    bank.activate(banks.document({"country": banks.COUNTRY, "watch": WATCH}, cooldown="1 day"))
    bank.put("ada", country="NO")
    bank.settle()
    bank.add_flow(asking("first", [{"on": "tag", "tag": "go"}], "watch"))
    bank.add_flow(asking("second", RISES, "seen"))
    return bank


def answered(bank: FlowBank, name: str = "member:2") -> int:
    """Somebody calls the first flow, another one answers; the run that begins by it."""
    run = call_flow(person(bank, "member:1"), "first", "customer", "ada")
    bank.wait(0, 1)
    answer_run(person(bank, name), Role.INVESTIGATOR, run.number, "yes", WHY)
    settle(bank)
    (other,) = (each for each in bank.runs() if each.id != run.number)
    assert view_run(bank.context, other.id).question is not None
    return other.id


def refused(bank: FlowBank, run: int, name: str, why: str) -> None:
    with pytest.raises(ConflictError, match=f"{name} {why}"):
        answer_run(person(bank, name), Role.INVESTIGATOR, run, "yes", WHY)


@pytest.mark.postgresql
def test_who_answered_does_not_answer_what_follows_by_the_level(bank: FlowBank) -> None:
    run = answered(bank)
    refused(bank, run, "member:2", f"answered what a flow asked by which run f:{run} came about")
    refused(bank, run, "member:1", f"called or caused run f:{run}")
    assert answer_run(person(bank, "member:3"), Role.INVESTIGATOR, run, "yes", WHY).at == "done"
    assert bank.count("flow_marks WHERE people IS NULL") == 0


def test_who_answered_does_not_answer_what_follows_by_a_group(bank: FlowBank) -> None:
    Circle(bank).publish({"tag": "watch", "is": "present"})
    settle(bank)
    bank.add_flow(asking("second", [{"on": "group", "group": "watched", "change": "entered"}], "seen"))
    run = answered(bank)
    refused(bank, run, "member:2", "answered what a flow asked")
    refused(bank, run, "member:1", "called or caused")


@pytest.mark.postgresql
def test_who_answered_does_not_answer_what_follows_by_the_tag_at_once(bank: FlowBank) -> None:
    bank.add_flow(asking("second", [{"on": "tag", "tag": "watch"}], "seen"))
    refused(bank, answered(bank), "member:2", "answered what a flow asked")


def test_what_somebody_else_did_as_well_makes_them_no_second_person(bank: FlowBank) -> None:
    """A program sends the country before a worker looks at the level: a new cause, and the same people behind it."""
    run = call_flow(person(bank, "member:1"), "first", "customer", "ada")
    answer_run(person(bank), Role.INVESTIGATOR, run.number, "yes", WHY)
    bank.put("ada", country="RU")
    settle(bank)
    other = bank.runs()[-1]
    assert other.about.get("through") is None, "it did not come about by the flow alone"
    refused(bank, other.id, "member:2", "answered what a flow asked")
    refused(bank, other.id, "member:1", "called or caused")


def test_what_made_her_due_before_makes_them_no_second_person_either(bank: FlowBank) -> None:
    run = call_flow(person(bank, "member:1"), "first", "customer", "ada")
    bank.put("ada", country="RU")
    answer_run(person(bank), Role.INVESTIGATOR, run.number, "yes", WHY)
    settle(bank)
    other = bank.runs()[-1]
    assert other.about.get("through") is None
    refused(bank, other.id, "member:2", "answered what a flow asked")


def test_people_are_carried_on_from_flow_to_flow(bank: FlowBank) -> None:
    bank.add_flow(asking("third", [{"on": "tag", "tag": "seen"}], "other"))
    run = answered(bank)
    answer_run(person(bank, "member:3"), Role.INVESTIGATOR, run, "yes", WHY)
    settle(bank)
    last = bank.runs()[-1]
    assert last.about["through"] == [1, 2]
    for name in ("member:2", "member:3"):
        refused(bank, last.id, name, "answered what a flow asked")
    refused(bank, last.id, "member:1", "called or caused")


def test_a_tag_of_a_person_that_follows_later_is_theirs_alone(bank: FlowBank) -> None:
    run = answered(bank)
    answer_run(person(bank, "member:3"), Role.INVESTIGATOR, run, "no", WHY)
    assert bank.count("flow_marks") == 0, "she was assessed"
    bank.wait(3)
    set_tag(person(bank, "member:5"), "customer", "ada", "go")
    settle(bank)
    last = bank.runs()[-1]
    assert last.about == {"kind": "tag", "tag": "go", "change": "given", "by": "member:5"}
    assert answer_run(person(bank), Role.INVESTIGATOR, last.id, "no", WHY).at == "nothing"


@pytest.mark.postgresql
def test_who_raised_the_level_by_themselves_does_not_answer_what_follows(bank: FlowBank) -> None:
    set_tag(person(bank, "member:1"), "customer", "ada", "watch")
    put_entities(person(bank, "member:2"), "customer", [EntityRow("ada", {"country": "RU"})])
    settle(bank)
    (run,) = bank.runs()
    assert run.about["people"] == ["member:1", "member:2"], "both, before the level was looked at"
    for name in ("member:1", "member:2"):
        refused(bank, run.id, name, "called or caused")
    assert answer_run(person(bank, "member:3"), Role.INVESTIGATOR, run.id, "no", WHY).at == "nothing"
    assert bank.count("flow_marks") == 0, "she was assessed"


@pytest.mark.parametrize("from_file", [False, True])
def test_who_put_a_link_does_not_answer_what_follows_unless_it_was_a_file(engine: Engine, *, from_file: bool) -> None:
    bank = FlowBank(engine, "")
    define_type(bank.context, "customer", {}, links={name: kind["kind"] for name, kind in linking.LINKS.items()})
    for name in ("ada", "bob"):
        bank.put(name)
    bank.activate(linking.document(fraud=linking.FRAUD))
    settle(bank)
    set_tag(bank.context, "customer", "bob", "fraud")
    put_links(bank.context, "customer", [LinkRow("bob", "household", "H")])
    settle(bank)
    bank.add_flow(asking("second", RISES, "seen"))
    put_links(person(bank), "customer", [LinkRow("ada", "household", "H")], from_file=from_file)
    settle(bank)
    (run,) = bank.runs()
    assert run.about.get("people") == (None if from_file else ["member:2"])
    if not from_file:
        refused(bank, run.id, "member:2", "called or caused")


def test_who_gave_a_tag_with_an_end_does_not_answer_what_begins_by_its_end(bank: FlowBank) -> None:
    bank.add_flow(asking("ended", [{"on": "tag", "tag": "complaint", "change": "ended"}], "seen"))
    set_tag(person(bank, "member:1"), "customer", "ada", "complaint")
    set_tag(person(bank), "customer", "ada", "complaint", until_us=bank.now + 1)
    bank.wait(0, 1)
    while announce_ended_tags(bank.engine, bank.now):
        pass
    settle(bank)
    (run,) = bank.runs()
    refused(bank, run.id, "member:2", "called or caused")
    assert answer_run(person(bank, "member:1"), Role.INVESTIGATOR, run.id, "no", WHY).at == "nothing"


@pytest.mark.postgresql
@pytest.mark.parametrize("announced", ["before", "after", "looked at before"])
def test_who_gave_a_tag_with_an_end_does_not_answer_what_the_level_begins_by_its_end(
    engine: Engine, announced: str
) -> None:
    """They are behind it as if they had ended it then, whichever worker finds the end first."""
    bank = FlowBank(engine, "")
    bank.activate(banks.document({"ok": {"cases": [{"when": {"not": {"tag": "ok", "is": "present"}}, "points": 70}]}}))
    bank.put("ada", country="NO")
    set_tag(person(bank, "member:9"), "customer", "ada", "ok")
    settle(bank)
    bank.add_flow(asking("second", RISES, "seen"))
    set_tag(person(bank, "member:1"), "customer", "ada", "ok", until_us=bank.now + DAY_US)
    settle(bank)
    assert bank.level("ada") == 1
    if announced == "looked at before":
        bank.wait(0.9)
        bank.mark("ada", Reason.VIEW)
    bank.wait(1)
    for moment in ("before", "after"):
        if moment == announced:
            announce_ended_tags(bank.engine, bank.now)
        settle(bank)
    (run,) = bank.runs()
    assert (bank.level("ada"), run.about["people"]) == (3, ["member:1"])
    refused(bank, run.id, "member:1", "called or caused")
    assert answer_run(person(bank, "member:9"), Role.INVESTIGATOR, run.id, "no", WHY).at == "nothing"
    bank.put("ada", country="RU")
    set_tag(person(bank, "member:8"), "customer", "ada", "ok")
    bank.wait(30)
    settle(bank)
    end_tag(person(bank, "member:7"), "customer", "ada", "ok")
    settle(bank)
    assert bank.runs()[-1].about["people"] == ["member:7"], "who ended it, and none who gave it or ended it before"


def test_who_gave_a_tag_with_an_end_does_not_answer_what_begins_by_it_of_those_linked(engine: Engine) -> None:
    bank = FlowBank(engine, "")
    define_type(bank.context, "customer", {}, links={name: kind["kind"] for name, kind in linking.LINKS.items()})
    for name in ("ada", "bob"):
        bank.put(name)
    bank.activate(linking.document(fine=FINE))
    put_links(bank.context, "customer", [LinkRow(name, "household", "H") for name in ("ada", "bob")])
    set_tag(person(bank, "member:1"), "customer", "bob", "fine", until_us=bank.now + DAY_US)
    settle(bank)
    bank.add_flow(asking("second", RISES, "seen"))
    bank.wait(1)
    settle(bank)
    assert {run.entity_id: run.about.get("people") for run in bank.runs()}[bank.id_of("ada")] == ["member:1"]


@pytest.mark.postgresql
def test_who_asked_for_an_override_or_approved_it_does_not_answer_what_begins_by_its_end(bank: FlowBank) -> None:
    bank.put("ada", country="RU")
    settle(bank)
    first = len(bank.runs())
    with writing(bank.engine) as session:
        session.execute(text("UPDATE organisation_settings SET locked_us = 1, override_cap_percent = 100"))
    until_us = bank.now + DAY_US
    asked_for = request_override(person(bank, "member:1"), "customer", "ada", "low", WHY, until_us=until_us)
    approve_override(person(bank, "member:2"), asked_for.id, WHY)
    settle(bank)
    bank.wait(2)
    settle(bank)
    (run,) = bank.runs()[first:]
    assert run.about["people"] == ["member:1", "member:2"]
    for name in ("member:1", "member:2"):
        refused(bank, run.id, name, "called or caused")
    bank.put("ada", country="IR")
    settle(bank)
    assert bank.runs()[-1].about["people"] == ["member:1"], "who sent the country: that end is over"


def test_who_asked_for_an_override_or_approved_it_does_not_answer_what_follows(bank: FlowBank) -> None:
    with writing(bank.engine) as session:
        session.execute(text("UPDATE organisation_settings SET locked_us = 1"))
    until_us = bank.now + 30 * DAY_US
    asked_for = request_override(person(bank, "member:1"), "customer", "ada", "high", WHY, until_us=until_us)
    approve_override(person(bank, "member:2"), asked_for.id, WHY)
    settle(bank)
    (run,) = bank.runs()
    for name in ("member:1", "member:2"):
        refused(bank, run.id, name, "called or caused")


def test_what_a_person_does_beside_a_flow_keeps_those_behind_both(bank: FlowBank) -> None:
    run = call_flow(person(bank, "member:1"), "first", "customer", "ada")
    answer_run(person(bank), Role.INVESTIGATOR, run.number, "yes", WHY)
    put_entities(person(bank, "member:5"), "customer", [EntityRow("ada", {"country": "RU"})])
    settle(bank)
    other = bank.runs()[-1]
    assert other.about.get("through") is None, "it did not come about by the flow alone"
    refused(bank, other.id, "member:2", "answered what a flow asked")
    for name in ("member:1", "member:5"):
        refused(bank, other.id, name, "called or caused")


def test_what_follows_from_an_answer_is_taken_back_by_who_could_have_given_it(bank: FlowBank) -> None:
    bank.add_flow(asking("gate", [], "closed").replace('"investigator"', '"publisher"'))
    run = call_flow(person(bank, "member:1"), "gate", "customer", "ada")
    (action,) = answer_run(person(bank), Role.PUBLISHER, run.number, "yes", WHY).taken
    follows = "Mark cannot be taken back: it follows from the answer to 'In order.'"
    for name, role, why in (
        ("member:3", Role.INVESTIGATOR, "a member of the role publisher can, and you are investigator"),
        ("member:1", Role.PUBLISHER, "member:1 called or caused run f:1; another person must do it"),
        ("member:1", Role.ADMIN, "member:1 called or caused run f:1; another person must do it"),
    ):
        assert why in bars_to_take_back(person(bank, name), role, run.number)[action.number]
        with pytest.raises(ConflictError, match=f"{follows}.*{why}"):
            take_back_action(person(bank, name), role, action.number, WHY)
    assert bars_to_take_back(person(bank), Role.PUBLISHER, run.number) == {}
    assert take_back_action(person(bank), Role.PUBLISHER, action.number, WHY).taken_back_by == "member:2"


def test_what_follows_from_no_answer_an_investigator_takes_back(bank: FlowBank) -> None:
    bank.add_flow(asking("gate", [], "closed").replace('"otherwise": "nothing"', '"otherwise": "done"'))
    call_flow(person(bank, "member:1"), "gate", "customer", "ada")
    bank.wait(3)
    bank.work()
    (action,) = bank.actions()
    with pytest.raises(ConflictError, match="from no answer: a member of the role investigator can, and you are publi"):
        take_back_action(person(bank, "member:1"), Role.PUBLISHER, action.id, WHY)
    assert take_back_action(person(bank, "member:1"), Role.INVESTIGATOR, action.id, WHY).taken_back_by == "member:1"


def test_what_two_roles_agreed_to_is_taken_back_by_a_third_person(bank: FlowBank) -> None:
    document = json.loads(asking("gate", [], "closed"))
    again = json.loads(json.dumps(document["steps"][0]))
    again["id"], again["person"]["role"] = "again", "publisher"
    document["steps"][0]["person"]["answers"]["yes"] = "again"
    document["steps"].insert(1, again)
    bank.add_flow(json.dumps(document))
    run = call_flow(person(bank, "member:1"), "gate", "customer", "ada")
    answer_run(person(bank), Role.INVESTIGATOR, run.number, "yes", WHY)
    (action,) = answer_run(person(bank, "member:3"), Role.PUBLISHER, run.number, "yes", WHY).taken
    for name, role in (("member:2", Role.ADMIN), ("member:4", Role.INVESTIGATOR), ("member:4", Role.PUBLISHER)):
        with pytest.raises(ConflictError, match="cannot be taken back"):
            take_back_action(person(bank, name), role, action.number, WHY)
    assert take_back_action(person(bank, "member:4"), Role.ADMIN, action.number, WHY).taken_back_by == "member:4"


def test_an_organisation_of_one_person_answers_itself(bank: FlowBank, monkeypatch: pytest.MonkeyPatch) -> None:
    run = answered(bank)
    monkeypatch.setattr("fivefold.usecases.flows.runs.second_people.has_sole_operator", lambda *_: True)
    assert answer_run(person(bank), Role.INVESTIGATOR, run, "yes", WHY).at == "done"


def falling(bank: FlowBank) -> None:
    """Ada is high by a tag, and a flow that asks listens to falls."""
    bank.add_flow(asking("fallen", [{"on": "level", "direction": "down"}], "seen too"))
    set_tag(person(bank, "member:9"), "customer", "ada", "watch")
    settle(bank)
    assert bank.level("ada") == 3


def fallen(bank: FlowBank) -> FlowRun:
    """Let the cooldown pass; the run that begins by the fall."""
    bank.wait(2)
    settle(bank)
    assert bank.level("ada") == 1
    (run,) = (each for each in bank.runs() if each.about.get("direction") == "down")
    assert bank.count("flow_marks") == 0, "nothing is put off any more"
    return run


@pytest.mark.postgresql
def test_who_ended_what_held_a_level_does_not_answer_what_begins_by_the_fall_after_the_cooldown(bank: FlowBank) -> None:
    falling(bank)
    end_tag(person(bank, "member:1"), "customer", "ada", "watch")
    settle(bank)
    bank.wait(0.2)
    put_entities(person(bank, "member:4"), "customer", [EntityRow("ada", {"country": "SE"})])
    settle(bank)
    bank.wait(0.2)
    bank.mark("ada", Reason.VIEW)
    settle(bank)
    assert bank.level("ada") == 3, "the cooldown withholds the fall"
    run = fallen(bank)
    assert run.about["people"] == ["member:1", "member:4"]
    refused(bank, run.id, "member:1", "called or caused")
    assert answer_run(person(bank, "member:9"), Role.INVESTIGATOR, run.id, "no", WHY).at == "nothing"


def test_who_gave_a_tag_its_end_is_behind_the_fall_after_the_cooldown(bank: FlowBank) -> None:
    falling(bank)
    set_tag(person(bank, "member:1"), "customer", "ada", "watch", until_us=bank.now + DAY_US // 2)
    settle(bank)
    bank.wait(0.6)
    settle(bank)
    assert bank.level("ada") == 3
    assert fallen(bank).about["people"] == ["member:1"]


def test_what_a_flow_does_during_the_cooldown_keeps_those_behind_the_fall(bank: FlowBank) -> None:
    falling(bank)
    bank.add_flow(asking("third", [], "other"))
    end_tag(person(bank, "member:1"), "customer", "ada", "watch")
    settle(bank)
    run = call_flow(person(bank, "member:4"), "third", "customer", "ada")
    answer_run(person(bank, "member:5"), Role.INVESTIGATOR, run.number, "yes", WHY)
    settle(bank)
    about = fallen(bank).about
    assert ({*about["people"]}, about["answered"]) == ({"member:1", "member:4"}, ["member:5"])


def overridden(bank: FlowBank, level: str) -> None:
    """Ada has a level by hand for five days, which member:2 asked for and member:3 approved."""
    with writing(bank.engine) as session:
        session.execute(text("UPDATE organisation_settings SET locked_us = 1, override_cap_percent = 100"))
    until_us = bank.now + 5 * DAY_US
    asked_for = request_override(person(bank, "member:2"), "customer", "ada", level, WHY, until_us=until_us)
    approve_override(person(bank, "member:3"), asked_for.id, WHY)
    settle(bank)


def after_the_override(bank: FlowBank, direction: str) -> FlowRun:
    bank.wait(2)
    settle(bank)
    bank.wait(4)
    settle(bank)
    run = bank.runs()[-1]
    assert run.about["direction"] == direction
    return run


@pytest.mark.postgresql
def test_who_changed_the_level_of_the_rules_beneath_an_override_does_not_answer_what_begins_by_its_end(
    bank: FlowBank,
) -> None:
    overridden(bank, "low")
    set_tag(person(bank, "member:1"), "customer", "ada", "watch")
    settle(bank)
    run = after_the_override(bank, "up")
    assert run.about["people"] == ["member:1", "member:2", "member:3"]
    refused(bank, run.id, "member:1", "called or caused")
    assert bank.count("flow_marks") == 0


@pytest.mark.parametrize("is_override_first", [False, True])
def test_who_ended_what_held_a_level_is_behind_the_fall_after_an_override_too(
    bank: FlowBank, *, is_override_first: bool
) -> None:
    falling(bank)
    bank.wait(1.5 if is_override_first else 0)
    steps = [
        lambda: end_tag(person(bank, "member:1"), "customer", "ada", "watch"),
        lambda: overridden(bank, "high"),
    ]
    for step in reversed(steps) if is_override_first else steps:
        step()
        settle(bank)
    run = after_the_override(bank, "down")
    assert run.about["people"] == ["member:1", "member:2", "member:3"]
    refused(bank, run.id, "member:1", "called or caused")


def test_nobody_is_behind_a_fall_that_was_put_off_once_the_level_holds_again(bank: FlowBank) -> None:
    falling(bank)
    end_tag(person(bank, "member:1"), "customer", "ada", "watch")
    settle(bank)
    set_tag(person(bank, "member:8"), "customer", "ada", "watch")
    settle(bank)
    assert bank.count("flow_marks") == 0
    bank.wait(2)
    end_tag(person(bank, "member:7"), "customer", "ada", "watch")
    settle(bank)
    assert bank.runs()[-1].about["people"] == ["member:7"]


def test_what_is_done_while_rules_cannot_be_answered_has_its_people_once_the_level_falls(engine: Engine) -> None:
    bank = FlowBank(engine, "")
    rules = {"country": banks.COUNTRY, "watch": WATCH}
    applies_to = {"field": "country", "not_equals": "SE"}
    bank.activate(banks.document(rules, applies_to=applies_to, cooldown="1 day"))
    bank.put("ada", country="NO")
    falling(bank)
    bank.put("ada", country=None)
    settle(bank)
    bank.wait(2)
    end_tag(person(bank, "member:1"), "customer", "ada", "watch")
    settle(bank)
    assert bank.level("ada") == 3, "it is unknown whether the ruleset applies"
    bank.wait(0, 1)
    put_entities(person(bank, "member:2"), "customer", [EntityRow("ada", {"country": "NO"})])
    settle(bank)
    assert {"member:1", "member:2"} <= {*fallen(bank).about["people"]}
