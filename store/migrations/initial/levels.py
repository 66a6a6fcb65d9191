"""The first tables of assessments and levels, challenges, and predictions that are judged later."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where


def create() -> None:
    """Create them."""
    _assessment_inputs()
    _assessments()
    _champions()
    _level_move_counts()
    _portfolio_counts()
    _transitions()
    _input_layouts()
    _markings()
    _due_marks()
    _openings()
    _overrides()
    _standings()
    _override_readings()
    _level_releases()
    _challenges()
    _prediction_days()
    _predictions()


def _assessment_inputs() -> None:
    op.create_table(
        "assessment_inputs",
        sa.Column("entity_id", BIG, primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("content", sa.Text()),
        sa.Column("salt", sa.String(32)),
        sa.Column("sha256", sa.String(64)),
        sa.Column("removed_by", sa.Integer()),
    )


def _assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("entity_id", BIG, primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.Integer()),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("level", sa.SmallInteger()),
        sa.Column("rules_level", sa.SmallInteger()),
        sa.Column("floor", sa.SmallInteger(), nullable=False),
        sa.Column("score", sa.Text(), nullable=False),
        sa.Column("engine", sa.String(20), nullable=False),
        sa.Column("breakdown", sa.Text()),
        sa.Column("batch", sa.BigInteger()),
    )
    op.create_index("ix_assessments_batch", "assessments", ["batch"])
    op.create_index(
        "ix_assessments_old", "assessments", ["organisation_id", "as_of_us"], **only_where("breakdown IS NOT NULL")
    )


def _champions() -> None:
    op.create_table(
        "champions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(64)),
        sa.CheckConstraint("id = 1", name="one_row"),
    )


def _level_move_counts() -> None:
    op.create_table(
        "level_move_counts",
        sa.Column("organisation_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("type_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("from_level", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("to_level", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("entities", sa.BigInteger(), nullable=False),
    )


def _portfolio_counts() -> None:
    op.create_table(
        "portfolio_counts",
        sa.Column("organisation_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("type_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("level", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("segment", sa.String(10), primary_key=True),
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("erased", sa.Boolean(), primary_key=True),
        sa.Column("part", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("entities", sa.BigInteger(), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
    )


def _transitions() -> None:
    op.create_table(
        "transitions",
        sa.Column("entity_id", BIG, primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("from_level", sa.SmallInteger()),
        sa.Column("to_level", sa.SmallInteger()),
        sa.Column("source", sa.String(10), nullable=False),
    )
    op.create_index(
        "ix_transitions_falls",
        "transitions",
        ["organisation_id", "at_us", "entity_id", "number"],
        **only_where("from_level > coalesce(to_level, 0)"),
    )
    op.create_index(
        "ix_transitions_firsts",
        "transitions",
        ["organisation_id", "at_us", "entity_id", "number"],
        **only_where("from_level IS NULL"),
    )
    op.create_index("ix_transitions_organisation_id_at_us", "transitions", ["organisation_id", "at_us"])
    op.create_index(
        "ix_transitions_rises",
        "transitions",
        ["organisation_id", "at_us", "entity_id", "number"],
        **only_where("to_level > from_level"),
    )


def _input_layouts() -> None:
    op.create_table(
        "input_layouts",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("content", sa.Text(), nullable=False),
    )


def _markings() -> None:
    op.create_table(
        "markings",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("reasons", sa.Integer(), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("begun_us", sa.BigInteger(), nullable=False),
        sa.Column("reached_id", BIG, nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("model_version", sa.Integer()),
        sa.Column("model_hash", sa.String(64)),
    )
    op.create_index("ix_markings_type_id", "markings", ["type_id"])


def _due_marks() -> None:
    op.create_table(
        "due_marks",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("type_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger()),
        sa.Column("planned_us", sa.BigInteger()),
        sa.Column("settled_us", sa.BigInteger()),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("reasons", sa.Integer(), nullable=False),
        sa.Column("lease", sa.String(40)),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.Column("claimed", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text()),
    )
    op.create_index(
        "ix_due_marks_failing", "due_marks", ["organisation_id", "entity_id"], **only_where("error IS NOT NULL")
    )
    op.create_index(
        "ix_due_marks_quarantined",
        "due_marks",
        ["organisation_id", "entity_id"],
        sqlite_where=sa.text("quarantined = 1"),
        postgresql_where=sa.text("quarantined"),
    )
    op.create_index("ix_due_marks_queue", "due_marks", ["quarantined", "organisation_id", "priority", "due_us"])
    op.create_index("ix_due_marks_waiting", "due_marks", ["quarantined", "priority", "due_us"])


def _openings() -> None:
    op.create_table(
        "openings",
        sa.Column("session_id", sa.Integer(), sa.ForeignKey("console_sessions.id"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_openings_entity_id", "openings", ["entity_id"])


def _overrides() -> None:
    op.create_table(
        "overrides",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until_us", sa.BigInteger()),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_us", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_us", sa.BigInteger()),
        sa.Column("decision_reason", sa.Text()),
        sa.Column("revoked_by", sa.Text()),
        sa.Column("revoked_us", sa.BigInteger()),
        sa.Column("revocation_reason", sa.Text()),
        sa.CheckConstraint("state IN ('requested', 'approved', 'refused', 'revoked')", name="state"),
    )
    op.create_index("ix_overrides_by_actor", "overrides", ["organisation_id", "requested_by", "requested_us", "id"])
    op.create_index("ix_overrides_by_at", "overrides", ["organisation_id", "requested_us", "id"])
    op.create_index("ix_overrides_by_state", "overrides", ["organisation_id", "state", "requested_us", "id"])
    op.create_index("ix_overrides_entity_id_state", "overrides", ["entity_id", "state"])
    op.create_index("ix_overrides_organisation_id_id", "overrides", ["organisation_id", "id"])


def _standings() -> None:
    op.create_table(
        "standings",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("assessed_us", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.Integer()),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("level", sa.SmallInteger()),
        sa.Column("rules_level", sa.SmallInteger()),
        sa.Column("floor", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("hard_floor", sa.SmallInteger(), nullable=False),
        sa.Column("floors_lost", sa.Text()),
        sa.Column("entered_us", sa.BigInteger()),
        sa.Column("may_move_down_us", sa.BigInteger()),
        sa.Column("override_id", BIG),
        sa.Column("kept_by", sa.Text()),
        sa.Column("digest", sa.String(64)),
        sa.Column("score", sa.Float(53), nullable=False, server_default="0"),
        sa.Column("level_since_us", sa.BigInteger(), nullable=False),
        sa.Column("value_score", sa.Float(53)),
        sa.Column("segment", sa.String(10)),
        sa.Column("expected_value", sa.Float(53)),
        sa.Column("value_currency", sa.String(3)),
        sa.Column("erased", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_index(
        "ix_standings_assessed",
        "standings",
        ["organisation_id", "assessed_us"],
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.create_index(
        "ix_standings_failed",
        "standings",
        ["organisation_id", "entity_id"],
        **only_where("status IN ('failed', 'unclassified', 'undetermined')"),
    )
    op.create_index("ix_standings_level", "standings", ["organisation_id", "level", "type_id", "entity_id"])
    op.create_index("ix_standings_score", "standings", ["type_id", "level", "score", "entity_id"])
    op.create_index("ix_standings_segment", "standings", ["type_id", "segment", "level", "score", "entity_id"])
    op.create_index("ix_standings_since", "standings", ["type_id", "level", "level_since_us", "entity_id"])
    op.create_index("ix_standings_value", "standings", ["type_id", "level", "expected_value", "entity_id"])
    op.create_index("ix_standings_worth", "standings", ["type_id", "segment", "expected_value", "entity_id"])


def _override_readings() -> None:
    op.create_table(
        "override_readings",
        sa.Column("override_id", BIG, sa.ForeignKey("overrides.id"), primary_key=True),
        sa.Column("act", sa.String(10), primary_key=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer()),
        sa.Column("opened_number", sa.Integer()),
        sa.Column("seconds", sa.Integer()),
    )


def _level_releases() -> None:
    op.create_table(
        "level_releases",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("backtest_id", sa.Integer(), sa.ForeignKey("backtests.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("held_level", sa.SmallInteger(), nullable=False),
        sa.Column("held_entered_us", sa.BigInteger(), nullable=False),
        sa.Column("assessed_us", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("entered_us", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.SmallInteger(), nullable=False),
        sa.Column("hard_floor", sa.SmallInteger(), nullable=False),
        sa.Column("floors_lost", sa.Text()),
        sa.Column("active", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_level_releases_backtest_id", "level_releases", ["backtest_id"])
    op.create_index("ix_level_releases_entity_id", "level_releases", ["entity_id"])


def _challenges() -> None:
    op.create_table(
        "challenges",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("record_sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("settled_by", sa.Text()),
        sa.Column("settled_us", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("answer", sa.Text()),
        sa.Column("facts", sa.Text()),
        sa.Column("settled_number", sa.Integer()),
        sa.Column("override_id", BIG),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("state IN ('open', 'confirmed', 'corrected', 'overridden')", name="state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_challenges_by_due", "challenges", ["organisation_id", "due_us", "id"])
    op.create_index(
        "ix_challenges_by_opening", "challenges", ["organisation_id", "opened_us", "id"], **only_where("state = 'open'")
    )
    op.create_index("ix_challenges_by_state", "challenges", ["organisation_id", "state", "due_us", "id"])
    op.create_index("ix_challenges_entity", "challenges", ["entity_id", "due_us", "id"])
    op.create_index(
        "ix_challenges_open", "challenges", ["entity_id", "number"], unique=True, **only_where("state = 'open'")
    )


def _prediction_days() -> None:
    op.create_table(
        "prediction_days",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("horizon_ends_us", sa.BigInteger(), nullable=False),
        sa.Column("valued", sa.BigInteger(), nullable=False),
        sa.Column("predicted", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("interval_level_percent", sa.Integer()),
        sa.Column("judged_us", sa.BigInteger()),
        sa.Column("state", sa.String(10)),
        sa.Column("reasons", sa.Text()),
        sa.Column("figures", sa.Text()),
        sa.Column("announced_us", sa.BigInteger()),
        sa.Column("forgotten_us", sa.BigInteger()),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.CheckConstraint("state IN ('due', 'holds', 'unknown')", name="state"),
        sa.UniqueConstraint("type_id", "model", "model_version", "day"),
    )
    op.create_index(
        "ix_prediction_days_version", "prediction_days", ["organisation_id", "model_version", "as_of_us", "id"]
    )


def _predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column("day_id", sa.Integer(), sa.ForeignKey("prediction_days.id"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("segment", sa.String(10), nullable=False),
        sa.Column("expected_value", sa.Float(53), nullable=False),
        sa.Column("expected_value_low", sa.Float(53)),
        sa.Column("expected_value_high", sa.Float(53)),
    )
    op.create_index("ix_predictions_entity_id", "predictions", ["entity_id"])
