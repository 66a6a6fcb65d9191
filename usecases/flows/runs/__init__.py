"""Runs of flows on the platform: begun by events, carried on by workers, with the actions that they take."""
