"""The tables of flows: versions, activations, and runs with their finished steps and actions.

If a row has a `salt`, the audit log has its digest (`store.audit.bound_rows`).
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.audit.history import SALT_CHARACTERS, new_salt
from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import COUNTED, HASH_CHARACTERS, NAME_CHARACTERS, Base
from fivefold.store.tables.entities import BIG
from fivefold.store.tables.events import JobColumns
from fivefold.store.tables.versions import CommittedColumns, DraftColumns

CAUSE_CHARACTERS = 160
FLOW_ACTOR = "flow:"
"""The prefix of the names of actors that are flows."""
_ORGANISATION = "organisations.id"
_FLOW = "flows.id"
_VERSION = "flow_versions.id"
_RUN = "flow_runs.id"
_ENTITY = "entities.id"
_PENDING = text("due_us IS NOT NULL")
_STANDS = text("taken_back_us IS NULL AND done_us IS NULL")
_WHOLE = text("inputs IS NOT NULL")
_ASKS = text("asks IS NOT NULL")
_WAITS = text("waits_us IS NOT NULL AND taken_back_us IS NULL AND done_us IS NULL")
ROLE_CHARACTERS = 20


class FlowRow(Base):
    """All versions of one flow, and which of them act.

    Attributes:
        active_version_id: the version whose runs act; None without one.
        shadow_version_id: a version that runs beside it and carries out nothing; None without one.
        revision: the revision of the last draft that was committed or discarded; the next draft continues from there.
    """

    __tablename__ = "flows"
    __table_args__ = (Unique("organisation_id", "name"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    type_id: Mapped[int] = mapped_column(ForeignKey("entity_types.id"), index=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    active_version_id: Mapped[int | None] = mapped_column(Integer)
    shadow_version_id: Mapped[int | None] = mapped_column(Integer)
    revision: Mapped[int] = mapped_column(Integer, default=0)
    created_us: Mapped[int] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class FlowDraft(DraftColumns, Base):
    """The editable text of a flow."""

    __tablename__ = "flow_drafts"

    flow_id: Mapped[int] = mapped_column(ForeignKey(_FLOW), primary_key=True)


class FlowVersion(CommittedColumns, Base):
    """A committed version, which never changes.

    Attributes:
        pinned: the versions of its dependencies - policies, rulesets, other flows, models - by kind and name.
    """

    __tablename__ = "flow_versions"
    __table_args__ = (Unique("flow_id", "number"),)

    flow_id: Mapped[int] = mapped_column(ForeignKey(_FLOW))
    pinned: Mapped[dict[str, Any]] = mapped_column(JSONText())


class FlowActivation(Base):
    """A change of the version of a flow that acts or runs as a shadow: when, by whom and why.

    Attributes:
        version_id: the version since then; None for none.
        replay_id: the finished replay with which that version was activated; None without one, and for other kinds of
            changes.
    """

    __tablename__ = "flow_activations"
    __table_args__ = (
        CheckConstraint("kind IN ('active', 'rollback', 'off', 'shadow', 'shadow_off')", name="kind"),
        Index("ix_flow_activations_flow_id", "flow_id", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    flow_id: Mapped[int] = mapped_column(ForeignKey(_FLOW))
    version_id: Mapped[int | None] = mapped_column(ForeignKey(_VERSION))
    previous_version_id: Mapped[int | None] = mapped_column(ForeignKey(_VERSION))
    kind: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)
    replay_id: Mapped[int | None] = mapped_column(Integer)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class FlowSchedule(Base):
    """The next time of a schedule of a flow that acts or runs as a shadow, and its progress.

    Attributes:
        acting: whether it is of the version that acts; false for the shadow's.
        schedule: the trigger, canonical JSON.
        due_us: the moment for which runs are begun next.
        reached_id: the last entity for which a run was begun for that moment; 0 before the first.
        ran_us: the last moment for which runs were begun for all; None before the first.
    """

    __tablename__ = "flow_schedules"
    __table_args__ = (Unique("flow_id", "acting", "schedule"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    flow_id: Mapped[int] = mapped_column(ForeignKey(_FLOW))
    acting: Mapped[bool] = mapped_column(Boolean)
    schedule: Mapped[str] = mapped_column(Text)
    due_us: Mapped[int] = mapped_column(BigInteger)
    reached_id: Mapped[int] = mapped_column(BIG, default=0)
    ran_us: Mapped[int | None] = mapped_column(BigInteger)


class FlowMark(Base):
    """Whether flows alone made an entity due, and who is behind that; deleted once the entity was assessed.

    While a change of its level is delayed, such as by the cooldown or an override, the row is kept, to name the people
    behind it.

    Attributes:
        from_revision: the revision of the entity's due mark from which on flows alone marked it, up to `revision`;
            above any revision if something else marked it as well.
        through: the flows that caused it.
        people: who called or caused the first of their runs; None if that was not noted.
        answered: who answered their questions; None likewise.
        until_us: the moment from which the entity would be due by time alone; None for never.
    """

    __tablename__ = "flow_marks"

    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), primary_key=True)
    from_revision: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(BigInteger)
    through: Mapped[list[int]] = mapped_column(JSONText())
    people: Mapped[list[str] | None] = mapped_column(JSONText())
    answered: Mapped[list[str] | None] = mapped_column(JSONText())
    until_us: Mapped[int | None] = mapped_column(BigInteger)


class FlowRun(Base):
    """A run of a version for an entity and a cause; a repeated cause is the same run.

    Attributes:
        cause: the event that began it, such as `transaction:T-1`.
        about: the data of the cause.
        acting: whether its actions are carried out; false for a shadow's.
        stopped_at: the step at which it ended, failed or waits.
        due_us: when a worker is to process it next; None for never.
        as_of_us: the moment of its facts; None until they were read.
        inputs: the facts, canonical JSON; None until they were read.
        answer: its result with the reasons, canonical JSON; None until it first stopped.
        actor: who called it; the worker otherwise.
        error: why it failed or is quarantined.
        does: the actions that follow, with amounts, as text such as `look, bound 100 EUR`; empty for none, None if the
            run began before they were stored. A shadow's are not carried out.
        asks: the role that it asks, while it waits for a person; None for a shadow.
        asked_us: since when it asks that role; without a role, since when it asks a source that must not be asked
            twice, until it continues from there.
        revision: how often it was processed.
        removed_by: the number of the retention policy's run that removed its facts, answer, error and outcomes of
            steps; None while they are stored.
    """

    __tablename__ = "flow_runs"
    __table_args__ = (
        Unique("version_id", "entity_id", "cause", "acting"),
        CheckConstraint("state IN ('queued', 'running', 'waiting', 'ended', 'failed', 'quarantined')", name="state"),
        Index("ix_flow_runs_due", "due_us", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
        Index("ix_flow_runs_entity", "entity_id", "id"),
        Index("ix_flow_runs_flow", "flow_id", "state", "stopped_at", "id"),
        Index("ix_flow_runs_organisation", "organisation_id", "id"),
        Index("ix_flow_runs_old", "organisation_id", "as_of_us", "id", sqlite_where=_WHOLE, postgresql_where=_WHOLE),
        Index(
            "ix_flow_runs_asks_due",
            *("organisation_id", "asks", "due_us", "id"),
            sqlite_where=_ASKS,
            postgresql_where=_ASKS,
        ),
        Index(
            "ix_flow_runs_asks_came",
            *("organisation_id", "asks", "asked_us", "id"),
            sqlite_where=_ASKS,
            postgresql_where=_ASKS,
        ),
        COUNTED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    flow_id: Mapped[int] = mapped_column(ForeignKey(_FLOW))
    version_id: Mapped[int] = mapped_column(ForeignKey(_VERSION))
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY))
    cause: Mapped[str] = mapped_column(String(CAUSE_CHARACTERS))
    about: Mapped[dict[str, Any]] = mapped_column(JSONText())
    acting: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str] = mapped_column(String(12))
    stopped_at: Mapped[str | None] = mapped_column(String(NAME_CHARACTERS))
    due_us: Mapped[int | None] = mapped_column(BigInteger)
    lease: Mapped[str | None] = mapped_column(String(40))
    lease_until_us: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    as_of_us: Mapped[int | None] = mapped_column(BigInteger)
    inputs: Mapped[str | None] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)
    begun_us: Mapped[int] = mapped_column(BigInteger)
    ended_us: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    does: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(Integer, default=0)
    asks: Mapped[str | None] = mapped_column(String(ROLE_CHARACTERS))
    asked_us: Mapped[int | None] = mapped_column(BigInteger)
    removed_by: Mapped[int | None] = mapped_column(Integer)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class StepOutcome(Base):
    """The outcome of a step that asks a person or another system; written once, before the next step begins.

    Attributes:
        kind: person, data, model or agent.
        outcome: canonical JSON.
        actor: the person who answered; the worker otherwise.
    """

    __tablename__ = "flow_steps"

    run_id: Mapped[int] = mapped_column(ForeignKey(_RUN), primary_key=True)
    step: Mapped[str] = mapped_column(String(NAME_CHARACTERS), primary_key=True)
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    outcome: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(Text)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class FlowAction(Base):
    """An action that a run took: once for a flow, an entity and a cause, whatever is retried.

    Attributes:
        action: its id in the flow; `kind` and `subject` are as in `flows.actions`.
        content: its data, such as the status or the amount.
        taken_back_us: when a person undid it; None while it is in force.
        due_us: when a review is due; None for other kinds, like the next two.
        waits_us: the moment from which a review is in the queue.
        done_us: when a person did the review.
    """

    __tablename__ = "flow_actions"
    __table_args__ = (
        Unique("flow_id", "entity_id", "cause", "action"),
        Index("ix_flow_actions_run", "run_id"),
        Index(
            "ix_flow_actions_standing",
            "entity_id",
            "kind",
            "subject",
            sqlite_where=_STANDS,
            postgresql_where=_STANDS,
        ),
        Index(
            "ix_flow_actions_reviews_due",
            *("organisation_id", "due_us", "id"),
            sqlite_where=_WAITS,
            postgresql_where=_WAITS,
        ),
        Index(
            "ix_flow_actions_reviews_came",
            *("organisation_id", "waits_us", "id"),
            sqlite_where=_WAITS,
            postgresql_where=_WAITS,
        ),
        COUNTED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    flow_id: Mapped[int] = mapped_column(ForeignKey(_FLOW))
    run_id: Mapped[int] = mapped_column(ForeignKey(_RUN))
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY))
    cause: Mapped[str] = mapped_column(String(CAUSE_CHARACTERS))
    action: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    kind: Mapped[str] = mapped_column(String(12))
    subject: Mapped[str] = mapped_column(String(CAUSE_CHARACTERS))
    content: Mapped[dict[str, Any]] = mapped_column(JSONText())
    at_us: Mapped[int] = mapped_column(BigInteger)
    taken_back_us: Mapped[int | None] = mapped_column(BigInteger)
    taken_back_by: Mapped[str | None] = mapped_column(Text)
    taken_back_reason: Mapped[str | None] = mapped_column(Text)
    due_us: Mapped[int | None] = mapped_column(BigInteger)
    waits_us: Mapped[int | None] = mapped_column(BigInteger)
    done_us: Mapped[int | None] = mapped_column(BigInteger)
    done_by: Mapped[str | None] = mapped_column(Text)
    done_reason: Mapped[str | None] = mapped_column(Text)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class FlowReplay(JobColumns, Base):
    """A version run over history without carrying out actions: a worker's job, its progress and its result.

    Attributes:
        base_version_id: the version that it is compared with; None without one.
        as_of_us: the moment of the facts, if no period is given; nothing later counts in any case.
        from_us: the beginning of the period, until `until_us`, whose events are replayed; None if every entity is run.
        until_id: the last entity; entities that are added later are left out.
        reached: JSON of the results so far and the last entity, so that another worker can continue; None before the
            first part, and once the replay is done.
        report: canonical JSON; None until the replay is done.
        report_hash: the SHA-256 of the report.
    """

    __tablename__ = "flow_replays"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'quarantined')", name="state"),
        Index("ix_flow_replays_flow_id", "flow_id", "id"),
        COUNTED,
    )

    flow_id: Mapped[int] = mapped_column(ForeignKey(_FLOW))
    version_id: Mapped[int] = mapped_column(ForeignKey(_VERSION))
    base_version_id: Mapped[int | None] = mapped_column(ForeignKey(_VERSION))
    as_of_us: Mapped[int] = mapped_column(BigInteger)
    from_us: Mapped[int | None] = mapped_column(BigInteger)
    until_us: Mapped[int | None] = mapped_column(BigInteger)
    until_id: Mapped[int] = mapped_column(BIG)
    reached: Mapped[str | None] = mapped_column(Text)
    report: Mapped[str | None] = mapped_column(Text)
    report_hash: Mapped[str | None] = mapped_column(String(HASH_CHARACTERS))


class FlowReplayPerson(Base):
    """An entity that a replayed version treats differently than the base version, for one cause.

    Attributes:
        number: from 0 for each entity of a replay, as several causes may be about one.
        cause: the replayed event; empty if every entity was run.
        before_state: ended, failed, waits or asks; empty without a base version, as is `before_at`, the step.
        before_actions: the actions that would follow, with amounts, as text; empty for none.
    """

    __tablename__ = "flow_replay_people"

    replay_id: Mapped[int] = mapped_column(ForeignKey("flow_replays.id"), primary_key=True)
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), primary_key=True, index=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    cause: Mapped[str] = mapped_column(String(CAUSE_CHARACTERS))
    at_us: Mapped[int] = mapped_column(BigInteger)
    before_state: Mapped[str] = mapped_column(String(12))
    before_at: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    before_actions: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(12))
    stopped_at: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    actions: Mapped[str] = mapped_column(Text)
