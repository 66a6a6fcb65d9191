"""Explanations of rule outcomes: breakdowns, summaries and failures as text."""
