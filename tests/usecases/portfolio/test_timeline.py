"""The timeline on both databases: one order by either clock, and pages of any length."""

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import every_row
from fivefold.store.levels.timeline import Clock
from fivefold.store.tables.entities import Entity, ValueScore
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.portfolio.timeline import list_events
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow, OwnerGiven
from tests.store.plans import statements
from tests.usecases import platforms
from tests.usecases.flows.flowing import LARGE, FlowBank
from tests.usecases.flows.runs.test_calls import payment
from tests.usecases.groups.grouped import Circle

NOW = platforms.NOW
OF = ("customer", "a")


@pytest.fixture
def ours(engine: Engine) -> Context:
    context = Context(engine, Actor(platforms.organisation(engine), "member:1"), lambda: NOW)
    for number, country in enumerate(("NO", "SE")):
        put_entities(context.at(NOW - (9 - number) * DAY_US), "customer", [EntityRow("a", {"country": country})])
    owners = [OwnerGiven(*OF, from_us=NOW - 20 * DAY_US)]
    put_entities(context.at(NOW - 7 * DAY_US), "customer", [EntityRow("b", {}, owners=owners)])
    set_tag(context.at(NOW - 6 * DAY_US), *OF, "watch", until_us=NOW + DAY_US)
    for number, found in enumerate((True, False)):
        at = NOW - (30 + number) * DAY_US
        add_screening(context.at(NOW - (5 - number) * DAY_US), *OF, "pep", has_match=found, at_us=at)
    return context


@pytest.mark.postgresql
def test_either_clock_orders_all_that_happened_up_to_now(ours: Context) -> None:
    known = list_events(ours, *OF)
    assert [(event.kind, event.after) for event in known] == [
        ("screening", "clean"),
        ("screening", "hit"),
        ("tag_set", None),
        ("attributes", None),
        ("attributes", None),
        ("owned_from", None),
    ]
    assert [event.about for event in known] == ["pep", "pep", "watch", "", "", "b"]
    happened = list_events(ours, *OF, clock=Clock.HAPPENED)
    assert [event.kind for event in happened][-3:] == ["owned_from", "screening", "screening"]
    assert next(event.kind for event in list_events(ours.at(NOW + 2 * DAY_US), *OF)) == "tag_ended"


def test_a_score_just_below_a_cut_is_not_written_as_the_cut(ours: Context) -> None:
    """As on the customer's page: 4.00 would be of the segment top, and the customer is high."""
    with Session(ours.engine) as session, session.begin():
        entity = session.scalars(select(Entity.id).where(Entity.external_id == "a")).one()
        made = {"currency": "EUR", "model": "m", "model_version": 1, "fingerprint": "f"}
        session.add(ValueScore(entity_id=entity, as_of_us=NOW - DAY_US, score=3.997, segment="high", **made))
    (event,) = list_events(ours, *OF, kinds=("value",))
    assert event.after == "3.99"


@pytest.mark.postgresql
@pytest.mark.parametrize("clock", list(Clock))
def test_pages_of_any_length_give_every_event_once_by_one_statement_each(ours: Context, clock: Clock) -> None:
    whole = list_events(ours, *OF, clock=clock)
    for rows in (1, 2, 5):
        assert list(every_row(lambda part: list_events(ours, *OF, part, clock=clock), rows)) == list(whole)
    with statements(ours.engine) as asked:
        list_events(ours, *OF, clock=clock)
    assert len(asked) == 3, "the entity, the levels, the events"


@pytest.mark.postgresql
def test_links_stand_at_both_ends_and_one_that_never_held_was_taken_back(ours: Context) -> None:
    define_type(ours, "customer", {}, links={"household": "shared", "owns": "directed"})
    rows = [
        LinkRow("a", "household", "H1", NOW - 30 * DAY_US),
        LinkRow("b", "owns", "a", NOW - 20 * DAY_US, NOW - 9 * DAY_US),
        LinkRow("a", "owns", None),
        LinkRow("b", "household", "H1", NOW + DAY_US),
    ]
    put_links(ours.at(NOW - 4 * DAY_US), "customer", rows)
    put_links(ours.at(NOW - 3 * DAY_US), "customer", [LinkRow("a", "household", "H1", *[NOW - 30 * DAY_US] * 2)])

    def told(name: str, clock: Clock) -> list[tuple[str, str, str | None, str | None, float]]:
        events = list_events(ours, "customer", name, kinds=("linked", "link_ended", "link_taken_back"), clock=clock)
        return [(one.kind, one.about, one.before, one.after, (one.happened_us - NOW) / DAY_US) for one in events]

    began, ended = ("linked", "owns", "from", "b", -20), ("link_ended", "owns", "from", "b", -9)
    shared = [(kind, "household", "shared", "H1", -30) for kind in ("link_taken_back", "linked")]
    none = ("linked", "owns", "none", None, -4)
    assert told("a", Clock.HAPPENED) == [none, ended, began, *shared]
    assert sorted(told("a", Clock.KNOWN)) == sorted(told("a", Clock.HAPPENED))
    assert told("b", Clock.HAPPENED) == [
        ("link_ended", "owns", "to", "a", -9),
        ("linked", "owns", "to", "a", -20),
    ]
    assert ("linked", "household", "shared", "H1", 1) in told("b", Clock.KNOWN)
    facts = list_events(ours, *OF, kinds=("facts",))
    assert {one.by for one in facts if one.kind == "linked"} == {"member:1"}


