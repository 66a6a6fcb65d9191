"""Pages of changes that another person approves."""
