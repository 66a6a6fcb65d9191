"""Flows that listen to alerts, screenings, fields and the ends of tags: once for each, whoever dies."""

import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Engine, event, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import NotFoundError
from fivefold.store.ingest import tag_ends as stored
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.replays.jobs import ReplayAsked
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.ingest.bulk_facts import ScreeningRow, TagRow, add_screenings, put_tags
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.ingest.files import ImportFile, import_table
from fivefold.usecases.ingest.tag_ends import announce_ended_tags
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.flows.test_killed import DiedError
from tests.usecases.flows.test_replays import made, report
from tests.usecases.platforms import actor

LISTENS = """
flow: listens
title: Listens
entity_type: customer
levels: [low, medium, high]
fields: {country: country, income: number}
triggers: [TRIGGER]
actions: [{id: flagged, title: Flag, status: flagged}]
steps: [{id: flag, title: Flagged, end: [flagged]}]
on_failure: [flagged]
"""
ENDS = "{on: tag, tag: watch, change: ended}"


def listening(engine: Engine, trigger: str) -> FlowBank:
    bank = FlowBank(engine)
    bank.add_flow(LISTENS.replace("TRIGGER", trigger))
    return bank


def causes(bank: FlowBank) -> list[str]:
    """The causes of all runs, by customer, without the numbers of rows."""
    names = {bank.id_of(name): name for name in "ab"}
    return [f"{names[run.entity_id]} {run.cause.partition(':')[0]}" for run in bank.runs()]


def told(bank: FlowBank) -> int:
    """Let workers tell of tags that ended, until none is left; tell how many ended."""
    ended = 0
    while count := announce_ended_tags(bank.engine, bank.now, 2):
        ended += count
    return ended


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


# Alerts and screenings.


@pytest.mark.postgresql
def test_an_alert_runs_a_flow_when_it_is_opened_and_changed_and_not_when_it_is_sent_again(engine: Engine) -> None:
    bank = listening(engine, "{on: alert}")
    opened = RecordGiven(external_id="1", opened_us=bank.now)
    for _ in range(2):
        put_record(bank.context, "customer", "a", "alert", opened)
    put_record(bank.context, "customer", "a", "case", opened)
    assert causes(bank) == ["a alert"], "a case is no alert"
    bank.now += 1
    closed = RecordGiven(external_id="1", opened_us=opened.opened_us, closed_us=bank.now, outcome="false")
    put_record(bank.context, "customer", "a", "alert", closed)
    put_record(bank.context, "customer", "a", "alert", closed)
    assert causes(bank) == ["a alert", "a alert"]
    assert bank.runs()[0].about["by"] == bank.context.actor.name
    bank.work()
    assert [action.action for action in bank.actions()] == ["flagged", "flagged"]


def test_a_screening_runs_a_flow_where_it_finds_what_the_flow_listens_to(engine: Engine) -> None:
    bank = listening(engine, "{on: screening, screening: pep, found: true}")
    for found in (False, True, True):
        add_screening(bank.context, "customer", "a", "pep", has_match=found, at_us=bank.now)
    add_screening(bank.context, "customer", "b", "sanctions", has_match=True)
    assert causes(bank) == ["a screening"]
    bank.now += 1
    add_screening(bank.context, "customer", "a", "pep", has_match=True)
    assert causes(bank) == ["a screening"] * 2, "screened again is another screening"


def test_one_that_listens_to_any_result_hears_both(engine: Engine) -> None:
    bank = listening(engine, "{on: screening, screening: pep}")
    add_screening(bank.context, "customer", "a", "pep", has_match=False)
    add_screening(bank.context, "customer", "b", "pep", has_match=True)
    assert causes(bank) == ["a screening", "b screening"]


# Fields.


