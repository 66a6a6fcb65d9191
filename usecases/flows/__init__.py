"""Decision flows: those that ship and one's own, run on files."""
