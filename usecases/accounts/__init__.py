"""Organisations: members, tokens, settings, entity types, lists and exchange rates."""
