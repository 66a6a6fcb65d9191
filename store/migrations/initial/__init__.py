"""The schema of the first release: tables by area, and the guards of what does not change."""
