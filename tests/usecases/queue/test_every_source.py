"""The queue of many customers in every state is what plain Python makes of the rows, whatever is asked for."""

import re
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import Part, every_row
from fivefold.flows.analysis import analyse_flow
from fivefold.store.accounts.tokens import LONGEST_DAYS
from fivefold.store.queue import items as stored
from fivefold.store.queue.items import DAYS, QueueOrder
from fivefold.store.queue.sources import WITHOUT_ENTITY, Kind
from fivefold.store.tables.accounts import Member, TokenRequest
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import MaterialChange, Policy, ValidationRun
from fivefold.store.tables.flows import FlowAction, FlowActivation, FlowRow, FlowRun, FlowVersion
from fivefold.store.tables.groups import GroupVersion, NamedGroup
from fivefold.store.tables.levels import DueMark, OverrideRow, Standing, Transition
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Activation, Backtest, Family, Proposal, RulesetVersion
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.queue.items import QueueFilters, count_items, list_items
from fivefold.usecases.queue.seen import kinds_for
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.depth import SHARED_FIXTURES, examples
from tests.store.plans import plan_of, statements
from tests.usecases import platforms
from tests.usecases.flows.flowing import LARGE

NOW = 1_800_000_000_000_000
READER = "cli:test"
PEOPLE = ("x", READER, READER + "er")
"""Who took part in what waits: of these the reader does not see only their own, though another name contains it."""
CUSTOMERS = 40
FAILED = ("failed", "unclassified", "undetermined")
AGES_US = [-2 * DAY_US, 0, 1, DAY_US - 1, DAY_US, DAY_US + 1, 2 * DAY_US, 5 * DAY_US, 30 * DAY_US - 1, 30 * DAY_US]
"""How long ago things happened: on both sides of every edge, and several at once."""


