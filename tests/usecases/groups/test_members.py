"""Who is a member: as fresh as the level, kept where it is unknown, told once, gone with the person."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Part
from fivefold.store.levels import leases
from fivefold.store.sql.database import writing
from fivefold.store.tables.groups import GroupMember, GroupMove
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.groups.members import count_sizes, groups_of_entity, list_members, list_moves, sizes_of
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.levels.worker import process_batch
from fivefold.usecases.rulesets.activate import advance_markings
from tests.console.test_queries import statements
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version
from tests.usecases.groups.grouped import HIGH, MOVES_MUCH, WORTH, Circle, opened


@pytest.fixture
@filled_once
def circle(engine: Engine) -> Circle:
    return opened(engine)


@pytest.mark.postgresql
def test_members_follow_levels_from_approval_on(circle: Circle) -> None:
    circle.propose(HIGH)
    circle.settle()
    assert circle.members() == set(), "nobody is a member by a proposal"
    circle.publish(HIGH, "others")
    assert not circle.now("others").settled
    circle.settle()
    assert circle.now("others").settled
    assert circle.members("others") == {"ada"}
    circle.bank.wait(1)
    circle.bank.put("bo", country="IR")
    circle.settle()
    assert circle.members("others") == {"ada", "bo"}
    assert circle.events("others") == [("entered", "ada"), ("entered", "bo")]
    circle.bank.put("bo", country="NO")
    circle.bank.wait(11)
    circle.settle()
    assert circle.members("others") == {"ada"}, "the level fell after its cooldown"
    assert circle.events("others")[2:] == [("left", "bo")]


def test_who_has_an_override_stays_a_member_whatever_happens_until_it_ends(circle: Circle) -> None:
    circle.publish({"level": "source", "equals": "override"})
    circle.bank.override("bo", 3, circle.bank.now + DAY_US)
    circle.settle()
    assert circle.members() == {"bo"}
    circle.bank.put("bo", country="RU")
    circle.settle()
    assert circle.bank.assessments("bo")[-1].source == "rules"
    assert circle.members() == {"bo"}
    circle.bank.wait(1)
    circle.settle()
    assert circle.members() == set()


def test_a_group_reads_transactions_that_no_ruleset_reads_and_time_alone_ends_membership(circle: Circle) -> None:
    circle.publish(MOVES_MUCH)
    circle.bank.pay(1, "bo")
    circle.bank.pay(2, "bo")
    circle.settle()
    assert circle.members() == {"bo"}
    due = circle.bank.next_us("bo")
    assert due is not None
    assert circle.bank.now < due <= circle.bank.now + 30 * DAY_US, "looked at when the payments leave the window"
    circle.bank.wait(microseconds=due - circle.bank.now)
    circle.settle()
    assert circle.members() == set()
    assert circle.events() == [("entered", "bo"), ("left", "bo")]


def test_what_is_unknown_on_the_second_day_keeps_who_was_in_and_lets_nobody_in(circle: Circle) -> None:
    circle.publish(WORTH, purpose="commercial")
    circle.value("ada", 4.5)
    circle.settle()
    assert circle.members() == {"ada"}
    assert circle.now().unknown == 1, "of bo nothing was ever said"
    circle.bank.wait(1)
    circle.value("ada", None)
    circle.settle()
    assert circle.members() == {"ada"}
    assert circle.now().unknown == 2
    circle.bank.wait(1)
    circle.value("ada", 2.0)
    circle.settle()
    assert circle.members() == set()
    assert (circle.now().members, circle.now().unknown) == (0, 1)
    assert circle.events() == [("entered", "ada"), ("left", "ada")]


@pytest.mark.parametrize(("on_unknown", "members"), [("in", {"ada", "bo"}), ("out", set[str]())])
def test_a_group_may_say_what_becomes_of_those_of_whom_it_is_unknown(
    circle: Circle, on_unknown: str, members: set[str]
) -> None:
    circle.publish(WORTH, on_unknown=on_unknown)
    circle.settle()
    assert circle.members() == members
    assert circle.now().unknown == 2
    assert {each.is_unknown for each in list_members(circle.context(), "watched", WHOLE, with_aml=True)} <= {True}


@pytest.mark.postgresql
def test_a_worker_whose_lease_is_gone_stores_nothing_and_a_repeated_look_moves_nobody(circle: Circle) -> None:
    circle.publish(HIGH)
    bank = circle.bank
    with writing(bank.engine) as session:
        batch = leases.claim(session, "slow", bank.now, bank.now + 1, 100, 100)
    assert batch is not None
    bank.wait(microseconds=2)
    circle.settle()
    assert circle.events() == [("entered", "ada")]
    process_batch(bank.engine, batch, clock=lambda: bank.now)
    for _ in range(3):
        bank.mark("ada")
        circle.settle()
    assert circle.events() == [("entered", "ada")]
    assert [each.entered for each in list_moves(circle.context(), "watched", WHOLE, with_aml=True)] == [True]


@pytest.mark.postgresql
def test_a_clock_that_was_ahead_changes_no_membership_until_it_is_repaired(circle: Circle) -> None:
    circle.publish(HIGH)
    circle.settle()
    with Session(circle.bank.engine) as session, session.begin():
        session.execute(text("UPDATE standings SET assessed_us = assessed_us + 3155760000000000"))
    circle.bank.put("ada", country="NO")
    done = circle.bank.run()
    assert done is not None
    assert done.failed
    assert circle.members() == {"ada"}


def test_nothing_of_an_erased_entity_is_left_and_its_moves_stay_as_long_as_it_does(
    circle: Circle, tmp_path: Path
) -> None:
    circle.publish(HIGH)
    circle.settle()
    with pytest.raises(DBAPIError, match="group_moves"), circle.bank.engine.begin() as connection:
        connection.execute(text("DELETE FROM group_moves"))
    circle.bank.wait(2000)
    erase_entity(circle.bank.context, "customer", "ada", tmp_path / "register")
    with Session(circle.bank.engine) as session:
        assert session.scalars(select(GroupMember)).all() == []
        assert session.scalars(select(GroupMove)).all() == []
    assert circle.now().members == 0


def test_members_of_a_retired_group_leave_and_the_next_version_takes_its_place(circle: Circle) -> None:
    circle.publish(HIGH)
    circle.settle()
    circle.publish({"level": "in_force", "at_most": "low"})
    circle.settle()
    assert circle.members() == {"bo"}
    assert sorted(circle.events()[1:]) == [("entered", "bo"), ("left", "ada")]
    circle.retire(number=2)
    assert circle.members() == {"bo"}
    circle.settle()
    assert circle.members() == set()
    assert circle.now().active is None
    (last, *_) = list_moves(circle.context(), "watched", Part(1), with_aml=True)
    assert (last.external_id, last.entered, last.version) == ("bo", False, None)


@pytest.mark.postgresql
def test_a_fact_about_a_linked_one_and_a_new_list_are_seen_at_once(circle: Circle) -> None:
    context = circle.bank.context
    define_type(context, "customer", {}, links={"household": "shared"})
    put_links(context, "customer", [LinkRow("ada", "household", "H1"), LinkRow("bo", "household", "H1")])
    put_list_version(context, "sunny", 0, ("ES",), "Sunny places", "our own")
    fraud = {"linked": {"by": "household", "any": {"tag": "fraud", "is": "present"}}, "equals": True}
    circle.publish(fraud, "near-fraud", links={"household": {"kind": "shared"}})
    circle.publish({"field": "country", "in_list": "sunny"}, "sunny")
    circle.settle()
    assert (circle.members("near-fraud"), circle.members("sunny")) == (set(), set())
    set_tag(context, "customer", "bo", "fraud")
    circle.settle()
    assert circle.members("near-fraud") == {"ada"}
    put_list_version(circle.bank.context, "sunny", circle.bank.now, ("ES", "NO"), "Sunny places", "our own")
    circle.settle()
    assert circle.members("sunny") == {"bo"}


def test_sizes_are_counted_once_a_day_and_no_day_is_invented(circle: Circle) -> None:
    circle.publish(HIGH)
    circle.settle()
    engine, bank = circle.bank.engine, circle.bank
    assert count_sizes(engine, bank.now) == 1
    assert count_sizes(engine, bank.now) == 0
    bank.put("bo", country="IR")
    circle.settle()
    bank.wait(2)
    assert count_sizes(engine, bank.now) == 1
    sizes = sizes_of(circle.context(), "watched", with_aml=True)
    assert [(each.day, each.members) for each in sizes] == [("2026-11-20", 1), ("2026-11-22", 2)]


def test_whether_groups_have_settled_is_asked_once_a_type(circle: Circle) -> None:
    for name in ("first", "second", "third"):
        circle.publish(HIGH, name)
    circle.settle()
    with statements(circle.bank.engine) as asked:
        assert count_sizes(circle.bank.engine, circle.bank.now) == 3
    (ask,) = (each for each in asked if "FROM due_marks" in each)
    assert "named_groups" not in ask, "it would be asked of each group"


def test_a_group_is_counted_once_it_has_settled(circle: Circle) -> None:
    engine, bank = circle.bank.engine, circle.bank
    circle.publish(HIGH)
    assert count_sizes(engine, bank.now) == 0
    assert sizes_of(circle.context(), "watched", with_aml=True) == ()
    while advance_markings(engine, bank.now):
        pass
    assert count_sizes(engine, bank.now) == 0  # all are marked, and nobody was looked at
    circle.settle()
    assert count_sizes(engine, bank.now) == 1
    bank.wait(1)
    circle.publish({"level": "in_force", "at_most": "high"})
    assert count_sizes(engine, bank.now) == 0
    circle.settle()
    assert count_sizes(engine, bank.now) == 1
    bank.wait(1)
    circle.retire(number=2)
    assert count_sizes(engine, bank.now) == 0
    circle.settle()
    assert count_sizes(engine, bank.now) == 1
    assert [each.members for each in sizes_of(circle.context(), "watched", with_aml=True)] == [1, 2, 0]


def test_who_may_see_no_levels_sees_no_group_that_was_made_against_money_laundering(circle: Circle) -> None:
    circle.publish(HIGH)
    circle.publish(WORTH, "worth", purpose="commercial")
    circle.value("ada", 5.0)
    circle.settle()
    context = circle.context()
    assert [each.name for each in groups_of_entity(context, "customer", "ada", with_aml=True)] == ["watched", "worth"]
    assert [each.name for each in groups_of_entity(context, "customer", "ada", with_aml=False)] == ["worth"]
    assert [each.external_id for each in list_members(context, "worth", WHOLE, with_aml=False)] == ["ada"]
    for ask in (list_members, list_moves):
        with pytest.raises(NotFoundError):
            ask(context, "watched", WHOLE, with_aml=False)
    with pytest.raises(NotFoundError):
        sizes_of(context, "watched", with_aml=False)
    for name, with_aml, why in (
        ("wroth", False, "there is no group 'wroth'; perhaps worth was meant"),
        ("wacthed", False, "there is no group 'wacthed'"),
        ("wacthed", True, "there is no group 'wacthed'; perhaps watched was meant"),
    ):
        with pytest.raises(NotFoundError, match=f"^{why}$"):
            sizes_of(context, name, with_aml=with_aml)
