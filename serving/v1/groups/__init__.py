"""Routes of named groups."""
