"""Scores: of histories, of a frame of transactions, and of whole files."""
