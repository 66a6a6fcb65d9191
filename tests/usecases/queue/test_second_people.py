"""What waits for a second person is in the queue of those who may decide about it, and of nobody who took part."""

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.store.accounts.plans import read_plans
from fivefold.store.tables.events import ValidationRun
from fivefold.store.tables.rulesets import Backtest, Family, RulesetVersion
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.accounts.token_requests import TokenSpecification, refuse_token, request_token
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.decisions.policies import approve_policy, propose_policy, refuse_policy
from fivefold.usecases.flows.activate import activate_flow
from fivefold.usecases.groups.versions import approve_group, propose_group
from fivefold.usecases.monitoring.revalidation import register_change
from fivefold.usecases.queue.items import QueueFilters, change_item, list_items, may_take, read_item
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import new_job
from tests.store.audits import bind_unnamed
from tests.usecases.decisions.deciding import CASH, Desk, document, opened
from tests.usecases.flows.documents import WHY, as_, committed, flow_document
from tests.usecases.groups.grouped import HIGH
from tests.usecases.groups.grouped import document as group


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """A bank with two members, ana and ben, in the order of their numbers."""
    desk = opened(engine)
    for name in ("ana", "ben"):
        add_member(as_(desk, desk.ana), name, ["publisher", "admin"])
    return desk


def items(context: Context, role: Role = Role.ADMIN) -> dict[str, str]:
    """What a person has in the queue, by kind."""
    about = {"override", "change", "failure", "quarantine", "rise", "review"}
    return {each.kind: each.about for each in list_items(context, role) if each.kind not in about}


@pytest.mark.postgresql
def test_proposed_and_committed_versions_wait_for_another_person(desk: Desk) -> None:
    ana, ben = as_(desk, desk.ana), as_(desk, desk.ben)
    propose_policy(ana, document([CASH]), WHY, WHY)
    propose_group(ana, group(HIGH), WHY, WHY)
    committed(desk, flow_document())
    assert items(ana) == {}
    assert items(ben) == {"policy": "payments", "group": "watched", "flow": "care"}
    assert items(ben, Role.PUBLISHER) == items(ben)
    for role in (Role.APPROVER, Role.INVESTIGATOR):
        assert items(ben, role) == {}
    policy = list_items(ben, Role.ADMIN, QueueFilters(kinds=("policy",)))[0]
    assert (policy.version, policy.asked_by, policy.due_us - policy.since_us) == (1, "member:1", 2 * DAY_US)
    assert read_item(ana, Role.ADMIN, policy.item) is None
    approve_policy(ben, "payments", 1, WHY)
    approve_group(ben, "watched", 1, WHY)
    activate_flow(ben, "care", 1, WHY)
    assert items(ben) == {}
    propose_policy(ben, document([CASH], rationale="Another."), WHY, WHY)
    assert items(ana) == {"policy": "payments"}
    refuse_policy(ana, "payments", 2, WHY)
    assert items(ana) == {}


@pytest.mark.postgresql
def test_a_proposed_version_leaves_the_queue_once_a_newer_one_is_active(desk: Desk) -> None:
    ana, ben = as_(desk, desk.ana), as_(desk, desk.ben)
    for rationale in ("Because.", "Another."):
        propose_policy(ana, document([CASH], rationale=rationale), WHY, WHY)
        propose_group(ana, group(HIGH, rationale=rationale), WHY, WHY)
    assert len(list_items(ben, Role.ADMIN, QueueFilters(kinds=("policy", "group")))) == 4
    approve_policy(ben, "payments", 2, WHY)
    approve_group(ben, "watched", 2, WHY)
    with pytest.raises(ConflictError, match="version 2 of payments is active and newer"):
        approve_policy(ben, "payments", 1, WHY)
    assert items(ben) == {}


