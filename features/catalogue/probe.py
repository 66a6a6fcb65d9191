"""Checks of an operator's own indicators on made-up histories, before anything is learnt from them.

Each indicator runs interpreted first, and then compiled: with another future, alone and twice. The bits must stay the
same. The customers differ in what code may rely on: rows, years, sizes of amounts and currencies. Interpreted lines
are counted, so that an endless loop is refused: a training would run for ever, without a message.
"""

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba.core.errors import NumbaError

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.features import schema as c
from fivefold.features.catalogue.indicator import Catalogue, Indicator
from fivefold.features.catalogue.kernel import Walk, compile_walk, interpret_walk
from fivefold.features.catalogue.own import OwnIndicators, check_names, hint_about
from fivefold.features.catalogue.own_text import PUBLIC
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.features.indicator_matrix import Snapshots, walk_over

_MANY_ROWS: Final = (50, 300, 3_000)
"""Rows of the customers with histories of 30 years, in every currency; the last one has very large amounts."""
_CUSTOMERS: Final = 60 + len(_MANY_ROWS)
_MOST_ROWS: Final = 40
_BEGIN_US: Final = 19_000 * DAY_US
_DAYS: Final = 900
_MANY_DAYS: Final = 30 * 365
_LARGE: Final = 1e6
"""The factor of large amounts: 1e9 is usual for a company, and in some currencies for a person."""
_CURRENCIES: Final = 61
_AS_OFS: Final = tuple(_BEGIN_US + days * DAY_US for days in (-1, 300, 600, 901))
"""One moment before every row of most customers, two among the rows, and one after all."""
_MOST_LINES: Final = 200_000_000
"""Lines of its text that an indicator may run: several for each pair of rows of the largest customer. Lines are counted
instead of time, so that no machine refuses what another accepts."""


class _EndlessError(Exception):
    """An indicator ran more lines than any useful one does."""


def check_own_indicators(own: OwnIndicators) -> None:
    """Try own indicators on made-up histories, the same ones each time.

    Raises:
        ConfigError: an indicator is declared wrongly, cannot be compiled, reads what it must not, ends with an error,
            or returns numbers that its unit does not allow. The message names the file, the indicator and the remedy.
    """
    columns = own.catalogue
    check_names(own)
    histories = _histories(np.random.default_rng(1))
    as_ofs = np.array(_AS_OFS, dtype=np.int64)
    interpreted = _each(own, histories, as_ofs)
    try:
        walk = compile_walk(columns, checked=True)
        results = walk_over(walk, histories, as_ofs, columns)
    except Exception as error:
        raise _first_failure(own, histories, as_ofs, error) from error
    compiled = results.values
    problems = _Problems(own.name, columns)
    again = walk_over(walk, histories, as_ofs, columns).values
    problems.add(
        _differ(again, compiled), "gives other numbers the second time; it must follow from its arguments alone"
    )
    _check_future(problems, walk, histories, columns, compiled)
    _check_alone(problems, walk, histories, columns, compiled)
    problems.add(
        _differ(interpreted, compiled) & ~np.isclose(interpreted, compiled, rtol=1e-9, atol=1e-9),
        "gives other numbers compiled than interpreted; use plain loops of numbers",
    )
    _check_currencies(problems, walk, histories, columns, compiled)
    _check_values(problems, columns, compiled, results.row_counts == 0)
    problems.raise_all()


class _Problems:
    """The problems by indicator; the first of each is kept."""

    def __init__(self, name: str, columns: Catalogue) -> None:
        self._name, self.columns = name, columns
        self._problems: dict[str, str] = {}

    def add(self, wrong: np.ndarray, what: str) -> None:
        """Add a problem of the columns that have any marked value (n x k x F)."""
        for place in np.flatnonzero(wrong.any(axis=(0, 1))):
            self._problems.setdefault(self.columns.names[place], what)

    def raise_all(self) -> None:
        """Raise ConfigError if there are problems."""
        if self._problems:
            lines = (f"  indicator {name} {what}" for name, what in self._problems.items())
            raise ConfigError("\n".join([f"{self._name} cannot be used:", *lines]))


def _each(own: OwnIndicators, histories: Histories, as_ofs: Integers) -> Floats:
    """Run the indicators one by one, interpreted; ConfigError names the one that ends with an error."""
    values = []
    for each in own.catalogue.indicators:
        try:
            with np.errstate(all="ignore"):
                alone = Catalogue((each,))
                values.append(_counted(partial(walk_over, interpret_walk(alone), histories, as_ofs, alone)).values)
        except _EndlessError:
            raise ConfigError(
                f"{own.name}: indicator {each.name} ran more than {_MOST_LINES:,} lines for {_CUSTOMERS} customers of "
                f"at most {max(_MANY_ROWS):,} rows: one of its loops does not end, or goes too often over the rows"
            ) from None
        except Exception as error:
            raise ConfigError(_failure(own, each, error)) from error
    return np.concatenate(values, axis=2)


