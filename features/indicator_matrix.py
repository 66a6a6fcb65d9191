"""Indicators of many customers at many as-of dates, in one pass over their histories."""

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fivefold.domain.errors import FivefoldError, ModelError, OwnIndicatorError
from fivefold.features import schema as c
from fivefold.features.catalogue.indicator import Catalogue, fingerprint_with
from fivefold.features.catalogue.kernel import Walk, compile_walk
from fivefold.features.catalogue.own import OwnIndicators, hint_about
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.features.indicators import CATALOGUE
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading import compiled_loops
from fivefold.features.reading.layout import order_loops

MOST_OWN = 16
"""Files of own indicators that stay compiled in a process: those of the models that it serves and compares."""
_COMPILING = Lock()
_CUSTOMERS_A_THREAD = 2_000
"""With fewer customers a second thread costs more time than it saves."""


class Snapshots(NamedTuple):
    """Indicators of n customers at k as-of dates.

    Attributes:
        values: n x k x F indicators, columns in the order of the whole catalogue; NaN where undefined.
        row_counts: n x k, the rows of each customer up to that moment.
    """

    values: npt.NDArray[np.float64]
    row_counts: Integers


def snapshots(
    histories: Histories,
    as_ofs: Integers,
    walk: Walk | None = None,
    *,
    own: OwnIndicators | None = None,
    wanted: Collection[str] | None = None,
) -> Snapshots:
    """Compute every indicator of every customer at each of k moments (microseconds).

    *walk* is by default the compiled catalogue; tests pass an interpreted or bounds-checked one. An operator's *own*
    indicators come after those of the catalogue. If *wanted* names some of the catalogue, the others are NaN, and take
    no time.

    Raises:
        OwnIndicatorError: one of the own indicators ended with an error, such as a division by zero or an index out of
            bounds, or is infinite; it names the first such customer.
    """
    as_ofs = np.ascontiguousarray(as_ofs, dtype=np.int64)
    results = walk_over(walk or warm(), histories, as_ofs, CATALOGUE, wanted)
    if own is None:
        return results
    own_walk = warm_own(own)
    try:
        more = walk_over(own_walk, histories, as_ofs, own.catalogue)
    except Exception as error:
        raise next(own_failures(histories, as_ofs, own), error) from error
    if np.isinf(more.values).any():
        raise next(own_failures(histories, as_ofs, own))
    return Snapshots(np.concatenate([results.values, more.values], axis=2), results.row_counts)


def own_failures(
    histories: Histories, as_ofs: Integers, own: OwnIndicators, names: Sequence[str] = ()
) -> Iterator[OwnIndicatorError]:
    """Yield an error for each customer and own indicator that cannot be computed at one of the moments.

    If a walk over many customers ends with an error, each half is walked alone, down to one customer, and then to each
    of the indicators (*names*, by default all).
    """
    columns, names = own.catalogue, names or own.catalogue.names
    try:
        values = walk_over(warm_own(own), histories, as_ofs, columns, names).values
    except Exception as error:  # noqa: BLE001 (whatever the operator's code fails with)
        if histories.customers == len(names) == 1:
            indicator, words = f"{own.name}: indicator {names[0]}", f": {error}{hint_about(error, own.text)}"
            customer = histories.user_ids[0].as_py()
            yield OwnIndicatorError.of_customer(customer, indicator, f"ended with {type(error).__name__}", words)
            return
        for part, some in _smaller(histories, names):
            yield from own_failures(part, as_ofs, own, some)
        return
    for customer, column in np.argwhere(np.isinf(values).any(axis=1)).tolist():
        indicator = f"{own.name}: indicator {columns.names[column]}"
        problem = "is infinite; give nan where it is undefined"
        yield OwnIndicatorError.of_customer(histories.user_ids[customer].as_py(), indicator, problem)


def _smaller(histories: Histories, names: Sequence[str]) -> list[tuple[Histories, Sequence[str]]]:
    """Cut the customers into halves; for one customer, take each indicator alone."""
    if histories.customers == 1:
        return [(histories, (name,)) for name in names]
    middle = histories.customers // 2
    return [(histories.select(0, middle), names), (histories.select(middle, histories.customers), names)]


