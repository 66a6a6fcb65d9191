"""Material changes: each asks for a revalidation until somebody else signs it off with one that was made after it."""

import json

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ActionRefused, ConfigError, NotThere
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.monitoring.material_changes import KINDS, ChangeLine, list_changes, register_change, sign_off
from fivefold.usecases.monitoring.validate import validate_levels
from fivefold.usecases.shared.actors import Actor
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.planted import day, planted

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
    return register_change(engine, actor, "product", f" {WORDS} ", NOW)


def validated(engine: Engine, actor: Actor, made_us: int = NOW + 1) -> int:
    return validate_levels(engine, actor, day(0), day(90), now_us=made_us, resamples=20).id


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_open_until_it_is_signed_off(engine: Engine, ana: Actor, ben: Actor, kind: str) -> None:
    made = register_change(engine, ana, kind, WORDS, NOW)
    assert (made.kind, made.description, made.registered_by, made.registered_us) == (kind, WORDS, "member:1", NOW)
    assert (made.is_open, made.validation, made.signed_by, made.conclusion) == (True, None, None, None)
    run = validated(engine, ana)
    signed = sign_off(engine, ben, made.id, run, " Nothing changes. ", NOW + 2)
    assert (signed.validation, signed.signed_by, signed.signed_us) == (run, "member:2", NOW + 2)
    assert (signed.conclusion, signed.is_open) == ("Nothing changes.", False)
    assert list_changes(engine, ana) == [signed]


def test_nobody_signs_off_what_they_registered(engine: Engine, ana: Actor, ben: Actor) -> None:
    made, run = registered(engine, ana), validated(engine, ben)
    with pytest.raises(ActionRefused, match=f"member:1 registered material change {made.id}: somebody else signs"):
        sign_off(engine, Actor(ana.organisation_id, "member:1"), made.id, run, "fine")
    assert list_changes(engine, ana)[0].is_open


@pytest.mark.parametrize("made_us", [NOW - 1, NOW])
def test_a_validation_from_before_the_change_says_nothing_of_it(
    engine: Engine, ana: Actor, ben: Actor, made_us: int
) -> None:
    run, made = validated(engine, ana, made_us), registered(engine, ana)
    with pytest.raises(ActionRefused, match="before the change was registered on 2026-11-20; make another one"):
        sign_off(engine, ben, made.id, run, "fine")


def test_a_change_is_signed_off_once(engine: Engine, ana: Actor, ben: Actor) -> None:
    made, run = registered(engine, ana), validated(engine, ana)
    sign_off(engine, ben, made.id, run, "fine")
    with pytest.raises(ActionRefused, match=f"material change {made.id} was signed off already, by member:2"):
        sign_off(engine, Actor(ana.organisation_id, "member:3"), made.id, run, "still fine")


def test_what_is_not_said_is_refused(engine: Engine, ana: Actor, ben: Actor) -> None:
    with pytest.raises(ConfigError, match="kind is 'weather'; it must be product, channel, country or regulator"):
        register_change(engine, ana, "weather", WORDS)
    with pytest.raises(ConfigError, match="description must say what changes, in 1 to 2000 characters"):
        register_change(engine, ana, "product", " ")
    made, run = registered(engine, ana), validated(engine, ana)
    with pytest.raises(ConfigError, match="conclusion must say what follows, in 1 to 2000 characters"):
        sign_off(engine, ben, made.id, run, "")


def test_others_changes_and_validations_are_not_there(engine: Engine, ana: Actor, ben: Actor) -> None:
    other = planted(engine, "other").actor
    made, run, theirs = registered(engine, ana), validated(engine, ana), validated(engine, other)
    for change in (made.id, 99):
        with pytest.raises(NotThere, match=f"there is no material change {change}"):
            sign_off(engine, other, change, theirs, "fine")
    for validation in (theirs, 99):
        with pytest.raises(NotThere, match=f"there is no validation {validation}"):
            sign_off(engine, ben, made.id, validation, "fine")
    assert list_changes(engine, other) == []
    assert sign_off(engine, ben, made.id, run, "fine").validation == run


def test_both_steps_are_recorded(engine: Engine, ana: Actor, ben: Actor) -> None:
    made, run = registered(engine, ana), validated(engine, ana)
    sign_off(engine, ben, made.id, run, "fine")
    with Session(engine) as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.number)).all()
        told = [(entry.action, entry.actor, entry.subject_kind, entry.subject_id) for entry in entries]
        details = [json.loads(entry.details) for entry in entries]
    assert told[0] == ("material_change.registered", "member:1", "material change", str(made.id))
    assert told[2] == ("material_change.signed_off", "member:2", "material change", str(made.id))
    assert (details[0]["validation_id"], details[2]["validation_id"]) == (None, run)
    assert verify(engine, print).findings == 0


def test_the_newest_change_stands_first(engine: Engine, ana: Actor) -> None:
    first, second = registered(engine, ana), register_change(engine, ana, "country", "Malta.", NOW + 5)
    assert [line.id for line in list_changes(engine, ana)] == [second.id, first.id]