def _counted(work: Callable[[], Snapshots]) -> Snapshots:
    """Run interpreted work; _EndlessError if it runs more than `_MOST_LINES` lines of Python."""
    lines, tracer = itertools.count(1), sys.gettrace()

    def count(_frame: FrameType, _event: str, _argument: object) -> Any:
        if next(lines) > _MOST_LINES:
            raise _EndlessError
        return count

    sys.settrace(count)
    try:
        return work()
    finally:
        sys.settrace(tracer)


def _first_failure(own: OwnIndicators, histories: Histories, as_ofs: Integers, error: Exception) -> ConfigError:
    """Return the error of the first indicator that cannot be compiled, or fails when compiled."""
    for each in own.catalogue.indicators:
        alone = Catalogue((each,))
        try:
            walk_over(compile_walk(alone, checked=True), histories, as_ofs, alone)
        except Exception as failure:  # noqa: BLE001 (whatever the operator's code fails with)
            return ConfigError(_failure(own, each, failure))
    return ConfigError(f"{own.name} cannot be compiled: {type(error).__name__}: {error}")


def _failure(own: OwnIndicators, each: Indicator, error: Exception) -> str:
    label = f"{own.name}: indicator {each.name}"
    if isinstance(error, NumbaError):
        lines = (line.strip() for line in str(error).splitlines())
        line = next((line for line in lines if line and not line.startswith("Failed in nopython")), "")
        return (
            f"{label} cannot be compiled: {line} Plain loops and arithmetic can be; a function that it calls is marked "
            f"with `shared` of {PUBLIC}"
        )
    return f"{label} ends with {type(error).__name__}: {error}{hint_about(error, own.text)}"


def _check_future(problems: _Problems, walk: Walk, histories: Histories, columns: Catalogue, wanted: Floats) -> None:
    """Find values that change with rows after the as-of."""
    for place, as_of in enumerate(_AS_OFS):
        moment = np.array([as_of], dtype=np.int64)
        for other in (_without_future(histories, as_of), _with_other_future(histories, as_of)):
            values = walk_over(walk, other, moment, columns).values
            problems.add(
                _differ(values, wanted[:, place : place + 1]),
                "changes with what comes after the as-of; its rows end there, and it may read no others",
            )


def _check_alone(problems: _Problems, walk: Walk, histories: Histories, columns: Catalogue, wanted: Floats) -> None:
    """Find values that change with the other customers."""
    as_ofs = np.array(_AS_OFS, dtype=np.int64)
    alone = [
        walk_over(walk, histories.take(np.array([number])), as_ofs, columns).values
        for number in range(histories.customers)
    ]
    problems.add(
        _differ(np.concatenate(alone), wanted),
        "changes with the other customers; it may read the rows of its own customer alone",
    )


def _check_currencies(
    problems: _Problems, walk: Walk, histories: Histories, columns: Catalogue, wanted: Floats
) -> None:
    """Find values that change with the places of the currencies in the rate table, which another table changes."""
    places = np.random.default_rng(3).permutation(_CURRENCIES).astype(np.int16)
    other = replace(histories, currency=places[histories.currency])
    values = walk_over(walk, other, np.array(_AS_OFS, dtype=np.int64), columns).values
    problems.add(
        _differ(values, wanted) & ~np.isclose(values, wanted, rtol=1e-9, atol=1e-9),
        "changes with the numbers of the currencies, which mean nothing; it may only ask if two are equal",
    )


_ALLOWED: Final[dict[str, tuple[Callable[[Floats], np.ndarray], str]]] = {
    "share": (
        lambda values: (values < 0) | (values > 1),
        "is not a share from 0 to 1; use the unit ratio, or bound it",
    ),
    "flag": (lambda values: (values != 0) & (values != 1), "is neither 0 nor 1, as a flag is"),
    "count": (lambda values: values < 0, "is below 0, which no count is"),
}


def _check_values(problems: _Problems, columns: Catalogue, values: Floats, is_empty: np.ndarray) -> None:
    """Find infinite values, empty histories without their empty value, and values outside their units."""
    problems.add(np.isinf(values), "is infinite for some history; give nan where it is undefined")
    empty = np.array([each.empty for each in columns.indicators])
    of_empty = np.broadcast_to(empty, values.shape)
    problems.add(
        _differ(values, of_empty) & is_empty[:, :, None],
        "has another value for a customer without a row than its `empty`; make them equal",
    )
    _check_units(problems, columns, values)


def _check_units(problems: _Problems, columns: Catalogue, values: Floats) -> None:
    for unit, (_, what) in _ALLOWED.items():
        of_unit = np.array([each.unit == unit for each in columns.indicators])
        problems.add(_is_outside(unit, values) & of_unit, what)


def _is_outside(unit: str, values: Floats) -> np.ndarray:
    """Mark the values that a unit cannot have; undefined and infinite ones are not marked."""
    is_wrong, _ = _ALLOWED[unit]
    return is_wrong(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))


