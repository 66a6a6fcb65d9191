"""Conditions of a list of which some are given and others are not."""

from typing import Any, TypeVar

from sqlalchemy import Select

Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])


def where_given(
    statement: Statement,
    *equal: tuple[Any, Any],
    moment: Any,
    since_us: int | None = None,
    until_us: int | None = None,
) -> Statement:
    """Narrow a statement by what was given; None is no condition.

    Args:
        statement: what is listed.
        equal: pairs of a column and the value that it must have.
        moment: the column that is from *since_us* on, and before *until_us*; microseconds.
        since_us: None for all that came before too.
        until_us: None for all that came later too.
    """
    for column, value in equal:
        if value is not None:
            statement = statement.where(column == value)
    if since_us is not None:
        statement = statement.where(moment >= since_us)
    if until_us is not None:
        statement = statement.where(moment < until_us)
    return statement
