"""Queries for archives of evidence."""
