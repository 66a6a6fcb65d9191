"""The difference between two assessments: every factor once, adding up to the difference of the totals."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.console.levels.difference import change_since_before
from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Assessment
from fivefold.usecases.levels.explain import ValueSeen, read_reasons
from fivefold.usecases.portfolio.current_levels import DecidedBy
from fivefold.usecases.portfolio.differences import AssessmentDifference, compare_assessments
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store.filling import filled_once
from tests.store.plans import statements
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank

BUSY = {
    "input": {"field": "income"},
    "cases": [{"when": {"at_least": 100}, "points": 12.5}],
    "otherwise": {"points": 1},
}
RULES = {"country": banks.COUNTRY, "busy": BUSY, "watch": banks.WATCH}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer of Norway with a little income."""
    made = Bank(engine)
    made.activate(banks.document(RULES))
    made.put("a", country="NO", income=1.0)
    made.put("b", country="NO")
    made.settle()
    return made


def changed(bank: Bank, **attributes: object) -> AssessmentDifference:
    bank.wait(days=1)
    bank.put("a", **attributes)
    bank.settle()
    return compare_assessments(bank.context, named(bank))


def named(bank: Bank, number: int | None = None) -> str:
    return f"{bank.id_of('a')}.{number or bank.standing().number}"


def test_a_factor_that_changed_is_shown_as_it_was_and_as_it_is(bank: Bank) -> None:
    found = changed(bank, country="RU", income=200.0)
    assert (found.earlier.level, found.later.level) == ("low", "medium")
    assert (found.earlier.score, found.later.score, found.points) == ("6", "52.5", "46.5")
    assert (found.later.at_us - found.earlier.at_us, found.unchanged) == (DAY_US, 0)
    assert found.earlier.decided_by == found.later.decided_by == DecidedBy(name="retail", version=1)
    assert found.factors is not None
    country, busy = found.factors
    assert country.earlier is not None
    assert country.later is not None
    assert (country.title, country.change, country.points) == ("Country", "changed", "35")
    assert (country.earlier.values, country.later.values) == (
        (ValueSeen("country", "NO"),),
        (ValueSeen("country", "RU"),),
    )
    assert (busy.change, busy.points) == ("changed", "11.5")


def test_a_factor_comes_and_goes(bank: Bank) -> None:
    gone = changed(bank, country="SE").factors
    assert gone is not None
    assert [(one.title, one.change, one.points, one.later) for one in gone] == [("Country", "gone", "-5", None)]
    added = changed(bank, country="KP").factors
    assert added is not None
    assert [(one.title, one.change, one.points, one.earlier) for one in added] == [("Country", "added", "70", None)]
    whole = compare_assessments(bank.context, named(bank), named(bank, 1))
    assert (whole.points, whole.earlier.assessment) == ("65", named(bank, 1))


def of_large_incomes(name: str = "retail") -> str:
    """A ruleset of a rule that cannot be computed of a large income."""
    large = {"unit": "ratio", "multiply": [{"field": "income"}] * 20}
    larger = {"unit": "ratio", "multiply": [{"calculation": "large"}] * 20}
    rule = {"input": {"calculation": "larger"}, "cases": [{"when": {"at_least": 1}, "points": 5}]}
    return banks.document({"product": rule}, name, calculate={"large": large, "larger": larger})


@pytest.mark.parametrize(("income", "points"), [(1.0, "-5"), (0.0, "0")])
def test_a_factor_that_could_not_be_computed_is_not_gone(bank: Bank, income: float, points: str) -> None:
    bank.activate(of_large_incomes())
    bank.put("a", income=income)
    bank.mark("a")
    bank.settle()
    found = changed(bank, income=20_000.0)
    assert found.factors is not None
    (factor,) = found.factors
    assert (found.later.status, factor.title, factor.change, factor.points) == ("failed", "Product", "failed", points)
    assert (factor.earlier is not None, factor.later) == (income == 1, None)
    assert "more digits than can be kept" in (factor.problem or "")
    half = change_since_before(bank.context, named(bank))
    assert half is not None
    assert (half.gave_other, half.changed, half.same) == (int(income == 1), (factor,), 0), "what failed gave nothing"
    assert changed(bank, income=30_000.0).factors == ()  # it could not before either
    again = changed(bank, income=income).factors
    assert again is not None
    (factor,) = again
    assert (factor.title, factor.change, factor.points) == ("Product", "computed", points.removeprefix("-"))
    assert (factor.earlier, factor.later is not None) == (None, income == 1)
    assert "more digits than can be kept" in (factor.problem or "")


