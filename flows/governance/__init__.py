"""Governance of flows: comparison of versions, mutation tests of examples, and decision tables as spreadsheets."""
