"""Queries about decision flows: their drafts, versions, and which of these act."""
