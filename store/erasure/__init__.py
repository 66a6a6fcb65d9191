"""Queries for erasure, legal holds, and what the retention policy removes."""
