"""The schema of the first release: tables by area, and guards against changes."""
