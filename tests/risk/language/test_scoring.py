"""Scores: names of levels, and columns of weights."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.scoring import LevelName, Weighted
from tests.risk.language.documents_made import Data


@pytest.mark.parametrize(("value", "read"), [("high", "high"), ("3", "3"), (3, 3), (Decimal("3.0"), 3)])
def test_a_level_is_a_name_or_a_number(value: Any, read: Any) -> None:
    found = TypeAdapter[Any](LevelName).validate_python(value)
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize("value", [True, 2.5, Decimal("2.5"), None, ["high"]])
def test_what_is_no_level_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="its name, or its number from 1"):
        TypeAdapter[Any](LevelName).validate_python(value)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"a": Decimal("33.33"), "b": Decimal("33.33"), "c": Decimal("33.34")}, None),
        ({"a": 99}, "the weights of retail total 99 %; they must total 100 %"),
        ({"a": 50, "b": Decimal("50.01")}, "the weights of retail total 100.01 %"),
    ],
)
def test_a_column_of_weights_totals_a_hundred(weights: Data, told: str | None) -> None:
    data = {"bands": [31, 61], "weights": {"retail": weights}, "weights_by": [{"use": "retail"}]}
    if told is None:
        assert Weighted.model_validate(data).weights["retail"] == weights
    else:
        with pytest.raises(ValidationError, match=told):
            Weighted.model_validate(data)