@pytest.mark.postgresql
def test_a_version_of_a_ruleset_waits_from_its_backtest_until_it_decides_or_is_put_away(desk: Desk) -> None:
    ana, ben = as_(desk, desk.ana), as_(desk, desk.ben)
    with Session(desk.bank.engine) as session, session.begin():
        first = session.scalars(select(RulesetVersion)).one()
        kept = ("organisation_id", "family_id", "document", "canonical", "tests")
        content = {"content_hash": "0" * 64, "editors": ["member:2"], "committed_by": "member:1"}
        same = {name: getattr(first, name) for name in kept}
        session.add(RulesetVersion(**same, **content, number=2, committed_us=desk.bank.now))
    assert items(Context(desk.bank.engine, Actor(desk.bank.of, "member:9")).at(desk.bank.now)) == {}
    with Session(desk.bank.engine) as session, session.begin():
        family = session.get_one(Family, same["family_id"])
        of = {"family_id": family.id, "type_id": family.type_id, "content_hash": "0" * 64, "canonical": ""}
        session.add(Backtest(**{**new_job(ana, desk.bank.now), **of, "state": "done"}))
        name = family.name
    assert (items(ana), items(ben)) == ({}, {}), "one committed it, the other edited it"
    cyd = Context(desk.bank.engine, Actor(desk.bank.of, "member:3")).at(desk.bank.now)
    assert items(cyd) == {"ruleset": name}
    item = list_items(cyd, Role.ADMIN, QueueFilters(kinds=("ruleset",)))[0]
    assert item.version == 2
    assert change_item(cyd, Role.ADMIN, item.item, 0, assigned_to=None, done=True, reason="It is not wanted.") is None
    assert items(cyd) == {}


def test_tokens_validations_and_material_changes_wait_for_those_who_decide(desk: Desk) -> None:
    ana, ben = as_(desk, desk.ana), as_(desk, desk.ben)
    asked = request_token(ana, read_plans(None), TokenSpecification(role="app", plan="standard", label="the scorer"))
    register_change(ana, "product", "Cards for children")
    with Session(desk.bank.engine) as session, session.begin():
        times = {"from_us": 1, "until_us": 2, "made_us": desk.bank.now}
        session.add(ValidationRun(organisation_id=desk.bank.of, trigger="on request", report={}, **times))
    assert items(ana) == {"validation": ""}, "who wrote what it looks at stands in its report"
    assert items(ben) == {"token": "app", "validation": "", "material": "product"}
    assert items(ben, Role.APPROVER) == {"validation": "", "material": "product"}
    late = as_(desk, desk.ben).at(desk.bank.now + 7 * DAY_US)
    assert "token" not in items(late), "it cannot be approved any more"
    refuse_token(ana, asked.request.id)
    assert "token" not in items(ben)
    with pytest.raises(ConfigError, match="an item of the kind material leaves the queue only when it is dealt with"):
        change_item(ben, Role.ADMIN, "material-1-0", 0, assigned_to=None, done=True)


def test_it_is_assigned_to_another_member_who_sees_it(desk: Desk) -> None:
    ana, ben = as_(desk, desk.ana), as_(desk, desk.ben)
    numbers = {name: int(actor.name.removeprefix("member:")) for name, actor in (("ana", desk.ana), ("ben", desk.ben))}
    seller = add_member(ana, "sue", ["commercial"])
    propose_policy(ana, document([CASH]), WHY, WHY)
    item = list_items(ben, Role.ADMIN, QueueFilters(kinds=("policy",)))[0]
    with pytest.raises(ConflictError, match="ana took part in item policy-1-1; another person decides about it"):
        change_item(ben, Role.ADMIN, item.item, 0, assigned_to=numbers["ana"])
    with pytest.raises(ConfigError, match="sue is commercial, and does not see items of the kind policy"):
        change_item(ben, Role.ADMIN, item.item, 0, assigned_to=seller.id)
    assert not may_take(seller, [item])
    taken = change_item(ben, Role.ADMIN, item.item, 0, assigned_to=numbers["ben"])
    assert taken is not None
    assert (taken.assigned_name, taken.sees_no_more) == ("ben", False)
    bind_unnamed(desk.bank.engine)
    assert verify(desk.bank.engine, pytest.fail).entries
