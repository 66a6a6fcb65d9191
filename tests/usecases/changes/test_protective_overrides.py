"""What one person cannot undo alone: an override that keeps a level at or above what the rules say."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US as DAY
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.store.tables.levels import DueMark, OverrideRow
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.accounts.second_person import allow_sole_operator
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes.asks import revoke_override
from fivefold.usecases.changes.facts import close_outdated
from fivefold.usecases.changes.proposals import (
    approve_proposal,
    list_proposals,
    read_proposal,
    refuse_proposal,
)
from fivefold.usecases.changes.search import search_proposals
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.levels.overrides import approve_override, overrides_of, request_override
from fivefold.usecases.portfolio.timeline import list_events
from fivefold.usecases.queue.items import list_items
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.governed import (
    NOW,
    add_entities,
    audited,
    document,
    due_reasons,
    founded,
    rows_of,
    stand,
)

People = tuple[Actor, Actor, Actor]


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    """Twenty customers at medium by the rules."""
    three = founded(engine)
    save_draft(Context(engine, three[0]), document())
    for entity_id in add_entities(engine, three[0], [f"c{number}" for number in range(20)]):
        stand(engine, entity_id, 2)
    return three


def held(engine: Engine, three: People, level: str, name: str = "c0", until_us: int | None = None) -> int:
    """Let an override hold; nothing is due afterwards."""
    asked = request_override(Context(engine, three[0]).at(NOW), "customer", name, level, "we know them", until_us)
    number = approve_override(Context(engine, three[1]).at(NOW), asked.id).id
    with Session(engine) as session, session.begin():
        for mark in session.scalars(select(DueMark)):
            session.delete(mark)
    return number


def state(engine: Engine, number: int) -> str:
    return str(next(row["state"] for row in rows_of(engine, OverrideRow) if row["id"] == number))


@pytest.mark.parametrize("level", ["medium", "high"])
def test_one_person_does_not_end_a_protective_override_alone(engine: Engine, three: People, level: str) -> None:
    number = held(engine, three, level)
    proposal = revoke_override(Context(engine, three[1]).at(NOW), number, "they asked nicely").proposal
    assert proposal is not None
    assert (proposal.kind, proposal.content, proposal.subject) == (
        "override.revoke", {"override": number}, f"end of override {number}",
    )  # fmt: skip
    assert (proposal.reach, proposal.backtests) == ({"level": level, "rules_level": "medium"}, ())
    assert (state(engine, number), due_reasons(engine)) == ("approved", {}), "it holds as long as one person asked"
    for alone in (three[1], Actor(three[1].organisation_id, "cli:ben"), Actor(three[1].organisation_id, "token:9")):
        with pytest.raises(ConflictError, match=r"another person approves it|is not a member"):
            approve_proposal(Context(engine, alone).at(NOW), proposal.id, "I said so", Role.APPROVER)
    assert state(engine, number) == "approved"
    done = approve_proposal(Context(engine, three[2]).at(NOW + 5), proposal.id, "seen the papers", Role.APPROVER)
    assert (done.state, done.result) == ("approved", {})
    (line,) = overrides_of(Context(engine, three[0]).at(NOW + 5), "customer", "c0")
    assert (line.state, line.revoked_by, line.revoked_us) == ("revoked", "member:3", NOW + 5)
    context = Context(engine, three[0]).at(NOW + 5)
    (event,) = list_events(context, "customer", "c0", kinds=["override_ended"])
    assert (event.by, event.proposed_by) == ("member:3", three[1].name)
    assert line.revocation_reason == "they asked nicely"
    assert due_reasons(engine).keys() == {1}
    assert [entry[1] for entry in audited(engine)][-3:] == ["proposal.made", "override.revoked", "proposal.approved"]
    assert verify(engine, print).entries == len(audited(engine))


def test_the_end_of_an_override_that_expired_is_withdrawn(engine: Engine, three: People) -> None:
    number = held(engine, three, "high", until_us=NOW + DAY)
    proposal = revoke_override(Context(engine, three[1]).at(NOW), number, "they asked nicely").proposal
    assert proposal is not None
    assert close_outdated(engine, NOW + DAY - 1) == 0
    assert close_outdated(engine, NOW + DAY) == 1
    withdrawn = read_proposal(Context(engine, three[0]).at(NOW + DAY), proposal.id)
    assert (withdrawn.state, withdrawn.decided_by) == ("withdrawn", "system")
    assert withdrawn.decision_reason.startswith(f"it came too late: override {number} is expired")
    assert close_outdated(engine, NOW + DAY) == 0
    assert verify(engine, print).entries == len(audited(engine))


def test_what_raises_the_level_needs_one_person(engine: Engine, three: People) -> None:
    number = held(engine, three, "low")
    assert revoke_override(Context(engine, three[1]).at(NOW), number, "they moved").proposal is None
    assert (state(engine, number), due_reasons(engine).keys()) == ("revoked", {1})
    assert rows_of(engine, Proposal) == []


@pytest.mark.parametrize("status", ["failed", "unclassified"])
def test_where_the_rules_say_nothing_certain_two_are_needed(engine: Engine, three: People, status: str) -> None:
    number = held(engine, three, "low")
    stand(engine, 1, 2, status=status)
    assert revoke_override(Context(engine, three[1]).at(NOW), number, "why").proposal is not None
    assert state(engine, number) == "approved"


def test_what_was_never_assessed_is_protected_too(engine: Engine, three: People) -> None:
    add_entities(engine, three[0], ["new"])
    number = held(engine, three, "low", "new")
    proposal = revoke_override(Context(engine, three[1]).at(NOW), number, "why").proposal
    assert proposal is not None
    assert proposal.reach == {"level": "low", "rules_level": None}


def test_an_account_or_a_program_does_not_propose_it(engine: Engine, three: People) -> None:
    number = held(engine, three, "high")
    for name in ("cli:ben", "token:9"):
        with pytest.raises(ConflictError, match=f"{name} is not a member"):
            revoke_override(Context(engine, Actor(three[0].organisation_id, name)).at(NOW), number, "why")
    assert (rows_of(engine, Proposal), state(engine, number)) == ([], "approved")


def test_without_a_reason_or_an_override_that_holds_nothing_is_proposed(engine: Engine, three: People) -> None:
    number = held(engine, three, "high")
    with pytest.raises(ConfigError, match="reason must say why"):
        revoke_override(Context(engine, three[1]).at(NOW), number, " ")
    with pytest.raises(NotFoundError, match="there is no override 99"):
        revoke_override(Context(engine, three[1]).at(NOW), 99, "why")
    asked = request_override(Context(engine, three[0]).at(NOW), "customer", "c1", "high", "why", None)
    with pytest.raises(ConflictError, match="is requested; only one that holds can be revoked"):
        revoke_override(Context(engine, three[1]).at(NOW), asked.id, "why")
    assert rows_of(engine, Proposal) == []


def test_a_second_proposal_or_a_newer_override_leaves_nothing_to_approve(engine: Engine, three: People) -> None:
    number = held(engine, three, "high")
    first = revoke_override(Context(engine, three[1]).at(NOW), number, "why").proposal
    second = revoke_override(Context(engine, three[0]).at(NOW), number, "why").proposal
    assert first is not None
    assert second is not None
    newer = held(engine, three, "high")
    for proposal in (first, second):
        with pytest.raises(ConflictError, match=f"override {number} is revoked"):
            approve_proposal(Context(engine, three[2]).at(NOW), proposal.id, "why", Role.APPROVER)
    assert state(engine, newer) == "approved"
    assert refuse_proposal(Context(engine, three[2]).at(NOW), first.id, "over", Role.APPROVER).state == "refused"
    assert close_outdated(engine, NOW) == 1, "the other one need not be refused by a person"
    withdrawn = read_proposal(Context(engine, three[0]).at(NOW), second.id)
    assert (withdrawn.state, withdrawn.decided_by) == ("withdrawn", "system")
    assert withdrawn.decision_reason.startswith(f"it came too late: override {number} is revoked")
    assert list_items(Context(engine, three[2]).at(NOW), Role.APPROVER) == []


def test_approvers_decide_these_and_see_no_others(engine: Engine, three: People) -> None:
    number = held(engine, three, "high")
    proposal = revoke_override(Context(engine, three[0]).at(NOW), number, "why").proposal
    assert proposal is not None
    for act in (approve_proposal, refuse_proposal):
        with pytest.raises(ConflictError, match="is about one entity, which approvers and admins decide"):
            act(Context(engine, three[1]).at(NOW), proposal.id, "why", Role.PUBLISHER)
    with Session(engine) as session, session.begin():
        row = session.get_one(Proposal, proposal.id)
        other = Proposal(**{name: getattr(row, name) for name in row.__table__.columns.keys() if name != "id"})  # noqa: SIM118 (no dict)
        other.kind, other.content = "ruleset.switch", {"family": "retail", "on": False}
        session.add(other)
        session.flush()
        switch = other.id
    assert [line.id for line in list_proposals(Context(engine, three[1]), role=Role.APPROVER)] == [proposal.id]
    assert [line.id for line in list_proposals(Context(engine, three[1]), role=Role.PUBLISHER)] == [switch, proposal.id]
    with pytest.raises(NotFoundError, match=f"there is no proposal {switch}"):
        read_proposal(Context(engine, three[1]), switch, Role.APPROVER)
    for act in (approve_proposal, refuse_proposal):
        with pytest.raises(NotFoundError, match=f"there is no proposal {switch}"):
            act(Context(engine, three[1]).at(NOW), switch, "why", Role.APPROVER)
    for role in (Role.APP, Role.COMMERCIAL, Role.INVESTIGATOR):
        assert list_proposals(Context(engine, three[1]), role=role) == search_proposals(
            Context(engine, three[1]), role=role
        )
        assert list_proposals(Context(engine, three[1]), role=role) == []
        with pytest.raises(NotFoundError, match=f"there is no proposal {switch}"):
            read_proposal(Context(engine, three[1]), switch, role)
    assert refuse_proposal(Context(engine, three[0]).at(NOW), proposal.id, "no", Role.PUBLISHER).state == "withdrawn"


def test_a_company_of_one_approves_its_own(engine: Engine, three: People) -> None:
    allow_sole_operator(Context(engine, three[0]).at(NOW), "I am alone")
    number = held(engine, three, "high")
    proposal = revoke_override(Context(engine, three[0]).at(NOW), number, "why").proposal
    assert proposal is not None
    approve_proposal(Context(engine, three[0]).at(NOW), proposal.id, "yes")
    assert state(engine, number) == "revoked"


def test_the_queue_names_the_customer_until_an_erasure_withdraws_the_proposal(
    engine: Engine, three: People, tmp_path: Path
) -> None:
    number = held(engine, three, "high")
    proposal = revoke_override(Context(engine, three[1]).at(NOW), number, "Zoe moved").proposal
    assert proposal is not None
    assert (proposal.entity_type, proposal.external_id) == ("customer", "c0")
    (item,) = list_items(Context(engine, three[2]).at(NOW), Role.APPROVER)
    assert (item.item, item.entity_type, item.external_id) == (f"change-{proposal.id}-0", "customer", "c0")
    erase_entity(Context(engine, three[0]).at(NOW + 3650 * DAY), "customer", "c0", tmp_path / "register")
    assert list_items(Context(engine, three[2]).at(NOW), Role.APPROVER) == []
    (row,) = rows_of(engine, Proposal)
    assert (row["state"], row["subject"], row["content"], row["reason"]) == ("withdrawn", "erased", {}, "erased")
    assert verify(engine, print).entries == len(audited(engine))


def test_erasure_takes_what_the_proposal_says_of_the_person(engine: Engine, three: People, tmp_path: Path) -> None:
    kept, gone = held(engine, three, "high", "c1"), held(engine, three, "high")
    for number in (kept, gone):
        proposal = revoke_override(Context(engine, three[1]).at(NOW), number, "Zoe moved").proposal
        assert proposal is not None
        approve_proposal(Context(engine, three[2]).at(NOW), proposal.id, "Zoe did", Role.APPROVER)
    erase_entity(Context(engine, three[0]).at(NOW + 3650 * 86_400_000_000), "customer", "c0", tmp_path / "register")
    rows = rows_of(engine, Proposal)
    assert [(row["reason"], row["decision_reason"]) for row in rows] == [("Zoe moved", "Zoe did"), ("erased", None)]
    wanted = select(AuditEntry.subject_id, AuditValues.after, AuditValues.erased_us)
    wanted = wanted.where(AuditEntry.subject_kind == "proposal", AuditEntry.number == AuditValues.number)
    with Session(engine) as session:
        values = session.execute(wanted).all()
    assert len(values) == 4
    for number, after, erased_us in values:
        assert (after is None, erased_us is None) == ((True, False) if number == str(rows[1]["id"]) else (False, True))
    assert verify(engine, print).entries == len(audited(engine))
