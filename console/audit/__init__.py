"""Pages of who did what."""
