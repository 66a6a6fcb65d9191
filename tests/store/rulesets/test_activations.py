"""Changes of what decides: one backfill for each type, taken by one at a time."""

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE
from fivefold.store.rulesets.activations import (
    ActivationChange,
    activations_of,
    begin,
    lock_backfill,
    open_backfills,
    was_active,
)
from fivefold.store.rulesets.rulesets import latest_versions
from fivefold.store.sql.database import writing
from tests.store import databases
from tests.store.stored import family_of, type_of


def change(version_id: int | None, now_us: int, kind: str = "activation") -> ActivationChange:
    return ActivationChange(
        kind=kind,
        version_id=version_id,
        previous_version_id=None,
        reason="why",
        actor="member:1",
        per_second=5,
        now_us=now_us,
    )


def test_a_newer_change_of_the_type_ends_the_older_one(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind, company = type_of(session), type_of(session, name="company")
        one, two = (family_of(session, kind, name, 1, versions=1) for name in ("one", "two"))
        other = family_of(session, company, "other", 1, versions=1)
        begin(session, one, change(1, 10))
        begin(session, other, change(3, 11))
        begin(session, two, change(2, 12))
        assert [(each.type_id, each.reached_us, each.per_second) for each in open_backfills(session)] == [
            (company.id, 11, 5),
            (kind.id, 12, 5),
        ]
        assert [row.finished_us for row in activations_of(session, one.id)] == [12]


def test_of_a_family_that_is_off_nobody_is_due_unless_it_was_just_switched_off(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        family_on = family_of(session, kind, "on", 1, versions=1)
        family_off = family_of(session, kind, "off", 2, versions=1, enabled=False)
        begin(session, family_on, change(1, 10))
        assert begin(session, family_off, change(2, 11)).finished_us == 11
        assert len(open_backfills(session)) == 1, "what is under way goes on"
        assert begin(session, family_off, change(None, 12, "off")).finished_us is None


def test_what_was_active_is_known(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        family = family_of(session, type_of(session), "one", 1, versions=2)
        begin(session, family, change(1, 10))
        assert [was_active(session, version) for version in latest_versions(session, family.id, WHOLE)] == [False, True]


def test_what_somebody_took_further_is_not_taken_from_an_older_look(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        begin(session, family_of(session, type_of(session), "one", 1, versions=1), change(1, 10))
    with Session(engine) as session:
        (looked,) = open_backfills(session)
    with writing(engine) as session:
        row = lock_backfill(session, looked)
        assert row is not None
        row.reached_us = 20
    with writing(engine) as session:
        assert lock_backfill(session, looked) is None


def test_what_somebody_is_at_is_left_to_them(tmp_path: Path) -> None:
    """On PostgreSQL; on SQLite there is one writer."""
    with databases.opened(databases.new_url("postgresql", tmp_path)) as engine:
        with Session(engine) as session, session.begin():
            begin(session, family_of(session, type_of(session), "one", 1, versions=1), change(1, 10))
            (looked,) = open_backfills(session)
        with writing(engine) as first, writing(engine) as second:
            assert lock_backfill(first, looked) is not None
            assert lock_backfill(second, looked) is None
