"""Rulesets as they are kept; committed ones are never changed, by no statement to the database."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE
from fivefold.store.rulesets.rulesets import (
    active_versions,
    all_active_versions,
    draft_of,
    families_of,
    family_named,
    family_or_none,
    last_revision,
    latest_versions,
    newest_version,
    next_position,
    version_numbered,
)
from fivefold.store.tables.rulesets import Draft
from fivefold.usecases.shared.context import Context
from tests.store.stored import family_of, type_of
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank


def test_active_versions_stand_in_the_order_in_which_they_are_tried(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind, company = type_of(session), type_of(session, name="company")
        last = family_of(session, kind, "last", 3, versions=2)
        first = family_of(session, kind, "first", 1, versions=1)
        family_of(session, kind, "off", 2, versions=1, enabled=False)
        family_of(session, kind, "never", 4)
        others = family_of(session, company, "companies", 1, versions=1)
        family_of(session, type_of(session, "other"), "first", 1, versions=1)
        found = active_versions(session, kind.organisation_id, kind.id)
        assert [(version.family_id, version.number) for version in found] == [(first.id, 1), (last.id, 2)]
        everything = all_active_versions(session, kind.organisation_id)
        assert [(of, version.family_id) for of, version in everything] == [
            (kind.id, first.id),
            (kind.id, last.id),
            (company.id, others.id),
        ]


def test_families_are_found_within_their_organisation(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind, other = type_of(session), type_of(session, "other")
        mine, theirs = family_of(session, kind, "b", 2), family_of(session, other, "b", 1)
        first = family_of(session, kind, "a", 1)
        assert list(families_of(session, kind.organisation_id)) == [first, mine]
        assert list(families_of(session, kind.organisation_id, 99)) == []
        assert family_named(session, other.organisation_id, "b") is theirs
        assert family_or_none(session, other.organisation_id, "a") is None
        with pytest.raises(NotFoundError, match="there is no ruleset 'a'"):
            family_named(session, other.organisation_id, "a")
        assert (next_position(session, kind.id), next_position(session, 99)) == (3, 1)


def test_versions_and_drafts_of_a_family(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        family, other = family_of(session, kind, "a", 1, versions=3), family_of(session, kind, "b", 2)
        assert [version.number for version in latest_versions(session, family.id, WHOLE)] == [3, 2, 1]
        newest = newest_version(session, family.id)
        assert newest is not None
        assert (newest.number, last_revision(session, family), newest.editors) == (3, 30, ["member:1", "member:2"])
        family.revision = 31
        assert (last_revision(session, family), last_revision(session, other)) == (31, 0)
        assert newest_version(session, other.id) is None
        assert version_numbered(session, family, 2).number == 2
        with pytest.raises(NotFoundError, match="there is no version 1 of b"):
            version_numbered(session, other, 1)
        with pytest.raises(NotFoundError, match="there is no draft of a"):
            draft_of(session, family)
        session.add(Draft(family_id=family.id, document="", revision=1, editors=[], edited_us=1))
        session.flush()
        assert draft_of(session, family).editors == []


@pytest.mark.parametrize("statement", ["UPDATE ruleset_versions SET document = ''", "DELETE FROM ruleset_versions"])
def test_a_committed_version_is_neither_changed_nor_deleted(engine: Engine, statement: str) -> None:
    Bank(engine).activate(banks.document({"country": banks.COUNTRY}))
    with pytest.raises(DBAPIError, match="ruleset_versions is append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM ruleset_versions WHERE document <> ''")) == 1


@pytest.mark.parametrize("statement", ["UPDATE list_versions SET members = '[]'", "DELETE FROM list_versions"])
def test_a_version_of_a_list_is_neither_changed_nor_deleted(engine: Engine, statement: str) -> None:
    bank = Bank(engine)
    put_list_version(Context(engine, bank.actor).at(bank.now), "watched", 0, ("IR",), "Whom we watch", "our own")
    with pytest.raises(DBAPIError, match="list_versions is append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM list_versions WHERE members <> '[]'")) == 1
