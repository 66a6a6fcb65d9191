"""Routes about decision flows."""
