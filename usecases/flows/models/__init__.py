"""Models of the registry that steps of flows ask: whether they fit the step, and what they gave."""
