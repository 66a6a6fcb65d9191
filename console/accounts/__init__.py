"""Pages of sessions and of the organisation."""
