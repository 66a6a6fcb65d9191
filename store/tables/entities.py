"""The tables of entities, of the facts about them, and of their search words.

If a row has a `salt`, the audit log has its digest (`store.audit.bound_rows`).
"""

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
    LargeBinary,
    SmallInteger,
    String,
    Text,
    false,
    literal_column,
    text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.audit.history import SALT_CHARACTERS, new_salt
from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import COUNTED, NAME_CHARACTERS, Base

BIG = BigInteger().with_variant(Integer, "sqlite")
"""The type of a numbered key: SQLite numbers rows itself only if their key is declared as a plain integer."""
_ENTITY = "entities.id"
_ORGANISATION = "organisations.id"
_WORD = String(100)
_IS_SETTLED = text("settled_batch IS NOT NULL")
_IS_ERASED = text("erased_us IS NOT NULL")
_TO_ENTITY = text("other_id IS NOT NULL")
_TO_THING = text("thing IS NOT NULL")
COUNTS_FROM = "CASE WHEN recorded_us < known_us THEN recorded_us ELSE known_us END"
"""The moment from which a correction counts: `known_us`, or `recorded_us` if a clock that was ahead was repaired since.
"""
MOST_WORD = 40
"""The longest word, in characters; longer words are cut."""


class OrganisationSettings(Base):
    """The settings of an organisation.

    Nothing changes `levels`, names from the lowest up, once a ruleset was written (`locked_us`).

    Attributes:
        minimum_coverage_percent: the share of rules and cases that examples must reach, whatever a ruleset says.
        programs_lower_levels: whether programs and accounts of the machine may undo facts that hold a level up without
            a second person.
        two_people_promote: whether a value model becomes champion only after another person approved it.
        sole_operator_us: since when one person may approve their own proposals; None if two people are needed.
        challenge_days: days until a challenge is due; None for the default.
        lowest_alert_percent: the share of alerts that may be at the lowest level; None for the default.
        outbox_days: days after which events are removed, and likewise for the other kinds; None to keep them for good.
    """

    __tablename__ = "organisation_settings"

    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION), primary_key=True)
    levels: Mapped[list[str]] = mapped_column(JSONText())
    locked_us: Mapped[int | None] = mapped_column(BigInteger)
    base_currency: Mapped[str] = mapped_column(String(3), default="EUR")
    override_cap_percent: Mapped[int] = mapped_column(Integer, default=10)
    retention_days: Mapped[int] = mapped_column(Integer, default=1826)
    minimum_coverage_percent: Mapped[int] = mapped_column(Integer, default=80)
    programs_lower_levels: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    two_people_promote: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    sole_operator_us: Mapped[int | None] = mapped_column(BigInteger)
    challenge_days: Mapped[int | None] = mapped_column(Integer)
    outbox_days: Mapped[int | None] = mapped_column(Integer)
    deliveries_days: Mapped[int | None] = mapped_column(Integer)
    reports_days: Mapped[int | None] = mapped_column(Integer)
    assessments_days: Mapped[int | None] = mapped_column(Integer)
    flows_days: Mapped[int | None] = mapped_column(Integer)
    lowest_alert_percent: Mapped[int | None] = mapped_column(Integer)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class EntityType(Base):
    """A type of entity - customer, company, session - and its typed fields (JSON, as rulesets declare them).

    Attributes:
        purposes: the purposes for which the data were gathered, as in rulesets; None without a declaration.
        links: the kinds of links between entities of the type, by name; None without any.
    """

    __tablename__ = "entity_types"
    __table_args__ = (Unique("organisation_id", "name"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    name: Mapped[str] = mapped_column(_WORD)
    fields: Mapped[dict[str, Any]] = mapped_column(JSONText())
    transaction_fields: Mapped[dict[str, Any]] = mapped_column(JSONText())
    case_fields: Mapped[dict[str, Any]] = mapped_column(JSONText())
    created_us: Mapped[int] = mapped_column(BigInteger)
    purposes: Mapped[dict[str, Any] | None] = mapped_column(JSONText())
    links: Mapped[dict[str, Any] | None] = mapped_column(JSONText())
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Entity(Base):
    """A person or a thing that has a level; facts about an entity that it owns count for it too.

    Attributes:
        noted_us: the last arrival of facts that store no moment of arrival, or moments long before it: tags,
            screenings, cases, alerts, owners, proposals about its overrides.
    """

    __tablename__ = "entities"
    __table_args__ = (
        Unique("type_id", "external_id"),
        Index("ix_entities_type", "organisation_id", "type_id", "id"),
        Index("ix_entities_erased", "id", sqlite_where=_IS_ERASED, postgresql_where=_IS_ERASED),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    type_id: Mapped[int] = mapped_column(ForeignKey("entity_types.id"))
    external_id: Mapped[str] = mapped_column(Text)
    created_us: Mapped[int] = mapped_column(BigInteger)
    noted_us: Mapped[int | None] = mapped_column(BigInteger)
    hold_until_us: Mapped[int | None] = mapped_column(BigInteger)
    hold_reason: Mapped[str | None] = mapped_column(Text)
    erased_us: Mapped[int | None] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Ownership(Base):
    """An ownership of an entity by another, for a period: facts of that period about it count for the owner too.

    The periods of one entity and one owner do not overlap. A period whose end is its beginning was undone.

    Attributes:
        entity_id: the owned entity.
        from_us: None if every fact before `until_us` counts.
        until_us: the first moment that no longer counts; None without an end.
    """

    __tablename__ = "ownerships"
    __table_args__ = (Index("ix_ownerships_owner_id_entity_id", "owner_id", "entity_id"),)

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), index=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), index=True)
    from_us: Mapped[int | None] = mapped_column(BigInteger)
    until_us: Mapped[int | None] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Link(Base):
    """A link of an entity to another one of its type, or to a shared value, for a period.

    The periods of the same link do not overlap. A period whose end is its beginning was undone. A row without
    `other_id` and `thing` says that the entity is known to have no such link.

    Attributes:
        link: the type of link, as the type of entity declares it.
        other_id: the entity to which a directed link leads.
        thing: the shared value, which is not an entity.
        from_us: None without a beginning.
        until_us: the first moment at which it no longer holds; None without an end.
    """

    __tablename__ = "links"
    __table_args__ = (
        Index("ix_links_entity_id_link", "entity_id", "link"),
        Index("ix_links_other_id_link", "other_id", "link", sqlite_where=_TO_ENTITY, postgresql_where=_TO_ENTITY),
        Index("ix_links_thing", "type_id", "link", "thing", sqlite_where=_TO_THING, postgresql_where=_TO_THING),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    type_id: Mapped[int] = mapped_column(ForeignKey("entity_types.id"))
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY))
    link: Mapped[str] = mapped_column(_WORD)
    other_id: Mapped[int | None] = mapped_column(ForeignKey(_ENTITY))
    thing: Mapped[str | None] = mapped_column(Text)
    from_us: Mapped[int | None] = mapped_column(BigInteger)
    until_us: Mapped[int | None] = mapped_column(BigInteger)
    recorded_us: Mapped[int] = mapped_column(BigInteger)
    set_by: Mapped[str] = mapped_column(Text)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Attributes(Base):
    """All attributes of an entity (a JSON object) from one moment on; the latest version holds."""

    __tablename__ = "attributes"

    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    known_us: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[str] = mapped_column(Text)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Transaction(Base):
    """A deposit (positive) or a withdrawal (negative), identified by its own number within the organisation.

    Attributes:
        batch: the number of the call that added it.
        settled_batch: the number of the call that settled it, if it was pending.
    """

    __tablename__ = "transactions"
    __table_args__ = (
        Index("ix_transactions_entity_id_at_us", "entity_id", "at_us"),
        Index("ix_transactions_batch", "batch"),
        Index("ix_transactions_settled_batch", "settled_batch", sqlite_where=_IS_SETTLED, postgresql_where=_IS_SETTLED),
    )

    organisation_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    transaction_id: Mapped[str] = mapped_column(Text, primary_key=True)
    entity_id: Mapped[int] = mapped_column(BIG)
    at_us: Mapped[int] = mapped_column(BigInteger)
    recorded_us: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[float] = mapped_column(Float(53))
    currency: Mapped[str] = mapped_column(Text)
    state: Mapped[str | None] = mapped_column(Text)
    balance: Mapped[float | None] = mapped_column(Float(53))
    category: Mapped[str | None] = mapped_column(Text)
    account_created_us: Mapped[int | None] = mapped_column(BigInteger)
    content: Mapped[str | None] = mapped_column(Text)
    batch: Mapped[int | None] = mapped_column(BigInteger)
    settled_batch: Mapped[int | None] = mapped_column(BigInteger)


