"""Parts of rulesets in words."""

import pytest

from fivefold.risk.governance.diff.text import change_words, exact_words, part_words


@pytest.mark.parametrize(
    ("word", "part", "said"),
    [
        ("cooldown", None, "nothing"),
        ("rationale", "", "''"),
        ("levels", ["low", "high"], "low, high"),
        ("fields", {"kind": "text"}, '{"kind": "text"}'),
        ("overridable", True, "true"),
        ("otherwise", {}, "no points"),
        ("on_unknown", {"floor": 3}, "at least 3"),
        ("otherwise", {"points": 1}, "1 point"),
        ("applies_to", {"field": "kind", "equals": "person"}, "kind is person"),
        ("signal", {"field": "opened_on"}, "opened on"),
        ("case", {"when": "present", "points": 2.5, "floor": "high"}, "it is present: 2.5 points, at least high"),
    ],
)
def test_a_part_is_said_in_words(word: str, part: object, said: str) -> None:
    assert change_words(word, part) == said


def test_what_differs_never_looks_alike_where_it_is_written_out() -> None:
    assert part_words(["1"]) == part_words([1])
    assert exact_words(["1"]) != exact_words([1])
