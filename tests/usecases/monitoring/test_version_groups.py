"""The figures of a validation are those that one finds by looking at one entity, case and alert at a time."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.risk.governance.validate import measures
from fivefold.risk.governance.validate.measures import LEAST_CONFIRMED, MEASURED, TOO_FEW
from fivefold.usecases.monitoring.history import CONFIRMED, ValidationPeriod, read_level_histories
from fivefold.usecases.monitoring.version_groups import VersionGroup, version_group
from tests.store.filling import filled_once
from tests.usecases.monitoring.slow_validation import NAMES, Slow
from tests.usecases.planted import Given, Planted, Step, day, fill, planted

LEVELS = ["low", "medium", "high"]
FROM, UNTIL = day(0), day(90)


def looked_back(bank: Planted, version: int | None = None, **more: Any) -> VersionGroup:
    with Session(bank.engine) as session:
        history = read_level_histories(session, bank.actor.organisation_id, ValidationPeriod(FROM, UNTIL), [CONFIRMED])
    called = None if version is None else (bank.versions[version - 1], "retail", version)
    return version_group(history, LEVELS, called, **{"resamples": 20, **more})


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small histories be measured."""
    monkeypatch.setattr(measures, "LEAST_CONFIRMED", 3)
    monkeypatch.setattr(measures, "LEAST_CUSTOMERS", 3)
    monkeypatch.setattr("fivefold.models.drift.LEAST_CUSTOMERS", 3)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.full)])
def test_every_figure_is_that_of_a_slow_look(engine: Engine, few: None, seed: int) -> None:
    bank = planted(engine)
    fill(bank, seed)
    for version in (None, 1, 2):
        group = looked_back(bank, version)
        slow = Slow(bank, FROM, UNTIL, None if version is None else bank.versions[version - 1])
        ranked, known, under_way, under_another = slow.ranked()
        assert (group.ranked.entities, group.ranked.confirmed) == (len(ranked), sum(marked for _, marked in ranked))
        assert (group.ranked.known, group.ranked.under_way) == (known, under_way)
        assert group.ranked.under_another == under_another
        assert group.ranked.confirmed >= 5, "so that there is something to be wrong about"
        assert group.ranked.gini.estimate == pytest.approx(slow.gini(), abs=1e-12)
        assert group.ranked.level_gini.estimate == pytest.approx(slow.level_gini(), abs=1e-12)
        where, hidden, unassessed, known_before = slow.caught()
        assert group.caught.confirmed == sum(where.values()) >= 10
        assert group.caught.captured.estimate == pytest.approx((where[1] + where[2]) / sum(where.values()))
        assert group.caught.missed.estimate == pytest.approx((where[0] + where[3]) / sum(where.values()))
        assert group.caught.missed_by_override == hidden
        assert (group.caught.unassessed, group.caught.known) == ((unassessed, known_before) if not version else (0, 0))
        assert group.drift.index == pytest.approx(slow.index(), abs=1e-12)
        compare_levels(group, slow, version)
    assert min(unassessed, known_before) > 0, "of which there are some"


def compare_levels(group: VersionGroup, slow: Slow, version: int | None) -> None:
    alerts, where = slow.alerts(), slow.caught()[0]
    began, ended = slow.spread(FROM), slow.spread(UNTIL)
    held = slow.spread(UNTIL, rules=False)
    assert [figures.level for figures in group.levels] == (NAMES if version is None else NAMES[:4])
    for slot, figures in enumerate(group.levels):
        counts = alerts[slot]
        assert (figures.began, figures.ended, figures.held) == (began[slot], ended[slot], held[slot])
        assert figures.confirmed == where[slot]
        assert (figures.opened, figures.open) == (counts["opened"], counts["open"])
        assert (figures.alerts_confirmed, figures.not_confirmed, figures.without_outcome) == (
            counts["confirmed"], counts["not confirmed"], counts["without outcome"],
        )  # fmt: skip
        of = counts["confirmed"] + counts["not confirmed"]
        assert figures.decided == of + counts["without outcome"]
        assert figures.conversion.of == figures.false_positives.of == of
        if of >= 3:
            assert figures.conversion.estimate == pytest.approx(counts["confirmed"] / of)
            assert figures.false_positives.estimate == pytest.approx(counts["not confirmed"] / of)
        else:
            assert (figures.conversion.answer, figures.conversion.estimate) == (TOO_FEW, None)


def at(number: float, level: int | None = 1, rules: int | None = None, version: int = 1, score: str = "0") -> Step:
    return Step(day(number), version, level, level if rules is None else rules, score)


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Planted:
    made = planted(engine)
    assert made.versions == [1, 2]
    return made


