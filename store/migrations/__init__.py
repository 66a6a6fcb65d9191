"""Migrations: forward only, one file a step."""
