"""Override volume: what was decided in a time, and what held at its end."""

import polars as pl
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.monitoring.validation import overrides_before
from fivefold.usecases.monitoring.history import CONFIRMED, ValidationPeriod, read_level_histories
from fivefold.usecases.monitoring.people import OverrideFigures, override_figures
from tests.usecases.planted import Planted, Step, day, planted

PERIOD = ValidationPeriod(day(0), day(90))


@pytest.fixture
def bank(engine: Engine) -> Planted:
    """Ten customers at high by the rules."""
    made = planted(engine)
    made.add_all([[Step(day(-9), made.versions[0], 3, 3)] for _ in range(10)])
    return made


def figures(bank: Planted, cap: int = 10) -> OverrideFigures:
    with Session(bank.engine) as session:
        ended = read_level_histories(session, bank.actor.organisation_id, PERIOD, [CONFIRMED]).ended
        asked = overrides_before(session, bank.actor.organisation_id, PERIOD.until_us)
    return override_figures(asked, ended, PERIOD, cap)


def test_overrides_are_counted_by_when_something_was_decided(bank: Planted) -> None:
    bank.override(1, 1, day(-5))  # live all the time
    bank.override(2, 1, day(10), until_us=day(20))  # over by itself
    bank.override(3, 1, day(10), until_us=day(95))  # still live at the end
    bank.override(4, 1, day(-5), state="revoked", revoked_by="member:3", revoked_us=day(30))
    bank.override(5, 1, day(10), state="revoked", revoked_by="member:3", revoked_us=day(95))  # live at the end
    bank.override(6, 1, day(10), state="refused")
    bank.override(7, 1, day(10), state="requested", decided_by=None, decided_us=None)
    bank.override(8, 3, day(80))  # not below what the rules say
    bank.override(9, 1, day(10), decided_us=day(95))  # approved after the end
    bank.override(10, 1, day(95))
    found = figures(bank)
    assert (found.requested, found.approved, found.refused) == (7, 4, 1)
    assert (found.revoked, found.expired) == (1, 1)
    assert (found.live, found.downward, found.with_level) == (4, 3, 10)
    assert (found.live_share, found.downward_share, found.cap_percent) == (0.4, 0.3, 10)
    assert found.mean_age_days == pytest.approx((95 + 80 + 80 + 10) / 4)


def test_one_that_was_revoked_before_its_end_did_not_end_by_itself(bank: Planted) -> None:
    bank.override(1, 1, day(1), until_us=day(20), state="revoked", revoked_by="member:3", revoked_us=day(10))
    found = figures(bank)
    assert (found.expired, found.revoked, found.live) == (0, 1, 0)


def test_it_is_over_at_its_instant(bank: Planted) -> None:
    bank.override(1, 1, day(1), until_us=PERIOD.until_us)
    bank.override(2, 1, day(1), until_us=PERIOD.until_us + 1)
    assert figures(bank).live == 1


def test_without_a_portfolio_there_is_no_share(engine: Engine) -> None:
    found = figures(planted(engine))
    assert (found.live, found.live_share, found.downward_share, found.mean_age_days) == (0, None, None, None)


def test_nobody_without_a_level_is_in_the_portfolio(bank: Planted) -> None:
    bank.add(Step(day(-9), None, None, None))
    with Session(bank.engine) as session:
        history = read_level_histories(session, bank.actor.organisation_id, PERIOD, [CONFIRMED])
    assert override_figures(pl.DataFrame(schema=_SCHEMA), history.ended, PERIOD, 10).with_level == 10


_SCHEMA = {
    "entity": pl.Int64,
    "level": pl.Int64,
    "state": pl.String,
    "until_us": pl.Int64,
    "requested_us": pl.Int64,
    "decided_us": pl.Int64,
    "revoked_us": pl.Int64,
}
