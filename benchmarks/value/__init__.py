"""The value model on real data, out of time."""
