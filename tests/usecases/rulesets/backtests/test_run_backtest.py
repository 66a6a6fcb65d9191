"""What a backtest is run on: everyone whom the ruleset reaches, at the levels that they stand at; else its examples."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotEnoughDataError
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.rulesets.rulesets import family_named, newest_version
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import Assessment
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.settings import SettingsChange
from fivefold.usecases.changes.asks import change_settings
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets import run_backtest as backtest_running
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.rulesets.example_customer import try_text
from fivefold.usecases.rulesets.run_backtest import LeftOut, reached_portfolios, run_backtest, setting_of
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.usecases.governed import DAY, NOW, document, founded, stand

COUNTRIES = ("NO", "IR", "KP")


def customers(engine: Engine, actor: Actor, count: int) -> list[int]:
    rows = [EntityRow(f"c{number}", {"country": COUNTRIES[number % 3], "income": 5.0}) for number in range(count)]
    put_entities(Context(engine, actor).at(NOW), "customer", rows)
    with Session(engine) as session:
        return list(session.scalars(select(Entity.id).order_by(Entity.id)))


def in_force(engine: Engine, actor: Actor, text: str) -> None:
    """Commit a ruleset, and let it decide."""
    saved = save_draft(Context(engine, actor), text)
    commit(Context(engine, actor), saved.family, saved.revision, "as it is")
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
    save_draft(Context(engine, ana), document())
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
    save_draft(Context(engine, ana), text)
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
    save_draft(Context(engine, ana), text)
    with pytest.raises(NotEnoughDataError, match="retail reaches no customer, and has no examples to run on"):
        run(engine, ana, text)


def test_a_few_customers_reach_the_end_of_the_progress(engine: Engine, ana: Actor) -> None:
    save_draft(Context(engine, ana), document())
    customers(engine, ana, 2)
    report, told = run(engine, ana, document())
    assert told[0] == (0, 2)
    assert told[-1] == (2, 2)
    assert (report["basis"], report["customers"]) == ("customers", 2)


@pytest.mark.postgresql
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
    save_draft(Context(engine, ana), document())
    (entity_id,) = customers(engine, ana, 1)
    stand(engine, entity_id, 2, level=3, source="override", override_id=5)
    report, _ = run(engine, ana, document())
    assert report["backtest"]["alone"] == [{"before": "medium", "after": "low", "entities": 1}]


def sanctioned(engine: Engine, ana: Actor) -> None:
    """Let a ruleset decide that applies to one country alone."""
    only = "applies_to: {field: country, equals: KP}\nlevels:"
    change_settings(Context(engine, ana), SettingsChange(minimum_coverage_percent=60))
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


def test_whom_a_family_before_decides_for_is_counted_and_left_out(engine: Engine, ana: Actor) -> None:
    sanctioned(engine, ana)
    save_draft(Context(engine, ana), document("retail"))
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


def narrowed(name: str, country: str, **changed: int) -> str:
    """A ruleset that applies to one country alone."""
    text = document(name, **changed).replace("levels:", f"applies_to: {{field: country, equals: {country}}}\nlevels:")
    return text.split("examples:")[0]


@pytest.mark.parametrize("kind", [{}, {"kind": "trust"}], ids=["it is missing", "it cannot be read"])
def test_of_whom_it_is_unknown_whether_an_earlier_family_applies_only_those_it_decided_on_are_left_out(
    engine: Engine, ana: Actor, kind: dict[str, str]
) -> None:
    context = Context(engine, ana).at(NOW)
    define_type(context, "customer", {"kind": {"one_of": ["firm", "person"]}})
    firms = document("firms").replace("income: number", "income: number\n  kind: {one_of: [firm, person]}")
    firms = firms.replace("levels:", "applies_to: {field: kind, equals: firm}\nlevels:", 1)
    in_force(engine, ana, firms.replace("given: {", "given: {kind: firm, "))
    with Session(engine) as session, session.begin():
        type_row = session.scalars(select(EntityType)).one()
        type_row.fields = {**type_row.fields, "kind": {"one_of": ["firm", "person", "trust"]}}  # wider than the ruleset
    save_draft(context, document("retail"))
    put_entities(context, "customer", [EntityRow(name, {"income": 5.0, **kind}) for name in "xyz"])
    with Session(engine) as session, session.begin():
        version_id = session.scalars(select(RulesetVersion.id)).one()
        ids = list(session.scalars(select(Entity.id).order_by(Entity.id)))
    report, _ = run(engine, ana, document("retail"))
    assert (report["decided_before"], report["backtest"]["entities"]) == ({"firms": 0}, 3)
    stand(engine, ids[0], 2, entered_us=NOW - DAY, version_id=version_id)
    report, _ = run(engine, ana, document("retail"))
    assert (report["decided_before"], report["backtest"]["entities"]) == ({"firms": 1}, 2)
    assert [try_text(context, "retail", name).decided_before for name in "xy"] == ["firms", None]
    assert left_out_then(engine, ids, version_id) == {"firms": 1}, "the second one, and not who stands there today"


def left_out_then(engine: Engine, ids: list[int], version_id: int) -> dict[str, int]:
    """Count for whom an earlier family decided at a moment that is over: it decided on the second one alone by then."""
    with Session(engine) as session, session.begin():
        for number, entity_id, at_us in ((1, ids[1], NOW), (2, ids[2], NOW + 1), (2, ids[1], NOW + 1)):
            of = {"organisation_id": 1, "status": "ok", "source": "rules", "floor": 0, "score": "0", "engine": "1"}
            version = None if entity_id == ids[1] and number == 2 else version_id
            session.add(Assessment(entity_id=entity_id, number=number, as_of_us=at_us, version_id=version, **of))
        family = session.scalars(select(Family).where(Family.name == "retail")).one()
        canonical = read_ruleset(document("retail")).canonical
        setting = setting_of(session, family, canonical, NOW, known_then=True)
    left_out = LeftOut.none_of(setting)
    entities = [
        name
        for _, portfolio in reached_portfolios(engine, setting, [setting.draft], left_out, lambda *_: None)
        for name in portfolio.entities["entity_id"]
    ]
    assert entities == [str(ids[0]), str(ids[2])]
    return left_out.decided


def test_whom_a_later_family_decides_on_before_and_after_is_counted_and_left_out(engine: Engine, ana: Actor) -> None:
    in_force(engine, ana, document("retail"))
    save_draft(Context(engine, ana), narrowed("firms", "IR"))
    with Session(engine) as session, session.begin():
        session.execute(update(Family).where(Family.name == "retail").values(position=99))
    for entity_id in customers(engine, ana, 7):
        stand(engine, entity_id, 1, entered_us=NOW - DAY)
    report, told = run(engine, ana, narrowed("firms", "IR"))
    assert (report["not_reached"], report["backtest"]["entities"], report["customers"]) == (5, 2, 7)
    cells = {(cell["before"], cell["after"]): cell["entities"] for cell in report["backtest"]["alone"]}
    assert sum(cells.values()) == 2
    assert not [after for _, after in cells if after == "(not applicable)"]
    assert told[-1] == (7, 7)
    with Session(engine) as session, session.begin():
        session.execute(update(Family).where(Family.name == "retail").values(enabled=False))
    report, _ = run(engine, ana, narrowed("firms", "IR"))
    assert (report["not_reached"], report["backtest"]["entities"]) == (0, 7), "nobody else decides on them"


def test_whom_a_narrower_version_leaves_to_a_later_family_is_said(engine: Engine, ana: Actor) -> None:
    in_force(engine, ana, document("retail"))
    in_force(engine, ana, document("firms"))
    with Session(engine) as session, session.begin():
        session.execute(update(Family).where(Family.name == "retail").values(position=99))
    customers(engine, ana, 7)
    report, _ = run(engine, ana, narrowed("firms", "IR"))
    assert (report["not_reached"], report["backtest"]["entities"]) == (0, 7), "the version in force decides on them"
    why = "5 customers to whom the draft does not apply: the rulesets after it are tried on them"
    assert [each for each in report["backtest"]["cautions"] if why in each]


def test_one_that_reaches_nobody_runs_on_its_examples(engine: Engine, ana: Actor) -> None:
    in_force(engine, ana, document("everyone"))
    save_draft(Context(engine, ana), document("retail"))
    customers(engine, ana, 4)
    report, _ = run(engine, ana, document("retail"))
    assert (report["basis"], report["customers"], report["decided_before"]) == ("examples", 4, {"everyone": 4})


@pytest.mark.postgresql
def test_who_was_erased_or_belongs_to_others_is_not_looked_at(engine: Engine, ana: Actor) -> None:
    save_draft(Context(engine, ana), document())
    other = founded(engine, "other")[0]
    ids = customers(engine, ana, 3)
    customers(engine, other, 5)
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.id == ids[0]).values(erased_us=NOW))
    report, told = run(engine, ana, document())
    assert report["customers"] == 2
    assert told[-1] == (2, 2)
