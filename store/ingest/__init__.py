"""Queries about entities, transactions and facts."""
