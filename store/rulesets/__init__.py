"""Queries about rulesets, activations and backtests."""
