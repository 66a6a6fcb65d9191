"""The log as it is shown: without values."""

from sqlalchemy import Engine

from fivefold.domain.paging import Part
from fivefold.usecases.accounts.organisations import actor_in
from fivefold.usecases.audit.search import list_entries
from fivefold.usecases.shared.context import Context
from tests.store.audits import fill


def test_a_page_shows_what_was_done_and_no_values(engine: Engine) -> None:
    made = fill(engine, "ours", 5)
    fill(engine, "theirs", 1)
    actor = actor_in(engine, "ours", "cli:ana")
    page = list_entries(Context(engine, actor), Part(10))
    assert [(line.number, line.hash) for line in page] == [(each.number, each.hash) for each in made[::-1]]
    assert [line.bulk_count for line in page] == [None, 2, None, None, None]
    assert page[-1].details == {"plan": "trial"}
    assert "Zoë" not in repr(page)
    assert [line.number for line in list_entries(Context(engine, actor), Part(2, (3,)))] == [2, 1]
