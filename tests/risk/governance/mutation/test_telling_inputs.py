"""What would notice a change: each example that is shown can be pasted and does notice it; words are true."""

import pytest

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.governance.mutation.run import ChangeTried, MutantVerdict, mutate
from fivefold.risk.language.documents import Document
from tests.risk.governance.making import AS_OF

HEAD = """\
ruleset: small
entity_type: customer
fields: {amount: number, wealth: number, occupation: text, second: text, third: text, born: date, country: country}
levels: [low, medium, high]
score: {points: {thresholds: [30, 50]}}
max_recompute_interval: 180 days
cooldown: 30 days
rationale: Ours.
rules:
"""
EXAMPLES = "examples:\n  - {name: first, as_of: 2024-07-01, given: {transactions: []}, expect: {status: assessed}}\n"


def rule(rule_id: str, parts: str) -> str:
    return f"  - {{id: {rule_id}, title: One, category: other, rationale: Why., {parts}}}\n"


def unnoticed(text: str) -> list[ChangeTried]:
    return list(mutate(analyse_text(text), {}, AS_OF, Document(text)).of(MutantVerdict.UNNOTICED))


def inputs_of(rules: str, where: str) -> list[str]:
    found = unnoticed(HEAD + rules + EXAMPLES)
    return [change.inputs for change in found if change.where == where]


@pytest.mark.parametrize(
    ("parts", "least"),
    [
        # The word that stands for all other text is named itself.
        (("input: {field: occupation}, cases: [{when: {equals: other}, points: 5}, {when: {contains: deal}, points: 2},"
         " {when: {not_equals: dealer}, points: 1}]"), 2),
        # Pieces put together must not make a third one.
        (("cases: [{when: {all: [{field: occupation, starts_with: x}, {field: occupation, ends_with: y},"
         " {not: {field: occupation, contains: xy}}]}, points: 3}]"), 4),
        # Several words that no condition names, and that differ.
        (("cases: [{when: {all: [{field: occupation, not_equals: {field: second}},"
         " {field: second, not_equals: {field: third}}]}, points: 3}]"), 3),
        # The number beside a bound has more digits than a ruleset can write.
        ("cases: [{when: {all: [{field: wealth, above: 99}, {field: wealth, below: 100}]}, points: 3}]", 7),
        ("input: {field: wealth}, cases: [{when: {above: 0, below: 1}, points: 3}]", 6),
        ("input: {field: wealth}, cases: [{when: {above: -0.000001, below: 0.000001}, points: 3}]", 6),
        # A date between two days that follow each other has a time.
        ("input: {field: born}, cases: [{when: {above: 2000-01-01, below: 2000-01-02}, points: 3}]", 4),
        ("input: {value: score}, cases: [{when: {above: 1, below: 2.5}, points: 3}]", 5),
    ],
)  # fmt: skip
def test_each_example_that_is_shown_passes_when_pasted_and_notices_its_change(parts: str, least: int) -> None:
    text = HEAD + rule("a", parts) + EXAMPLES
    shown = [change for change in unnoticed(text) if change.example is not None]
    assert len(shown) >= least
    pasted = text + "".join(f"  {change.example_text}\n" for change in shown)
    left = {(change.where, change.before, change.after) for change in unnoticed(pasted)}
    assert not left & {(change.where, change.before, change.after) for change in shown}


def test_an_example_with_a_sign_that_is_not_seen_can_be_pasted() -> None:
    example = {"given": {"name": "x\u2028y"}}
    change = ChangeTried(
        where="rule a", line=None, before="1", after="2", verdict=MutantVerdict.UNNOTICED, example=example
    )
    (pasted,) = Document(f"examples:\n{change.example_text}\n").data["examples"]
    assert pasted["given"] == {"name": "x\u2028y"}


def test_an_example_that_would_not_notice_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "fivefold.risk.governance.mutation.telling_inputs.given_words", lambda *_: {"occupation": "driver"}
    )
    text = HEAD + rule("a", "input: {field: occupation}, cases: [{when: {equals: driver}, points: 5}]") + EXAMPLES
    change = next(each for each in unnoticed(text) if each.where == "rule a, case 1, when")
    assert (change.example, change.inputs) == (None, "")


def test_an_example_that_cannot_be_read_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from fivefold.risk.governance.mutation import plain_values, telling_inputs

    def spoilt(trial: plain_values.ReachabilityTrial, values: dict[str, object]) -> object:
        given = plain_values.given_words(trial, values)
        return {"nobody": 1} if given == {"wealth": 8} else given

    monkeypatch.setattr(telling_inputs, "given_words", spoilt)
    text = HEAD + rule("a", "input: {field: wealth}, cases: [{when: {at_least: 9}, points: 5}]") + EXAMPLES
    shown = {change.after: change.example for change in unnoticed(text) if "when" in change.where}
    assert shown["8"] is None
    assert shown["10"] is not None
    assert shown["above 9"] is not None


