"""The queue across its sources: one order, pages by key, filters, and the statements' plans."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.store.queue.items import QueueOrder
from fivefold.usecases.accounts.organisations import add_member, set_roles
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.queue.items import (
    QueueFilters,
    change_item,
    count_items,
    key_of,
    list_items,
    next_item,
    read_item,
)
from fivefold.usecases.queue.views import save_view
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.depth import some
from tests.store.plans import plan_of, statements
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank

NOW = 1_800_000_000_000_000


@pytest.fixture
def ours(engine: Engine) -> Context:
    """One item of every kind but a change, of seven customers; the present is fixed."""
    number = platforms.organisation(engine, "bank")
    context = Context(engine, Actor(number, "cli:test"), lambda: NOW)
    put_entities(context, "customer", [EntityRow(f"c{place}") for place in range(8)])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM due_marks"))
        ids = dict(connection.execute(text("SELECT external_id, id FROM entities ORDER BY id")).all())
        kind = connection.execute(text("SELECT min(type_id) FROM entities")).scalar_one()

        def insert(table: str, **values: object) -> None:
            names = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)

        of = {"organisation_id": number}
        standing = {"type_id": kind, "number": 1, "source": "rules", "hard_floor": 0, "level_since_us": 0}
        mark = {"type_id": kind, "revision": 3, "priority": 0, "reasons": 0, "attempts": 0}
        for place, ago in ((0, 1), (1, 9), (2, 40)):
            at = {"at_us": NOW - ago * DAY_US, "from_level": 1, "to_level": 2, "source": "rules"}
            insert("transitions", entity_id=ids[f"c{place}"], number=2, **of, **at)
            insert(
                "standings", entity_id=ids[f"c{place}"], assessed_us=NOW, status="assessed", level=2, **of, **standing
            )
        failed = {"status": "unclassified", "level": None, "assessed_us": NOW - 5}
        insert("standings", entity_id=ids["c3"], **failed, **of, **standing)
        ahead = {"status": "assessed", "level": 1, "assessed_us": NOW * 2}
        insert("standings", entity_id=ids["c4"], **ahead, **of, **standing)
        late, quarantined = NOW - 3 * DAY_US, {"quarantined": True, "error": "out of memory"}
        insert("due_marks", entity_id=ids["c5"], due_us=late, **of, **{**mark, **quarantined})
        insert("due_marks", entity_id=ids["c6"], due_us=late, quarantined=False, **of, **mark)
        insert("due_marks", entity_id=ids["c7"], due_us=NOW - 5, quarantined=False, **of, **mark)
        asked = {"level": 3, "reason": "why", "state": "requested", "requested_by": "x", "requested_us": NOW - DAY_US}
        contested = {"number": 1, "words": "no", "received_us": NOW - 30 * DAY_US, "opened_by": "x", "state": "open"}
        of_record = {"opened_us": NOW - DAY_US // 2, "due_us": NOW + 7, "record_sha256": "0" * 64}
        insert("challenges", id=1, entity_id=ids["c2"], **of, **contested, **of_record)
        insert("overrides", id=1, entity_id=ids["c7"], **of, **asked)
    return context


def names(context: Context, role: Role = Role.ADMIN, **filters: Any) -> list[str]:
    return [str(item.external_id) for item in list_items(context, role, QueueFilters(**filters))]


@pytest.mark.postgresql
def test_what_is_due_first_stands_first_whatever_its_kind(ours: Context) -> None:
    assert names(ours) == ["c1", "c6", "c5", "c2", "c3", "c7", "c0", "c4"]
    assert names(ours, order=QueueOrder.NEWEST) == ["c4", "c3", "c2", "c0", "c7", "c6", "c5", "c1"]
    assert names(ours, Role.INVESTIGATOR) == ["c1", "c6", "c2", "c7", "c0"]


@pytest.mark.postgresql
@pytest.mark.parametrize("order", list(QueueOrder))
@pytest.mark.parametrize("rows", some([2, 1, 3], 3))
def test_pages_of_any_length_give_every_item_once(ours: Context, order: QueueOrder, rows: int) -> None:
    filters = QueueFilters(order=order)
    whole = list_items(ours, Role.ADMIN, filters)
    assert list(every_row(lambda part: list_items(ours, Role.ADMIN, filters, part), rows)) == list(whole)
    place = None
    for item in whole:
        found = next_item(ours, Role.ADMIN, filters, place)
        assert found is not None
        assert found == (item, key_of(item, order))
        place = found[1]
    assert next_item(ours, Role.ADMIN, filters, place) is None


@pytest.mark.postgresql
def test_items_are_counted_by_when_they_are_due(ours: Context) -> None:
    counts = {count.kind: (count.overdue, count.today, count.later) for count in count_items(ours, Role.ADMIN)}
    assert counts == {
        "override": (0, 1, 0),
        **dict.fromkeys(("change", "policy", "group", "ruleset", "flow", "token", "validation", "material"), (0, 0, 0)),
        "challenge": (0, 1, 0),
        "question": (0, 0, 0),
        "flow_review": (0, 0, 0),
        "failure": (0, 1, 1),
        "quarantine": (1, 0, 0),
        "rise": (1, 0, 1),
        "review": (1, 0, 0),
    }


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"kinds": ("rise",)}, ["c1", "c0"]),
        ({"kinds": ("rise", "review"), "since_us": NOW - 4 * DAY_US}, ["c6", "c0"]),
        ({"levels": ("medium",)}, ["c1", "c2", "c0"]),
        ({"kinds": ("challenge",), "since_us": NOW - DAY_US}, ["c2"]),
        ({"kinds": ("challenge",), "since_us": NOW}, []),
        ({"entity_type": "customer", "kinds": ("failure",)}, ["c3", "c4"]),
        ({"assigned": "unassigned", "kinds": ("override",)}, ["c7"]),
    ],
)
def test_filters(ours: Context, filters: dict[str, Any], found: list[str]) -> None:
    assert names(ours, **filters) == found


@pytest.mark.postgresql
def test_an_item_is_assigned_against_the_revision_that_was_seen(ours: Context) -> None:
    ana, left = (add_member(ours, name, ["investigator"]).id for name in ("ana", "left"))
    own = Context(ours.engine, Actor(ours.organisation_id, f"member:{ana}"), ours.clock)
    item = list_items(ours, Role.ADMIN, QueueFilters(kinds=("rise",)))[0]
    changed = change_item(own, Role.INVESTIGATOR, item.item, 0, assigned_to=ana)
    assert changed is not None
    assert (changed.assigned_name, changed.revision, changed.has_left) == ("ana", 1, False)
    with pytest.raises(ConflictError, match=r"another person changed item .* assigned to ana now"):
        change_item(own, Role.INVESTIGATOR, item.item, 0, assigned_to=None)
    assert names(own, assigned="mine") == ["c1"]
    assert names(ours, assigned=str(left)) == []
    assert change_item(own, Role.INVESTIGATOR, item.item, 1, assigned_to=None, done=True) is None
    assert read_item(own, Role.INVESTIGATOR, item.item) is None
    with pytest.raises(ConflictError, match="has left the queue"):
        change_item(own, Role.INVESTIGATOR, item.item, 2, assigned_to=ana)
    assert names(own, kinds=("rise",)) == ["c0"]


def test_what_cannot_be_done_with_an_item_is_refused(ours: Context) -> None:
    ana = add_member(ours, "ana", ["investigator"]).id
    rise, failure = (list_items(ours, Role.ADMIN, QueueFilters(kinds=(kind,)))[0].item for kind in ("rise", "failure"))
    with pytest.raises(ConfigError, match="ana is investigator, and does not see items of the kind failure"):
        change_item(ours, Role.ADMIN, failure, 0, assigned_to=ana)
    with pytest.raises(ConfigError, match="leaves the queue only when it is dealt with"):
        change_item(ours, Role.ADMIN, failure, 0, assigned_to=None, done=True)
    with pytest.raises(NotFoundError, match="there is no item"):
        change_item(ours, Role.INVESTIGATOR, failure, 0, assigned_to=None)
    with pytest.raises(NotFoundError, match="there is no member 99"):
        change_item(ours, Role.ADMIN, rise, 0, assigned_to=99)
    with pytest.raises(ConfigError, match="is not a member, so nothing can be assigned to them"):
        names(ours, assigned="mine")
    with pytest.raises(ConfigError, match="after must be"):
        list_items(ours, Role.ADMIN, part=Part(1, (1, 99, 1, 1)))
    list_items(ours, Role.ADMIN, part=Part(1, (-(2**63), 0, 1, 1)))  # no number that a database does not have
    other = Context(ours.engine, Actor(platforms.organisation(ours.engine, "other"), "cli:test"), ours.clock)
    with pytest.raises(NotFoundError, match="there is no item"):
        change_item(other, Role.ADMIN, rise, 0, assigned_to=None)
    assert names(other) == []


@pytest.mark.postgresql
def test_a_rise_that_was_over_does_not_wait_again_with_the_next_one(ours: Context) -> None:
    first, other = (item.item for item in list_items(ours, Role.ADMIN, QueueFilters(kinds=("rise",))))
    entity = other.split("-")[1]
    columns = "entity_id, number, organisation_id, at_us, from_level, to_level, source"
    for number, before, after, waiting in ((3, 2, 1, []), (4, 1, 2, [f"rise-{entity}-4"])):
        place = f"{entity}, {number}, {ours.organisation_id}, {NOW - DAY_US + number}, {before}, {after}, 'rules'"
        with ours.engine.begin() as connection:
            connection.execute(text(f"INSERT INTO transitions ({columns}) VALUES ({place})"))
            connection.execute(text(f"UPDATE standings SET level = {after} WHERE entity_id = {entity}"))
        waits = [item.item for item in list_items(ours, Role.ADMIN, QueueFilters(kinds=("rise",)))]
        assert waits == [first, *waiting]


@pytest.mark.postgresql
@pytest.mark.parametrize("end", ["revoked", "by itself"])
def test_a_rise_by_the_rules_waits_again_once_the_override_below_it_is_over(engine: Engine, end: str) -> None:
    """An approver alone may end an override below what the rules say, so nobody else would look at the rise."""
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))

    def rises() -> list[str]:
        return [item.item for item in list_items(bank.context, Role.ADMIN, QueueFilters(kinds=("rise",)))]

    bank.put("a", country="NO")
    bank.settle()
    bank.put("a", country="IR")
    bank.settle()
    assert (bank.level(), rises()) == (3, ["rise-1-2"])
    override = bank.override("a", 1, None if end == "revoked" else bank.now + DAY_US)
    bank.settle()
    assert (bank.level(), rises()) == (1, [])
    bank.wait(days=2)
    if end == "revoked":
        bank.revoke("a", override)
    bank.settle()
    assert (bank.level(), rises()) == (3, ["rise-1-4"])


@pytest.mark.postgresql
def test_a_rise_that_two_people_decided_does_not_wait(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="NO")
    bank.settle()
    bank.override("a", 2)
    bank.settle()
    bank.override("a", 3)
    bank.settle()
    assert bank.level() == 3
    assert not list_items(bank.context, Role.ADMIN, QueueFilters(kinds=("rise",)))


@pytest.mark.postgresql
def test_rises_are_read_by_their_index(ours: Context) -> None:
    with statements(ours.engine) as asked:
        list_items(ours, Role.ADMIN, QueueFilters(kinds=("rise",)), Part(10))
    (rises,) = [each for each in asked if "to_level > from_level" in str(each)]
    plan = plan_of(ours.engine, rises)
    assert "ix_transitions_" in plan, plan
    later = "number>?" if ours.engine.dialect.name == "sqlite" else "number > "
    assert later in plan, f"what came after a rise is looked for by its key: {plan}"


@pytest.mark.postgresql
def test_what_a_member_sees_no_more_is_among_the_unassigned(ours: Context) -> None:
    ana = add_member(ours, "ana", ["investigator", "commercial"]).id
    for kind in ("rise", "override"):
        item = list_items(ours, Role.ADMIN, QueueFilters(kinds=(kind,)))[0]
        change_item(ours, Role.ADMIN, item.item, 0, assigned_to=ana)
    filters = QueueFilters(assigned="unassigned", kinds=("rise", "override"))
    assert names(ours, assigned="unassigned", kinds=("rise", "override")) == ["c0"]
    set_roles(ours, ana, ["publisher"])
    assert names(ours, assigned="unassigned", kinds=("rise", "override")) == ["c0"], "a publisher sees them too"
    set_roles(ours, ana, ["commercial"])
    items = list_items(ours, Role.ADMIN, filters)
    assert [(item.external_id, item.assigned_to, item.sees_no_more) for item in items] == [
        ("c1", ana, True),
        ("c7", ana, True),
        ("c0", None, False),
    ]
    assert sum(count.total for count in count_items(ours, Role.ADMIN, filters)) == 3


@pytest.mark.parametrize("name", ["", " mine", "mi\x1b[2Jne", "mi\nne", "\u202emine", "mi\u200bne", "..", "\ud800"])
def test_a_filter_has_no_name_that_looks_like_another_one(ours: Context, name: str) -> None:
    member = add_member(ours, "ana", ["investigator"]).id
    context = Context(ours.engine, Actor(ours.organisation_id, f"member:{member}"))
    assert save_view(context, Role.INVESTIGATOR, "mine", {"kind": "rise"}, shared=True).name == "mine"
    with pytest.raises(ConfigError, match="cannot be stored; it must have 1 to "):
        save_view(context, Role.INVESTIGATOR, name, {"kind": "rise"}, shared=True)


@pytest.mark.postgresql
@pytest.mark.parametrize("assigned", ["", "unassigned"])
def test_some_of_many_late_reviews_are_read_in_their_order_without_a_sort(ours: Context, assigned: str) -> None:
    put_entities(ours, "customer", [EntityRow(f"late{place}") for place in range(1500)])
    late = text("UPDATE due_marks SET due_us = :late_us - entity_id, priority = 0")
    with ours.engine.begin() as connection:
        connection.execute(late, {"late_us": NOW - 3 * DAY_US})
    filters = QueueFilters(kinds=("review",), assigned=assigned)
    with statements(ours.engine) as asked:
        assert len(list_items(ours, Role.ADMIN, filters, Part(10))) == 10
    plans = []
    with ours.engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        for table in () if is_sqlite else ("due_marks", "entities", "queue_work"):
            connection.exec_driver_sql(f"ANALYZE {table}")
        for statement, values in asked:
            if "due_marks.priority" in statement:
                explained = f"EXPLAIN {'QUERY PLAN ' * is_sqlite}{statement}"
                plans.append("\n".join(str(row[-1]) for row in connection.exec_driver_sql(explained, values)))
    assert "ix_due_marks_" in plans[0], plans[0]
    assert ("FOR ORDER BY" not in plans[0]) if is_sqlite else ("Presorted Key: due_marks.due_us" in plans[0]), plans[0]
