"""Pages of what a person concerned may know."""
