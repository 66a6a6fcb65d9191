"""Examples that are linked: those beside them are given as they are, by the type of link."""

import json
from typing import Any

import pytest

from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.governance.examples.facts import check_examples
from fivefold.risk.governance.examples.run import run_examples

Data = dict[str, Any]
NOBODY = {"household": [], "owns": {"to": [], "from": []}}
PAID = {"transactions": [{"amount": 2, "time": "2024-06-01"}]}
NOW = parse_moment("2024-06-30", "now")


def ruleset_of(group: Data, given: Data, case: int | str) -> AnalysedRuleset:
    rule = {"id": "one", "title": "One", "category": "other", "input": {"linked": group}}
    content = {
        "ruleset": "small",
        "entity_type": "customer",
        "fields": {"income": "number"},
        "links": {"household": {"kind": "shared"}, "owns": {"kind": "directed"}},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [10, 20]}},
        "max_recompute_interval": "1 year",
        "rules": [{**rule, "cases": [{"when": {"at_least": 2}, "points": 10}]}],
        "examples": [
            {"name": "alone", "given": {"income": 1, "links": NOBODY}, "expect": {"level": "low"}},
            {"name": "linked", "given": given, "expect": {"cases": {"one": case}}},
        ],
    }
    return analyse_text(json.dumps(content))


COUNT = {"by": "household", "count": "entities"}
OWNED = {"by": "owns", "way": "to", "steps": 2, "count": "entities"}
DEEP = {"owns": {"to": [{"links": {"owns": {"to": [{}]}}}]}}


@pytest.mark.parametrize(
    ("group", "links", "case"),
    [
        (COUNT, {"household": [{}, {}]}, 1),
        (COUNT, {"household": [{}]}, "otherwise"),
        (COUNT, {}, "unknown"),
        (OWNED, DEEP, 1),
        (OWNED, {"owns": {"to": [{}, {}]}}, "unknown"),
        (OWNED, {"owns": {"to": []}}, "otherwise"),
        ({**OWNED, "way": "from", "steps": 1}, {"owns": {"to": [{}, {}], "from": [{}, {}]}}, 1),
        ({"by": "household", "sum": {"sum": "amount"}}, {"household": [PAID]}, 1),
        ({"by": "household", "max": {"field": "income"}}, {"household": [{"income": 1}, {"income": 2}]}, 1),
        ({"by": "household", "max": {"field": "income"}}, {"household": [{"income": None}, {"income": 2}]}, "unknown"),
        ({**COUNT, "where": {"tag": "x", "is": "present"}}, {"household": [{"tags": ["x"]}, {"tags": ["x"]}]}, 1),
        ({**COUNT, "where": {"screening": "pep", "is": "absent"}}, {"household": [{"screening": []}] * 2}, 1),
        ({**COUNT, "where": {"screening": "pep", "is": "absent"}}, {"household": [{}, {}]}, "unknown"),
    ],
)
def test_those_linked_are_given_as_the_example_is(group: Data, links: Data, case: int | str) -> None:
    analysed = ruleset_of(group, {"links": links}, case)
    assert check_examples(analysed.ruleset) == []
    assert [result.differences for result in run_examples(analysed, {}, NOW).results] == [(), ()]


@pytest.mark.parametrize(
    ("links", "place"),
    [
        ({"houshold": []}, "example linked"),
        ({"household": [{"incom": 1}]}, "example linked, household"),
        ({"owns": {"to": [{"links": {"own": []}}]}}, "example linked, owns"),
        ({"household": [{"tags": [{"tg": "x"}]}]}, "example linked, household, tags"),
    ],
)
def test_names_that_are_not_there_are_found_where_they_stand(links: Data, place: str) -> None:
    (found,) = check_examples(ruleset_of(COUNT, {"links": links}, 1).ruleset)
    assert found.where == place


@pytest.mark.parametrize(
    "links", [["household"], {"household": {}}, {"household": [1]}, {"owns": []}, {"owns": {"up": []}}]
)
def test_another_form_is_refused(links: Any) -> None:
    with pytest.raises(InvalidRulesetError):
        run_examples(ruleset_of(COUNT, {"links": links}, 1), {}, NOW)
