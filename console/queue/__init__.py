"""Pages of work that waits for a person."""
