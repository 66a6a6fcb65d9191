"""Queries about organisations: members, tokens, plans, settings, lists and rates."""
