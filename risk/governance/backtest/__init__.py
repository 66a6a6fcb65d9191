"""Backtests: a draft on a portfolio before it decides."""