class SummaryTransaction(Base):
    """One of the few transactions that represent all of an entity's up to a moment; see `risk.facts.look_back`.

    Workers make them, and writers of facts of that time delete them: without them, all transactions are read.

    Attributes:
        until_us: that moment, the same for all rows of an entity.
    """

    __tablename__ = "summary_transactions"

    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), primary_key=True)
    transaction_id: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(Integer)
    until_us: Mapped[int] = mapped_column(BigInteger)


class TransactionBlock(Base):
    """An entity's transactions between two moments by columns, so that many are read fast; see `store.ingest.blocks`.

    Workers make them, and writers of facts of that time delete them: without them, transactions are read.

    Attributes:
        until_us: its last moment.
        from_us: the last moment before it.
        content: the transactions as first stored, as Parquet.
    """

    __tablename__ = "transaction_blocks"

    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), primary_key=True)
    until_us: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    from_us: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Correction(Base):
    """A later fact about a transaction, whose row stays unchanged: a corrected value, or that it does not count.

    Attributes:
        external_id: its own number within the organisation.
        kind: correction or reversal.
        known_us: when it became known; it counts from then on, or from `recorded_us` if that is earlier.
        actor: who sent it.
        at_us: the corrected value, as in the columns that follow; None changes nothing.
    """

    __tablename__ = "corrections"
    __table_args__ = (
        Unique("organisation_id", "external_id"),
        CheckConstraint("kind IN ('correction', 'reversal')", name="kind"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    external_id: Mapped[str] = mapped_column(Text)
    transaction_id: Mapped[str] = mapped_column(Text)
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    known_us: Mapped[int] = mapped_column(BigInteger)
    recorded_us: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int | None] = mapped_column(BigInteger)
    amount: Mapped[float | None] = mapped_column(Float(53))
    currency: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str | None] = mapped_column(Text)
    balance: Mapped[float | None] = mapped_column(Float(53))
    category: Mapped[str | None] = mapped_column(Text)
    account_created_us: Mapped[int | None] = mapped_column(BigInteger)
    content: Mapped[str | None] = mapped_column(Text)
    batch: Mapped[int] = mapped_column(BigInteger, index=True)

    @hybrid_property
    def counts_from_us(self) -> int:
        """The moment from which it counts, as `COUNTS_FROM`."""
        return min(self.known_us, self.recorded_us)

    @counts_from_us.inplace.expression
    @classmethod
    def _counts_from_us(cls) -> ColumnElement[int]:
        return literal_column(COUNTS_FROM, BigInteger)


