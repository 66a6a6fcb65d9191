"""Runs the examples of a ruleset, compares them and measures their coverage."""
