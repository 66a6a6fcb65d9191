"""A portfolio from files, as `fivefold rules` takes it."""
