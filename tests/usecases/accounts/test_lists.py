"""Lists: versions are added, never changed, and touch everyone assessed by a ruleset that reads the list."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError
from fivefold.risk.facts.portfolio import ListVersion, NamedList
from fivefold.store.levels.assessment_queue import BULK, Reason
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.store.tables.entities import Entity, ListVersionRow
from fivefold.store.tables.levels import DueMark
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.list_members import member_changes
from fivefold.usecases.accounts.lists import ListLine, ListPut, list_lists, named_lists
from fivefold.usecases.accounts.settings import SettingsChange
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes.asks import change_settings
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list, put_list_version, switch_family
from tests.usecases.governed import (
    DAY,
    NOW,
    add_entities,
    audited,
    document,
    due_reasons,
    founded,
    organisation,
    people,
    rows_of,
    together,
)

FILE = """\
list: watched
title: Whom we watch
source: our own
versions:
  - {since: 2024-01-01, members: [IR]}
  - {since: 2025-01-01, members: [IR, MM], source: a letter}
"""


@pytest.fixture
@filled_once
def ana(engine: Engine) -> Actor:
    return founded(engine)[0]


def put(engine: Engine, actor: Actor, since_us: int = 0, members: Any = ("IR",), name: str = "watched") -> ListPut:
    return put_list_version(Context(engine, actor).at(NOW), name, since_us, members, "Whom we watch", "our own")


def in_force(engine: Engine, actor: Actor, text: str = "") -> None:
    """A ruleset that reads the list decides."""
    saved = save_draft(Context(engine, actor), text or document())
    commit(Context(engine, actor), saved.family, saved.revision, "as it is")
    with Session(engine) as session, session.begin():
        session.execute(update(Family).values(active_version_id=1))


def test_a_list_grows_by_versions(engine: Engine, ana: Actor) -> None:
    assert put(engine, ana, 5) == ListPut(
        (ListLine(name="watched", title="Whom we watch", source="our own", since_us=5, members=1),), 0
    )
    put(engine, ana, 9, ["IR", "MM"])
    put_list_version(Context(engine, ana).at(NOW), "another", 1, [], "Nobody yet", "ours")
    with Session(engine) as session:
        found = named_lists(session, ana.organisation_id)
    first, second = (
        ListVersion(since=since, members=members, source="our own")
        for since, members in ((5, ("IR",)), (9, ("IR", "MM")))
    )
    assert found == {
        "another": NamedList(
            name="another",
            title="Nobody yet",
            source="ours",
            versions=(ListVersion(since=1, members=(), source="ours"),),
        ),
        "watched": NamedList(name="watched", title="Whom we watch", source="our own", versions=(first, second)),
    }
    assert [(line.name, line.since_us, line.members) for line in list_lists(Context(engine, ana))] == [
        ("another", 1, 0), ("watched", 5, 1), ("watched", 9, 2),
    ]  # fmt: skip


def test_a_version_that_a_clock_ahead_dated_names_the_way_out(engine: Engine, ana: Actor) -> None:
    put(engine, ana, 4_000_000_000_000_000)
    with pytest.raises(ConflictError, match="put the list under another name, and let the rulesets read that one"):
        put(engine, ana, 9, ["KP"])


@pytest.mark.parametrize("since", [9, 8, 0, -1])
def test_a_version_is_later_than_all_others(engine: Engine, ana: Actor, since: int) -> None:
    put(engine, ana, 5)
    put(engine, ana, 9)
    with pytest.raises(ConflictError, match="the list watched has a version since 1970"):
        put(engine, ana, since, ["KP"])
    assert len(rows_of(engine, ListVersionRow)) == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "Watched"}, "list Watched: name is .*lower-case"),
        ({"name": ""}, "list : name is .*lower-case"),
        ({"members": "IR"}, "members of the list watched must be a list of text"),
        ({"members": ["IR", 5]}, "must be a list of text"),
        ({"members": ["IR", ""]}, "list watched: '' cannot be stored"),
        ({"members": ["a\0b"]}, r"has the control character U\+0000; it must have none"),
        ({"members": ["IR", "KP "]}, "list watched: 'KP ' has white space around it; it must have none"),
        ({"members": ["\u00a0KP"]}, "has white space around it; it must have none"),
        ({"members": ["\ud800"]}, "cannot be stored"),
        ({"title": ""}, "list watched: title must not be empty"),
        ({"source": " "}, "source must not be empty"),
        ({"since_us": 10**20}, "since_us is 100000000000000000000; it must be a moment"),
        ({"since_us": "soon"}, "since_us is 'soon'; it must be a moment"),
    ],
)
def test_what_is_no_version_is_refused(engine: Engine, ana: Actor, given: dict[str, Any], told: str) -> None:
    whole = {"name": "watched", "since_us": 0, "members": ["IR"], "title": "t", "source": "s"} | given
    with pytest.raises(ConfigError, match=told):
        put_list_version(Context(engine, ana), **whole)
    assert rows_of(engine, ListVersionRow) == []


def test_a_member_counts_once(engine: Engine, ana: Actor) -> None:
    put(engine, ana, 0, ["IR", "KP", "IR"])
    assert rows_of(engine, ListVersionRow)[0]["members"] == ["IR", "KP"]


def test_a_file_brings_all_its_versions_and_later_only_the_new_ones(engine: Engine, ana: Actor) -> None:
    first = put_list(Context(engine, ana).at(NOW), FILE)
    assert [line.members for line in first.versions] == [1, 2]
    assert [line.source for line in first.versions] == ["our own", "a letter"]
    before = len(rows_of(engine, AuditEntry))
    assert put_list(Context(engine, ana).at(NOW), FILE) == ListPut((), 0)
    assert len(rows_of(engine, AuditEntry)) == before, "nothing was done"
    longer = FILE + "  - {since: 2026-01-01, members: [IR, MM, KP]}\n"
    assert [line.members for line in put_list(Context(engine, ana).at(NOW), longer).versions] == [3]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("members: [IR, MM]", "members: [IR]", "since 2025-01-01 with other members; a version is never changed"),
        ("  - {since: 2025", "  - {since: 2024-06-01, members: [X]}\n  - {since: 2025", "another one must be later"),
    ],
)
def test_a_file_does_not_change_what_was(engine: Engine, ana: Actor, old: str, new: str, told: str) -> None:
    put_list(Context(engine, ana), FILE)
    with pytest.raises(ConflictError, match=told):
        put_list(Context(engine, ana), FILE.replace(old, new))
    assert len(rows_of(engine, ListVersionRow)) == 2


def test_a_file_that_is_no_list_is_refused(engine: Engine, ana: Actor) -> None:
    with pytest.raises(InvalidRulesetError, match="each later than the one before"):
        put_list(Context(engine, ana), FILE.replace("2025", "2023"))


def test_lists_belong_to_one_organisation(engine: Engine, ana: Actor) -> None:
    other = people(organisation(engine, "other"))[0]
    put(engine, ana, 5)
    put(engine, other, 3, ["KP"])
    assert [line.since_us for line in list_lists(Context(engine, other))] == [3]
    with Session(engine) as session:
        assert named_lists(session, ana.organisation_id)["watched"].versions[0].members == ("IR",)


def test_everyone_assessed_by_a_ruleset_that_reads_the_list_is_touched(engine: Engine, ana: Actor) -> None:
    put(engine, ana)
    in_force(engine, ana)
    define_type(Context(engine, ana), "company", {})
    mine = add_entities(engine, ana, ["a", "b", "erased"])
    add_entities(engine, ana, ["x"], "company")
    add_entities(engine, founded(engine, "other")[0], ["y"])
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.id == mine[2]).values(erased_us=NOW))
    assert put(engine, ana, 5, ["KP"]).touched == 2
    assert put(engine, ana, 6, ["KP", "IR"]).touched == 2, "whoever is due for it already is touched as well"
    assert due_reasons(engine) == dict.fromkeys(mine[:2], Reason.LIST)
    assert {(row["due_us"], row["priority"]) for row in rows_of(engine, DueMark)} == {(NOW, BULK)}


def test_a_version_that_is_not_in_force_yet_makes_due_when_it_is(engine: Engine, ana: Actor) -> None:
    put(engine, ana)
    in_force(engine, ana)
    add_entities(engine, ana, ["a"])
    put(engine, ana, NOW + DAY, ["KP"])
    assert [row["due_us"] for row in rows_of(engine, DueMark)] == [NOW + DAY]


def not_read(engine: Engine, actor: Actor) -> None:
    put(engine, actor, 5, ["KP"], "other")


def off(engine: Engine, actor: Actor) -> None:
    switch_family(Context(engine, actor), "retail", False, "why")
    put(engine, actor, 5, ["KP"])


def only_drafted(engine: Engine, actor: Actor) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(Family).values(active_version_id=None))
    put(engine, actor, 5, ["KP"])


@pytest.mark.parametrize("change", [not_read, off, only_drafted])
def test_nobody_is_touched_where_no_ruleset_in_force_reads_it(
    engine: Engine, ana: Actor, change: Callable[[Engine, Actor], None]
) -> None:
    put(engine, ana)
    in_force(engine, ana)
    add_entities(engine, ana, ["a"])
    change(engine, ana)
    assert due_reasons(engine) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("levels:", "applies_to: {not: {field: country, in_list: elsewhere}}\nlevels:"),
        ("{at_least: 100000}", "{all: [{at_least: 9}, {not: {field: country, in_list: elsewhere}}]}"),
        ("{equals: KP}", "{fuzzy: {list: elsewhere, scorer: ratio, at_least: 90}}"),
    ],
)
def test_wherever_a_ruleset_reads_a_list_it_is_touched(engine: Engine, ana: Actor, old: str, new: str) -> None:
    put(engine, ana)
    put(engine, ana, name="elsewhere", members=["XX"])
    text = document().replace(old, new)
    text = text[: text.index("examples:")].replace("levels:", "coverage: {rules: 0, cases: 0}\nlevels:")
    change_settings(Context(engine, ana), SettingsChange(minimum_coverage_percent=0))
    in_force(engine, ana, text)
    add_entities(engine, ana, ["a"])
    assert put(engine, ana, 5, ["YY"], "elsewhere").touched == 1


def test_members_are_in_the_audit_log_by_a_digest_alone(engine: Engine, ana: Actor) -> None:
    before = len(rows_of(engine, AuditEntry))
    put(engine, ana, 5, ["Zoe of the watch list"])
    written = [row["created_us"] for row in rows_of(engine, ListVersionRow)]
    details = {"since_us": [5], "created_us": written, "touched": 0}
    assert audited(engine)[before:] == [("member:1", "list.put", "watched", details)]
    assert "Zoe" not in repr([rows_of(engine, AuditEntry), rows_of(engine, AuditValues)])
    assert verify(engine, print).entries == before + 1


def test_of_two_who_put_a_version_at_once_the_earlier_comes_first_or_is_refused(kind: str, tmp_path: Path) -> None:
    made = together(
        kind,
        tmp_path,
        lambda engine: founded(engine)[0],
        *(lambda engine, actor, since=since: put(engine, actor, since) for since in (3, 4, 5, 5)),
    )
    done = [each.versions[0].since_us for each in made if isinstance(each, ListPut)]
    assert 5 in done
    assert len(done) == len(set(done))
    assert all(isinstance(each, ListPut | ConflictError) for each in made), made


def test_a_list_with_too_many_members_is_told_so(engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came as JSON, and was said to be YAML with too many names and values."""
    monkeypatch.setattr("fivefold.usecases.accounts.lists.MOST_MEMBERS", 2)
    assert put(engine, ana, 0, ["IR", "KP"]).versions
    with pytest.raises(ConfigError, match=r"the list watched has 3 members; a version may have 2$"):
        put(engine, ana, DAY, ["IR", "KP", "MM"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *[("C-1-23", "C-12-3"), ("10.5", "105"), ("-5", "5"), ("A+", "A-"), ("1 23", "12 3"), ("10²", "102")],
        *[("≠", "="), ("12 -3", "12- 3"), ("A/S", "AS")],
    ],
)
def test_another_member_is_not_one_spelled_otherwise(before: str, after: str) -> None:
    assert [each.change.value for each in member_changes([before], [after])] == ["removed", "added"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("by", "BY"), ("Zoë", "ZOE\u0308"), ("Łódź", "lodz"), ("New  York", "NewYork"), ("AB 12", "ab12")],
)
def test_a_member_with_another_case_accent_or_white_space_is_spelled_otherwise(before: str, after: str) -> None:
    assert [each.change.value for each in member_changes([before], [after])] == ["changed"]
