"""SQLAlchemy tables, migrations, and the shared queries."""
