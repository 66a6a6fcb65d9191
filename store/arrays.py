"""Many values in one parameter of PostgreSQL, written as the text of an array.

The driver would write an array value by value, in Python, which for thousands takes several times as long.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, BindParameter, Dialect, Text, TypeDecorator, bindparam, cast
from sqlalchemy.sql.elements import Cast


def literal_of(values: Iterable[int | str | None]) -> str:
    r"""Write whole numbers, texts or nothing as an array.

    >>> literal_of([1, None, 3])
    '{1,NULL,3}'
    >>> print(literal_of(["a", 'say "b\\c"']))
    {"a","say \"b\\c\""}
    """
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: int | str | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Literal(TypeDecorator[Any]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return literal_of(value)


def array_named(name: str, kind: Any) -> Cast[Any]:
    """Give the parameter of a statement that is an array of a type; its values come as any iterable."""
    given: BindParameter[Any] = bindparam(name, type_=_Literal)
    return cast(given, ARRAY(kind))
