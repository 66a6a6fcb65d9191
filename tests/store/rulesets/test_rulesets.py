"""Families, drafts and versions, found in the order in which they are tried."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.rulesets.rulesets import (
    active_versions,
    all_active_versions,
    draft_of,
    families_of,
    family_named,
    family_or_none,
    last_revision,
    newest_version,
    next_position,
    version_numbered,
    versions_of,
)
from fivefold.store.tables.rulesets import Draft
from tests.store.stored import family_of, type_of


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
        assert [version.number for version in versions_of(session, family)] == [1, 2, 3]
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
