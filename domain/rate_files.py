"""Files of exchange rates: the operator's own table, and the European Central Bank's download."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import log10
from pathlib import Path

from fivefold.domain.clock import DAY_WRITTEN
from fivefold.domain.errors import ConfigError
from fivefold.domain.money import EURO, EuroRates, Rate, RateTable, base_only, ecb_rates, is_currency_code
from fivefold.domain.text import NUMBER_WRITTEN, count_text, cut_text, delimiter_of

COLUMNS = ("currency", "date", "rate")
DIRECTION = "1 unit of the currency = rate units of the base"
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+")
_ECB_DATE, _ECB_NOTHING = "Date", {"", "N/A"}
_LEAST, _MOST = 1e-12, 1e12
"""Bounds of a rate: no two currencies are further apart, and every converted sum stays finite."""
_LETTERS_SHOWN = 200
"""The most letters to show of a header that is not a table's: another file may be one line."""
_AN_ORDER = 1.0
_NEARLY = 0.5
"""In orders of magnitude: a rate this far from the shipped rate is refused if its inverse is this near to it."""


@dataclass(frozen=True)
class DatedRate:
    """The value of one unit of a currency on a day, in the base currency of its file."""

    currency: str
    day: date
    rate: float


@dataclass(frozen=True)
class DatedRates:
    """Rates of many days.

    Attributes:
        base: the currency that they convert into: the euro in a file of the ECB's form; None for the caller's.
        rows: in the order of the file.
        source: the origin of the rates, for people.
    """

    base: str | None
    rows: tuple[DatedRate, ...]
    source: str

    def table(self, base: str, day: date) -> RateTable:
        """Return each currency's latest rate by *day*, of rates that are into *base*."""
        latest: dict[str, Rate] = {}
        for row in self.rows:
            present = latest.get(row.currency)
            if row.day <= day and (present is None or present.known_on <= row.day):
                latest[row.currency] = Rate(row.rate, row.day)
        latest.pop(base, None)
        return RateTable(base, day, latest, self.source)

    def euro_rates(self) -> EuroRates:
        """Return the rates, which must be into the euro, in the form that gives rates into any base."""
        per_unit = {(row.currency, row.day): row.rate for row in self.rows}
        days: dict[str, list[date]] = {}
        for code, day in per_unit:
            days.setdefault(code, []).append(day)
        bounds = {code: (min(of), max(of)) for code, of in days.items() if code != EURO}
        return EuroRates(bounds, lambda code, day: per_unit.get((code, day)))


def read_rates(path: Path, base: str, day: date) -> RateTable:
    """Read an operator's table, as `read_dated_rates` does, as known on *day*; refuse inverse rates.

    Raises:
        ConfigError: a line cannot be read, rates contradict each other, or are the inverse of what they must be.
    """
    rates = read_dated_rates(path)
    refuse_contradictions(rates, base)
    table = rates.table(base, day) if rates.base is None else _by_euro_rates(rates, base, day)
    refuse_inverse(table, path.name)
    return table


def _by_euro_rates(rates: DatedRates, base: str, day: date) -> RateTable:
    """Return each currency's rate into *base* on a day; ConfigError if the base has none by then."""
    euros = rates.euro_rates()
    codes = euros.known_by(day)
    if base not in codes:
        has = ", ".join(code for code in codes if code != EURO)
        raise ConfigError(f"{rates.source} has no rate of {base} by {day}; it has {has or 'none by then'}")
    return RateTable(base, day, euros.table(base, day), rates.source)


def read_dated_rates(path: Path) -> DatedRates:
    """Read a table: CSV with the columns currency, date and rate, or the ECB's own file eurofxref-hist.csv.

    If semicolons separate the columns, as spreadsheets write them in many countries, a rate may have a decimal comma.

    In the first form, *rate* is the number of units of the base that one unit of the currency buys. The ECB's file has
    a column for each currency, and the other direction: 1 EUR = x.

    Raises:
        ConfigError: names the line that cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            delimiter = delimiter_of(lines.readline())
            lines.seek(0)
            reader = csv.reader(lines, delimiter=delimiter)
            names = [name.strip() for name in next(reader, [])]
            repeated = {name for name in names if name and names.count(name) > 1}
            if repeated:
                raise ConfigError(f"{path} has the column {', '.join(sorted(repeated))} more than once")
            lines_read = _lines(reader, names, path)
            if names[:1] == [_ECB_DATE]:
                rows = tuple(_ecb_rows(lines_read))
                return DatedRates(EURO, rows, f"the operator's file {path.name}, in the form of the ECB")
            if sorted(filter(None, names)) != sorted(COLUMNS):
                shown = ", ".join(names)
                raise ConfigError(
                    f"{path} has the columns {shown[:_LETTERS_SHOWN] or 'none'}"
                    f"{' and so on' if len(shown) > _LETTERS_SHOWN else ''}; it must have {', '.join(COLUMNS)} and no "
                    f"others ({DIRECTION}), or be the ECB's eurofxref-hist.csv"
                )
            rows = tuple(_own_rows(lines_read, decimal_comma=delimiter == ";"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    return DatedRates(None, rows, f"the operator's table {path.name}")


def _lines(reader: Iterator[list[str]], names: Sequence[str], path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each line's place and cells by column; columns without a name, as the ECB's last one, must be empty.

    Spreadsheets write empty lines, and extra empty fields at the end of lines. Both are skipped, but in the ECB's form
    extra fields are an error: there a decimal comma may have made the line too long, and its last field may be empty.
    """
    for number, line in enumerate(reader, 2):
        if not any(map(str.strip, line)):
            continue
        while names[:1] != [_ECB_DATE] and len(line) > len(names) and not line[-1].strip():
            line.pop()
        where = f"{path}, line {number}"
        if len(line) != len(names) or any(cell.strip() for name, cell in zip(names, line, strict=True) if not name):
            raise ConfigError(
                f"{where}: it has {count_text(len(line), 'field')}, and the header has {len(list(filter(None, names)))}"
                " columns with a name; a number with a decimal comma is two fields: write it with a point, or separate"
                " the columns by semicolons"
            )
        yield where, dict(zip(names, line, strict=True))