def confirmed_where(group: VersionGroup) -> dict[str, int]:
    return {figures.level: figures.confirmed for figures in group.levels if figures.confirmed}


def test_a_level_that_was_reached_after_the_alert_does_not_count(bank: Planted) -> None:
    one = bank.add(at(-5, 1), at(10, 3), at(30, 2))
    bank.record(
        Given("alert", one, day(10), day(12), "cleared"),
        Given("alert", one, day(10) + 1, day(12), "cleared"),
        Given("case", one, day(10), day(20), "confirmed"),
    )
    group = looked_back(bank)
    opened = {figures.level: figures.opened for figures in group.levels if figures.opened}
    assert opened == {"low": 1, "high": 1}, "what was assessed at the very moment may have seen the alert"
    assert confirmed_where(group) == {"low": 1}, "not where the case, or its confirmation, brought them"


def test_a_case_that_is_confirmed_later_does_not_count_earlier(bank: Planted) -> None:
    early, late = bank.add(at(-5)), bank.add(at(-5))
    bank.record(
        Given("case", early, day(10), UNTIL - 1, "confirmed"),
        Given("case", late, day(10), UNTIL, "confirmed"),
        Given("alert", late, day(10), UNTIL, "confirmed"),
    )
    group = looked_back(bank)
    assert (group.caught.confirmed, group.ranked.confirmed) == (1, 1)
    low = group.levels[0]
    assert (low.open, low.decided) == (1, 0), "nobody knew more at the end"


def test_a_case_counts_once_when_it_is_confirmed_whenever_it_was_opened(bank: Planted) -> None:
    before, begun = bank.add(at(-50, 3)), bank.add(at(-50, 2))
    bank.record(
        Given("case", before, day(-20), FROM - 1, "confirmed"),
        Given("case", before, day(20), day(30), "confirmed"),
        Given("case", begun, day(-20), FROM + 1, "confirmed"),
    )
    group = looked_back(bank)
    assert confirmed_where(group) == {"medium": 1}
    assert (group.caught.known, group.caught.confirmed) == (1, 1)
    assert (group.ranked.known, group.ranked.under_way, group.ranked.entities) == (1, 1, 0)


def test_what_a_lower_override_hid_is_told(bank: Planted) -> None:
    hidden, plain = bank.add(at(-5, 1, rules=3)), bank.add(at(-5, 1))
    for entity in (hidden, plain):
        bank.record(Given("case", entity, day(5), day(9), "confirmed"))
    assert looked_back(bank).caught.missed_by_override == 1


def test_versions_are_not_mixed_and_what_happened_is_whose_it_was_then(bank: Planted) -> None:
    moved = bank.add(at(-5, 1), at(40, 3, version=2))
    only = bank.add(at(50, 2, version=2))
    bank.record(
        Given("case", moved, day(20), day(60), "confirmed"),
        Given("case", only, day(60), day(61), "confirmed"),
        Given("alert", moved, day(20), day(70), "cleared"),
        Given("alert", moved, day(45), day(70), "cleared"),
    )
    first, second = looked_back(bank, 1), looked_back(bank, 2)
    assert (confirmed_where(first), confirmed_where(second)) == ({"low": 1}, {"medium": 1})
    assert (first.ranked.confirmed, second.ranked.confirmed) == (1, 1)
    assert second.ranked.under_way == 1, "the second version may have seen the first case"
    assert [(figures.began, figures.ended) for figures in first.levels[:3]] == [(1, 0), (0, 0), (0, 0)]
    assert [(figures.began, figures.ended) for figures in second.levels[:3]] == [(0, 0), (0, 1), (0, 1)]
    assert [figures.opened for figures in first.levels] == [1, 0, 0, 0]
    assert [figures.opened for figures in second.levels] == [0, 0, 1, 0]
    assert looked_back(bank).caught.confirmed == 2


def test_totals_of_different_versions_are_not_compared(bank: Planted, few: None) -> None:
    """Version 1 counts in thousands, version 2 in ones; each ranks perfectly, and so do both together."""
    for version, factor in ((1, 1000), (2, 1)):
        for number in range(10):
            entity = bank.add(at(-5, version=version, score=f"{number * factor}"))
            if number >= 5:
                bank.record(Given("case", entity, day(5), day(6), "confirmed"))
    assert looked_back(bank).ranked.gini.estimate == 1.0


