"""What an organisation decided for all of it."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.accounts import organisation
from fivefold.store.accounts import tokens as accounts
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
        with pytest.raises(ConflictError, match="has not chosen its levels yet"):
            organisation.levels_of(session, made.id)
