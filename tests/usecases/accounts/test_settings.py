"""Settings: levels chosen once, locked with the first ruleset, and what may be changed afterwards."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.store.sql.database import writing
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.usecases.accounts.settings import Settings, choose_levels, lock_settings, read_settings, settings_of
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.at_once import change_settings
from tests.usecases.governed import NOW, audited, organisation, people, rows_of, together


@pytest.fixture
@filled_once
def ana(engine: Engine) -> Actor:
    return people(organisation(engine))[0]


def lock(engine: Engine, actor: Actor, now_us: int = NOW) -> Settings:
    with writing(engine) as session:
        lock_settings(session, actor.organisation_id, now_us)
        return settings_of(session, actor.organisation_id)


def test_levels_are_chosen_by_name_with_what_else_holds(engine: Engine, ana: Actor) -> None:
    chosen = choose_levels(Context(engine, ana), ["low", "medium", "high", "critical"])
    assert chosen == Settings(
        levels=("low", "medium", "high", "critical"),
        locked_us=None,
        base_currency="EUR",
        override_cap_percent=10,
        retention_days=1826,
        minimum_coverage_percent=80,
        programs_lower_levels=False,
        two_people_promote=False,
        sole_operator_us=None,
    )
    assert read_settings(Context(engine, ana)) == chosen
    with Session(engine) as session:
        assert settings_of(session, ana.organisation_id) == chosen


def test_nothing_is_settled_before_the_levels(engine: Engine, ana: Actor) -> None:
    for ask in (
        lambda: read_settings(Context(engine, ana)),
        lambda: change_settings(Context(engine, ana)),
        lambda: lock(engine, ana),
    ):
        with pytest.raises(ConflictError, match="has not defined its levels yet"):
            ask()
    assert rows_of(engine, AuditEntry) == []


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ([], "there are 0 levels; 3 to 6"),
        (["a", "b"], "there are 2 levels; 3 to 6"),
        (list("abcdefg"), "there are 7 levels; 3 to 6"),
        (["a", "b", "a"], "there are 2 levels 'a'; each has a name of its own"),
        (["a", "b", ""], "the level '' cannot be stored"),
        (["a", "b", " c"], "the level ' c' cannot be stored"),
        (["a", "b", "c\n"], "cannot be stored"),
        (["a", "b", "c\0"], "cannot be stored"),
        (["a", "b", "x" * 41], "1 to 40 characters"),
        (["a", "b", 3], "must be a list of names"),
        ("abc", "must be a list of names"),
    ],
)
def test_what_are_no_levels_is_refused_and_nothing_kept(engine: Engine, ana: Actor, levels: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        choose_levels(Context(engine, ana), levels)
    assert rows_of(engine, AuditEntry) == []


@pytest.mark.parametrize("levels", [list("abc"), list("abcdef"), ["x" * 40, "é", "in two words"]])
def test_three_to_six_levels_can_be_chosen(engine: Engine, ana: Actor, levels: list[str]) -> None:
    assert choose_levels(Context(engine, ana), levels).levels == tuple(levels)


def test_levels_may_be_chosen_anew_until_a_ruleset_is_written_and_never_after(engine: Engine, ana: Actor) -> None:
    choose_levels(Context(engine, ana), ["a", "b", "c"])
    change_settings(Context(engine, ana), retention_days=9)
    again = choose_levels(Context(engine, ana), ["d", "e", "f", "g"])
    assert (again.levels, again.retention_days) == (("d", "e", "f", "g"), 9)
    assert lock(engine, ana).locked_us == NOW
    with pytest.raises(ConflictError, match="the levels are d, e, f, g and cannot change"):
        choose_levels(Context(engine, ana), ["a", "b", "c"])
    entries = len(audited(engine))
    assert choose_levels(Context(engine, ana), ["d", "e", "f", "g"]).locked_us == NOW, "the same ones change nothing"
    assert len(audited(engine)) == entries
    assert lock(engine, ana, NOW + 5).locked_us == NOW, "the first ruleset locked them"
    assert read_settings(Context(engine, ana)).levels == ("d", "e", "f", "g")


def test_settings_are_changed_one_by_one(engine: Engine, ana: Actor) -> None:
    choose_levels(Context(engine, ana), ["a", "b", "c"])
    assert change_settings(Context(engine, ana), base_currency="CZK").base_currency == "CZK"
    assert change_settings(Context(engine, ana), override_cap_percent=0).override_cap_percent == 0
    assert change_settings(Context(engine, ana), retention_days=3650) == Settings(
        levels=("a", "b", "c"),
        locked_us=None,
        base_currency="CZK",
        override_cap_percent=0,
        retention_days=3650,
        minimum_coverage_percent=80,
        programs_lower_levels=False,
        two_people_promote=False,
        sole_operator_us=None,
    )
    lock(engine, ana)
    assert (
        change_settings(Context(engine, ana), override_cap_percent=100, base_currency="CZK").override_cap_percent == 100
    )
    with pytest.raises(ConflictError, match="the base currency is CZK and cannot change"):
        change_settings(Context(engine, ana), base_currency="EUR", retention_days=1)
    assert read_settings(Context(engine, ana)).retention_days == 3650, "all of a call or nothing"


@pytest.mark.parametrize(
    "wrong",
    [
        {"override_cap_percent": -1},
        {"override_cap_percent": 101},
        {"override_cap_percent": 10.5},
        {"override_cap_percent": True},
        {"retention_days": -1},
        {"retention_days": "5"},
        {"retention_days": 36_526},
        {"challenge_days": 0},
        {"challenge_days": 366},
        {"lowest_alert_percent": 101},
        {"outbox_days": 29},
        {"deliveries_days": 6},
        {"reports_days": 36_526},
        {"outbox_days": True},
        {"base_currency": "eur"},
        {"base_currency": "EURO"},
        {"base_currency": "EUR\n"},
    ],
)
def test_values_that_are_none_are_refused(engine: Engine, ana: Actor, wrong: dict[str, Any]) -> None:
    before = choose_levels(Context(engine, ana), ["a", "b", "c"])
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} is .*; it must be"):
        change_settings(Context(engine, ana), **wrong)
    assert read_settings(Context(engine, ana)) == before


def test_who_settled_what_is_recorded(engine: Engine, ana: Actor) -> None:
    choose_levels(Context(engine, ana), ["a", "b", "c"])
    change_settings(Context(engine, ana), override_cap_percent=5)
    first = {"levels": ["a", "b", "c"], "base_currency": "EUR", "override_cap_percent": 10, "retention_days": 1826,
             "minimum_coverage_percent": 80, "programs_lower_levels": False, "two_people_promote": False,
             "challenge_days": 30, "outbox_days": 0, "deliveries_days": 0, "reports_days": 0,
             "assessments_days": 0, "flows_days": 0, "lowest_alert_percent": 25}  # fmt: skip
    second = {**first, "override_cap_percent": 5}
    number = str(ana.organisation_id)
    assert audited(engine) == [
        ("member:1", "levels.chosen", number, first),
        ("member:1", "settings.changed", number, second),
    ]
    values = rows_of(engine, AuditValues)
    assert values[0]["before"] is None
    assert json.loads(values[1]["before"]) == first
    assert json.loads(values[1]["after"]).items() >= second.items()
    verified = verify(engine, print)
    assert (verified.entries, verified.findings) == (2, 0)


def test_organisations_settle_for_themselves(engine: Engine, ana: Actor) -> None:
    other = people(organisation(engine, "other"))[0]
    choose_levels(Context(engine, ana), ["a", "b", "c"])
    lock(engine, ana)
    assert choose_levels(Context(engine, other), ["x", "y", "z"]).locked_us is None
    change_settings(Context(engine, other), retention_days=1)
    assert read_settings(Context(engine, ana)).retention_days == 1826


def test_of_two_who_choose_at_once_both_are_recorded_and_one_holds(kind: str, tmp_path: Path) -> None:
    made: list[Settings] = together(
        kind,
        tmp_path,
        lambda engine: people(organisation(engine))[0],
        lambda engine, actor: choose_levels(Context(engine, actor), ["a", "b", "c"]),
        lambda engine, actor: choose_levels(Context(engine, actor), ["d", "e", "f"]),
    )
    assert [each.levels for each in made] == [("a", "b", "c"), ("d", "e", "f")]


def test_whoever_chooses_while_a_ruleset_locks_comes_before_or_is_refused(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> Actor:
        actor = people(organisation(engine))[0]
        choose_levels(Context(engine, actor), ["a", "b", "c"])
        return actor

    chosen, locked = together(
        kind, tmp_path, prepare, lambda engine, actor: choose_levels(Context(engine, actor), ["d", "e", "f"]), lock
    )
    if isinstance(chosen, ConflictError):
        assert locked.levels == ("a", "b", "c")
    else:
        assert locked.levels == ("d", "e", "f"), "what was locked is what was chosen"
