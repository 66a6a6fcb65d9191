"""Recourse of the person concerned: what would move their level, statements, and challenges."""
