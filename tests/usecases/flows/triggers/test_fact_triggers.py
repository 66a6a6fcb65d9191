"""Flows that listen to alerts, screenings and fields, and what a replay finds of all of these again."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US, utc_text
from fivefold.domain.errors import ConflictError
from fivefold.usecases.flows.replays.jobs import ReplayAsked
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.ingest.bulk_facts import ScreeningRow, TagRow, add_screenings, put_tags
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.ingest.files import ImportFile, import_table
from fivefold.usecases.ingest.tags import announce_ended_tags
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.usecases.flows.flowing import HOUR_US, FlowBank
from tests.usecases.flows.replays.test_replays import made, report
from tests.usecases.platforms import actor, transaction

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


def announce_all(bank: FlowBank) -> int:
    """Let workers tell of tags that ended, until none is left; tell how many ended."""
    ended = 0
    while count := announce_ended_tags(bank.engine, bank.now, 2):
        ended += count
    return ended


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


# Pending transactions that settle.

SUMS = """
flow: sums
title: Sums
entity_type: customer
levels: [low, medium, high]
triggers: [{on: transaction}, {on: transaction, change: settled}]
actions: [{id: flagged, title: Flag, status: flagged}]
steps:
  - id: size
    title: How much in a quarter
    route: [{when: {sum: amount, over: 90 days, above: 1000}, to: ask}]
    otherwise: nothing
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


@pytest.mark.postgresql
def test_a_payment_that_settles_asks_a_person_once_though_it_is_sent_twice(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(SUMS)
    begun = bank.now
    bank.post(1, 2500, transaction_state="PENDING")
    bank.work()
    stored = bank.states()
    assert [state[1:] for state in stored] == [("ended", "nothing")], "a pending one is in no sum"
    for _ in range(2):
        add_transactions(
            bank.context,
            [
                transaction(1, "a", transaction_amount=2500, transaction_state="COMPLETED"),
                transaction(2, "b", transaction_amount=10, transaction_state="COMPLETED"),
            ],
        )
        bank.work()
    settled = [run for run in bank.runs() if run.about.get("change")]
    assert [(run.cause, run.state, run.stopped_at) for run in settled] == [("transaction-settled:t1", "waiting", "ask")]
    assert (settled[0].about["by"], settled[0].about["transaction_id"]) == (bank.context.actor.name, "t1")
    assert bank.count("flow_runs") == 3, "one that is stored with its final state only ran as stored"
    with pytest.raises(ConflictError, match="called or caused"):
        answer_run(bank.context, Role.INVESTIGATOR, settled[0].id, "right", "I know.")
    bank.now += 1
    bank.add_flow(SUMS.replace("Sums", "Sums again"), acting=False)
    found = report(made(bank, "sums", ReplayAsked(from_us=begun - 90 * DAY_US, until_us=bank.now, alone=True)))
    assert (found["causes"], found["not_replayed"]) == ([["transaction", 2]], ["settled transaction"])


@pytest.mark.postgresql
@pytest.mark.parametrize("days", [0, 3650], ids=["now", "a clock that is ahead of the log"])
def test_who_sent_a_pending_payment_has_no_say_once_another_one_settles_it(engine: Engine, days: int) -> None:
    bank = FlowBank(engine)
    bank.add_flow(SUMS)
    bank.now += days * DAY_US
    for name, state in (("member:2", "PENDING"), ("token:9", "COMPLETED")):
        sent = replace(bank.context, actor=actor(bank.of, name))
        date = utc_text(bank.now)
        rows = [
            transaction(number, "a", transaction_amount=2500, transaction_state=state, transaction_date=date)
            for number in (1, 2)
        ]
        add_transactions(sent, rows[:1])
        add_transactions(sent, rows)
    bank.work()
    settled = [run for run in bank.runs() if run.about.get("change")]
    assert [(run.about["by"], run.about["people"]) for run in settled] == [("token:9", ["member:2"])] * 2
    for run in settled:
        with pytest.raises(ConflictError, match="member:2 called or caused"):
            answer_run(replace(bank.context, actor=actor(bank.of, "member:2")), Role.INVESTIGATOR, run.id, "right", "I")


def test_one_that_listens_to_settling_alone_hears_one_that_failed_and_none_of_a_file(
    engine: Engine, tmp_path: Path
) -> None:
    bank = listening(engine, "{on: transaction, change: settled}")
    bank.post(1, 10, transaction_state="PENDING")
    bank.post(2, 10, transaction_state="PENDING")
    assert bank.runs() == []
    bank.post(1, 10, transaction_state="FAILED")
    add_transactions(
        bank.context, [transaction(2, "a", transaction_amount=10, transaction_state="COMPLETED")], from_file=True
    )
    assert causes(bank) == ["a transaction-settled"]


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


def test_a_missing_field_that_becomes_blank_is_no_other_value(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.put("a")
    listens = LISTENS.replace("income: number", "income: number, occupation: text")
    bank.add_flow(listens.replace("TRIGGER", "{on: field, fields: [country, occupation]}"))
    bank.put("a", country="NO", occupation="baker")
    bank.put("a", country=None, occupation=None)
    before = causes(bank)
    bank.put("a", country="", occupation="  ")
    assert causes(bank) == before
    bank.put("a", occupation="smith")
    assert causes(bank) == [*before, "a field"]


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
    for _ in range(2):
        import_table(bank.context, "entities", "customer", ImportFile(path=path))
    assert causes(bank) == (["a import", "b import"] if "import" in trigger else [])


@pytest.mark.parametrize("table", ["entities", "owners"])
def test_a_file_whose_only_news_are_owners_is_an_import_for_what_they_own(
    engine: Engine, tmp_path: Path, table: Literal["entities", "owners"]
) -> None:
    bank = FlowBank(engine, "abc")
    bank.add_flow(LISTENS.replace("TRIGGER", "{on: import}, {on: field, fields: [country]}"))
    path = tmp_path / "owners.csv"
    path.write_text("entity_id,owner_id\na,c\nb,c\n", encoding="utf-8")
    for _ in range(2):
        import_table(bank.context, table, "customer", ImportFile(path=path))
    assert causes(bank) == ["a import", "b import"], "not the owner, and once"
    bank.work()
    assert [action.action for action in bank.actions()] == ["flagged", "flagged"]


def test_a_file_of_tags_and_screenings_is_an_import(engine: Engine) -> None:
    bank = listening(engine, "{on: screening, screening: pep}, {on: tag, tag: watch}, " + ENDS)
    add_screenings(bank.context, "customer", [ScreeningRow("a", "pep", True, bank.now)])
    put_tags(bank.context, "customer", [TagRow("a", "watch", bank.now - 2 * DAY_US, bank.now - DAY_US)])
    assert announce_all(bank) == 0, "what ended before the file came is history"
    assert causes(bank) == []


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
    announce_all(bank)
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
