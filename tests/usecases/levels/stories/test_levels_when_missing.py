"""A level never falls because something is missing: stories of several days, with overrides, cooldowns and failures."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.risk.engine.assess import assess
from fivefold.usecases.audit.verify import AuditFinding, verify
from fivefold.usecases.levels.read import list_failed, read_level_of_profile
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.shared.context import Context
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank

SANCTIONED: dict[str, Any] = {
    "input": {"field": "occupation"},
    "cases": [{"when": {"equals": "sanctioned"}, "points": 100, "floor": "high"}],
}
"""A floor on a text field; cooldown is 10 days, the interval 30."""
ODD: dict[str, Any] = {"input": {"field": "country"}, "cases": [{"when": {"equals": "SE"}, "points": 5}]}
NORDIC = {**platforms.FIELDS, "country": {"one_of": ["NO", "SE"]}}
"""The ruleset can read two countries alone: with any other one an assessment fails."""
PEP: dict[str, Any] = {"input": {"field": "pep"}, "cases": [{"when": {"equals": True}, "points": 1, "floor": "medium"}]}


@pytest.fixture
def bank(engine: Engine) -> Iterator[Bank]:
    """A bank with one sanctioned customer at high since 100 days; whatever is stored can be made again."""
    made = Bank(engine)
    made.activate(banks.document({"sanctioned": SANCTIONED, "odd": ODD, "pep": PEP}, fields=NORDIC))
    made.put("a", occupation="sanctioned", country="NO", pep=False)
    made.settle()
    for _ in range(4):
        made.wait(days=25)
        made.mark("a")
        made.settle()
    yield made
    numbers = [f"{one.entity_id}.{one.number}" for one in made.assessments()]
    assert [number for number in numbers if not replay_assessment(Context(engine, made.actor), number).same] == []


def day(bank: Bank, days: float, **attributes: Any) -> None:
    bank.wait(days=days)
    bank.put("a", **attributes)
    bank.settle()


def line(bank: Bank) -> str:
    return str(json.loads(bank.breakdown())["line"])


def test_a_fact_that_is_missing_from_day_two_to_day_five_changes_no_level(bank: Bank) -> None:
    entered = bank.standing().entered_us
    day(bank, 2, occupation=None)
    standing = bank.standing()
    assert (standing.level, standing.entered_us, standing.floor) == (3, entered, 3)
    assert standing.may_move_down_us == bank.now + 10 * DAY_US
    assert line(bank).endswith("Low; held at High until 2027-03-12 by a floor that is unknown now")
    day(bank, 3, occupation="sanctioned")
    assert (bank.level(), bank.standing().floors_lost) == (3, None)
    assert bank.transitions() == [(None, 3)]


def test_a_fact_that_stays_missing_lets_the_level_go_a_cooldown_after_it_was_lost(bank: Bank) -> None:
    day(bank, 2, occupation=None)
    lost = bank.now
    bank.wait(days=5)
    bank.mark("a")
    bank.settle()
    assert (bank.level(), bank.next_us()) == (3, lost + 10 * DAY_US)
    bank.now = lost + 10 * DAY_US
    assert bank.settle() == 1
    assert bank.level() == 1


def test_an_override_stays_above_a_hard_floor_that_is_missing(bank: Bank) -> None:
    """Overridden to low, and the field is null: high as before, until the cooldown has passed since then."""
    bank.override("a", 1)
    bank.settle()
    assert bank.level() == 3
    day(bank, 2, occupation=None)
    lost = bank.now
    assert (bank.level(), bank.standing().hard_floor) == (3, 3)
    assert line(bank).endswith("High by an override, which a floor that is unknown now raised, High without it")
    assert bank.next_us() == lost + 10 * DAY_US
    bank.now = lost + 10 * DAY_US
    bank.settle()
    assert (bank.level(), bank.standing().hard_floor) == (1, 0)


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u00a0"])
def test_a_text_of_spaces_alone_is_missing_and_clears_nobody(bank: Bank, blank: str) -> None:
    """A form that sends a space where nothing is known must not say that somebody is not sanctioned."""
    bank.override("a", 1)
    bank.settle()
    day(bank, 2, occupation=blank)
    assert (bank.level(), bank.standing().hard_floor) == (3, 3)
    assert bank.next_us() == bank.now + 10 * DAY_US


def test_an_override_stays_above_a_hard_floor_while_the_assessment_fails_however_long(bank: Bank) -> None:
    bank.override("a", 1)
    bank.settle()
    day(bank, 2, country="DE")
    assert bank.standing().status == "failed"
    for _ in range(4):
        day(bank, 20, occupation="clerk")  # by now the sanction is gone too, as far as that can be known
        assert (bank.level(), bank.standing().hard_floor) == (3, 3)
    words = "nothing lowers the level without the override; High by an override, which the floor held until now raised"
    assert f"failed in Odd: {words}, High without it" in line(bank)
    day(bank, 1, country="NO")
    assert (bank.level(), bank.standing().hard_floor) == (1, 0)


def overridable(bank: Bank) -> None:
    """Let an override to low hold, below a floor that may be overridden."""
    soft = {**SANCTIONED, "overridable": True}
    bank.activate(banks.document({"sanctioned": soft, "odd": ODD}, fields=NORDIC))
    day(bank, 1)
    bank.override("a", 1, bank.now + 5 * DAY_US)
    bank.settle()
    assert (bank.level(), bank.standing().rules_level) == (1, 3)


def test_an_override_that_expires_while_the_assessment_fails_leaves_the_level_of_the_rules(bank: Bank) -> None:
    overridable(bank)
    day(bank, 2, country="DE", occupation=None)
    assert (bank.level(), bank.standing().status) == (1, "failed")
    bank.wait(days=3)
    assert bank.settle() == 1
    standing = bank.standing()
    assert (standing.level, standing.override_id, standing.status, standing.source) == (3, None, "failed", "expiry")
    assert line(bank).endswith("failed in Odd: nothing lowers the level, so High stays")


def test_a_sentence_does_not_say_that_nothing_lowers_a_level_which_an_override_lowers(bank: Bank) -> None:
    overridable(bank)
    day(bank, 1, country="DE", occupation=None)
    assert (bank.level(), bank.standing().rules_level) == (1, 3)
    assert line(bank).endswith(
        "failed in Odd: nothing lowers the level without the override; Low by an override, High without it"
    )


def test_a_predicate_that_is_unknown_keeps_level_entered_and_floors(engine: Engine) -> None:
    """High, then nobody says whether it is a person: it was not applicable, and low the day after."""
    bank = Bank(engine)
    person = {"field": "country", "not_equals": "SE"}
    bank.activate(banks.document({"sanctioned": SANCTIONED}, applies_to=person))
    bank.put("a", country="NO", occupation="sanctioned")
    bank.settle()
    before = bank.standing()
    bank.override("a", 1)
    bank.settle()
    day(bank, 2, country=None, occupation="clerk")
    standing = bank.standing()
    assert (standing.status, standing.level, standing.rules_level) == ("undetermined", 3, 3)
    assert (standing.entered_us, standing.floor, standing.hard_floor) == (before.entered_us, 3, 3)
    assert (standing.version_id, bank.transitions()) == (before.version_id, [(None, 3)])
    assert list_failed(Context(engine, bank.actor, lambda: bank.now)) == [("customer", "a", "undetermined")]
    day(bank, 3, country="NO")
    assert (bank.standing().status, bank.level(), bank.standing().rules_level) == ("assessed", 1, 3)
    day(bank, 1, country="SE")
    assert (bank.standing().status, bank.standing().rules_level) == ("not applicable", None)


def test_a_new_customer_of_whom_it_is_unknown_whether_the_ruleset_applies_gets_its_floors(engine: Engine) -> None:
    bank = Bank(engine)
    person = {"field": "country", "equals": "NO"}
    bank.activate(banks.document({"sanctioned": SANCTIONED}, applies_to=person))
    bank.put("a", occupation="sanctioned")
    bank.put("b", occupation="clerk")
    bank.settle()
    assert (bank.level("a"), bank.level("b")) == (3, None)
    shown = read_level_of_profile(Context(engine, bank.actor, lambda: bank.now), "customer", "b")
    assert (shown.status, shown.level) == ("undetermined", None)
    assert shown.breakdown["line"].endswith("it is unknown whether the ruleset applies: there is no level yet")


def families(engine: Engine, *, peps: bool = False) -> Bank:
    """Norwegians by one ruleset, where clerks are high; everybody else by the next, where they are low.

    With *peps* one for politically exposed persons comes before both, by which clerks are low.
    """
    bank, first = Bank(engine), 2 if peps else 1
    clerks = {"cases": [{"when": {"field": "occupation", "equals": "clerk"}, "points": 70}]}
    if peps:
        bank.activate(banks.document({"odd": ODD}, "peps", applies_to={"field": "pep", "equals": True}), 1)
    norwegian = {"field": "country", "equals": "NO"}
    bank.activate(banks.document({"clerks": clerks}, "norwegians", applies_to=norwegian), first)
    bank.activate(banks.document({"sanctioned": SANCTIONED, "rich": banks.INCOME}, "others"), first + 1)
    return bank


def test_where_the_first_ruleset_cannot_read_if_it_applies_the_floors_of_the_next_count(
    engine: Engine,
) -> None:
    """A misspelt country was the end of it: whoever was on a sanctions list stayed at low, or without a level."""
    bank = Bank(engine)
    clerks = {"cases": [{"when": {"field": "occupation", "equals": "clerk"}, "points": 70}]}
    norwegian = {"field": "country", "equals": "NO"}
    bank.activate(banks.document({"clerks": clerks}, "norwegians", applies_to=norwegian, fields=NORDIC), 1)
    bank.activate(banks.document({"sanctioned": SANCTIONED, "rich": banks.INCOME}, "others"), 2)
    bank.put("a", country="DE", occupation="sanctioned")
    bank.put("b", country="DE", occupation="waiter")
    bank.put("c", country="NO", occupation="clerk")
    bank.put("d", country="SE", occupation="waiter")
    bank.settle()
    assert [(bank.level(name), bank.standing(name).status) for name in "abcd"] == [
        (3, "assessed"), (None, "failed"), (3, "assessed"), (1, "assessed"),
    ]  # fmt: skip
    bank.wait(days=20)
    bank.put("b", occupation="sanctioned")
    bank.put("c", country="DE", occupation="waiter")
    bank.put("d", country="DE")
    bank.settle()
    assert [(bank.level(name), bank.standing(name).status) for name in "abcd"] == [
        (3, "assessed"), (3, "assessed"), (3, "failed"), (1, "failed"),
    ]  # fmt: skip
    failed = list_failed(Context(engine, bank.actor, lambda: bank.now))
    assert failed == [("customer", "c", "failed"), ("customer", "d", "failed")], "what cannot be read stays in sight"
    numbers = [f"{one.entity_id}.{one.number}" for one in bank.assessments()]
    assert [number for number in numbers if not replay_assessment(Context(engine, bank.actor), number).same] == []


def test_nobody_comes_under_a_milder_ruleset_because_a_value_is_missing(engine: Engine) -> None:
    bank = families(engine)
    bank.put("a", country="NO", occupation="clerk")
    bank.settle()
    first = bank.standing().version_id
    for _ in range(3):
        day(bank, 20, country=None)
        assert (bank.level(), bank.standing().version_id, bank.standing().status) == (3, first, "undetermined")
    day(bank, 20, country="SE")
    assert (bank.level(), bank.standing().status, bank.standing().version_id == first) == (1, "assessed", False)


def test_who_was_assessed_by_another_ruleset_goes_on_by_it(engine: Engine) -> None:
    """Of whom the country was never known: the second ruleset raises and lowers as it says."""
    bank = families(engine)
    levels = []
    for income in (500, 5):
        day(bank, 20, income=income, occupation="clerk")
        levels.append((bank.level(), bank.standing().status))
    assert levels == [(2, "assessed"), (1, "assessed")]


def test_another_ruleset_that_applies_may_raise_whom_the_first_keeps(engine: Engine) -> None:
    bank = families(engine)
    bank.put("a", country="NO", occupation="porter")
    bank.settle()
    day(bank, 1, country=None)
    assert (bank.level(), bank.standing().status) == (1, "undetermined")
    day(bank, 1, occupation="sanctioned")
    assert (bank.level(), bank.standing().status) == (3, "assessed")


def test_a_day_of_higher_risk_by_another_ruleset_lets_nobody_out_of_the_stricter_one(engine: Engine) -> None:
    """While the country is missing the second ruleset asked for more once; the first one keeps the customer still."""
    bank = families(engine)
    bank.put("a", country="NO", occupation="porter")
    bank.settle()
    first = bank.standing().version_id
    day(bank, 1, country=None, occupation="sanctioned")
    assert (bank.level(), bank.standing().status) == (3, "assessed")
    assert bank.standing().version_id != first
    for _ in range(3):
        day(bank, 20, occupation="porter")
        assert (bank.level(), bank.standing().status, bank.standing().version_id) == (3, "undetermined", first)
    day(bank, 20, country="SE")
    assert (bank.level(), bank.standing().status, bank.standing().kept_by) == (1, "assessed", None)


def differences(engine: Engine) -> list[str]:
    """How standings differ from what the audit log says of them."""
    found: list[AuditFinding] = []
    verify(engine, found.append)
    return [each.problem for each in found if "standing" in each.problem]


def test_who_keeps_a_customer_is_forgotten_once_it_is_known_that_it_does_not_apply(engine: Engine) -> None:
    bank = families(engine)
    bank.put("a", country="NO", occupation="porter")
    bank.settle()
    day(bank, 1, country=None, occupation="sanctioned")
    assert bank.standing().kept_by == "[1]"
    assert differences(engine) == []
    with bank.engine.begin() as connection:
        connection.execute(text("UPDATE standings SET kept_by = NULL"))
    assert differences(engine) == ["the standing of entity 1 is not that of assessment 1.2: kept_by"]
    with bank.engine.begin() as connection:
        connection.execute(text("UPDATE standings SET kept_by = '[1]'"))
    day(bank, 1, country="SE")
    assert bank.standing().kept_by is None
    day(bank, 20, country=None, occupation="porter")
    assert (bank.level(), bank.standing().status) == (1, "assessed")


@pytest.mark.parametrize("missing_at_once", [True, False])
def test_a_day_under_an_earlier_ruleset_lets_nobody_out_of_the_stricter_one(
    engine: Engine, missing_at_once: bool
) -> None:
    """A pep for a day: the ruleset for peps decided, and the country is missing before or after that day."""
    bank = families(engine, peps=True)
    bank.put("a", country="NO", occupation="clerk", pep=False)
    bank.settle()
    first = bank.standing().version_id
    day(bank, 1, pep=True, country=None if missing_at_once else "NO")
    assert (bank.standing().status, bank.standing().version_id == first) == ("assessed", False)
    assert (bank.standing().kept_by, differences(engine)) == (f"[{first}]", [])
    view = read_level_of_profile(Context(engine, bank.actor, lambda: bank.now), "customer", "a")
    assert (view.ruleset, view.kept_by) == (("peps", 1), ("norwegians",))
    day(bank, 1, pep=False, country=None)
    for _ in range(2):
        assert (bank.level(), bank.standing().status, bank.standing().version_id) == (3, "undetermined", first)
        day(bank, 20, pep=False)
    day(bank, 1, country="NO")
    assert (bank.level(), bank.standing().status, bank.standing().kept_by) == (3, "assessed", None)


def test_who_keeps_a_customer_is_forgotten_once_it_does_not_apply_on_a_day_under_an_earlier_ruleset(
    engine: Engine,
) -> None:
    bank = families(engine, peps=True)
    bank.put("a", country="NO", occupation="clerk", pep=False)
    bank.settle()
    day(bank, 1, pep=True, country="SE")
    assert bank.standing().kept_by is None
    day(bank, 1, pep=False, country=None)
    day(bank, 20, income=5)
    assert (bank.level(), bank.standing().status, bank.standing().kept_by) == (1, "assessed", None)


def test_rulesets_behind_the_one_that_applies_are_tried_on_those_alone_whom_they_keep(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = families(engine, peps=True)
    counts: list[int] = []

    def counted(analysed: Any, portfolio: Any, *rest: Any, **more: Any) -> Any:
        counts.append(len(portfolio.entities))
        return assess(analysed, portfolio, *rest, **more)

    monkeypatch.setattr("fivefold.usecases.levels.assess.assess", counted)
    for name in "abc":
        bank.put(name, country="NO", occupation="clerk", pep=name == "b")
    bank.settle()
    assert counts == [3, 2], "by the first ruleset all, by the second all but the pep, by the third nobody"
    counts.clear()
    for name in "abc":
        bank.mark(name)
    bank.settle()
    assert counts == [3, 2]
    counts.clear()
    bank.put("c", pep=True)
    bank.settle()
    assert (counts, bank.standing("c").kept_by) == ([1, 1], "[2]")


@pytest.mark.parametrize("income", [5, 500])
def test_an_override_goes_below_no_floor_of_a_ruleset_that_may_apply(engine: Engine, income: int) -> None:
    """Who is on a sanctions list stays at the floor, also where another ruleset asks for more than the floor."""
    bank = Bank(engine)
    norwegian = {"field": "country", "equals": "NO"}
    listed = {**SANCTIONED, "cases": [{**SANCTIONED["cases"][0], "points": 1, "floor": "medium"}]}
    rich = {"input": {"field": "income"}, "cases": [{"when": {"at_least": 100}, "points": 90}]}
    bank.activate(banks.document({"sanctioned": listed}, "norwegians", applies_to=norwegian), 1)
    bank.activate(banks.document({"rich": rich}, "others"), 2)
    bank.put("a", country="NO", occupation="sanctioned", income=income)
    bank.settle()
    bank.override("a", 1)
    day(bank, 1)
    assert (bank.level(), bank.standing().hard_floor) == (2, 2)
    day(bank, 1, country=None)
    assert (bank.level(), bank.standing().hard_floor, bank.standing().status) == (2, 2, "undetermined")
