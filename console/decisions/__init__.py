"""Pages of policies and of their decisions."""
