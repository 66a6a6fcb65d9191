"""Intake of facts: entities, attributes, owners, transactions, tags, screenings, cases, alerts and files of them."""
