"""Queries about decisions and policies."""
