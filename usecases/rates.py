"""Exchange rates as the platform uses them: the ECB's of a day, read once."""

from datetime import date
from functools import lru_cache

from domain.money import RateTable, ecb_rates


@lru_cache(maxsize=64)
def rates_of(base: str, day: date) -> RateTable:
    """Give the ECB's rates into a base currency as known on a day."""
    return ecb_rates(base, day)
