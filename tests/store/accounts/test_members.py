"""Queries about members; what they are for is tested with the use cases."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.accounts.tokens import end_tokens, locked_member, member_named, members_of
from fivefold.store.sql.database import writing
from fivefold.store.tables.accounts import Member, Token
from tests.store.audits import organisation


def add(engine: Engine, of: int, name: str) -> int:
    with writing(engine) as session:
        made = Member(organisation_id=of, name=name, roles=["admin", "publisher"], created_us=1)
        session.add(made)
        session.flush()
        return made.id


def test_a_member_is_found_by_number_and_by_name_within_the_organisation(engine: Engine) -> None:
    ours, theirs = organisation(engine, "ours"), organisation(engine, "theirs")
    ana, zoe, other = add(engine, ours, "ana"), add(engine, ours, "zoë"), add(engine, theirs, "ana")
    with writing(engine) as session:
        assert locked_member(session, ours, ana).name == "ana"
        assert [found.id for found in members_of(session, ours)] == [ana, zoe]
        by_name = {of: member_named(session, of, "ana") for of in (ours, theirs)}
        assert {of: found.id for of, found in by_name.items() if found} == {ours: ana, theirs: other}
        assert member_named(session, theirs, "zoë") is None
        assert locked_member(session, theirs, other).roles == ["admin", "publisher"]
        said = []
        for number in (other, other + 1):
            with pytest.raises(NotFoundError) as caught:
                locked_member(session, ours, number)
            said.append(str(caught.value).replace(str(number), "N"))
        assert said == ["there is no member N"] * 2, "nobody is told which of them another organisation has"


def test_tokens_end_by_their_role_and_once(engine: Engine) -> None:
    of = organisation(engine, "ours")
    ana, zoe = add(engine, of, "ana"), add(engine, of, "zoë")
    with writing(engine) as session:
        made = [
            Token(organisation_id=of, sha256=str(n), label="", role=role, member_id=whose, plan="trial", created_us=1)
            for n, (whose, role) in enumerate([(ana, "admin"), (ana, "publisher"), (zoe, "admin"), (None, "app")])
        ]
        session.add_all(made)
        session.flush()
        numbers = [token.id for token in made]
    with writing(engine) as session:
        assert end_tokens(session, ana, ["admin", "app"], 5) == numbers[:1]
        assert end_tokens(session, ana, ["admin", "publisher"], 6) == numbers[1:2]
        assert end_tokens(session, ana, ["admin", "publisher"], 7) == []
    with Session(engine) as session:
        assert [session.get_one(Token, number).revoked_us for number in numbers] == [5, 6, None, None]
