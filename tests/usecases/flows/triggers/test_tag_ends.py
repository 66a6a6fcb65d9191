"""Flows that listen to the ends of tags: by a person and by the clock, once for each, whichever worker dies."""

import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import NotFoundError
from fivefold.store.ingest import tags as stored
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.runs.answering import take_back_action
from fivefold.usecases.ingest.bulk_facts import TagRow, put_tags
from fivefold.usecases.ingest.facts import RecordGiven, end_tag, put_record, set_tag
from fivefold.usecases.ingest.tags import announce_ended_tags
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.flows.runs.test_killed import DiedError
from tests.usecases.flows.triggers.test_fact_triggers import ENDS, LISTENS, announce_all, causes, listening
from tests.usecases.platforms import actor


def dies_at(bank: FlowBank, statement: int) -> bool:
    """Kill a worker before a statement or a commit; tell whether it was done before it came to that."""
    count = [0]

    def step(*_: Any) -> None:
        count[0] += 1
        if count[0] == statement + 1:
            raise DiedError

    with ExitStack() as stack:
        for name in ("before_cursor_execute", "commit"):
            event.listen(bank.engine, name, step)
            stack.callback(event.remove, bank.engine, name, step)
        stack.callback(bank.engine.dispose)  # what a dead process had begun is undone
        with suppress(DiedError, sqlite3.ProgrammingError):
            announce_ended_tags(bank.engine, bank.now)
            return True
    return False


def test_a_tag_that_is_taken_off_ends_once_and_the_clock_says_nothing_of_it(engine: Engine) -> None:
    bank = listening(engine, ENDS)
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    set_tag(bank.context, "customer", "a", "other")
    end_tag(bank.context, "customer", "a", "other")
    assert causes(bank) == []
    bank.now += 1
    end_tag(bank.context, "customer", "a", "watch")
    with pytest.raises(NotFoundError):
        end_tag(bank.context, "customer", "a", "watch")
    assert causes(bank) == ["a tag-end"]
    bank.now += 2 * DAY_US
    assert announce_all(bank) == 0
    assert causes(bank) == ["a tag-end"]


def test_a_tag_ends_by_the_clock_once_and_not_before(engine: Engine) -> None:
    bank = listening(engine, ENDS)
    for name in "ab":
        set_tag(bank.context, "customer", name, "watch", until_us=bank.now + DAY_US)
    bank.now += DAY_US - 1
    assert announce_all(bank) == 0
    bank.now += 1
    assert announce_all(bank) == 2
    assert announce_all(bank) == 0
    assert causes(bank) == ["a tag-end", "b tag-end"]
    assert {run.about["kind"] for run in bank.runs()} == {"tag"}
    bank.work()
    assert len(bank.actions()) == 2
    assert bank.count("tag_ends WHERE announced") == bank.count("tag_ends") == 2
    bank.now += stored.KEPT_US + 1
    assert announce_all(bank) == 0
    assert bank.count("tag_ends") == 0


def test_a_tag_that_gets_another_end_goes_on_until_then(engine: Engine) -> None:
    bank = listening(engine, ENDS)
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    bank.now += 1
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + 3 * DAY_US)
    set_tag(bank.context, "customer", "b", "watch", until_us=bank.now + DAY_US)
    bank.now += 1
    set_tag(bank.context, "customer", "b", "watch")
    bank.now += 2 * DAY_US
    assert (announce_all(bank), causes(bank)) == (0, [])
    bank.now += 2 * DAY_US
    assert (announce_all(bank), causes(bank)) == (1, ["a tag-end"])
    bank.now += 100 * DAY_US
    assert announce_all(bank) == 0, "that of b has no end any more"


