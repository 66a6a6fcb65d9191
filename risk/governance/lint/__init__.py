"""Lint: finds faults and doubts in rulesets and policies, without data."""
