"""Facts of one entity: one pass over its own rows in plain Python, instead of a query for each input."""
