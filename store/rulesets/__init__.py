"""Queries about rulesets, activations, backtests and proposals."""
