"""Conditions as columns: Polars expressions in three-valued logic, where null is unknown."""
