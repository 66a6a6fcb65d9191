"""Finds small changes of a ruleset that none of its examples would notice."""