def _own_rows(lines: Iterator[tuple[str, dict[str, str]]], *, decimal_comma: bool) -> Iterator[DatedRate]:
    """Read the rows of an operator's table."""
    for where, line in lines:
        row = {name: line[name] for name in COLUMNS}
        if decimal_comma and _DECIMAL_COMMA.fullmatch(row["rate"].strip()):
            row["rate"] = row["rate"].replace(",", ".")
        yield checked_rate(row, where)


def _ecb_rows(lines: Iterator[tuple[str, dict[str, str]]]) -> Iterator[DatedRate]:
    """Read the ECB's rows: one line for each day, one column for each currency, in units for 1 EUR."""
    for where, line in lines:
        day = line.pop(_ECB_DATE)
        for name, text in line.items():
            if name and text.strip() not in _ECB_NOTHING:
                rate = checked_rate({"currency": name, "date": day, "rate": text}, where)
                yield DatedRate(rate.currency, rate.day, 1.0 / rate.rate)


def checked_rate(row: Mapping[str, object], where: str) -> DatedRate:
    """Read one rate of a table; ConfigError if it is invalid. *where* names the row."""
    unknown = sorted(row.keys() - set(COLUMNS))
    if unknown:
        raise ConfigError(f"{where}: it has {', '.join(unknown)}; a rate has {', '.join(COLUMNS)} and nothing else")
    code = str(row.get("currency") or "").strip()
    if not is_currency_code(code):
        raise ConfigError(f"{where}: currency is {cut_text(repr(code))}; it must be three capital letters such as USD")
    text, day = str(row.get("rate", "")).strip(), str(row.get("date", "")).strip()
    try:
        known_on = date.fromisoformat(day) if DAY_WRITTEN.fullmatch(day) else None
    except ValueError:
        known_on = None
    if known_on is None or not NUMBER_WRITTEN.fullmatch(text):
        raise ConfigError(
            f"{where}: rate is {cut_text(repr(text))} and date {cut_text(repr(day))}; they must be a number and an ISO"
            " date, such as 1.17 and 2026-01-31"
        )
    rate = DatedRate(code, known_on, float(text))
    if not _LEAST <= rate.rate <= _MOST:
        raise ConfigError(
            f"{where}: rate is {rate.rate:g}; it must be positive, and from {_LEAST:g} to {_MOST:g}: no two currencies"
            " are further apart"
        )
    return rate


def refuse_contradictions(rates: DatedRates, base: str) -> None:
    """Raise ConfigError for two different rates of one currency and day, and for a rate of the base other than 1.

    Otherwise the last rate would count, and the amounts would depend on the order of the rows.
    """
    own = rates.base or base
    first: dict[tuple[str, date], float] = {}
    for row in rates.rows:
        other = first.setdefault((row.currency, row.day), row.rate)
        if other != row.rate:
            raise ConfigError(
                f"{rates.source} has two rates of {row.currency} of {row.day}, {other:g} and {row.rate:g}; give one"
            )
        if row.currency == own and row.rate != 1:
            raise ConfigError(f"{rates.source}: the rate of {own} is {row.rate:g}, and {own} is the base: leave it out")


def refuse_inverse(table: RateTable, name: str) -> None:
    """Compare a table with the shipped rates, by order of magnitude.

    Raises:
        ConfigError: a rate is wrong by a factor of ten or more, and its inverse is about right.
    """
    shipped = ecb_rates(table.base, table.as_known_on)
    if shipped == base_only(table.base, table.as_known_on):
        return
    for code, rate in sorted(table.rates.items()):
        usual = shipped.rates.get(code)
        if usual is None or abs(log10(rate.per_unit / usual.per_unit)) < _AN_ORDER:
            continue
        if abs(log10(rate.per_unit * usual.per_unit)) < _NEARLY:
            raise ConfigError(
                f"{name}: the rate of {code} is {rate.per_unit:g}, where about {usual.per_unit:g} would be right: the "
                f"table has the wrong direction. A rate says what one unit buys: "
                f"1 {code} = {usual.per_unit:g} {table.base}"
            )
