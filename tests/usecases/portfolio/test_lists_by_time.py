"""The audit log, decisions, overrides and proposals by state, subject, actor and time, as plain Python lists them."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.store.tables.accounts import Member
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import Decision, Policy
from fivefold.store.tables.levels import OverrideRow
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.audit.search import EntryFilters, search_entries
from fivefold.usecases.changes.search import STATES as PROPOSAL_STATES
from fivefold.usecases.changes.search import ProposalFilters, search_proposals
from fivefold.usecases.decisions.read import DecisionFilters, search_decisions
from fivefold.usecases.levels.overrides import state_of
from fivefold.usecases.portfolio.lists_by_time import STATES, OverrideFilters, search_overrides
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store.filling import filled_once
from tests.store.plans import plan_of, statements
from tests.usecases import platforms

ACTORS = ("member:1", "member:2", "token:7", "cli:root")
NAMES = {"member:1": "ana", "member:2": "bob"}
ACTIONS = ("allow", "block")
KINDS = ("member", "token")
TIMES = (0, 10, 20, 30)
some = st.sampled_from
times = {"since_us": some([None, 10, 20]), "until_us": some([None, 20, 30])}


@pytest.fixture
@filled_once
def context(engine: Engine) -> Context:
    """Two organisations with members, entries, decisions and overrides, many of them of the same moment."""
    chance = random.Random(3)
    for of in (platforms.organisation(engine, name) for name in ("bank", "other")):
        with Session(engine) as session, session.begin():
            for name in NAMES.values() if of == 1 else ["eve"]:
                session.add(Member(organisation_id=of, name=name, roles=["admin"], created_us=1))
            kind = session.scalars(select(EntityType).where(EntityType.organisation_id == of)).one()
            common = {"document": "", "canonical": "", "content_hash": "", "state": "active"}
            common |= {"written_by": "member:1", "written_us": 1}
            policies = [Policy(organisation_id=of, name=name, number=1, **common) for name in ("cash", "wire")]
            entities = [
                Entity(
                    organisation_id=of,
                    type_id=kind.id,
                    external_id=f"c{number}",
                    created_us=1,
                    erased_us=5 if number == 3 else None,
                )
                for number in range(4)
            ]
            session.add_all([*policies, *entities])
            session.flush()
            for number in range(1, 61):
                moment, actor = chance.choice(TIMES), chance.choice(ACTORS)
                session.add(
                    AuditEntry(
                        organisation_id=of,
                        number=number,
                        at_us=moment,
                        actor=actor,
                        action=chance.choice(ACTIONS),
                        subject_kind=chance.choice(KINDS),
                        subject_id=chance.choice(["1", "2"]),
                        details="{}",
                        previous_hash="",
                        hash="",
                    )
                )
                session.add(
                    Decision(
                        organisation_id=of,
                        policy_id=chance.choice(policies).id,
                        entity_id=chance.choice(entities).id,
                        at_us=moment,
                        actor=actor,
                        action=chance.choice(ACTIONS),
                        answer='{"line": "so", "level": {"status": "assessed"}}',
                    )
                )
                state = chance.choice(["requested", "approved", "refused", "revoked"])
                session.add(
                    OverrideRow(
                        organisation_id=of,
                        entity_id=chance.choice(entities).id,
                        level=2,
                        reason="because",
                        until_us=chance.choice([None, 15, 10**17]),
                        state=state,
                        requested_by=actor,
                        requested_us=moment,
                        decided_by=None if state == "requested" else "member:2",
                    )
                )
                session.add(
                    Proposal(
                        organisation_id=of,
                        entity_id=chance.choice(entities).id,
                        kind=chance.choice(["fact.tag", "ruleset.switch"]),
                        subject="it",
                        content={},
                        reach={},
                        reason="because",
                        proposed_by=actor,
                        proposed_us=moment,
                        state=chance.choice(PROPOSAL_STATES),
                        decided_by=chance.choice([None, "member:2"]),
                    )
                )
    return Context(engine, platforms.actor(1), lambda: platforms.NOW)


def passing(rows: Any, filters: Any, moment: Callable[[Any], int], also: Callable[[Any], bool]) -> list[Any]:
    """The rows of the first organisation that a filter lets through, the latest first."""
    since, until = filters.since_us, filters.until_us
    found = [
        row
        for row in rows
        if row.organisation_id == 1
        and (since is None or moment(row) >= since)
        and (until is None or moment(row) < until)
        and also(row)
    ]
    return sorted(found, key=lambda row: (moment(row), getattr(row, "number", 0) or row.id), reverse=True)


def as_logged(who: str | None) -> str | None:
    return next((actor for actor, name in NAMES.items() if name == who), who)


quick = settings(max_examples=examples(30), suppress_health_check=SHARED_FIXTURES)


@pytest.mark.postgresql
@quick
@given(
    filters=st.builds(
        EntryFilters,
        actor=some([None, "ana", "member:2", "token:7", "nobody"]),
        action=some([None, *ACTIONS]),
        subject_kind=some([None, *KINDS]),
        subject_id=some([None, "1"]),
        **times,
    ),
    at_once=some([1, 7, 100]),
)
def test_entries(context: Context, filters: EntryFilters, at_once: int) -> None:
    def also(row: AuditEntry) -> bool:
        return (
            as_logged(filters.actor) in {None, row.actor}
            and filters.action in {None, row.action}
            and filters.subject_kind in {None, row.subject_kind}
            and filters.subject_id in {None, row.subject_id}
        )

    if filters.subject_id is not None and filters.subject_kind is None:
        with pytest.raises(ConfigError, match="'1' is given without a kind"):
            search_entries(context, filters)
        return
    with Session(context.engine) as session:
        wanted = passing(session.scalars(select(AuditEntry)), filters, lambda row: row.at_us, also)
    found = list(every_row(lambda part: search_entries(context, filters, part), at_once))
    assert [line.number for line in found] == [row.number for row in wanted]
    assert [line.actor_name for line in found] == [NAMES.get(row.actor) for row in wanted]
    members = [NAMES.get(f"{row.subject_kind}:{row.subject_id}") for row in wanted]
    assert [line.subject_name for line in found] == members


@quick
@given(
    filters=st.builds(
        DecisionFilters,
        action=some([None, *ACTIONS]),
        entity=some([None, ("customer", "c1")]),
        policy=some([None, "cash", "none"]),
        actor=some([None, "bob", "cli:root"]),
        **times,
    ),
    at_once=some([1, 7, 100]),
)
def test_decisions(context: Context, filters: DecisionFilters, at_once: int) -> None:
    with Session(context.engine) as session:
        names = {row.id: row for row in session.scalars(select(Entity))}
        policies = {row.id: row.name for row in session.scalars(select(Policy))}

        def also(row: Decision) -> bool:
            entity = names[row.entity_id]
            return (
                entity.erased_us is None
                and filters.action in {None, row.action}
                and as_logged(filters.actor) in {None, row.actor}
                and filters.policy in {None, policies[row.policy_id]}
                and (filters.entity is None or filters.entity[1] == entity.external_id)
            )

        wanted = passing(session.scalars(select(Decision)), filters, lambda row: row.at_us, also)
    found = list(every_row(lambda part: search_decisions(context, filters, part), at_once))
    assert [line.number for line in found] == [row.id for row in wanted]
    assert [line.actor_name for line in found] == [NAMES.get(row.actor) for row in wanted]
    assert {line.line for line in found} <= {"so"}


@quick
@given(
    filters=st.builds(
        OverrideFilters,
        state=some([None, *STATES]),
        entity=some([None, ("customer", "c2")]),
        requested_by=some([None, "ana", "token:7"]),
        **times,
    ),
    at_once=some([1, 7, 100]),
)
def test_overrides(context: Context, filters: OverrideFilters, at_once: int) -> None:
    with Session(context.engine) as session:
        names = {row.id: row for row in session.scalars(select(Entity))}

        def also(row: OverrideRow) -> bool:
            entity = names[row.entity_id]
            return (
                entity.erased_us is None
                and filters.state in {None, state_of(row, platforms.NOW)}
                and as_logged(filters.requested_by) in {None, row.requested_by}
                and (filters.entity is None or filters.entity[1] == entity.external_id)
            )

        wanted = passing(session.scalars(select(OverrideRow)), filters, lambda row: row.requested_us, also)
    found = list(every_row(lambda part: search_overrides(context, filters, part), at_once))
    assert [line.id for line in found] == [row.id for row in wanted]
    assert [line.requested_by_name for line in found] == [NAMES.get(row.requested_by) for row in wanted]
    decided = ["bob" if row.decided_by else None for row in wanted]
    assert [line.decided_by_name for line in found] == decided


@quick
@given(
    filters=st.builds(
        ProposalFilters,
        state=some([None, *PROPOSAL_STATES]),
        kind=some([None, "ruleset.switch"]),
        entity=some([None, ("customer", "c2")]),
        proposed_by=some([None, "ana", "member:2"]),
        **times,
    ),
    role=some([Role.ADMIN, Role.APPROVER]),
    at_once=some([1, 7, 100]),
)
def test_proposals(context: Context, filters: ProposalFilters, role: Role, at_once: int) -> None:
    with Session(context.engine) as session:
        names = {row.id: row.external_id for row in session.scalars(select(Entity))}

        def also(row: Proposal) -> bool:
            return (
                filters.state in {None, row.state}
                and filters.kind in {None, row.kind}
                and as_logged(filters.proposed_by) in {None, row.proposed_by}
                and (filters.entity is None or filters.entity[1] == names[row.entity_id or 0])
                and (role is Role.ADMIN or row.kind == "fact.tag")
            )

        wanted = passing(session.scalars(select(Proposal)), filters, lambda row: row.proposed_us, also)
    found = list(every_row(lambda part: search_proposals(context, filters, role, part), at_once))
    assert [line.id for line in found] == [row.id for row in wanted]
    assert [line.proposed_by_name for line in found] == [NAMES.get(row.proposed_by) for row in wanted]
    assert [line.decided_by_name for line in found] == ["bob" if row.decided_by else None for row in wanted]


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("search", "filters", "table", "index"),
    [
        (search_proposals, ProposalFilters(since_us=10), "proposals", "ix_proposals_by_at"),
        (search_proposals, ProposalFilters(proposed_by="token:7"), "proposals", "ix_proposals_by_actor"),
        (search_proposals, ProposalFilters(state="approved"), "proposals", "ix_proposals_by_state"),
        (search_entries, EntryFilters(since_us=10), "audit_entries", "ix_audit_entries_by_at"),
        (search_entries, EntryFilters(actor="member:1"), "audit_entries", "ix_audit_entries_by_actor"),
        (search_entries, EntryFilters(action="allow", until_us=30), "audit_entries", "ix_audit_entries_by_action"),
        (search_entries, EntryFilters(subject_kind="member", subject_id="1"), "audit_entries", "by_subject"),
        (search_decisions, DecisionFilters(since_us=10), "decisions", "ix_decisions_by_at"),
        (search_decisions, DecisionFilters(actor="token:7"), "decisions", "ix_decisions_by_actor"),
        (search_decisions, DecisionFilters(action="block"), "decisions", "ix_decisions_by_action"),
        (search_overrides, OverrideFilters(since_us=10), "overrides", "ix_overrides_by_at"),
        (search_overrides, OverrideFilters(requested_by="token:7"), "overrides", "ix_overrides_by_actor"),
        (search_overrides, OverrideFilters(state="live"), "overrides", "ix_overrides_by_state"),
    ],
)
def test_a_page_is_read_from_an_index_in_its_order(
    context: Context, search: Any, filters: Any, table: str, index: str
) -> None:
    first = search(context, filters, part=Part(2))
    with statements(context.engine) as asked:
        search(context, filters, part=Part(2, first.next))
    (listing,) = [each for each in asked if "ORDER BY" in each[0] and table in each[0]]
    plan = plan_of(context.engine, listing)
    if context.engine.dialect.name == "sqlite":  # of a few rows, PostgreSQL takes whichever index has the order
        assert index in plan, plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan
    assert f"Seq Scan on {table}" not in plan, plan
    assert len(asked) <= 4


def test_what_is_not_there_is_refused(context: Context) -> None:
    with pytest.raises(ConfigError, match="there is no state 'approved'; there are requested, live"):
        search_overrides(context, OverrideFilters(state="approved"))
    with pytest.raises(ConfigError, match="there is no state 'live'; there are proposed, approved"):
        search_proposals(context, ProposalFilters(state="live"))
    for search in (
        lambda: search_overrides(context, OverrideFilters(entity=("customer", "none"))),
        lambda: search_decisions(context, DecisionFilters(entity=("customer", "none"))),
        lambda: search_proposals(context, ProposalFilters(entity=("customer", "none"))),
    ):
        with pytest.raises(NotFoundError):
            search()
    with pytest.raises(ConfigError):
        search_entries(context, part=Part(2, ("x", 1)))
