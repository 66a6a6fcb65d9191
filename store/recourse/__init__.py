"""Queries about challenges of assessments."""
