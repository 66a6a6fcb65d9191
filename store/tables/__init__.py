"""The tables, as SQLAlchemy models; migrations create them, and a test compares the two."""
