"""Finds what would move a level: the smallest changes that a person can make, by trying the ruleset itself."""
