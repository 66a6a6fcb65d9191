"""The distribution: everyone once, versions and overrides apart, nothing left out."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.levels.distribution import AtVersion, Distribution, Overridden, distribution
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.depth import examples
from tests.store import databases
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
def ana(engine: Engine) -> Actor:
    return prepared(engine)


def none(**levels: int) -> dict[str, int]:
    return {"low": 0, "medium": 0, "high": 0} | levels


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
        versions=(
            AtVersion(
                ruleset="retail",
                version=2,
                active=True,
                levels=none(low=2, high=1),
                failed=1,
                unclassified=1,
                undetermined=1,
            ),
            AtVersion(
                ruleset="retail", version=1, active=False, levels=none(low=1), failed=0, unclassified=0, undetermined=0
            ),
            AtVersion(
                ruleset="other",
                version=1,
                active=False,
                levels=none(medium=1),
                failed=0,
                unclassified=0,
                undetermined=0,
            ),
        ),
        overridden=(Overridden("low", "high", 2),),
        no_level=2,
        not_assessed=1,
        quarantined=0,
    )


def test_a_version_that_is_active_is_shown_before_anyone_stands_by_it(engine: Engine, ana: Actor) -> None:
    found = distribution(Context(engine, ana), "customer")
    assert found.versions == (
        AtVersion(ruleset="retail", version=2, active=True, levels=none(), failed=0, unclassified=0, undetermined=0),
    )
    assert (found.entities, found.no_level, found.not_assessed) == (0, 0, 0)
    switch_family(Context(engine, ana), "retail", False, "why")
    assert distribution(Context(engine, ana), "customer").versions == ()


def test_who_is_quarantined_is_counted_beside(engine: Engine, ana: Actor) -> None:
    ids = add_entities(engine, ana, ["a", "b"])
    stand(engine, ids[0], 1, version_id=2)
    with Session(engine) as session, session.begin():
        due.mark(session, [Subject(number, ana.organisation_id, 1) for number in ids], due.Reason.TAG, NOW)
        session.execute(update(DueMark).where(DueMark.entity_id == ids[0]).values(quarantined=True))
    found = distribution(Context(engine, ana), "customer")
    assert (found.entities, found.not_assessed, found.quarantined) == (2, 1, 1)


def test_others_and_who_was_erased_are_not_counted(engine: Engine, ana: Actor) -> None:
    define_type(Context(engine, ana), "company", {})
    other = founded(engine, "other")[0]
    mine = add_entities(engine, ana, ["a", "b"])
    for number in (*mine, *add_entities(engine, ana, ["x"], "company"), *add_entities(engine, other, ["y"])):
        stand(engine, number, 2, version_id=2)
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.id == mine[0]).values(erased_us=NOW))
    found = distribution(Context(engine, ana), "customer")
    assert (found.entities, found.versions[0].levels, found.not_assessed) == (1, none(medium=1), 0)
    with pytest.raises(NotFoundError, match="there is no entity type 'company'"):
        distribution(Context(engine, other), "company")


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    at_versions = sum(sum(at.levels.values()) + at.failed + at.unclassified + at.undetermined for at in found.versions)
    overridden = sum(each.entities for each in found.overridden)
    assert at_versions + overridden + found.no_level + found.not_assessed == found.entities == len(ids)
    assert found.not_assessed == new
    assert overridden == sum(each[3] for each in standings)
