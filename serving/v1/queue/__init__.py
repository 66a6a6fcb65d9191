"""What waits for a person, over HTTP."""