class Tag(Base):
    """A word that people or programs set on an entity, for a while or without end.

    Attributes:
        set_reason: why it was set, if a reason was given.
        ended_by: who changed its end; None if it has the end with which it was set.
        end_reason: why they did, if a reason was given.
    """

    __tablename__ = "tags"
    __table_args__ = (
        Index("ix_tags_entity_id_tag", "entity_id", "tag"),
        Index("ix_tags_tag", "organisation_id", "tag", "entity_id"),
        COUNTED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY))
    tag: Mapped[str] = mapped_column(_WORD)
    from_us: Mapped[int] = mapped_column(BigInteger)
    until_us: Mapped[int | None] = mapped_column(BigInteger)
    set_by: Mapped[str] = mapped_column(Text)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)
    set_reason: Mapped[str | None] = mapped_column(Text)
    ended_by: Mapped[str | None] = mapped_column(Text)
    end_reason: Mapped[str | None] = mapped_column(Text)


class TagEnd(Base):
    """A planned end of a tag; deleted if the tag ends otherwise.

    Attributes:
        announced: the tag ended, and the runs of flows that listen to that began. The row is kept for a while, so that
            assessments know who is behind that end.
    """

    __tablename__ = "tag_ends"
    __table_args__ = (Index("ix_tag_ends_waiting", "announced", "due_us"),)

    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True)
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), index=True)
    due_us: Mapped[int] = mapped_column(BigInteger)
    announced: Mapped[bool] = mapped_column(Boolean, server_default=false())


