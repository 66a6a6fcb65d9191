"""The canonical form of a part alone; that of whole rulesets is in test_reading.py."""

from decimal import Decimal

from fivefold.risk.language.base import canonical_form
from fivefold.risk.language.operators import Operators
from fivefold.risk.language.ruleset import Coverage, Outcome


def test_a_part_is_written_without_defaults_in_order_and_in_ascii() -> None:
    assert canonical_form(Coverage(rules=Decimal("100.0"), cases=Decimal("80.0"))) == "{}"
    assert canonical_form(Outcome(points=Decimal("-5.50"), floor="höher")) == '{"floor":"h\\u00f6her","points":-5.5}'
    assert canonical_form(Operators.model_validate({"in": ["b", Decimal("1.0")], "is": "present"})) == (
        '{"in":["b",1],"is":"present"}'
    )
