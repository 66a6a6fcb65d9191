"""Charts as text, for terminals."""