def test_an_imported_tag_ends_by_the_clock_where_no_other_of_the_same_lasts_on(engine: Engine) -> None:
    bank = listening(engine, ENDS)
    day = bank.now
    rows = [
        TagRow("a", "watch", day - 2 * DAY_US, day + DAY_US),
        TagRow("a", "watch", day - DAY_US, day + 3 * DAY_US),
        TagRow("b", "watch", day - DAY_US, day + 5 * DAY_US),
    ]
    put_tags(bank.context, "customer", rows)
    bank.now += 2 * DAY_US
    assert (announce_all(bank), causes(bank)) == (1, []), "the other row of a lasts on"
    put_tags(bank.context, "customer", [TagRow("b", "watch", day - DAY_US, day + 4 * DAY_US)])
    bank.now += 2 * DAY_US
    assert (announce_all(bank), causes(bank)) == (2, ["a tag-end", "b tag-end"])


LIMITED = """
flow: FLOW
title: Limits
entity_type: customer
levels: [low, medium, high]
triggers: [TRIGGER]
actions: [{id: bound, title: Bound, STATUS}]
steps: [{id: bind, title: Bound, end: [bound]}]
on_failure: [bound]
"""


@pytest.mark.parametrize("late_us", [2_000_000, HOUR_US], ids=["at once", "no worker for an hour"])
@pytest.mark.parametrize("by_file", [False, True])
def test_a_tag_that_ended_and_is_given_again_is_told_in_that_order(engine: Engine, late_us: int, by_file: bool) -> None:
    """Of two flows one flags while the tag stands, the other takes that back: the last word is that of the tag."""
    bank = FlowBank(engine)
    for flow, trigger, status in (("gives", "{on: tag, tag: watch}", "flagged"), ("lifts", ENDS, "approved")):
        document = LIMITED.replace("FLOW", flow).replace("TRIGGER", trigger)
        bank.add_flow(document.replace("STATUS", f"status: {status}"))
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    bank.work()
    bank.now += DAY_US + late_us
    if by_file:
        put_tags(bank.context, "customer", [TagRow("a", "watch", None, bank.now + DAY_US)])
    else:
        set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    bank.now += 3_000_000
    assert announce_all(bank) == 0
    bank.work()
    given = [] if by_file else ["a tag"]
    assert causes(bank) == ["a tag", "a tag-end", *given]
    assert [action.content["status"] for action in bank.actions()] == [
        "flagged",
        "approved",
        *["flagged" for _ in given],
    ]
    bank.now += DAY_US
    assert announce_all(bank) == 1
    assert causes(bank)[-1] == "a tag-end"


def test_the_end_of_a_tag_that_its_own_flow_gives_again_runs_that_flow(engine: Engine) -> None:
    """Time ended it; that the flow is about to give it does not make the end its doing."""
    bank = FlowBank(engine)
    again = LISTENS.replace("TRIGGER", "{on: alert}, " + ENDS)
    again = again.replace(
        "{id: flagged, title: Flag, status: flagged}", "{id: flagged, title: G, tag: watch, lasts: 1 day}"
    )
    bank.add_flow(again)
    put_record(bank.context, "customer", "a", "alert", RecordGiven(external_id="1", opened_us=bank.now))
    bank.work()
    bank.now += DAY_US + 1
    put_record(bank.context, "customer", "a", "alert", RecordGiven(external_id="2", opened_us=bank.now))
    bank.work()
    assert causes(bank) == ["a alert", "a alert", "a tag-end"]


def test_a_tag_whose_end_a_file_moves_after_it_ended_ends_twice(engine: Engine) -> None:
    bank = listening(engine, ENDS)
    begun, end = bank.now, bank.now + DAY_US
    put_tags(bank.context, "customer", [TagRow("a", "watch", begun, end)])
    bank.now = end
    assert (announce_all(bank), causes(bank)) == (1, ["a tag-end"])
    bank.now += 1
    put_tags(bank.context, "customer", [TagRow("a", "watch", begun, end + DAY_US)])
    bank.now += DAY_US
    assert (announce_all(bank), causes(bank)) == (1, ["a tag-end"] * 2)
    first, second = (int(run.cause.rpartition(".")[2]) for run in bank.runs())
    assert (first, second) == (end, end + DAY_US)


