"""SQLAlchemy tables, migrations, and the few queries that everyone else calls by name."""
