"""Rolling origins: the same settings learnt and judged as of several moments, one horizon after the other."""
