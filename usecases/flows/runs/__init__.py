"""Runs of flows on the platform: begun by events, carried on by workers, and what they do."""
