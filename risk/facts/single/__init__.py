"""Facts of one entity: one pass over its own rows in plain Python, in place of a query for each input."""
