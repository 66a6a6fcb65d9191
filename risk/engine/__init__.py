"""Runs rulesets: compiled once, they assess a frame of entities, one or a million."""
