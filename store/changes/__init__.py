"""Queries for proposals of changes, which another person approves."""
