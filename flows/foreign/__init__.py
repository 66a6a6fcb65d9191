"""Graphs of other systems as flows: what can be said exactly, and all that cannot, by its node."""
