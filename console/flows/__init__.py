"""Flows: the drawn graph, versions, the editor, and what activates them."""