def check_own_values(own: OwnIndicators, columns: Catalogue, matrix: Floats) -> None:
    """Check the values of own indicators for real customers, before anything is learnt from them.

    Args:
        own: the indicators that the last columns are of.
        columns: the columns of the matrix.
        matrix: m x F indicators.

    Raises:
        ConfigError: some value is outside the unit of its indicator.
    """
    if columns.own:
        problems = _Problems(own.name, Catalogue(columns.indicators[-columns.own :]))
        _check_units(problems, problems.columns, matrix[:, None, -columns.own :])
        problems.raise_all()


def outside_units(columns: Catalogue, matrix: Floats) -> dict[str, int]:
    """Count the customers for whom an own indicator is outside its unit, by its name; counts of 0 are left out.

    Args:
        columns: the columns of the matrix.
        matrix: n x F indicators.
    """
    counts: dict[str, int] = {}
    for place, indicator in enumerate(columns.indicators[len(columns.indicators) - columns.own :], -columns.own):
        if indicator.unit in _ALLOWED and (count := int(_is_outside(indicator.unit, matrix[:, place]).sum())):
            counts[indicator.name] = count
    return counts


def _differ(values: Floats, wanted: Floats) -> np.ndarray:
    """Mark where two arrays differ in their bits; undefined is equal to undefined."""
    return np.asarray((values != wanted) & ~(np.isnan(values) & np.isnan(wanted)))


def _histories(random: np.random.Generator) -> Histories:
    """Make up customers: without rows, with one, with many at one moment, without money, and of every other kind."""
    counts = random.integers(0, _MOST_ROWS, _CUSTOMERS)
    counts[:6] = (0, 1, 1, 2, 3, 0)
    counts[-len(_MANY_ROWS) :] = _MANY_ROWS
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = int(offsets[-1])
    time = _BEGIN_US + random.integers(0, _DAYS * DAY_US, rows)
    time[offsets[1]] = _AS_OFS[1]
    time[offsets[2]] = _AS_OFS[2] + 1
    time[offsets[4] : offsets[5]] = _AS_OFS[1] - DAY_US
    owner = np.repeat(np.arange(_CUSTOMERS), counts)
    is_long = owner >= _CUSTOMERS - len(_MANY_ROWS)
    time[is_long] = time.max() - random.integers(0, _MANY_DAYS * DAY_US, int(is_long.sum()))
    time = time[np.lexsort((time, owner))]
    amount, balance, kind, currency, category = _contents(random, rows)
    without_money = (owner % 7 == 6) & ~is_long
    amount[without_money], balance[without_money], kind[without_money] = 0.0, 0.0, c.NOTHING
    kind[owner % 11 == 10] = c.FAILED_ROW
    currency[is_long] = random.integers(0, _CURRENCIES, int(is_long.sum()))
    is_large = owner == _CUSTOMERS - 1
    amount[is_large], balance[is_large] = amount[is_large] * _LARGE, balance[is_large] * _LARGE
    created = np.where(is_long, time.min(), (_BEGIN_US - random.integers(0, 400, _CUSTOMERS) * DAY_US)[owner])
    names = pa.array([f"customer_{number}" for number in range(_CUSTOMERS)])
    for column in (time, amount, balance, kind, currency, category, created):
        column.flags.writeable = False  # as they are for compiled code
    return Histories(names, offsets, time, amount, balance, kind, currency, category, created, "EUR")


def _contents(random: np.random.Generator, rows: int) -> tuple[np.ndarray, ...]:
    """Make up amounts, balances, kinds, currencies and categories."""
    amount = np.round(random.normal(scale=1_000.0, size=rows), 2)
    kind = np.where(amount > 0, c.DEPOSIT, c.WITHDRAWAL)
    drawn = random.random(rows)
    kind = np.where(drawn < 0.1, c.PENDING_ROW, np.where(drawn < 0.2, c.FAILED_ROW, kind))
    zero = drawn > 0.95
    amount, kind = np.where(zero, 0.0, amount), np.where(zero, c.NOTHING, kind)
    balance = np.round(random.normal(scale=5_000.0, size=rows), 2)
    currency, category = random.integers(0, 4, rows), random.integers(0, 2, rows)
    return amount, balance, kind.astype(np.int8), currency.astype(np.int16), category.astype(np.int8)


def _without_future(histories: Histories, as_of: int) -> Histories:
    """Remove the rows after a moment."""
    mask = histories.time <= as_of
    counts = np.add.reduceat(np.append(mask, False), histories.offsets[:-1]) * (np.diff(histories.offsets) > 0)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = ("time", "amount", "balance", "kind", "currency", "category", "created")
    return replace(histories, offsets=offsets, **{name: getattr(histories, name)[mask] for name in columns})


def _with_other_future(histories: Histories, as_of: int) -> Histories:
    """Replace the contents of the rows after a moment."""
    later = histories.time > as_of
    names = ("amount", "balance", "kind", "currency", "category")
    others = _contents(np.random.default_rng(2), histories.rows)
    changed: dict[str, Any] = {
        name: np.where(later, other, getattr(histories, name)) for name, other in zip(names, others, strict=True)
    }
    created = np.where(later, _BEGIN_US - 5_000 * DAY_US, histories.created)
    return replace(histories, created=created, **changed)
