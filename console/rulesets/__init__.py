"""Rulesets: what decides, what is written, and what it would change."""
