"""Rulesets: drafts, reviews, commits, activation and backtests of them."""
