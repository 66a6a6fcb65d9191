"""Pages of named groups."""