@pytest.mark.parametrize("name", ["retail", "other"])
def test_a_new_rule_that_cannot_be_computed_could_not_before_either(bank: Bank, name: str) -> None:
    bank.activate(of_large_incomes(name), 0 if name == "other" else 1)
    found = changed(bank, income=20_000.0)
    assert (found.later.status, found.later.decided_by and found.later.decided_by.name) == ("failed", name)
    assert {(one.title, one.change) for one in found.factors or ()} == {("Country", "gone"), ("Busy", "gone")}


attributes = st.fixed_dictionaries(
    {"country": st.sampled_from(["NO", "RU", "KP", "SE"]), "income": st.sampled_from([0.0, 99.0, 100.0, 5e6])}
)


@settings(max_examples=examples(15), suppress_health_check=SHARED_FIXTURES)
@given(given_attributes=attributes)
def test_factors_add_up_and_are_those_of_the_two_breakdowns(bank: Bank, given_attributes: dict[str, object]) -> None:
    changed_before = bank.standing().number
    bank.wait(days=1)
    bank.put("a", **given_attributes)
    bank.settle()
    if bank.standing().number == changed_before:
        return
    found = compare_assessments(bank.context, named(bank))
    assert found.factors is not None
    assert found.points is not None
    assert sum(Decimal(one.points) for one in found.factors) == Decimal(found.points)
    earlier, later = (read_reasons(bank.context, each.assessment) for each in (found.earlier, found.later))
    assert earlier is not None
    assert later is not None
    assert {one.earlier for one in found.factors if one.earlier} == set(earlier.rules) - set(later.rules)
    assert {one.later for one in found.factors if one.later} == set(later.rules) - set(earlier.rules)
    assert found.unchanged == len(set(earlier.rules) & set(later.rules))


def test_another_ruleset_takes_its_factors_with_it(bank: Bank) -> None:
    bank.activate(banks.document(RULES, "other"), 0)
    bank.wait(days=1)
    bank.mark("a")
    bank.settle()
    found = compare_assessments(bank.context, named(bank))
    assert found.factors is not None
    assert (found.later.decided_by, found.points) == (DecidedBy(name="other", version=1), "0")
    assert sorted((one.title, one.change) for one in found.factors) == [
        ("Busy", "added"),
        ("Busy", "gone"),
        ("Country", "added"),
        ("Country", "gone"),
    ]


def test_the_first_ruleset_is_compared_with_the_time_without_one(engine: Engine) -> None:
    """Who was stored before the first activation has an assessment by no ruleset, here with a level set by hand."""
    bank = Bank(engine)
    bank.put("a", income=500)
    bank.override("a", 3, bank.now + DAY_US)
    bank.settle()
    bank.activate(banks.document({"rich": banks.INCOME}))
    bank.mark("a")
    bank.settle()
    bank.wait(days=2)
    bank.settle()
    first, last = (compare_assessments(bank.context, named(bank, number)) for number in (2, 3))
    assert (first.earlier.decided_by, first.earlier.level, first.earlier.status) == (None, "high", "no ruleset")
    assert (first.points, [each.title for each in first.factors or ()], first.override) == ("40", ["Rich"], None)
    assert (last.points, last.override) == ("0", "ended")


def test_what_was_erased_is_not_compared(bank: Bank) -> None:
    changed(bank, country="KP")
    with Session(bank.engine) as session, session.begin():
        number = bank.id_of("a")
        session.execute(update(Entity).where(Entity.id == number).values(erased_us=bank.now))
        session.execute(update(Assessment).where(Assessment.entity_id == number).values(breakdown=None))
    found = compare_assessments(bank.context, f"{number}.2")
    assert (found.points, found.factors, found.unchanged, found.later.score) == (None, None, None, None)
    assert (found.earlier.level, found.later.level) == ("low", "high")


def test_what_cannot_be_compared_is_refused(bank: Bank) -> None:
    changed(bank, country="KP")
    first, second, other = named(bank, 1), named(bank, 2), f"{bank.id_of('b')}.1"
    with pytest.raises(NotFoundError, match="is the first assessment"):
        compare_assessments(bank.context, first)
    with pytest.raises(ConfigError, match="of different entities"):
        compare_assessments(bank.context, second, other)
    with pytest.raises(ConfigError, match="is not earlier"):
        compare_assessments(bank.context, first, second)
    for name in ("x", "9.9", f"{first}1"):
        with pytest.raises(NotFoundError):
            compare_assessments(bank.context, name)
    stranger = Context(bank.engine, platforms.actor(platforms.organisation(bank.engine, "other")), bank.context.clock)
    with pytest.raises(NotFoundError):
        compare_assessments(stranger, second)


def test_the_number_of_queries_is_fixed(bank: Bank) -> None:
    changed(bank, country="KP")
    with statements(bank.engine) as asked:
        compare_assessments(bank.context, named(bank, 2))
    assert len(asked) <= 12
