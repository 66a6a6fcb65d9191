"""Lists come by name, their versions in the order of time."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.lists import list_rows
from fivefold.store.tables.entities import ListVersionRow


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
