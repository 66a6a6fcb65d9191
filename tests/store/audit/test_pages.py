"""One organisation's log, from its end."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.paging import Part
from fivefold.store.audit.log import latest_entries
from tests.store.audits import fill, organisation


def test_entries_come_newest_first_and_are_nobody_elses(engine: Engine) -> None:
    fill(engine, "ours", 5)
    fill(engine, "theirs", 2)
    of = organisation(engine, "ours")
    with Session(engine) as session:
        assert [entry.number for entry in latest_entries(session, of, Part(3))] == [5, 4, 3]
        assert [entry.number for entry in latest_entries(session, of, Part(3, (3,)))] == [2, 1]
        assert list(latest_entries(session, of, Part(3, (1,)))) == []
        assert {entry.organisation_id for entry in latest_entries(session, of, Part(9))} == {of}
