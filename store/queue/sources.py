"""The sources of the queue's items: rows of several kinds.

Sources of items about entities are each read by an index in the order of the queue; other items are few.
"""

from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, BindParameter, and_, bindparam, case, cast, func, literal, null, or_, select
from sqlalchemy.orm import aliased

from fivefold.domain.clock import DAY_US
from fivefold.store.accounts.tokens import LONGEST_DAYS
from fivefold.store.flows.runs import WAITING
from fivefold.store.levels.assessment_queue import BULK, EVENT
from fivefold.store.levels.overrides import was_overridden
from fivefold.store.tables.accounts import TokenRequest
from fivefold.store.tables.events import MaterialChange, Policy, ValidationRun
from fivefold.store.tables.flows import FlowAction, FlowActivation, FlowRow, FlowRun, FlowVersion
from fivefold.store.tables.groups import GroupVersion, NamedGroup
from fivefold.store.tables.levels import IS_FAILED, IS_RISE, Assessment, DueMark, OverrideRow, Standing, Transition
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Activation, Backtest, Family, Proposal, RulesetVersion


class Kind(StrEnum):
    """The kinds of items, the more urgent first."""

    OVERRIDE = "override"
    CHANGE = "change"
    POLICY = "policy"
    GROUP = "group"
    RULESET = "ruleset"
    FLOW = "flow"
    TOKEN = "token"  # noqa: S105 (a kind)
    VALIDATION = "validation"
    MATERIAL = "material"
    CHALLENGE = "challenge"
    QUESTION = "question"
    FLOW_REVIEW = "flow_review"
    FAILURE = "failure"
    QUARANTINE = "quarantine"
    RISE = "rise"
    REVIEW = "review"


VERSIONS: Final = frozenset({Kind.POLICY, Kind.GROUP, Kind.RULESET, Kind.FLOW})
"""The kinds of items that are versions: the second number of their names is the version's number."""
WITHOUT_ENTITY: Final = VERSIONS | {Kind.CHANGE, Kind.TOKEN, Kind.VALIDATION, Kind.MATERIAL}
"""The kinds of items without a single entity, at least in some cases."""
RISES_US: Final = 30 * DAY_US
"""How long a rise waits unless it is put away."""
DECISION_US: Final = 2 * DAY_US
"""How long another person has to decide about an override, which may end sooner."""
REVIEW_US: Final = DAY_US
"""A level is overdue this long after the moment at which it was to be recomputed."""


class ItemSource(NamedTuple):
    """The source of items of a kind.

    Attributes:
        columns: number, step, moment of arrival and entity of an item, and then the source's own columns of
            `store.queue.items.ItemRow`, from `from_level` to `version_id`.
        conditions: the conditions of a waiting item; moments are parameters.
        join: another table of the columns, and its condition.
        due: when an item is due, if each has a date of its own; None if all of the kind have the same days.
        asks: the role that the source's items ask; None if the kind alone decides who sees them.
        makers: columns of the people who took part in an item, a name or a list of names: they do not see it, as
            another person decides.
    """

    kind: Kind
    columns: tuple[Any, ...]
    conditions: tuple[Any, ...]
    join: tuple[Any, Any] | None = None
    due: Any = None
    asks: str | None = None
    makers: tuple[Any, ...] = ()

    @property
    def number(self) -> Any:
        """The first number of an item's name."""
        return self.columns[0]

    @property
    def step(self) -> Any:
        """The second number of an item's name."""
        return self.columns[1]

    @property
    def since(self) -> Any:
        """The column with the moment when an item arrived."""
        return self.columns[2]

    @property
    def table(self) -> Any:
        """The table whose rows are items."""
        return self.columns[0].class_


_NO_ENTITY: Final = cast(null(), BigInteger)
"""The entity of an item without one: an index shows that it equals no number, and `IS NULL` would read every entity."""
_NO_RUN: Final = (null(), null())
"""The run and its version of an item that no flow caused."""
ASKED_ROLES: Final = ("investigator", "publisher")
"""The roles that steps of flows ask, each with a source: an index has its items in the order of their due dates."""


def number_parameter(name: str) -> BindParameter[int]:
    """Return a parameter of a statement for a moment, or another large number."""
    return bindparam(name, type_=BigInteger)


def source_moments(now_us: int, latest_us: int) -> dict[str, int]:
    """Return the moments in the conditions of sources; an assessment after *latest_us* is dated in the future."""
    return {
        "now_us": now_us,
        "latest_us": latest_us,
        "rises_us": now_us - RISES_US,
        "late_us": now_us - REVIEW_US,
        "tokens_us": now_us - LONGEST_DAYS * DAY_US,
    }


def _override_source() -> ItemSource:
    row = OverrideRow
    columns = (
        *(row.id, literal(0, BigInteger), row.requested_us, row.entity_id),
        *(null(), row.level, row.reason, null(), row.requested_by, *_NO_RUN),
    )
    latest_us = row.requested_us + DECISION_US
    due_us = case((row.until_us < latest_us, row.until_us), else_=latest_us)
    return ItemSource(Kind.OVERRIDE, columns, (row.state == "requested",), due=due_us)


