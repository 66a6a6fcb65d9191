"""Validation of a ruleset against labels that became known later."""
