"""One row more of each list that the platform has: through its routes, or in the database where that takes long."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from fivefold.serving.v1.path_encoding import path_to
from fivefold.store.tables.accounts import RateTableRow, Token
from fivefold.store.tables.entities import Entity, ListVersionRow
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent, ValidationRun
from fivefold.store.tables.flows import FlowActivation, FlowReplay, FlowReplayPerson, FlowRow, FlowRun, FlowVersion
from fivefold.store.tables.groups import GroupMember, GroupMove, NamedGroup
from fivefold.store.tables.levels import Assessment, DueMark, Standing, Transition
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import (
    Activation,
    Backtest,
    BacktestMover,
    Family,
    PointsJob,
    ReferenceJob,
    RulesetVersion,
    ThresholdReview,
)
from fivefold.usecases.ingest.import_progress import begin_import, finish_import
from fivefold.usecases.shared.context import Context
from tests.serving.v1.examples import COMPANY, CUSTOMER, OPENED, WHY
from tests.serving.v1.models.predicted import add_predicted
from tests.serving.v1.places import OURS, Place
from tests.serving.v1.rulesets.bank_rulesets import document
from tests.usecases.decisions.deciding import CASH, cash
from tests.usecases.decisions.deciding import document as policy
from tests.usecases.flows.documents import flow_document
from tests.usecases.groups.grouped import document as group
from tests.usecases.platforms import transaction

_CUSTOMER = path_to("/v1/entities/{t}/{e}", t="customer", e=CUSTOMER)
_COMPANY = path_to("/v1/entities/{t}/{e}", t="company", e=COMPANY)


def _member(place: Place, number: int) -> None:
    """A company that entered a group."""
    entity_id = _entity(place, number)
    with Session(place.engine) as session, session.begin():
        group_id = session.scalars(select(NamedGroup.id).where(NamedGroup.name == "high-ones")).first()
        of = {"group_id": group_id, "entity_id": entity_id, "is_unknown": False}
        session.add(GroupMember(**of, is_member=True, since_us=number, moves=1))
        session.add(GroupMove(**of, number=1, at_us=number, entered=True))


def _asked(method: str, path: str, body: Callable[[int], Any], role: str = "admin") -> Callable[[Place, int], None]:
    return lambda place, number: place.good(method, path.format(number), body(number), role=role)


_another_override = _asked(
    "POST", f"{_COMPANY}/overrides", lambda number: {"level": "high", "reason": f"{WHY} number {number}"}
)
"""Each has a reason of its own: the same request waits once."""


def _copied(table: type[Any], **changes: Callable[[int], Any]) -> Callable[[Place, int], None]:
    """Add a row like the first one of a table, which differs in these columns."""

    def add(place: Place, number: int) -> None:
        with Session(place.engine) as session, session.begin():
            _copy(session, table, **{name: change(number) for name, change in changes.items()})

    return add


def _copy(session: Session, table: type[Any], **changes: Any) -> Any:
    key = [column.name for column in inspect(table).primary_key]
    like = session.scalars(select(table).order_by(*inspect(table).primary_key).limit(1)).one()
    values = {column.name: getattr(like, column.name) for column in table.__table__.columns}
    if key == ["id"]:
        del values["id"]
    made = table(**{**values, **changes})
    session.add(made)
    session.flush()
    return made


def _differing(place: Place, number: int) -> None:
    """Runs of a flow and of its shadow that came to different ends for one cause."""
    with Session(place.engine) as session, session.begin():
        flow = session.scalars(select(FlowRow).where(FlowRow.name == "care").order_by(FlowRow.id)).first()
        assert flow is not None
        both = {"flow_id": flow.id, "cause": f"call:pair {number}", "state": "ended", "due_us": None}
        for version_id, acting, end in (
            (flow.active_version_id, True, "done"),
            (flow.shadow_version_id, False, "nothing"),
        ):
            _copy(session, FlowRun, **both, version_id=version_id, acting=acting, stopped_at=end)


def _reviewed(place: Place, number: int) -> None:
    """Thresholds of a quarter that were left as they are."""
    with Session(place.engine) as session, session.begin():
        family = session.scalars(select(Family).where(Family.name == "retail").order_by(Family.id)).first()
        assert family is not None
        session.add(
            ThresholdReview(
                organisation_id=family.organisation_id,
                family_id=family.id,
                version_id=family.active_version_id,
                quarter=f"{1990 + number}Q1",
                rules_hash="0" * 64,
                state="failed",
                attempts=1,
                requested_by="system",
                requested_us=number,
                done=0,
                total=0,
                error=WHY,
            )
        )


def _referenced(place: Place, number: int) -> None:
    """A reference for peers that nobody built yet."""
    with Session(place.engine) as session, session.begin():
        family = session.scalars(select(Family).where(Family.name == "retail").order_by(Family.id)).first()
        assert family is not None
        of = {"organisation_id": family.organisation_id, "family_id": family.id, "version_id": family.active_version_id}
        asked = {"state": "queued", "attempts": 0, "requested_by": "system", "requested_us": number}
        session.add(ReferenceJob(**of, **asked, done=0, total=0))


def _points_asked(place: Place, number: int) -> None:
    """Points that no worker learnt yet."""
    with Session(place.engine) as session, session.begin():
        family = session.scalars(select(Family).where(Family.name == "retail").order_by(Family.id)).first()
        assert family is not None
        of = {"organisation_id": family.organisation_id, "family_id": family.id, "version_id": family.active_version_id}
        asked = {"state": "queued", "attempts": 0, "requested_by": "system", "requested_us": number}
        session.add(PointsJob(**of, **asked, done=0, total=0, as_of_us=number, until_us=number + 1))


def _failed(place: Place, number: int) -> None:
    """Somebody who failed in two ways."""
    entity_id = _entity(place, number, status="failed")
    with Session(place.engine) as session, session.begin():
        mark = session.get_one(DueMark, entity_id)
        mark.quarantined, mark.attempts, mark.error = True, 6, "it broke"


def _entity(place: Place, number: int, status: str = "assessed") -> int:
    """A company of the lowest level."""
    place.good("PUT", f"/v1/entities/company/{status} {number}", {}, role="app")
    with Session(place.engine) as session, session.begin():
        made = session.scalars(select(Entity).where(Entity.external_id == f"{status} {number}")).one()
        of = {"entity_id": made.id, "organisation_id": made.organisation_id, "type_id": made.type_id}
        changes: dict[str, Any] = {"override_id": None, "level": 1, "status": status, "number": 1}
        _copy(session, Standing, **of, **changes)
        return made.id


def _valued(place: Place, number: int) -> None:
    """A company of the highest segment."""
    entity_id = _entity(place, number)
    with Session(place.engine) as session, session.begin():
        standing = session.get_one(Standing, entity_id)
        standing.segment, standing.value_score, standing.value_currency = "top", 4.5, "EUR"
        standing.expected_value = 100.0 + number % 2


def _delivery(state: str, **values: Any) -> Callable[[Place, int], None]:
    """An event on its way, in a state."""

    def add(place: Place, number: int) -> None:
        with Session(place.engine) as session, session.begin():
            event = _copy(session, OutboxEvent, event_id=f"{state} {number}")
            of = {"endpoint_id": 1, "event_number": event.id, "entity_id": event.entity_id}
            failed = {"attempts": 12, "next_us": number, "error": "it answered 500", "delivered_us": None}
            session.add(Delivery(state=state, **of, **{**failed, **values}))
            session.get_one(Endpoint, 1).planned_id = event.id

    return add


def _list(place: Place, number: int, name: str = "") -> None:
    words = {"name": name or f"list-{number % 2}", "title": "List", "source": "Ourselves", "members": ["NO"]}
    with Session(place.engine) as session, session.begin():
        of = place.organisations[OURS]
        session.add(ListVersionRow(organisation_id=of, since_us=number, created_us=0, **words))


def _import(place: Place, number: int) -> None:
    """An import that is done."""
    about = {"content": "tags", "entity_type": "customer", "file": f"tags-{number}.csv"}
    context = Context(place.engine, place.actor("admin"))
    finish_import(context, begin_import(context, f"import-{number}", about))


def _nothing(place: Place, number: int) -> None:
    """What is computed has as many rows as there are things to compute."""


def _reached(place: Place, number: int) -> None:
    """A company that reached its first level just now."""
    entity_id = _entity(place, number)
    with Session(place.engine) as session, session.begin():
        at_us = session.get_one(Standing, entity_id).assessed_us
        first = {"from_level": None, "to_level": 1, "at_us": at_us, "source": "rules"}
        session.add(Transition(entity_id=entity_id, number=1, organisation_id=place.organisations[OURS], **first))


def _moved(place: Place, number: int) -> None:
    """A customer who would be elsewhere by the first backtest."""
    entity_id = _entity(place, number)
    with Session(place.engine) as session, session.begin():
        session.add(BacktestMover(backtest_id=1, entity_id=entity_id, before="low", after="high", later="high"))


def _treated_otherwise(place: Place, number: int) -> None:
    """A customer whom the first replayed version would have looked at."""
    entity_id = _entity(place, number)
    before = {"before_state": "ended", "before_at": "nothing", "before_actions": ""}
    after = {"state": "ended", "stopped_at": "done", "actions": "look"}
    with Session(place.engine) as session, session.begin():
        of = {"replay_id": 1, "entity_id": entity_id, "number": 0, "cause": "", "at_us": number}
        session.add(FlowReplayPerson(**of, **before, **after))


def _predicted(place: Place, number: int) -> None:
    add_predicted(place, number, "holds", version=2)


MORE: Mapping[str, Callable[[Place, int], None]] = {
    "list_entities": _entity,
    "read_history": _copied(
        Assessment, number=lambda number: 1_000 + number, as_of_us=lambda number: number, breakdown=lambda _: None
    ),
    "list_tags": _asked("PUT", f"{_CUSTOMER}/tags/tag {{}}", lambda _: {}),
    "list_screenings": _asked("POST", f"{_CUSTOMER}/screenings", lambda n: {"screening": f"list {n}", "found": False}),
    "list_links": _asked(
        "POST", "/v1/links/customer", lambda n: [{"type": "household", "from": CUSTOMER, "to": f"house {n}"}]
    ),
    "list_cases": _asked("PUT", f"{_CUSTOMER}/cases/{{}}", lambda _: {"opened_at": OPENED}),
    "list_alerts": _asked("PUT", f"{_CUSTOMER}/alerts/{{}}", lambda _: {"opened_at": OPENED}),
    "list_transactions": _asked("POST", "/v1/transactions", lambda number: [transaction(100 + number, CUSTOMER)]),
    "list_overrides_of": _another_override,
    "list_overrides": _another_override,
    "list_challenges": _copied(Challenge, number=lambda number: 1_000 + number),
    "list_decisions": _asked(
        "POST",
        "/v1/decisions",
        lambda number: {
            "policy": "payments",
            "external_id": CUSTOMER,
            "transaction": cash(),
            "decision_key": f"more {number}",
        },
    ),
    "list_policies": _asked(
        "POST",
        "/v1/policies",
        lambda number: {"document": policy([CASH], f"more-{number}"), "reason": WHY, "accept_warnings": WHY},
    ),
    "list_flows": _asked("PUT", "/v1/flows/more{}/draft", lambda number: {"document": flow_document(f"more{number}")}),
    "list_flow_versions": _copied(FlowVersion, number=lambda number: 100 + number),
    "list_flow_runs": _copied(FlowRun, cause=lambda number: f"call:{number}"),
    "list_shadow_pairs": _differing,
    "list_flow_activations": _copied(FlowActivation, reason=str),
    "list_flow_replays": _copied(FlowReplay, requested_us=lambda number: number),
    "list_replay_people": _treated_otherwise,
    "list_group_versions": _asked(
        "POST",
        "/v1/groups",
        lambda number: {
            "document": group({"value": "score", "at_least": number}, "high-ones", purpose="both"),
            "reason": WHY,
            "accept_warnings": WHY,
        },
    ),
    "list_group_members": _member,
    "list_group_moves": _member,
    "search_entities": _entity,
    "list_current_levels": _entity,
    "list_values": _valued,
    "search_values": _valued,
    "list_transitions": _copied(Transition, number=lambda number: 1_000 + number),
    "list_migrated": _reached,
    "list_failures": _failed,
    "search_failures": _failed,
    "list_movers": _moved,
    "list_queue": _another_override,
    "list_events": _asked("PUT", f"{_CUSTOMER}/tags/event {{}}", lambda _: {}),
    "list_validations": _copied(ValidationRun),
    "list_series": _copied(ValidationRun),
    "read_revalidation": _nothing,
    "list_changes": _asked("POST", "/v1/material-changes", lambda _: {"kind": "country", "description": WHY}),
    "list_models": _nothing,
    "list_realised": _predicted,
    "list_promotions": _nothing,
    "list_types": _asked("PUT", "/v1/entity-types/more{}", lambda _: {}),
    "list_families": _asked("PUT", "/v1/rulesets/more{}/draft", lambda number: {"document": document(f"more{number}")}),
    "list_versions": _copied(RulesetVersion, number=lambda number: 100 + number),
    "list_threshold_reviews": _reviewed,
    "list_references": _referenced,
    "list_points": _points_asked,
    "list_backtests": _copied(Backtest, requested_us=lambda number: number),
    "list_activations": _copied(Activation, reason=str),
    "list_proposals": _asked(
        "POST",
        "/v1/lists/spare/versions",
        lambda number: {
            "since": f"{2040 + number}-01-01",
            "members": ["NO"],
            "title": "Spare",
            "source": "Ourselves",
            "reason": WHY,
        },
        "publisher",
    ),
    "search_proposals": _asked(
        "POST",
        "/v1/lists/spare/versions",
        lambda number: {
            "since": f"{3040 + number}-01-01",
            "members": ["NO"],
            "title": "Spare",
            "source": "Ourselves",
            "reason": WHY,
        },
        "publisher",
    ),
    "list_lists": _list,
    "list_list_states": lambda place, number: _list(place, number, f"of-its-own-{number}"),
    "list_versions_of_list": lambda place, number: _list(place, number, "kept"),
    "list_list_members": _nothing,
    "list_member_changes": _nothing,
    "list_rate_tables": _copied(RateTableRow, number=lambda number: 100 + number),
    "list_endpoints": _copied(Endpoint, created_us=lambda number: number),
    "list_failing": _delivery("waiting", attempts=3),
    "list_dead_letters": _delivery("dead", next_us=0),
    "list_members": _asked("POST", "/v1/members", lambda number: {"name": f"more {number}", "roles": ["admin"]}),
    "list_plans": _nothing,
    "list_imports": _import,
    "search_entries": _asked("POST", "/v1/members", lambda number: {"name": f"found {number}", "roles": ["admin"]}),
    "search_decisions": _asked(
        "POST",
        "/v1/decisions",
        lambda number: {
            "policy": "payments",
            "external_id": CUSTOMER,
            "transaction": cash(),
            "decision_key": f"found {number}",
        },
    ),
    "search_overrides": _another_override,
    "list_tokens": _copied(Token, sha256=str),
    "list_token_requests": _asked(
        "POST", "/v1/token-requests", lambda number: {"role": "app", "plan": "trial", "label": f"till {number}"}
    ),
    "list_entries": _asked("POST", "/v1/members", lambda number: {"name": f"entry {number}", "roles": ["admin"]}),
}
"""By the names of handlers: what adds a row to the list that the handler's example asks for."""