def _change_source() -> ItemSource:
    row = Proposal
    columns = (
        *(row.id, literal(0, BigInteger), row.proposed_us, row.entity_id),
        *(null(), null(), row.reason, row.kind + ": " + row.subject, row.proposed_by, *_NO_RUN),
    )
    return ItemSource(Kind.CHANGE, columns, (row.state == "proposed",))


def _proposed_source(kind: Kind, row: type[Policy] | type[GroupVersion], of: tuple[str, ...], name: Any) -> ItemSource:
    """Return the source of proposed versions, without those older than the active one; not their writer approves them.

    *of* are the columns that identify the policy or group of a version.
    """
    newer = aliased(row)
    same = (getattr(newer, column) == getattr(row, column) for column in of)
    overtaken = select(newer.id).where(*same, newer.number > row.number, newer.state == "active")
    columns = (
        *(row.id, row.number, row.written_us, _NO_ENTITY),
        *(null(), null(), null(), name, row.written_by, *_NO_RUN),
    )
    conditions = (row.state == "proposed", ~overtaken.exists())
    return ItemSource(kind, columns, conditions, makers=(row.written_by,))


def _named_in(table: Any, number: Any) -> Any:
    return select(table.name).where(table.id == number).scalar_subquery()


def _committed_source(
    kind: Kind, row: type[RulesetVersion] | type[FlowVersion], name: Any, conditions: tuple[Any, ...]
) -> ItemSource:
    """Return the source of newest versions; people other than their editors decide whether to activate them."""
    columns = (
        *(row.id, row.number, row.committed_us, _NO_ENTITY),
        *(null(), null(), null(), name, row.committed_by, *_NO_RUN),
    )
    return ItemSource(kind, columns, conditions, makers=(row.committed_by, row.editors))


def _ruleset_source() -> ItemSource:
    """Return the source of newest versions with a finished backtest that never decided."""
    row, newer = RulesetVersion, aliased(RulesetVersion)
    later = select(newer.id).where(newer.family_id == row.family_id, newer.number > row.number)
    decided = select(Activation.id).where(Activation.family_id == row.family_id, Activation.version_id == row.id)
    done = (Backtest.content_hash == row.content_hash, Backtest.state == "done")
    tested = select(Backtest.id).where(Backtest.family_id == row.family_id, *done)
    conditions = (~later.exists(), ~decided.exists(), tested.exists())
    return _committed_source(Kind.RULESET, row, _named_in(Family, row.family_id), conditions)


def _flow_source() -> ItemSource:
    """Return the source of newest versions that never acted."""
    row, newer = FlowVersion, aliased(FlowVersion)
    later = select(newer.id).where(newer.flow_id == row.flow_id, newer.number > row.number)
    acted = select(FlowActivation.id).where(
        FlowActivation.flow_id == row.flow_id,
        FlowActivation.version_id == row.id,
        FlowActivation.kind.in_(("active", "rollback")),
    )
    conditions = (~later.exists(), ~acted.exists())
    return _committed_source(Kind.FLOW, row, _named_in(FlowRow, row.flow_id), conditions)


def _token_source() -> ItemSource:
    row = TokenRequest
    columns = (
        *(row.id, literal(0, BigInteger), row.asked_us, _NO_ENTITY),
        *(null(), null(), row.label, row.role, row.asked_by, *_NO_RUN),
    )
    open_still = (row.state == "asked", row.asked_us > number_parameter("tokens_us"))
    return ItemSource(Kind.TOKEN, columns, open_still, makers=(row.asked_by,))


def _validation_source() -> ItemSource:
    """Return the source of validations without a sign-off, which refuses the authors whom their reports name."""
    row = ValidationRun
    columns = (
        *(row.id, literal(0, BigInteger), row.made_us, _NO_ENTITY),
        *(null(), null(), row.trigger, null(), null(), *_NO_RUN),
    )
    return ItemSource(Kind.VALIDATION, columns, (row.signed_us.is_(None),))


def _material_source() -> ItemSource:
    row = MaterialChange
    columns = (
        *(row.id, literal(0, BigInteger), row.registered_us, _NO_ENTITY),
        *(null(), null(), row.description, row.kind, row.registered_by, *_NO_RUN),
    )
    return ItemSource(Kind.MATERIAL, columns, (row.signed_us.is_(None),), makers=(row.registered_by,))


def _challenge_source() -> ItemSource:
    row = Challenge
    columns = (
        *(row.id, literal(0, BigInteger), row.opened_us, row.entity_id),
        *(null(), null(), row.words, null(), row.opened_by, *_NO_RUN),
    )
    return ItemSource(Kind.CHALLENGE, columns, (row.state == "open",), due=row.due_us)


