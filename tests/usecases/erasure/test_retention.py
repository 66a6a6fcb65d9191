"""Retention, legal holds and erasure as stories: what must be kept is kept, and what was erased is counted nowhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, FivefoldError
from fivefold.domain.paging import Part
from fivefold.store.erasure import erase as erasing
from fivefold.store.tables.accounts import Base
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import Decision, Policy
from fivefold.store.tables.levels import OverrideRow
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.changes.contents import OverrideRevoked
from fivefold.usecases.changes.proposals import refuse_proposal, request_change
from fivefold.usecases.erasure.again import RepeatedErasures, erase_again
from fivefold.usecases.erasure.erase import erase_entity, set_legal_hold
from fivefold.usecases.ingest.bulk_facts import RecordRow, TagRow, put_records, put_tags
from fivefold.usecases.ingest.entities import put_owners
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.ingest.ownerships import OwnersRow
from fivefold.usecases.levels.entity_profile import list_entities
from fivefold.usecases.levels.overrides import overrides_of
from fivefold.usecases.levels.read import list_failed
from fivefold.usecases.monitoring.statistics import PlatformFigures
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import OwnerGiven
from tests.store import databases
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import backup, chain_holds, restore

RETENTION_DAYS = 1826
DERIVED = {
    "assessment_inputs", "assessments", "backtest_movers", "deliveries", "due_marks", "flow_actions", "flow_marks",
    "flow_replay_people", "flow_runs", "flow_steps", "group_members", "group_moves", "level_releases", "openings",
    "outbox", "predictions", "search_words", "standings", "summary_transactions", "tag_ends", "transaction_blocks",
    "transitions", "value_scores",
}  # fmt: skip
"""Tables about entities that the program itself fills, from time to time and without end: not activity."""


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer of six years ago, whose level was computed then."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY}))
    made.wait(-2200)
    made.put("old", country="KP")
    set_tag(Context(engine, made.actor).at(made.now), "customer", "old", "watch")
    made.override("old", 2)
    made.settle()
    made.wait(2200)
    return made


def _erase(bank: Bank, folder: Path, name: str = "old") -> Any:
    return erase_entity(bank.context, "customer", name, folder / "register")


def _case(bank: Bank, opened_us: int, closed_us: int | None = None) -> None:
    given = RecordGiven(external_id="case-1", opened_us=opened_us, closed_us=closed_us)
    put_record(bank.context, "customer", "old", "case", given)


def decide(bank: Bank, name: str = "old", **changed: Any) -> None:
    """Write a decision about a customer down."""
    with Session(bank.engine) as session, session.begin():
        policy = Policy(
            organisation_id=bank.of, name="payments", number=1, document="", canonical="", content_hash="0" * 64,
            state="active", written_by="member:1", written_us=1,
        )  # fmt: skip
        session.add(policy)
        session.flush()
        row = {"entity_id": bank.id_of(name), "at_us": bank.now, "actor": "token:1", "action": "block", **changed}
        session.add(Decision(organisation_id=bank.of, policy_id=policy.id, **row))


def _revoked_override(bank: Bank) -> None:
    with Session(bank.engine) as session, session.begin():
        row = session.query(OverrideRow).one()
        row.state, row.revoked_us = "revoked", bank.now


def _changed_case(bank: Bank) -> None:
    opened = bank.now - 2100 * DAY_US
    for status, at in (("new", opened), ("checked", bank.now)):
        given = RecordGiven(external_id="case-1", opened_us=opened, closed_us=opened, status=status)
        put_record(bank.context.at(at), "customer", "old", "case", given)


def _import_records(bank: Bank) -> None:
    row = RecordRow(
        "old",
        RecordGiven(external_id="alert-1", opened_us=bank.now - 2000 * DAY_US, closed_us=bank.now - 1999 * DAY_US),
    )
    put_records(bank.context, "customer", [row], "alert")


def _import_tags(bank: Bank) -> None:
    row = TagRow("old", "vip", bank.now - 2000 * DAY_US, bank.now - 1999 * DAY_US)
    put_tags(bank.context, "customer", [row])


def _former_owner(bank: Bank, *, at_once: bool) -> None:
    bank.put("owner")
    owner = OwnerGiven("customer", "owner", bank.now - 2000 * DAY_US, bank.now - 1999 * DAY_US)
    if at_once:
        put_owners(bank.context, "customer", [OwnersRow(0, "old", (owner,))])
    else:
        bank.put("old", owners=[owner])


def _propose_end(bank: Bank) -> int:
    """Propose that the override ends, which keeps the level up."""
    with Session(bank.engine) as session, session.begin():
        session.execute(text("UPDATE standings SET rules_level = 1"))
        override = session.query(OverrideRow).one().id
    proposal = request_change(bank.context, OverrideRevoked(override), "Why not.").proposal
    assert proposal is not None
    return proposal.id


def _refused_end(bank: Bank) -> None:
    bank.wait(-2000)
    number = _propose_end(bank)
    bank.wait(2000)
    refuse_proposal(bank.context, number, "Because.")


ACTIVITIES: dict[str, Callable[[Bank], object]] = {
    "a screening, clean or not": lambda bank: add_screening(
        bank.context, "customer", "old", "sanctions", has_match=True
    ),
    "a screening of long ago that is recorded today": lambda bank: add_screening(
        bank.context, "customer", "old", "pep", has_match=False, at_us=bank.now - 2000 * DAY_US
    ),
    "a decision": decide,
    "a tag": lambda bank: set_tag(bank.context, "customer", "old", "vip"),
    "the end of a tag": lambda bank: end_tag(bank.context, "customer", "old", "watch"),
    "an override": lambda bank: bank.override("old", 1),
    "the end of an override": _revoked_override,
    "a case": lambda bank: _case(bank, bank.now, bank.now),
    "the end of a case": lambda bank: _case(bank, bank.now - 2000 * DAY_US, bank.now),
    "a case of long ago that is recorded today": lambda bank: _case(
        bank, bank.now - 2000 * DAY_US, bank.now - 1999 * DAY_US
    ),
    "a case of long ago that is changed today": _changed_case,
    "an alert of long ago that is imported today": _import_records,
    "a tag of long ago that is imported today": _import_tags,
    "an owner of long ago who is named today": lambda bank: _former_owner(bank, at_once=False),
    "an owner of long ago who is imported today": lambda bank: _former_owner(bank, at_once=True),
    "a proposal to end an override": _propose_end,
    "a proposal to end an override that is refused": _refused_end,
    "an attribute": lambda bank: bank.put("old", country="NO"),
    "a transaction of long ago that is recorded today": lambda bank: bank.pay(
        1, "old", transaction_date="2021-01-01T00:00:00"
    ),
}


@pytest.mark.parametrize("what", ACTIVITIES)
def test_whatever_happens_today_begins_retention_again(bank: Bank, tmp_path: Path, what: str) -> None:
    """A customer with a hit and a block today was erased, for only transactions, attributes and cases counted."""
    ACTIVITIES[what](bank)
    with pytest.raises(ConflictError, match="records are kept for 1,826 days after the last activity"):
        _erase(bank, tmp_path)
    assert not (tmp_path / "register").exists()
    bank.wait(RETENTION_DAYS)
    _erase(bank, tmp_path)


def test_what_only_the_program_did_and_what_is_still_to_come_keeps_nobody(bank: Bank, tmp_path: Path) -> None:
    bank.mark("old")
    bank.settle()
    with Session(bank.engine) as session, session.begin():
        session.execute(text("UPDATE tags SET until_us = :later"), {"later": bank.now + 10_000 * DAY_US})
    assert _erase(bank, tmp_path).entity_ids


@pytest.mark.parametrize("what", ["a link to it", "its owner"])
def test_what_ended_last_year_keeps_who_was_at_its_other_end(bank: Bank, tmp_path: Path, what: str) -> None:
    """It was said six years ago that it would end: nothing else has happened since."""
    bank.wait(-2190)
    bank.put("other")
    ends = bank.now + 1800 * DAY_US
    if what == "a link to it":
        define_type(bank.context, "customer", {}, links={"owns": "directed"})
        put_links(bank.context, "customer", [LinkRow("other", "owns", "old", None, ends)])
    else:
        put_owners(bank.context, "customer", [OwnersRow(0, "old", (OwnerGiven("customer", "other", None, ends),))])
    bank.wait(2190)
    with pytest.raises(ConflictError, match="records are kept for 1,826 days after the last activity"):
        _erase(bank, tmp_path)
    bank.wait(RETENTION_DAYS - 390)
    assert _erase(bank, tmp_path).entity_ids


def test_an_open_case_keeps_whom_it_is_about(bank: Bank, tmp_path: Path) -> None:
    """It was opened six years ago, so nothing had happened since, and a customer under investigation was erased."""
    opened = bank.now - 2100 * DAY_US
    _case(bank, opened)
    with pytest.raises(ConflictError, match="the case 'case-1' about it is open; nothing was erased"):
        _erase(bank, tmp_path)
    assert not (tmp_path / "register").exists()
    _case(bank, opened, bank.now)
    bank.wait(RETENTION_DAYS)
    assert _erase(bank, tmp_path).entity_ids


def test_every_table_about_entities_is_an_activity_or_derived() -> None:
    """Whoever adds a table about entities says whether what is in it begins retention again."""
    about = {name for name, table in Base.metadata.tables.items() if "entity_id" in table.c}
    active = {of.class_.__tablename__ for _, of in erasing.ACTIVITY} - {"entities"}
    assert about == active | DERIVED


def test_a_hold_that_was_put_after_the_backup_holds_after_the_restore(bank: Bank, kind: str, tmp_path: Path) -> None:
    """Otherwise a restore loses it without a word, and whoever is on hold may be erased."""
    register, whose = tmp_path / "register", (bank.context, "customer")
    bank.put("released")
    set_legal_hold(*whose, "released", bank.now + DAY_US, "Court order 8.", register)
    kept = backup(bank, kind, tmp_path)
    set_legal_hold(*whose, "old", bank.now + 100 * DAY_US, "Court order 7.", register)
    set_legal_hold(*whose, "released", bank.now, "Over.", register)
    assert "Court" not in register.read_text()
    with databases.opened(restore(bank, kind, kept, tmp_path)) as restored:
        assert erase_again(restored, "cli:ana", register, now_us=bank.now) == RepeatedErasures(0, 2)
        again = (replace(bank.context, engine=restored), "customer", "old", register)
        with pytest.raises(ConflictError, match="a legal hold is on it until"):
            erase_entity(*again)
        with Session(restored) as session:
            assert session.scalars(text("SELECT external_id FROM entities WHERE hold_until_us > :now"), {
                "now": bank.now
            }).all() == ["old"]  # fmt: skip
        assert erase_again(restored, "cli:ana", register, now_us=bank.now) == RepeatedErasures(0, 0)
        chain_holds(restored)


def test_erasing_again_leaves_who_is_on_hold(bank: Bank, kind: str, tmp_path: Path) -> None:
    """A court asks for the records between the restore and `erase-again`."""
    register = tmp_path / "register"
    kept = backup(bank, kind, tmp_path)
    _erase(bank, tmp_path)
    with databases.opened(restore(bank, kind, kept, tmp_path)) as restored:
        set_legal_hold(
            Context(restored, bank.actor).at(bank.now), "customer", "old", bank.now + DAY_US, "Court.", register
        )
        with pytest.raises(FivefoldError, match="a legal hold is on it until") as failure:
            erase_again(restored, "cli:ana", register, now_us=bank.now)
        assert "0 legal holds were put again" in str(failure.value)
        assert erase_again(restored, "cli:ana", register, now_us=bank.now + DAY_US) == RepeatedErasures(1, 0)
        chain_holds(restored)


def test_what_came_by_the_old_name_after_an_erasure_is_not_erased_again(bank: Bank, kind: str, tmp_path: Path) -> None:
    kept = backup(bank, kind, tmp_path)
    _erase(bank, tmp_path)
    with databases.opened(restore(bank, kind, kept, tmp_path)) as restored:
        bank.wait(1)
        set_tag(Context(restored, bank.actor).at(bank.now), "customer", "old", "vip")
        with pytest.raises(FivefoldError, match="something happened on 2026-11-21, after it was erased"):
            erase_again(restored, "cli:ana", tmp_path / "register", now_us=bank.now)


@pytest.mark.parametrize("what", ["a tag", "a link to it"])
def test_what_ended_by_itself_after_an_erasure_is_no_new_fact(bank: Bank, kind: str, tmp_path: Path, what: str) -> None:
    """It was said years ago that it would end on the day after the erasure; the database was restored after that."""
    bank.wait(-2190)
    bank.put("other")
    ends = bank.now + 2191 * DAY_US
    if what == "a tag":
        set_tag(bank.context, "customer", "old", "vip", until_us=ends)
    else:
        define_type(bank.context, "customer", {}, links={"owns": "directed"})
        put_links(bank.context, "customer", [LinkRow("other", "owns", "old", None, ends)])
    bank.wait(2190)
    kept = backup(bank, kind, tmp_path)
    _erase(bank, tmp_path)
    with databases.opened(restore(bank, kind, kept, tmp_path)) as restored:
        again = erase_again(restored, "cli:ana", tmp_path / "register", now_us=bank.now + 10 * DAY_US)
        assert again == RepeatedErasures(1, 0)
        chain_holds(restored)


MANY = 66_000
"""More than PostgreSQL takes parameters in one statement."""


def test_more_decisions_than_a_statement_has_parameters_are_erased(bank: Bank, tmp_path: Path) -> None:
    decide(bank, at_us=1)
    with bank.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO decisions (organisation_id, policy_id, entity_id, at_us, actor, action, answer)"
                " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)"
                " SELECT d.organisation_id, d.policy_id, d.entity_id, 1, 'token:1', 'block', 'old' FROM decisions d, n"
            ),
            {"many": MANY},
        )
    assert len(_erase(bank, tmp_path).entity_ids) == 1
    with bank.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM decisions WHERE answer IS NOT NULL")) == 0


def test_an_erasure_that_fails_leaves_no_line(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that stays would erase them after the next restore, whatever had happened meanwhile."""

    def fails(*_: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(erasing, "erase", fails)
    with pytest.raises(RuntimeError):
        _erase(bank, tmp_path)
    assert not (tmp_path / "register").exists()


def test_an_erased_person_is_in_no_list_and_in_no_figure(bank: Bank, tmp_path: Path) -> None:
    bank.put("other", country="NO")
    bank.settle()
    with Session(bank.engine) as session, session.begin():
        session.execute(text("UPDATE standings SET status = 'failed'"))
    assert len(overrides_of(Context(bank.engine, bank.actor))) == 1
    assert PlatformFigures(bank.engine, lambda: bank.now).read()[0].overrides == 1
    numbers = _erase(bank, tmp_path).entity_ids
    assert [line.external_id for line in list_entities(bank.context, "customer", Part(10))] == ["other"]
    assert overrides_of(Context(bank.engine, bank.actor)) == []
    assert [name for _, name, _ in list_failed(Context(bank.engine, bank.actor))] == ["other"]
    (figures,) = PlatformFigures(bank.engine, lambda: bank.now).read()
    assert (figures.overrides, sum(figures.levels.values())) == (0, 1)
    with Session(bank.engine) as session:
        assert session.get_one(Entity, numbers[0]).erased_us == bank.now
