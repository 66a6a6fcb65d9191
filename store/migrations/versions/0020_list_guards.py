"""Versions of lists are history: nothing changes or deletes them."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Guard them."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER list_versions_history BEFORE UPDATE OR DELETE OR TRUNCATE ON list_versions"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
        return
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER list_versions_history_{what.lower()} BEFORE {what} ON list_versions"
            f" BEGIN SELECT RAISE(ABORT, 'list_versions is append-only, {what} is refused'); END"
        )
