"""The tables of levels: assessments, current levels, transitions, overrides with their readings, due marks."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    case,
    false,
    func,
    select,
    text,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column

from fivefold.store.tables.accounts import HASH_CHARACTERS, NAME_CHARACTERS, Base
from fivefold.store.tables.entities import BIG

_ENTITY = "entities.id"
_ORGANISATION = "organisations.id"
IS_FAILED = text("status IN ('failed', 'unclassified', 'undetermined')")
"""The condition of assessments without a full level; with literal values, so that their partial index is used."""

_IS_WHOLE = text("breakdown IS NOT NULL")
"""The condition of an assessment whose inputs neither erasure nor retention removed."""
_HAS_ERROR = text("error IS NOT NULL")
"""The condition of a due mark with an error: `IS_FAILING`, as in its partial index."""
IS_RISE, IS_FALL = text("to_level > from_level"), text("from_level > coalesce(to_level, 0)")
IS_FIRST = text("from_level IS NULL")
"""The directions of a transition, with literal values for the same reason; exactly one of them holds."""


class Assessment(Base):
    """One assessment of an entity, numbered from 1 for each, so that none is written twice.

    Attributes:
        version_id: the version of the ruleset that assessed; None if none applied.
        source: rules, override, decay or expiry.
        level: the level in force, from 1; None without a level.
        breakdown: the data of the breakdown, a JSON array as `risk.engine.explain.stored` writes it; without a ruleset,
            and from older programs, the breakdown itself, a JSON object; None once erased, or removed by the retention
            policy.
        batch: the number of the call that made it.
    """

    __tablename__ = "assessments"
    __table_args__ = (
        Index("ix_assessments_batch", "batch"),
        # Assessments of a batch have one moment, so that PostgreSQL stores it once for all of them.
        Index("ix_assessments_old", "organisation_id", "as_of_us", sqlite_where=_IS_WHOLE, postgresql_where=_IS_WHOLE),
    )

    entity_id: Mapped[int] = mapped_column(BIG, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(Integer)
    as_of_us: Mapped[int] = mapped_column(BigInteger)
    version_id: Mapped[int | None] = mapped_column(Integer)
    source: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(20))
    level: Mapped[int | None] = mapped_column(SmallInteger)
    rules_level: Mapped[int | None] = mapped_column(SmallInteger)
    floor: Mapped[int] = mapped_column(SmallInteger)
    score: Mapped[str] = mapped_column(Text)
    engine: Mapped[str] = mapped_column(String(20))
    breakdown: Mapped[str | None] = mapped_column(Text)
    batch: Mapped[int | None] = mapped_column(BigInteger)


class InputLayout(Base):
    """The shared part of the inputs of many assessments, without personal data, so it is kept. Stored once.

    Attributes:
        name: the name of the content, to which the inputs refer; `store.levels.layouts.layout_name` makes it.
        content: canonical JSON, as `usecases.levels.content.inputs` writes it.
    """

    __tablename__ = "input_layouts"

    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION), primary_key=True)
    name: Mapped[str] = mapped_column(String(HASH_CHARACTERS), primary_key=True)
    content: Mapped[str] = mapped_column(Text)


class AssessmentInputs(Base):
    """The inputs of an assessment, apart from it, so that they can be erased.

    Attributes:
        content: JSON, as `usecases.levels.content.inputs` writes it; None once erased.
        salt: the salt of `sha256`; None once erased.
        sha256: the digest of the inputs and the breakdown, by `store.audit.history.content_digest`.
        removed_by: the number of the retention policy's run that emptied it; None if none did.
    """

    __tablename__ = "assessment_inputs"

    entity_id: Mapped[int] = mapped_column(BIG, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    content: Mapped[str | None] = mapped_column(Text)
    salt: Mapped[str | None] = mapped_column(String(32))
    sha256: Mapped[str | None] = mapped_column(String(HASH_CHARACTERS))
    removed_by: Mapped[int | None] = mapped_column(Integer)


class Transition(Base):
    """A level that an entity reached, by the assessment of that number; stored once, announced once."""

    __tablename__ = "transitions"
    __table_args__ = (
        Index("ix_transitions_organisation_id_at_us", "organisation_id", "at_us"),
        *(
            Index(
                f"ix_transitions_{name}",
                *("organisation_id", "at_us", "entity_id", "number"),
                sqlite_where=condition,
                postgresql_where=condition,
            )
            for name, condition in (("rises", IS_RISE), ("falls", IS_FALL), ("firsts", IS_FIRST))
        ),
    )

    entity_id: Mapped[int] = mapped_column(BIG, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(Integer)
    at_us: Mapped[int] = mapped_column(BigInteger)
    from_level: Mapped[int | None] = mapped_column(SmallInteger)
    to_level: Mapped[int | None] = mapped_column(SmallInteger)
    source: Mapped[str] = mapped_column(String(10))


def level_source(override: ColumnElement[bool], moved_by: Any, source: Any) -> ColumnElement[str]:
    """Return, in SQL, the source of a level in force.

    That is `override` only while one decides; otherwise the source of the latest transition, or of the assessment
    without one; and `rules` if that was an override, which no longer decides.

    Args:
        override: whether an override decides.
        moved_by: the source of the latest transition; null without one.
        source: the source of the assessment.
    """
    made_by = func.coalesce(moved_by, source)
    return case((override, "override"), else_=func.coalesce(func.nullif(made_by, "override"), "rules"))


class Standing(Base):
    """The standing of an entity: a summary of its latest assessment.

    Attributes:
        number: the number of the last assessment whose result differed from the one before.
        assessed_us: when it was last assessed, with any result.
        digest: the digest of that result, by `usecases.levels.records`; None if the next one is to be stored anyway.
        floor: the highest floor in force, 0 for none; an earlier assessment may have triggered it.
        hard_floor: the highest of the floors that no override goes below, likewise.
        floors_lost: since when floors rest on unknown facts (`risk.engine.levels`); None if none does.
        score: the total of the points, as its assessment shows it; 0 if no ruleset decided.
        kept_by: the families of other rulesets that keep the entity (`risk.engine.deciding`), JSON; None without any.
        level_since_us: when the level was reached, which is the moment of the latest transition; 0 without one.
        value_score: from the last value score, as all up to `value_currency`; None if the model found no value.
        level_source: the source of the level in force, by the function `level_source`.
        erased: whether the entity was erased; its level is kept for the history, and is not counted as a current one.
    """

    __tablename__ = "standings"
    __table_args__ = (
        Index("ix_standings_level", "organisation_id", "level", "type_id", "entity_id"),
        Index("ix_standings_score", "type_id", "level", "score", "entity_id"),
        Index("ix_standings_segment", "type_id", "segment", "level", "score", "entity_id"),
        Index("ix_standings_since", "type_id", "level", "level_since_us", "entity_id"),
        Index("ix_standings_value", "type_id", "level", "expected_value", "entity_id"),
        Index("ix_standings_worth", "type_id", "segment", "expected_value", "entity_id"),
        Index(
            "ix_standings_failed",
            "organisation_id",
            "entity_id",
            sqlite_where=IS_FAILED,
            postgresql_where=IS_FAILED,
        ),
        # A B-tree over columns that every assessment writes would cost PostgreSQL an entry in each index of the row.
        Index(
            "ix_standings_assessed",
            "organisation_id",
            "assessed_us",
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on"},
        ),
    )

    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    type_id: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    assessed_us: Mapped[int] = mapped_column(BigInteger)
    version_id: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(10))
    level: Mapped[int | None] = mapped_column(SmallInteger)
    rules_level: Mapped[int | None] = mapped_column(SmallInteger)
    floor: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    hard_floor: Mapped[int] = mapped_column(SmallInteger)
    floors_lost: Mapped[str | None] = mapped_column(Text)
    entered_us: Mapped[int | None] = mapped_column(BigInteger)
    may_move_down_us: Mapped[int | None] = mapped_column(BigInteger)
    override_id: Mapped[int | None] = mapped_column(BIG)
    kept_by: Mapped[str | None] = mapped_column(Text)
    digest: Mapped[str | None] = mapped_column(String(64))
    score: Mapped[float] = mapped_column(Float(53), server_default="0")
    level_since_us: Mapped[int] = mapped_column(BigInteger)
    value_score: Mapped[float | None] = mapped_column(Float(53))
    segment: Mapped[str | None] = mapped_column(String(10))
    expected_value: Mapped[float | None] = mapped_column(Float(53))
    value_currency: Mapped[str | None] = mapped_column(String(3))
    erased: Mapped[bool] = mapped_column(Boolean, server_default=false())
    level_source: Mapped[str] = column_property(
        level_source(
            override_id.is_not(None),
            select(Transition.source)
            .where(Transition.entity_id == entity_id)
            .order_by(Transition.number.desc())
            .limit(1)
            .correlate_except(Transition)
            .scalar_subquery(),
            source,
        )
    )


class PortfolioCount(Base):
    """How many entities of a type are at a level and in a segment; triggers of `standings` count every change.

    Attributes:
        level: from 1, the lowest; 0 for none.
        segment: empty if the value model found no value, as is `currency`.
        erased: whether they were erased: these count in the past, at their last level, and not in the present.
        part: the connection that counted, which has its own row; the sum over all parts counts.
        cents: the sum of the expected values, each rounded to hundredths.
    """

    __tablename__ = "portfolio_counts"

    organisation_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    type_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    segment: Mapped[str] = mapped_column(String(10), primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    erased: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    entities: Mapped[int] = mapped_column(BigInteger)
    cents: Mapped[int] = mapped_column(BigInteger)


class LevelMoveCount(Base):
    """How many entities of a type went from one level to another on a day; a trigger of `transitions` counts each.

    Attributes:
        day: the day (UTC) of the transition, in days since 1970.
        from_level: from 1, the lowest; 0 for none, as is `to_level`.
        part: the connection that counted, which has its own row; the sum over all parts counts.
    """

    __tablename__ = "level_move_counts"

    organisation_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    type_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    from_level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    to_level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    entities: Mapped[int] = mapped_column(BigInteger)


class DueMark(Base):
    """When an entity is to be assessed next, and which worker leases it. See `store.levels.assessment_queue`.

    Attributes:
        revision: how often it was marked; the result for an older revision does not clear the mark.
        due_us: the moment from which it is due; None if nothing is planned.
        planned_us: when it would have been due if nothing had brought it forward; None if nothing did, or was planned.
        settled_us: when the next transaction begins to count for the value, by the model that computed it last.
        priority: 0 for an event of one entity, 1 for a change of many.
        reasons: a bit for each of `store.levels.assessment_queue.Reason`.
        lease: the lease of the worker that assesses it, until `lease_until_us`.
        claimed: the revision that the holder of the lease claimed.
        attempts: how often it failed since it was last assessed, or newly marked.
        quarantined: whether it failed too often; only a new mark makes it due again.
        error: why the last attempt failed; None if it succeeded, or there was none.
    """

    __tablename__ = "due_marks"
    __table_args__ = (
        Index("ix_due_marks_waiting", "quarantined", "priority", "due_us"),
        Index("ix_due_marks_queue", "quarantined", "organisation_id", "priority", "due_us"),
        Index(
            "ix_due_marks_quarantined",
            "organisation_id",
            "entity_id",
            sqlite_where=text("quarantined = 1"),
            postgresql_where=text("quarantined"),
        ),
        Index(
            "ix_due_marks_failing",
            "organisation_id",
            "entity_id",
            sqlite_where=_HAS_ERROR,
            postgresql_where=_HAS_ERROR,
        ),
    )

    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), primary_key=True)
    organisation_id: Mapped[int] = mapped_column(Integer)
    type_id: Mapped[int] = mapped_column(Integer)
    revision: Mapped[int] = mapped_column(BigInteger)
    due_us: Mapped[int | None] = mapped_column(BigInteger)
    planned_us: Mapped[int | None] = mapped_column(BigInteger)
    settled_us: Mapped[int | None] = mapped_column(BigInteger)
    priority: Mapped[int] = mapped_column(SmallInteger)
    reasons: Mapped[int] = mapped_column(Integer)
    lease: Mapped[str | None] = mapped_column(String(40))
    lease_until_us: Mapped[int | None] = mapped_column(BigInteger)
    claimed: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer)
    quarantined: Mapped[bool] = mapped_column(Boolean)
    error: Mapped[str | None] = mapped_column(Text)


IS_FAILING = DueMark.error.is_not(None)
"""The condition that the last attempt to assess an entity failed."""


class Marking(Base):
    """A change that makes all entities of a type due, until all are marked. See `store.levels.markings`.

    Attributes:
        reasons: as in a due mark.
        from_us: the moment from which they are due; a list may take effect on a later day.
        begun_us: when the change was made.
        reached_id: entities up to here are marked.
        model: the name of the value model, if that changed: only entities whose value is of another version are due;
            None for other changes, as `model_version`.
        model_hash: the content hash of that version; None while it is unknown.
    """

    __tablename__ = "markings"

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    type_id: Mapped[int] = mapped_column(ForeignKey("entity_types.id"), index=True)
    reasons: Mapped[int] = mapped_column(Integer)
    from_us: Mapped[int] = mapped_column(BigInteger)
    begun_us: Mapped[int] = mapped_column(BigInteger)
    reached_id: Mapped[int] = mapped_column(BIG)
    model: Mapped[str | None] = mapped_column(String(NAME_CHARACTERS))
    model_version: Mapped[int | None] = mapped_column(Integer)
    model_hash: Mapped[str | None] = mapped_column(String(64))


class Champion(Base):
    """The serving version of the value model, as the platform knows it: one row. See `store.levels.champions`.

    Attributes:
        id: 1.
        since_us: when it was promoted here, or a worker first noticed it.
        content_hash: the content hash of its model, as a new registry begins with version 1 again; None while unknown.
    """

    __tablename__ = "champions"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    model: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    model_version: Mapped[int] = mapped_column(Integer)
    since_us: Mapped[int] = mapped_column(BigInteger)
    content_hash: Mapped[str | None] = mapped_column(String(64))


class OverrideRow(Base):
    """A level that one person requests and another approves; whether it is live also depends on `until_us`."""

    __tablename__ = "overrides"
    __table_args__ = (
        CheckConstraint("state IN ('requested', 'approved', 'refused', 'revoked')", name="state"),
        Index("ix_overrides_entity_id_state", "entity_id", "state"),
        Index("ix_overrides_organisation_id_id", "organisation_id", "id"),
        Index("ix_overrides_by_at", "organisation_id", "requested_us", "id"),
        Index("ix_overrides_by_actor", "organisation_id", "requested_by", "requested_us", "id"),
        Index("ix_overrides_by_state", "organisation_id", "state", "requested_us", "id"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY))
    level: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[str] = mapped_column(Text)
    until_us: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10))
    requested_by: Mapped[str] = mapped_column(Text)
    requested_us: Mapped[int] = mapped_column(BigInteger)
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_us: Mapped[int | None] = mapped_column(BigInteger)
    decision_reason: Mapped[str | None] = mapped_column(Text)
    revoked_by: Mapped[str | None] = mapped_column(Text)
    revoked_us: Mapped[int | None] = mapped_column(BigInteger)
    revocation_reason: Mapped[str | None] = mapped_column(Text)


class LevelRelease(Base):
    """The standing that an entity would have had a withdrawn version never decided; the next assessment begins from it.

    It applies only to the standing for which it was computed, so that it counts once and for nothing else.

    Attributes:
        backtest_id: the backtest that computed it.
        version_id: the withdrawn version, which decided the standing.
        held_level: the level of the standing, as `held_entered_us` and `assessed_us` are of it.
        level: the level from which the next assessment begins instead, with its beginning and the floors in force.
        active: whether the roll-back was approved.
    """

    __tablename__ = "level_releases"

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    backtest_id: Mapped[int] = mapped_column(ForeignKey("backtests.id"), index=True)
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), index=True)
    version_id: Mapped[int] = mapped_column(Integer)
    held_level: Mapped[int] = mapped_column(SmallInteger)
    held_entered_us: Mapped[int] = mapped_column(BigInteger)
    assessed_us: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[int] = mapped_column(SmallInteger)
    entered_us: Mapped[int] = mapped_column(BigInteger)
    floor: Mapped[int] = mapped_column(SmallInteger)
    hard_floor: Mapped[int] = mapped_column(SmallInteger)
    floors_lost: Mapped[str | None] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(Boolean)


class Opening(Base):
    """When the reasons of an assessment were first opened in a session of the console."""

    __tablename__ = "openings"

    session_id: Mapped[int] = mapped_column(ForeignKey("console_sessions.id"), primary_key=True)
    entity_id: Mapped[int] = mapped_column(ForeignKey("entities.id"), primary_key=True, index=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    opened_us: Mapped[int] = mapped_column(BigInteger)


class OverrideReading(Base):
    """What a person had opened on the pages when they requested an override or decided about it.

    Attributes:
        act: requested, approved or refused.
        actor: who did it.
        number: the number of the assessment in force then; None without one.
        opened_number: the number of the newest assessment whose reasons were opened in the same session; None if no
            opening is recorded, for example because the database could not write at once.
        seconds: how long before the act these were opened; None if no opening is recorded.
    """

    __tablename__ = "override_readings"

    override_id: Mapped[int] = mapped_column(BIG, ForeignKey("overrides.id"), primary_key=True)
    act: Mapped[str] = mapped_column(String(10), primary_key=True)
    actor: Mapped[str] = mapped_column(Text)
    number: Mapped[int | None] = mapped_column(Integer)
    opened_number: Mapped[int | None] = mapped_column(Integer)
    seconds: Mapped[int | None] = mapped_column(Integer)
