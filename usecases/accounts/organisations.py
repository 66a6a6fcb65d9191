"""Organisations: everything that is stored belongs to one."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.store.accounts import tokens as accounts
from fivefold.store.sql.database import reachable, writing
from fivefold.store.tables.accounts import NAME_CHARACTERS
from fivefold.usecases.shared.actors import Actor

DEFAULT_ORGANISATION = "default"


def actor_in(engine: Engine, organisation: str, who: str) -> Actor:
    """Name somebody who acts in an organisation, which is known by its name; ConfigError where there is none."""
    with reachable(), Session(engine) as session:
        found = accounts.organisation_of(session, organisation)
        if found is None:
            raise ConfigError(
                f"there is no organisation {organisation!r}; its first member or token, or an import's set-up, makes it"
            )
        return Actor(found.id, who)


def actor_in_new(engine: Engine, organisation: str, who: str) -> Actor:
    """Name somebody who acts in an organisation, which is made where there is none; ConfigError for a bad name."""
    refuse_long_name("organisation", organisation)
    with writing(engine) as session:
        return Actor(accounts.organisation_named(session, organisation, now_microseconds()).id, who)


def refuse_long_name(what: str, name: str) -> None:
    """Raise ConfigError where a name is longer than names may be."""
    if len(name) > NAME_CHARACTERS:
        raise ConfigError(f"{what} has {len(name)} characters; at most {NAME_CHARACTERS} are kept")
