"""Backtests: a draft tried on a portfolio before it decides."""