@pytest.mark.postgresql
def test_a_process_of_the_release_before_may_change_the_end_and_erase_the_tag(engine: Engine) -> None:
    bank = FlowBank(engine, "abcde")
    bank.add_flow(LISTENS.replace("TRIGGER", ENDS))
    end = bank.now + DAY_US
    for name in "abcde":
        set_tag(bank.context, "customer", name, "watch", until_us=end)
    changes = {"a": "until_us = NULL", "b": f"until_us = {bank.now + 1}", "c": f"until_us = {end + DAY_US}"}
    with engine.begin() as connection:
        for name, change in changes.items():
            connection.execute(text(f"UPDATE tags SET {change} WHERE entity_id = {bank.id_of(name)}"))
        connection.execute(text(f"UPDATE entities SET erased_us = {bank.now} WHERE id = {bank.id_of('d')}"))
        connection.execute(text(f"DELETE FROM tags WHERE entity_id = {bank.id_of('d')}"))
    bank.now = end
    announce_all(bank)
    assert [run.entity_id for run in bank.runs()] == [bank.id_of("e")]
    bank.now += DAY_US
    announce_all(bank)
    assert [run.entity_id for run in bank.runs()] == [bank.id_of("e"), bank.id_of("c")]
    assert bank.count("tag_ends WHERE NOT announced") == 0


@pytest.mark.postgresql
def test_a_worker_that_dies_leaves_the_ends_to_the_next_one(engine: Engine) -> None:
    bank = listening(engine, ENDS)
    for name in "ab":
        set_tag(bank.context, "customer", name, "watch", until_us=bank.now + DAY_US)
    bank.now += DAY_US
    statements = 0
    while not dies_at(bank, statements):
        assert causes(bank) == [], "all of it, or nothing"
        assert bank.count("tag_ends") == 2
        statements += 1
    assert statements > 3
    assert causes(bank) == ["a tag-end", "b tag-end"]
    assert announce_all(bank) == 0


@pytest.mark.postgresql
def test_an_end_that_a_person_makes_while_a_worker_tells_it_is_told_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker read that it is due; before it holds the customer, the tag gets another end."""
    bank = listening(engine, ENDS)
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    early = Context(engine, actor(bank.of, "member:2"), lambda: bank.now - 1)
    bank.now += DAY_US
    locked = stored.lock_entities

    def late(*arguments: Any) -> None:
        monkeypatch.setattr(stored, "lock_entities", locked)
        if engine.dialect.name == "postgresql":  # SQLite lets nobody else write meanwhile
            set_tag(early, "customer", "a", "watch", until_us=bank.now + DAY_US)
        locked(*arguments)

    monkeypatch.setattr(stored, "lock_entities", late)
    announce_all(bank)
    assert causes(bank) == ([] if engine.dialect.name == "postgresql" else ["a tag-end"])
    bank.now += DAY_US
    announce_all(bank)
    assert causes(bank) == ["a tag-end"]


def test_a_tag_of_a_flow_ends_by_the_clock_and_by_a_person_who_takes_it_back(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_flow(LISTENS.replace("TRIGGER", ENDS.replace("watch", "large")))
    bank.post(1, 500, "a")
    bank.post(2, 500, "b")
    bank.work()
    note = next(each for each in bank.actions() if each.action == "note")
    take_back_action(
        Context(engine, actor(bank.of, "member:4"), lambda: bank.now), Role.INVESTIGATOR, note.id, "Not large."
    )
    assert [cause for cause in causes(bank) if "tag" in cause] == ["a tag-end"]
    bank.now += 31 * DAY_US
    announce_all(bank)
    assert [cause for cause in causes(bank) if "tag" in cause] == ["a tag-end", "b tag-end"]


def test_who_is_erased_has_no_tag_that_is_to_end(engine: Engine, tmp_path: Path) -> None:
    bank = listening(engine, ENDS)
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    bank.now += 6 * 366 * DAY_US
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    assert bank.count("tag_ends") == 0
    assert announce_all(bank) == 0
