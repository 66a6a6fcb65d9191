"""Pages of lists: filtered, in the order of a unique key, from after the last row on. No transactions."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Float, Select, SmallInteger, String, literal, tuple_
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import NO_PLACE, Key, Page, Part, first_page

Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])


def rows_of(
    session: Session, statement: Select[*tuple[Any, ...]], keys: Sequence[Any], part: Part, *, descending: bool = False
) -> Page[Any]:
    """Read a part of the selected rows, in the order of *keys*.

    Args:
        session: an open session.
        statement: a statement without an order.
        keys: columns, or expressions of numbers or text, never null; together unique.
        part: which rows.
        descending: from the largest key to the smallest.

    Raises:
        ConfigError: the part begins after a value that is not a key of this list.
    """
    labelled = [
        key.label(f"key_{number}") for number, key in enumerate(keys)
    ]  # the statement may select the same columns
    rows = session.execute(bounded(statement.add_columns(*labelled), keys, part, descending=descending)).all()
    return first_page(rows, lambda row: tuple(row[-len(keys) :]), part.most).map(lambda row: row[: -len(keys)])


def bounded(statement: Statement, keys: Sequence[Any], part: Part, *, descending: bool = False) -> Statement:
    """Order a statement by *keys*, and bound it to a part and one row more; arguments and errors as for `rows_of`."""
    query = statement.order_by(*(key.desc() if descending else key for key in keys))
    if part.after is not None:
        place = _place(keys, part.after)
        query = query.where(tuple_(*keys) < place if descending else tuple_(*keys) > place)
    return query if part.most is None else query.limit(part.most + 1)


def scalars_of(
    session: Session, statement: Select[*tuple[Any, ...]], keys: Sequence[Any], part: Part, *, descending: bool = False
) -> Page[Any]:
    """Read a part of a statement that selects one value in each row, like `rows_of`."""
    return rows_of(session, statement, keys, part, descending=descending).map(lambda row: row[0])


def require_key(keys: Sequence[Any], after: Key) -> None:
    """Raise ConfigError unless *after* can be a place in the order of *keys*."""
    if len(after) != len(keys) or not all(_fits(value, key) for value, key in zip(after, keys, strict=True)):
        raise ConfigError(NO_PLACE)


def _place(keys: Sequence[Any], after: Key) -> Any:
    require_key(keys, after)
    return tuple_(*(literal(value, key.type) for value, key in zip(after, keys, strict=True)))


def _fits(value: float | str, key: Any) -> bool:
    """Return whether a database can compare a value with a key: numbers beyond its columns' range are errors."""
    if isinstance(key.type, String):
        return isinstance(value, str)
    if isinstance(key.type, Float):
        return type(value) is float and isfinite(value)
    limit = 2**63 if isinstance(key.type, BigInteger) else 2**15 if isinstance(key.type, SmallInteger) else 2**31
    return type(value) is int and -limit <= value < limit


def where_given(
    statement: Statement,
    *equal: tuple[Any, Any],
    moment: Any,
    since_us: int | None,
    until_us: int | None,
) -> Statement:
    """Add optional conditions to a statement; None sets no condition.

    Args:
        statement: what is listed.
        equal: pairs of a column and the value that it must have.
        moment: the column that is from *since_us* on, and before *until_us*; microseconds.
        since_us: None for no lower bound.
        until_us: None for no upper bound.
    """
    for column, value in equal:
        if value is not None:
            statement = statement.where(column == value)
    if since_us is not None:
        statement = statement.where(moment >= since_us)
    if until_us is not None:
        statement = statement.where(moment < until_us)
    return statement
