"""Intake of facts: entities, attributes, owners, transactions, tags, screenings, cases and alerts, also from files."""
