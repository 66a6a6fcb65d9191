"""Differences between two versions of a ruleset."""
