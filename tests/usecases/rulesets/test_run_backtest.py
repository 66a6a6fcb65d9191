"""What a backtest is run on: everyone whom the ruleset reaches, at the levels that they stand at; else its examples."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotEnoughData
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.rulesets.rulesets import family_named, newest_version
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.accounts.settings import SettingsGiven
from fivefold.usecases.changes.asks import change_settings
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets import run_backtest as backtest_running
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.rulesets.run_backtest import run_backtest, setting_of
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import DAY, NOW, document, founded, stand

pytestmark = pytest.mark.postgresql

COUNTRIES = ("NO", "IR", "KP")


@pytest.fixture
@filled_once
def ana(engine: Engine) -> Actor:
    actor = founded(engine)[0]
    put_list_version(engine, actor, "watched", 0, ["IR"], "Watched", "our own", NOW)
    return actor


def customers(engine: Engine, actor: Actor, count: int) -> list[int]:
    rows = [EntityRow(f"c{number}", {"country": COUNTRIES[number % 3], "income": 5.0}) for number in range(count)]
    put_entities(engine, actor, "customer", rows, NOW)
    with Session(engine) as session:
        return list(session.scalars(select(Entity.id).order_by(Entity.id)))


def in_force(engine: Engine, actor: Actor, text: str) -> None:
    """Commit a ruleset, and let it decide."""
    saved = save_draft(engine, actor, text)
    commit(engine, actor, saved.family, saved.revision, "as it is")
    with Session(engine) as session, session.begin():
        family = family_named(session, actor.organisation_id, saved.family)
        newest = newest_version(session, family.id)
        assert newest is not None
        family.active_version_id = newest.id


def run(engine: Engine, actor: Actor, text: str) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """Run a content; give the report, and the progress that was told."""
    ruleset = read_ruleset(text)
    with Session(engine) as session:
        family = family_named(session, actor.organisation_id, ruleset.name)
        setting = setting_of(session, family, ruleset.canonical, NOW)
    told: list[tuple[int, int]] = []
    report = run_backtest(engine, setting, lambda done, of, _: told.append((done, of)))
    return json.loads(report), told


def test_without_customers_it_runs_on_the_examples(engine: Engine, ana: Actor) -> None:
    save_draft(engine, ana, document())
    report, told = run(engine, ana, document(medium=35))
    assert (report["basis"], report["customers"], report["present_version"]) == ("examples", 0, None)
    assert report["backtest"]["draft"]["alone"] | {"low": 1, "high": 1} == report["backtest"]["draft"]["alone"]
    assert told == [(0, 2), (2, 2)]


def test_examples_are_called_by_their_names_and_have_their_own_moments_and_levels(engine: Engine, ana: Actor) -> None:
    held = "previous: {level: high, entered: 2024-06-20}"
    text = document().replace(
        "  - {name: watched, given: {country: IR, income: 5}, expect",
        f"  - {{name: watched, as_of: 2024-07-01, given: {{country: IR, income: 5, {held}}}, expect",
    )
    save_draft(engine, ana, text)
    report, _ = run(engine, ana, text)
    found = report["backtest"]
    assert found["draft"]["withheld"] == 1, "ten days at a level, of thirty"
    assert {mover["entity"] for mover in found["movers"]} == {"watched", "north"}
    assert found["later"] == [
        {"before": "high", "after": "high", "entities": 1},
        {"before": "(no level before)", "after": "high", "entities": 1},
    ]


def test_without_examples_there_is_nothing_to_run_on(engine: Engine, ana: Actor) -> None:
    text = document()
    text = text[: text.index("examples:")]
    save_draft(engine, ana, text)
    with pytest.raises(NotEnoughData, match="retail reaches no customer, and has no examples to run on"):
        run(engine, ana, text)


def test_a_few_customers_reach_the_end_of_the_progress(engine: Engine, ana: Actor) -> None:
    save_draft(engine, ana, document())
    customers(engine, ana, 2)
    report, told = run(engine, ana, document())
    assert told[0] == (0, 2)
    assert told[-1] == (2, 2)
    assert (report["basis"], report["customers"]) == ("customers", 2)


def test_parts_come_to_the_same_as_one(engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    in_force(engine, ana, document())
    for number, entity_id in enumerate(customers(engine, ana, 30)):
        stand(engine, entity_id, None if number % 5 == 0 else 1 + number % 3, entered_us=NOW - number * 3 * DAY)
    whole, _ = run(engine, ana, document(medium=31))
    assert whole["changed"]["later"] is not None
    monkeypatch.setattr(backtest_running, "MOST_ENTITIES", 7)
    parts, told = run(engine, ana, document(medium=31))
    assert parts == whole
    assert told == [(0, 30), (0, 30), (7, 30), (14, 30), (21, 30), (28, 30), (30, 30)]


def test_what_decides_now_and_what_stands_are_compared(engine: Engine, ana: Actor) -> None:
    in_force(engine, ana, document())
    for entity_id, level in zip(customers(engine, ana, 3), (1, 2, 3), strict=True):
        stand(engine, entity_id, level, entered_us=NOW - DAY)
    report, _ = run(engine, ana, document(medium=35).replace("points: 30", "points: 31"))
    assert report["present_version"] == 1
    assert report["changed"] == {"alone": 1, "later": 0}, "the cooldown keeps who came yesterday"
    cells = {(cell["before"], cell["after"]): cell["entities"] for cell in report["backtest"]["alone"]}
    assert cells == {("low", "low"): 1, ("medium", "low"): 1, ("high", "high"): 1}
    hits = {(hit["rule"], hit["case"]): hit["entities"] for hit in report["backtest"]["draft"]["hits"]}
    assert hits["country", 1] == 1
    assert hits["country", 2] == 1
    assert hits["income", 1] == 0


def test_an_override_is_no_level_of_the_rules(engine: Engine, ana: Actor) -> None:
    save_draft(engine, ana, document())
    (entity_id,) = customers(engine, ana, 1)
    stand(engine, entity_id, 2, level=3, source="override", override_id=5)
    report, _ = run(engine, ana, document())
    assert report["backtest"]["alone"] == [{"before": "medium", "after": "low", "entities": 1}]


def test_whom_a_family_before_decides_for_is_counted_and_left_out(engine: Engine, ana: Actor) -> None:
    only = "applies_to: {field: country, equals: KP}\nlevels:"
    change_settings(engine, ana, SettingsGiven(minimum_coverage_percent=60))
    in_force(
        engine,
        ana,
        document("sanctioned")
        .replace("levels:", only)
        .replace(
            "country: IR, income: 5}, expect: {level: medium",
            "country: IR, income: 5}, expect: {status: not applicable",
        )
        .replace("examples:", "coverage: {cases: 60}\nexamples:"),
    )
    save_draft(engine, ana, document("retail"))
    customers(engine, ana, 7)
    report, told = run(engine, ana, document("retail"))
    assert report["decided_before"] == {"sanctioned": 2}
    assert report["customers"] == 7
    assert report["backtest"]["entities"] == 5
    assert told[-1] == (7, 7), "they are done as well"
    with Session(engine) as session, session.begin():
        session.execute(update(Family).where(Family.name == "sanctioned").values(enabled=False))
    report, _ = run(engine, ana, document("retail"))
    assert (report["decided_before"], report["backtest"]["entities"]) == ({}, 7)


def test_one_that_reaches_nobody_runs_on_its_examples(engine: Engine, ana: Actor) -> None:
    in_force(engine, ana, document("everyone"))
    save_draft(engine, ana, document("retail"))
    customers(engine, ana, 4)
    report, _ = run(engine, ana, document("retail"))
    assert (report["basis"], report["customers"], report["decided_before"]) == ("examples", 4, {"everyone": 4})


def test_who_was_erased_or_belongs_to_others_is_not_looked_at(engine: Engine, ana: Actor) -> None:
    save_draft(engine, ana, document())
    other = founded(engine, "other")[0]
    ids = customers(engine, ana, 3)
    customers(engine, other, 5)
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.id == ids[0]).values(erased_us=NOW))
    report, told = run(engine, ana, document())
    assert report["customers"] == 2
    assert told[-1] == (2, 2)
