"""Rates are the ECB's, read once for a day."""

from datetime import date

from fivefold.domain.money import ecb_rates
from fivefold.usecases.shared.rates import rates_of


def test_rates_are_the_central_banks_and_read_once() -> None:
    day = date(2024, 7, 1)
    assert rates_of("EUR", day) == ecb_rates("EUR", day)
    assert rates_of("EUR", day) is rates_of("EUR", day)
    assert rates_of("CZK", date(1998, 12, 31)).codes == ("CZK",)
