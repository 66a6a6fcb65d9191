"""Values that their subject can never have."""

from decimal import Decimal
from typing import Any

import pytest

from fivefold.risk.compiler.literals import literal_diagnostics
from fivefold.risk.language.fields import FieldType, OneOf, ValueType

AB = OneOf(one_of=("a", "b"))


@pytest.mark.parametrize(
    ("operator", "value", "kind", "declared", "told"),
    [
        ("equals", "a", ValueType.TEXT, AB, None),
        ("equals", "c", ValueType.TEXT, AB, "it is one of a, b"),
        ("not_in", ("a", "c"), ValueType.TEXT, AB, "compares with 'c', which it can never be"),
        ("starts_with", "c", ValueType.TEXT, AB, None),
        ("in_list", "c", ValueType.TEXT, AB, None),
        ("equals", "NO", ValueType.TEXT, "country", None),
        ("equals", "no", ValueType.TEXT, "country", "two capital letters"),
        ("in", ("NO", "NOR"), ValueType.TEXT, "country", "compares a country with 'NOR'"),
        ("in", ("NO", Decimal(47)), ValueType.TEXT, "country", "compares a text with 47"),
        ("contains_any", ("x",), ValueType.TEXTS, None, None),
        ("above", "x", ValueType.NUMBER, "number", "compares a number with 'x'"),
        ("between", (Decimal(5), Decimal(5)), ValueType.MONEY, None, None),
        ("between", (Decimal(6), Decimal(5)), ValueType.MONEY, None, "runs from 6 to 5; the lower end comes first"),
        ("between", ("2024-01-02", "2024-01-01T23:00:00Z"), ValueType.MOMENT, "date", "the lower end comes first"),
        ("between", ("2024-01-02", "x"), ValueType.MOMENT, "date", "compares a date with 'x'"),
        ("at_least", "b", ValueType.LEVEL, AB, None),
        ("at_least", Decimal(2), ValueType.LEVEL, AB, None),
        ("at_least", Decimal(3), ValueType.LEVEL, AB, "there is no level 3; there are a, b (1 to 2)"),
        ("in", ("a", "c"), ValueType.LEVEL, AB, "there is no level c"),
        ("between", ("a", Decimal(2)), ValueType.LEVEL, AB, None),
        ("between", ("b", "a"), ValueType.LEVEL, AB, "runs from b to a; the lower end comes first"),
        ("equals", True, ValueType.LEVEL, AB, "compares a level with true"),
    ],
)
def test_what_can_never_be_is_told(
    operator: str, value: Any, kind: ValueType, declared: FieldType | None, told: str | None
) -> None:
    found = list(literal_diagnostics(("when",), operator, value, kind, declared))
    assert [told in fault.problem for fault in found if told is not None] == ([] if told is None else [True])
    assert len(found) == (told is not None)
