"""What is read at one moment was true together, whatever others store meanwhile; and nothing is stored by it."""

import pytest
from sqlalchemy import Engine, select

from fivefold.store.sql.database import read_once
from fivefold.store.tables.accounts import Organisation
from fivefold.usecases.accounts.organisations import actor_in_new, add_member, list_members
from fivefold.usecases.shared.context import Context


def names(context: Context) -> list[str]:
    """The names of the members."""
    return [member.name for member in list_members(context)]


@pytest.fixture
def context(engine: Engine) -> Context:
    """Of an organisation without members."""
    return Context(engine, actor_in_new(engine, "bank", "cli:test"))


def test_a_member_who_comes_meanwhile_is_not_seen_until_the_next_reading(context: Context) -> None:
    with context.at_one_moment() as snapshot:
        before = names(snapshot)
        add_member(context, "late", ["investigator"])
        assert names(snapshot) == before
    assert names(context) == [*before, "late"]
    with context.at_one_moment() as snapshot:
        assert names(snapshot) == [*before, "late"]


def test_two_use_cases_share_one_session(context: Context) -> None:
    with context.at_one_moment() as snapshot, snapshot.reading() as first, snapshot.reading() as second:
        assert first is second


def test_nothing_is_stored_by_it(context: Context) -> None:
    name = select(Organisation.name).where(Organisation.id == context.organisation_id)
    with context.at_one_moment() as snapshot:
        with snapshot.reading() as session:
            session.get_one(Organisation, context.organisation_id).name = "another"
        with snapshot.reading() as session:
            assert session.scalar(name) == "bank"
    with context.reading() as session:
        assert session.scalar(name) == "bank"


def test_what_was_read_once_is_kept_within_one_moment_alone(context: Context) -> None:
    asked: list[str] = []

    def read() -> str:
        asked.append("again")
        return f"reading {len(asked)}"

    with context.at_one_moment() as snapshot, snapshot.reading() as session:
        assert [read_once(session, "this", read) for _ in range(3)] == ["reading 1"] * 3
        assert read_once(session, "that", read) == "reading 2"
    with context.at_one_moment() as snapshot, snapshot.reading() as session:
        assert read_once(session, "this", read) == "reading 3"
    with context.reading() as session:
        assert [read_once(session, "this", read) for _ in range(2)] == ["reading 4", "reading 5"]


def test_what_could_not_be_read_is_read_again(context: Context) -> None:
    def fail() -> str:
        raise ValueError("not now")

    with context.at_one_moment() as snapshot, snapshot.reading() as session:
        with pytest.raises(ValueError, match="not now"):
            read_once(session, "this", fail)
        assert read_once(session, "this", lambda: "now") == "now"


def test_the_connection_writes_again_afterwards(context: Context) -> None:
    for name in ("first", "second"):
        with context.at_one_moment() as snapshot:
            names(snapshot)
        add_member(context, name, ["investigator"])
    assert {"first", "second"} <= set(names(context))
