"""What would move a level: what a person can change, which way, and what holds the level all the same."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.governance.what_if import search
from fivefold.risk.governance.what_if.answers import SmallestChange, WhatIf, value_texts, what_if
from fivefold.risk.governance.what_if.moments import ValueShift
from fivefold.risk.governance.what_if.search import ChangedAssessment, WantedDirection
from fivefold.risk.governance.what_if.variations import variations
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Rule
from tests.risk.governance.making import AS_OF, DAY

Data = dict[str, Any]
CASH = {"sum": "amount", "where": {"field": "direction", "equals": "withdrawal"}, "over": "180 days"}


def rule(name: str, own: Data | None, *cases: Data, **more: Any) -> Data:
    inputs = {} if own is None else {"input": own}
    return {"id": name, "title": name.title(), "category": "other", **inputs, "cases": list(cases), **more}


def case(when: Any, points: float = 0, **more: Any) -> Data:
    return {"when": when, "points": points, **more}


CASH_RULE = rule("cash", CASH, case({"at_least": 50000}, 20), case({"at_least": 10000}, 10), changeable="down")
VERIFIED = rule("funds", {"field": "verified"}, case({"equals": False}, 10), changeable="either")


def document(*rules: Data, **more: Any) -> Data:
    return {
        "ruleset": "ours",
        "entity_type": "customer",
        "fields": {"income": "number", "verified": "flag", "occupation": "text", "born": "date"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [10, 30]}},
        "max_recompute_interval": "180 days",
        "rules": list(rules),
        **more,
    }


def ask(
    made: Data, person: Data, direction: WantedDirection = WantedDirection.DOWN, level: int | None = None, **held: Any
) -> WhatIf:
    return what_if(subject(made, person, **held), direction, level)


def subject(made: Data, person: Data, **held: Any) -> ChangedAssessment:
    analysed = AnalysedRuleset(read_ruleset(json.dumps(made)))
    fields = {name: [person.get(name)] for name in ("income", "verified", "occupation", "born")}
    entities = pl.DataFrame({"entity_id": ["a"], **fields}, strict=False)
    paid = {
        "entity_id": ["a"] * len(person.get("cash", ())),
        "transaction_amount": [-float(amount) for amount, _ in person.get("cash", ())],
        "transaction_currency": ["EUR"] * len(person.get("cash", ())),
        "transaction_date": [AS_OF - days * DAY for _, days in person.get("cash", ())],
    }
    schema = {"entity_id": pl.String, "transaction_amount": pl.Float64, "transaction_currency": pl.String}
    rows = pl.DataFrame(paid, schema={**schema, "transaction_date": pl.Int64})
    moments = rows.with_columns(pl.col("transaction_date").cast(pl.Datetime("us", "UTC")))
    tags = pl.DataFrame({"entity_id": ["a"] * len(person.get("tags", ())), "tag": person.get("tags", [])}, strict=False)
    tags = tags.cast({"entity_id": pl.String, "tag": pl.String})
    portfolio = Portfolio(entities, base_only("EUR", date(2024, 7, 1)), moments, tags=tags)
    return ChangedAssessment.of(assess(analysed, portfolio, AS_OF, **held), 0, **held)


def rules_of(made: Data) -> Sequence[Rule]:
    return read_ruleset(json.dumps(made)).rules


def shown(answer: SmallestChange) -> list[tuple[str, str]]:
    return [(change.now, change.then) for change in answer.changes]


def test_the_nearest_sum_below_the_bound_of_its_case() -> None:
    found = ask(document(CASH_RULE), {"cash": [(12400, 5)]})
    (answer,) = found.answers
    assert shown(answer) == [("12,400.00 EUR", "below 10,000.00 EUR")]
    assert (found.level, answer.level, answer.after.score) == ("medium", "low", "0")
    (factor,) = answer.factors
    assert (factor.before.case, factor.after.case) == (2, "otherwise")
    assert found.without == ()


def test_two_factors_of_which_neither_is_enough() -> None:
    made = document(CASH_RULE, VERIFIED, rule("rest", {"field": "income"}, case({"below": 1}, 5)))
    found = ask(made, {"cash": [(60000, 5)], "verified": False, "income": 0})
    assert found.level == "high"
    assert [shown(answer) for answer in found.answers] == [
        [("60,000.00 EUR", "below 50,000.00 EUR")],
        [("false", "true")],
    ]
    found = ask(made, {"cash": [(60000, 5)], "verified": False, "income": 0}, level=1)
    (pair,) = found.answers
    assert shown(pair) == [("60,000.00 EUR", "below 10,000.00 EUR"), ("false", "true")]
    assert [(one.rule, one.why) for one in found.without] == [
        ("cash", "only with another"),
        ("funds", "only with another"),
        ("rest", "not changeable"),
    ]
    assert [one.gives for one in found.without] == [True, True, True]


def test_of_pairs_the_ones_that_change_least_of_either() -> None:
    income = rule("income", {"field": "income"}, case({"above": 200}, 20), case({"above": 100}, 10), changeable="down")
    made = document(CASH_RULE, income, score={"points": {"thresholds": [21, 100]}})
    found = ask(made, {"cash": [(60000, 5)], "income": 300})
    alone = [shown(answer) for answer in found.answers]
    assert alone == [
        [("60,000.00 EUR", "below 10,000.00 EUR")],
        [("300", "100")],
        [
            ("60,000.00 EUR", "below 50,000.00 EUR"),
            ("300", "200"),
        ],
    ]


def test_a_floor_of_what_nobody_can_change_holds() -> None:
    marked = rule("marked", {"tag": "watch"}, case("present", 0, floor="high"))
    found = ask(document(CASH_RULE, marked), {"cash": [(12400, 5)], "tags": ["watch"]})
    assert found.level == "high"
    assert found.answers == ()
    assert [(one.rule, one.why, one.gives) for one in found.without] == [
        ("cash", "not alone", True),
        ("marked", "not changeable", True),
    ]


def test_only_the_way_that_is_declared_is_gone() -> None:
    made = document(CASH_RULE)
    assert ask(made, {"cash": [(12400, 5)]}, WantedDirection.UP).answers == ()
    less = {**CASH_RULE, "changeable": "up", "cases": [case({"at_least": 10000}, 40)]}
    (answer,) = ask(document(less), {"cash": [(5000, 5)]}, WantedDirection.UP).answers
    assert (shown(answer), answer.level) == ([("5,000.00 EUR", "10,000.00 EUR")], "high")
    opposed = [{**less, "id": "other", "changeable": "down"}, {**less, "cases": [case({"below": 10000}, 40)]}]
    assert ask(document(*opposed), {"cash": [(5000, 5)]}).answers == ()


def test_what_is_unknown_may_become_known() -> None:
    made = document({**VERIFIED, "on_unknown": {"points": 10}})
    (answer,) = ask(made, {}).answers
    (change,) = answer.changes
    assert (change.side, change.now, change.then, answer.level) == (ValueShift.KNOWN, "unknown", "true", "low")


def test_an_unknown_number_may_become_one_beyond_a_bound() -> None:
    """What lies just beside a bound is written by the bound, not with sixteen digits."""
    for when, then in (({"above": 20}, "above 20"), ({"below": 20.5}, "below 20.5"), ({"at_least": 20}, "20")):
        income = rule("income", {"field": "income"}, case(when, 0), case("present", 20), changeable="either")
        (answer,) = ask(document({**income, "on_unknown": {"points": 20}}), {}).answers
        assert [(change.now, change.then) for change in answer.changes] == [("unknown", then)]


def test_the_cooldown_is_told() -> None:
    held = {"previous": pl.DataFrame({"entity_id": ["a"], "level": [2], "entered": [AS_OF - DAY_US]})}
    (answer,) = ask(document(CASH_RULE, cooldown="30 days"), {"cash": [(12400, 5)]}, **held).answers
    assert (answer.level, answer.after.level) == ("low", "medium")
    assert answer.held_until == AS_OF + 29 * DAY_US
    (answer,) = ask(document(CASH_RULE, cooldown="30 days"), {"cash": [(12400, 5)]}).answers
    assert answer.held_until == AS_OF + 30 * DAY_US  # the level was entered by this assessment


def test_an_override_is_told() -> None:
    held = {
        "overrides": pl.DataFrame(
            {"entity_id": ["a"], "level": [3], "until": [None]}, schema_overrides={"until": pl.Int64}
        )
    }
    found = ask(document(CASH_RULE), {"cash": [(12400, 5)]}, **held)
    assert found.overridden
    assert [(answer.level, answer.after.level) for answer in found.answers] == [("low", "high")]


@pytest.mark.parametrize(
    ("ago", "direction", "words"),
    [(0, WantedDirection.DOWN, ("0", "1.5")), (2, WantedDirection.UP, ("2", "below 1.5"))],
)
def test_the_age_at_which_points_halve_is_not_rounded(ago: int, direction: WantedDirection, words: Any) -> None:
    latest = {"days_since": "transactions"}
    fades = rule("latest", latest, case({"at_least": 0}, 40), changeable="either", decay={"half_life": "36 hours"})
    answer = ask(document(fades), {"cash": [(100, ago)]}, direction).answers[0]
    assert shown(answer) == [words]


def test_points_that_fade_do_not_come_back_where_there_is_less() -> None:
    fading = {**CASH_RULE, "cases": [case({"at_least": 50000}, 40), case({"at_least": 10000}, 20)]}
    made = document({**fading, "decay": {"half_life": "30 days"}})
    (answer,) = ask(made, {"cash": [(60000, 31)]}).answers
    assert shown(answer) == [("60,000.00 EUR", "below 10,000.00 EUR")]  # below 50,000 it is 20, halved once: medium
    more = {**fading, "changeable": "up", "cases": [case({"at_least": 50000}, 40)], "decay": {"half_life": "30 days"}}
    (answer,) = ask(document(more), {"cash": [(20000, 100)]}, WantedDirection.UP).answers
    assert answer.after.score == "40"  # a fact of today


@pytest.mark.parametrize("own", [{"field": "born"}, CASH], ids=["field", "aggregate"])
@pytest.mark.parametrize("more", [{}, {"decay": {"half_life": "90 days"}}], ids=["stays", "fades"])
def test_an_input_that_no_condition_compares_leaves_the_answers_of_others(own: Data, more: Data) -> None:
    apart = rule("apart", own, case({"field": "verified", "equals": True}, 5), changeable="either", **more)
    work = rule("work", {"field": "occupation"}, case({"equals": "dealer"}, 10), changeable="either")
    person = {"born": date(2024, 6, 1), "verified": True, "occupation": "dealer", "cash": [(100, 5)]}
    found = ask(document(apart, work), person)
    assert [("dealer", "something else")] in [shown(answer) for answer in found.answers]


def test_one_word_stands_for_all_that_are_treated_alike() -> None:
    own = rule("work", {"field": "occupation"}, case({"in": ["dealer", "broker"]}, 10), changeable="either")
    (answer,) = ask(document(own), {"occupation": "dealer"}).answers
    assert shown(answer) == [("dealer", "something else")]
    (answer,) = ask(document(own), {"occupation": "teacher"}, WantedDirection.UP).answers
    assert shown(answer) == [("teacher", "something else, such as dealer")]


def test_inputs_that_depend_on_each_other_stay() -> None:
    ratio = rule("ratio", {"ratio": [CASH, {"field": "income"}]}, case({"above": 2}, 10), changeable="down")
    income = rule("income", {"field": "income"}, case({"below": 1}, 1), changeable="up")
    found = ask(document(ratio, income), {"cash": [(12400, 5)], "income": 100})
    assert [shown(answer) for answer in found.answers] == [[("124", "2")]]
    assert [(one.rule, one.why) for one in found.without] == [("income", "linked")]
    both = document(ratio, income, CASH_RULE)
    found = ask(both, {"cash": [(12400, 5)], "income": 100})
    assert {one.why for one in found.without} == {"linked"}
    born = [rule("born", {"field": "born"}, case({"below": "2000-01-01"}, 10), changeable="up")]
    born.append(rule("age", {"days_since": "born"}, case({"at_least": 10000}, 10), changeable="down"))
    assert {one.why for one in ask(document(*born), {"born": "1960-01-01"}).without} == {"linked"}


def test_likeness_is_not_decided() -> None:
    like = rule(
        "like",
        {"field": "occupation"},
        case({"fuzzy": {"to": "arms dealer", "scorer": "ratio", "at_least": 20}}, 10),
        case({"is": "present"}, 20),
        changeable="either",
    )
    found = ask(document(like), {"occupation": "arms dealer"})
    assert [(one.rule, one.why) for one in found.without] == [("like", "not decided")]


@pytest.mark.parametrize(("level", "wished"), [(None, None), (1, None), (2, None), (3, None)])
def test_nothing_is_below_the_lowest_level(level: int | None, wished: str | None) -> None:
    found = ask(document(CASH_RULE), {}, level=level)
    assert (found.level, found.wished, found.answers, found.without) == ("low", wished, (), ())


def test_nothing_is_said_of_an_assessment_that_failed() -> None:
    income = rule("income", {"field": "income"}, case({"below": 1}, 30), changeable="up")
    found = ask(document(CASH_RULE, income), {"cash": [(12400, 5)], "income": "much"})
    assert (found.level, found.answers) == (None, ())
    assert found.now.failures


def test_pairs_that_were_not_tried_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_PAIRS", 0)
    made = document(CASH_RULE, VERIFIED)
    found = ask(made, {"cash": [(60000, 5)], "verified": False}, level=1)
    assert (found.answers, found.pairs_left_out) == ((), 2)


LAST = rule("last", {"field": "born"}, case({"at_least": "2024-01-01"}, 5), case("present"), changeable="either")


@pytest.mark.parametrize(
    ("more", "own"),
    [
        ({"calculate": {"c": {"unit": "days", "of": {"days_since": "born"}}}}, {"calculation": "c"}),
        (
            {
                "calculate": {
                    "c": {"unit": "days", "of": {"days_since": "born"}},
                    "d": {"unit": "days", "of": {"calculation": "c"}},
                }
            },
            {"calculation": "d"},
        ),
        ({}, {"ratio": [{"days_since": "born"}, {"field": "income"}]}),
    ],
)
def test_what_something_else_is_computed_from_stays_whatever_is_between(more: Data, own: Data) -> None:
    other = rule("other", own, case({"at_least": 100}, 15), otherwise={"points": 5})
    found = ask(document(LAST, other, **more), {"born": "2024-06-01", "income": 1})
    assert (found.level, found.answers) == ("medium", ())
    assert found.without[0].why == "linked"


def test_what_is_made_of_what_others_read_stays() -> None:
    ratio = rule("ratio", {"ratio": [{"days_since": "born"}, {"field": "income"}]}, case({"above": 2}, 10))
    read = [
        rule("days", {"days_since": "born"}, case("absent", 1)),
        rule("income", {"field": "income"}, case("absent", 1)),
    ]
    changeable = {**ratio, "changeable": "either"}
    person = {"born": "2024-06-01", "income": 1}
    assert ask(document(changeable, read[0]), person).answers
    assert ask(document(changeable, *read), person).answers == ()


@pytest.mark.parametrize(
    ("own", "person"),
    [
        ({"field": "occupation"}, {"occupation": "dealer"}),
        ({"max": "amount"}, {"cash": [(500, 5)]}),
        ({"days_since": "transactions"}, {"cash": [(500, 5)]}),
    ],
)
def test_nobody_is_advised_to_have_nothing(own: Data, person: Data) -> None:
    found = ask(document(rule("own", own, case("present", 12), changeable="either")), person)
    assert (found.answers, [one.why for one in found.without]) == ((), ["only absent"])


def test_what_would_not_help_if_it_were_absent_either() -> None:
    made = document(
        rule("own", {"field": "occupation"}, case("present", 12), changeable="either", otherwise={"points": 12})
    )
    (factor,) = ask(made, {"occupation": "dealer"}).without
    assert factor.why == "not alone"


def test_text_of_several_conditions_is_shown_by_an_example() -> None:
    asked = [{"field": "occupation", "starts_with": "ab"}, {"field": "occupation", "ends_with": "bc"}]
    made = document(rule("own", {"field": "occupation"}, case({"all": asked}, 12), changeable="either"))
    (answer,) = ask(made, {"occupation": "zz"}, WantedDirection.UP).answers
    assert shown(answer) == [("zz", "something else, such as ab…bc")]
    (plain, *others) = [shown(answer)[0][1] for answer in ask(made, {"occupation": "abbc"}).answers]
    assert plain == "something else"
    assert set(others) == {"something else, such as ab…", "something else, such as …bc"}


def test_points_that_fade_in_a_variation_are_shown_where_they_are_certain() -> None:
    fading = {**CASH_RULE, "decay": {"half_life": "30 days"}}
    own = variations(subject(document(fading), {"cash": [(60000, 31)]}), rules_of(document(fading))[0])
    values = {(value_texts(one.options, one.option, "EUR", ())[1], one.outcome.case) for one in own}
    assert values == {("below 10,000.00 EUR", "otherwise")}
