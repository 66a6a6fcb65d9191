"""Overrides: two people, a reason, an end that lies ahead, never below a floor, never beyond the cap."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.levels.assessment_queue import EVENT, Reason
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark, OverrideRow, Standing
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.levels.overrides import (
    OverrideLine,
    approve_override,
    cap_of,
    overrides_of,
    read_override,
    refuse_override,
    request_override,
    state_of,
)
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.at_once import change_settings, revoke_override
from tests.usecases.governed import (
    DAY,
    NOW,
    add_entities,
    audited,
    document,
    due_reasons,
    founded,
    rows_of,
    stand,
    together,
)

People = tuple[Actor, Actor, Actor]


def prepared(engine: Engine, size: int = 20) -> People:
    """Customers c0, c1, ... that all stand at high; Ana asks, Ben approves."""
    three = founded(engine)
    save_draft(Context(engine, three[0]), document())
    for entity_id in add_entities(engine, three[0], [f"c{number}" for number in range(size)]):
        stand(engine, entity_id, 3)
    return three


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    return prepared(engine)


def asked(engine: Engine, actor: Actor, name: str = "c0", level: str = "low", **more: Any) -> OverrideLine:
    return request_override(Context(engine, actor).at(NOW), "customer", name, level, "we know them", **more)


def approved(engine: Engine, three: People, name: str = "c0", level: str = "low", **more: Any) -> OverrideLine:
    made = asked(engine, three[0], name, level, **more)
    return approve_override(Context(engine, three[1]).at(NOW), made.id)


def test_a_request_changes_nothing_but_that_it_is_there(engine: Engine, three: People) -> None:
    made = asked(engine, three[0], until_us=NOW + DAY)
    assert (made.state, made.level, made.rules_level, made.present_level) == ("requested", "low", "high", "high")
    assert (made.entity_type, made.external_id, made.reason) == ("customer", "c0", "we know them")
    assert (made.requested_by, made.requested_us, made.until_us) == ("member:1", NOW, NOW + DAY)
    assert (made.decided_by, made.revoked_by) == (None, None)
    assert due_reasons(engine) == {}


def test_another_person_approves_and_the_worker_is_told(engine: Engine, three: People) -> None:
    made = asked(engine, three[0])
    found = approve_override(Context(engine, three[1]).at(NOW + 5), made.id, "seen the papers")
    assert (found.state, found.decided_by, found.decided_us, found.decision_reason) == (
        "live", "member:2", NOW + 5, "seen the papers",
    )  # fmt: skip
    (mark,) = rows_of(engine, DueMark)
    assert (mark["due_us"], mark["priority"], Reason(mark["reasons"])) == (NOW + 5, EVENT, Reason.OVERRIDE)


def test_the_same_request_of_one_person_waits_once_until_it_is_decided(engine: Engine, three: People) -> None:
    def ask(actor: Actor = three[0], until_us: int = NOW + DAY, **more: Any) -> int:
        return asked(engine, actor, until_us=until_us, **more).id

    first = ask()
    for number in range(11):
        asked(engine, three[0], until_us=NOW + DAY + 1 + number)
    assert ask() == first, "however many were requested after it"
    others = {ask(three[1]), ask(level="medium"), ask(name="c1"), ask(until_us=NOW + 2 * DAY)}
    assert len(others - {first}) == 4
    refuse_override(Context(engine, three[2]).at(NOW), first, "no papers")
    assert ask() != first


def test_the_same_request_waits_once_where_it_comes_several_times_at_once(kind: str, tmp_path: Path) -> None:
    work = [lambda engine, three: asked(engine, three[0])] * 4
    made = together(kind, tmp_path, prepared, *work)
    assert [each.id for each in made] == [1] * 4


@pytest.mark.parametrize("decide", [approve_override, refuse_override])
def test_nobody_decides_on_what_they_asked_for(engine: Engine, three: People, decide: Any) -> None:
    made = asked(engine, three[0])
    again = Actor(three[0].organisation_id, "member:1")
    with pytest.raises(ConflictError, match=f"member:1 asked for override {made.id}: another person decides"):
        decide(Context(engine, again), made.id, "why")
    assert overrides_of(Context(engine, three[0]))[0].state == "requested"


def test_a_request_is_decided_once(engine: Engine, three: People) -> None:
    made, other = asked(engine, three[0]), asked(engine, three[0], "c1")
    refused = refuse_override(Context(engine, three[1]).at(NOW + 1), made.id, "no papers")
    assert (refused.state, refused.decided_by, refused.decision_reason) == ("refused", "member:2", "no papers")
    approve_override(Context(engine, three[1]), other.id)
    for number, state in ((made.id, "refused"), (other.id, "approved")):
        for decide in (approve_override, refuse_override):
            with pytest.raises(ConflictError, match=f"override {number} was {state} already"):
                decide(Context(engine, three[2]), number, "why")
    assert due_reasons(engine).keys() == {2}, "a refusal changes nothing"


def test_without_a_reason_nothing_is_asked_for_refused_or_revoked(engine: Engine, three: People) -> None:
    for reason in ("", " \n"):
        with pytest.raises(ConfigError, match="reason must say why"):
            request_override(Context(engine, three[0]), "customer", "c0", "low", reason)
    made = asked(engine, three[0])
    with pytest.raises(ConfigError, match="reason must say why"):
        refuse_override(Context(engine, three[1]), made.id, " ")
    approve_override(Context(engine, three[1]), made.id)
    with pytest.raises(ConfigError, match="reason must say why"):
        revoke_override(Context(engine, three[1]), made.id, "")


@pytest.mark.parametrize("until", [NOW, NOW - 1, 0, -5])
def test_an_end_in_the_past_is_refused(engine: Engine, three: People, until: int) -> None:
    with pytest.raises(ConflictError, match="which is past; the end of an override must lie ahead"):
        asked(engine, three[0], until_us=until)
    assert rows_of(engine, OverrideRow) == []


@pytest.mark.parametrize("until", ["2027-01-01", 1.5, True, 10**20])
def test_an_end_that_is_no_moment_is_refused(engine: Engine, three: People, until: Any) -> None:
    with pytest.raises(ConfigError, match=r"until_us is .*; it must be a moment in microseconds"):
        asked(engine, three[0], until_us=until)


def test_what_would_be_over_when_it_is_approved_is_refused(engine: Engine, three: People) -> None:
    made = asked(engine, three[0], until_us=NOW + DAY)
    with pytest.raises(ConflictError, match="which is past"):
        approve_override(Context(engine, three[1]).at(NOW + DAY), made.id)
    assert approve_override(Context(engine, three[1]).at(NOW + DAY - 1), made.id).state == "live"


def test_an_override_is_over_at_its_instant(engine: Engine, three: People) -> None:
    approved(engine, three, until_us=NOW + DAY)
    assert overrides_of(Context(engine, three[0]).at(NOW + DAY - 1))[0].state == "live"
    assert overrides_of(Context(engine, three[0]).at(NOW + DAY))[0].state == "expired"
    assert read_override(Context(engine, three[0]).at(NOW + DAY - 1), 1).state == "live"
    assert read_override(Context(engine, three[0]).at(NOW + DAY), 1).state == "expired"
    with pytest.raises(ConflictError, match="is expired; only one that holds can be revoked"):
        revoke_override(Context(engine, three[1]).at(NOW + DAY), 1, "why")


def test_only_levels_and_entities_that_are_there(engine: Engine, three: People) -> None:
    with pytest.raises(ConfigError, match="there is no level 'lowest'; there are low, medium, high"):
        asked(engine, three[0], level="lowest")
    with pytest.raises(NotFoundError, match="there is no customer 'nobody'"):
        asked(engine, three[0], "nobody")
    with pytest.raises(NotFoundError, match=r"^there is no entity type 'company'$"):
        request_override(Context(engine, three[0]), "company", "c0", "low", "why")


def test_who_was_erased_has_no_level_to_override(engine: Engine, three: People) -> None:
    made = asked(engine, three[0])
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).values(erased_us=NOW))
    with pytest.raises(NotFoundError, match="there is no customer 'c0'"):
        asked(engine, three[0])
    with pytest.raises(NotFoundError, match=f"there is no override {made.id}"):
        approve_override(Context(engine, three[1]), made.id)


def test_before_there_is_a_ruleset_no_level_means_anything(engine: Engine) -> None:
    three = founded(engine)
    add_entities(engine, three[0], ["c0"])
    with pytest.raises(ConflictError, match="there is no ruleset yet, so the levels may still change"):
        asked(engine, three[0])


def test_others_overrides_are_not_there(engine: Engine, three: People) -> None:
    other = founded(engine, "other")
    made = asked(engine, three[0])
    for act in (approve_override, refuse_override, revoke_override):
        with pytest.raises(NotFoundError, match=f"there is no override {made.id}"):
            act(Context(engine, other[1]), made.id, "why")
        with pytest.raises(NotFoundError, match="there is no override 99"):
            act(Context(engine, three[1]), 99, "why")
    assert read_override(Context(engine, three[2]).at(NOW), made.id) == made
    with pytest.raises(NotFoundError, match=f"there is no override {made.id}"):
        read_override(Context(engine, other[1]), made.id)
    assert overrides_of(Context(engine, other[0])) == []
    with pytest.raises(NotFoundError, match="there is no customer 'c0'"):
        overrides_of(Context(engine, other[0]), "customer", "c0")


def test_none_goes_below_a_live_floor(engine: Engine, three: People) -> None:
    stand(engine, 1, 3, hard_floor=2)
    told = "a floor keeps the level at medium or above; an override cannot go below it, to low"
    with pytest.raises(ConflictError, match=told):
        asked(engine, three[0])
    made = asked(engine, three[0], level="medium")
    stand(engine, 1, 3, hard_floor=3)
    with pytest.raises(ConflictError, match="a floor keeps the level at high or above"):
        approve_override(Context(engine, three[1]), made.id)
    stand(engine, 1, 3, hard_floor=2)
    assert approve_override(Context(engine, three[1]), made.id).below_floor is False
    stand(engine, 1, 3, hard_floor=3)
    assert overrides_of(Context(engine, three[0]))[0].below_floor is True, "a floor that came later wins, and it shows"


def test_a_newer_override_takes_the_place_of_the_older_one_visibly(engine: Engine, three: People) -> None:
    older = approved(engine, three, level="medium")
    newer = approved(engine, three, level="low")
    found = {line.id: line for line in overrides_of(Context(engine, three[0]), "customer", "c0")}
    assert found[newer.id].state == "live"
    assert (found[older.id].state, found[older.id].revoked_by, found[older.id].revoked_us) == (
        "revoked", "member:2", NOW,
    )  # fmt: skip
    assert found[older.id].revocation_reason == f"replaced by override {newer.id}"
    assert audited(engine)[-1][3]["replaced"] == [older.id]


def test_one_that_is_over_by_itself_is_not_replaced(engine: Engine, three: People) -> None:
    older = approved(engine, three, until_us=NOW + DAY)
    newer = request_override(Context(engine, three[0]).at(NOW + DAY), "customer", "c0", "low", "why")
    approve_override(Context(engine, three[1]).at(NOW + DAY), newer.id)
    states = {line.id: line.state for line in overrides_of(Context(engine, three[0]).at(NOW + DAY))}
    assert states == {older.id: "expired", newer.id: "live"}


def test_an_override_is_revoked_with_a_reason_and_the_worker_is_told(engine: Engine, three: People) -> None:
    made = approved(engine, three)
    with Session(engine) as session, session.begin():
        session.execute(update(DueMark).values(due_us=None, reasons=0))
    found = revoke_override(Context(engine, three[0]).at(NOW + 9), made.id, "they moved")
    assert (found.state, found.revoked_by, found.revoked_us, found.revocation_reason) == (
        "revoked", "member:1", NOW + 9, "they moved",
    )  # fmt: skip
    assert due_reasons(engine) == {1: Reason.OVERRIDE}
    with pytest.raises(ConflictError, match="is revoked; only one that holds can be revoked"):
        revoke_override(Context(engine, three[0]), made.id, "again")
    with pytest.raises(ConflictError, match="is requested; only one that holds can be revoked"):
        revoke_override(Context(engine, three[1]), asked(engine, three[0]).id, "why")


def test_only_so_much_of_the_portfolio_stands_below_what_the_rules_say(engine: Engine, three: People) -> None:
    """Ten percent of twenty."""
    for name in ("c0", "c1"):
        approved(engine, three, name)
    third = asked(engine, three[0], "c2")
    told = "3 of 20 entities would stand below what the rules say; at most 10 % may"
    with pytest.raises(ConflictError, match=told):
        approve_override(Context(engine, three[1]).at(NOW), third.id)
    cap = cap_of(Context(engine, three[0]).at(NOW))
    assert (cap.below, cap.with_level, cap.percent) == (2, 20, 10)
    change_settings(Context(engine, three[0]), override_cap_percent=15)
    assert approve_override(Context(engine, three[1]).at(NOW), third.id).state == "live"


def test_only_what_is_below_the_rules_counts_and_is_refused(engine: Engine, three: People) -> None:
    change_settings(Context(engine, three[0]), override_cap_percent=0)
    for name in ("c0", "c1", "c2"):
        assert approved(engine, three, name, "high").state == "live", "what the rules say already"
    stand(engine, 4, 1)
    assert approved(engine, three, "c3", "high").state == "live", "above"
    stand(engine, 5, None)
    assert approved(engine, three, "c4", "low").state == "live", "the rules say nothing"
    assert cap_of(Context(engine, three[0]).at(NOW)).below == 0
    stand(engine, 5, 2)
    assert cap_of(Context(engine, three[0]).at(NOW)).below == 1, "now they do"
    with pytest.raises(ConflictError, match="2 of 20 entities would stand below"):
        approved(engine, three, "c5", "medium")


def test_what_does_not_hold_any_more_does_not_count(engine: Engine, three: People) -> None:
    change_settings(Context(engine, three[0]), override_cap_percent=5)
    first = approved(engine, three, "c0")
    with pytest.raises(ConflictError):
        approved(engine, three, "c1")
    revoke_override(Context(engine, three[0]).at(NOW), first.id, "why")
    approved(engine, three, "c1", until_us=NOW + DAY)
    with pytest.raises(ConflictError):
        approved(engine, three, "c2")
    assert [cap_of(Context(engine, three[0]).at(at)).below for at in (NOW + DAY - 1, NOW + DAY)] == [1, 0]
    waiting = asked(engine, three[0], "c3")
    assert approve_override(Context(engine, three[1]).at(NOW + DAY), waiting.id).state == "live", "c1's is over"


def test_who_was_erased_fills_the_cap_no_more_and_is_no_part_of_the_portfolio(engine: Engine, three: People) -> None:
    for name in ("c0", "c1"):
        approved(engine, three, name)
    with Session(engine) as session, session.begin():
        gone = session.scalars(select(Entity).where(Entity.external_id == "c0")).one()
        gone.erased_us, session.get_one(Standing, gone.id).erased = NOW, True
    cap = cap_of(Context(engine, three[0]).at(NOW))
    assert (cap.below, cap.with_level) == (1, 19)
    with pytest.raises(ConflictError, match="2 of 19 entities would stand below"):
        approved(engine, three, "c2")
    change_settings(Context(engine, three[0]), override_cap_percent=11)
    assert approved(engine, three, "c2").state == "live"


def test_in_place_of_ones_own_override_nothing_is_added(engine: Engine, three: People) -> None:
    change_settings(Context(engine, three[0]), override_cap_percent=5)
    approved(engine, three, "c0", "medium")
    assert approved(engine, three, "c0", "low").state == "live"


def test_who_has_no_level_is_not_counted_in_the_portfolio(engine: Engine, three: People) -> None:
    for entity_id in range(2, 21):
        stand(engine, entity_id, None)
    with pytest.raises(ConflictError, match="1 of 1 entities would stand below"):
        approved(engine, three, "c0")


def test_the_portfolio_of_others_does_not_count(engine: Engine, three: People) -> None:
    other = founded(engine, "other")
    save_draft(Context(engine, other[0]), document())
    for entity_id in add_entities(engine, other[0], [f"o{number}" for number in range(9)]):
        stand(engine, entity_id, 3)
    with pytest.raises(ConflictError, match="1 of 9 entities"):
        approved(engine, other, "o0")
    for name in ("c0", "c1"):
        approved(engine, three, name)
    assert cap_of(Context(engine, other[0]).at(NOW)).below == 0


def test_overrides_are_listed_with_what_lies_beneath(engine: Engine, three: People) -> None:
    first = approved(engine, three, "c0", "medium")
    stand(engine, 1, 3, level=2, override_id=first.id, source="override")
    add_entities(engine, three[0], ["new"])
    second = asked(engine, three[0], "new", "medium")
    lines = overrides_of(Context(engine, three[0]))
    assert [line.id for line in lines] == [second.id, first.id]
    assert (lines[0].rules_level, lines[0].present_level, lines[0].below_floor) == (None, None, False)
    assert (lines[1].level, lines[1].rules_level, lines[1].present_level) == ("medium", "high", "medium")
    assert [line.id for line in overrides_of(Context(engine, three[0]), "customer", "new")] == [second.id]


def test_everything_is_recorded_and_what_people_write_can_be_erased(engine: Engine, three: People) -> None:
    before = len(rows_of(engine, AuditEntry))
    first, second = asked(engine, three[0]), asked(engine, three[0], "c1", "medium", until_us=NOW + DAY)
    approve_override(Context(engine, three[1]), first.id)
    refuse_override(Context(engine, three[1]), second.id, "Zoe has no papers")
    revoke_override(Context(engine, three[2]), first.id, "Zoe moved")
    one = {"entity_id": 1, "level": 1, "until_us": None, "replaced": []}
    two = {"entity_id": 2, "level": 2, "until_us": NOW + DAY, "replaced": []}
    assert audited(engine)[before:] == [
        ("member:1", "override.requested", str(first.id), one),
        ("member:1", "override.requested", str(second.id), two),
        ("member:2", "override.approved", str(first.id), one),
        ("member:2", "override.refused", str(second.id), two),
        ("member:3", "override.revoked", str(first.id), one),
    ]
    assert "Zoe" not in repr(rows_of(engine, AuditEntry))
    assert "Zoe moved" in repr(rows_of(engine, AuditValues))
    assert verify(engine, print).entries == before + 5


def test_however_many_approve_at_once_the_cap_holds(kind: str, tmp_path: Path) -> None:
    """Two of twenty; six are approved at the same moment."""

    def prepare(engine: Engine) -> People:
        three = prepared(engine)
        for number in range(6):
            asked(engine, three[0], f"c{number}")
        return three

    made = together(
        kind,
        tmp_path,
        prepare,
        *(
            lambda engine, three, number=number: approve_override(Context(engine, three[1]).at(NOW), number)
            for number in range(1, 7)
        ),
    )
    assert sorted(type(each).__name__ for each in made) == ["ConflictError"] * 4 + ["OverrideLine"] * 2


def test_of_two_who_decide_at_once_one_does(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> People:
        three = prepared(engine)
        asked(engine, three[0])
        return three

    made = together(
        kind,
        tmp_path,
        prepare,
        lambda engine, three: approve_override(Context(engine, three[1]).at(NOW), 1),
        lambda engine, three: refuse_override(Context(engine, three[2]).at(NOW), 1, "no"),
        lambda engine, three: approve_override(Context(engine, three[2]).at(NOW), 1),
    )
    assert sorted(type(each).__name__ for each in made) == ["ConflictError", "ConflictError", "OverrideLine"]


def test_of_two_overrides_of_one_entity_that_are_approved_at_once_one_holds(engine: Engine, three: People) -> None:
    numbers = [asked(engine, three[0], until_us=NOW + DAY + number).id for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: approve_override(Context(engine, three[1]).at(NOW), number), numbers))
    states = [line.state for line in overrides_of(Context(engine, three[0]).at(NOW))]
    assert sorted(states) == ["live", *["revoked"] * 5]


@pytest.mark.parametrize("state", ["requested", "refused", "revoked"])
@given(until=st.none() | st.integers(0, 10), now=st.integers(0, 10))
def test_what_was_not_approved_is_what_it_is(state: str, until: int | None, now: int) -> None:
    assert state_of(OverrideRow(state=state, until_us=until), now) == state


@given(until=st.none() | st.integers(0, 10), now=st.integers(0, 10))
def test_what_was_approved_holds_until_its_instant(until: int | None, now: int) -> None:
    found = state_of(OverrideRow(state="approved", until_us=until), now)
    assert found == ("live" if until is None or now < until else "expired")


def test_no_override_holds_for_who_was_erased(engine: Engine, three: People) -> None:
    ana, ben, _ = three
    line = request_override(Context(engine, ana).at(NOW), "customer", "c0", "medium", "Known.", None)
    assert approve_override(Context(engine, ben).at(NOW), line.id, "").state == "live"
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.external_id == "c0").values(erased_us=NOW))
    assert [each.state for each in overrides_of(Context(engine, ana).at(NOW), "customer", "c0")] == ["expired"]
