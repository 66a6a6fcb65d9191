"""Queries about validations, drift and the operator's statistics."""