def test_a_field_that_changes_runs_a_flow_and_another_or_the_same_value_does_not(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.put("a", country="NO", income=3)
    bank.add_flow(LISTENS.replace("TRIGGER", "{on: field, fields: [country]}"))
    bank.put("a", country="NO")
    bank.put("a", income=4)
    assert causes(bank) == []
    bank.put("a", country="SE")
    bank.put("a", country="SE")
    assert causes(bank) == ["a field"]
    assert bank.runs()[0].about["fields"] == ["country"]
    bank.put("a", country=None)
    assert causes(bank) == ["a field", "a field"], "a value that is gone is another one"
    put_entities(bank.context, "customer", [EntityRow("a", {"country": "DK"}), EntityRow("b", {"country": "DK"})])
    assert causes(bank) == ["a field", "a field", "a field", "b field"]


def test_a_new_customer_has_new_fields(engine: Engine) -> None:
    bank = listening(engine, "{on: field, fields: [country]}")
    put_entities(bank.context, "customer", [EntityRow("c", {"income": 3})])
    assert bank.runs() == []
    put_entities(bank.context, "customer", [EntityRow("d", {"country": "NO"})])
    assert [run.cause for run in bank.runs()] == ["field:1"]


@pytest.mark.parametrize("trigger", ["{on: field, fields: [country]}", "{on: import}"])
def test_a_file_of_customers_is_an_import_and_no_change_of_each_field(
    engine: Engine, tmp_path: Path, trigger: str
) -> None:
    bank = listening(engine, trigger)
    path = tmp_path / "customers.csv"
    path.write_text("entity_id,country\na,NO\nb,NO\n", encoding="utf-8")
    for number in range(2):
        import_table(bank.context, "entities", "customer", ImportFile(path=path, notes=tmp_path / f"notes{number}"))
    assert causes(bank) == (["a import", "b import"] if "import" in trigger else [])


@pytest.mark.parametrize("table", ["entities", "owners"])
def test_a_file_whose_only_news_are_owners_is_an_import_for_what_they_own(
    engine: Engine, tmp_path: Path, table: Literal["entities", "owners"]
) -> None:
    bank = FlowBank(engine, "abc")
    bank.add_flow(LISTENS.replace("TRIGGER", "{on: import}, {on: field, fields: [country]}"))
    path = tmp_path / "owners.csv"
    path.write_text("entity_id,owner_id\na,c\nb,c\n", encoding="utf-8")
    for number in range(2):
        import_table(bank.context, table, "customer", ImportFile(path=path, notes=tmp_path / f"notes{number}"))
    assert causes(bank) == ["a import", "b import"], "not the owner, and once"
    bank.work()
    assert [action.action for action in bank.actions()] == ["flagged", "flagged"]


def test_a_file_of_tags_and_screenings_is_an_import(engine: Engine) -> None:
    bank = listening(engine, "{on: screening, screening: pep}, {on: tag, tag: watch}, " + ENDS)
    add_screenings(bank.context, "customer", [ScreeningRow("a", "pep", True, bank.now)])
    put_tags(bank.context, "customer", [TagRow("a", "watch", bank.now - 2 * DAY_US, bank.now - DAY_US)])
    assert told(bank) == 0, "what ended before the file came is history"
    assert causes(bank) == []


# The ends of tags.


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
    assert told(bank) == 0
    assert causes(bank) == ["a tag-end"]


def test_a_tag_ends_by_the_clock_once_and_not_before(engine: Engine) -> None:
    bank = listening(engine, ENDS)
    for name in "ab":
        set_tag(bank.context, "customer", name, "watch", until_us=bank.now + DAY_US)
    bank.now += DAY_US - 1
    assert told(bank) == 0
    bank.now += 1
    assert told(bank) == 2
    assert told(bank) == 0
    assert causes(bank) == ["a tag-end", "b tag-end"]
    assert {run.about["kind"] for run in bank.runs()} == {"tag"}
    bank.work()
    assert len(bank.actions()) == 2
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
    assert (told(bank), causes(bank)) == (0, [])
    bank.now += 2 * DAY_US
    assert (told(bank), causes(bank)) == (1, ["a tag-end"])
    bank.now += 100 * DAY_US
    assert told(bank) == 0, "that of b has no end any more"


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
    assert (told(bank), causes(bank)) == (1, []), "the other row of a lasts on"
    put_tags(bank.context, "customer", [TagRow("b", "watch", day - DAY_US, day + 4 * DAY_US)])
    bank.now += 2 * DAY_US
    assert (told(bank), causes(bank)) == (2, ["a tag-end", "b tag-end"])


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
    assert told(bank) == 0
    bank.work()
    given = [] if by_file else ["a tag"]
    assert causes(bank) == ["a tag", "a tag-end", *given]
    assert [action.content["status"] for action in bank.actions()] == [
        "flagged",
        "approved",
        *["flagged" for _ in given],
    ]
    bank.now += DAY_US
    assert told(bank) == 1
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
    assert (told(bank), causes(bank)) == (1, ["a tag-end"])
    bank.now += 1
    put_tags(bank.context, "customer", [TagRow("a", "watch", begun, end + DAY_US)])
    bank.now += DAY_US
    assert (told(bank), causes(bank)) == (1, ["a tag-end"] * 2)
    first, second = (int(run.cause.rpartition(".")[2]) for run in bank.runs())
    assert (first, second) == (end, end + DAY_US)


# Processes of the release before, which know nothing of `tag_ends`.


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
    told(bank)
    assert [run.entity_id for run in bank.runs()] == [bank.id_of("e")]
    bank.now += DAY_US
    told(bank)
    assert [run.entity_id for run in bank.runs()] == [bank.id_of("e"), bank.id_of("c")]
    assert bank.count("tag_ends") == 0


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
    assert told(bank) == 0


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
    told(bank)
    assert causes(bank) == ([] if engine.dialect.name == "postgresql" else ["a tag-end"])
    bank.now += DAY_US
    told(bank)
    assert causes(bank) == ["a tag-end"]


def test_a_tag_of_a_flow_ends_by_the_clock_and_by_a_person_who_takes_it_back(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_flow(LISTENS.replace("TRIGGER", ENDS.replace("watch", "large")))
    bank.post(1, 500, "a")
    bank.post(2, 500, "b")
    bank.work()
    note = next(each for each in bank.actions() if each.action == "note")
    take_back_action(Context(engine, actor(bank.of, "member:4"), lambda: bank.now), note.id, "Not large.")
    assert [cause for cause in causes(bank) if "tag" in cause] == ["a tag-end"]
    bank.now += 31 * DAY_US
    told(bank)
    assert [cause for cause in causes(bank) if "tag" in cause] == ["a tag-end", "b tag-end"]


def test_who_is_erased_has_no_tag_that_is_to_end(engine: Engine, tmp_path: Path) -> None:
    bank = listening(engine, ENDS)
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    bank.now += 6 * 366 * DAY_US
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    assert bank.count("tag_ends") == 0
    assert told(bank) == 0


# History.


def test_what_happened_is_replayed_under_the_causes_that_it_had(engine: Engine) -> None:
    triggers = "{on: alert}, {on: screening, screening: pep, found: true}, {on: field, fields: [country]}, " + ENDS
    bank = listening(engine, triggers)
    begun = bank.now
    bank.now += 1
    bank.put("a", country="SE")
    bank.put("b", income=5)
    add_screening(bank.context, "customer", "a", "pep", has_match=True)
    add_screening(bank.context, "customer", "b", "pep", has_match=False)
    put_record(bank.context, "customer", "b", "alert", RecordGiven(external_id="1", opened_us=bank.now))
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    set_tag(bank.context, "customer", "b", "watch", until_us=bank.now + DAY_US)
    bank.now += 1
    set_tag(bank.context, "customer", "b", "watch", until_us=bank.now + 9 * DAY_US)
    bank.now += DAY_US
    told(bank)
    lived = sorted(run.cause for run in bank.runs())
    assert [cause.partition(":")[0] for cause in lived] == ["alert", "field", "screening", "tag-end"]
    bank.work()
    bank.now += 1
    bank.add_flow(LISTENS.replace("TRIGGER", triggers).replace("end: [flagged]", "end: []"), acting=False)
    line = made(bank, "listens", ReplayAsked(from_us=begun, until_us=bank.now))
    assert report(line)["causes"] == [["alert", 1], ["field", 1], ["screening", 1], ["tag", 1]]
    assert report(line)["not_replayed"] == []
    with engine.connect() as connection:
        replayed = connection.execute(text("SELECT cause FROM flow_replay_people ORDER BY cause")).scalars().all()
    assert sorted(replayed) == lived


ASKS = """
flow: asks
title: Asks
entity_type: customer
levels: [low, medium, high]
fields: {country: country}
triggers: [TRIGGER]
actions: [{id: flagged, title: Flag, status: flagged}]
steps:
  - id: where
    title: Where
    route: [{when: {field: country, equals: SE}, to: nothing}]
    otherwise: ask
    on_unknown: ask
  - id: ask
    title: A person looks
    person:
      question: Is this right?
      role: investigator
      within: 4 hours
      answers: {right: nothing, wrong: flag}
      otherwise: flag
  - {id: nothing, title: Nothing, end: []}
  - {id: flag, title: Flagged, end: [flagged]}
on_failure: [flagged]
"""


def answered(bank: FlowBank, answer: str) -> None:
    """Answer the run that waits."""
    bank.work()
    context = Context(bank.engine, actor(bank.of, "member:2"), lambda: bank.now)
    waiting = next(run.id for run in bank.runs() if run.state == "waiting")
    answer_run(context, Role.INVESTIGATOR, waiting, answer, "I know.")
    bank.work()


@pytest.mark.parametrize("what", ["alert", "case"])
def test_answers_are_found_again_though_an_alert_was_sent_later_than_it_opened(
    engine: Engine, what: Literal["alert", "case"]
) -> None:
    """Opened and closed are answered otherwise; the change between is not replayed, and takes no answer away."""
    bank = FlowBank(engine)
    bank.add_flow(ASKS.replace("TRIGGER", f"{{on: {what}}}"))
    begun = bank.now
    for late_us, status, closed, answer in (
        (0, None, False, "wrong"),
        (9, "seen", False, "right"),
        (20, None, True, "right"),
    ):
        bank.now = begun + 20 * HOUR_US + late_us
        closed_us = begun + 20 * HOUR_US + 15 if closed else None
        given = RecordGiven(external_id="1", opened_us=begun + HOUR_US, closed_us=closed_us, status=status)
        put_record(bank.context, "customer", "a", what, given)
        answered(bank, answer)
    put_record(bank.context, "customer", "b", what, RecordGiven(external_id="2", opened_us=begun, closed_us=bank.now))
    answered(bank, "wrong")
    bank.now += 1
    bank.add_flow(ASKS.replace("TRIGGER", f"{{on: {what}}}").replace("Asks", "Asks again"), acting=False)
    found = report(made(bank, "asks", ReplayAsked(from_us=begun, until_us=bank.now, alone=True)))
    assert found["causes"] == [[what, 4]]
    assert found["answered"] == [["ask", 3]]
    ends = [["ended", "flag", 2], ["ended", "nothing", 1], ["waits", "ask", 1]]
    assert found["ends"] == ends, "that b's was open nobody knew before it was closed"


def test_a_screening_that_was_sent_later_is_replayed_on_the_facts_of_the_moment_at_which_it_came(
    engine: Engine,
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS.replace("TRIGGER", "{on: screening, screening: pep}"))
    begun = bank.now
    bank.put("a", country="NO")
    bank.now += 2 * HOUR_US
    bank.put("a", country="SE")
    add_screening(bank.context, "customer", "a", "pep", has_match=True, at_us=begun + HOUR_US)
    bank.work()
    bank.now += 1
    assert [state[1:] for state in bank.states()] == [("ended", "nothing")]
    bank.add_flow(ASKS.replace("TRIGGER", "{on: screening, screening: pep}").replace("Asks", "Later"), acting=False)
    found = report(made(bank, "asks", ReplayAsked(from_us=begun, until_us=bank.now, alone=True)))
    assert found["ends"] == [["ended", "nothing", 1]]
