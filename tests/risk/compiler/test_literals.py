"""Values that their subject can never have."""

from decimal import Decimal
from typing import Any

import pytest

from fivefold.risk.compiler.literals import literal_faults
from fivefold.risk.language.fields import FieldType, Kind, OneOf

AB = OneOf(one_of=("a", "b"))


@pytest.mark.parametrize(
    ("operator", "value", "kind", "declared", "told"),
    [
        ("equals", "a", Kind.TEXT, AB, None),
        ("equals", "c", Kind.TEXT, AB, "it is one of a, b"),
        ("not_in", ("a", "c"), Kind.TEXT, AB, "compares with 'c', which it can never be"),
        ("starts_with", "c", Kind.TEXT, AB, None),
        ("in_list", "c", Kind.TEXT, AB, None),
        ("equals", "NO", Kind.TEXT, "country", None),
        ("equals", "no", Kind.TEXT, "country", "two capital letters"),
        ("in", ("NO", "NOR"), Kind.TEXT, "country", "compares a country with 'NOR'"),
        ("in", ("NO", Decimal(47)), Kind.TEXT, "country", "compares a text with 47"),
        ("contains_any", ("x",), Kind.TEXTS, None, None),
        ("above", "x", Kind.NUMBER, "number", "compares a number with 'x'"),
        ("between", (Decimal(5), Decimal(5)), Kind.MONEY, None, None),
        ("between", (Decimal(6), Decimal(5)), Kind.MONEY, None, "runs from 6 to 5; the lower end comes first"),
        ("between", ("2024-01-02", "2024-01-01T23:00:00Z"), Kind.MOMENT, "date", "the lower end comes first"),
        ("between", ("2024-01-02", "x"), Kind.MOMENT, "date", "compares a date with 'x'"),
        ("at_least", "b", Kind.LEVEL, AB, None),
        ("at_least", Decimal(2), Kind.LEVEL, AB, None),
        ("at_least", Decimal(3), Kind.LEVEL, AB, "there is no level 3; there are a, b (1 to 2)"),
        ("in", ("a", "c"), Kind.LEVEL, AB, "there is no level c"),
        ("between", ("a", Decimal(2)), Kind.LEVEL, AB, None),
        ("between", ("b", "a"), Kind.LEVEL, AB, "runs from b to a; the lower end comes first"),
        ("equals", True, Kind.LEVEL, AB, "compares a level with true"),
    ],
)
def test_what_can_never_be_is_told(
    operator: str, value: Any, kind: Kind, declared: FieldType | None, told: str | None
) -> None:
    found = list(literal_faults(("when",), operator, value, kind, declared))
    assert [told in fault.problem for fault in found if told is not None] == ([] if told is None else [True])
    assert len(found) == (told is not None)