@pytest.mark.postgresql
def test_a_tag_that_gets_another_end_goes_on(ours: Context) -> None:
    set_tag(ours.at(NOW - 2 * DAY_US), *OF, "watch", until_us=NOW + 3 * DAY_US)
    kinds = ("tag_set", "tag_end_moved", "tag_ended")
    events = [(one.kind, one.after) for one in list_events(ours.at(NOW + 5 * DAY_US), *OF, kinds=kinds)]
    assert events == [("tag_ended", None), ("tag_end_moved", "2026-11-23"), ("tag_set", None)]
    later = ours.at(NOW + 5 * DAY_US)
    assert "tag_ended" not in {one.kind for one in list_events(later, *OF, kinds=("people",))}, "it ran out"
    assert "tag_ended" in {one.kind for one in list_events(later, *OF, kinds=("people", "facts"))}
    set_tag(ours.at(NOW + 6 * DAY_US), *OF, "watch")
    assert next(one.kind for one in list_events(ours.at(NOW + 7 * DAY_US), *OF, kinds=kinds)) == "tag_set"


@pytest.mark.postgresql
def test_what_flows_did_and_people_answered_and_took_back_is_told(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE.replace("answers: {right: nothing", "answers: {right: flag"))
    call_flow(bank.context, "large", *OF, payment(5000))
    member = Context(engine, platforms.actor(bank.of, "member:2"), lambda: bank.now)
    bank.now += 1
    (run,) = bank.runs()
    answer_run(member, Role.INVESTIGATOR, run.id, "right", "Known by telephone.")
    bank.now += 1
    take_back_action(
        member, Role.INVESTIGATOR, next(each.id for each in bank.actions() if each.kind == "limit"), "Too low."
    )
    told = {one.kind: one for one in list_events(bank.context, *OF, kinds=("flows",))}
    shown = {(one.about, one.run) for one in told.values()}
    assert shown == {("large", f"f:{run.id}")}
    answer, back = told["flow_answered"], told["flow_taken_back"]
    assert (answer.step, answer.after, answer.reason, answer.by) == ("ask", "right", "Known by telephone.", "member:2")
    assert (back.step, back.after, back.reason, back.by) == ("bound", "limit daily 100.00 EUR", "Too low.", "member:2")
    acted = {one.step: (one.after, one.by) for one in list_events(bank.context, *OF, kinds=("flow",))}
    assert acted["flagged"] == ("status flagged", "flow:large")
    assert acted.keys() == {"flagged", "note", "open", "tell", "bound"}
    (opened,) = list_events(bank.context, *OF, kinds=("case_opened",))
    assert opened.by == "flow:large"
    flows = [one.kind for one in list_events(bank.context, *OF) if one.run is not None]
    pages = every_row(lambda part: list_events(bank.context, *OF, part, kinds=("flows",)), 2)
    assert [one.kind for one in pages] == flows
    put_record(member, *OF, "case", RecordGiven(external_id="7", opened_us=bank.now))
    assert {one.by for one in list_events(bank.context, *OF, kinds=("case_opened",))} == {None, "flow:large"}


@pytest.mark.postgresql
def test_who_entered_a_group_and_left_it_is_told(engine: Engine) -> None:
    bank = FlowBank(engine)
    circle = Circle(bank)
    circle.publish({"tag": "watch", "is": "present"})
    circle.publish({"tag": "watch", "is": "present"}, "others")
    set_tag(bank.context, *OF, "watch")
    circle.settle()
    bank.wait(1)
    end_tag(bank.context, *OF, "watch")
    circle.settle()
    events = [(one.kind, one.about) for one in list_events(bank.context, *OF, kinds=("groups",))]
    assert sorted(events[:2]) == [("group_left", "others"), ("group_left", "watched")]
    assert sorted(events[2:]) == [("group_entered", "others"), ("group_entered", "watched")]
    pages = every_row(lambda part: list_events(bank.context, *OF, part, kinds=("groups",)), 1)
    assert [(one.kind, one.about) for one in pages] == events


def test_a_kind_that_there_is_not_is_refused(ours: Context) -> None:
    with pytest.raises(ConfigError, match="there is no kind of event 'none'"):
        list_events(ours, *OF, kinds=("none",))
