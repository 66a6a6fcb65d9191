"""Simulated customers and portfolios."""
