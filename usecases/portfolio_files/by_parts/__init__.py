"""Portfolios whose transactions stay with the workers of an engine: a worker treats a part as one process does."""
