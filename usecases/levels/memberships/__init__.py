"""Membership of named groups, looked at whenever an entity is assessed."""
