"""Queries about decision flows: drafts, versions, which of these act, runs, actions and replays."""
