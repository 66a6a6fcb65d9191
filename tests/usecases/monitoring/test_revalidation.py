"""Each trigger with its figure and its limit: reached at the limit's far side, unknown where nothing was measured."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.models.drift import SHIFTED
from fivefold.risk.governance.validate.measures import MEASURED, TOO_FEW, Measure
from fivefold.risk.governance.validate.verdicts import AcceptanceLimits
from fivefold.store.monitoring.revalidation import Reviews
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.monitoring.people import OverrideFigures
from fivefold.usecases.monitoring.revalidation import (  # fmt: skip
    CHANGE,
    DRIFT,
    GINI,
    GUIDE,
    KINDS,
    LOWEST,
    MISSES,
    NOT_REACHED,
    OVERRIDES,
    OWN_BOUND,
    REACHED,
    REVIEW,
    TRIGGERS,
    UNKNOWN,
    ChangeLine,
    RevalidationTrigger,
    list_changes,
    measured_triggers,
    register_change,
    sign_off,
    still_measured,
    triggers_now,
    worst,
)
from fivefold.usecases.monitoring.validate import validate_levels
from fivefold.usecases.monitoring.version_groups import (
    CaptureMeasures,
    LevelDrift,
    LevelFigures,
    RankingMeasures,
    VersionGroup,
)
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.audits import bind_unnamed
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.planted import day, planted

FEW = Measure(of=3, answer=TOO_FEW)
NONE = OverrideFigures(
    requested=0,
    approved=0,
    refused=0,
    lapsed=0,
    revoked=0,
    expired=0,
    live=0,
    live_share=0.0,
    downward=0,
    downward_share=0.0,
    cap_percent=10,
    mean_age_days=None,
    with_level=50,
)


def measure(estimate: float, spread: float = 0.0) -> Measure:
    return Measure(of=60, answer=MEASURED, estimate=estimate, low=estimate - spread, high=estimate + spread)


def level(name: str, of_alerts: Measure) -> LevelFigures:
    counts = ("began", "ended", "held", "confirmed", "opened", "open", "decided", "alerts_confirmed", "not_confirmed")
    shares = {"conversion": FEW, "false_positives": FEW, "of_confirmed": FEW, "of_alerts": of_alerts}
    return LevelFigures(level=name, without_outcome=0, **dict.fromkeys(counts, 0), **shares)


def group(gini: Measure = FEW, missed: Measure = FEW, index: float | None = None, **more: Any) -> VersionGroup:
    aside = {"known": 0, "under_way": 0, "under_another": 0}
    ranked = RankingMeasures(entities=100, confirmed=60, **aside, gini=gini, level_gini=FEW)
    caught = CaptureMeasures(
        top=("medium", "high"),
        confirmed=60,
        captured=FEW,
        missed=missed,
        possible=1.0,
        missed_by_override=0,
        unassessed=0,
        known=0,
    )
    drift = LevelDrift(index, "", 900, more.pop("ended", 900))
    return VersionGroup(
        ruleset=more.get("ruleset"),
        version=more.get("version"),
        ranked=ranked,
        caught=caught,
        levels=(level("low", more.get("of_alerts", FEW)), level("high", FEW)),
        drift=drift,
        statuses={},
    )


def found(name: str, *groups: VersionGroup, overrides: OverrideFigures = NONE) -> RevalidationTrigger:
    (trigger,) = [each for each in measured_triggers(groups or [group()], overrides) if each.name == name]
    return trigger


@pytest.mark.parametrize(("gini", "answer"), [(0.5999, REACHED), (0.60, NOT_REACHED), (0.9, NOT_REACHED)])
def test_gini_below_the_alarm(gini: float, answer: str) -> None:
    trigger = found(GINI, group(gini=measure(gini)))
    assert (trigger.answer, trigger.figure, trigger.limit, trigger.source) == (answer, gini, 0.60, GUIDE)
    assert trigger.limit == AcceptanceLimits().recalibrate


@pytest.mark.parametrize(("missed", "answer"), [(0.2001, REACHED), (0.20, NOT_REACHED)])
def test_more_misses_than_the_guide_lets_pass(missed: float, answer: str) -> None:
    trigger = found(MISSES, group(missed=measure(missed)))
    assert (trigger.answer, trigger.figure, trigger.limit, trigger.source) == (answer, missed, 0.20, GUIDE)


@pytest.mark.parametrize(
    ("of_alerts", "percent", "answer"),
    [(0.2501, 25, REACHED), (0.25, 25, NOT_REACHED), (0.25, 20, REACHED), (None, 25, UNKNOWN)],
)
def test_more_alerts_at_the_lowest_level_than_the_organisation_lets_pass(
    of_alerts: float | None, percent: int, answer: str
) -> None:
    groups = [group(of_alerts=FEW if of_alerts is None else measure(of_alerts))]
    (trigger,) = [each for each in measured_triggers(groups, NONE, percent) if each.name == LOWEST]
    assert (trigger.answer, trigger.figure, trigger.limit, trigger.source) == (
        answer, of_alerts, percent / 100, OWN_BOUND,
    )  # fmt: skip
    assert trigger.rule == f"more than {percent} % of the alerts at the lowest level, low"


def test_what_may_be_chance_is_told() -> None:
    assert found(GINI, group(gini=measure(0.55, 0.1))).sure is False
    assert found(GINI, group(gini=measure(0.55, 0.02))).sure is True
    assert found(MISSES, group(missed=measure(0.25, 0.1))).sure is False


@pytest.mark.parametrize(("index", "answer"), [(SHIFTED, REACHED), (0.2499, NOT_REACHED), (None, UNKNOWN)])
def test_levels_that_shifted(index: float | None, answer: str) -> None:
    trigger = found(DRIFT, group(index=index))
    assert (trigger.answer, trigger.figure, trigger.limit) == (answer, index, SHIFTED)


def test_too_few_are_unknown_and_not_well() -> None:
    for name in (GINI, MISSES):
        trigger = found(name)
        assert (trigger.answer, trigger.figure) == (UNKNOWN, None)


@pytest.mark.parametrize(("downward", "answer"), [(5, NOT_REACHED), (6, REACHED)])
def test_more_overrides_than_the_cap(downward: int, answer: str) -> None:
    figures = replace(NONE, downward=downward, downward_share=downward / 50)
    trigger = found(OVERRIDES, overrides=figures)
    assert (trigger.answer, trigger.figure, trigger.limit) == (answer, downward / 50, 0.1)
    assert "10 %" in trigger.rule


def test_without_a_portfolio_nothing_is_said_of_overrides() -> None:
    assert found(OVERRIDES, overrides=replace(NONE, downward_share=None)).answer == UNKNOWN


def test_a_version_by_which_nobody_stands_any_more_asks_for_nothing() -> None:
    groups = [
        group(gini=measure(0.7)),
        group(gini=measure(0.1), ruleset="retail", version=1, ended=0),
        group(gini=measure(0.2), ruleset="retail", version=2, ended=1),
    ]
    made = [trigger for trigger in measured_triggers(groups, NONE) if trigger.name == GINI]
    assert [(trigger.about, trigger.answer) for trigger in made] == [("overall", NOT_REACHED), ("retail 2", REACHED)]
    assert worst(made, GINI) is True
    assert worst(made[:1], GINI) is False
    assert worst(made, MISSES) is None


Q3_ENDED = to_microseconds(date(2026, 10, 1))


@pytest.mark.parametrize(
    ("signed_until_us", "answer"),
    [(None, REACHED), (Q3_ENDED - 1, REACHED), (Q3_ENDED, NOT_REACHED), (Q3_ENDED + DAY_US, NOT_REACHED)],
)
def test_each_quarter_that_ended_asks_for_a_review_that_is_signed_off(signed_until_us: int | None, answer: str) -> None:
    review, _ = triggers_now(Reviews(0, signed_until_us), 0, Q3_ENDED + 50 * DAY_US)
    assert (review.name, review.answer, review.limit) == (REVIEW, answer, 50)
    if signed_until_us is None:
        assert review.figure is None
    else:
        assert review.figure == 50 - (signed_until_us - Q3_ENDED) / DAY_US


def test_the_next_quarter_asks_again_from_its_first_moment() -> None:
    q4_ended = to_microseconds(date(2027, 1, 1))
    answers = [triggers_now(Reviews(0, Q3_ENDED), 0, q4_ended + step)[0].answer for step in (-1, 0)]
    assert answers == [NOT_REACHED, REACHED]


def test_who_began_in_this_quarter_has_nothing_to_review() -> None:
    for begins_us, answer in ((Q3_ENDED - 1, REACHED), (Q3_ENDED, NOT_REACHED)):
        review, _ = triggers_now(Reviews(begins_us, None), 0, Q3_ENDED + DAY_US)
        assert review.answer == answer
        assert ("the organisation began after that" in review.rule) is (answer == NOT_REACHED)


@pytest.mark.parametrize(("changes", "answer"), [(0, NOT_REACHED), (1, REACHED)])
def test_an_open_change(changes: int, answer: str) -> None:
    _, change = triggers_now(Reviews(0, None), changes, 1)
    assert (change.name, change.answer, change.figure) == (CHANGE, answer, changes)


def test_what_was_measured_holds_until_the_next_validation() -> None:
    made = [*measured_triggers([group(gini=measure(0.1))], NONE), *triggers_now(Reviews(0, None), 3, 9)]
    assert {trigger.name for trigger in made} == set(TRIGGERS)
    kept = still_measured({"triggers": [vars(trigger) for trigger in made]})
    assert kept == [trigger for trigger in made if trigger.name not in {REVIEW, CHANGE}]


NOW = platforms.NOW
WORDS = "Instant payments begin in March."


@pytest.fixture
@filled_once
def ana(engine: Engine) -> Actor:
    return planted(engine).actor


@pytest.fixture
def ben(ana: Actor) -> Actor:
    return Actor(ana.organisation_id, "member:2")


def registered(engine: Engine, actor: Actor) -> ChangeLine:
    return register_change(Context(engine, actor).at(NOW), "product", f" {WORDS} ")


def validated(engine: Engine, actor: Actor, made_us: int = NOW + 1) -> int:
    return validate_levels(Context(engine, actor).at(made_us), day(0), day(90), resamples=20).id


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_open_until_it_is_signed_off(engine: Engine, ana: Actor, ben: Actor, kind: str) -> None:
    made = register_change(Context(engine, ana).at(NOW), kind, WORDS)
    assert (made.kind, made.description, made.registered_by, made.registered_us) == (kind, WORDS, "member:1", NOW)
    assert (made.is_open, made.validation, made.signed_by, made.conclusion) == (True, None, None, None)
    run = validated(engine, ana)
    signed = sign_off(Context(engine, ben).at(NOW + 2), made.id, run, " Nothing changes. ")
    assert (signed.validation, signed.signed_by, signed.signed_us) == (run, "member:2", NOW + 2)
    assert (signed.conclusion, signed.is_open) == ("Nothing changes.", False)
    assert list_changes(Context(engine, ana)) == [signed]


def test_nobody_signs_off_what_they_registered(engine: Engine, ana: Actor, ben: Actor) -> None:
    made, run = registered(engine, ana), validated(engine, ben)
    with pytest.raises(ConflictError, match=f"member:1 registered material change {made.id}: another person signs"):
        sign_off(Context(engine, Actor(ana.organisation_id, "member:1")), made.id, run, "fine")
    assert list_changes(Context(engine, ana))[0].is_open


@pytest.mark.parametrize("made_us", [NOW - 1, NOW])
def test_a_validation_from_before_the_change_says_nothing_of_it(
    engine: Engine, ana: Actor, ben: Actor, made_us: int
) -> None:
    run, made = validated(engine, ana, made_us), registered(engine, ana)
    with pytest.raises(ConflictError, match="before the change was registered on 2026-11-20; make another one"):
        sign_off(Context(engine, ben), made.id, run, "fine")


def test_a_change_is_signed_off_once(engine: Engine, ana: Actor, ben: Actor) -> None:
    made, run = registered(engine, ana), validated(engine, ana)
    sign_off(Context(engine, ben), made.id, run, "fine")
    with pytest.raises(ConflictError, match=f"material change {made.id} was signed off already, by member:2"):
        sign_off(Context(engine, Actor(ana.organisation_id, "member:3")), made.id, run, "still fine")


def test_what_is_not_said_is_refused(engine: Engine, ana: Actor, ben: Actor) -> None:
    with pytest.raises(ConfigError, match="kind is 'weather'; it must be product, channel, country or regulator"):
        register_change(Context(engine, ana), "weather", WORDS)
    with pytest.raises(ConfigError, match="description must say what changes, in 1 to 2000 characters"):
        register_change(Context(engine, ana), "product", " ")
    made, run = registered(engine, ana), validated(engine, ana)
    with pytest.raises(ConfigError, match="conclusion must say what follows, in 1 to 2000 characters"):
        sign_off(Context(engine, ben), made.id, run, "")


def test_others_changes_and_validations_are_not_there(engine: Engine, ana: Actor, ben: Actor) -> None:
    other = planted(engine, "other").actor
    made, run, theirs = registered(engine, ana), validated(engine, ana), validated(engine, other)
    for change in (made.id, 99):
        with pytest.raises(NotFoundError, match=f"there is no material change {change}"):
            sign_off(Context(engine, other), change, theirs, "fine")
    for validation in (theirs, 99):
        with pytest.raises(NotFoundError, match=f"there is no validation {validation}"):
            sign_off(Context(engine, ben), made.id, validation, "fine")
    assert list_changes(Context(engine, other)) == []
    assert sign_off(Context(engine, ben), made.id, run, "fine").validation == run


def test_both_steps_are_recorded(engine: Engine, ana: Actor, ben: Actor) -> None:
    made, run = registered(engine, ana), validated(engine, ana)
    sign_off(Context(engine, ben), made.id, run, "fine")
    with Session(engine) as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.number)).all()
        told = [(entry.action, entry.actor, entry.subject_kind, entry.subject_id) for entry in entries]
        details = [json.loads(entry.details) for entry in entries]
    assert told[0] == ("material_change.registered", "member:1", "material change", str(made.id))
    assert told[2] == ("material_change.signed_off", "member:2", "material change", str(made.id))
    assert (details[0]["validation_id"], details[2]["validation_id"]) == (None, run)
    bind_unnamed(engine)
    assert verify(engine, print).findings == 0


def test_the_newest_change_stands_first(engine: Engine, ana: Actor) -> None:
    first, second = registered(engine, ana), register_change(Context(engine, ana).at(NOW + 5), "country", "Malta.")
    assert [line.id for line in list_changes(Context(engine, ana))] == [second.id, first.id]
