"""Validation over time, drift, material changes and the operator's statistics."""
