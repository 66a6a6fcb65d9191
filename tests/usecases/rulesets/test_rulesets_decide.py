"""From a draft to levels, and what people set above them: all of it together, with the worker."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConflictError
from fivefold.store.tables.levels import Assessment, Standing, Transition
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes.backtests import BACKTESTS, report_of, request_backtest
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.levels.distribution import Overridden, distribution
from fivefold.usecases.levels.overrides import approve_override, overrides_of, request_override
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.rulesets.activate import activate, advance_backfills
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.jobs import run_next_job
from tests.store.filling import filled_once
from tests.usecases.at_once import change_settings, put_list_version, revoke_override, roll_back, switch_family
from tests.usecases.governed import DAY, NOW, SECOND, document, founded, rows_of

COUNTRIES = ("NO", "IR", "KP")
People = tuple[Actor, Actor, Actor]


def work(engine: Engine, now_us: int) -> int:
    """Let workers do everything that is to be done at a moment; tell how many they assessed."""
    advance_backfills(engine, now_us)
    done = 0
    while (batch := run_batch(engine, clock=lambda: now_us)) is not None:
        assert batch.failed == 0
        done += batch.assessed
    return done


def decide(engine: Engine, three: People, text: str, revision: int, now_us: int) -> int:
    """Bring a ruleset into force."""
    save_draft(Context(engine, three[0]), text)
    made = commit(Context(engine, three[1]).at(now_us), "retail", revision)
    asked = request_backtest(Context(engine, three[0]).at(now_us), "retail", made.number)
    assert run_next_job(engine, BACKTESTS, now_us)
    assert report_of(Context(engine, three[0]), asked.id)["basis"] == "customers"
    activate(Context(engine, three[2]).at(now_us), "retail", made.number, "as agreed", 1000)
    return made.number


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    """Nine customers: three at each level, by the first version."""
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    rows = [EntityRow(f"c{number}", {"country": COUNTRIES[number % 3], "income": 5.0}) for number in range(9)]
    put_entities(Context(engine, three[0]).at(NOW), "customer", rows)
    work(engine, NOW)
    decide(engine, three, document(), 1, NOW)
    assert work(engine, NOW + SECOND) == 9
    return three


def levels(engine: Engine) -> list[int]:
    return [row["level"] for row in rows_of(engine, Standing)]


def by_version(engine: Engine, actor: Actor) -> dict[int, dict[str, int]]:
    found = distribution(Context(engine, actor), "customer")
    return {at.version: dict(at.levels) for at in found.versions}


def test_a_version_assesses_everyone_after_it_was_activated(engine: Engine, three: People) -> None:
    assert levels(engine) == [1, 2, 3] * 3
    assert by_version(engine, three[0]) == {1: {"low": 3, "medium": 3, "high": 3}}


def test_a_new_version_takes_over_gradually_and_is_never_mixed_with_the_old_one(engine: Engine, three: People) -> None:
    before = rows_of(engine, RulesetVersion)
    text = document(medium=25).replace("points: 30}", "points: 60}").replace("{level: medium}", "{level: high}")
    decide(engine, three, text, 2, NOW + DAY)
    assert work(engine, NOW + DAY) == 0, "switching assesses nobody"
    put_entities(Context(engine, three[0]).at(NOW + DAY), "customer", [EntityRow("c1", {"income": 6.0})])
    assert work(engine, NOW + DAY) == 1
    assert by_version(engine, three[0]) == {
        2: {"low": 0, "medium": 0, "high": 1},
        1: {"low": 3, "medium": 2, "high": 3},
    }
    assert work(engine, NOW + DAY + SECOND) == 9
    assert by_version(engine, three[0]) == {2: {"low": 3, "medium": 0, "high": 6}}
    roll_back(Context(engine, three[0]).at(NOW + 2 * DAY), "retail", 1, "too strict", 1000)
    assert work(engine, NOW + 2 * DAY + SECOND) == 9
    assert by_version(engine, three[0])[1] == {"low": 3, "medium": 0, "high": 6}, "the cooldown keeps them"
    assert work(engine, NOW + 32 * DAY) == 3, "and then they move down, without a visit"
    assert levels(engine) == [1, 2, 3] * 3
    assert rows_of(engine, RulesetVersion)[: len(before)] == before
    assert verify(engine, print).findings == 0


def test_an_override_holds_stands_apart_and_ends_without_a_visit(engine: Engine, three: People) -> None:
    change_settings(Context(engine, three[0]), override_cap_percent=20)
    now = NOW + DAY
    asked = request_override(Context(engine, three[0]).at(now), "customer", "c1", "low", "we know them", now + DAY)
    assert work(engine, now) == 0
    approve_override(Context(engine, three[1]).at(now), asked.id)
    assert work(engine, now) == 1
    assert levels(engine)[1] == 1
    found = distribution(Context(engine, three[0]), "customer")
    assert found.overridden == (Overridden("low", "medium", 1),)
    assert by_version(engine, three[0]) == {1: {"low": 3, "medium": 2, "high": 3}}
    (line,) = overrides_of(Context(engine, three[0]).at(now))
    assert (line.level, line.rules_level, line.present_level, line.state) == ("low", "medium", "low", "live")
    assert work(engine, now + DAY - 1) == 0
    assert work(engine, now + DAY) == 1
    assert levels(engine)[1] == 2
    assert overrides_of(Context(engine, three[0]).at(now + DAY))[0].state == "expired"
    assert [row["source"] for row in rows_of(engine, Assessment) if row["entity_id"] == 2][-2:] == [
        "override",
        "expiry",
    ]
    moved = [(row["from_level"], row["to_level"]) for row in rows_of(engine, Transition) if row["entity_id"] == 2]
    assert moved == [(None, 2), (2, 1), (1, 2)]


def test_an_override_that_is_revoked_gives_back_what_the_rules_say(engine: Engine, three: People) -> None:
    asked = request_override(Context(engine, three[0]).at(NOW + DAY), "customer", "c0", "high", "a hint")
    approve_override(Context(engine, three[1]).at(NOW + DAY), asked.id)
    work(engine, NOW + DAY)
    assert levels(engine)[0] == 3
    revoke_override(Context(engine, three[1]).at(NOW + 2 * DAY), asked.id, "it was nothing")
    work(engine, NOW + 2 * DAY)
    assert levels(engine)[0] == 1


def test_a_floor_of_the_rules_is_known_when_an_override_is_asked_for(engine: Engine, three: People) -> None:
    with pytest.raises(ConflictError, match="a floor keeps the level at high or above"):
        request_override(Context(engine, three[0]).at(NOW + DAY), "customer", "c2", "low", "we know them")


def test_a_list_changes_whom_it_touches(engine: Engine, three: People) -> None:
    now = NOW + 40 * DAY
    put_list_version(Context(engine, three[0]).at(now), "watched", now, ["NO"], "Watched", "our own")
    assert work(engine, now) == 9
    assert levels(engine) == [2, 1, 3] * 3


def test_a_family_that_is_switched_off_decides_no_more(engine: Engine, three: People) -> None:
    switch_family(Context(engine, three[0]).at(NOW + DAY), "retail", False, "it is wrong", 1000)
    assert work(engine, NOW + DAY + SECOND) == 9
    found: Any = distribution(Context(engine, three[0]), "customer")
    assert (found.versions, found.no_level) == ((), 9)
    switch_family(Context(engine, three[0]).at(NOW + 2 * DAY), "retail", True, "it is not", 1000)
    assert work(engine, NOW + 2 * DAY + SECOND) == 9
    assert levels(engine) == [1, 2, 3] * 3
