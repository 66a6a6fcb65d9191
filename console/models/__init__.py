"""Pages of the value model: its versions, and why one of them serves."""