def test_a_mean_is_shown_as_exactly_as_it_is_compared() -> None:
    parts = "input: {mean: amount}, cases: [{when: {at_least: 100.002}, points: 5}]"
    (words,) = inputs_of(rule("a", parts), "rule a, case 1, when")
    assert "100.0020" in words


def test_a_score_that_no_value_has_is_refused_so_that_what_is_proved_holds() -> None:
    text = HEAD + rule("a", "input: {value: score}, cases: [{when: {at_least: 1}, points: 5}]") + EXAMPLES
    found = mutate(analyse_text(text), {}, AS_OF).of(MutantVerdict.NO_EFFECT)
    assert "0" in {change.after for change in found if change.where == "rule a, case 1, when, at_least"}
    with pytest.raises(InvalidRulesetError, match=r"scores are from 1 to 5"):
        unnoticed(text.replace("transactions: []", "value: {score: 0.5}"))


def test_a_field_of_the_entity_called_amount_may_be_below_0() -> None:
    text = HEAD + rule("a", "input: {field: amount}, cases: [{when: {at_least: 0}, points: 5}]") + EXAMPLES
    below = next(change for change in unnoticed(text) if (change.before, change.after) == ("0", "-1"))
    assert below.example == {"given": {"amount": -1}, "expect": {"cases": {"a": "otherwise"}}}


FLOOR = rule("a", "input: {field: country}, cases: [{when: {equals: IR}, points: 50, floor: high}]")


def of_income(points: int) -> str:
    return rule("b", f"input: {{field: wealth}}, cases: [{{when: {{at_least: 5}}, points: {points}}}]")


def test_a_floor_needs_points_that_do_not_come_to_its_level_by_themselves() -> None:
    (words,) = inputs_of(FLOOR + of_income(-10), "rule a, case 1, floor")
    assert "a total such as 40" in words


def test_where_points_always_come_to_the_floor_another_input_must_be_unreadable() -> None:
    (words,) = inputs_of(FLOOR + of_income(10), "rule a, case 1, floor")
    assert "cannot be read" in words
    noticing = "  - {name: unreadable, given: {country: IR, wealth: much}, expect: {level: high}}\n"
    found = mutate(analyse_text(HEAD + FLOOR + of_income(10) + EXAMPLES + noticing), {}, AS_OF)
    floor = next(change for change in found.changes if change.where == "rule a, case 1, floor")
    assert floor.noticed_by == "unreadable"


def test_where_nothing_else_is_read_nothing_is_said_of_such_a_floor() -> None:
    assert inputs_of(FLOOR, "rule a, case 1, floor") == [""]


def test_an_example_has_a_moment_at_which_the_lists_are_as_it_needs() -> None:
    versions = [{"since": "2023-01-01", "members": ["Elba"]}, {"since": "2024-06-01", "members": ["Capri"]}]
    places = NamedList.model_validate({"list": "places", "title": "Places", "source": "Ours", "versions": versions})
    parts = "input: {field: occupation}, cases: [{when: {in_list: places}, points: 5}]"
    text = HEAD + rule("a", parts) + EXAMPLES.replace("2024-07-01", "2024-01-01")
    found = mutate(analyse_text(text), {"places": places}, AS_OF).of(MutantVerdict.UNNOTICED)
    (change,) = (each for each in found if each.where == "rule a, case 1, when")
    assert change.example is not None
    assert change.example["as_of"] == "2024-01-01"


@pytest.mark.parametrize(("days", "level", "left"), [(29, "high", "31 days"), (30, "low", "29 days")])
def test_a_level_that_was_entered_so_long_before_notices_a_cooldown(days: int, level: str, left: str) -> None:
    """Each example that is told of one change notices that one, and not the other."""
    rules = HEAD + rule("one", "input: {field: wealth}, cases: [{when: {at_least: 5}, points: 3}]")
    words = {change.after: change.inputs for change in unnoticed(rules + EXAMPLES) if change.where == "cooldown"}
    assert words == {
        "29 days": "a customer whose level was entered 29 days before, and would be lower now",
        "31 days": "a customer whose level was entered 30 days before, and would be lower now",
    }
    entered = f"2024-06-{31 - days:02d}"
    example = (
        "  - {name: held, as_of: 2024-07-01, "
        f"given: {{wealth: 1, previous: {{level: high, entered: {entered}}}}}, expect: {{level: {level}}}}}\n"
    )
    missed = [change.after for change in unnoticed(rules + EXAMPLES + example) if change.where == "cooldown"]
    assert missed == [left]
