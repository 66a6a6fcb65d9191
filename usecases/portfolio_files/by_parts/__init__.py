"""Portfolios whose transactions stay with the workers of an engine: each part is worked on as one process does."""
