"""Overrides as they are shown: what became of each, at every moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.store.tables.levels import OverrideRow
from fivefold.usecases.levels.override_views import state_of


@pytest.mark.parametrize("state", ["requested", "refused", "revoked"])
@given(until=st.none() | st.integers(0, 10), now=st.integers(0, 10))
def test_what_was_not_approved_is_what_it_is(state: str, until: int | None, now: int) -> None:
    assert state_of(OverrideRow(state=state, until_us=until), now) == state


@given(until=st.none() | st.integers(0, 10), now=st.integers(0, 10))
def test_what_was_approved_holds_until_its_instant(until: int | None, now: int) -> None:
    found = state_of(OverrideRow(state="approved", until_us=until), now)
    assert found == ("live" if until is None or now < until else "expired")