def test_a_version_is_not_blamed_for_those_confirmed_under_the_next(bank: Planted, few: None) -> None:
    """Both versions rank perfectly; half of the confirmed had their case opened under the second."""
    for number in range(20):
        score, level = ("80", 3) if number < 10 else ("10", 1)
        entity = bank.add(at(-5, level, score=score), at(45, level, version=2, score=score))
        if number < 10:
            opened = 20 if number < 5 else 60
            bank.record(Given("case", entity, day(opened), day(opened + 5), "confirmed"))
    first, second, both = (looked_back(bank, version).ranked for version in (1, 2, None))
    assert [group.gini.estimate for group in (first, second, both)] == [1.0, 1.0, 1.0]
    assert [group.level_gini.estimate for group in (first, second, both)] == [1.0, 1.0, 1.0]
    assert [(group.confirmed, group.under_another, group.known) for group in (first, second, both)] == [
        (5, 5, 0), (5, 0, 5), (10, 0, 0),
    ]  # fmt: skip
    assert (first.entities, second.entities, both.entities) == (15, 15, 20)


def test_who_had_no_ruleset_just_before_the_case_stood_under_no_other_version(bank: Planted, few: None) -> None:
    for number in range(10):
        entity = bank.add(at(-5, score=f"{number}"), Step(day(45), None, None, None, "0"))
        if number >= 5:
            bank.record(Given("case", entity, day(60), day(65), "confirmed"))
    ranked = looked_back(bank, 1).ranked
    assert (ranked.entities, ranked.confirmed, ranked.under_another) == (10, 5, 0)


def test_what_is_about_something_owned_counts_for_the_owner(bank: Planted) -> None:
    owner = bank.add(at(-5, 3))
    account = bank.add_account(owner)
    bank.record(Given("alert", account, day(5), day(8), "cleared"), Given("case", account, day(6), day(9), "confirmed"))
    group = looked_back(bank)
    assert confirmed_where(group) == {"high": 1}
    assert group.levels[2].alerts_confirmed == 1, "the case was opened while the alert was open"


def test_who_was_never_assessed_before_is_counted_apart(bank: Planted) -> None:
    late = bank.add(at(30, 1))
    bank.record(Given("case", late, day(20), day(40), "confirmed"), Given("alert", late, day(20), day(21), "cleared"))
    group = looked_back(bank)
    assert (group.caught.confirmed, group.caught.unassessed, group.ranked.under_way) == (0, 1, 1)
    assert [figures.decided for figures in group.levels] == [0, 0, 0, 0, 1]


def test_without_enough_there_is_no_figure(bank: Planted) -> None:
    for number in range(LEAST_CONFIRMED):
        entity = bank.add(at(-5, 1 + number % 3, score=f"{number}"))
        bank.add(at(-5, score="0"))
        bank.record(Given("alert", entity, day(4), day(6), "cleared"))
        if number < LEAST_CONFIRMED - 1:
            bank.record(Given("case", entity, day(5), day(6), "confirmed"))
    group = looked_back(bank)
    for measure in (group.ranked.gini, group.caught.captured, group.caught.missed, group.levels[0].conversion):
        assert (measure.answer, measure.estimate, measure.low, measure.high) == (TOO_FEW, None, None, None)
    assert (group.ranked.gini.of, group.caught.missed.of) == (LEAST_CONFIRMED - 1, LEAST_CONFIRMED - 1)
    assert (group.drift.index, group.drift.verdict) == (None, "unknown")
    bank.record(Given("case", entity, day(5), day(6), "confirmed"))
    group = looked_back(bank)
    assert (group.ranked.gini.answer, group.caught.missed.answer) == (MEASURED, MEASURED)


def test_nobody_is_measured_where_there_is_nobody(bank: Planted) -> None:
    group = looked_back(bank)
    assert (group.ranked.entities, group.caught.confirmed, group.caught.possible) == (0, 0, None)
    assert {figures.began for figures in group.levels} == {0}
    assert group.statuses == {}


def test_the_upper_levels_hold_no_more_than_they_have_room_for(bank: Planted, few: None) -> None:
    for number in range(10):
        entity = bank.add(at(-5, 3 if number == 0 else 1))
        if number < 4:
            bank.record(Given("case", entity, day(5), day(6), "confirmed"))
    assert looked_back(bank).caught.possible == pytest.approx(0.1 / 0.4)


def test_no_more_is_captured_than_is_possible(bank: Planted, few: None) -> None:
    """Nobody was in an upper level when the time began, and all who were confirmed had risen before."""
    for _ in range(4):
        risen = bank.add(at(-5, 1), at(10, 3))
        bank.record(Given("case", risen, day(20), day(30), "confirmed"))
        bank.add(at(-5, 1))
    caught = looked_back(bank).caught
    assert (caught.captured.estimate, caught.possible) == (1.0, 1.0)
