"""Groups: the entities that one is linked to, and what their data add up to."""