@pytest.fixture
def bank(engine: Engine) -> Context:
    """Customers and companies in every state, some of them erased, others assigned or put away; another one beside."""
    random = Random(5)
    for name in ("other", "bank"):
        number = platforms.organisation(engine, name)
        context = Context(engine, Actor(number, READER), lambda: NOW)
        with Session(engine) as session, session.begin():
            values = {"name": "company", "fields": {}, "transaction_fields": {}, "case_fields": {}, "created_us": 1}
            session.execute(insert(EntityType).values(organisation_id=number, **values))
        for kind in ("customer", "company"):
            put_entities(context, kind, [EntityRow(f"{kind}{place}") for place in range(CUSTOMERS // 2)])
        members = [add_member(context, each, ["investigator", "admin"]).id for each in ("ana", "left")]
        with Session(engine) as session, session.begin():
            fill(session, random, number, members)
    return context


OF_NUMBERS: dict[str, Any] = {
    "override": OverrideRow,
    "challenge": Challenge,
    "question": FlowRun,
    "flow_review": FlowAction,
    "policy": Policy,
    "group": GroupVersion,
    "ruleset": RulesetVersion,
    "flow": FlowVersion,
    "token": TokenRequest,
    "validation": ValidationRun,
    "material": MaterialChange,
}
VERSIONS: dict[str, Any] = {"policy": Policy, "group": GroupVersion, "ruleset": RulesetVersion, "flow": FlowVersion}


def fill(session: Session, random: Random, of: int, members: list[int]) -> None:
    """Put rows of every source into the tables."""

    def ago() -> int:
        return NOW - random.choice(AGES_US)

    session.execute(update(Member).where(Member.id == members[1]).values(left_us=NOW))
    session.execute(delete(DueMark).where(DueMark.organisation_id == of))
    entities = session.scalars(select(Entity).where(Entity.organisation_id == of)).all()
    work: dict[tuple[str, int, int], int | None] = {}
    for entity in entities:
        both: dict[str, Any] = {"organisation_id": of, "entity_id": entity.id}
        state = {"level": random.choice([None, 1, 2]), "status": random.choice(["assessed", *FAILED])}
        rest = {"type_id": entity.type_id, "number": 1, "source": "rules", "floor": 0, "hard_floor": 0}
        if random.random() < 0.8:
            session.add(Standing(**both, **rest, **state, assessed_us=ago(), score=1.0, level_since_us=0))
            work["failure", entity.id, 1] = entity.id
        for number, (before, after) in enumerate(moves(random), 2):
            levels = {"from_level": before, "to_level": after}
            source = random.choice(["rules", "expiry", "override"])
            session.add(Transition(**both, **levels, number=number, at_us=ago(), source=source))
            work["rise", entity.id, number] = entity.id
        due_us, is_quarantined = random.choice([None, ago()]), random.random() < 0.3
        mark = {"type_id": entity.type_id, "revision": 3, "reasons": 0, "attempts": 0, "error": "out of memory"}
        session.add(DueMark(**both, **mark, due_us=due_us, quarantined=is_quarantined, priority=random.randint(0, 1)))
        work["quarantine", entity.id, 3] = work["review", entity.id, due_us or 0] = entity.id
        until_us = random.choice([None, NOW - random.choice(AGES_US) + DAY_US])
        for state in random.choices(["requested", "approved", "revoked"], k=2):
            asked = {"level": random.choice([2, 3]), "reason": "why", "requested_by": "x", "requested_us": ago()}
            decided = {"decided_us": None if state == "requested" else ago(), "until_us": until_us}
            revoked_us = ago() if state == "revoked" else None
            session.add(OverrideRow(**both, **asked, **decided, revoked_us=revoked_us, state=state))
        wants = {"kind": random.choice(["tag", "settings"]), "subject": "s", "content": {}, "reach": {}, "reason": "w"}
        about = random.choice([None, entity.id])
        states = {"state": random.choice(["proposed", "refused"]), "proposed_by": "x", "proposed_us": ago()}
        session.add(Proposal(organisation_id=of, entity_id=about, **wants, **states))
        if random.random() < 0.1:
            entity.erased_us = NOW
    contest(session, random, of, [entity.id for entity in entities])
    ask(session, random, of, {entity.id: entity.type_id for entity in entities})
    for place in range(12):
        propose(session, random, of, place)
        commit_versions(session, random, of, entities[0].type_id, place)
    session.flush()
    work |= {
        (kind, row.id, step_of(kind, row)): getattr(row, "entity_id", None)
        for kind, table in OF_NUMBERS.items()
        for row in session.scalars(select(table).where(table.organisation_id == of))
    }
    for (kind, number, step), entity_id in work.items():
        if random.random() < 0.4:
            people = {"member_id": random.choice([None, *members]), "done_us": random.choice([None, None, NOW])}
            named = {"organisation_id": of, "kind": kind, "number": number, "step": step, "entity_id": entity_id}
            session.add(QueueWork(**named, **people, revision=1, changed_us=NOW, changed_by="x"))


def moves(random: Random) -> list[tuple[int | None, int | None]]:
    """From which level to which an entity moved: up, down and up again, or anyhow."""
    anyhow = [(random.choice([None, 1, 2]), random.choice([None, 1, 2, 3])) for _ in range(random.randint(0, 2))]
    return random.choice([[(1, 2), (2, 1), (1, 2)], [(1, 2), (2, None), (None, 1)], anyhow, anyhow])


def step_of(kind: str, row: Any) -> int:
    """The second number of an item's name."""
    return int(row.asked_us) if kind == "question" else int(row.number) if kind in VERSIONS else 0


def propose(session: Session, random: Random, of: int, place: int) -> None:
    """Put one row of all that one person proposes, asks for or registers, and another one decides."""

    def ago() -> int:
        return NOW - random.choice(AGES_US)

    texts = {"organisation_id": of, "document": "", "canonical": "", "content_hash": f"{place}", "number": 1 + place}
    states = ["proposed", "proposed", "active", "retired"]
    for table in (Policy, GroupVersion):
        person = {"state": random.choice(states), "written_by": random.choice(PEOPLE), "written_us": ago()}
        if table is Policy:
            session.add(Policy(**texts, **person, name="payments"))
        else:
            of_group = {"organisation_id": of, "type_id": session.scalars(select(EntityType.id)).first()}
            group = NamedGroup(**of_group, name=f"group{place}", purpose="risk", created_us=1)
            session.add(group)
            session.flush()
            session.add(GroupVersion(**texts, **person, group_id=group.id))
    asked_us = NOW - random.choice([0, 1, LONGEST_DAYS * DAY_US - 1, LONGEST_DAYS * DAY_US])
    asks = {"asked_by": random.choice(PEOPLE), "asked_us": asked_us, "state": random.choice(["asked", "asked", "made"])}
    session.add(TokenRequest(organisation_id=of, role="admin", plan="", label="l", half_sha256="0" * 64, **asks))
    signed_us = random.choice([None, None, NOW])
    checks = {"trigger": "t", "from_us": 0, "until_us": 1, "made_us": ago(), "report": {}}
    session.add(ValidationRun(organisation_id=of, **checks, signed_us=signed_us))
    registers = {"registered_by": random.choice(PEOPLE), "registered_us": ago(), "signed_us": signed_us}
    session.add(MaterialChange(organisation_id=of, kind="product", description="d", **registers))


def commit_versions(session: Session, random: Random, of: int, type_id: int, place: int) -> None:
    """Commit up to two versions of a ruleset and a flow; some are tested, some decided or acted already."""
    about = {"organisation_id": of, "type_id": type_id, "name": f"committed{place}", "created_us": 1}
    family, flow = Family(**about, position=place, enabled=True), FlowRow(**about)
    session.add_all([family, flow])
    session.flush()
    for number in range(1, random.randint(2, 3)):
        facts = {"number": number, "committed_us": NOW - random.choice(AGES_US), "tests": {}}
        people = {"committed_by": random.choice(PEOPLE), "editors": random.sample(PEOPLE, random.randint(1, 2))}
        texts = {"organisation_id": of, "document": "", "canonical": "", "content_hash": f"{place}-{number}"}
        ruleset = RulesetVersion(**facts, **people, **texts, family_id=family.id)
        version = FlowVersion(**facts, **people, **texts, flow_id=flow.id, pinned={})
        session.add_all([ruleset, version])
        session.flush()
        of_family = {"organisation_id": of, "family_id": family.id}
        for state in random.sample(["done", "done", "failed", "running"], random.randint(1, 2)):
            test = {"content_hash": ruleset.content_hash, "canonical": "", "type_id": type_id, "state": state}
            asked = {"requested_by": "x", "requested_us": 1, "attempts": 1, "done": 0, "total": 1}
            session.add(Backtest(**of_family, **test, **asked))
        why = {"reason": "why", "actor": "x", "at_us": NOW}
        if random.random() < 0.2:
            progress = {"per_second": 1, "reached_id": 0, "reached_us": 1, "finished_us": NOW}
            session.add(Activation(**of_family, **why, **progress, version_id=ruleset.id, kind="activation"))
        if random.random() < 0.4:
            kind = random.choice(["active", "rollback", "shadow"])
            session.add(FlowActivation(organisation_id=of, flow_id=flow.id, version_id=version.id, **why, kind=kind))


def contest(session: Session, random: Random, of: int, entities: list[int]) -> None:
    """Let some of the customers contest what was found of them."""
    for entity_id in entities:
        opened_us, due_us = (NOW - random.choice(AGES_US) for _ in range(2))
        row = Challenge(organisation_id=of, entity_id=entity_id, number=1, words="no", received_us=opened_us)
        row.opened_us, row.opened_by, row.due_us, row.record_sha256 = opened_us, "x", due_us + DAY_US, "0" * 64
        row.state = random.choice(["open", "open", "confirmed"])
        session.add(row)


def ask(session: Session, random: Random, of: int, types: dict[int, int]) -> None:
    """Let flows, one of them switched off, ask people about some of the customers, and ask for reviews."""
    flow, flows = analyse_flow(LARGE).flow, list[tuple[int, int]]()
    for place, entity_id in enumerate(types):
        if place in {0, 1}:
            row = FlowRow(organisation_id=of, type_id=types[entity_id], name=f"flow{place}", created_us=NOW)
            session.add(row)
            session.flush()
            texts = {"document": LARGE, "canonical": flow.canonical, "content_hash": f"{place}", "pinned": {}}
            made = {"tests": {}, "editors": ["x"], "committed_by": "x", "committed_us": NOW, "number": 1}
            version = FlowVersion(organisation_id=of, flow_id=row.id, **texts, **made)
            session.add(version)
            session.flush()
            row.active_version_id = version.id if place else None
            flows.append((row.id, version.id))
    for entity_id in types:
        flow_id, version_id = random.choice(flows)
        about = {"organisation_id": of, "flow_id": flow_id, "entity_id": entity_id, "cause": "call:x"}
        asks = random.choice([None, "investigator", "publisher"])
        run = FlowRun(**about, version_id=version_id, about={}, acting=True, begun_us=NOW, actor="system")
        run.state, run.stopped_at = random.choice(["waiting", "waiting", "running"]), "ask"
        run.asks, run.asked_us = asks, NOW - random.choice(AGES_US)
        run.due_us = NOW - random.choice(AGES_US) + DAY_US
        session.add(run)
        session.flush()
        named = {"action": "look", "kind": "review", "subject": "review", "content": {}, "at_us": NOW}
        review = FlowAction(**about, run_id=run.id, **named)
        review.due_us, review.waits_us = (NOW - random.choice(AGES_US) for _ in range(2))
        review.taken_back_us, review.done_us = (random.choice([None, None, NOW]) for _ in range(2))
        session.add(review)


Item = tuple[Kind, int, int, int, int | None, int | None]
"""Kind, number, step, since when, the entity, and its own date where it has one."""


def of_assessments(session: Session, of: int) -> Iterator[Item]:
    """Every item that an assessment made, or one that did not come about."""
    for row in session.scalars(select(Standing).filter_by(organisation_id=of)):
        if row.status in FAILED or row.assessed_us > NOW + DAY_US:
            yield Kind.FAILURE, row.entity_id, row.number, row.assessed_us, row.entity_id, None
    for mark in session.scalars(select(DueMark).filter_by(organisation_id=of)):
        if mark.quarantined:
            yield Kind.QUARANTINE, mark.entity_id, mark.revision, mark.due_us or 0, mark.entity_id, None
        elif mark.due_us is not None and mark.due_us <= NOW - DAY_US:
            yield Kind.REVIEW, mark.entity_id, mark.due_us, mark.due_us, mark.entity_id, None
    transitions = session.scalars(select(Transition).filter_by(organisation_id=of)).all()
    for move in transitions:
        rises = move.from_level is not None and (move.to_level or 0) > move.from_level
        rises = rises and not (move.source == "override" and is_overridden(session, move))
        stands = session.get(Standing, move.entity_id)
        since = [each for each in transitions if each.entity_id == move.entity_id and each.number > move.number]
        levels = [0 if stands is None else stands.level or 0, *(each.to_level or 0 for each in since)]
        holds = stands is not None and min(levels) >= (move.to_level or 0)
        if rises and holds and move.at_us > NOW - 30 * DAY_US:
            yield Kind.RISE, move.entity_id, move.number, move.at_us, move.entity_id, None


def slowly(session: Session, of: int) -> Iterator[Item]:
    """Every item, of whomever, from all rows of the tables."""
    yield from of_assessments(session, of)
    for override in session.scalars(select(OverrideRow).filter_by(organisation_id=of, state="requested")):
        due_us = min(override.requested_us + 2 * DAY_US, override.until_us or NOW * 2)
        yield Kind.OVERRIDE, override.id, 0, override.requested_us, override.entity_id, due_us
    for proposal in session.scalars(select(Proposal).filter_by(organisation_id=of, state="proposed")):
        yield Kind.CHANGE, proposal.id, 0, proposal.proposed_us, proposal.entity_id, None
    for row in session.scalars(select(Challenge).filter_by(organisation_id=of, state="open")):
        yield Kind.CHALLENGE, row.id, 0, row.opened_us, row.entity_id, row.due_us
    yield from of_flows(session, of)
    yield from of_proposals(session, of)
    yield from of_commits(session, of)


def of_proposals(session: Session, of: int) -> Iterator[Item]:
    """What another person than the one who proposed, asked or registered is to decide."""
    for kind, table, subject in ((Kind.POLICY, Policy, "name"), (Kind.GROUP, GroupVersion, "group_id")):
        versions = session.scalars(select(table).filter_by(organisation_id=of)).all()
        active = {(getattr(each, subject), each.number) for each in versions if each.state == "active"}
        for each in versions:
            overtaken = any(name == getattr(each, subject) and number > each.number for name, number in active)
            if each.state == "proposed" and each.written_by != READER and not overtaken:
                yield kind, each.id, each.number, each.written_us, None, None
    for request in session.scalars(select(TokenRequest).filter_by(organisation_id=of, state="asked")):
        if request.asked_us > NOW - LONGEST_DAYS * DAY_US and request.asked_by != READER:
            yield Kind.TOKEN, request.id, 0, request.asked_us, None, None
    for validation in session.scalars(select(ValidationRun).filter_by(organisation_id=of, signed_us=None)):
        yield Kind.VALIDATION, validation.id, 0, validation.made_us, None, None
    for change in session.scalars(select(MaterialChange).filter_by(organisation_id=of, signed_us=None)):
        if change.registered_by != READER:
            yield Kind.MATERIAL, change.id, 0, change.registered_us, None, None


def is_overridden(session: Session, move: Transition) -> bool:
    """Whether people had set the level that an entity reached: an override that was revoked is none any more."""
    return any(
        each.decided_us is not None
        and each.decided_us <= move.at_us
        and all(end is None or end > move.at_us for end in (each.until_us, each.revoked_us))
        for each in session.scalars(select(OverrideRow).filter_by(entity_id=move.entity_id, level=move.to_level))
    )


def of_commits(session: Session, of: int) -> Iterator[Item]:
    """The newest versions that others than their editors may activate."""
    tested = {row.content_hash for row in session.scalars(select(Backtest).filter_by(organisation_id=of, state="done"))}
    decided = {row.version_id for row in session.scalars(select(Activation).filter_by(organisation_id=of))}
    for ruleset in newest(session, RulesetVersion, "family_id", of):
        if ruleset.content_hash in tested and ruleset.id not in decided:
            yield Kind.RULESET, ruleset.id, ruleset.number, ruleset.committed_us, None, None
    moves = session.scalars(select(FlowActivation).filter_by(organisation_id=of))
    acted = {row.version_id for row in moves if row.kind != "shadow"}
    for flow in newest(session, FlowVersion, "flow_id", of):
        if flow.id not in acted:
            yield Kind.FLOW, flow.id, flow.number, flow.committed_us, None, None


def newest(session: Session, table: Any, name: str, of: int) -> list[Any]:
    """The newest version of each of an organisation's rulesets or flows, where the reader took no part in it."""
    rows = session.scalars(select(table).filter_by(organisation_id=of).order_by(table.number))
    last = {getattr(row, name): row for row in rows}.values()
    return [row for row in last if row.committed_by != READER and READER not in row.editors]


def of_flows(session: Session, of: int) -> Iterator[Item]:
    """What flows that act ask a person, and the reviews that nobody did or took back."""
    active = {row.id for row in session.scalars(select(FlowRow)) if row.active_version_id is not None}
    for run in session.scalars(select(FlowRun).filter_by(organisation_id=of, state="waiting")):
        if run.asks and run.asked_us is not None and (run.due_us or 0) > NOW and run.flow_id in active:
            yield Kind.QUESTION, run.id, run.asked_us, run.asked_us, run.entity_id, run.due_us
    for each in session.scalars(select(FlowAction).filter_by(organisation_id=of, taken_back_us=None, done_us=None)):
        if each.waits_us is not None and each.waits_us <= NOW:
            yield Kind.FLOW_REVIEW, each.id, 0, each.waits_us, each.entity_id, each.due_us


def due_us(item: Item) -> int:
    return item[3] + DAYS[item[0]] * DAY_US if item[5] is None else item[5]


def flow_of(session: Session, item: Item) -> str | None:
    """The name of the flow that asks, where one does."""
    table = {Kind.QUESTION: FlowRun, Kind.FLOW_REVIEW: FlowAction}.get(item[0])
    row: Any = None if table is None else session.get_one(table, item[1])
    return None if row is None else session.get_one(FlowRow, row.flow_id).name


def expected(context: Context, role: Role, filters: QueueFilters) -> list[Item]:
    """The items that are asked for, in their order."""
    found: list[Item] = []
    with Session(context.engine) as session:
        types = {row.id: row.name for row in session.scalars(select(EntityType))}
        left = set(session.scalars(select(Member.id).where(Member.left_us.is_not(None))))
        for item in slowly(session, context.organisation_id):
            kind, number, step, since, entity_id, _ = item
            entity = None if entity_id is None else session.get_one(Entity, entity_id)
            standing = None if entity_id is None else session.get(Standing, entity_id)
            level = None if standing is None or standing.level is None else platforms.LEVELS[standing.level - 1]
            work = session.get(QueueWork, (context.organisation_id, kind.value, number, step))
            member = None if work is None else work.member_id
            if (
                kind in (filters.kinds or kinds_for(role))
                and (entity is None or entity.erased_us is None)
                and (work is None or work.done_us is None)
                and (filters.assigned != "unassigned" or member is None or member in left)
                and (not filters.assigned.isdecimal() or member == int(filters.assigned))
                and (filters.entity_type is None or (entity and types[entity.type_id] == filters.entity_type))
                and (not filters.levels or level in filters.levels)
                and (filters.flow is None or flow_of(session, item) == filters.flow)
                and (filters.since_us is None or since >= filters.since_us)
            ):
                found.append(item)

    def place(item: Item) -> tuple[int, ...]:
        return due_us(item) if filters.order is QueueOrder.DUE else item[3], list(Kind).index(item[0]), item[1], item[2]

    return sorted(found, key=place, reverse=filters.order is QueueOrder.NEWEST)


some = st.builds(
    QueueFilters,
    kinds=st.one_of(st.just(()), st.lists(st.sampled_from([kind.value for kind in Kind]), unique=True, max_size=3)),
    assigned=st.sampled_from(["", "", "unassigned", "ana", "left"]),
    entity_type=st.sampled_from([None, None, "customer", "company"]),
    levels=st.lists(st.sampled_from(platforms.LEVELS[:2]), unique=True, max_size=2),
    flow=st.sampled_from([None, None, None, "flow0", "flow1"]),
    since_us=st.sampled_from([None, None, NOW - DAY_US, NOW - 5 * DAY_US]),
    order=st.sampled_from(QueueOrder),
)


@pytest.mark.postgresql
@settings(max_examples=examples(30), suppress_health_check=SHARED_FIXTURES)
@given(filters=some, rows=st.sampled_from([10, 1000]), most=st.sampled_from([4, 10_000]))
def test_items_and_their_numbers_are_what_plain_python_makes_of_the_rows(
    bank: Context, filters: QueueFilters, rows: int, most: int
) -> None:
    with Session(bank.engine) as session:
        of = Member.organisation_id == bank.organisation_id
        numbers = {row.name: str(row.id) for row in session.scalars(select(Member).where(of))}
    filters = QueueFilters(**{**vars(filters), "assigned": numbers.get(filters.assigned, filters.assigned)})
    wanted = expected(bank, Role.ADMIN, filters)
    listed = list(every_row(lambda part: list_items(bank, Role.ADMIN, filters, part), rows))
    assert [item.item for item in listed] == [f"{item[0]}-{item[1]}-{item[2]}" for item in wanted]
    assert list(list_items(bank, Role.ADMIN, filters)) == listed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "MOST_COUNTED", most)
        for count in count_items(bank, Role.ADMIN, filters):
            ages = [NOW - due_us(item) for item in wanted if item[0] == count.kind]
            assert count.capped is (len(ages) > most)
            if count.capped:
                assert most < count.total <= len(ages)
            else:
                overdue, today = sum(age >= 0 for age in ages), sum(-DAY_US <= age < 0 for age in ages)
                assert (count.overdue, count.today) == (overdue, today)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("kind", "has", "index"),
    [
        ("failure", "assessed_us >", "ix_standings_assessed"),
        ("quarantine", "quarantined", "ix_due_marks_"),
        ("review", "priority", "ix_due_marks_queue"),
        ("challenge", "challenges", "ix_challenges_by_"),
        ("question", "asks", "ix_flow_runs_asks_"),
        ("flow_review", "flow_actions", "ix_flow_actions_reviews_"),
    ],
)
def test_what_is_rare_or_late_is_found_by_an_index(bank: Context, kind: str, has: str, index: str) -> None:
    with statements(bank.engine) as asked:
        list_items(bank, Role.ADMIN, QueueFilters(kinds=(kind,)), Part(10))
        count_items(bank, Role.ADMIN, QueueFilters(kinds=(kind,)))
    plans = [plan_of(bank.engine, each) for each in asked if has in str(each) and "JOIN" in str(each)]
    assert len(plans) >= 2
    assert all(index in plan for plan in plans), plans


@pytest.mark.parametrize("kind", sorted(WITHOUT_ENTITY))
def test_items_about_no_entity_are_not_compared_with_every_entity(bank: Context, kind: Kind) -> None:
    with statements(bank.engine) as asked:
        list_items(bank, Role.ADMIN, QueueFilters(kinds=(kind,)), Part(10))
        count_items(bank, Role.ADMIN, QueueFilters(kinds=(kind,)))
    joined = [each for each in asked if "queue_work" in each[0]]
    assert len(joined) == 2
    for each in joined:
        assert not re.search(r"(entities|standings)\.(id|entity_id) IS NULL", each[0])
        if bank.engine.dialect.name == "sqlite":
            assert not re.search(r"SCAN (entities|standings)", plan_of(bank.engine, each))
