"""What an organisation decided for all of it, its lists too; its lock: nobody waits who merely adds rows."""

from pathlib import Path
from threading import Thread
from time import sleep

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.accounts import organisation
from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.lists import list_rows
from fivefold.store.accounts.organisation import lock_organisation
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import ListVersionRow, OrganisationSettings
from tests.store import databases
from tests.usecases import platforms


@pytest.mark.parametrize("locked", [False, True])
def test_levels_and_currency_are_those_of_the_organisation(engine: Engine, locked: bool) -> None:
    mine = platforms.organisation(engine)
    other = platforms.organisation(engine, "other", ["a", "b", "c", "d"])
    with Session(engine) as session, session.begin():
        organisation.settings_row(session, other, locked=locked).base_currency = "PLN"
    with Session(engine) as session:
        assert organisation.levels_of(session, mine) == ("low", "medium", "high")
        assert organisation.levels_of(session, other) == ("a", "b", "c", "d")
        assert organisation.base_currency_of(session, mine) == "EUR"
        assert organisation.base_currency_of(session, other) == "PLN"


def test_who_has_not_chosen_levels_is_told_to(engine: Engine) -> None:
    with Session(engine) as session:
        made = accounts.organisation_named(session, "new", 1)
        session.flush()
        with pytest.raises(ConflictError, match="the organisation new has not defined its levels yet"):
            organisation.settings_row(session, made.id)
        assert organisation.levels_of(session, made.id) == ()


def test_who_holds_an_organisation_keeps_others_waiting(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        number = accounts.organisation_named(session, "acme", 1).id
    order = []

    def wait() -> None:
        with writing(engine) as session:
            lock_organisation(session, number)
            order.append("second")

    with writing(engine) as session:
        lock_organisation(session, number)
        thread = Thread(target=wait)
        thread.start()
        sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_rows_of_an_organisation_that_is_held_are_added_meanwhile(tmp_path: Path) -> None:
    """On PostgreSQL; on SQLite there is one writer."""
    with databases.opened(databases.new_url("postgresql", tmp_path)) as engine:
        with Session(engine) as session, session.begin():
            number = accounts.organisation_named(session, "acme", 1).id
            other = accounts.organisation_named(session, "other", 1).id
        with writing(engine) as holding:
            lock_organisation(holding, number)
            with writing(engine) as session:
                session.add(OrganisationSettings(organisation_id=number, levels=[]))
                lock_organisation(session, other)


def test_versions_stand_in_order(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        mine, other = (accounts.organisation_named(session, name, 1).id for name in ("acme", "other"))
        for organisation_id, name, since in ((mine, "b", 9), (mine, "b", -5), (mine, "a", 7), (other, "a", 1)):
            session.add(
                ListVersionRow(
                    organisation_id=organisation_id,
                    name=name,
                    since_us=since,
                    title="t",
                    source="s",
                    members=[],
                    created_us=1,
                )
            )
        session.flush()
        assert [(row.name, row.since_us) for row in list_rows(session, mine)] == [("a", 7), ("b", -5), ("b", 9)]
        assert [row.since_us for row in list_rows(session, mine, "b")] == [-5, 9]
        assert [row.since_us for row in list_rows(session, other)] == [1]
