"""Judging a trained model: predictions of the test window, metrics, comparisons and the gate."""
