"""Named groups and their members."""
