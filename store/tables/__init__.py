"""The tables, as SQLAlchemy sees them; migrations make them, and a test compares the two."""
