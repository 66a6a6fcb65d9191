"""Pages of validation: what the levels were worth, and when to look again."""