def _question_sources() -> tuple[ItemSource, ...]:
    """Return the sources of waiting runs, of flows that are not off; answered and expired questions are left out."""
    row = FlowRun
    flow = select(FlowRow.name).where(FlowRow.id == row.flow_id, FlowRow.active_version_id.is_not(None))
    columns = (
        *(row.id, row.asked_us, row.asked_us, row.entity_id),
        *(null(), null(), row.stopped_at, flow.scalar_subquery(), func.nullif(row.actor, "system")),
        *(row.id, row.version_id),
    )
    open_still = (row.state == WAITING, row.due_us > number_parameter("now_us"), flow.exists())
    return tuple(
        ItemSource(Kind.QUESTION, columns, (row.asks == role, *open_still), due=row.due_us, asks=role)
        for role in ASKED_ROLES
    )


def _flow_review_source() -> ItemSource:
    """Return the source of reviews that flows requested, from the moment at which they enter the queue."""
    row = FlowAction
    flow = select(FlowRow.name).where(FlowRow.id == row.flow_id).scalar_subquery()
    version = select(FlowRun.version_id).where(FlowRun.id == row.run_id).scalar_subquery()
    columns = (
        *(row.id, literal(0, BigInteger), row.waits_us, row.entity_id),
        *(null(), null(), row.action, flow, null(), row.run_id, version),
    )
    is_open = (row.waits_us.is_not(None), row.taken_back_us.is_(None), row.done_us.is_(None))
    return ItemSource(Kind.FLOW_REVIEW, columns, (*is_open, row.waits_us <= number_parameter("now_us")), due=row.due_us)


def _failure_sources() -> tuple[ItemSource, ItemSource]:
    """Return the sources of assessments without a full level, and of those dated after now."""
    row = Standing
    columns = (
        *(row.entity_id, row.number, row.assessed_us, row.entity_id),
        *(null(), null(), null(), row.status, null(), *_NO_RUN),
    )
    ahead = (*columns[:7], literal("ahead"), *columns[8:])
    failed = row.status.in_(("failed", "unclassified", "undetermined"))
    return (
        ItemSource(Kind.FAILURE, columns, (IS_FAILED,)),
        ItemSource(Kind.FAILURE, ahead, (row.assessed_us > number_parameter("latest_us"), ~failed)),
    )


def _quarantine_source() -> ItemSource:
    row = DueMark
    columns = (
        *(row.entity_id, row.revision, func.coalesce(row.due_us, 0), row.entity_id),
        *(null(), null(), row.error, null(), null(), *_NO_RUN),
    )
    return ItemSource(Kind.QUARANTINE, columns, (row.quarantined,))


def _rise_source() -> ItemSource:
    """Return the source of rises of entities that have not fallen below since, without those of overrides.

    Two people decide an override. A rise after a revoked override is listed: an approver alone may have revoked it, and
    the rules decide again.
    """
    columns = (
        *(Transition.entity_id, Transition.number, Transition.at_us, Transition.entity_id),
        *(Transition.from_level, Transition.to_level, null(), Assessment.status, null(), *_NO_RUN),
    )
    same = and_(Assessment.entity_id == Transition.entity_id, Assessment.number == Transition.number)
    now = aliased(Standing)
    level = select(now.level).where(now.entity_id == Transition.entity_id).correlate_except(now).scalar_subquery()
    later = aliased(Transition)
    lowest = select(func.min(func.coalesce(later.to_level, 0))).correlate_except(later)
    since_then = lowest.where(later.entity_id == Transition.entity_id, later.number > Transition.number)
    still_holds = func.coalesce(since_then.scalar_subquery(), Transition.to_level) >= Transition.to_level
    to_its_level = OverrideRow.level == Transition.to_level
    by_rules = or_(
        Transition.source != "override", ~was_overridden(Transition.entity_id, Transition.at_us, to_its_level)
    )
    is_open = (by_rules, level >= Transition.to_level, still_holds)
    since = Transition.at_us > number_parameter("rises_us")
    return ItemSource(Kind.RISE, columns, (IS_RISE, since, *is_open), (Assessment, same))


def _review_sources() -> tuple[ItemSource, ...]:
    """Return the sources of overdue reviews, one for each priority: an index has them in the order of due dates."""
    row = DueMark
    columns = (
        *(row.entity_id, row.due_us, row.due_us, row.entity_id),
        *(null(), null(), null(), null(), null(), *_NO_RUN),
    )
    late = (~row.quarantined, row.due_us <= number_parameter("late_us"))
    return tuple(ItemSource(Kind.REVIEW, columns, (*late, row.priority == priority)) for priority in (EVENT, BULK))


SOURCES: Final = (
    _override_source(),
    _change_source(),
    _proposed_source(Kind.POLICY, Policy, ("organisation_id", "name"), Policy.name),
    _proposed_source(Kind.GROUP, GroupVersion, ("group_id",), _named_in(NamedGroup, GroupVersion.group_id)),
    _ruleset_source(),
    _flow_source(),
    _token_source(),
    _validation_source(),
    _material_source(),
    _challenge_source(),
    *_question_sources(),
    _flow_review_source(),
    *_failure_sources(),
    _quarantine_source(),
    _rise_source(),
    *_review_sources(),
)
"""All sources, in the order of the kinds."""
