"""Groups: the entities that an entity is linked to, and values computed from their data."""
