"""Lint: what is wrong or doubtful in rulesets and policies, without data."""
