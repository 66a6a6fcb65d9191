"""Where conditions and inputs stand."""

from fivefold.risk.compiler.locations import conditions_of, inputs_at, wheres_in, word_at
from fivefold.risk.compiler.locations import tests_at as all_tests_at
from fivefold.risk.language.base import canonical_form
from fivefold.risk.language.documents import Document
from fivefold.risk.language.expressions import Count, FieldInput
from tests.risk.compiler.rulesets_made import made

WHERE = {"not": {"field": "state", "equals": "failed"}}
RULE = {
    "input": {"ratio": [{"count": "cases"}, {"count": "transactions", "where": WHERE}]},
    "cases": [
        {"when": {"all": ["present", {"any": [{"sum": "amount", "where": WHERE, "in_currency": "USD", "above": 5}]}]}},
        {"when": {"above": 2}},
    ],
    "decay": {"half_life": "1 day", "signal": {"count": "alerts"}},
}
SCORE = {
    "bands": [31, 61],
    "weights": {"a": {"one": 100}},
    "weights_by": [{"when": {"tag": "x", "is": "present"}, "use": "a"}, {"use": "a"}],
}
RULESET = made(RULE, applies_to={"field": "a", "is": "present"}, score={"weighted": SCORE})


def test_every_place_leads_to_what_is_written_there() -> None:
    """The paths are those of the file, where it is written out."""
    data = Document(canonical_form(RULESET)).data
    places = list(conditions_of(RULESET))
    places += [
        place
        for path, made_input in inputs_at(RULESET, conditions_of(RULESET))
        for place in wheres_in(path, made_input)
    ]
    for path, _ in ((path, test) for place in places for path, test in all_tests_at(place)):
        at = data
        for step in path:
            at = at[step]
        assert at == "present" or {"equals", "above", "is"} & set(at)
    assert len(places) == 6


def test_what_a_place_can_speak_of() -> None:
    predicate, choice, first, _ = conditions_of(RULESET)
    assert (predicate.path, predicate.own, choice.path[-2:]) == (("applies_to",), None, (0, "when"))
    assert first.own == RULESET.rules[0].input
    wheres = [
        place
        for path, made_input in inputs_at(RULESET, conditions_of(RULESET))
        for place in wheres_in(path, made_input)
    ]
    assert [(place.path[2:], place.source, place.currency) for place in wheres] == [
        (("input", "ratio", 1, "where"), "transactions", None),
        (("cases", 0, "when", "all", 1, "any", 0, "where"), "transactions", "USD"),
    ]


def test_inputs_are_found_with_their_words() -> None:
    assert [path[2:] for path, _ in inputs_at(RULESET, conditions_of(RULESET)) if path[0] == "rules"] == [
        ("input",),
        ("decay", "signal"),
        ("cases", 0, "when", "all", 1, "any", 0),
    ]
    assert word_at(("input",), FieldInput(field="a")) == ("input", "field")
    assert word_at(("input",), Count(count="cases")) == ("input", "count")
