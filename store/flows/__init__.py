"""Queries about decision flows: their drafts, their versions, and which of these act."""