def walk_over(
    walk: Walk, histories: Histories, as_ofs: Integers, columns: Catalogue, wanted: Collection[str] | None = None
) -> Snapshots:
    """Compute the indicators of one catalogue, by its walk, of every customer at each of k moments (microseconds).

    If *wanted* names some of them, the others are NaN.
    """
    shape = (histories.customers, len(as_ofs))
    mask = np.ones(len(columns.indicators), dtype=np.bool_)
    values = np.empty((*shape, len(mask)))
    if wanted is not None:
        mask[:] = [name in wanted for name in columns.names]
        values[..., ~mask] = np.nan
    row_counts = np.empty(shape, dtype=np.int64)
    bounds = _shares(histories)
    if len(bounds) == 2:
        _walk(walk, histories, (as_ofs, mask), values, row_counts)
    else:
        with ThreadPoolExecutor(len(bounds) - 1) as pool:
            walks = [
                pool.submit(
                    _walk,
                    walk,
                    histories.select(first, last),
                    (as_ofs, mask),
                    values[first:last],
                    row_counts[first:last],
                )
                for first, last in pairwise(bounds)
            ]
        for walk_of_part in walks:
            walk_of_part.result()
    if histories.unknown_from is not None:
        _undefine(values, histories.unknown_from, as_ofs, columns)
    return Snapshots(values, row_counts)


def indicator_matrix(histories: Histories, as_of: int, own: OwnIndicators | None = None) -> tuple[Floats, Integers]:
    """Compute the n x F indicators at one moment (microseconds), and the rows of each customer up to it."""
    at_moment = snapshots(histories, np.array([as_of], dtype=np.int64), own=own)
    return at_moment.values[:, 0, :], at_moment.row_counts[:, 0]


@lru_cache(maxsize=1)
def warm() -> Walk:
    """Load the compiled catalogue and loops, or compile them: seconds, once per machine, so call it at start."""
    compile_loops(compiled_loops)
    compile_loops(order_loops)
    return compile_walk(CATALOGUE)


def warm_own(own: OwnIndicators) -> Walk:
    """Load an operator's compiled indicators, or compile them: a second or two, once per machine.

    One thread does so while others wait: Python 3.11 cannot parse in two threads at once.

    Raises:
        ModelError: they cannot be compiled here.
    """
    with _COMPILING:
        try:
            return _compiled_own(own)
        except FivefoldError:
            raise
        except Exception as error:  # whatever Numba or the operator's text fails with
            raise ModelError(f"{own.name} cannot be compiled here: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=MOST_OWN)
def _compiled_own(own: OwnIndicators) -> Walk:
    return compile_walk(own.catalogue, checked=True)


def catalogue(absent: tuple[str, ...] = (), own: OwnIndicators | None = None) -> Catalogue:
    """Return the catalogue of a matrix: an operator's *own* indicators come last.

    Indicators that read a balance are left out if balances are *absent*.
    """
    return _catalogue(c.BALANCE in absent, own)


def fingerprint(absent: tuple[str, ...], own: OwnIndicators | None = None) -> str:
    """Return the fingerprint of `catalogue(absent, own)` without running the text of the operator's own indicators."""
    return fingerprint_with(catalogue(absent).fingerprint, "" if own is None else own.digest)


def select_columns(matrix: Floats, absent: tuple[str, ...], own: OwnIndicators | None = None) -> Floats:
    """Select the columns of `catalogue(absent, own)` from a matrix that has all columns, in its last axis."""
    return matrix[..., ~catalogue((), own).readers(c.BALANCE)] if c.BALANCE in absent else matrix


@lru_cache(maxsize=2 * MOST_OWN)
def _catalogue(without_balance: bool, own: OwnIndicators | None) -> Catalogue:
    shipped = CATALOGUE.indicators
    more = () if own is None else own.catalogue.indicators
    if without_balance:
        shipped, more = (tuple(each for each in some if not each.reads(c.BALANCE)) for some in (shipped, more))
    elif own is None:
        return CATALOGUE
    return Catalogue((*shipped, *more), len(more), "" if own is None else own.digest)


def _undefine(values: Floats, unknown_from: Integers, as_ofs: Integers, columns: Catalogue) -> None:
    """Set values to NaN whose indicator reads a column that some row up to the as-of lacks."""
    for place, column in enumerate(c.NULLABLE):
        unknown = unknown_from[:, place, None] <= as_ofs
        if unknown.any():
            values[unknown[..., None] & columns.readers(column)] = np.nan


def _walk(
    walk: Walk, part: Histories, request: tuple[Integers, npt.NDArray[np.bool_]], values: Floats, row_counts: Integers
) -> None:
    """Walk over some histories; *request* has the moments, and which indicators are wanted."""
    walk(
        part.offsets,
        part.time,
        part.amount,
        part.balance,
        part.kind,
        part.currency,
        part.category,
        part.created,
        *request,
        values,
        row_counts,
    )


def _shares(histories: Histories) -> list[int]:
    """Cut the customers into parts of about equally many rows, one for each processor."""
    if histories.customers < _CUSTOMERS_A_THREAD:
        return [0, histories.customers]
    threads = min(os.cpu_count() or 1, 1 + histories.customers // _CUSTOMERS_A_THREAD)
    marks = [histories.rows * part // threads for part in range(1, threads)]
    inner = np.searchsorted(histories.offsets, marks).tolist()
    return [0, *inner, histories.customers]
