"""The log as it is shown: without values."""

from sqlalchemy import Engine

from tests.store.audits import fill
from usecases.audit_pages import page_of_entries
from usecases.organisations import actor_in


def test_a_page_shows_what_was_done_and_no_values(engine: Engine) -> None:
    made = fill(engine, "ours", 5)
    fill(engine, "theirs", 1)
    actor = actor_in(engine, "ours", "cli:ana")
    page = page_of_entries(engine, actor, 10)
    assert [(line.number, line.hash) for line in page] == [(each.number, each.hash) for each in made[::-1]]
    assert [line.bulk_count for line in page] == [None, 2, None, None, None]
    assert page[-1].details == {"plan": "trial"}
    assert "Zoë" not in repr(page)
    assert [line.number for line in page_of_entries(engine, actor, 2, before=3)] == [2, 1]
