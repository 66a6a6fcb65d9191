"""Organisations are known by their names."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConfigError
from fivefold.usecases.accounts.organisations import actor_in, actor_in_new
from fivefold.usecases.shared.actors import Actor

pytestmark = pytest.mark.postgresql


def test_an_actor_belongs_to_the_organisation_of_that_name(engine: Engine) -> None:
    first, second = (actor_in_new(engine, name, "cli:ana") for name in ("one", "two"))
    assert first.organisation_id != second.organisation_id
    assert actor_in_new(engine, "one", "cli:ana") == actor_in(engine, "one", "cli:ana") == first
    assert actor_in(engine, "two", "cli:zoë") == Actor(second.organisation_id, "cli:zoë")


def test_an_organisation_that_is_not_there_is_told(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="there is no organisation 'acme'"):
        actor_in(engine, "acme", "cli:ana")
    with pytest.raises(ConfigError, match="organisation has 201 characters; at most 200 are kept"):
        actor_in_new(engine, "x" * 201, "cli:ana")