class Screening(Base):
    """A screening of an entity: its kind, when it was, and whether it had a match; a clean one counts too."""

    __tablename__ = "screenings"
    __table_args__ = (Index("ix_screenings_entity_id_screening", "entity_id", "screening"), COUNTED)

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY))
    screening: Mapped[str] = mapped_column(_WORD)
    found: Mapped[bool] = mapped_column(Boolean)
    at_us: Mapped[int] = mapped_column(BigInteger)
    recorded_us: Mapped[int] = mapped_column(BigInteger)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class Record(Base):
    """A case or an alert: when it was opened and, if it was, closed, with its outcome."""

    __tablename__ = "records"
    __table_args__ = (
        Unique("organisation_id", "kind", "external_id"),
        CheckConstraint("kind IN ('case', 'alert')", name="kind"),
        COUNTED,
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION))
    kind: Mapped[str] = mapped_column(String(5))
    external_id: Mapped[str] = mapped_column(Text)
    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), index=True)
    opened_us: Mapped[int] = mapped_column(BigInteger)
    closed_us: Mapped[int | None] = mapped_column(BigInteger)
    outcome: Mapped[str | None] = mapped_column(_WORD)
    status: Mapped[str | None] = mapped_column(_WORD)
    content: Mapped[str | None] = mapped_column(Text)
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class ListVersionRow(Base):
    """One version of a named list.

    Attributes:
        purpose: the purpose of the list; None if the version declares none.
    """

    __tablename__ = "list_versions"

    organisation_id: Mapped[int] = mapped_column(ForeignKey(_ORGANISATION), primary_key=True)
    name: Mapped[str] = mapped_column(_WORD, primary_key=True)
    since_us: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    members: Mapped[list[str]] = mapped_column(JSONText())
    created_us: Mapped[int] = mapped_column(BigInteger)
    purpose: Mapped[str | None] = mapped_column(String(12))


class ValueScore(Base):
    """A value score of an entity at a moment; stored if it differs from the one before.

    If the model found no value, `score`, `segment` and `expected_value` are None, and the entity has no value from then
    on. The same holds if no model was loaded when transactions had changed: then `model_version` is 0, and the model is
    the one of the value before. The ends of the interval are None if the model keeps none; the high one also if it saw
    too few customers to state one.

    Attributes:
        model_hash: the content hash of the model, as a new registry reuses version numbers; None if no model was
            loaded.
        failure: why the value could not be computed: rules that read it fail with that, also once transactions changed
            while no model was loaded. None if there is a value, or if the model found none, which is unknown.
    """

    __tablename__ = "value_scores"

    entity_id: Mapped[int] = mapped_column(ForeignKey(_ENTITY), primary_key=True)
    as_of_us: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    score: Mapped[float | None] = mapped_column(Float(53))
    segment: Mapped[str | None] = mapped_column(String(10))
    expected_value: Mapped[float | None] = mapped_column(Float(53))
    expected_value_low: Mapped[float | None] = mapped_column(Float(53))
    expected_value_high: Mapped[float | None] = mapped_column(Float(53))
    interval_level_percent: Mapped[int | None] = mapped_column(Integer)
    currency: Mapped[str] = mapped_column(String(3))
    model: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    model_version: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[str] = mapped_column(String(64))
    model_hash: Mapped[str | None] = mapped_column(String(64))
    failure: Mapped[str | None] = mapped_column(Text)


class SearchWord(Base):
    """A word of an entity's identifier or of one of its attributes, as `store.portfolio.words` reads them.

    Words are ordered by code points on both databases, so that those with the same prefix are contiguous. Rows are
    rewritten whenever attributes change.

    Attributes:
        place: where the word occurs, a `store.portfolio.words.WordPlace`.
    """

    __tablename__ = "search_words"
    __table_args__ = (Index("ix_search_words_entity_id", "entity_id", "word"), {"sqlite_with_rowid": False})

    type_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    place: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    word: Mapped[str] = mapped_column(
        String(MOST_WORD).with_variant(String(MOST_WORD, collation="C"), "postgresql"), primary_key=True
    )
    entity_id: Mapped[int] = mapped_column(BIG, ForeignKey("entities.id"), primary_key=True)
