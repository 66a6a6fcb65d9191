"""The tables of rulesets: families, drafts, committed versions, activations, backtests; and of proposals.

If a row has a `salt`, the audit log has its digest (`store.audit.bound_rows`).
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.audit.history import SALT_CHARACTERS, new_salt
from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import COUNTED, HASH_CHARACTERS, NAME_CHARACTERS, Base
from fivefold.store.tables.entities import BIG
from fivefold.store.tables.events import JobColumns
from fivefold.store.tables.versions import CommittedColumns, DraftColumns

_ORGANISATION = "organisations.id"
_FAMILY = "ruleset_families.id"
_VERSION = "ruleset_versions.id"


class Family(Base):
    """All versions of one ruleset. Of the families of an entity type, the first (by position) that applies assesses.

    Attributes:
        revision: the revision of the last draft that was discarded; 0 if none was.
    """

    __tablename__ = "ruleset_families"
    __table_args__ = (Unique("organisation_id", "name"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    type_id: Mapped[int] = mapped_column(ForeignKey("entity_types.id"), index=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    position: Mapped[int] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(Boolean)
    active_version_id: Mapped[int | None] = mapped_column(Integer)
    revision: Mapped[int] = mapped_column(Integer, server_default="0")
    created_us: Mapped[int] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Draft(DraftColumns, Base):
    """The editable text of a ruleset."""

    __tablename__ = "ruleset_drafts"

    family_id: Mapped[int] = mapped_column(ForeignKey(_FAMILY), primary_key=True)


class RulesetVersion(CommittedColumns, Base):
    """A committed version, which never changes. Its document holds its examples."""

    __tablename__ = "ruleset_versions"
    __table_args__ = (Unique("family_id", "number"),)

    family_id: Mapped[int] = mapped_column(ForeignKey(_FAMILY))


class ThresholdReview(JobColumns, Base):
    """The thresholds that a quarter's portfolio would give a ruleset: a job, one for each family and quarter.

    Attributes:
        version_id: the version that decided when the review was begun.
        rules_hash: the hash of everything that determines the totals; thresholds with another hash are of other totals.
        thresholds: the thresholds of this quarter alone, as text; None until the review is done.
        report: JSON.
        draft_revision: the revision of the draft that it created; None if it created none.
    """

    __tablename__ = "threshold_reviews"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        Unique("family_id", "quarter"),
        COUNTED,
    )

    family_id: Mapped[int] = mapped_column(ForeignKey(_FAMILY))
    version_id: Mapped[int] = mapped_column(ForeignKey(_VERSION))
    quarter: Mapped[str] = mapped_column(String(8))
    rules_hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS))
    thresholds: Mapped[list[str] | None] = mapped_column(JSONText())
    report: Mapped[str | None] = mapped_column(Text)
    draft_revision: Mapped[int | None] = mapped_column(Integer)


class ReferenceJob(JobColumns, Base):
    """A reference portfolio that a worker builds for a version of a ruleset: its progress, and its result.

    Attributes:
        report: the content of the portfolio, JSON; None until it is done.
        proposal_id: the proposal to make it a version of its list; None if it became one at once.
    """

    __tablename__ = "reference_jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        Index("ix_reference_jobs_family_id", "family_id", "id"),
        COUNTED,
    )

    family_id: Mapped[int] = mapped_column(ForeignKey(_FAMILY))
    version_id: Mapped[int] = mapped_column(ForeignKey(_VERSION))
    report: Mapped[str | None] = mapped_column(Text)
    proposal_id: Mapped[int | None] = mapped_column(ForeignKey("proposals.id"))


class PointsJob(JobColumns, Base):
    """Points that a worker learns from cases for a version of a ruleset: its progress, and its result.

    Attributes:
        version_id: the newest version at the time of the request.
        as_of_us: the moment of the facts on which customers are evaluated.
        learn_as_of_us: the earlier moment of the facts from which points are learnt; None for the same.
        until_us: cases that ended then or later do not count.
        report: JSON; None until it is done.
        draft_revision: the revision of the draft that it created; None if it created none.
    """

    __tablename__ = "points_jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'quarantined')", name="state"),
        Index("ix_points_jobs_family_id", "family_id", "id"),
        COUNTED,
    )

    family_id: Mapped[int] = mapped_column(ForeignKey(_FAMILY))
    version_id: Mapped[int] = mapped_column(ForeignKey(_VERSION))
    as_of_us: Mapped[int] = mapped_column(BigInteger)
    learn_as_of_us: Mapped[int | None] = mapped_column(BigInteger)
    until_us: Mapped[int] = mapped_column(BigInteger)
    report: Mapped[str | None] = mapped_column(Text)
    draft_revision: Mapped[int | None] = mapped_column(Integer)


class Backtest(Base):
    """A backtest of a ruleset's content, or of a proposal, in the background: its progress and its report.

    Attributes:
        family_id: the family of the ruleset; None for the backtest of a proposal.
        proposal_id: the proposal, if that is not about a ruleset's content.
        content_hash: the hash of the ruleset's content; for a proposal, of what decides before and after it.
        attempts: how often a worker began it without being asked to stop.
        part: what the worker assesses now, in words.
        report: JSON, as plain text: lists of backtests do not read it, and one can have thousands of lines.
        error: why it failed, was cancelled or is quarantined.
        movers_removed_us: when the retention policy last removed its movers; None if it did not.
    """

    __tablename__ = "backtests"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'quarantined')",
            name="state",
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    family_id: Mapped[int | None] = mapped_column(ForeignKey(_FAMILY), index=True)
    proposal_id: Mapped[int | None] = mapped_column(ForeignKey("proposals.id"), index=True)
    type_id: Mapped[int] = mapped_column(ForeignKey("entity_types.id"))
    content_hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS), index=True)
    canonical: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    part: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[str] = mapped_column(Text)
    requested_us: Mapped[int] = mapped_column(BigInteger)
    lease_until_us: Mapped[int | None] = mapped_column(BigInteger)
    done: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)
    finished_us: Mapped[int | None] = mapped_column(BigInteger)
    report: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    movers_removed_us: Mapped[int | None] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class BacktestMover(Base):
    """An entity whose level a backtest would change: names of levels, or why there is none.

    Attributes:
        before: its level now, by the rules alone; `after` is its level by the backtest.
        later: its level after the cooldown.
    """

    __tablename__ = "backtest_movers"
    __table_args__ = (Index("ix_backtest_movers_place", "backtest_id", "before", "after", "entity_id"),)

    backtest_id: Mapped[int] = mapped_column(ForeignKey("backtests.id"), primary_key=True)
    entity_id: Mapped[int] = mapped_column(ForeignKey("entities.id"), primary_key=True, index=True)
    before: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    after: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    later: Mapped[str] = mapped_column(String(NAME_CHARACTERS))


class Activation(Base):
    """A change of a ruleset's active version: when, by whom and why; and the progress of the assessments by it.

    Attributes:
        kind: activation, rollback or off.
        per_second: how many entities become due in a second.
        reached_id: the last entity that became due.
        finished_us: when all had become due.
    """

    __tablename__ = "activations"
    __table_args__ = (CheckConstraint("kind IN ('activation', 'rollback', 'off')", name="kind"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    family_id: Mapped[int] = mapped_column(ForeignKey(_FAMILY), index=True)
    version_id: Mapped[int | None] = mapped_column(ForeignKey(_VERSION))
    previous_version_id: Mapped[int | None] = mapped_column(ForeignKey(_VERSION))
    backtest_id: Mapped[int | None] = mapped_column(ForeignKey("backtests.id"))
    kind: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)
    per_second: Mapped[int] = mapped_column(Integer)
    reached_id: Mapped[int] = mapped_column(BIG)
    reached_us: Mapped[int] = mapped_column(BigInteger)
    finished_us: Mapped[int | None] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Proposal(Base):
    """A proposed change of what decides, and who proposed and decided it.

    Attributes:
        kind: such as `ruleset.switch`.
        subject: the subject of the change, in words.
        content: the content of the change.
        reach: the customers whom it would reach, as far as they were counted when it was proposed.
        entity_id: the entity of the change; None if it is about several.
        result: what was changed when it was approved.
        salt: the salt of the row's digest in the audit log (`store.audit.bound_rows`).
    """

    __tablename__ = "proposals"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'refused', 'withdrawn')", name="state"),
        Index("ix_proposals_organisation_id_state", "organisation_id", "state"),
        Index("ix_proposals_by_at", "organisation_id", "proposed_us", "id"),
        Index("ix_proposals_by_actor", "organisation_id", "proposed_by", "proposed_us", "id"),
        Index("ix_proposals_by_state", "organisation_id", "state", "proposed_us", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    entity_id: Mapped[int | None] = mapped_column(ForeignKey("entities.id"), index=True)
    kind: Mapped[str] = mapped_column(String(30))
    subject: Mapped[str] = mapped_column(Text)
    content: Mapped[dict[str, Any]] = mapped_column(JSONText())
    reach: Mapped[dict[str, Any]] = mapped_column(JSONText())
    reason: Mapped[str] = mapped_column(Text)
    proposed_by: Mapped[str] = mapped_column(Text)
    proposed_us: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10))
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_us: Mapped[int | None] = mapped_column(BigInteger)
    decision_reason: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONText())
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)
