"""What the retention policy removes."""
