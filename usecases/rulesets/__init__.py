"""Rulesets: their drafts, reviews, commits, activations and backtests."""
