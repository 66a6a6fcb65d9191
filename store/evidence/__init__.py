"""Queries for archives of evidence, and for erasure."""
