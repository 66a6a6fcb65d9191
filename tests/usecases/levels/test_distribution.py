"""The distribution: everyone once, versions and overrides apart, nothing left out."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.cli.platform.levels import show_distribution
from fivefold.domain.errors import NotFoundError
from fivefold.serving.mcp.sentences import levels_sentence
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark, Standing
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.levels.distribution import AtVersion, Distribution, Overridden, distribution
from fivefold.usecases.monitoring.statistics import PlatformFigures
from fivefold.usecases.portfolio.current_levels import LevelFilters, list_current_levels
from fivefold.usecases.portfolio.matrix import value_and_risk
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store import databases
from tests.store.filling import filled_once
from tests.store.plans import statements
from tests.usecases.at_once import put_list_version, switch_family
from tests.usecases.governed import NOW, add_entities, document, founded, stand


def prepared(engine: Engine) -> Actor:
    """Two families: retail with the versions 1 and 2 (numbers in the database), other with 3; retail 2 is active."""
    ana = founded(engine)[0]
    put_list_version(Context(engine, ana).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    for name, medium, revision in (("retail", 30, 1), ("retail", 29, 2), ("other", 30, 1)):
        save_draft(Context(engine, ana), document(name, medium))
        commit(Context(engine, ana), name, revision)
    with Session(engine) as session, session.begin():
        session.execute(update(Family).where(Family.name == "retail").values(active_version_id=2))
    return ana


@pytest.fixture
@filled_once
def ana(engine: Engine) -> Actor:
    return prepared(engine)


def none(**levels: int) -> dict[str, int]:
    return {"low": 0, "medium": 0, "high": 0} | levels


def at_version(ruleset: str, version: int, *, active: bool, **levels: int) -> AtVersion:
    """Everyone of a version that assessed them all in full."""
    return AtVersion(
        ruleset=ruleset,
        version=version,
        active=active,
        levels=none(**levels),
        without_level=0,
        failed=0,
        unclassified=0,
        undetermined=0,
    )


def test_versions_are_not_mixed_and_overrides_stand_apart(engine: Engine, ana: Actor) -> None:
    ids = add_entities(engine, ana, [f"c{number}" for number in range(13)])
    standings: list[dict[str, Any]] = [
        {"rules_level": 1, "version_id": 1},
        {"rules_level": 1, "version_id": 2},
        {"rules_level": 1, "version_id": 2},
        {"rules_level": 3, "version_id": 2},
        {"rules_level": 2, "version_id": 3},
        {"rules_level": 3, "version_id": 2, "status": "failed"},
        {"rules_level": None, "version_id": 2, "status": "unclassified"},
        {"rules_level": 2, "version_id": 2, "status": "undetermined"},
        {"rules_level": 3, "version_id": 2, "level": 1, "override_id": 1, "source": "override"},
        {"rules_level": 3, "version_id": 1, "level": 1, "override_id": 2, "source": "rules"},
        {"rules_level": None, "version_id": None, "status": "not applicable"},
        {"rules_level": None, "version_id": None, "status": "no ruleset"},
    ]
    for entity_id, standing in zip(ids, standings, strict=False):
        stand(engine, entity_id, **standing)
    assert distribution(Context(engine, ana), "customer") == Distribution(
        entity_type="customer",
        levels=tuple(none()),
        deciding=True,
        entities=13,
        by_level={"high": 2, "medium": 2, "low": 5},
        versions=(
            AtVersion(
                ruleset="retail",
                version=2,
                active=True,
                levels=none(low=2, medium=1, high=2),
                without_level=1,
                failed=1,
                unclassified=1,
                undetermined=1,
            ),
            at_version("retail", 1, active=False, low=1),
            at_version("other", 1, active=False, medium=1),
        ),
        overridden=(Overridden("low", "high", 2),),
        no_level=2,
        not_by_present=1,
        not_assessed=1,
        failing=0,
        quarantined=0,
    )


def test_a_version_counts_beneath_an_override_who_was_not_assessed_in_full(engine: Engine, ana: Actor) -> None:
    """Even one that does not decide now, and by which nobody else has a level."""
    (only,) = add_entities(engine, ana, ["a"])
    stand(engine, only, 3, version_id=1, status="undetermined", level=2, override_id=1)
    found = distribution(Context(engine, ana), "customer")
    counted = [(each.version, each.levels, each.undetermined) for each in found.versions]
    assert counted == [(2, none(), 0), (1, none(), 1)]
    assert found.overridden == (Overridden("medium", "high", 1),)
    assert found.not_in_full()["undetermined"] == 1


def test_a_version_that_is_active_is_shown_before_anyone_stands_by_it(engine: Engine, ana: Actor) -> None:
    found = distribution(Context(engine, ana), "customer")
    assert found.versions == (at_version("retail", 2, active=True),)
    assert (found.entities, found.no_level, found.not_assessed) == (0, 0, 0)
    switch_family(Context(engine, ana), "retail", False, "why")
    assert distribution(Context(engine, ana), "customer").versions == ()


def test_who_fails_or_is_quarantined_is_counted_beside(engine: Engine, ana: Actor) -> None:
    ids = add_entities(engine, ana, ["a", "b", "c"])
    stand(engine, ids[0], 1, version_id=2)
    with Session(engine) as session, session.begin():
        due.mark(session, [Subject(number, ana.organisation_id, 1) for number in ids], due.Reason.TAG, NOW)
        session.execute(update(DueMark).where(DueMark.entity_id.in_(ids[:2])).values(error="it broke"))
        session.execute(update(DueMark).where(DueMark.entity_id == ids[0]).values(quarantined=True))
    found = distribution(Context(engine, ana), "customer")
    assert (found.entities, found.not_assessed, found.failing, found.quarantined) == (3, 2, 2, 1)


def test_others_and_who_was_erased_are_not_counted(engine: Engine, ana: Actor) -> None:
    define_type(Context(engine, ana), "company", {})
    other = founded(engine, "other")[0]
    mine = add_entities(engine, ana, ["a", "b"])
    for number in (*mine, *add_entities(engine, ana, ["x"], "company"), *add_entities(engine, other, ["y"])):
        stand(engine, number, 2, version_id=2)
    with Session(engine) as session, session.begin():
        session.get_one(Entity, mine[0]).erased_us = NOW
        session.get_one(Standing, mine[0]).erased = True
    found = distribution(Context(engine, ana), "customer")
    assert (found.entities, found.versions[0].levels, found.not_assessed) == (1, none(medium=1), 0)
    with pytest.raises(NotFoundError, match="there is no entity type 'company'"):
        distribution(Context(engine, other), "company")


@settings(max_examples=examples(20), suppress_health_check=SHARED_FIXTURES)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, 1, 2, 3]),
            st.sampled_from(["assessed", "failed", "unclassified", "undetermined"]),
            st.sampled_from([None, 1, 2, 3]),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.integers(0, 3),
)
def test_everyone_is_counted_once(
    tmp_path_factory: pytest.TempPathFactory, standings: list[tuple[int | None, str, int | None, bool]], new: int
) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path_factory.mktemp("counted"))) as engine:
        ana = prepared(engine)
        ids = add_entities(engine, ana, [f"c{number}" for number in range(len(standings) + new)])
        for entity_id, (version, status, level, overridden) in zip(ids, standings, strict=False):
            without = version is None
            stand(
                engine,
                entity_id,
                None if without else level if status == "failed" else 1 + entity_id % 3,
                version_id=version,
                status="not applicable" if without else status,
                override_id=entity_id if overridden else None,
            )
        found = distribution(Context(engine, ana), "customer")
    at_versions = sum(sum(at.levels.values()) + at.without_level for at in found.versions)
    overridden = sum(each.entities for each in found.overridden)
    assert at_versions + overridden + found.no_level + found.not_assessed == found.entities == len(ids)
    assert found.not_assessed == new
    assert overridden == sum(each[3] for each in standings)
    assert sum(found.by_level.values()) + sum(found.without_level().values()) == len(ids)


def test_who_keeps_a_level_counts_at_it_wherever_levels_are_counted(
    engine: Engine, ana: Actor, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every status, with a level and without one, and beneath an override."""
    statuses = ("assessed", "failed", "unclassified", "undetermined")
    of_rules = [{"rules_level": level, "version_id": 2, "status": each} for each in statuses for level in (3, None, 1)]
    overridden = [{**each, "level": 2, "override_id": number} for number, each in enumerate(of_rules, 1)]
    by_none = ("not applicable", "no ruleset", "no ruleset")
    none_applies = [{"rules_level": None, "version_id": None, "status": each} for each in by_none]
    standings: list[dict[str, Any]] = [*of_rules, *overridden, *none_applies]
    ids = add_entities(engine, ana, [f"c{number}" for number in range(len(standings) + 1)])
    for entity_id, standing in zip(ids, standings, strict=False):
        stand(engine, entity_id, **standing)
    context = Context(engine, ana)
    found = distribution(context, "customer")
    assert found.by_level == {"high": 4, "medium": 12, "low": 4}
    assert sum(found.by_level.values()) + sum(found.without_level().values()) == found.entities == len(ids)
    assert found.not_in_full() == {"failed": 6, "unclassified": 6, "undetermined": 6}
    matrix = value_and_risk(context, "customer")
    assert (matrix.by_level(), matrix.not_in_full) == (found.by_level, found.not_in_full())
    assert matrix.not_in_full_without_level == {"failed": 1, "unclassified": 1, "undetermined": 1}
    assert matrix.without_level == 7
    listed = {name: len(list_current_levels(context, "customer", LevelFilters(levels=(name,)))) for name in none()}
    assert listed == found.by_level
    (figures,) = PlatformFigures(engine).read()
    measured = {level: count for (_, level), count in figures.levels.items() if level in found.by_level}
    assert measured == found.by_level
    shown = json.loads(json.dumps(asdict(found)))
    assert levels_sentence(shown) == (
        "28 of type customer: 4 high, 12 medium, 4 low, 7 without a level, 1 not assessed yet. The last assessment was"
        " not made in full: 6 failed, 6 unclassified, 6 undetermined. A level that was there before is kept."
    )
    show_distribution(engine, "acme")
    rows = [line.rsplit(maxsplit=3)[:2] for line in capsys.readouterr().out.splitlines() if line.endswith(" %")]
    assert rows == [
        ["high", "4"],
        ["medium", "12"],
        ["low", "4"],
        ["(not assessed in full)", "4"],
        ["(no ruleset applies)", "1"],
        ["(not assessed by the present rulesets yet)", "2"],
        ["(not assessed yet)", "1"],
    ]


def test_no_text_of_a_version_is_read(engine: Engine, ana: Actor) -> None:
    with statements(engine) as asked:
        assert [version.version for version in distribution(Context(engine, ana), "customer").versions] == [2]
    assert [statement for statement, _ in asked if "canonical" in statement or "document" in statement] == []
