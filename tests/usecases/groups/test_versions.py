"""Versions of groups: written by one, approved by another, and nothing that could not be asked or may not be read."""

from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError, NotFoundError
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.groups import versions
from fivefold.usecases.groups.versions import (
    approve_group,
    check_group,
    groups_of_organisation,
    propose_group,
    retire_group,
    show_group,
)
from tests.store.audits import bind_unnamed, findings_of, forged
from tests.store.filling import filled_once
from tests.usecases.groups.grouped import HIGH, WORTH, Circle, document, opened

WHY = "Because of the test."


@pytest.fixture
@filled_once
def circle(engine: Engine) -> Circle:
    return opened(engine)


def states(circle: Circle) -> dict[int, str]:
    return {each.number: each.state for each in groups_of_organisation(circle.context(), "watched", with_aml=True)}


@pytest.mark.postgresql
def test_a_version_is_written_by_one_and_approved_by_another(circle: Circle) -> None:
    made = circle.propose(HIGH)
    assert (made.number, made.state, made.written_by, made.approved_by) == (1, "proposed", "member:1", None)
    with pytest.raises(ConflictError, match="another person approves it"):
        approve_group(circle.context(), "watched", 1, WHY)
    with pytest.raises(ConfigError):
        approve_group(circle.context(2), "watched", 1, " ")
    with pytest.raises(ConflictError, match="version 1 of watched says something else now than what was looked at"):
        approve_group(circle.context(2), "watched", 1, WHY, 0, "0" * 64)
    line = approve_group(circle.context(2), "watched", 1, WHY, 0, made.content_hash)
    assert (line.state, line.approved_by) == ("active", "member:2")
    with pytest.raises(ConflictError):
        approve_group(circle.context(2), "watched", 1, WHY)
    shown = show_group(circle.context(), "watched", 1)
    assert shown.document == document(HIGH)
    assert not any(finding.fatal for finding in shown.doubts)
    with pytest.raises(NotFoundError, match="there is no version 1 of a group 'wacthed'; perhaps watched was meant"):
        show_group(circle.context(), "wacthed", 1)


def test_the_next_version_takes_the_place_of_the_one_before_and_an_older_one_does_not(circle: Circle) -> None:
    for level in ("low", "medium", "high"):
        circle.propose({"level": "in_force", "equals": level})
    approve_group(circle.context(2), "watched", 2, WHY)
    with pytest.raises(ConflictError):
        approve_group(circle.context(2), "watched", 1, WHY)
    approve_group(circle.context(2), "watched", 3, WHY)
    assert states(circle) == {3: "active", 2: "retired", 1: "proposed"}
    retire_group(circle.context(), "watched", 1, WHY)
    retire_group(circle.context(), "watched", 3, WHY)
    assert set(states(circle).values()) == {"retired"}
    with pytest.raises(ConflictError):
        retire_group(circle.context(), "watched", 3, WHY)


def test_the_same_is_not_proposed_twice_nor_over_a_version_that_was_not_seen(circle: Circle) -> None:
    circle.propose(HIGH)
    with pytest.raises(ConflictError):
        propose_group(circle.context(2), f"# a remark\n{document(HIGH)}", WHY, WHY)
    with pytest.raises(ConflictError):
        propose_group(circle.context(2), document(WORTH), WHY, WHY, expected_newest=0)


@pytest.mark.parametrize(
    "changed",
    [
        {"levels": ["low", "medium", "huge"]},
        {"fields": {"shoe_size": "number"}},
        {"when": {"field": "country", "in_list": "gone"}},
        {"when": {"level": "age_days", "above": 3}},
        {"when": {"transaction": "amount", "above": 3}},
        {"when": {"step": "a", "output": "b", "equals": "c"}},
        {"when": {"level": "in_force", "at_least": "huge"}},
        {"links": {"household": {"kind": "shared"}}},
        {"purpose": "commercial"},
        {"purpose": "both"},
        {"examples": [{"name": "A", "given": {"level": "low"}, "member": True}]},
        {"examples": [{"name": "A", "given": {"levle": "low"}, "member": True}]},
    ],
)
def test_what_could_not_be_asked_or_may_not_be_read_is_refused(circle: Circle, changed: dict[str, Any]) -> None:
    given = document(**{"when": HIGH, **changed})
    assert any(finding.fatal for finding in check_group(circle.context(), given))
    with pytest.raises(InvalidRulesetError):
        propose_group(circle.context(), given, WHY, WHY)
    assert list(groups_of_organisation(circle.context(), with_aml=True)) == []


