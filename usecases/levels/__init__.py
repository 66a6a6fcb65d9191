"""Levels: assessed, stored, read, explained, overridden and replayed."""
