"""Many values in one parameter, so that no database's limit of parameters bounds the length of a list.

On PostgreSQL they are written as the text of an array, on SQLite as JSON.

The driver would write an array value by value in Python, which takes several times as long for thousands of values.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Dialect,
    String,
    Text,
    TypeDecorator,
    bindparam,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy import cast as cast_to
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import Cast


def array_text(values: Iterable[int | None] | Iterable[float | None] | Iterable[str | None]) -> str:
    r"""Write numbers, booleans or texts, each possibly None, as an array; ValueError for a text with a NUL.

    >>> array_text([1, None, 3]), array_text([None, True]), array_text([1.5, None, float("inf")])
    ('{1,NULL,3}', '{NULL,true}', '{1.5,NULL,inf}')
    >>> print(array_text(["a", None, 'say "b\\c"']))
    {"a",NULL,"say \"b\\c\""}
    """
    items = list(values)
    kinds = set(map(type, items))
    if float in kinds:  # JSON cannot write infinity or NaN
        return f"{{{','.join('NULL' if item is None else repr(item) for item in items)}}}"
    if not any(issubclass(kind, str) for kind in kinds):
        return f"{{{msgspec.json.encode(items).decode()[1:-1].replace('null', 'NULL')}}}"
    # All texts are escaped at once, joined by NUL, which no text may contain.
    texts = cast("list[str]", items if None not in items else ["" if item is None else item for item in items])
    text = "\0".join(texts)
    if text.count("\0") != len(items) - 1:
        raise ValueError("a text has a NUL, which PostgreSQL cannot store")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    quoted = '"' + escaped.replace("\0", '"\0"') + '"'
    if texts is items:
        return "{" + quoted.replace("\0", ",") + "}"
    parts = zip(items, quoted.split("\0"), strict=True)
    return f"{{{','.join('NULL' if item is None else part for item, part in parts)}}}"


class _Literal(TypeDecorator[Any]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return array_text(value)


def array_parameter(name: str, kind: Any) -> Cast[Any]:
    """Return a statement's array parameter, of one type; its value is any iterable."""
    parameter: BindParameter[Any] = bindparam(name, type_=_Literal)
    return cast_to(parameter, ARRAY(kind))


class _JsonList(TypeDecorator[Any]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(list(value))


def among_parameter(
    dialect: str, column: ColumnElement[Any] | InstrumentedAttribute[Any], name: str
) -> ColumnElement[bool]:
    """Build the condition of `among` for a statement that is built once: its values are a parameter, any iterable."""
    if dialect == "sqlite":
        json_list: BindParameter[Any] = bindparam(name, type_=_JsonList)
        return column.in_(select(func.json_each(json_list).table_valued("value").c.value))
    kind = Text if isinstance(column.type, String) else BigInteger
    return column.in_(select(func.unnest(array_parameter(name, kind))))


def among(
    session: Session, column: ColumnElement[Any] | InstrumentedAttribute[Any], values: Sequence[int] | Sequence[str]
) -> ColumnElement[bool]:
    """Build the condition that a column has one of some values: one parameter, as PostgreSQL takes at most 65,535."""
    if session.get_bind().dialect.name == "sqlite":
        return column.in_(select(func.json_each(json.dumps(list(values))).table_valued("value").c.value))
    kind = Text if isinstance(column.type, String) else BigInteger  # from the column, as there may be no value
    return column.in_(select(func.unnest(cast_to(literal(array_text(values), Text), ARRAY(kind)))))


def rows_among(
    session: Session, columns: Sequence[ColumnElement[int] | InstrumentedAttribute[Any]], rows: Sequence[Sequence[int]]
) -> ColumnElement[bool]:
    """Build the condition that columns have the numbers of one of some rows; on PostgreSQL each is a parameter.

    On SQLite the rows are one parameter: it uses an index for rows of a query, and scans the table for a list.
    """
    if session.get_bind().dialect.name != "sqlite":
        return tuple_(*columns).in_([tuple(row) for row in rows])
    each = func.json_each(json.dumps([list(row) for row in rows])).table_valued("value").c.value
    return tuple_(*columns).in_(select(*(func.json_extract(each, f"$[{place}]") for place in range(len(columns)))))
