"""Challenges of assessments, as they are stored."""