def test_doubts_are_accepted_with_a_reason(circle: Circle) -> None:
    with pytest.raises(InvalidRulesetError):
        propose_group(circle.context(), document(HIGH), WHY)
    example = {"name": "High", "given": {"level": "high"}, "member": True}
    assert propose_group(circle.context(), document(HIGH, examples=[example]), WHY).number == 1


def test_type_and_purpose_of_a_group_are_for_good(circle: Circle) -> None:
    circle.propose(WORTH, purpose="commercial")
    with pytest.raises(ConflictError, match="for good"):
        circle.propose(WORTH, purpose="both")
    define_type(circle.bank.context, "company", {})
    with pytest.raises(ConflictError, match="for good"):
        circle.propose(WORTH, purpose="commercial", entity_type="company", fields={}, transaction_fields={})


def test_a_field_does_not_become_aml_while_a_group_for_commerce_reads_it(circle: Circle) -> None:
    define_type(circle.bank.context, "customer", {}, purposes={"fields": {"country": "both"}})
    when = {"field": "country", "equals": "NO"}
    parts = {"purpose": "commercial", "purposes": {"fields": {"country": "both"}}}
    circle.publish(when, "norwegians", **parts)
    with pytest.raises(ConflictError, match="norwegians would feed commerce"):
        define_type(circle.bank.context, "customer", {}, purposes={"fields": {"country": "aml"}})
    retire_group(circle.context(), "norwegians", 1, WHY)
    define_type(circle.bank.context, "customer", {}, purposes={"fields": {"country": "aml"}})
    with pytest.raises(InvalidRulesetError):
        circle.propose(when, "norwegians", **parts)


def test_there_are_no_more_groups_than_can_be_asked_at_each_assessment(
    circle: Circle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MOST_GROUPS", 1)
    circle.propose(HIGH)
    with pytest.raises(ConflictError):
        circle.propose(HIGH, "second")
    assert circle.propose(WORTH).number == 2


@pytest.mark.postgresql
def test_groups_of_others_are_not_there_and_what_was_written_cannot_be_changed(circle: Circle, engine: Engine) -> None:
    circle.publish(HIGH)
    other = opened(engine, "other")
    with pytest.raises(NotFoundError):
        show_group(other.context(), "watched", 1)
    assert list(groups_of_organisation(other.context(), with_aml=True)) == []
    for statement in ("UPDATE group_versions SET document = ''", "DELETE FROM group_versions"):
        with pytest.raises(DBAPIError, match="group_versions is append-only"), engine.begin() as connection:
            connection.execute(text(statement))


def test_one_whose_text_was_changed_is_not_approved(circle: Circle) -> None:
    circle.propose(HIGH)
    with forged(circle.bank.engine) as connection:
        connection.execute(text("UPDATE group_versions SET canonical = replace(canonical, 'high', 'low')"))
    with pytest.raises(ConflictError, match="version 1 of the group watched decides nothing: its text has another"):
        approve_group(circle.context(2), "watched", 1, WHY)
    assert states(circle) == {1: "proposed"}


@pytest.mark.postgresql
def test_each_change_is_in_the_audit_log(circle: Circle) -> None:
    circle.publish(HIGH)
    circle.retire()
    with circle.bank.engine.connect() as connection:
        rows = connection.execute(text("SELECT action FROM audit_entries WHERE subject_kind = 'group' ORDER BY number"))
        assert rows.scalars().all() == ["group.proposed", "group.approved", "group.retired"]
    bind_unnamed(circle.bank.engine)
    assert findings_of(circle.bank.engine) == []
