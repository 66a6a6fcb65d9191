"""Named groups: a condition by which entities are members, and what follows from it alone."""
